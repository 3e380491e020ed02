"""Tables for the terminal."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from seqtutor.cli.console import new_table
from seqtutor.domain import RewardTerm
from seqtutor.objectives.optimum import LEAST
from seqtutor.runs.report.figures import verdict

if TYPE_CHECKING:
    from pathlib import Path

    from seqtutor.runs.explaining import Explanation
    from seqtutor.runs.report.reading import Figure, Summary
    from seqtutor.training.verification import Proof


LEAST_PAID = 0.005  # of a reward that is worth a word


def figure(mean: float | None, halfwidth: float | None, percent: bool) -> str:
    """A mean with its 95 % interval, to the digit that this leaves certain, three at most; a dash where there is none.

    >>> figure(0.93123, 0.0052, True), figure(-0.2123, 0.04, False), figure(2.388, None, False)
    ('93.1 ± 0.5 %', '-0.21 ± 0.04', '2.388')
    >>> figure(0.9312, 0.0041, False)
    '0.931 ± 0.004'
    """
    if mean is None or not math.isfinite(mean):
        return "-"
    scale, unit = (100.0, " %") if percent else (1.0, "")
    digits = 1 if percent or abs(mean) >= 10 else 3
    if halfwidth is None or not math.isfinite(halfwidth):
        return f"{mean * scale:.{digits}f}{unit}"
    if halfwidth > 0:
        digits = min(max(-math.floor(math.log10(halfwidth * scale)), 0), 2 if percent else 3)
    return f"{mean * scale:.{digits}f} ± {halfwidth * scale:.{digits}f}{unit}"


def weight_of(term: RewardTerm) -> str:
    """The weight of a term as text."""
    return "filter" if term.filter else f"{term.weight:g}"


def comparison_table(summary: Summary) -> Table:
    """Before and after, with best of n from the prior between them; what is judged with its 95 % interval.

    Where some of the samples are kept, what is judged is these, and the policy's own interval is left to the page.
    """
    rows = [summary.reward, *summary.terms, *summary.measures]
    real, kept = any(row.reference is not None for row in rows), any(math.isfinite(row.kept.mean) for row in rows)
    after = ["tuned", "kept"] if kept else ["tuned"]
    headings = ["prior", f"best of {summary.best_of} from it", *after, *(["real"] if real else []), ""]
    table = new_table(f"{summary.samples:,} samples each, mean ± 95 % interval", *headings)
    table.padding = (0, 1, 0, 0)  # so that it fits into 80 columns
    for row in rows:
        own = math.isfinite(row.kept.mean)
        cells = [figure(*estimate, row.percent) for estimate in (row.prior, row.best_of_n)]
        cells += [figure(row.policy.mean, None if own else row.policy.halfwidth, row.percent)]
        cells += [figure(*row.kept, row.percent) if own else ""] if kept else []
        cells += [figure(row.reference, None, row.percent)] if real else []
        table.add_row(row.name, *cells, _judged(row))
        if row is summary.reward or row is summary.terms[-1]:
            table.add_section()
    return table


def explanation_table(found: Explanation) -> Table:
    """A row for each part: what the models thought of it, what it earned, and by which terms, the largest first."""
    tuned = found.logp is not None
    adding = list(found.parts[0].adds) if found.parts else []
    headings = ["nats, prior", *(["nats, tuned"] if tuned else []), *adding, "paid"]
    table = new_table(f"reward {found.reward:.4g}; nats are log-probabilities", *headings, last="by")
    for part in found.parts:
        own = [f"{part.logp:.2f}"] if part.logp is not None else []
        told = sorted(part.paid.items(), key=lambda item: -abs(item[1]))
        by = ", ".join(f"{name} {_signed(paid)}" for name, paid in told if abs(paid) >= LEAST_PAID)
        adds = [f"{part.adds[name]:+.2g}" if part.adds[name] else "" for name in adding]
        table.add_row(part.name, f"{part.prior_logp:.2f}", *own, *adds, _signed(part.total), by)
    table.add_section()
    own = [f"{found.logp:.2f}"] if found.logp is not None else []
    total = sum(part.total for part in found.parts)
    whole = ", ".join(f"{name} {value:.3g}{_weighted(found.weights[name])}" for name, value in found.whole.items())
    said = f"the whole: {whole}" if whole else ""
    table.add_row("all", f"{found.prior_logp:.2f}", *own, *("" for _ in adding), _signed(total), said)
    return table


def _weighted(weight: float) -> str:
    """Behind the score of a term; nothing behind that of a filter, which multiplies."""
    return f" × {weight:g}" if weight not in (0.0, 1.0) else ""


def named_parts(found: Explanation) -> list[str]:
    """A line for each term that is made of parts with names."""
    named = ((name, parts) for name, parts in found.made_of.items() if isinstance(parts, Mapping))
    return [f"{name}: " + ", ".join(f"{part} {value:.2f}" for part, value in parts.items()) for name, parts in named]


def _signed(value: float) -> str:
    return f"{value:+.2f}" if abs(value) >= LEAST_PAID else ""


def _judged(row: Figure) -> str:
    words = ("nearer", "further") if row.better == "near" else ("better", "worse")
    return dict(zip(("better", "worse"), words, strict=True)).get(verdict(row), "")


def optimum_line(found: Mapping[str, Any]) -> str:
    """One line on how far the policy is from the optimum."""
    gap, share = found["gap"], found["share"]
    if not math.isfinite(gap["mean"]):
        worth = f"{found['samples']:,} samples are worth {found['effective']:.0f} of the optimum"
        return f"gap to the optimum at temperature {found['temperature']:.3g}: unknown, {worth}; {LEAST:.0f} are needed"
    nats = f"{gap['mean']:z.2f} ± {gap['halfwidth']:.2f} nats"
    line = f"gap to the optimum at temperature {found['temperature']:.3g}: {nats}"
    return line + (f"; {share:.0%} of the reward that its KL can buy" if math.isfinite(share) else "")


def kept_line(kept: Mapping[str, Any], temperature: float, folder: Path) -> str:
    """One line on the files of a run, and how to get more of the kind. `temperature`: the run's own."""
    at, draws = "", str(round(kept["draws"] / kept["items"]))
    if kept["temperature"] > temperature:  # what these draws just reach, others may miss: twice as many will not
        at = f" at temperature {kept['temperature']:.3g}, as low as they reach"
        draws = f"{math.ceil(2 * kept['draws'] / kept['items'])} --reward-temperature {1.005 * kept['temperature']:.3g}"
    return (
        f"the {kept['items']} files in {folder}/samples are kept of {kept['draws']:,} samples of both models, worth "
        f"{kept['effective']:,.0f} of the optimum{at}: reward {kept['reward']:.4g} at {kept['kl']:z.2f} nats; "
        f"more: seqtutor generate {shlex.quote(f'{folder}/')} --draws {draws}"
    )


def side_by_side(title: str, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    """The figures of several sets of samples, one column each, and of real items. `rows`: the same Measure of each."""
    real = any(row[0].reference is not None for row in rows)
    table = new_table(title, *names, *(["real"] if real else []))
    for row in rows:
        cells = [figure(m.mean, m.halfwidth, m.percent) for m in row]
        table.add_row(row[0].name, *cells, *([figure(row[0].reference, None, row[0].percent)] if real else []))
    return table


def proof_table(proofs: Sequence[Proof]) -> Table:
    """What `seqtutor verify` found, one row an objective."""
    headings = ("loss at pi*", "beside", "grad J/c", "off, shipped", "KL to pi*, nats", "s")
    table = new_table(None, *headings, last="", whole=True)
    table.padding = (0, 1, 0, 0)  # so that it fits into 80 columns
    for proof in proofs:
        along = f"{proof.multiple:+.6f}" if proof.climbs else "-"
        kl = f"{proof.before:.2f} -> {proof.after:.4f}"
        at, beside = f"{proof.at_optimum:.0e}", f"{proof.beside:.0e}"
        says = "no claim" if not proof.exact else "proven" if proof.holds else "FAILED"
        table.add_row(proof.name, at, beside, along, f"{proof.shipped:.0%}", kl, f"{proof.seconds:.0f}", says)
    return table
