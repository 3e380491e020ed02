"""Curves as numbers that a template can draw: every coordinate lies in the chart's own viewBox."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seqtutor.arrays import Values
from seqtutor.objectives.optimum import Estimate
from seqtutor.runs.metrics import known_mean
from seqtutor.runs.report.figures import number
from seqtutor.runs.report.reading import Summary

LEFT, RIGHT, TOP, BOTTOM = 48, 12, 12, 26  # margins around the plot
MOST_POINTS = 240  # more cannot be told apart on a page

SMALL, WIDE, LARGE = (340, 170), (520, 220), (700, 340)  # width, height

Size = tuple[int, int]
Tick = tuple[float, str]  # place, label


@dataclass(frozen=True)
class Scale:
    """From values to places: low -> start, high -> end."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The place of a value."""
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 1)

    def number(self, value: float) -> str:
        """A value as text, no finer than can be seen."""
        decimals = max(0, 2 - math.floor(math.log10(self.high - self.low)))
        return number(round(float(value), decimals) + 0.0, 4)

    def ticks(self, most: int = 4, least: float = 0.0) -> list[Tick]:
        """About `most` round values between low and high, no closer than `least`."""
        rough = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
        step = max(step, least)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [(self(i * step), number(i * step)) for i in range(first, last + 1)]


@dataclass(frozen=True)
class Mark:
    """A named point: the prior, best of n, the tuned model, what is kept."""

    kind: str  # "prior", "best", "policy" or "kept"; also its class in the style sheet
    label: str
    x: float
    y: float
    low: float  # ends of the 95 % interval
    high: float
    anchor: str  # where the label's text starts: "start" or "end"

    @property
    def label_x(self) -> float:
        """Beside the point, on the side the label runs to."""
        return self.x + (10 if self.anchor == "start" else -10)

    @property
    def label_y(self) -> float:
        """Below a label that runs to the right, above one that runs to the left: clear of a curve that rises."""
        return self.y + (19 if self.anchor == "start" else -11)


@dataclass(frozen=True)
class Chart:
    """One picture: a thin line of what was logged, a bold one of its running mean, levels and marks."""

    title: str
    description: str  # what a person who does not see it is told
    width: int
    height: int
    raw: str = ""  # path data
    smooth: str = ""
    levels: Sequence[tuple[float, str]] = ()  # place, class in the style sheet
    marks: Sequence[Mark] = ()
    x_ticks: Sequence[Tick] = ()
    y_ticks: Sequence[Tick] = ()
    points: str = "[]"  # JSON: [[x, y, text], ...] for the pointer
    bound: str = ""  # path data: the most that is possible
    dots: tuple[tuple[float, float, str], ...] = ()  # small points: x, y, label
    note: str = ""
    first: str = ""
    last: str = ""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not self.smooth and not self.marks


def curve(
    title: str, values: Values, updates: Values, levels: dict[str, float], note: str = "", size: Size = SMALL
) -> Chart:
    """A logged column over the updates. `levels`: class -> value, drawn across; NaN ones are left out."""
    x, y = _thin(updates, values)
    bold = running_mean(y)
    shown = {kind: level for kind, level in levels.items() if math.isfinite(level)}
    known = y[np.isfinite(y)]
    if not len(known):
        return Chart(title, f"{title}: nothing was logged", *size, note=note)
    across = _scale(x, LEFT, size[0] - RIGHT, pad=0.0)
    up = _scale(np.array([*known, *shown.values()]), size[1] - BOTTOM, TOP)
    ends = bold[np.isfinite(bold)]
    first, last = (up.number(end) for end in (ends[0], ends[-1]))
    return Chart(
        title,
        f"{title}: from {first} at update {number(x[0])} to {last} at update {number(x[-1])}",
        *size,
        raw=_path(x, y, across, up),
        smooth=_path(x, bold, across, up),
        levels=[(up(level), kind) for kind, level in shown.items()],
        x_ticks=across.ticks(size[0] // 80, least=1),
        y_ticks=up.ticks(),
        points=_points(x, y, across, up, [f"update {number(i)}: {number(v)}" for i, v in zip(x, y, strict=True)]),
        note=note,
        first=first,
        last=last,
    )


def frontier(metrics: dict[str, Values], summary: Summary | None) -> Chart:
    """Reward against KL along the updates, with the prior, the tuned model, best of n, and what is kept.

    Where the run knows it, with the frontier of pi* and best of more and of fewer.
    """
    updates, kl = _thin(metrics["update"], metrics["kl"]) if metrics else (np.zeros(0), np.zeros(0))
    reward = _thin(metrics["update"], metrics["reward"])[1] if metrics else np.zeros(0)
    x, y = running_mean(kl), running_mean(reward)
    places = _places(summary) if summary else []
    known = np.isfinite(x) & np.isfinite(y)
    best, dots = _bound(summary)
    xs = [*x[known], *(place[2] for place in places), *best[:, 0], *(dot[1] for dot in dots), 0.0]
    ys = [*y[known], *(v for _, _, _, value in places for v in _span(value)), *best[:, 1], *(dot[2] for dot in dots)]
    title = "Reward against KL"
    told = [f"{label}: reward {number(value.mean)} at {number(nats)} nats" for _, label, nats, value in places]
    if not ys:
        return Chart(title, f"{title}: nothing was logged", *LARGE)
    across, up = _scale(np.array(xs), LEFT, LARGE[0] - RIGHT, pad=0.03), _scale(np.array(ys), LARGE[1] - BOTTOM, TOP)
    marks = [_mark(place, across, up) for place in places]
    labels = [
        f"update {number(i)}: reward {number(r)} at {number(k)} nats" for i, k, r in zip(updates, x, y, strict=True)
    ]
    return Chart(
        title,
        ". ".join([title, *told]),
        *LARGE,
        smooth=_path(x, y, across, up),
        marks=marks,
        x_ticks=across.ticks(6),
        y_ticks=up.ticks(),
        points=_points(x, y, across, up, labels),
        bound=_path(best[:, 0], best[:, 1], across, up),
        dots=tuple((across(kl), up(reward), str(n)) for n, kl, reward in dots),
    )


def _bound(summary: Summary | None) -> tuple[Values, tuple[tuple[int, float, float], ...]]:
    """The frontier (points, 2) as KL and reward, and the best of each n but the one that has a name."""
    if summary is None or summary.optimum is None:
        return np.zeros((0, 2)), ()
    dots = tuple(dot for dot in summary.optimum.best_of if dot[0] != summary.best_of)
    return np.array(summary.optimum.frontier, dtype=np.float64).reshape(-1, 2), dots


def running_mean(values: Values) -> Values:
    """The mean over a tenth of the curve around each point; NaN counts for nothing and stays.

    It starts where the curve starts, which is the prior, and ends in the mean of the last stretch, which is less noisy.
    """
    place, known = np.arange(len(values)), np.isfinite(values)
    reach = place.clip(max=_reach(len(values)))
    end = np.minimum(place + reach + 1, len(values))
    upto = np.cumsum(np.pad([np.where(known, values, 0.0), known], ((0, 0), (1, 0))), axis=1)
    total, count = upto[:, end] - upto[:, place - reach]
    return np.where(known, total / np.maximum(count, 1), np.nan)


def window(updates: int) -> int:
    """How many updates a point of the running mean stands for."""
    size = _thinned(updates)
    return size * (2 * _reach(math.ceil(updates / size)) + 1)


def _reach(points: int) -> int:
    return points // 20


def _thinned(updates: int) -> int:
    """How many updates share a point."""
    return max(1, math.ceil(updates / MOST_POINTS))


def _thin(updates: Values, values: Values) -> tuple[Values, Values]:
    """At most MOST_POINTS points, each the mean of its neighbours."""
    size = _thinned(len(values))
    starts = range(0, len(values), size)
    return updates[::size], np.array([known_mean(values[i : i + size]) for i in starts])


def _scale(values: Values, start: float, end: float, pad: float = 0.06) -> Scale:
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-9 * max(abs(low), abs(high), 1.0):  # a flat line stands in the middle
        low, high = low - 0.5 * (abs(low) or 1.0), high + 0.5 * (abs(high) or 1.0)
    return Scale(low - pad * (high - low), high + pad * (high - low), start, end)


def _path(x: Values, y: Values, across: Scale, up: Scale) -> str:
    """Path data, broken where a value is missing; a value that stands alone is a dot."""
    parts, pen = [], "M"
    for one, other in zip(x, y, strict=True):
        if math.isfinite(one) and math.isfinite(other):
            parts.append(f"{pen}{across(one):g} {up(other):g}{'h0' if pen == 'M' else ''}")
            pen = "L"
        else:
            pen = "M"
    return "".join(parts)


def _points(x: Values, y: Values, across: Scale, up: Scale, labels: list[str]) -> str:
    known = np.isfinite(x) & np.isfinite(y)
    return json.dumps([[across(x[i]), up(y[i]), labels[i]] for i in np.flatnonzero(known)], separators=(",", ":"))


def _places(summary: Summary) -> list[tuple[str, str, float, Estimate]]:
    """Kind, label, KL and reward of what a run compares; those with no figures are left out."""
    reward, kept = summary.reward, summary.kept
    places = [
        ("prior", "prior", 0.0, reward.prior),
        ("best", f"best of {summary.best_of} from the prior", summary.best_of_kl, reward.best_of_n),
        ("policy", "tuned model", summary.kl_sequence, reward.policy),
        ("kept", "kept", kept.kl if kept else math.nan, reward.kept),
    ]
    return [p for p in places if math.isfinite(p[2]) and math.isfinite(p[3].mean)]


def _span(value: Estimate) -> tuple[float, float]:
    half = value.halfwidth if math.isfinite(value.halfwidth) else 0.0
    return value.mean - half, value.mean + half


def _mark(place: tuple[str, str, float, Estimate], across: Scale, up: Scale) -> Mark:
    kind, label, kl, reward = place
    low, high = _span(reward)
    x = across(kl)
    anchor = "start" if x < (across.start + across.end) / 2 else "end"
    return Mark(kind, label, x, up(reward.mean), up(low), up(high), anchor)
