"""What `infer` shows and writes: a table in words, notes, a config."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tomli_w
from rich.table import Table
from scipy.special import logsumexp

from seqtutor.cli.console import new_table
from seqtutor.domain import Domain, RewardTerm
from seqtutor.inference import LOW, Inference, beyond, correlated
from seqtutor.inference.features import Base
from seqtutor.inference.shared import Shared
from seqtutor.rewards import figures

STRONG, CLEAR = 0.5, 0.2  # nats per standard deviation
FIGURES = "figures"  # what the term of the figures is called
NOTHING = 1e-12  # a weight that is 0 but for rounding


def table(found: Inference, against: str) -> Table:
    """One row a term, the strongest first."""
    title = f"{found.items:,} items against {against}; w in nats per sd"
    out = new_table(title, "mean, sd", "w, ± 95 %", "p", last="", whole=True)
    out.padding = (0, 1, 0, 0)  # so that it fits into 80 columns
    for k in np.argsort(-np.abs(found.mean)):
        says = words(float(found.mean[k]), bool(found.matters[k]))
        figure, p = _figure(found.mean, found.halfwidth, int(k)), _probability(found.p_values[k])
        out.add_row(found.names[k], f"{found.shift[k]:+.2f}", figure, p, says)
    return out


def _probability(p: float) -> str:
    return "< .001" if p < 0.001 else f"{p:.3f}".removeprefix("0")


def words(w: float, matters: bool) -> str:
    """What a weight says: which way, and how many times as likely a text is for one standard deviation more of it.

    >>> words(0.66, True), words(-0.1, True), words(0.3, False)
    ('much higher, x 1.9', 'a little lower, x 0.90', 'not shown')
    """
    if not matters:
        return "not shown"
    how = "much " if abs(w) >= STRONG else "" if abs(w) >= CLEAR else "a little "
    factor = math.exp(w)
    return f"{how}{'higher' if w > 0 else 'lower'}, x {factor:.{1 if factor >= 1 else 2}f}"


def columns(found: Mapping[str, Inference], shared: Shared, against: str) -> Table:
    """One column a set of examples, and what they share."""
    sets = [f"{name}\n({one.items:,})" for name, one in found.items()]
    title = f"against {against}; w in nats per sd, ± 95 % interval"
    out = new_table(title, *sets, "shared", "p they\ndiffer", last="", whole=True)
    out.padding = (0, 1, 0, 0)  # so that it fits into 80 columns
    for k in np.argsort(-np.abs(shared.mean)):
        name = shared.names[k]
        cells = [_figure(one.mean, one.halfwidth, one.names.index(name)) for one in found.values()]
        matters = bool(abs(shared.mean[k]) > shared.halfwidth[k])
        says = "they differ" if shared.p_differ[k] < 0.05 else words(float(shared.mean[k]), matters)
        p = _probability(shared.p_differ[k])
        out.add_row(name, *cells, _figure(shared.mean, shared.halfwidth, int(k)), p, says)
    return out


def _figure(mean: Any, halfwidth: Any, k: int) -> str:
    return f"{mean[k]:+.2f} ± {halfwidth[k]:.2f}"


def notes(found: Inference, *, listed: bool = False) -> Iterator[str]:
    """What has no weight and why; what cannot be told apart; how much the texts are worth.

    `listed`: somebody chose from a list, of which no more can be drawn.
    """
    if found.dropped:
        yield "no weight: " + "; ".join(f"{name} {reason}" for name, reason in found.dropped.items())
    for one, other, c in correlated(found):
        read = "their sum" if c < 0 else "their difference"
        yield f"{one} and {other} cannot be told apart well (correlation of w {c:+.2f}): trust {read}, not each"
    more = "a longer list" if listed else "more texts (-n), or examples nearer to the prior"
    few = f"; below {LOW:.0f} the intervals are rough: take {more}"
    yield (
        f"effective sample size {found.ess:,.0f} of {found.base:,}{few if found.ess < LOW else ''}; "
        f"these weights lead {found.kl:z.2f} nats away"
    )


Fitted = tuple[list[str], dict[str, Any], list[str]]  # lines of [weights], tables of terms, what to know of them


def of_figures(
    domain: Domain, shown: Inference | Shared, found: Inference, terms: Sequence[RewardTerm], base: Base
) -> Fitted:
    """The weights that pay what pulls the domain's figures to those of the examples, and no term.

    It pays as far as it was fitted, as a bounded term is: the whole ends where all but a few of the base's texts do.
    """
    scale = dict(zip(found.names, found.scale, strict=True))
    w = {name: float(mean / scale[name]) for name, mean in zip(shown.names, shown.mean, strict=True)}
    bounded = figures.table(w, dict(zip((term.name for term in terms), base.values.T, strict=True)))
    weights = {FIGURES: 1.0, **{term.name: 0.0 for term in domain.terms() if term.weight}}
    return [tomli_w.dumps(weights).strip()], {FIGURES: bounded}, []


def of_terms(
    domain: Domain, shown: Inference | Shared, found: Inference, terms: Sequence[RewardTerm], base: Base
) -> Fitted:
    """The weights of the domain's terms. At temperature 1 a weight is nats per unit of the raw term.

    Every term stands in it: those that are not shown keep their w, which is their best guess; the others have 0, but a
    term that tells items from what is none: its weight keeps the latter as rare as the prior writes it. A term that
    would pay for what nobody has seen is paid as far as it was fitted.
    """
    scale = dict(zip(found.names, found.scale, strict=True))
    w = dict(zip(shown.names, shown.mean, strict=True))
    sure = dict(zip(shown.names, shown.halfwidth, strict=True))
    weights = {term.name: float(w[term.name] / scale[term.name]) if term.name in w else 0.0 for term in terms}
    said = {name: f"{w[name]:+.2f} +- {sure[name]:.2f} nats per standard deviation" for name in w}
    tables, base = _bounded(weights, found, base)
    for name in tables:
        said[name] += f"; its transform pays for {'more' if weights[name] > 0 else 'less'} of it"
    guard, gap = _guard(np.array(list(weights.values())), base)
    warnings = [
        f"the config pays {' and '.join(tables)} as far as that was fitted: beyond, its weight would say what nobody "
        "has seen"
    ] * bool(tables)
    if guard is not None:
        weights[terms[guard[0]].name] = guard[1]
        said[terms[guard[0]].name] = "keeps what is no item as rare as the prior writes it"
    elif gap > math.log(2):
        warnings += [
            f"what is no item would earn {gap:.1f} nats more than items do; give it a cost by a term of your own"
        ]
    weights |= {term.name: 0.0 for term in domain.terms() if term.name not in weights and term.weight}
    lines = []
    for name, weight in weights.items():
        paid = float(f"{abs(weight) if name in tables else weight:.6g}") if abs(weight) > NOTHING else 0.0
        lines.append(f"{tomli_w.dumps({name: paid}).strip()}  # {said.get(name, 'not inferred')}")
    return lines, tables, warnings


def as_config(
    domain: Domain, options: Mapping[str, Any], prior: str, weights: Sequence[str], tables: Mapping[str, Any]
) -> str:
    """The config that pays so, as a file has it; `weights`: lines, each with a comment perhaps."""
    head = {"domain": domain.name, **({"prior": prior} if prior else {}), "temperature": 1.0}
    more = {**({"terms": tables} if tables else {}), **({"options": dict(options)} if options else {})}
    parts = [tomli_w.dumps(head), "\n".join(["[weights]", *weights]) + "\n", *([tomli_w.dumps(more)] if more else [])]
    return "\n".join(parts)


def _bounded(weights: Mapping[str, float], found: Inference, base: Base) -> tuple[dict[str, Any], Base]:
    """The transform of each term that is bounded, its direction in it; and the base as it is paid.

    What is no item gets the least that such a term can earn, as a run would have it.
    """
    names, values, invalid = list(weights), base.values.copy(), base.invalid.copy()
    at = [names.index(name) for name in found.names]
    w = np.array([weights[name] for name in found.names])
    tables = {}
    for k in np.flatnonzero(beyond(base.values[:, at], w, found.low, found.high)):
        low, high, sign = float(found.low[k]), float(found.high[k]), math.copysign(1.0, w[k])
        tables[found.names[k]] = {
            "transform": {"kind": "interpolation", "points": [[low, sign * low], [high, sign * high]]}
        }
        values[:, at[k]] = values[:, at[k]].clip(low, high)
        invalid[:, at[k]] = low if sign > 0 else high
    return tables, Base(values, invalid)


def _guard(weights: Any, base: Base) -> tuple[tuple[int, float] | None, float]:
    """(term, weight) that keeps the share of non-items, if a term tells them apart; and the nats that they gain."""
    if not len(base.invalid):
        return None, 0.0
    gap = _gain(weights, base.invalid) - _gain(weights, base.values)
    for k in range(len(weights)):
        inside, outside = np.unique(base.values[:, k]), np.unique(base.invalid[:, k])
        if len(inside) == len(outside) == 1 and inside[0] != outside[0] and not weights[k]:
            return (k, gap / float(inside[0] - outside[0])), gap
    return None, gap


def _gain(weights: Any, values: Any) -> float:
    """Log mean exp(w . Phi), nats: by how much a tilt makes such texts more frequent, before it is normalised."""
    return float(logsumexp(values @ weights) - math.log(len(values)))
