"""How single items changed: small histograms, and a sentence for every figure that moved unasked."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from seqtutor.runs.report import figures
from seqtutor.runs.report.charts import Scale, Tick
from seqtutor.runs.report.reading import Distribution, Figure, Summary

WIDTH, HEIGHT, FLOOR, SIDE = 240, 110, 88, 6  # of a histogram: its box, where its bars stand, the margins beside them


@dataclass(frozen=True)
class Histogram:
    """One figure of single items: path data of each group."""

    title: str
    range: str  # the means before and after
    description: str
    real: str
    prior: str
    policy: str
    x_ticks: list[Tick]
    width: int = WIDTH
    height: int = HEIGHT


def histograms(summary: Summary) -> dict[str, object]:
    """`first`: of the reward, its terms and what should be near real items; `more`: of the others."""
    first: list[Histogram] = []
    more: list[Histogram] = []
    measures = {figure.name: figure.of_policy for figure in summary.measures}
    terms = {figure.name: figure.of_policy for figure in (summary.reward, *summary.terms)}
    for one in summary.spread:
        figure = (terms if one.of_term else measures).get(one.name)
        if figure and _drawable(one):
            if one.of_term or figure.better == "near":
                first.append(_histogram(one, figure))
            elif len(one.shares["prior"]) > 2:  # of yes and no, the table says all
                more.append(_histogram(one, figure))
    return {"first": first, "more": more, "real": any("real" in one.shares for one in summary.spread)}


def _drawable(one: Distribution) -> bool:
    counts = {len(shares) for shares in one.shares.values()}
    known = all(math.isfinite(share) for shares in one.shares.values() for share in shares)
    whole = {"prior", "policy"} <= set(one.shares) and len(counts) == 1 and 0 not in counts
    return whole and known and math.isfinite(one.low) and one.width > 0


def _histogram(one: Distribution, figure: Figure) -> Histogram:
    bins = len(one.shares["prior"])
    across = Scale(one.low, one.low + bins * one.width, SIDE, WIDTH - SIDE)
    up = Scale(0.0, max(max(shares) for shares in one.shares.values()) or 1.0, FLOOR, SIDE)
    edges = [across(one.low + i * one.width) for i in range(bins + 1)]
    paths = {group: _steps([up(share) for share in shares], edges) for group, shares in one.shares.items()}
    if one.of_term and one.means:  # of items, as is what is drawn; the table's are of all that was written
        prior, policy = (getattr(figure, key)._replace(mean=one.means[key]) for key in ("prior", "policy"))
        figure = replace(figure, prior=prior, policy=policy)
    before, after = figures.before_after(figure)
    return Histogram(
        title=one.name,
        range=f"{before} → {after}",
        description=f"{one.name}: how single items are spread; the mean goes from {before} to {after}",
        real=paths.get("real", ""),
        prior=paths["prior"],
        policy=paths["policy"],
        x_ticks=[(across(0), "no"), (across(1), "yes")] if figure.percent and bins == 2 else across.ticks(),
    )


def _steps(heights: Sequence[float], edges: Sequence[float]) -> str:
    """The outline of bars, from the floor to the floor."""
    steps = "".join(f"V{height:g}H{edge:g}" for height, edge in zip(heights, edges[1:], strict=True))
    return f"M{edges[0]:g} {FLOOR}{steps}V{FLOOR}"


def drifts(summary: Summary) -> list[tuple[str, str]]:
    """Each measure that moved in the policy's samples, unasked, the largest change first: its name, and how."""
    unasked = ("near", "worse"), ("neither", "changed")
    own = [figure.of_policy for figure in summary.measures]
    moved = [figure for figure in own if (figure.better, figures.verdict(figure)) in unasked]
    pulls = {one.name: one.pull for one in summary.spread if not one.of_term}
    return [(f.name, _sentence(f, pulls.get(f.name))) for f in sorted(moved, key=figures.effect, reverse=True)]


def holding(summary: Summary, config: Path) -> str:
    """The command that finds what holds the figures that went further from real items; empty where none did.

    Of what is kept, where that is known: what only the policy has moved, the reward does not ask for.
    """
    lost = [figure.name for figure in summary.measures if (figure.better, figures.verdict(figure)) == ("near", "worse")]
    held = [word for name in lost for word in ("--hold", name)]
    words = ["seqtutor", "calibrate", str(config), "--draws", "20000", *held, "--output", "held.toml"]
    return shlex.join(words) if lost else ""


def _sentence(figure: Figure, pull: tuple[str, float] | None) -> str:
    before, after = figures.before_after(figure)
    change = figure.policy.mean - figure.prior.mean
    real, _ = figures.real(figure)
    away = f", away from the {real} of real items" if real else ""
    why = "no single term pays for that in the prior’s own samples"
    if pull and pull[1] * change > 0:
        why = f"{pull[0]} pays for that already in the prior’s own samples (correlation {figures.number(pull[1], 2)})"
    return f"{'rose' if change > 0 else 'fell'} from {before} to {after}{away}: {why}."
