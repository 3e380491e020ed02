"""A figure of a field with its interval, and what two of them say."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

from seqtutor.arrays import Values

Better = Literal["higher", "lower", "near", "neither"]  # near: the nearer to the reference


@dataclass(frozen=True)
class Measure:
    """One figure of a field, kept per item so that the core can give its interval: sum(values) / sum(weights).

    `values`, `weights`: (N,) float64, one entry an item. A plain mean has weights of one; a share of events has the
    number of events as weights; items that a figure does not concern have weight 0. `percent` prints .012 as 1.2 %.
    `of_set`: the figure depends on how many items there are, as the share of different ones does.
    `reference`: what real items of the field have, shown beside; a figure that should be near is near to that.
    `reference_halfwidth`: half of its 95 % interval, where only some of the real items are known.
    """

    name: str
    values: Values
    weights: Values
    better: Better = "neither"
    percent: bool = False
    summary: str = ""
    of_set: bool = False
    reference: float | None = None
    reference_halfwidth: float | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for what would make a figure that does not add up."""
        import numpy as np

        if self.better not in get_args(Better):
            sides = ", ".join(get_args(Better))
            raise ValueError(f"better is {self.better!r} in Measure {self.name!r}; {sides} are known")
        if self.reference is not None and not math.isfinite(self.reference):
            raise ValueError(f"the reference of Measure {self.name!r} is {self.reference!r}, which is no figure")
        if self.reference_halfwidth is not None and not 0 <= self.reference_halfwidth < math.inf:
            raise ValueError(
                f"the reference_halfwidth of Measure {self.name!r} is {self.reference_halfwidth!r}; "
                "it is half of an interval, from 0"
            )
        if self.better == "near" and self.reference is None:
            raise ValueError(f"Measure {self.name!r} is better near its reference, and has none")
        for key in ("values", "weights"):
            try:
                array = np.asarray(getattr(self, key), np.float64)
            except (TypeError, ValueError):
                raise ValueError(f"the {key} of Measure {self.name!r} are no list of numbers") from None
            object.__setattr__(self, key, array)
            if array.ndim != 1 or not np.isfinite(array).all():
                raise ValueError(
                    f"the {key} of Measure {self.name!r} must be finite numbers in one row; an item that the figure "
                    "does not concern has value 0 and weight 0"
                )
        if len(self.values) != len(self.weights) or (self.weights < 0).any():
            raise ValueError(
                f"Measure {self.name!r} needs a weight of at least 0 for each of its {len(self.values)} values"
            )

    def with_items(self, other: Measure) -> Measure:
        """The figure of these items and of those of `other`, which is the same figure.

        What an item adds to a figure that sees its whole set, as to a share of the commonest, stays that of that set.
        """
        import numpy as np

        values, weights = (np.concatenate([getattr(m, key) for m in (self, other)]) for key in ("values", "weights"))
        return replace(self, values=values, weights=weights)

    def weighted(self, by: Values) -> Measure:
        """The figure of another law, of which the items (N,) are worth so much each."""
        return replace(self, values=self.values * by, weights=self.weights * by)

    @property
    def mean(self) -> float:
        """The figure; NaN where it concerns no item."""
        total = float(self.weights.sum())
        return float(self.values.sum()) / total if total > 0 else float("nan")

    @property
    def halfwidth(self) -> float:
        """Half the width of the 95 % interval: the delta method for a ratio of sums over independent items."""
        n, total = len(self.values), float(self.weights.sum())
        if n < 2 or total <= 0:
            return float("nan")
        residual = self.values - self.mean * self.weights
        if self.percent and not residual.any():  # all or none: the rule of three, where the delta method says 0
            return min(1.0, 3.0 * float((self.weights**2).sum()) / total**2)
        return 1.96 * math.sqrt(n / (n - 1) * float((residual**2).sum())) / total


def judged(better: str, mean: float, reference: float | None) -> float:
    """The figure that is compared: the mean itself, or how far it is from where it should be.

    >>> judged("lower", -0.5, None), round(judged("near", 0.5, 0.3), 3)
    (-0.5, 0.2)
    """
    return abs(mean - reference) if better == "near" and reference is not None else mean


def verdict(
    better: str, before: tuple[float, float], after: tuple[float, float], reference: float | None = None
) -> str:
    """What two figures (mean, half-width) say: 'better', 'worse', 'changed' (no better side), 'same', or 'unknown'.

    A change counts when the 95 % interval of the difference leaves zero out.

    >>> verdict("higher", (0.1, 0.02), (0.8, 0.02)), verdict("near", (0.1, 0.02), (0.8, 0.02), reference=0.3)
    ('better', 'worse')
    """
    noise = math.hypot(before[1], after[1])
    old, new = judged(better, before[0], reference), judged(better, after[0], reference)
    if math.isnan(new - old) or math.isnan(noise):
        return "unknown"
    if abs(new - old) <= noise:
        return "same"
    if better == "neither":
        return "changed"
    return "better" if (new > old) == (better == "higher") else "worse"
