"""Inference: exact on enumerated worlds, honest intervals, one line for each mistake, a config that train takes."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from exact import world
from letters import FixedLettersDomain, LettersDomain, Options, every, language, log_probabilities, new_model

from seqtutor import TokenTerm, UserError
from seqtutor.cli import main
from seqtutor.cli.inferred import _gain, _guard, as_config, of_terms
from seqtutor.inference import (
    Inference,
    _repeated,
    beyond,
    correlated,
    examination,
    features,
    infer,
    matched,
    usable,
)
from seqtutor.inference.features import offered, prior_base, score
from seqtutor.inference.shared import share
from seqtutor.priors import sampling
from seqtutor.priors.files import load_prior, save_model
from seqtutor.rewards.reward import Reward
from seqtutor.rewards.terms import settings_of

NAMES = ("one", "two", "three")


def enumerated(seed):
    """A world's prior p (S,) over all its sequences, and three random terms (S, 3), in their standard deviations."""
    tables = [world(100 * seed + k) for k in range(3)]
    p = np.exp([tables[0].score(tables[0].prior, x) for x in tables[0].sequences])
    phi = np.array([[table.score(table.reward, x) for table in tables] for x in tables[0].sequences])
    away = phi - p @ phi
    return p / p.sum(), away / np.sqrt(p @ away**2)


def tilted(p, phi, w):
    q = p * np.exp(phi @ w)
    return q / q.sum()


def drawn(p, phi, n, rng):
    return phi[rng.choice(len(p), n, p=p)]


def examples(seed=0, n=50, w=(0.8, -0.5, 0.0), base=1000):
    """Items and base texts of one world."""
    rng, (p, phi) = np.random.default_rng(seed), enumerated(seed)
    return drawn(tilted(p, phi, np.array(w)), phi, n, rng), drawn(p, phi, base, rng)


# What is inferred


@pytest.mark.parametrize("seed", range(10))
def test_exact_expectations_give_the_weights(seed):
    p, phi = enumerated(seed)
    w = np.random.default_rng(seed).normal(size=3)
    mean = tilted(p, phi, w) @ phi
    found = matched(mean, phi, p)
    assert found.weights == pytest.approx(w, abs=1e-8)
    assert found.value == pytest.approx(mean @ w - np.log(p @ np.exp(phi @ w)), abs=1e-10)
    assert found.q == pytest.approx(tilted(p, phi, w), abs=1e-10)


def test_exact_expectations_give_the_weights_of_a_domains_own_terms():
    """Words of the letters, a random network as the prior, and the terms as a run is paid by them."""
    domain = LettersDomain(Options(longest=5))
    model, tokens = new_model(spread=1.0), every(5)
    p = np.exp(log_probabilities(model, tokens).numpy())
    phi, valid = score(domain, offered(domain), tokens.numpy(), ~(tokens.numpy() == 2).any(-1))
    p, phi = p[valid] / p[valid].sum(), phi[valid]
    w = np.array([0.7, -1.2])
    assert matched(tilted(p, phi, w) @ phi, phi, p).weights == pytest.approx(w, abs=1e-8)


def test_a_penalty_pulls_to_zero_and_the_gradient_vanishes():
    p, phi = enumerated(0)
    mean = tilted(p, phi, np.array([1.0, 0.5, -0.5])) @ phi
    found = matched(mean, phi, p, ridge=0.1)
    assert found.q @ phi + 0.1 * found.weights == pytest.approx(mean, abs=1e-10)
    assert np.linalg.norm(found.weights) < np.linalg.norm([1.0, 0.5, -0.5])


def test_what_nothing_like_stands_in_the_base_has_no_finite_weights():
    p, phi = enumerated(0)
    with pytest.raises(UserError, match="outside of everything"):
        matched(phi.max(axis=0) + 1, phi, p)
    assert np.isfinite(matched(phi.max(axis=0) + 1, phi, p, ridge=0.01).weights).all()


DRAWS = 500


@pytest.mark.parametrize("n", [20, 50, 200])
def test_intervals_cover_what_they_say(n):
    """Fresh items, a fresh base and other weights in each draw. Without S, .88 at 200 items."""
    covered = []
    for draw in range(DRAWS):
        rng, (p, phi) = np.random.default_rng([n, draw]), WORLDS[draw % len(WORLDS)]
        w = rng.normal(size=3)
        w *= 0.5 / np.linalg.norm(w)
        found = infer(drawn(tilted(p, phi, w), phi, n, rng), drawn(p, phi, BASE, rng), NAMES)
        assert found.names == NAMES
        covered += list(np.abs(found.mean / found.scale - w) <= found.halfwidth / found.scale)
    assert 0.93 <= np.mean(covered) <= 0.97


BASE = 400  # texts: few, so that what their number costs can be seen
WORLDS = [enumerated(seed) for seed in range(10)]


def test_the_unit_of_the_interval_is_the_item_not_the_excerpt():
    """Every item has weights of its own, and ten excerpts: taken one by one, these pretend to far too much."""
    (p, phi), rng = WORLDS[0], np.random.default_rng(5)
    own = [tilted(p, phi, np.array([0.5, -0.3, 0.0]) + rng.normal(scale=0.8, size=3)) for _ in range(2000)]
    truth = matched(np.mean(own, axis=0) @ phi, phi, p).weights
    items, excerpts = [], []
    for _ in range(120):
        base = drawn(p, phi, 1000, rng)
        folder = np.stack([drawn(own[i], phi, 10, rng) for i in rng.integers(len(own), size=50)])
        for covered, x in ((items, folder.mean(axis=1)), (excerpts, folder.reshape(-1, 3))):
            found = infer(x, base, NAMES)
            covered += list(np.abs(found.mean / found.scale - truth) <= found.halfwidth / found.scale)
    assert 0.92 <= np.mean(items) <= 0.98
    assert np.mean(excerpts) < 0.85


def test_the_likelihood_ratio_is_wrong_as_often_as_it_says():
    p_values = []
    for draw in range(300):
        rng, (p, phi) = np.random.default_rng([7, draw]), WORLDS[draw % len(WORLDS)]
        found = infer(drawn(tilted(p, phi, np.array([0.7, 0.0, 0.0])), phi, 100, rng), drawn(p, phi, BASE, rng), NAMES)
        assert found.p_values[0] < 0.05
        p_values += list(found.p_values[1:])
    assert 0.03 < np.mean(np.array(p_values) < 0.05) < 0.08
    assert 0.4 < np.mean(np.array(p_values) < 0.5) < 0.6


def same(one, other, tolerance=1e-9):
    for key in ("mean", "covariance", "p_values", "shift"):
        assert getattr(one, key) == pytest.approx(getattr(other, key), abs=tolerance), key


def test_what_every_item_has_alike_changes_nothing():
    x, y = examples()
    found, away = infer(x, y, NAMES), np.array([5.0, -300.0, 0.1])
    same(found, infer(x + away, y + away, NAMES))
    more = infer(np.c_[x, np.ones(len(x))], np.c_[y, np.ones(len(y))], (*NAMES, "alike"))
    same(found, more)
    assert more.dropped == {"alike": "is 1 for every base text"}


def test_units_change_the_weight_a_unit_alone():
    x, y = examples()
    found, other = infer(x, y, NAMES), infer(x * [10, 1, 1], y * [10, 1, 1], NAMES)
    same(found, other)
    assert other.mean / other.scale == pytest.approx(found.mean / found.scale / [10, 1, 1])


def chosen(share, rng, listed=200, w=(0.5, -0.3, 0.0)):
    """A list, and which of it were chosen: each on its own, with odds exp(a + w . y)."""
    y = rng.normal(size=(listed, 3))
    log_odds = y @ w + np.log(share / (1 - share))
    return y, rng.uniform(size=listed) < 1 / (1 + np.exp(-log_odds))


@pytest.mark.parametrize("share", [0.15, 0.5, 0.75])
def test_intervals_hold_the_odds_of_a_choice_however_much_was_chosen(share):
    rng, right, found = np.random.default_rng(0), [], []
    for _ in range(200):
        y, taken = chosen(share, rng)
        one = infer(y[taken], y, NAMES, whole_base=True)
        right.append(np.abs(one.mean - [0.5, -0.3, 0] * one.scale) <= one.halfwidth)
        found.append(one.mean / one.scale)
    assert ((np.mean(right, axis=0) > 0.9) & (np.mean(right, axis=0) < 0.99)).all()
    assert np.mean(found, axis=0) == pytest.approx([0.5, -0.3, 0], abs=0.05)


def test_what_was_left_has_the_opposite_weights():
    y, taken = chosen(0.4, np.random.default_rng(1))
    liked, left = (infer(y[rows], y, NAMES, whole_base=True) for rows in (taken, ~taken))
    assert left.mean == pytest.approx(-liked.mean, abs=1e-8)
    assert left.p_values == pytest.approx(liked.p_values, abs=1e-8)
    assert np.abs(liked.sampling).max() == 0
    q = np.exp((y - y.mean(0)).clip(*np.quantile(y - y.mean(0), [0.005, 0.995], axis=0)) / liked.scale @ liked.mean)
    assert liked.ess == pytest.approx(q.sum() ** 2 / (q**2).sum(), rel=1e-6)  # of p exp(w . y), where a run would go


def test_small_choices_are_no_matter_of_a_sample_and_what_has_no_value_is_not_of_the_list():
    y, taken = chosen(0.2, np.random.default_rng(3), listed=60, w=(2.0, 0.0, 0.0))
    found = infer(y[taken], y, NAMES, whole_base=True)
    assert found.ess < 30
    assert found.mean[0] > found.halfwidth[0]
    y[50:, 1] = np.nan
    with pytest.raises(UserError, match="all of the 50 items of the list were chosen"):
        infer(y[:50], y, NAMES, whole_base=True)


def test_a_few_of_a_long_list_are_as_a_sample():
    p, phi = enumerated(0)
    mean = tilted(p, phi, np.array([1.0, 0.5, -0.5])) @ phi
    few, none = matched(mean, phi, p, share=1e-7), matched(mean, phi, p)
    assert few.weights == pytest.approx(none.weights, abs=1e-5)
    assert few.spread(phi) == pytest.approx(none.spread(phi), abs=1e-5)


def test_a_list_that_was_taken_whole_or_is_short_tells_nothing():
    y, _ = chosen(0.4, np.random.default_rng(1))
    with pytest.raises(UserError, match="all of the 200 items of the list were chosen"):
        infer(y, y, NAMES, whole_base=True)
    with pytest.raises(UserError, match="the list has 30 items that can be used; at least 40"):
        infer(y[:10], y[:30], NAMES, whole_base=True)


def test_items_count_by_their_counts_and_no_scale_of_these_matters():
    x, y = examples(n=40)
    counts = np.repeat([1.0, 3.0], 20)
    found = infer(x, y, NAMES, counts=counts)
    same(found, infer(x, y, NAMES, counts=7 * counts))
    assert found.shift == pytest.approx(counts @ ((x - y.mean(0)) / y.std(0)) / counts.sum(), abs=0.05)
    assert (found.halfwidth > infer(x, y, NAMES).halfwidth).all()  # of 40 items as many as 32 are left


def test_terms_that_cannot_be_told_apart_are_shown_and_one_that_says_the_same_is_dropped():
    x, y = examples()
    rng = np.random.default_rng(0)
    near = [np.c_[z, z[:, 0] + 0.1 * rng.normal(size=len(z))] for z in (x, y)]
    ((one, other, c),) = correlated(infer(*near, (*NAMES, "near")))
    assert {one, other} == {"one", "near"}
    assert c < -0.9
    twice = [np.c_[z, 2 * z[:, 0] - z[:, 2] + 1] for z in (x, y)]
    assert infer(*twice, (*NAMES, "twice")).dropped == {"twice": "says the same as one and three"}


def test_a_term_that_is_never_known_with_the_others_is_said_to_be_so():
    """It was dropped since it 'says the same as ' nothing."""
    _, y = examples()
    apart = np.where(np.arange(len(y)) < len(y) * 0.96, y[:, 0], np.nan)
    other = np.where(np.arange(len(y)) < len(y) * 0.96, np.nan, y[:, 1])
    assert _repeated(np.c_[apart, other], [0], 1, ("one", "other")) == "has no value where the terms before it have one"


def test_a_rare_term_is_dropped_and_a_wild_value_is_clipped():
    x, y = examples()
    rare = np.zeros(len(y))
    rare[:15] = -100.0
    kept, dropped = usable(np.c_[x, np.zeros(len(x))], np.c_[y, rare], (*NAMES, "rare"))
    assert kept == [0, 1, 2]
    assert dropped == {"rare": "is 0 for all but 15 of 1,000 base texts: too rare"}
    wild = y.copy()
    wild[0, 0] = 1e6
    assert infer(x, wild, NAMES).mean == pytest.approx(infer(x, y, NAMES).mean, abs=0.02)


def test_a_value_that_could_not_be_computed_costs_its_text_or_where_there_are_many_its_term():
    x, y = examples()
    x[0, 0] = y[5, 1] = np.nan
    found = infer(x, y, NAMES)
    assert (found.items, found.base) == (49, 999)
    y[:300, 2] = np.nan
    assert infer(x, y, NAMES).dropped == {"three": "has no value for 30% of the base texts"}


def test_too_little_is_refused():
    x, y = examples(n=7)
    with pytest.raises(UserError, match="7 items can be used; at least 8 are needed"):
        infer(x, y, NAMES)
    x, y = examples(n=200, w=(5.0, 5.0, 5.0), base=200)
    with pytest.raises(UserError, match=r"too far from what they are compared with: 200 texts are worth \d+, and 30"):
        infer(x, y, NAMES)
    with pytest.raises(UserError, match="no term tells one text from another"):
        infer(np.ones((9, 1)), np.ones((100, 1)), ["same"])


def inference(mean, sd):
    k = len(mean)
    ones, cov = np.ones(k), np.diag(np.square(sd))
    return Inference(NAMES[:k], np.array(mean), cov, 0.0 * cov, ones, ones, -ones, ones, ones, {}, 9, 99, 99.0, 0.0)


def test_folders_share_the_mean_of_their_weights_and_say_where_they_differ():
    shared = share([inference([0.4, 1.0], [0.1, 0.1]), inference([0.6, -1.0], [0.1, 0.1])])
    assert shared.mean == pytest.approx([0.5, 0.0])
    assert shared.p_differ[0] == pytest.approx(0.1573, abs=1e-4)  # chi^2_1 of 2
    assert shared.p_differ[1] < 1e-9
    assert shared.halfwidth == pytest.approx(1.959964 * np.sqrt([0.005, 0.005]))  # of these two, however they differ


@pytest.mark.parametrize("sets", [2, 3, 5])
def test_the_interval_of_what_sets_share_holds_their_mean(sets):
    """Of sets that differ by twice their own error; an interval for sets like them held theirs in .79 to .91."""
    rng, right = np.random.default_rng(0), []
    for _ in range(500):
        own = rng.uniform(0.1, 0.2, (sets, 3))
        truth = rng.normal(0.2, 0.3, (sets, 3))
        shared = share([inference(*row) for row in zip(truth + own * rng.normal(size=own.shape), own, strict=True)])
        right.append(np.abs(shared.mean - truth.mean(axis=0)) <= shared.halfwidth + np.ptp(own, axis=0))
    assert np.mean(right) > 0.93


def test_what_is_no_item_stays_as_rare_as_it_was():
    rng = np.random.default_rng(0)
    valid = np.c_[np.ones(90), rng.normal(size=(90, 2))]
    invalid = np.c_[np.zeros(10), np.full((10, 2), -3.0)]
    weights = np.array([0.0, -1.0, 0.3])
    (k, weight), gap = _guard(weights, features.Base(valid, invalid))
    assert k == 0
    assert gap > 1.0
    weights[0] = weight
    assert _gain(weights, valid) == pytest.approx(_gain(weights, invalid))


def test_a_weight_that_would_pay_for_what_nobody_has_seen_is_paid_as_far_as_it_was_fitted():
    """A penalty that few texts have, with its weight turned round: the tilt would go there and nowhere else."""
    p, phi = enumerated(0)
    far = phi[:, 0].argsort()[:2]
    phi[far, 0] = phi[:, 0].min() - 30.0  # beyond the clip: together less than 0.5 % of the mass
    p[far] = 1e-3
    p /= p.sum()
    rng = np.random.default_rng(0)
    base = drawn(p, phi, 4000, rng)
    low, high = np.quantile(base, [0.005, 0.995], axis=0)
    w = np.array([-0.6, 0.3, 0.0])
    items = drawn(tilted(p, phi.clip(low, high), w), phi, 200, rng)
    found = infer(items, base, NAMES)
    assert (found.low == low).all()
    weights = found.mean / found.scale
    assert beyond(base, weights, low, high).tolist() == [True, False, False]
    straight, bounded = tilted(p, phi, weights), tilted(p, np.c_[phi[:, 0].clip(low[0], high[0]), phi[:, 1:]], weights)
    assert straight[far].sum() > 0.99  # what a run would have been paid for
    assert np.abs(bounded @ phi.clip(low, high) - items.clip(low, high).mean(axis=0)).max() < 0.1
    assert not beyond(base, -weights, low, high).any()  # a penalty that stays one needs no bound
    assert not beyond(base, 0 * weights, low, high).any()


def test_a_config_pays_a_bounded_term_as_far_as_it_was_fitted_and_no_item_the_least():
    domain, base = LettersDomain(), features.Base(np.c_[np.zeros(100), np.ones(100)], np.zeros((3, 2)))
    base.values[:2, 0], base.values[2:50, 0] = -40.0, -1.0
    found = replace(inference([-0.5, 0.2], [0.1, 0.1]), names=("rises", "variety"))
    weights, tables, warnings = of_terms(domain, found, found, domain.terms(), base)
    text = as_config(domain, {}, "", weights, tables)
    read = tomllib.loads(text)
    assert read["terms"] == {"rises": {"transform": {"kind": "interpolation", "points": [[-1.0, 1.0], [1.0, -1.0]]}}}
    assert read["weights"] == {"rises": 0.5, "variety": 0.2}
    assert "rises = 0.5  # -0.50 +- " in text
    assert "nats per standard deviation; its transform pays for less of it\n" in text
    assert "pays rises as far as that was fitted" in warnings[0]
    tiny = replace(found, names=("variety", "rises"), mean=np.array([1e-17, -0.5]))
    assert "variety = 0.0  # " in "\n".join(of_terms(domain, tiny, tiny, domain.terms(), base)[0])
    reward = Reward(
        [replace(term, weight=read["weights"][term.name]) for term in domain.terms()], settings_of(read["terms"])
    )
    steps = np.array([[[-3.0, 0.0], [0.0, 1.0]], [[-0.5, 0.0], [0.0, 1.0]]])  # (B, T, K)
    real, valid = np.ones((2, 2), bool), np.ones(2, bool)
    assert reward(steps, real, valid).sum(1) == pytest.approx([0.5 + 0.2, 0.25 + 0.2])


# Features


class Windows(FixedLettersDomain):
    """An item is cut into all its windows."""

    def excerpts(self, text):
        tokens = self.encode(text)
        return [tokens[i : i + self.max_length] for i in range(len(tokens) - self.max_length + 1)]


def test_an_item_is_the_mean_of_its_excerpts_and_counts_once():
    domain = Windows(Options(longest=3))
    items = features.features(domain, offered(domain), ["abca", "ab", "aaa", "aaa", "abz", "aa a"])
    assert items.texts == ["abca", "aaa"]
    assert items.counts.tolist() == [2, 1]
    assert items.values.tolist() == [[(2 + 1) / 2, 3.0], [0.0, 1.0]]
    assert items.repeats == 1
    assert [problem.split(":")[0] for problem in items.problems] == ["'ab'", "'abz'", "'aa a'"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Every test works in a folder of its own."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def prior(tmp_path):
    (tmp_path / "prior").mkdir()
    save_model(new_model(spread=1.0), tmp_path / "prior", "model", domain="letters")
    return str(tmp_path / "prior")


@pytest.mark.usefixtures("installed")
def test_the_priors_texts_are_sampled_once_and_again_where_anything_changed(prior, kept_here, monkeypatch):
    domain = LettersDomain()
    terms = offered(domain)
    base = prior_base(domain, terms, prior, 300)
    sampled = []
    real = sampling.draw
    monkeypatch.setattr(sampling, "draw", lambda *a: sampled.append(a) or real(*a))
    again = prior_base(domain, terms, prior, 300)
    assert not sampled
    assert (again.values == base.values).all()
    assert (again.invalid == base.invalid).all()
    assert len(base.invalid)
    for file in kept_here.iterdir():
        file.write_bytes(file.read_bytes()[:-40])
    assert (prior_base(domain, terms, prior, 300).values == base.values).all()
    assert len(sampled) == 1
    twice = [TokenTerm("rises", 1.0, "", "", lambda ids: 2 * terms[0].values(ids)), terms[1]]
    assert (prior_base(domain, twice, prior, 300).values[:, 0] == 2 * base.values[:, 0]).all()
    save_model(new_model(spread=1.0, seed=1), Path(prior), "model", domain="letters")
    prior_base(domain, terms, prior, 300)
    assert len(sampled) == 2


def test_a_cache_that_cannot_be_written_costs_time_alone(prior, kept_here, installed):
    kept_here.write_text("a file where the folder should be", encoding="utf-8")
    assert len(prior_base(LettersDomain(), offered(LettersDomain()), prior, 100).values)


# The command

pytestmark = pytest.mark.usefixtures("installed")


def call(*args):
    return CliRunner().invoke(main, ["infer", *map(str, args)])


def succeed(*args):
    result = call(*args)
    assert result.exit_code == 0, result.output
    return result.output


def refuse(*args):
    """Run a command that must fail -> its one line."""
    result = call(*args)
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr


def write(name, words):
    Path(name).write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    return name


def words(seed=0, longest=4):
    """All distinct words of the language, in a random order."""
    found = list(dict.fromkeys(language(3000, longest)))
    return [found[i] for i in np.random.default_rng(seed).permutation(len(found))]


LONG = ("--domain", "letters", "--longest", "7")


def test_a_table_and_a_config_that_train_takes(prior):
    rising = [word for word in words(longest=6) if "abc" in word or "bcab" in word][:40]
    said = succeed(*LONG, "--prior", prior, "--examples", write("mine.txt", rising), "--output", "mine.toml")
    assert "mine.txt: 40 items" in said
    assert "much higher" in next(line for line in said.splitlines() if line.startswith("rises"))
    assert "effective sample size" in said
    config = tomllib.loads(Path("mine.toml").read_text(encoding="utf-8"))
    assert (config["domain"], config["prior"], config["options"]) == ("letters", prior, {"longest": 7})
    domain = LettersDomain(Options(longest=7))
    items = features.read_items(domain, Path("mine.txt"), offered(domain))
    found = infer(items.values, prior_base(domain, offered(domain), prior, 20_000).values, ("rises", "variety"))
    weights = [config["weights"][name] / config["temperature"] for name in found.names]
    assert weights == pytest.approx(found.mean / found.scale, rel=1e-5)
    result = CliRunner().invoke(main, ["train", "--config", "mine.toml", "--updates", "1", "--output", "run"])
    assert result.exit_code == 0, result.output
    assert "mine.toml exists" in refuse(*LONG, "--prior", prior, "--examples", "mine.txt", "--output", "mine.toml")


def test_a_term_that_is_left_out_has_no_weight_and_changes_no_other_by_its_own(prior):
    mine = write("mine.txt", [word for word in words(longest=6) if "abc" in word or "bcab" in word][:40])
    said = succeed(*LONG, "--prior", prior, "--examples", mine, "--without", "variety", "--output", "mine.toml")
    assert "rises" in said
    assert "variety" not in said
    config = tomllib.loads(Path("mine.toml").read_text(encoding="utf-8"))
    assert config["weights"].pop("variety") == 0
    domain = LettersDomain(Options(longest=7))
    terms = [term for term in offered(domain) if term.name != "variety"]
    items = features.read_items(domain, Path(mine), terms)
    found = infer(items.values, prior_base(domain, terms, prior, 20_000).values, [term.name for term in terms])
    assert [config["weights"][name] for name in found.names] == pytest.approx(found.mean / found.scale, rel=1e-5)
    assert "unknown term to leave out 'wariety'; did you mean 'variety'?" in refuse(
        *LONG, "--prior", prior, "--examples", mine, "--without", "wariety"
    )
    every = [part for term in offered(domain) for part in ("--without", term.name)]
    assert "--without names every term" in refuse(*LONG, "--prior", prior, "--examples", mine, *every)


def test_the_texts_of_a_prior_that_are_worth_too_few_are_taken_a_second_time_and_more(prior, monkeypatch):
    far = write("far.txt", words(longest=6)[:40])
    said = " ".join(succeed(*LONG, "--prior", prior, "--examples", far, "-n", "250").split())
    assert "; below 100 the intervals are rough" in said  # who says how many gets so many
    monkeypatch.setattr(features, "TEXTS", 100)
    said = " ".join(succeed(*LONG, "--prior", prior, "--examples", far).split())
    assert "100 texts of the prior are worth" in said
    assert "and 100 are wanted: 500 are taken" in said
    assert int(re.search(r"against (\d+) texts of the prior", said)[1]) > 200


def test_a_default_that_is_typed_changes_nothing(prior):
    far = write("mine.txt", words(longest=3)[:20])
    short = ("--domain", "letters", "--prior", prior, "--examples", far)
    assert succeed(*short, "--longest", "4", "--output", "a.toml").replace("a.toml", "") == succeed(
        *short, "--output", "b.toml"
    ).replace("b.toml", "")
    typed, usual = (tomllib.loads(Path(name).read_text(encoding="utf-8")) for name in ("a.toml", "b.toml"))
    assert typed.pop("options") == {"longest": 4}
    assert typed == usual


def test_the_samples_of_a_run_are_those_of_its_policy(prior):
    rows = [f"{i},{'policy' if i % 2 else 'prior'},{word},0" for i, word in enumerate(words(longest=6)[:60])]
    Path("samples.csv").write_text("\n".join(["number,model,text,reward", *rows]), encoding="utf-8")
    assert "samples.csv: 30 items" in succeed(*LONG, "--prior", prior, "--examples", "samples.csv")
    Path("run").mkdir()
    for name, text in (("config.toml", ""), ("ledger.csv", "text,reward\nabc,1\n"), ("failures.csv", "no,table\n")):
        (Path("run") / name).write_text(text, encoding="utf-8")
    Path("samples.csv").rename("run/samples.csv")
    assert "run: 30 items\n" in succeed(*LONG, "--prior", prior, "--examples", "run")
    nothing = ["0,policy,,0", "1,prior,abc,0"]
    Path("run/samples.csv").write_text("\n".join(["number,model,text,reward", *nothing]), encoding="utf-8")
    assert "none of 2 samples was valid" in refuse(*LONG, "--prior", prior, "--examples", "run")


def test_what_stands_in_two_sets_is_evidence_once(prior):
    one, copy = write("one.txt", words(0, 6)[:50]), write("copy.txt", words(0, 6)[20:70])
    part = write("part.txt", words(0, 6)[45:90])
    both = ("--prior", prior, "--examples", f"a={one}", "--examples")
    assert "a and b have 30 items in common, of 50: leave one of them out" in refuse(*LONG, *both, f"b={copy}")
    assert "a and b have 5 items in common" in succeed(*LONG, *both, f"b={part}")
    listed = write("listed.txt", words(0, 6)[:90])
    chosen = ("--examples", f"a={one}", "--examples", f"b={copy}", "--among", listed)
    assert "in common" not in succeed(*LONG, *chosen)  # two who chose alike


def test_folders_have_a_column_each_and_what_they_share(prior):
    one, other = write("one.txt", words(0, 6)[:50]), write("other.txt", words(1, 6)[:60])
    said = succeed(*LONG, "--prior", prior, "--examples", f"bach={one}", "--examples", f"folk={other}")
    assert all(heading in said for heading in ("bach", "(50)", "folk", "(60)", "shared", "p they", "differ"))
    assert all(len(line.rstrip()) <= 80 for line in said.splitlines() if "±" in line)
    assert "two sets of examples are named 'one.txt'" in refuse(*LONG, "--examples", one, "--examples", one)


def test_examples_that_were_chosen_from_a_list_need_no_prior():
    everything = words(longest=6)
    chosen = sorted(everything, key=lambda word: -len(set(word)) + 0.3 * len(word))[:30]
    listed, liked = write("all.txt", everything), write("liked.txt", chosen)
    said = succeed(*LONG, "--examples", liked, "--among", listed)
    assert f"30 items against {len(everything)} items of all.txt" in said
    assert "higher" in next(line for line in said.splitlines() if line.startswith("variety"))
    write("part.txt", everything[30:])
    assert "does not hold them all" in " ".join(succeed(*LONG, "--examples", liked, "--among", "part.txt").split())


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--domain", "leters", "--examples", "x"), "unknown domain 'leters'; did you mean 'letters'?"),
        (("--examples", "x"), "name a domain: --domain music"),
        ((*LONG, "--examples", "nowhere.txt"), "cannot read nowhere.txt: No such file"),
        ((*LONG, "--examples", "x.txt", "--among", "y.txt", "--prior", "p"), "--among replaces the prior's texts"),
    ],
)
def test_a_mistake_on_the_line_is_one_line(args, said):
    assert said in refuse(*args)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "is empty: it holds no item of domain 'letters'"),
        (["a b", "xyz"], "holds no item of domain 'letters' that can be used; the first: 'a b' is more than one word"),
        (["xyz"] * 9, "that can be used; the first: 'xyz': the vocabulary has no token 'x'"),
        (["abc"], "1 items can be used; at least 8 are needed"),
        (["abc"] * 20, "1 items can be used; at least 8 are needed"),
    ],
)
def test_examples_that_are_none_are_one_line(prior, content, said):
    last = refuse(*LONG, "--prior", prior, "--examples", write("mine.txt", content))
    assert said in last.replace("'a b': ", ""), last


def test_a_list_of_which_all_items_are_alike_is_one_line():
    same = write("same.txt", [x * n for x in "ab" for n in range(1, 26)])
    some = write("some.txt", ["a" * n for n in range(1, 11)])
    last = refuse(*LONG, "--longest", "30", "--examples", some, "--among", same)
    assert "no term tells one text from another (rises: is 0 for every base text; variety: is 1 for every" in last


def test_pretraining_ends_with_what_was_not_learnt():
    text = write("words.txt", words(0, 7) + words(1, 7))
    args = ["pretrain", "--domain", "letters", "--data", text, "--epochs", "2", "--hidden", "8", "--embedding", "4"]
    result = CliRunner().invoke(main, [*args, "--longest", "8", "--held-out", "0.2", "--output", "mine"])
    assert result.exit_code == 0, result.output
    assert "what the prior did not learn" in result.output
    about = json.loads(Path("mine/config.json").read_text(encoding="utf-8"))
    assert set(about["figures"]["unlearnt"]["rises"]) == {"w", "halfwidth", "p"}
    assert "rises" in Path("mine/unlearnt.txt").read_text(encoding="utf-8")
    few = CliRunner().invoke(main, [*args, "--longest", "8", "--held-out", "0.01", "--output", "other"])
    assert few.exit_code == 0
    assert "what it did not learn is not known:" in few.output
    assert "unlearnt" not in json.loads(Path("other/config.json").read_text(encoding="utf-8"))["figures"]


def test_a_term_that_sets_the_held_out_items_apart_gets_no_weight():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(2000, 2))
    items = np.column_stack([rng.normal(size=100) + 0.3, np.full(100, base[:, 1].max())])
    found = examination._told(items, base, ["usual", "in the corpus"], np.ones(100))
    assert found.names == ("usual",)
    assert found.dropped == {"in the corpus": "sets the held-out items apart from nearly every text of the prior"}
    with pytest.raises(UserError, match="furthest: in the corpus"):
        examination._told(items[:, 1:], base[:, 1:], ["in the corpus"], np.ones(100))


def test_a_term_that_set_the_items_apart_is_named_where_nothing_else_tells():
    base = np.column_stack([np.ones(2000), np.random.default_rng(0).normal(size=2000)])
    items = np.column_stack([np.ones(100), np.full(100, base[:, 1].max())])
    with pytest.raises(UserError, match=r"no term tells .*; in the corpus sets the held-out items apart"):
        examination._told(items, base, ["same", "in the corpus"], np.ones(100))


def test_what_a_prior_was_made_with_holds_wherever_it_is_named(prior):
    """Weights were fitted on words of four letters, and written into a config that paid words of seven."""
    model = load_prior(prior, LettersDomain(LettersDomain.Options(longest=7)))
    save_model(model, Path(prior), "model", domain="letters", options={"longest": 7})
    mine = write("mine.txt", [word for word in words(longest=6) if "abc" in word or "bcab" in word][:40])
    succeed("--domain", "letters", "--prior", prior, "--examples", mine, "--output", "mine.toml")
    config = tomllib.loads(Path("mine.toml").read_text(encoding="utf-8"))
    assert config["options"] == json.loads((Path(prior) / "config.json").read_text())["options"]
    Path("profile.toml").write_text(f'domain = "letters"\nprior = "{prior}"\n')
    told = CliRunner().invoke(main, ["calibrate", "profile.toml", "-n", "50", "--draws", "300"])
    assert told.exit_code == 0, told.output
    learnt = ["pretrain", "--domain", "letters", "--prior", prior, "--data", mine, "--epochs", "0", "--output", "next"]
    assert CliRunner().invoke(main, learnt).exit_code == 0
    assert json.loads(Path("next/config.json").read_text())["training"]["options"] == config["options"]
