"""The before/after table: means with intervals that cover, best of n against brute force, samples drawn in chunks."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from letters import FixedLettersDomain, LettersDomain, every, log_probabilities, new_model

from seqtutor import EOS, PAD, Measure, SequenceTerm, evaluation
from seqtutor.rewards.scorer import Scorer
from seqtutor.rewards.terms import weighted_terms
from seqtutor.runs.evaluation import best_of_n, best_of_n_kl, best_of_weights, comparison, draw, evaluate, figures

DOMAIN = LettersDomain()
MODEL = new_model(seed=1)


def scorer():
    return Scorer(DOMAIN, weighted_terms(DOMAIN, {}))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("n", range(1, 10))
def test_weights_of_best_of_n_are_those_of_all_subsets_counted(n):
    total = 7
    best = [max(subset) for subset in combinations(range(total), min(n, total))]
    wanted = np.bincount(best, minlength=total) / len(best)
    np.testing.assert_allclose(best_of_weights(total, n), wanted, rtol=1e-12)


def test_weights_of_best_of_n_stay_finite_for_many_samples():
    weights = best_of_weights(100_000, 16)
    assert weights.sum() == pytest.approx(1, abs=1e-9)
    assert (np.diff(weights) >= 0).all()


def with_values(values):
    """An evaluation of one sample a value: the reward is the value, a second figure its place among the samples."""
    oracle = SequenceTerm("value", 1.0, "", "", lambda texts: np.array([values[text] for text in texts]))
    tokens = np.array([DOMAIN.vocabulary.encode(text) + [EOS] + [PAD] * (3 - len(text)) for text in values])
    scores = Scorer(DOMAIN, [oracle]).score(tokens, np.zeros(len(values), bool))
    place = Measure("place", np.arange(len(values), dtype=float), np.ones(len(values)))
    reward = Measure("reward", np.nan_to_num(scores.totals), np.isfinite(scores.totals).astype(float))
    return evaluation.Evaluation(scores, reward, [reward], [place])


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_every_figure_of_best_of_n_is_its_mean_over_all_subsets(n):
    values = dict(zip(["a", "b", "c", "ab", "ba", "ca"], [0.3, -2.0, 5.0, 1.0, 0.0, 0.7], strict=True))
    order = list(values.values())
    best = [max(subset, key=lambda i: order[i]) for subset in combinations(range(6), n)]
    reward, _, place = best_of_n(with_values(values), n)
    assert reward.mean == pytest.approx(np.mean([order[i] for i in best]))
    assert place.mean == pytest.approx(np.mean(best))


def test_a_sample_that_was_not_scored_is_never_the_best():
    values = {"a": 1.0, "b": float("nan"), "c": 3.0}
    reward, _, place = best_of_n(with_values(values), 3)
    assert (reward.mean, place.mean) == (3.0, 2.0)


def test_best_of_n_is_worth_what_the_enumerated_distribution_says():
    """E[max of n] over all sequences, exactly, against the estimate from samples of the model."""
    sequences = every(DOMAIN.max_length)
    p = log_probabilities(MODEL, sequences).exp().numpy()
    totals = scorer().score(sequences.numpy(), ~(sequences == EOS).any(-1).numpy()).totals
    order, n = np.argsort(totals, kind="stable"), 4
    best = np.diff(np.append(0, p[order].cumsum() / p.sum()) ** n)
    exact = float((best * totals[order]).sum())
    found = best_of_n(evaluate(MODEL, DOMAIN, scorer(), 4000, seeded()), n)[0]
    assert found.mean == pytest.approx(exact, abs=0.05)
    assert float((best * np.log(best / p[order])).sum()) <= best_of_n_kl(n)


@pytest.mark.parametrize("kind", ["mean", "share of events"])
def test_the_interval_covers_the_truth_in_95_of_100_cases(kind):
    rng, n, cases = np.random.default_rng(0), 100, 2000
    covered = 0
    for _ in range(cases):
        events = rng.integers(1, 20, n).astype(float) if kind == "share of events" else np.ones(n)
        values = rng.binomial(events.astype(int), 0.3).astype(float)
        measure = Measure("x", values, events)
        covered += abs(measure.mean - 0.3) <= measure.halfwidth
    assert covered / cases == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / cases))


def test_a_measure_is_a_ratio_of_sums():
    measure = Measure("x", np.array([1.0, 0.0, 3.0]), np.array([2.0, 0.0, 6.0]))
    assert measure.mean == 0.5
    assert measure.halfwidth == 0.0  # every item has the same ratio
    plain = Measure("x", np.array([1.0, 2.0, 3.0, 6.0]), np.ones(4))
    assert plain.halfwidth == pytest.approx(1.96 * np.std([1, 2, 3, 6], ddof=1) / 2)


def test_a_figure_of_no_item_is_no_number():
    assert math.isnan(Measure("x", np.zeros(3), np.zeros(3)).mean)
    assert math.isnan(Measure("x", np.zeros(3), np.zeros(3)).halfwidth)
    assert math.isnan(Measure("x", np.ones(1), np.ones(1)).halfwidth)


def test_an_evaluation_has_the_means_of_its_own_scores():
    found = evaluate(MODEL, DOMAIN, scorer(), 200, seeded())
    assert found.reward.mean == pytest.approx(found.scores.totals.mean())
    assert [term.name for term in found.terms] == ["rises", "variety"]
    for term in found.terms:
        assert term.mean == pytest.approx(found.scores.terms[term.name].mean())
    valid, letters = found.measures
    texts = [text for text in found.scores.texts if text is not None]
    assert 0 < len(texts) < 200
    assert valid.mean == pytest.approx(len(texts) / 200)
    assert letters.mean == pytest.approx(np.mean([len(text) for text in texts]))


def test_samples_are_drawn_in_chunks_and_padded_to_one_length(monkeypatch):
    monkeypatch.setattr(evaluation, "CHUNK", 7)
    tokens, truncated = draw(MODEL, DOMAIN, 20, seeded())
    assert tokens.shape == (20, DOMAIN.max_length)
    assert len(np.unique(tokens, axis=0)) > 10
    assert (tokens[:, 0] != PAD).all()
    np.testing.assert_array_equal(truncated, [EOS not in row for row in tokens])
    assert 0 < truncated.sum() < 20
    fixed = FixedLettersDomain()
    assert not draw(new_model(fixed_length=True), fixed, 20, seeded())[1].any()


def test_the_table_sets_prior_best_of_n_and_policy_side_by_side():
    prior, policy = (evaluate(new_model(seed=s), DOMAIN, scorer(), 100, seeded(s)) for s in (1, 2))
    table = comparison(prior, policy, scorer(), 4)
    assert [row["name"] for row in table["terms"]] == ["rises", "variety"]
    assert [row["weight"] for row in table["terms"]] == [1.0, 0.5]
    assert [row["name"] for row in table["measures"]] == ["valid", "letters"]
    assert table["reward"]["prior"]["mean"] == prior.reward.mean
    assert table["reward"]["policy"]["mean"] == policy.reward.mean
    assert table["reward"]["best_of_n"]["mean"] == best_of_n(prior, 4)[0].mean > prior.reward.mean
    assert table["measures"][1]["policy"]["halfwidth"] == policy.measures[1].halfwidth
    assert [row[0].name for row in figures([prior, policy])] == ["reward", "rises", "variety", "valid", "letters"]
