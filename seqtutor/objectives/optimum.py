"""How far a policy is from the optimum pi* = p exp(R/c) / Z, told from samples; and samples brought nearer to it.

A sample x of a source q stands for w(x) = p(x) exp(R(x)/c) / q(x) of the optimum: the mean of w is Z, and averages
weighted by w are the optimum's own (importance sampling). The source is the policy, the prior, or both, as a mixture in
the share of samples that each wrote (the balance heuristic: Veach and Guibas, SIGGRAPH 1995): then no w is larger than
exp(R/c) over the prior's share, whatever the policy has unlearnt (a defensive mixture: Hesterberg, Technometrics 1995).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from seqtutor.arrays import Ids, Values

LEAST = 50.0  # effective samples below which nothing is said: a few weights would decide it
GENTLEST, STEP, POINTS = 0.02, 1.15, 100  # the frontier's 1/c: the first in units of 1/sd(R), its growth, the most
REACH = 30  # steps of that growth, 66-fold: at a larger temperature what is kept would be the prior's
NORMAL = 1.96  # standard errors in half a 95 % interval


class Estimate(NamedTuple):
    """A figure and half the width of its 95 % interval; NaN where it is unknown."""

    mean: float
    halfwidth: float


UNKNOWN = Estimate(math.nan, math.nan)


class Point(NamedTuple):
    """A place in the plane of mean reward against KL to the prior, nats a sequence."""

    kl: float
    reward: float


@dataclass(frozen=True)
class Written:
    """N sequences that one model wrote, (N,) float64 each: their R, and their log-probabilities in nats."""

    reward: Values
    logp: Values  # under the policy
    prior_logp: Values
    unscored: int = 0  # how many more it wrote, whose R nobody knows

    def __len__(self) -> int:
        return len(self.reward)

    def net(self, temperature: float) -> Values:
        """R/c - log(pi/p) of each, nats: the same number for every sequence where pi is pi*."""
        return np.asarray(self.reward / temperature - (self.logp - self.prior_logp))


@dataclass(frozen=True)
class Optimum:
    """What sequences of the policy and of the prior, either of which may be none, tell of pi* at a temperature."""

    policy: Written
    prior: Written
    temperature: float

    @property
    def log_weights(self) -> Values:
        """Log w of all sequences (N,), the policy's first."""
        reward, odds = self.pooled
        return np.asarray(reward / self.temperature + odds)

    @property
    def effective(self) -> float:
        """How many sequences of pi* these are worth."""
        return effective(self.log_weights)

    @property
    def known(self) -> bool:
        """Whether that is enough to say anything."""
        return self.effective >= LEAST

    @property
    def log_z(self) -> Estimate:
        """Log Z, nats."""
        return self._estimate(np.zeros(len(self.policy)))

    @property
    def gap(self) -> Estimate:
        """KL(pi || pi*) = log Z - E[net], nats a sequence: what the policy has left to gain, over c."""
        return self._estimate(-self.policy.net(self.temperature))

    def _estimate(self, own: Values) -> Estimate:
        """Log Z plus the mean of `own` over the policy's sequences; its error by the delta method, source by source."""
        logs, count = self.log_weights, len(self.policy)
        if not self.known:
            return UNKNOWN
        relative = np.exp(logs - log_mean(logs)) / len(logs)  # each one's share of Z
        parts = (relative[:count] + own / max(count, 1), relative[count:])
        variance = sum(len(part) * float(part.var(ddof=1)) for part in parts if len(part) > 1)
        return Estimate(log_mean(logs) + (float(own.mean()) if count else 0.0), NORMAL * math.sqrt(variance))

    def frontier(self) -> list[Point]:
        """The most reward that each KL can buy: pi* at ever smaller c, as far as the sequences can tell."""
        reward, odds = self.pooled
        points: list[Point] = []
        spread, sharpness = float(reward.std()) if len(reward) else 0.0, 0.0
        for _ in range(POINTS if spread else 0):
            logs = sharpness * reward + odds
            if effective(logs) < LEAST:
                break
            mean = float(np.average(reward, weights=np.exp(logs - logs.max())))
            points.append(Point(sharpness * mean - log_mean(logs), mean))
            sharpness = sharpness * STEP or GENTLEST / spread
        return points

    def share(self, at: Point) -> float:
        """How much of the reward that the frontier gains at its KL a policy `at` a point has; NaN where unknown."""
        points = self.frontier()
        if not points or at.kl > points[-1].kl:
            return math.nan
        start = points[0].reward
        best = float(np.interp(at.kl, [point.kl for point in points], [point.reward for point in points]))
        error = float(self.prior.reward.std()) / math.sqrt(len(self.prior)) if len(self.prior) else 0.0
        return (at.reward - start) / (best - start) if best - start > error else math.nan

    @property
    def pooled(self) -> tuple[Values, Values]:
        """R and log p/q of all sequences (N,), the policy's first, q being the mixture of their sources."""
        both = (self.policy, self.prior)
        reward, logp, prior_logp = (
            np.concatenate([getattr(part, name) for part in both]) for name in ("reward", "logp", "prior_logp")
        )
        drawn = [len(part) + part.unscored for part in both]  # scoring may fail at one model's sequences more often
        return reward, prior_logp - mixed(logp, prior_logp, drawn[0] / max(sum(drawn), 1))


def mixed(logp: Values, prior_logp: Values, share: float) -> Values:
    """Log q of sequences (N,) of which the policy wrote a `share` and the prior the others, of their log pi and log p.

    >>> mixed(np.log([0.5]), np.log([0.25]), 0.5).round(3) == np.log([0.375]).round(3)
    array([ True])
    """
    with np.errstate(divide="ignore"):  # a share of 0 or 1 leaves one source
        return np.asarray(np.logaddexp(np.log(share) + logp, np.log1p(-share) + prior_logp))


@dataclass(frozen=True)
class Tilt:
    """What N draws of a source q stand for: samples of pi*, each worth w = p exp(R/c) / (Z q) of it."""

    weights: Values  # (N,), with a mean of 1 over those whose R is known; 0 for the others
    kl: float  # KL(pi* || p), nats a sequence
    reward: float  # mean R of pi*
    effective: float  # how many sequences of pi* the draws are worth
    temperature: float  # c of that pi*

    @property
    def sentence(self) -> str:
        """One line on it."""
        return (
            f"{len(self.weights):,} draws are worth {self.effective:,.0f} of the optimum: "
            f"reward {self.reward:.4g} at {self.kl:z.2f} nats from the prior"
        )

    def keep(self, count: int, seed: int) -> Ids:
        """Which `count` draws are kept, each by its weight; none where the draws are worth fewer than that."""
        if self.effective < count:
            return np.zeros(0, np.int64)
        rows = np.flatnonzero(self.weights)
        return rows[resample(np.log(self.weights[rows]), count, np.random.default_rng(seed))]


def tilt(reward: Values, temperature: float, odds: Values | float = 0.0) -> Tilt:
    """What draws whose R is (N,), NaN where nobody knows it, tell of pi*. `odds`: log p/q of each, 0 for those of p."""
    logs = reward / temperature + odds
    known = np.isfinite(logs)
    weights = np.zeros(len(reward))
    if not known.any():
        return Tilt(weights, math.nan, math.nan, 0.0, temperature)
    log_z = log_mean(logs[known])
    weights[known] = np.exp(logs[known] - log_z)
    mean = float(np.average(reward[known], weights=weights[known]))
    return Tilt(weights, mean / temperature - log_z, mean, effective(logs[known]), temperature)


def within_reach(reward: Values, temperature: float, odds: Values, least: float) -> Tilt:
    """`tilt` at the next c above `temperature`, in steps of 15 %, at which the draws are worth `least` of pi*.

    Where there is none among REACH of them, at the last.
    """
    for step in range(1, REACH + 1):
        found = tilt(reward, temperature * STEP**step, odds)
        if found.effective >= least:
            break
    return found


def log_mean(logs: Values) -> float:
    """The logarithm of the mean of exp(logs).

    >>> round(log_mean(np.log([1.0, 2.0, 3.0])), 6) == round(math.log(2), 6)
    True
    """
    top = float(logs.max())
    return top + math.log(float(np.exp(logs - top).mean()))


def effective(logs: Values) -> float:
    """The effective number of samples (sum w)^2 / sum w^2, of log w (Kong 1992); 0 of none.

    >>> effective(np.zeros(10)), round(effective(np.log([1.0, 1.0, 1e-9])), 6)
    (10.0, 2.0)
    """
    if not len(logs):
        return 0.0
    weights = np.exp(logs - logs.max())
    return float(weights.sum() ** 2 / (weights**2).sum())


def best_of_n_kl(n: int) -> float:
    """The most that the best of n samples can be from their source, nats a sequence (Beirami et al., 2024)."""
    return math.log(n) - (n - 1) / n


def best_of(reward: Values) -> list[tuple[int, Point]]:
    """Best of n = 2, 4, 8, ... of these N rewards: n, its mean over all sets of n, at the most KL that it can have.

    Up to n = N / 16.
    """
    ranked, count = np.sort(reward), len(reward)
    found = []
    for n in (2**k for k in range(1, max(count // 16, 1).bit_length())):
        chance = np.zeros(count)  # that the i-th smallest is the largest of n drawn without replacement
        below = np.arange(n, count + 1)
        chance[n - 1 :] = n / count * np.cumprod(np.append((below[1:] - n) / (below[1:] - 1), 1.0)[::-1])[::-1]
        found.append((n, Point(best_of_n_kl(n), float(chance @ ranked))))
    return found


def resample(logs: Values, count: int, rng: np.random.Generator) -> Ids:
    """`count` different indices, each with a chance in proportion to its w but at most 1 (systematic sampling).

    As the samples grow many for each that is kept, what is kept has the law of pi* (sampling-importance resampling,
    Rubin 1988); no sample is kept twice. Raises ValueError where there are fewer samples than `count`.
    """
    if count > len(logs):
        raise ValueError(f"{count} of {len(logs)}")
    weights = np.maximum(np.exp(logs - logs.max()), 1e-300)  # so that the unlikeliest can still fill up
    sure = np.zeros(len(logs), dtype=bool)
    while True:  # what is certain to be kept leaves its part of the chance to the others
        left = count - int(sure.sum())
        chance = np.where(sure, 1.0, left * weights / weights[~sure].sum() if left else 0.0)
        if not (over := (chance > 1.0) & ~sure).any():
            break
        sure |= over
    order = rng.permutation(len(logs))
    places = np.floor(np.cumsum(chance[order]) + rng.random() - 1e-9)
    return np.asarray(order[np.diff(places, prepend=0.0) > 0][:count])
