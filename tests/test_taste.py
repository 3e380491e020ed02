"""The model of a taste: right where the answer is known, honest about what it does not know."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize
from scipy.special import expit

from seqtutor.people.taste import (
    RANKED,
    Evidence,
    _likelihood,
    agreement,
    by_belief,
    draw,
    evidence,
    expected,
    information,
    learn,
    log_likelihood,
    most_likely,
)
from seqtutor.people.votes import Vote


def simulated(rng, weights, n, *, bias=0.0, eps=0.0, bad=None, raters=1, items=200):
    """Votes of raters with these weights on random items; `bad`: their threshold."""
    figures = rng.standard_normal((items, len(weights)))
    i, j = rng.integers(items, size=(2, n))
    u = figures @ weights
    p = (1 - eps) * expit(u[i] - u[j] + bias) + eps / 2
    choice = (rng.uniform(size=n) < p).astype(float)
    both = np.zeros(n, bool) if bad is None else rng.uniform(size=n) < expit(bad - u[i]) * expit(bad - u[j])
    return Evidence(figures[i], figures[j], rng.integers(raters, size=n), choice, both, np.ones((1, len(weights))))


@pytest.mark.parametrize("bad", [None, -0.5])
def test_the_gradient_is_that_of_the_likelihood(bad):
    rng = np.random.default_rng(0)
    data = simulated(rng, rng.standard_normal(4), 30, bad=bad, raters=2)
    at = rng.standard_normal(4 + 6)
    gradient = _likelihood(data, at)[1]
    np.testing.assert_allclose(gradient, approx_fprime(at, lambda x: log_likelihood(data, x), 1e-7), atol=2e-5)


def test_all_pairs_with_exact_probabilities_give_the_utilities_back():
    u = np.array([0.3, -1.2, 0.8, 2.0])
    i, j = (a.ravel() for a in np.meshgrid(range(4), range(4)))
    p = expit(u[i] - u[j])
    rows = np.eye(4)
    data = Evidence(rows[i], rows[j], np.zeros(16, int), p, np.zeros(16, bool), np.ones((1, 4)))

    def loss(w):  # without prior, bias and carelessness
        value, gradient = _likelihood(data, np.concatenate([w, [0.0, -40.0, 0.0]]))
        return -value, -gradient[:4]

    found = minimize(loss, np.zeros(4), jac=True, method="BFGS", options={"gtol": 1e-10}).x
    np.testing.assert_allclose(found - found.mean(), u - u.mean(), atol=1e-8)


def test_swapping_all_sides_turns_the_bias_and_nothing_else():
    rng = np.random.default_rng(1)
    data = simulated(rng, np.array([1.0, -1.0]), 60, bias=0.5)
    other = Evidence(data.second, data.first, data.rater, 1 - data.choice, data.bad, data.beliefs)
    one, two = most_likely(data).at, most_likely(other).at
    np.testing.assert_allclose(one[:2], two[:2], atol=1e-4)
    assert one[2] == pytest.approx(-two[2], abs=1e-4)


def test_slice_sampling_agrees_with_a_grid():
    rng = np.random.default_rng(2)
    data = simulated(rng, np.array([1.5]), 12)
    grid = np.linspace(-3, 5, 41)
    numbers = [np.linspace(mean - 4 * sd, mean + 4 * sd, 17) for mean, sd in ((0.0, 0.5), (-3.0, 1.5))]
    logs = np.array([
        [[log_likelihood(data, np.array([w, b, e, -2.0])) - w**2 / 2 - 2 * b**2 - (e + 3) ** 2 / 4.5
          for e in numbers[1]] for b in numbers[0]] for w in grid
    ])  # fmt: skip
    mass = np.exp(logs - logs.max()).sum((1, 2))
    mean = (grid * mass).sum() / mass.sum()
    sd = np.sqrt(((grid - mean) ** 2 * mass).sum() / mass.sum())
    found = draw(data, 4000, np.random.default_rng(0))[:, 0]
    assert found.mean() == pytest.approx(mean, abs=0.05)
    assert found.std() == pytest.approx(sd, rel=0.07)


def test_beliefs_share_the_draws_as_a_grid_says():
    rng = np.random.default_rng(6)
    votes = simulated(rng, np.array([1.2]), 25)
    data = replace(votes, beliefs=np.array([[0.2], [1.0], [4.0]]))
    grid = np.linspace(-20, 20, 1601)
    numbers = [(mean + sd * np.linspace(-4, 4, 17), sd) for mean, sd in ((0.0, 0.5), (-3.0, 1.5))]
    own = np.exp(-(np.linspace(-4, 4, 17) ** 2) / 2)
    told = np.array([
        [[np.exp(log_likelihood(data, np.array([w, b, e, -2.0]))) for e in numbers[1][0]] for b in numbers[0][0]]
        for w in grid
    ])  # fmt: skip
    by_weight = np.einsum("wbe,b,e->w", told, own, own)
    exact = np.array([(by_weight * np.exp(-((grid / sd) ** 2) / 2)).sum() / sd for sd in (0.2, 1.0, 4.0)])
    np.testing.assert_allclose(by_belief(data)[1], exact / exact.sum(), atol=0.03)
    assert exact.argmax() == 1
    draws = draw(data, 3000, np.random.default_rng(0))
    assert draws.shape == (3000, 4)
    each = [by_weight * np.exp(-((grid / sd) ** 2) / 2) for sd in (0.2, 1.0, 4.0)]
    means = np.array([(grid * mass).sum() / mass.sum() for mass in each])
    assert draws[:, 0].mean() == pytest.approx(means @ exact / exact.sum(), abs=0.06)
    assert expected(data)[0] == pytest.approx(draws[:, 0].mean(), abs=0.25)


def test_beliefs_are_weighed_right_where_both_may_be_bad_too():
    """Beside importance sampling from a wide Gaussian round the mode."""
    for seed in range(2):
        rng = np.random.default_rng(seed)
        votes = simulated(rng, np.array([1.5, -1.0, 0.5, 0.0, 0.0, 0.0]), 100, bad=0.5)
        assert votes.bad.sum() > 20
        data = replace(votes, beliefs=np.array([[1.0] * 6, [1.4] * 3 + [0.1] * 3]))
        logs = []
        for belief, found in enumerate(by_belief(data)[0]):
            mean, sd = data.prior(belief)
            root = 1.4 * np.linalg.cholesky(found.covariance)
            z = rng.standard_normal((4000, len(mean)))
            drawn = found.at + z @ root.T
            log_prior = -0.5 * (((drawn - mean) / sd) ** 2).sum(1) - np.log(sd).sum()
            told = np.array([log_likelihood(data, one) for one in drawn]) + log_prior
            ratio = told + 0.5 * (z**2).sum(1) + np.log(np.diag(root)).sum()
            logs.append(np.log(np.exp(ratio - ratio.max()).mean()) + ratio.max())
        shares = by_belief(data)[1]
        assert np.log(shares[1] / shares[0]) == pytest.approx(logs[1] - logs[0], abs=0.35)


def test_a_taste_of_the_first_half_makes_the_belief_in_it_likelier_and_the_other_way_round():
    def believed(weights):
        votes = simulated(np.random.default_rng(7), weights, 120)
        return by_belief(replace(votes, beliefs=np.array([[1.0] * 8, [1.4] * 4 + [0.1] * 4])))[1]

    half = np.array([1.0, -2.0, 1.5, -1.0])
    assert believed(np.concatenate([half, 0 * half]))[1] > 0.8
    assert believed(np.concatenate([0 * half, half]))[1] < 0.01


def test_intervals_cover_what_they_say():
    inside = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        weights = rng.standard_normal(5)
        data = simulated(rng, weights, 40, bias=rng.normal(0, 0.5), eps=expit(rng.normal(-3, 1.5)))
        low, high = np.quantile(draw(data, 400, rng)[:, :5], [0.025, 0.975], axis=0)
        inside += ((low < weights) & (weights < high)).tolist()
    assert 0.9 <= np.mean(inside) <= 0.98  # 200 intervals: two standard errors are 3 %


def test_side_bias_carelessness_and_threshold_are_found():
    rng = np.random.default_rng(3)
    data = simulated(rng, np.array([3.0, 1.0]), 600, bias=0.8, eps=0.3, bad=-1.0)
    taste = learn(data)
    _, bias, eps, threshold = data.parts(taste.draws)
    assert bias.mean() == pytest.approx(0.8, abs=0.4)
    assert eps.mean() == pytest.approx(0.3, abs=0.12)
    assert threshold.mean() == pytest.approx(-1.0, abs=0.4)
    coin = simulated(rng, np.array([0.0, 0.0]), 300)
    steady = simulated(rng, np.array([3.0, 1.0]), 300)
    both = Evidence(
        *(np.concatenate([getattr(coin, part), getattr(steady, part)]) for part in ("first", "second")),
        np.repeat([0, 1], 300), *(np.concatenate([getattr(coin, p), getattr(steady, p)]) for p in ("choice", "bad")),
        np.ones((1, 2)),
    )  # fmt: skip
    careless = both.parts(learn(both).draws)[2].mean(0)
    assert careless[0] > 0.7 > 0.2 > careless[1]  # a coin-tosser beside somebody who means it


def test_the_same_votes_give_the_same_draws_and_no_vote_gives_the_prior():
    data = simulated(np.random.default_rng(4), np.array([1.0, 0.0]), 20)
    np.testing.assert_array_equal(learn(data).draws, learn(data).draws)
    nothing = learn(data.select(np.zeros(0, int)), count=1000)
    assert nothing.weights.std(0) == pytest.approx(1, abs=0.12)
    assert abs(nothing.weights.mean(0)).max() < 0.15


def test_the_reward_is_never_above_the_mean_and_information_is_highest_where_members_differ():
    taste = learn(simulated(np.random.default_rng(5), np.array([1.0, 0.0]), 20))
    _, sd = taste.predict(np.random.default_rng(0).standard_normal((50, 2)))
    assert (sd >= 0).all()
    agreed, split = np.full((1, 10), 2.0), np.array([[-2.0, 2.0] * 5])
    assert information(agreed, 0 * agreed)[0] == pytest.approx(0, abs=1e-9)
    assert information(split, 0 * split)[0] > 0.3
    assert np.isnan(agreement(np.zeros((1, 5))))


def test_same_is_half_a_vote_each_way():
    votes = [Vote("letters", "anna", "x", "y", answer) for answer in ("same", "bad", "a", "b")]
    data = evidence(votes, np.zeros((4, 1)), np.ones((4, 1)), np.ones((1, 1)))
    assert data.choice.tolist() == [0.5, 0.5, 1.0, 0.0]
    assert data.bad.tolist() == [False, True, False, False]
    assert data.judging.all()


def test_simulated_raters_with_a_hidden_half_are_learnt_in_small():
    raters = pytest.importorskip("raters")
    world = raters.new_world("music")
    rights = [raters.simulate(world, seed, [20, 100], active=False) for seed in range(3)]
    few, many = np.array(rights)[..., 0].mean(0)
    assert many > max(few, 0.68)


def test_a_pair_that_is_bad_beyond_doubt_is_no_warning_and_only_some_are_ranked(recwarn):
    votes = [Vote("letters", "anna", "x", "y", answer) for answer in ("a", "bad")]
    data = evidence(votes, np.full((2, 1), -200.0), np.full((2, 1), -200.0), np.ones((1, 1)))
    assert np.isfinite(_likelihood(data, np.array([1.0, 0.0, -3.0, 0.0]))[0])
    assert not recwarn.list
    rng = np.random.default_rng(0)
    some = rng.standard_normal((RANKED, 5))
    assert agreement(np.r_[some, rng.standard_normal((3000, 5))]) == agreement(some)
