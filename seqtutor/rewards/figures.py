"""A reward of the domain's own figures: what pulls each of them to where real items have it.

A figure of N items is sum(values) / sum(weights), and real items have its reference. With an item's part in it

    f(x) = value(x) - reference * weight(x)

the figure of a set is the reference exactly where the mean of f is 0. Of all models whose figures are so, the nearest
to a prior p is p(x) exp(sum_k w_k f_k(x)) / Z, the maximum of entropy under these means: distributional constraints
(Khalifa, Elsahar and Dymetman, ICLR 2021). `seqtutor infer --figures` finds the w, in nats, and a table `[terms.NAME]
kind = "figures"` pays them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from seqtutor.arrays import Values
from seqtutor.config import HEAVIEST
from seqtutor.domain import Domain, Measure, SequenceTerm
from seqtutor.errors import UserError, unknown
from seqtutor.option import check_type

KIND = "figures"
ENDS = (0.005, 0.995)  # quantiles of what items are worth, beyond which no more is paid
INVALID = -5.0  # nats: what is no item has no part in a figure, and must not be worth more than what has


def parts(measures: Iterable[Measure]) -> dict[str, Values]:
    """The f of N items (N,), by the name of each figure that has a reference and does not hang on their number."""
    return {m.name: m.values - m.reference * m.weights for m in measures if m.reference is not None and not m.of_set}


def table(weights: Mapping[str, float], found: Mapping[str, Values]) -> dict[str, Any]:
    """The table of a config that pays `weights`, as far as all but a few of the items of which `found` are the f."""
    short = {name: float(f"{weight:.6g}") for name, weight in weights.items()}
    ends = [float(f"{end:.4g}") for end in np.nanquantile(_worth(short, found), ENDS)]
    return {"kind": KIND, "transform": {"kind": "interpolation", "points": [[end, end] for end in ends]}, **short}


def _worth(weights: Mapping[str, float], found: Mapping[str, Values]) -> Values:
    return np.asarray(sum(weight * found[name] for name, weight in weights.items()))


def single(domain: Domain) -> list[SequenceTerm]:
    """A term for each figure that can be paid."""

    @lru_cache(maxsize=1)  # all are asked of the same texts
    def remembered(texts: tuple[str, ...]) -> dict[str, Values]:
        return parts(domain.measure(list(texts)))

    def values(name: str) -> Callable[[Sequence[str]], Values]:
        return lambda texts: remembered(tuple(texts))[name]

    names = list(parts(domain.measure([])))
    return [SequenceTerm(name, 0.0, f"{name}, nearer to real ones", "", values(name), INVALID) for name in names]


def made(domain: Domain, name: str, weights: Mapping[str, Any]) -> SequenceTerm:
    """The term of a table: sum_k w_k f_k. Raises UserError for a name that is no such figure, or a wrong weight."""
    known = list(parts(domain.measure([])))
    for figure, weight in weights.items():
        if figure not in known:
            raise unknown(f"figure in [terms.{name}]", figure, known)
        check_type(f"'{figure}'", weight, float, f"[terms.{name}]")
        if not abs(weight) <= HEAVIEST:
            limits = f"between {-HEAVIEST:g} and {HEAVIEST:g}"
            raise UserError(f"'{figure}' in [terms.{name}] must lie {limits}, not {weight:g}")

    def values(texts: Sequence[str]) -> Values:
        return _worth(weights, parts(domain.measure(list(texts)))) + np.zeros(len(texts))

    said = "what pulls figures to those of real items"
    return SequenceTerm(name, 1.0, said, "", values, INVALID, of_figures=True)
