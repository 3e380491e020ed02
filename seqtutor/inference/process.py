"""A Gaussian process: what N measured items say of another one, and how far off that may be.

Rasmussen and Williams 2006, chapter 2 and section 5.4.1. An item is known by its figures, which have a spread of about
1 and are two blocks, those with a name and the directions of a hidden state, and by the runs of its tokens. Two are
alike by

    k(a, b) = (1 - noise) ((1 - runs) f(a, b) + runs s(a, b))
    f(a, b) = share exp(-|a - b|^2 / (2 F l^2)) over the F named + (1 - share) the same over the others

in units of the variance of the values; s is the share of their runs of tokens that both have (`spectrum`). The shares,
the length l and the noise are those under which the values are likeliest.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.spatial.distance import cdist

from seqtutor.arrays import Ids, Values
from seqtutor.inference.spectrum import alike

SHARES = (1.0, 0.75, 0.5, 0.25, 0.0)
LENGTHS = (0.35, 0.5, 0.7, 1.0, 1.5, 2.5)
RUNS = (0.25, 0.0, 0.5, 0.75, 1.0)  # the first is tried with all others
NOISES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9)
CHOSEN_BY = 400  # rows by which the numbers are chosen: they cost the cube of that
FOLDS = 5


class Kernel(NamedTuple):
    """What a kernel is made of: the share of the named block, the length, the noise, the part of the runs of tokens."""

    share: float
    length: float
    noise: float
    runs: float = 0.0


@dataclass(frozen=True)
class Rows:
    """What a process reads of N items."""

    figures: Values  # (N, F)
    named: int  # of the figures, the first ones
    spectra: Values  # (N, S); S is 0 where runs of tokens are not compared

    def __len__(self) -> int:
        return len(self.figures)

    def __getitem__(self, which: NDArray[Any]) -> Rows:
        """The items that `which`, indices or flags, names."""
        return Rows(self.figures[which], self.named, self.spectra[which])


class Apart(NamedTuple):
    """How far N items lie from M others: mean squared distance a figure in each block, 0 of none; and how alike."""

    named: Values  # (N, M)
    others: Values
    alike: Values


@dataclass(frozen=True)
class Process:
    """A fitted process."""

    rows: Rows
    numbers: Kernel
    mean: float
    sd: float  # of the values
    weights: Values  # (N,)
    factor: Values  # (N, N) lower triangular: of the covariance of the values

    def __call__(self, rows: Rows) -> tuple[Values, Values]:
        """Mean and standard deviation (M,) of what a value without noise would be."""
        near = kernel(self.numbers, compared(rows, self.rows))
        explained = np.square(solve_triangular(self.factor, near.T, lower=True)).sum(0)
        left = np.maximum(1 - self.numbers.noise - explained, 0.0)
        return self.mean + self.sd * (near @ self.weights), self.sd * np.sqrt(left)


def compared(one: Rows, other: Rows) -> Apart:
    """How far the items of `one` lie from those of `other`."""
    n = one.named
    blocks = ((one.figures[:, :n], other.figures[:, :n]), (one.figures[:, n:], other.figures[:, n:]))
    first, second = (cdist(a, b, "sqeuclidean") / max(1, a.shape[1]) for a, b in blocks)
    return Apart(first, second, alike(one.spectra, other.spectra))


def kernel(numbers: Kernel, apart: Apart) -> Values:
    """How much alike (N, M) items are that lie so far apart."""
    near = [np.exp(-part / (2 * numbers.length**2)) for part in apart[:2]]
    figures = numbers.share * near[0] + (1 - numbers.share) * near[1]
    return np.asarray((1 - numbers.noise) * ((1 - numbers.runs) * figures + numbers.runs * apart.alike))


def fit(rows: Rows, values: Values, numbers: Kernel | None = None) -> Process:
    """The process of N values; with its numbers chosen, unless they are given."""
    if numbers is None:
        some = np.arange(0, len(rows), math.ceil(len(rows) / CHOSEN_BY))
        numbers = likeliest(rows[some], values[some])
    mean, sd = float(values.mean()), float(values.std()) or 1.0
    covariance = kernel(numbers, compared(rows, rows)) + numbers.noise * np.eye(len(rows))
    factor = cho_factor(covariance, lower=True)
    weights = np.asarray(cho_solve(factor, (values - mean) / sd))
    return Process(rows, numbers, mean, sd, weights, np.tril(factor[0]))


def likeliest(rows: Rows, values: Values) -> Kernel:
    """The numbers under which `values` (N,) have the largest marginal likelihood (equation 5.8).

    Those of the figures first, with a part for the runs of tokens; then how large a part, and the noise that is left.
    """
    apart, named, width = compared(rows, rows), rows.named, rows.figures.shape[1]
    shares = SHARES if 0 < named < width else (1.0,) if named else (0.0,)
    runs = RUNS if rows.spectra.shape[1] else (0.0,)
    standard = (values - values.mean()) / (values.std() or 1.0)

    def likelihood(numbers: Kernel) -> float:
        factor = cho_factor(kernel(numbers, apart) + numbers.noise * np.eye(len(rows)), lower=True)
        fits = float(standard @ cho_solve(factor, standard))
        return -0.5 * fits - float(np.log(np.diag(factor[0])).sum())

    first = max(itertools.starmap(Kernel, itertools.product(shares, LENGTHS, NOISES, runs[:1])), key=likelihood)
    rest = itertools.product(NOISES, runs)
    return max((first._replace(noise=noise, runs=part) for noise, part in rest), key=likelihood)


def foreseen(rows: Rows, values: Values, groups: Ids) -> Values:
    """What the other folds foresee of each value (N,), where a group (N,) lies in one fold as a whole."""
    _, place = np.unique(groups, return_inverse=True)
    folds = np.random.default_rng(0).permutation(place.max() + 1)[place] % FOLDS
    found = np.zeros(len(values))
    for fold in np.unique(folds):
        held = folds == fold
        found[held] = fit(rows[~held], values[~held])(rows[held])[0]
    return found
