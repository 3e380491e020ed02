"""What votes tell of a person: what is liked, how sure that is, how steady the answers are, what more would buy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from seqtutor.arrays import Values
from seqtutor.people.asking import AMONG, CANDIDATES, consistency
from seqtutor.people.taste import Evidence, Taste, expected, information, learn
from seqtutor.people.votes import Vote

if TYPE_CHECKING:
    from seqtutor.people.lens import Lens

DRAWS = 1000  # of the posterior, where its ends are told
MORE = 50  # answers whose worth is told
WORLDS = 12  # tastes, drawn from the posterior, that it is simulated with
PAIRS = 2000  # that a model is judged by
FOLDS = 5  # parts of the votes that are left out in turn
BY_HAND = 50  # answers up to which picking by hand is as good as a model


@dataclass(frozen=True)
class Share:
    """So many of so many, with the 95 % interval of the share (Wilson's)."""

    count: int
    of: int

    @property
    def interval(self) -> tuple[float, float]:
        """Its ends; 0 and 1 where nothing was counted.

        >>> [round(end, 2) for end in Share(8, 10).interval], Share(0, 0).interval
        ([0.49, 0.94], (0.0, 1.0))
        """
        from scipy.stats import binomtest

        if not self.of:
            return 0.0, 1.0
        low, high = binomtest(self.count, self.of).proportion_ci(method="wilson")
        return float(low), float(high)


@dataclass(frozen=True)
class Liking:
    """The weight of one figure, nats per standard deviation of the prior's items, with its 95 % interval."""

    name: str
    mean: float
    low: float
    high: float

    @property
    def shown(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Rater:
    """One person: how many votes, how often alike when a pair came back swapped, bias and carelessness (95 %)."""

    name: str
    votes: int
    alike: Share
    first: tuple[float, float]  # chance to take the first of two that are equally good
    careless: tuple[float, float]  # share of answers that have nothing to do with the items


@dataclass(frozen=True)
class TasteReport:
    """All that is told."""

    likings: list[Liking]  # the surest first
    unnamed: float  # share of the spread of u that no named figure makes
    raters: list[Rater]
    left_out: Share  # votes for one of two that a model which did not see them has right
    now: tuple[float, float]  # expected share of the prior's pairs in the true order, and its standard deviation
    then: tuple[float, float]  # the same after MORE answers


def tell(votes: Sequence[Vote], data: Evidence, lens: Lens, pool: Values) -> TasteReport:
    """What votes, as `data`, tell; `pool`: figures (N, F) of items of the prior."""
    taste = learn(data, count=DRAWS)
    now, then = worth(taste, pool, np.random.default_rng(0))
    named = len(lens.names)
    parts = pool * taste.weights.mean(0)
    spread, own = parts.sum(1).std(), parts[:, named:].sum(1).std()
    low, high = np.quantile(taste.weights[:, :named], [0.025, 0.975], axis=0)
    rows = zip(lens.names, taste.weights.mean(0)[:named], low, high, strict=True)
    likings = [Liking(name, float(mean), float(a), float(b)) for name, mean, a, b in rows]
    surest = sorted(likings, key=lambda one: -abs(one.mean) / (one.high - one.low))
    raters, (_, bias, eps, _) = [], data.parts(taste.draws)
    for place, name in enumerate(dict.fromkeys(vote.rater for vote in votes)):
        theirs = [vote for vote in votes if vote.rater == name]
        careless = eps[:, place]
        first = (1 - careless) * expit(bias[:, place]) + careless / 2  # of two equals, carelessness included
        ends = [np.quantile(values, [0.025, 0.975]).tolist() for values in (first, careless)]
        raters.append(Rater(name, len(theirs), Share(*consistency(theirs)), *((a, b) for a, b in ends)))
    return TasteReport(surest, float(own**2 / spread**2) if spread else 0.0, raters, left_out(data), now, then)


def left_out(data: Evidence) -> Share:
    """Votes for one of two, each left out with a fifth of all pairs, that the model of the others has right.

    A pair that was asked again, the other way round, is left out with itself.
    """
    sides = zip(data.first, data.second, strict=True)
    pairs = [b"".join(sorted((first.tobytes(), second.tobytes()))) for first, second in sides]
    number = np.unique(pairs, return_inverse=True)[1]
    folds = np.random.default_rng(0).permutation(number.max(initial=-1) + 1)[number] % FOLDS
    right = asked = 0
    for fold in np.unique(folds):
        test, train = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        weights = expected(data.select(train))
        clear = test[~data.bad[test] & (data.choice[test] != 0.5)]
        guessed = data.difference[clear] @ weights > 0
        right, asked = right + int((guessed == (data.choice[clear] > 0.5)).sum()), asked + len(clear)
    return Share(right, asked)


def worth(taste: Taste, pool: Values, rng: np.random.Generator) -> tuple[tuple[float, float], tuple[float, float]]:
    """Expected share of pairs in the true order, now and after MORE answers, each with its standard deviation.

    Truths are drawn from the posterior; each answers MORE questions, chosen as a session chooses them.
    """
    found = []
    for unknowns in taste.draws[rng.integers(len(taste.draws), size=WORLDS)]:
        truth = pool @ unknowns[: taste.data.width]
        i, j = rng.integers(len(pool), size=(2, PAIRS))
        more = _answered(taste, pool, unknowns, rng)
        means = taste.weights.mean(0), expected(more)
        order = np.sign(truth[i] - truth[j])
        found.append([float((np.sign((pool[i] - pool[j]) @ mean) == order)[i != j].mean()) for mean in means])
    now, then = np.array(found).T
    return (float(now.mean()), float(now.std(ddof=1))), (float(then.mean()), float(then.std(ddof=1)))


def _answered(taste: Taste, pool: Values, unknowns: Values, rng: np.random.Generator) -> Evidence:
    """The votes, and MORE of a person with these unknowns, the first rater."""
    data = taste.data
    weights, bias, eps, threshold = data.parts(unknowns)
    i, j = rng.integers(len(pool), size=(2, CANDIDATES))
    utilities = taste.members(pool)[:, ::10]
    most = np.argsort(-information(utilities[i], utilities[j]))[: max(AMONG, MORE)]
    i, j = (side[rng.permutation(most)[:MORE]] for side in (i, j))
    p = (1 - eps[0]) * expit((pool[i] - pool[j]) @ weights + bias[0]) + eps[0] / 2
    choice = (rng.uniform(size=MORE) < p).astype(float)
    both = expit(threshold[0] - pool[i] @ weights) * expit(threshold[0] - pool[j] @ weights)
    bad = (rng.uniform(size=MORE) < both) & bool(data.bad[data.rater == 0].any())  # who has never said so, does not
    return Evidence(
        np.vstack([data.first, pool[i]]),
        np.vstack([data.second, pool[j]]),
        np.concatenate([data.rater, np.zeros(MORE, np.int64)]),
        np.concatenate([data.choice, choice]),
        np.concatenate([data.bad, bad]),
        data.beliefs,
    )
