"""From a raw value to a score, in plain words. Each says which direction is better."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from seqtutor.arrays import Values
from seqtutor.errors import UserError, unknown

NINE_TO_ONE = 2 * math.log(9)  # logit(.9) - logit(.1)


def sigmoid(x: Values, low: float, high: float) -> Values:
    """Rises from 0 to 1: .1 at `low`, .5 halfway, .9 at `high`.

    >>> sigmoid(np.array([2.0, 3.0, 4.0]), 2, 4).round(2).tolist()
    [0.1, 0.5, 0.9]
    """
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * NINE_TO_ONE * (x - 0.5 * (low + high)) / (high - low)))


def reverse_sigmoid(x: Values, low: float, high: float) -> Values:
    """Falls from 1 to 0: .9 at `low`, .1 at `high`."""
    return 1.0 - sigmoid(x, low, high)


def double_sigmoid(x: Values, low: float, high: float, softness: float = math.nan) -> Values:
    """Near 1 between `low` and `high`, .5 at each, 0 far outside; `softness` (a tenth of the width) is each flank's.

    >>> double_sigmoid(np.array([0.0, 1.0, 2.0, 3.0, 4.0]), 1, 3).round(2).tolist()
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    flank = 0.5 * (softness if softness > 0 else (high - low) / 10)
    return np.minimum(sigmoid(x, low - flank, low + flank), reverse_sigmoid(x, high - flank, high + flank))


def step(x: Values, low: float = -math.inf, high: float = math.inf) -> Values:
    """1 from `low` to `high`, both included, 0 elsewhere."""
    return ((x >= low) & (x <= high)).astype(np.float64)


def interpolation(x: Values, points: list[list[float]]) -> Values:
    """Straight lines between `points` (raw, score), flat before the first and behind the last.

    >>> interpolation(np.array([-1.0, 0.5, 9.0]), [[0, 0], [1, 1], [2, 0.4]]).tolist()
    [0.0, 0.5, 0.4]
    """
    xs, ys = zip(*points, strict=True)
    return np.asarray(np.interp(x, xs, ys), np.float64)


def minus(x: Values) -> Values:
    """The raw value with its sign turned, for a term of which less is better."""
    return -x


@dataclass(frozen=True)
class Kind:
    """One transform: its function, its keys, and the sentence that says which direction is better."""

    function: Callable[..., Values]
    required: tuple[str, ...]
    optional: tuple[str, ...]
    better: str  # "higher", "lower", or "" where neither is
    sentence: str


KINDS: Mapping[str, Kind] = {
    "sigmoid": Kind(sigmoid, ("low", "high"), (), "higher", "higher is better: 0.1 at {low:g}, 0.9 at {high:g}"),
    "reverse_sigmoid": Kind(
        reverse_sigmoid, ("low", "high"), (), "lower", "lower is better: 0.9 at {low:g}, 0.1 at {high:g}"
    ),
    "double_sigmoid": Kind(
        double_sigmoid, ("low", "high"), ("softness",), "", "between {low:g} and {high:g} is better: 0.5 at each end"
    ),
    "step": Kind(step, (), ("low", "high"), "", "1 from {low:g} to {high:g}, 0 elsewhere"),
    "interpolation": Kind(interpolation, ("points",), (), "", "straight lines between {points}"),
}


ALL = {**KINDS, "minus": Kind(minus, (), (), "lower", "lower is better: the score is minus the value")}  # not by name


@dataclass(frozen=True)
class Transform:
    """A transform with its numbers: values (B,) -> scores (B,), higher is better."""

    kind: str
    numbers: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, values: Values) -> Values:
        """The score of each raw value; NaN stays NaN."""
        scores: Values = ALL[self.kind].function(values, **self.numbers)
        return np.where(np.isfinite(values), scores, np.nan)

    @property
    def worst(self) -> float:
        """The lowest score there is; minus infinity where there is none."""
        if self.kind == "minus":
            return -math.inf
        return min(score for _, score in self.numbers["points"]) if self.kind == "interpolation" else 0.0

    @property
    def better(self) -> str:
        """'higher', 'lower', or '' where neither is.

        >>> Transform("step", {"low": 6.0}).better, Transform("interpolation", {"points": [[1, 1], [2, 0.5]]}).better
        ('higher', 'lower')
        """
        if self.kind == "step" and len(self.numbers) == 1:
            return "higher" if "low" in self.numbers else "lower"
        if self.kind == "interpolation":
            scores = [score for _, score in self.numbers["points"]]
            sides = {b > a for a, b in pairwise(scores) if a != b}
            return ("higher" if sides.pop() else "lower") if len(sides) == 1 else ""
        return ALL[self.kind].better

    @property
    def sentence(self) -> str:
        """Which direction is better, in words."""
        if self.kind == "step" and len(self.numbers) == 1:
            (limit,) = self.numbers.values()
            return f"1 from {limit:g} on, 0 below" if "low" in self.numbers else f"1 up to {limit:g}, 0 above"
        return ALL[self.kind].sentence.format(**self.numbers)


def transform_of(name: str, table: Mapping[str, Any]) -> Transform:
    """The transform of term `name` from its table, {kind = "sigmoid", low = 2, high = 5}. Raises UserError."""
    where = f"the transform of term '{name}'"
    if not isinstance(table, Mapping):
        raise UserError(f'{where} must be a table such as {{kind = "sigmoid", low = 2, high = 5}}, not {table!r}')
    given = {key: value for key, value in table.items() if key != "kind"}
    if "kind" not in table:
        raise UserError(f'{where} needs a kind, such as kind = "sigmoid"; it has {", ".join(table) or "nothing"}')
    named = str(table["kind"])
    if named not in KINDS:
        raise unknown(f"kind of {where}", named, KINDS)
    kind = KINDS[named]
    for key in given:
        if key not in kind.required + kind.optional:
            raise unknown(f"key in {where} ({named})", key, kind.required + kind.optional)
    missing = [key for key in kind.required if key not in given]
    if missing or not given:
        raise UserError(f"{where} ({named}) needs {' and '.join(missing) or ' or '.join(kind.optional)}")
    if "points" in given:
        return Transform(named, {"points": _points(where, given["points"])})
    numbers = {key: _number(where, key, value) for key, value in given.items()}
    width = numbers.get("high", math.inf) - numbers.get("low", -math.inf)
    if width < 0 or (width == 0 and named != "step"):  # a step may let one value pass
        raise UserError(f"{where} needs low below high, not {numbers['low']:g} and {numbers['high']:g}")
    if "softness" in numbers and not 0 < numbers["softness"] <= width:
        raise UserError(
            f"{where} needs a softness above 0 and at most its width, {width:g}, not {numbers['softness']:g}"
        )
    return Transform(named, numbers)


def _number(where: str, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"{key} in {where} must be a number, not {value!r}")
    return float(value)


def _points(where: str, points: Any) -> list[list[float]]:
    pairs = isinstance(points, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in points)
    if not pairs or len(points) < 2:
        raise UserError(f"points in {where} must be two or more pairs [raw, score], not {points!r}")
    numbers = [[_number(where, "points", x), _number(where, "points", y)] for x, y in points]
    if any(a[0] >= b[0] for a, b in pairwise(numbers)):
        raise UserError(f"points in {where} must have rising raw values, not {points!r}")
    return numbers
