"""What votes tell of a person, in words: true where the truth is known, and no more than the votes hold."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from letters import LettersDomain, language, new_model
from scipy.special import expit
from test_taste import simulated

from seqtutor import Measure
from seqtutor.cli import main
from seqtutor.people.lens import new_lens
from seqtutor.people.taste import Evidence, learn
from seqtutor.people.telling import MORE, Share, left_out, tell, worth
from seqtutor.people.votes import Vote, append
from seqtutor.priors.encoding import rows_of
from seqtutor.priors.files import save_model

PARTS = ("first", "second", "rater", "choice", "bad")


def test_left_out_votes_are_predicted_and_those_of_a_coin_are_not():
    rng = np.random.default_rng(0)
    steady = left_out(simulated(rng, np.array([3.0, 0.0, 0.0]), 200))
    coin = left_out(simulated(rng, np.zeros(3), 200))
    assert steady.interval[0] > 0.75
    assert coin.interval[0] < 0.5 < coin.interval[1]
    assert steady.of == 200


def test_a_pair_that_was_asked_again_is_left_out_with_itself():
    """A coin that remembers: each pair is asked twice, the second time the other way round, and answered alike."""
    right = of = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        once = simulated(rng, np.zeros(60), 30, items=500)
        swapped = replace(once, first=once.second, second=once.first, choice=1 - once.choice)
        both = [np.concatenate([getattr(part, name) for part in (once, swapped)]) for name in PARTS]
        found = left_out(Evidence(*both, once.beliefs))
        right, of = right + found.count, of + found.of
    assert of == 600
    assert Share(right, of).interval[0] < 0.5 < Share(right, of).interval[1] < 0.56


def test_what_is_expected_of_the_model_is_what_it_does():
    """Over tastes that come from the prior, the expected share of right orders is the true one."""
    expected, true, later = [], [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        weights = rng.standard_normal(6)
        taste = learn(simulated(rng, weights, 30), count=200)
        pool = rng.standard_normal((200, 6))
        (now, _), (then, _) = worth(taste, pool, rng)
        i, j = rng.integers(200, size=(2, 2000))
        mean = taste.weights.mean(0)
        true.append(np.mean(np.sign((pool[i] - pool[j]) @ mean) == np.sign((pool[i] - pool[j]) @ weights)))
        expected.append(now)
        later.append(then)
    assert np.mean(expected) == pytest.approx(np.mean(true), abs=0.03)
    assert np.mean(later) > np.mean(expected)
    assert MORE == 50


def test_more_answers_of_one_who_finds_both_bad_do_no_harm():
    """The answers that are foreseen were never "both bad", which told the model of such a person what is not so."""
    rng = np.random.default_rng(0)
    weights = rng.normal(0, 0.45, 20)
    first, second, pool = rng.normal(size=(200, 20)), rng.normal(size=(200, 20)), rng.normal(size=(400, 20))
    bad = rng.random(200) < expit(2 - first @ weights) * expit(2 - second @ weights)
    choice = (rng.random(200) < expit((first - second) @ weights)).astype(float)
    data = Evidence(first, second, np.zeros(200, np.int64), choice, bad, np.full((1, 20), 0.45))
    (now, _), (then, _) = worth(learn(data, count=300), pool, np.random.default_rng(0))
    assert bad.mean() > 0.5
    assert then > now + 0.005


def test_a_figure_that_a_term_says_already_is_no_second_one():
    class Twice(LettersDomain):
        def measure(self, texts):
            found = super().measure(texts)
            rises = next(term for term in self.terms() if term.name == "rises")
            ids = (
                rows_of(self, texts, self.max_length) if texts and None not in texts else np.zeros((len(texts), 1), int)
            )
            same = -2.0 * rises.values(ids).sum(-1)
            return [*found, Measure("falls", same, np.ones(len(texts)))]

    names = [new_lens(domain, new_model(spread=1.0, hidden=8)).names for domain in (LettersDomain(), Twice())]
    assert "rises" in names[0]
    assert names[0] == names[1]


def test_the_taste_is_told_with_its_rater():
    lens = new_lens(LettersDomain(), new_model(spread=1.0, hidden=8))
    words = language(160, 3)
    votes = [
        Vote("letters", "anna", x, y, "a" if x.count("a") >= y.count("a") else "b", str(n))
        for n, (x, y) in enumerate(pairwise(words))
    ]
    votes += [Vote("letters", "anna", v.b, v.a, {"a": "b", "b": "a"}[v.answer], f"r{v.id}", of=v.id) for v in votes[:5]]
    from seqtutor.people.taste import evidence

    data = evidence(votes, lens([v.a for v in votes]), lens([v.b for v in votes]), lens.beliefs)
    told = tell(votes, data, lens, lens(words))
    (anna,) = told.raters
    assert anna.alike == Share(5, 5)
    assert anna.votes == len(votes)
    assert told.unnamed >= 0
    assert {one.name for one in told.likings} == set(lens.names)
    assert told.left_out.interval[0] > 0.6


@pytest.fixture
def voted(installed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("prior").mkdir()
    save_model(new_model(spread=1.0, hidden=8), Path("prior"), "model", domain="letters")
    for x, y in pairwise(language(41, 3)):
        append(Path("v.jsonl"), Vote("letters", "anna", x, y, "a" if len(x) >= len(y) else "b"))


def explain(*words):
    return CliRunner().invoke(main, ["explain", "./prior", *words])


def test_the_command_says_it_in_words(voted):
    Path("v.jsonl").write_text(Path("v.jsonl").read_text() + '{"id": "x"')
    result = explain("--taste", "v.jsonl")
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "v.jsonl:41: the last line is cut off; passed over" in said
    assert "letters" in said  # the measure that was voted for
    assert "anna: 40 votes, no pair came back yet; takes the first of two equals in" in said
    assert "50 answers more would make it" in said
    assert "picking the best by hand from what you saw is as good as tuning" in said
    judged = explain("abc", "--taste", "v.jsonl")
    assert "nats: abc" in judged.output


def test_mistakes_are_one_line(voted):
    for words, said in (
        ((), "name what to explain: an item, as text or file, or votes with --taste FILE"),
        (("--taste", "none.jsonl"), "cannot read the votes none.jsonl"),
    ):
        result = explain(*words)
        assert result.exit_code == 1
        assert said in " ".join(result.output.split())
