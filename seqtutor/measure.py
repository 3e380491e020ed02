"""A figure of a field with its interval, and what two of them say."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # a command's help must not wait for it
    from seqtutor.domain import Values

Better = Literal["higher", "lower", "zero", "neither"]  # zero: the nearer to it the better


@dataclass(frozen=True)
class Measure:
    """One figure of a field, kept per item so that the core can give its interval: sum(values) / sum(weights).

    `values`, `weights`: (N,) float64, one entry an item. A plain mean has weights of one; a share of events has the
    number of events as weights; items that a figure does not concern have weight 0. `percent` prints .012 as 1.2 %.
    `of_set`: the figure depends on how many items there are, as the share of different ones does.
    """

    name: str
    values: Values
    weights: Values
    better: Better = "neither"
    percent: bool = False
    summary: str = ""
    of_set: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError for what would make a figure that does not add up."""
        import numpy as np

        if self.better not in ("higher", "lower", "zero", "neither"):
            raise ValueError(
                f"better is {self.better!r} in Measure {self.name!r}; higher, lower, zero, neither are known"
            )
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


def verdict(better: str, before: tuple[float, float], after: tuple[float, float]) -> str:
    """What two figures (mean, half-width) say: 'better', 'worse', 'changed' (no better side), 'same', or 'unknown'.

    A change counts when the 95 % interval of the difference leaves zero out.

    >>> verdict("higher", (0.1, 0.02), (0.8, 0.02)), verdict("zero", (-0.5, 0.02), (-0.1, 0.02))
    ('better', 'better')
    """
    noise = math.hypot(before[1], after[1])
    old, new = (abs(before[0]), abs(after[0])) if better == "zero" else (before[0], after[0])
    if math.isnan(new - old) or math.isnan(noise):
        return "unknown"
    if abs(new - old) <= noise:
        return "same"
    if better == "neither":
        return "changed"
    return "better" if (new > old) == (better == "higher") else "worse"
