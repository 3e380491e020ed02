"""The tilt of a base that has the examples' means, by Newton's method; `seqtutor.inference` has the likelihood."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_expit, logsumexp, xlogy

from seqtutor.arrays import Values
from seqtutor.errors import UserError

STEPS = 100  # of Newton's method; five are usual
NEAR, DONE = 1e-9, 1e-20  # what is left to win: below the first a whole step is safe, below the second the last


@dataclass(frozen=True)
class Fit:
    """The maximum of l(w): weights (K,), the base's tilted weights q (M,), what l(w) is, and 1 - pi (M,) or 1."""

    weights: Values
    q: Values
    value: float
    left: Values | float = 1.0

    @property
    def ess(self) -> float:
        """How many base texts the tilted ones are worth."""
        return float(1 / (self.q**2).sum())

    def kl(self, base_weights: Values) -> float:
        """Nats from the base, of `base_weights` (M,), to the tilted one."""
        return float((xlogy(self.q, self.q) - xlogy(self.q, base_weights)).sum())

    def spread(self, base: Values) -> Values:
        """The covariance (K, K) of the `base` (M, K) under the tilted weights."""
        weights = self.q * self.left
        away = base - weights @ base / weights.sum()
        return np.asarray((away * weights[:, None]).T @ away)


def matched(mean: Values, base: Values, base_weights: Values, ridge: float = 0.0, share: float = 0.0) -> Fit:
    """Weights w with E_w base = `mean` - `ridge` w, by Newton's method with halved steps.

    `base` (M, K), `base_weights` (M,) summing to 1. `share` of the base that was chosen, none of it twice; 0: the base
    is a sample, of what there is no end of. Raises UserError where nothing holds w (only without a `ridge`).
    """
    here = _at(np.zeros(len(mean)), mean, base, base_weights, ridge, share)
    for _ in range(STEPS):
        gradient = mean - here.q @ base - ridge * here.weights
        hessian = here.spread(base) + ridge * np.eye(len(mean))
        step = np.linalg.lstsq(hessian, gradient, rcond=None)[0]
        gain = float(gradient @ step)  # twice what is left to win
        after = _at(here.weights + step, mean, base, base_weights, ridge, share)
        while gain > NEAR and after.value < here.value:
            step = step / 2
            after = _at(here.weights + step, mean, base, base_weights, ridge, share)
        here = after
        if gain < DONE:
            break
    if np.abs(gradient).max(initial=0.0) < 1e-6:
        return here
    raise UserError("no weights make the base like the examples: they lie outside of everything that it holds")


def tilted(weights: Values, base: Values, base_weights: Values) -> Fit:
    """The `base` (M, K), tilted by weights (K,) that are known."""
    return _at(weights, np.zeros(len(weights)), base, base_weights, 0.0, 0.0)


def _at(w: Values, mean: Values, base: Values, base_weights: Values, ridge: float, share: float) -> Fit:
    with np.errstate(divide="ignore"):
        logs = np.log(base_weights)
    log_odds = base @ w
    if not share:
        log_z = float(logsumexp(logs + log_odds))
        return Fit(w, np.exp(logs + log_odds - log_z), float(w @ mean - log_z - 0.5 * ridge * w @ w))
    ends = (math.log(share) - log_odds.max() - 1, -math.log(1 / share - 1) - log_odds.min() + 1)
    a = brentq(lambda a: logsumexp(logs + log_expit(a + log_odds)) - math.log(share), *ends)
    untaken = log_expit(-a - log_odds)
    log_z = -float(base_weights @ untaken) / share - a
    q = np.exp(logs + log_expit(a + log_odds)) / share
    return Fit(w, q, float(w @ mean - log_z - 0.5 * ridge * w @ w), np.exp(untaken))
