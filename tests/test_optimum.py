"""What samples tell of the optimum, against the world in which every sequence is known."""

from __future__ import annotations

import math

import exact
import numpy as np
import pytest

from seqtutor.objectives import optimum
from seqtutor.objectives.optimum import Optimum, Written, best_of, resample

REPEATED = 1000
# Temperature, samples of the policy and of the prior, and where the policy lies between prior (0) and optimum (1).
CASES = [(0.5, 500, 500, 0.3), (0.3, 500, 500, 0.7), (0.3, 1000, 0, 0.3), (0.3, 400, 100, 0.7), (1.0, 0, 1000, 0.0)]


class World:
    """An enumerated world with a policy in it."""

    def __init__(self, seed: int, temperature: float, along: float) -> None:
        world = exact.world(seed, temperature=temperature)
        self.prior = np.exp([world.score(world.prior, x) for x in world.sequences])
        self.reward = np.array([world.score(world.reward, x) for x in world.sequences])
        self.best, self.log_z = world.optimum(), world.log_z()
        policy = self.prior ** (1 - along) * self.best**along
        self.policy = policy / policy.sum()

    def draw(self, chances: np.ndarray, n: int, rng: np.random.Generator) -> Written:
        """N sequences by these chances."""
        rows = rng.choice(len(chances), n, p=chances)
        return Written(self.reward[rows], np.log(self.policy[rows]), np.log(self.prior[rows]))


def covered(estimates: list[optimum.Estimate], truth: float) -> tuple[float, float]:
    """The share of intervals that hold the truth, and the mean error in units of the spread."""
    means = np.array([e.mean for e in estimates])
    inside = [abs(e.mean - truth) <= e.halfwidth for e in estimates]
    return float(np.mean(inside)), float((means.mean() - truth) / means.std())


@pytest.mark.parametrize(("temperature", "own", "others", "along"), CASES)
def test_log_z_and_the_gap_are_estimated_without_bias_and_their_intervals_cover(temperature, own, others, along):
    world, rng = World(0, temperature, along), np.random.default_rng(1)
    found = [
        Optimum(world.draw(world.policy, own, rng), world.draw(world.prior, others, rng), temperature)
        for _ in range(REPEATED)
    ]
    assert all(one.known for one in found)
    share, bias = covered([one.log_z for one in found], world.log_z)
    assert 0.93 <= share <= 0.97
    assert abs(bias) < 0.25  # of a ratio, of order 1/n
    if own:
        share, bias = covered([one.gap for one in found], exact.kl(world.policy, world.best))
        assert 0.93 <= share <= 0.97
        assert abs(bias) < 0.25


def test_too_few_effective_samples_leave_everything_unknown():
    world, rng = World(0, 0.2, 0.3), np.random.default_rng(1)
    found = Optimum(world.draw(world.policy, 0, rng), world.draw(world.prior, 300, rng), 0.2)
    assert found.effective < optimum.LEAST
    assert math.isnan(found.log_z.mean)
    assert math.isnan(found.gap.mean)


def test_the_optimum_itself_has_no_gap_and_all_that_its_kl_can_buy():
    world, rng = World(2, 0.5, 1.0), np.random.default_rng(1)
    found = Optimum(world.draw(world.policy, 4000, rng), world.draw(world.prior, 4000, rng), 0.5)
    assert found.gap.mean == pytest.approx(0, abs=found.gap.halfwidth)
    at = optimum.Point(exact.kl(world.best, world.prior), float(world.best @ world.reward))
    assert found.share(at) == pytest.approx(1, abs=0.05)


def test_the_frontier_is_that_of_pi_star():
    world, rng = World(1, 0.5, 0.6), np.random.default_rng(1)
    found = Optimum(world.draw(world.policy, 20000, rng), world.draw(world.prior, 20000, rng), 0.5)
    points = found.frontier()
    for c in (2.0, 1.0, 0.5):
        best = world.prior * np.exp(world.reward / c)
        best /= best.sum()
        expected = float(best @ world.reward)
        there = np.interp(exact.kl(best, world.prior), [p.kl for p in points], [p.reward for p in points])
        assert there == pytest.approx(expected, abs=0.03)


def test_scores_that_fail_more_often_at_one_models_sequences_move_no_weight():
    """The mixture is that of what was drawn. A scorer fails at half of what the policy likes best."""
    world, rng = World(1, 0.5, 0.9), np.random.default_rng(4)
    liked = world.policy / world.prior > np.quantile(world.policy / world.prior, 0.9)
    known = np.where(liked, 0.5, 1.0)
    parts = []
    for chances in (world.policy, world.prior):
        rows = rng.choice(len(chances), 20000, p=chances)
        kept = rows[rng.random(20000) < known[rows]]
        logs = (np.log(world.policy[kept]), np.log(world.prior[kept]))
        parts.append(Written(world.reward[kept], *logs, unscored=20000 - len(kept)))
    assert parts[0].unscored > 1.2 * parts[1].unscored
    found = Optimum(*parts, 0.5)
    truth = world.best * known / (world.best @ known)  # of what can be scored
    weights = np.exp(found.log_weights - found.log_weights.max())
    reward = found.pooled[0]
    assert np.average(reward, weights=weights) == pytest.approx(truth @ world.reward, abs=0.01)
    blind = Optimum(*(Written(p.reward, p.logp, p.prior_logp) for p in parts), 0.5)
    weights = np.exp(blind.log_weights - blind.log_weights.max())
    assert abs(np.average(reward, weights=weights) - truth @ world.reward) > 0.012


def test_of_nothing_that_has_a_score_nothing_is_known():
    none = Written(*(np.zeros(0),) * 3, unscored=5)
    found = Optimum(none, none, 1.0)
    assert not found.known
    assert math.isnan(found.gap.mean)
    assert found.frontier() == []
    assert math.isnan(found.share(optimum.Point(0.0, 1.0)))


def test_a_reward_that_is_the_same_everywhere_buys_nothing():
    same = Written(np.ones(100), np.zeros(100), np.zeros(100))
    found = Optimum(same, same, 1.0)
    assert found.frontier() == []
    assert found.gap.mean == pytest.approx(0)
    assert math.isnan(found.share(optimum.Point(0.0, 1.0)))


def test_best_of_n_is_the_mean_over_all_sets_of_n():
    rng = np.random.default_rng(0)
    reward = rng.normal(size=64)
    found = dict(best_of(reward))
    assert list(found) == [2, 4]
    pairs = [max(a, b) for i, a in enumerate(reward) for b in reward[:i]]
    assert found[2].reward == pytest.approx(np.mean(pairs))
    assert found[2].kl == pytest.approx(math.log(2) - 0.5)
    drawn = [reward[rng.choice(64, 4, replace=False)].max() for _ in range(20000)]
    assert found[4].reward == pytest.approx(np.mean(drawn), abs=0.02)


def test_samples_of_the_prior_stand_for_the_optimum_by_their_weights():
    world = World(0, 0.5, 0.0)
    drawn = np.random.default_rng(0).choice(len(world.prior), 200_000, p=world.prior)
    found = optimum.tilt(np.append(world.reward[drawn], np.nan), 0.5)
    weights = found.weights[:-1]
    assert found.weights[-1] == 0  # of what nobody knows the reward of
    assert weights.mean() == pytest.approx(1.0)
    law = np.bincount(drawn, weights, len(world.prior)) / weights.sum()
    error = np.sqrt((law**2 / world.prior).clip(1e-12) / len(drawn))  # of a sequence drawn n p times, each of weight w
    assert np.abs(law - world.best).max() < 4 * error.max()
    assert error.max() < 0.01
    assert found.kl == pytest.approx(exact.kl(world.best, world.prior), abs=0.02)
    assert found.effective == pytest.approx(len(drawn) / (world.best**2 / world.prior).sum(), rel=0.02)


def test_what_is_resampled_has_the_law_of_the_optimum():
    world, rng = World(0, 0.5, 0.5), np.random.default_rng(2)
    counts = np.zeros(len(world.prior))
    for _ in range(400):
        rows = rng.choice(len(world.policy), 2000, p=world.policy)
        logs = world.reward[rows] / 0.5 + np.log(world.prior[rows] / world.policy[rows])
        np.add.at(counts, rows[resample(logs, 20, rng)], 1)
    distance = 0.5 * np.abs(counts / counts.sum() - world.best).sum()
    chance = 0.5 * np.sqrt(2 / np.pi) * np.sqrt(world.best / counts.sum()).sum()  # of as many exact samples
    assert counts.sum() == 8000
    assert distance < 1.5 * chance
    assert 0.5 * np.abs(world.policy - world.best).sum() > 3 * distance


def test_draws_of_a_policy_tell_the_optimum_and_are_kept_by_its_law():
    """What is kept has the reward of pi*, not the policy's and not the best there is."""
    world, rng = World(0, 0.5, 0.5), np.random.default_rng(3)
    odds = np.log(world.prior / world.policy)
    of_kept, told = [], []
    for seed in range(200):
        rows = rng.choice(len(world.policy), 1000, p=world.policy)
        reward = np.where(rng.random(1000) < 0.1, np.nan, world.reward[rows])  # what nobody knows is never kept
        found = optimum.tilt(reward, 0.5, odds[rows])
        kept = found.keep(20, seed)
        assert len(kept) == 20
        assert np.isfinite(reward[kept]).all()
        of_kept.append(reward[kept].mean())
        told.append((found.reward, found.kl, float(np.average(world.reward[rows], weights=found.weights))))
    best = world.best @ world.reward
    error = 3 * np.std(of_kept) / math.sqrt(len(of_kept))
    assert np.mean(of_kept) == pytest.approx(best, abs=error + 0.01)
    assert abs(best - world.policy @ world.reward) > 5 * error
    reward, kl, weighted = np.mean(told, 0)
    assert reward == pytest.approx(weighted)
    assert reward == pytest.approx(best, abs=0.01)
    assert kl == pytest.approx(exact.kl(world.best, world.prior), abs=0.01)


def test_nothing_is_kept_of_draws_that_are_worth_less_than_that():
    reward = np.array([8.0, 0.0, 0.0, 0.0])
    assert len(optimum.tilt(reward, 1.0).keep(2, 0)) == 0
    assert len(optimum.tilt(reward, 100.0).keep(2, 0)) == 2
    assert len(optimum.tilt(np.full(4, np.nan), 1.0).keep(1, 0)) == 0


def test_no_sample_is_kept_twice_and_what_outweighs_all_is_always_kept():
    rng = np.random.default_rng(0)
    for _ in range(200):
        kept = resample(np.array([50.0, 40.0, 0.0, 0.1, -0.2, 0.3]), 4, rng)
        assert len(set(kept.tolist())) == 4
        assert {0, 1} <= set(kept.tolist())
    assert sorted(resample(np.zeros(3), 3, rng).tolist()) == [0, 1, 2]
    with pytest.raises(ValueError, match="5 of 3"):
        resample(np.zeros(3), 5, rng)
