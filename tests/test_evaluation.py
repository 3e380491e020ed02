"""The before/after table: means with intervals that cover, best of n against brute force, samples drawn in chunks."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from letters import A, FixedLettersDomain, LettersDomain, every, log_probabilities, new_model
from test_report import summary as report_summary

from seqtutor import EOS, PAD, Measure, SequenceTerm
from seqtutor.cli.tables import comparison_table, kept_line
from seqtutor.config import TrainConfig
from seqtutor.objectives.optimum import Optimum, tilt
from seqtutor.priors import sampling
from seqtutor.priors.sampling import draw
from seqtutor.rewards.scorer import Scorer
from seqtutor.rewards.terms import weighted_terms
from seqtutor.runs.drawing import Source, choose
from seqtutor.runs.evaluation import best_of_n, comparison, evaluate, kept_of, written
from seqtutor.runs.report.reading import parse

DOMAIN = LettersDomain()
MODEL = new_model(seed=1)


def scorer():
    return Scorer(DOMAIN, weighted_terms(DOMAIN, {}))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class Spread(LettersDomain):
    """Words whose measures are the share of different ones, and the number of them."""

    def measure(self, texts):
        first = np.array([text not in texts[:i] for i, text in enumerate(texts)], float)
        return [Measure("unique", first, np.ones(len(texts)), "higher", True, of_set=True)]


def test_the_best_of_each_draw_is_kept_and_measured_as_a_set_of_its_own():
    """A set's variety is not that of its source: it must be seen on the winners themselves, as many of each column."""
    domain, n, draws = Spread(), 8, 50
    best = best_of_n(MODEL, domain, scorer(), n, draws, seeded())
    tokens, truncated = draw(MODEL, domain, n * draws, seeded())
    totals = scorer().score(tokens, truncated).totals.reshape(draws, n)
    np.testing.assert_array_equal(best.scores.totals, totals.max(1))
    assert best.reward.mean == pytest.approx(totals.max(1).mean())
    assert best.measures[0].mean == pytest.approx(len(set(best.scores.texts)) / draws)
    prior = evaluate(MODEL, domain, scorer(), 400, seeded(1))
    row = comparison(prior, best, prior, scorer())["measures"][0]
    assert row["prior"]["mean"] == pytest.approx(len(set(prior.scores.texts[:draws])) / draws)
    assert row["prior"]["mean"] > prior.measures[0].mean  # of 400 words fewer are different than of 50


def test_the_interval_of_best_of_n_covers_in_95_of_100_cases():
    """Rank weights taken as constants covered 71 to 88: winners that are drawn are independent."""
    n, exact = 4, exact_best(4)
    covered = 0
    for case in range(200):
        best = best_of_n(MODEL, DOMAIN, scorer(), n, 40, seeded(case)).reward
        covered += abs(best.mean - exact) <= best.halfwidth
    assert covered / 200 == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 200))


def test_a_sample_that_was_not_scored_is_never_the_best():
    oracle = SequenceTerm(
        "a", 1.0, "", "", lambda texts: np.array([float(t.count("a")) if "b" not in t else np.nan for t in texts])
    )
    best = best_of_n(MODEL, DOMAIN, Scorer(DOMAIN, [oracle]), 12, 40, seeded())
    assert best.scores.scored.all()
    assert not any("b" in text for text in best.scores.texts if text)


def exact_best(n):
    """E[max of n] over all sequences of MODEL."""
    sequences = every(DOMAIN.max_length)
    p = log_probabilities(MODEL, sequences).exp().numpy()
    totals = scorer().score(sequences.numpy(), ~(sequences == EOS).any(-1).numpy()).totals
    order = np.argsort(totals, kind="stable")
    return float((np.diff(np.append(0, p[order].cumsum() / p.sum()) ** n) * totals[order]).sum())


def test_best_of_n_is_worth_what_the_enumerated_distribution_says():
    """E[max of n] over all sequences, exactly, against the estimate from samples of the model."""
    best = best_of_n(MODEL, DOMAIN, scorer(), 4, 2000, seeded())
    assert best.reward.mean == pytest.approx(exact_best(4), abs=0.07)


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


def test_of_none_among_n_the_truth_may_be_three_in_n():
    """The rule of three, where every item is alike and the delta method would say plus or minus nothing."""
    none, all_ = (Measure("x", np.full(300, share), np.ones(300), percent=True) for share in (0.0, 1.0))
    assert none.halfwidth == all_.halfwidth == pytest.approx(3 / 300)
    events = Measure("x", np.zeros(20), np.array([1.0, 3.0] * 10), percent=True)
    assert events.halfwidth == pytest.approx(3 * 100 / 40**2)
    few = Measure("x", np.zeros(2), np.ones(2), percent=True)
    assert few.halfwidth == 1.0
    assert Measure("x", np.zeros(300), np.ones(300)).halfwidth == 0.0


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
    monkeypatch.setattr(sampling, "CHUNK", 7)
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
    best = best_of_n(new_model(seed=1), DOMAIN, scorer(), 4, 60, seeded(3))
    table = comparison(prior, best, policy, scorer())
    assert [row["name"] for row in table["terms"]] == ["rises", "variety"]
    assert [row["weight"] for row in table["terms"]] == [1.0, 0.5]
    assert [row["name"] for row in table["measures"]] == ["valid", "letters"]
    assert table["reward"]["prior"]["mean"] == prior.reward.mean
    assert table["reward"]["policy"]["mean"] == policy.reward.mean
    assert table["reward"]["best_of_n"]["mean"] == best.reward.mean > prior.reward.mean
    assert table["measures"][1]["policy"]["halfwidth"] == policy.measures[1].halfwidth
    assert table["best_of_draws"] == 60
    assert [m.name for m in prior.figures] == [m.name for m in policy.figures]
    names = [m.name for m in prior.figures]
    assert names == ["reward", "rises", "variety", "valid", "letters"]
    assert "kept" not in table["reward"]


def test_what_is_kept_has_the_figures_of_both_models_samples_by_their_weights():
    """The policy's samples are counted first; of each model only those that both have read are kept."""
    other = new_model(seed=2)
    policy, prior = evaluate(MODEL, DOMAIN, scorer(), 900, seeded(1)), evaluate(other, DOMAIN, scorer(), 900, seeded(2))
    own, others = (written(each, MODEL, other, 800)[0] for each in (policy, prior))
    rows, kept = kept_of(policy, prior, Optimum(own, others, 1.0), 50, seed=0)
    assert len(rows) == len(set(rows.tolist())) == 50 < kept.effective
    assert {row // 900 for row in rows} == {0, 1}
    assert max(row % 900 for row in rows) < 800
    valid = np.concatenate([policy.scores.valid, prior.scores.valid])
    assert valid[rows].all()
    assert not kept.weights[800:900].any()
    assert not kept.weights[1700:].any()
    assert len(kept_of(policy, prior, Optimum(own, others, 1.0), 1600, seed=0)[0]) == int(kept.effective)
    table = comparison(prior, policy, policy, scorer(), kept)
    assert table["reward"]["kept"]["mean"] == pytest.approx(kept.reward)

    sequences = every(DOMAIN.max_length)
    scores = scorer().score(sequences.numpy(), ~(sequences == EOS).any(-1).numpy())
    p, reward = log_probabilities(other, sequences).exp().numpy(), scores.totals
    paid = np.where(scores.valid, p * np.exp(reward), 0.0)  # what is no item has no part in the optimum
    truth = float(np.average(reward, weights=paid))
    assert kept.reward == pytest.approx(truth, abs=0.1)
    assert kept.kl == pytest.approx(truth - math.log(paid.sum() / p.sum()), abs=0.1)
    assert kept.reward > policy.reward.mean + 0.3


def test_where_the_run_is_too_cold_for_its_samples_they_are_kept_by_the_next_optimum_that_they_reach():
    """Nothing was kept of such a run, and its files were what the policy writes."""
    other = new_model(seed=2)
    policy, prior = evaluate(other, DOMAIN, scorer(), 900, seeded(1)), evaluate(other, DOMAIN, scorer(), 900, seeded(2))
    own, others = (written(each, other, other, 900)[0] for each in (policy, prior))
    rows, kept = kept_of(policy, prior, Optimum(own, others, 0.01), 200, seed=0)
    assert len(rows) == 200 <= kept.effective < 260
    assert 0.01 < kept.temperature < 1.0
    reward = np.concatenate([own.reward, others.reward])
    items = np.where(np.concatenate([policy.scores.valid, prior.scores.valid]), reward, np.nan)
    assert tilt(items, kept.temperature / 1.15).effective < 200
    assert kept.reward == pytest.approx(tilt(items, kept.temperature).reward)
    assert kept.reward > policy.reward.mean


def test_few_samples_are_not_kept_at_a_temperature_at_which_nothing_is_rewarded():
    """Files of a short run were said to be kept at temperature 20,000."""
    other = new_model(seed=2)
    policy, prior = (evaluate(other, DOMAIN, scorer(), 120, seeded(seed)) for seed in (1, 2))
    own, others = (written(each, other, other, 120)[0] for each in (policy, prior))
    cold = Optimum(own, others, 0.1)
    rows, kept = kept_of(policy, prior, cold, 100, seed=0)
    assert 50 <= len(rows) <= kept.effective < 70
    assert kept.temperature < 1.5
    assert not len(kept_of(policy, prior, replace(cold, temperature=1e-4), 100, seed=0)[0])


def test_nothing_is_kept_by_an_optimum_that_earns_less_than_the_policy():
    """The policy stands where the prior's samples do not reach: what both tell of is far behind it."""
    other, ahead = new_model(seed=2), new_model(seed=2)
    with torch.no_grad():
        ahead.head.bias[A] += 8
    policy, prior = (evaluate(m, DOMAIN, scorer(), 300, seeded(i)) for i, m in enumerate((ahead, other)))
    reward = np.full(300, 5.0)
    own, others = (written(each, ahead, other, 300)[0] for each in (policy, prior))
    found = Optimum(replace(own, reward=reward + np.arange(300) / 50), replace(others, reward=reward - 9), 0.01)
    assert not len(kept_of(policy, prior, found, 150, seed=0)[0])


def test_what_the_policy_has_unlearnt_is_kept_of_the_priors_samples():
    """A policy that never ends: its own samples alone would tell another optimum, without a word."""
    other, policy_model = new_model(seed=2), new_model(seed=2)
    with torch.no_grad():
        policy_model.head.bias[EOS] -= 20
    policy, prior = (evaluate(m, DOMAIN, scorer(), 900, seeded(i)) for i, m in enumerate((policy_model, other)))
    found = Optimum(*(written(each, policy_model, other, 900)[0] for each in (policy, prior)), 1.0)
    _, kept = kept_of(policy, prior, found, 50, seed=0)
    own = written(prior, other, other, 900)[0]
    _, alone = kept_of(prior, prior, Optimum(own, own, 1.0), 50, seed=0)
    assert not policy.scores.valid.any()
    assert kept.reward == pytest.approx(alone.reward)
    assert kept.kl == pytest.approx(alone.kl, abs=1e-3)


def test_draws_of_a_tuned_model_keep_what_it_has_unlearnt(monkeypatch):
    """Every other one is drawn from the prior; the figures are those of the enumerated optimum."""
    other, policy = new_model(seed=2), new_model(seed=2)
    with torch.no_grad():
        policy.head.bias[EOS] -= 20
    source = Source(policy, DOMAIN, TrainConfig(domain="letters"), Path(), tuned=True)
    monkeypatch.setitem(source.__dict__, "prior", other)
    scores, told = choose(source, scorer(), 100, 20, seed=0, temperature=1.0)
    sequences = every(DOMAIN.max_length)
    reward = scorer().score(sequences.numpy(), ~(sequences == EOS).any(-1).numpy()).totals
    best = log_probabilities(other, sequences).numpy() + reward
    best = np.exp(best - best.max()) / np.exp(best - best.max()).sum()
    assert told.reward == pytest.approx(float(best @ reward), abs=0.1)
    assert scores.totals.mean() == pytest.approx(float(best @ reward), abs=3 * scores.totals.std() / 10)
    ended = (sequences == EOS).any(-1).numpy()
    assert float(best @ ended) > 0.3
    assert scores.valid.mean() == pytest.approx(float(best @ ended), abs=0.15)


def test_what_should_be_near_needs_something_to_be_near_to():
    zeros, ones = np.zeros(2), np.ones(2)
    assert Measure("x", zeros, ones, "near", reference=0.3).reference == 0.3
    with pytest.raises(ValueError, match="better near its reference, and has none"):
        Measure("x", zeros, ones, "near")
    with pytest.raises(ValueError, match="is nan, which is no figure"):
        Measure("x", zeros, ones, reference=math.nan)
    for halfwidth in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match="reference_halfwidth of Measure 'x' is"):
            Measure("x", zeros, ones, reference=0.3, reference_halfwidth=halfwidth)
    with pytest.raises(ValueError, match="higher, lower, near, neither are known"):
        Measure("x", zeros, ones, "up")


def test_the_table_shows_what_real_items_have_where_a_figure_says_it():
    both = {
        key: {"mean": mean, "halfwidth": 0.01} for key, mean in (("prior", 0.4), ("best_of_n", 0.4), ("policy", 0.2))
    }
    row = {"name": "steps", "better": "near", "percent": False, "summary": "", "reference": 0.5} | both
    plain = row | {"name": "reward", "better": "higher", "reference": None}
    summary = {**report_summary(), "samples": 10, "best_of": 4, "reward": plain, "terms": [plain], "measures": [row]}
    table = comparison_table(parse(summary))
    assert [str(column.header) for column in table.columns][-2:] == ["real", ""]
    assert [list(column.cells)[-1] for column in table.columns][-2:] == ["0.500", "further"]
    judged = row | {"kept": {"mean": 0.5, "halfwidth": 0.01}}
    after = comparison_table(parse(summary | {"measures": [judged, row | {"name": "distinct"}]}))
    assert [str(column.header) for column in after.columns][-4:] == ["tuned", "kept", "real", ""]
    cells = [list(column.cells)[-2:] for column in after.columns][-4:]
    assert cells == [["0.200", "0.20 ± 0.01"], ["0.50 ± 0.01", ""], ["0.500", "0.500"], ["nearer", "further"]]
    nobody = row | {"kept": {"mean": math.nan, "halfwidth": math.nan}}  # it concerns no item that is worth anything
    for mean in (math.nan, None):
        nobody["kept"] = {"mean": mean, "halfwidth": mean}
        table = comparison_table(parse(summary | {"measures": [judged, nobody]}))
        assert [list(column.cells)[-1] for column in table.columns][-4:] == ["0.20 ± 0.01", "", "0.500", "further"]
    without = comparison_table(parse(summary | {"measures": [plain]}))
    assert [str(column.header) for column in without.columns] == ["", "prior", "best of 4 from it", "tuned", ""]


def test_the_command_for_more_of_the_kind_is_one_that_works():
    """It said `--draws 1` beside a temperature that needs several, rounded below what the draws reach."""
    kept = {"items": 100, "draws": 120, "effective": 100.2, "reward": 1.0, "kl": 0.1, "temperature": 1.3041}
    assert kept_line(kept, 1.0, Path("run")).endswith("--draws 3 --reward-temperature 1.31")
    assert kept_line({**kept, "draws": 2000}, 1.3041, Path("run")).endswith("seqtutor generate run/ --draws 20")
