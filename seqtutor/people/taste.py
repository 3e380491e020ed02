"""A person's taste: Bayesian Bradley-Terry, u(x) = w . figures(x), with that person's bias and carelessness.

    P(a preferred) = (1 - eps) sigmoid(u(a) - u(b) + bias) + eps / 2
    P(both bad)    = sigmoid(t - u(a)) sigmoid(t - u(b))

"The same" is half a vote each way. Both bad is two items below the threshold t of that rater; it is asked of every vote
of a rater who has said it once. bias, eps and t are each rater's own. By each belief all unknowns have Gaussian priors
(eps through its logit), so that elliptical slice sampling (Murray, Adams and MacKay 2010) draws from the posterior
without tuning; it moves round the Laplace approximation (Fagan, Bhandari and Cunningham 2016): the chain is short.

How wide the weights' priors are is itself unknown: there are several beliefs, equally likely before any vote, and the
draws are shared among them by their evidence (Laplace's approximation of the probability of all votes).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import entr, expit

from seqtutor.arrays import Flags, Ids, Values
from seqtutor.people.votes import Vote

MEMBERS = 100  # draws that serve as an ensemble
BURN, THIN = 20, 2  # draws that are thrown away at first, and steps from one kept draw to the next
WIDER = 1.3  # how much wider than the Laplace approximation the ellipses are: the posterior's tails must be reached
TINY = np.finfo(float).tiny
RANKED = 200  # items whose ranks are compared
CHOICE = {"a": 1.0, "b": 0.0, "same": 0.5}
BIAS, CARELESS, THRESHOLD = (0.0, 0.5), (-3.0, 1.5), (-2.0, 1.5)  # prior mean and sd of a rater's own numbers


@dataclass(frozen=True)
class Evidence:
    """N votes as arrays: F figures of either side, who voted, and what was answered."""

    first: Values  # (N, F)
    second: Values  # (N, F)
    rater: Ids  # (N,)
    choice: Values  # (N,) 1: the first, 0: the second, .5: the same; of no meaning where `bad`
    bad: Flags  # (N,)
    beliefs: Values  # (S, F) prior standard deviation of each weight, by each of S beliefs

    @cached_property
    def raters(self) -> int:
        """How many there are, at least one."""
        return int(self.rater.max(initial=0)) + 1

    @cached_property
    def judging(self) -> Flags:
        """(N,): the vote's rater has said "both bad" at least once, so that saying it or not tells something."""
        sayers = np.isin(np.arange(self.raters), self.rater[self.bad])
        return np.asarray(sayers[self.rater])

    @cached_property
    def difference(self) -> Values:
        """(N, F)."""
        return self.first - self.second

    @property
    def width(self) -> int:
        """F, the number of figures."""
        return len(self.first.T)

    def prior(self, belief: int) -> tuple[Values, Values]:
        """Mean and standard deviation of all unknowns: weights (F,), then bias, logit of eps, threshold (R,) each."""
        own = np.repeat(np.array([BIAS, CARELESS, THRESHOLD]), self.raters, axis=0)
        return np.concatenate([np.zeros(self.width), own[:, 0]]), np.concatenate([self.beliefs[belief], own[:, 1]])

    def parts(self, unknowns: Values) -> tuple[Values, Values, Values, Values]:
        """Of all unknowns (..., U): weights (..., F), bias (..., R), eps (..., R), threshold (..., R)."""
        weights, own = unknowns[..., : self.width], unknowns[..., self.width :]
        bias, careless, threshold = np.split(own, 3, axis=-1)
        return weights, bias, expit(careless), threshold

    def select(self, rows: Ids) -> Evidence:
        """Those votes alone."""
        sides = self.first[rows], self.second[rows]
        return Evidence(*sides, self.rater[rows], self.choice[rows], self.bad[rows], self.beliefs)


def evidence(votes: Sequence[Vote], first: Values, second: Values, beliefs: Values) -> Evidence:
    """Votes with the figures (N, F) of what was compared, and what is believed of their weights (S, F)."""
    names = list(dict.fromkeys(vote.rater for vote in votes))
    rater: Ids = np.array([names.index(vote.rater) for vote in votes], np.int64)
    choice = np.array([CHOICE.get(vote.answer, 0.5) for vote in votes], np.float64)
    return Evidence(first, second, rater, choice, np.array([vote.answer == "bad" for vote in votes], bool), beliefs)


def log_likelihood(data: Evidence, unknowns: Values) -> float:
    """Log-probability, nats, of all votes."""
    return _answers(data, unknowns).value


@dataclass(frozen=True)
class _Answers:
    """What the unknowns say of each of N votes, and the log-probability of all."""

    value: float
    s: Values  # (N,) P(the first is preferred) by its utility and the bias
    p: Values  # and with carelessness
    q: Values  # P(the second is preferred)
    care: Values  # 1 - eps
    below_a: Values  # P(the first is bad)
    below_b: Values
    both: Values


def _answers(data: Evidence, unknowns: Values) -> _Answers:
    weights, bias, eps, threshold = data.parts(unknowns)
    r, care = data.rater, 1 - eps[data.rater]
    s = expit(data.difference @ weights + bias[r])
    p, q = care * s + (1 - care) / 2, care * (1 - s) + (1 - care) / 2
    value = np.where(~data.bad, data.choice * np.log(p + TINY) + (1 - data.choice) * np.log(q + TINY), 0.0).sum()
    below_a, below_b = expit(threshold[r] - data.first @ weights), expit(threshold[r] - data.second @ weights)
    both = below_a * below_b
    value += np.where(data.judging, np.where(data.bad, np.log(both + TINY), np.log(1 - both + TINY)), 0.0).sum()
    return _Answers(float(value), s, p, q, care, below_a, below_b, both)


def _likelihood(data: Evidence, unknowns: Values) -> tuple[float, Values]:
    """The log-likelihood and its gradient."""
    told, compared = _answers(data, unknowns), ~data.bad
    s, p, q, care, both = told.s, told.p, told.q, told.care, told.both
    pull = np.where(compared, data.choice / (p + TINY) - (1 - data.choice) / (q + TINY), 0.0)
    by_d = pull * care * s * (1 - s)
    by_eps = pull * (0.5 - s) * care * (1 - care)
    factor = np.where(data.judging, np.where(data.bad, 1.0, -both / (1 - both + TINY)), 0.0)
    by_a, by_b = -factor * (1 - told.below_a), -factor * (1 - told.below_b)
    gradient = data.difference.T @ by_d + data.first.T @ by_a + data.second.T @ by_b
    own = [np.bincount(data.rater, by, minlength=data.raters) for by in (by_d, by_eps, -by_a - by_b)]
    return told.value, np.concatenate([gradient, *own])


def _information(data: Evidence, unknowns: Values) -> Values:
    """What the votes are expected to tell of all unknowns (U, U), Fisher's information, but for carelessness."""
    told = _answers(data, unknowns)
    s, both, whose = told.s, told.both, np.eye(data.raters)[data.rater]
    none = np.zeros_like(whose)
    choosing = np.hstack([data.difference, whose, none, none])
    chosen = np.where(~data.bad, (told.care * s * (1 - s)) ** 2 / (told.p * told.q + TINY), 0.0)
    a, b = 1 - told.below_a[:, None], 1 - told.below_b[:, None]
    judging = np.hstack([-a * data.first - b * data.second, none, none, (a + b) * whose])
    judged = np.where(data.judging, both / (1 - both + TINY), 0.0)
    return np.asarray(choosing.T @ (choosing * chosen[:, None]) + judging.T @ (judging * judged[:, None]))


@dataclass(frozen=True)
class Mode:
    """The Gaussian that lies at the mode of the posterior, by one belief."""

    at: Values  # (U,) all unknowns there
    covariance: Values  # (U, U)
    evidence: float  # log-probability, nats, of all votes, but for a constant that every belief shares


def most_likely(data: Evidence, belief: int = 0) -> Mode:
    """The mode of the posterior by one belief, the inverse of its approximate curvature, and the belief's evidence."""
    from scipy.optimize import minimize

    mean, sd = data.prior(belief)

    def loss(z: Values) -> tuple[float, Values]:  # in prior standard deviations: all directions are alike at first
        value, gradient = _likelihood(data, mean + sd * z)
        return 0.5 * float(z @ z) - value, z - sd * gradient

    found = minimize(loss, np.zeros(len(mean)), jac=True, method="L-BFGS-B")
    mode: Values = np.asarray(mean + sd * found.x, np.float64)
    precision = np.diag(sd**-2.0) + _information(data, mode)
    spread = 0.5 * np.linalg.slogdet(precision)[1] + np.log(sd).sum()
    return Mode(mode, np.asarray(np.linalg.inv(precision), np.float64), float(-found.fun - spread))


def by_belief(data: Evidence) -> tuple[list[Mode], Values]:
    """The mode by each belief, and how likely (S,) each belief is after the votes."""
    modes = [most_likely(data, belief) for belief in range(len(data.beliefs))]
    found = np.array([mode.evidence for mode in modes])
    shares = np.exp(found - found.max())
    return modes, np.asarray(shares / shares.sum())


def expected(data: Evidence) -> Values:
    """About the posterior mean of the weights (F,): the mean of the modes, without a draw."""
    modes, shares = by_belief(data)
    return np.asarray(sum(share * mode.at for mode, share in zip(modes, shares, strict=True)))[: data.width]


def draw(data: Evidence, count: int, rng: np.random.Generator) -> Values:
    """`count` draws (count, U) of all unknowns from their posterior: of each belief as many as it is likely."""
    modes, shares = by_belief(data)
    ends = np.rint(count * np.cumsum(shares)).astype(int)
    counts = np.diff(ends, prepend=0)
    drawn = [_chain(data, belief, modes[belief], int(n), rng) for belief, n in enumerate(counts) if n]
    return np.concatenate(drawn) if drawn else np.empty((0, len(modes[0].at)))


def _chain(data: Evidence, belief: int, found: Mode, count: int, rng: np.random.Generator) -> Values:
    """`count` draws by one belief: elliptical slice sampling round the mode."""
    mean, sd = data.prior(belief)
    mode, root = found.at, WIDER * np.linalg.cholesky(found.covariance)

    def rest(z: Values) -> float:
        """The log-posterior less that of the Gaussian that the ellipses come from, at mode + root z."""
        unknowns = mode + root @ z
        off = (unknowns - mean) / sd
        return log_likelihood(data, unknowns) - 0.5 * float(off @ off) + 0.5 * float(z @ z)

    z, kept = np.zeros(len(mode)), []
    level = rest(z)
    for step in range(BURN + THIN * count):
        z, level = _ellipse(z, level, rest, rng)
        if step >= BURN and (step - BURN) % THIN == THIN - 1:
            kept.append(mode + root @ z)
    return np.array(kept).reshape(count, len(mode))


def _ellipse(
    z: Values, level: float, rest: Callable[[Values], float], rng: np.random.Generator
) -> tuple[Values, float]:
    """One step on an ellipse through z and a fresh Gaussian point: the bracket of angles shrinks to z itself."""
    other, wall = rng.standard_normal(len(z)), level + np.log(rng.uniform())
    angle = rng.uniform(0, 2 * np.pi)
    low, high = angle - 2 * np.pi, angle
    while True:
        moved = z * np.cos(angle) + other * np.sin(angle)
        reached = rest(moved)
        if reached > wall or high - low < 1e-12:
            return moved, reached
        low, high = (angle, high) if angle < 0 else (low, angle)
        angle = rng.uniform(low, high)


@dataclass(frozen=True)
class Taste:
    """What is known of a taste: draws of all unknowns from their posterior."""

    data: Evidence
    draws: Values  # (D, U)

    @property
    def weights(self) -> Values:
        """(D, F) nats per standard deviation of a figure."""
        return self.draws[:, : self.data.width]

    def members(self, figures: Values) -> Values:
        """u(x) (N, D) by each draw, of figures (N, F)."""
        return np.asarray(figures @ self.weights.T)

    def predict(self, figures: Values) -> tuple[Values, Values]:
        """Mean and standard deviation (N,) of u(x), in nats, measured from the prior's average item."""
        utilities = self.members(figures)
        return utilities.mean(1), utilities.std(1)


def learn(data: Evidence, *, count: int = MEMBERS, seed: int = 0) -> Taste:
    """The taste that the votes tell of; the same votes and seed give the same draws."""
    return Taste(data, draw(data, count, np.random.default_rng(seed)))


def information(first: Values, second: Values) -> Values:
    """Nats that a vote tells of the taste (N,), by the utilities (N, D) that the draws give to either side."""
    p = expit(first - second)
    mean = p.mean(1)
    return np.asarray(entr(mean) + entr(1 - mean) - (entr(p) + entr(1 - p)).mean(1))


def agreement(utilities: Values) -> float:
    """Mean Kendall tau between the rankings of N items by pairs of draws (N, D); NaN below 2 items or draws.

    Of more than RANKED items, so many: their pairs are as the square.

    >>> import numpy as np
    >>> agreement(np.array([[1.0, 2.0], [2.0, 5.0], [3.0, 7.0]])), agreement(np.array([[1.0, 2.0], [2.0, 1.0]]))
    (1.0, -1.0)
    """
    utilities = utilities[:RANKED]
    n, count = utilities.shape
    if min(n, count) < 2:
        return float("nan")
    upper = np.triu_indices(n, 1)
    signs = np.sign(utilities[upper[0]] - utilities[upper[1]])  # (pairs, D)
    total = (signs.sum(1) ** 2 - (signs**2).sum(1)).mean()
    return float(total / (count * (count - 1)))
