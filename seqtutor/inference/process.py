"""A Gaussian process: what N measured items say of another one, and how far off that may be.

Rasmussen and Williams 2006, chapter 2 and section 5.4.1. Rows are figures with a spread of about 1, in two blocks:
those with a name and the directions of a hidden state. Two items are alike by

    k(a, b) = (1 - noise) (share exp(-|a - b|^2 / (2 F l^2)) over the F named + (1 - share) the same over the others)

in units of the variance of the values. Share, length l and noise are those under which the values are likeliest.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.spatial.distance import cdist

from seqtutor.arrays import Ids, Values

SHARES = (1.0, 0.75, 0.5, 0.25, 0.0)
LENGTHS = (0.35, 0.5, 0.7, 1.0, 1.5, 2.5)
NOISES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9)
CHOSEN_BY = 400  # rows by which the numbers are chosen: they cost the cube of that
FOLDS = 5


class Numbers(NamedTuple):
    """What a kernel is made of: the share of the named block, the length, the share of the variance that is noise."""

    share: float
    length: float
    noise: float


@dataclass(frozen=True)
class Process:
    """A fitted process over rows (N, F), of which the first `named` columns are one block."""

    rows: Values  # (N, F)
    named: int
    numbers: Numbers
    mean: float
    sd: float  # of the values
    weights: Values  # (N,)
    factor: Values  # (N, N) lower triangular: of the covariance of the values

    def __call__(self, rows: Values) -> tuple[Values, Values]:
        """Mean and standard deviation (M,) of what a value without noise would be, for rows (M, F)."""
        alike = kernel(self.numbers, distances(rows, self.rows, self.named))
        explained = np.square(solve_triangular(self.factor, alike.T, lower=True)).sum(0)
        left = np.maximum(1 - self.numbers.noise - explained, 0.0)
        return self.mean + self.sd * (alike @ self.weights), self.sd * np.sqrt(left)


def distances(one: Values, other: Values, named: int) -> tuple[Values, Values]:
    """Mean squared distance a figure (M, N) between two sets of rows: over the named, over the others; 0 of none."""
    blocks = ((one[:, :named], other[:, :named]), (one[:, named:], other[:, named:]))
    first, second = (cdist(a, b, "sqeuclidean") / max(1, a.shape[1]) for a, b in blocks)
    return first, second


def kernel(numbers: Numbers, apart: tuple[Values, Values]) -> Values:
    """How much alike (M, N) items are that lie so far apart."""
    near = [np.exp(-part / (2 * numbers.length**2)) for part in apart]
    both = numbers.share * near[0] + (1 - numbers.share) * near[1]
    return np.asarray((1 - numbers.noise) * both)


def fit(rows: Values, named: int, values: Values, numbers: Numbers | None = None) -> Process:
    """The process of N values; with its numbers chosen, unless they are given."""
    if numbers is None:
        some = np.arange(0, len(rows), math.ceil(len(rows) / CHOSEN_BY))
        numbers = likeliest(rows[some], named, values[some])
    mean, sd = float(values.mean()), float(values.std()) or 1.0
    covariance = kernel(numbers, distances(rows, rows, named)) + numbers.noise * np.eye(len(rows))
    factor = cho_factor(covariance, lower=True)
    weights = np.asarray(cho_solve(factor, (values - mean) / sd))
    return Process(rows, named, numbers, mean, sd, weights, np.tril(factor[0]))


def likeliest(rows: Values, named: int, values: Values) -> Numbers:
    """The numbers under which `values` (N,) have the largest marginal likelihood (equation 5.8)."""
    apart = distances(rows, rows, named)
    shares = SHARES if 0 < named < rows.shape[1] else (1.0,) if named else (0.0,)
    choices = itertools.starmap(Numbers, itertools.product(shares, LENGTHS, NOISES))
    standard = (values - values.mean()) / (values.std() or 1.0)

    def likelihood(numbers: Numbers) -> float:
        factor = cho_factor(kernel(numbers, apart) + numbers.noise * np.eye(len(rows)), lower=True)
        fits = float(standard @ cho_solve(factor, standard))
        return -0.5 * fits - float(np.log(np.diag(factor[0])).sum())

    return max(choices, key=likelihood)


def foreseen(rows: Values, named: int, values: Values, groups: Ids) -> Values:
    """What the other folds foresee of each value (N,), where a group (N,) lies in one fold as a whole."""
    _, place = np.unique(groups, return_inverse=True)
    folds = np.random.default_rng(0).permutation(place.max() + 1)[place] % FOLDS
    found = np.zeros(len(values))
    for fold in np.unique(folds):
        held = folds == fold
        found[held] = fit(rows[~held], named, values[~held])(rows[held])[0]
    return found
