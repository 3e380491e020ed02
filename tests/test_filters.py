"""Filters first: what a cheap one refuses earns nothing, and costs no call and no answer of a dear term."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from letters import LettersDomain, ids, new_model
from test_scoring import Oracle, score
from test_tuning import tuner_of

import seqtutor
from seqtutor import SequenceTerm, TokenTerm
from seqtutor.priors.files import save_model
from seqtutor.records.replay import Batch, Replay, worth_of
from seqtutor.rewards.payment import Payment
from seqtutor.rewards.reward import Reward
from seqtutor.rewards.scorer import Scorer
from seqtutor.rewards.terms import settings_of
from seqtutor.runs import explaining, hits
from seqtutor.runs.evaluation import of_terms
from seqtutor.training import proposals

DOMAIN = LettersDomain()


def dear_and_cheap(answer=lambda text: float(len(text)), passing=lambda text: float("a" in text), **more):
    """A scorer of a dear term, one that the domain has, and a filter; and what the three were asked."""
    dear, cheap, sieve = Oracle(answer), Oracle(), Oracle(passing)
    terms = [
        SequenceTerm("dear", 1.0, "", "", dear),
        SequenceTerm("cheap", 10.0, "", "", cheap),
        SequenceTerm("sieve", 0.0, "", "", sieve, filter=True),
    ]
    return Scorer(DOMAIN, terms, settings=settings_of({"dear": {"function": len}}), **more), (dear, cheap, sieve)


def test_what_a_filter_refuses_earns_nothing_and_is_not_asked_of_what_is_dear():
    scorer, (dear, cheap, sieve) = dear_and_cheap()
    scores = score(scorer, "ab", "b", "bb", "acc", "ab")
    np.testing.assert_array_equal(scores.totals, [22, 0, 0, 0, 22])
    assert scores.scored.all()
    assert (dear.asked, cheap.asked, sieve.asked) == (["ab"], ["ab", "b", "bb"], ["ab", "b", "bb"])
    np.testing.assert_array_equal(scores.terms["dear"], [2, np.nan, np.nan, np.nan, 2])  # nor is what is no item
    assert (scorer.calls, scorer.seen, list(scorer.refused)) == (1, {"ab"}, ["b", "bb"])
    assert [text for _, text, _ in scorer.news.calls] == ["ab"]
    assert not scorer.failed


def test_a_table_says_of_which_items_the_dear_term_speaks():
    scorer, _ = dear_and_cheap()
    said = {row["name"]: row["summary"] for row in of_terms(scorer)}
    assert said == {"dear": "; of items that pass the filters", "cheap": "", "sieve": ""}
    alone = Scorer(DOMAIN, scorer.terms[:2], settings=scorer.settings)
    assert {row["summary"] for row in of_terms(alone)} == {""}


def test_it_is_a_repeat_when_it_comes_again_and_is_still_not_asked():
    scorer, (dear, *_) = dear_and_cheap()
    score(scorer, "b", "ab")
    again = score(scorer, "b", "ab", "bb", "bb")
    np.testing.assert_array_equal(again.repeated, [True, True, False, True])
    assert (dear.asked, scorer.calls) == (["ab"], 1)


def test_a_budget_is_spent_on_what_passes_alone():
    scorer, (dear, *_) = dear_and_cheap(budget=2)
    scores = score(scorer, "b", "bb", "a", "ab", "abb", "bbb")
    np.testing.assert_array_equal(scores.scored, [True, True, True, True, False, True])
    assert (scorer.calls, scorer.spent, dear.asked) == (2, True, ["a", "ab"])


def test_a_run_that_writes_only_what_is_refused_is_idle():
    scorer, _ = dear_and_cheap(budget=5)
    for count in (1, 2):
        score(scorer, "b", "bb")
        assert scorer.idle == count
    score(scorer, "a")
    assert scorer.idle == 0


def test_a_filter_that_says_less_than_all_or_that_failed_refuses_nothing():
    shares = {"a": 0.25, "b": float("nan"), "ab": 0.0}
    scorer, (dear, *_) = dear_and_cheap(passing=shares.__getitem__)
    scores = score(scorer, "a", "b", "ab")
    assert dear.asked == ["a", "b"]
    np.testing.assert_array_equal(scores.totals, [11 * 0.25, np.nan, 0])
    assert (scorer.calls, [(term, text) for term, text, _ in scorer.failed]) == (2, [("sieve", "b")])


def test_a_filter_of_the_users_own_is_asked_like_any_dear_term():
    sieve, other = Oracle(lambda text: float("a" in text)), Oracle()
    terms = [SequenceTerm("mine", 0.0, "", "", sieve, filter=True), SequenceTerm("other", 1.0, "", "", other)]
    scorer = Scorer(DOMAIN, terms, settings=settings_of({"mine": {"function": len, "filter": True}}), budget=1)
    scores = score(scorer, "b", "ab")
    assert (sieve.asked, other.asked, scorer.calls) == (["b"], ["b"], 1)
    np.testing.assert_array_equal(scores.totals, [0, np.nan])


def test_refused_texts_are_no_failures_of_the_dear_term():
    scorer, _ = dear_and_cheap(answer=lambda text: float("nan"), failures=0.6)
    for _ in range(3):
        score(scorer, "b", "bb", "bbb")  # only these: nothing failed
    scorer.check()
    scorer, _ = dear_and_cheap(answer=lambda text: float("nan"), failures=0.6)
    for word in ("a", "aa", "aaa"):
        score(scorer, "b", "bb", word)  # of those that were asked every one
    with pytest.raises(seqtutor.UserError, match="'dear' could not score 3 of 3 texts"):
        scorer.check()


def test_texts_that_nobody_sampled_are_treated_alike_and_told_with_the_filter():
    scorer, (dear, *_) = dear_and_cheap()
    found = list(hits.scored(scorer, ["ab", "b"]))
    assert (dear.asked, [item.failed for item in found], [item.reward for item in found]) == (
        ["ab"],
        ["", "sieve"],
        [22, 0],
    )
    assert hits.best(LettersDomain(), found, 5, 0) == found[:1]


def test_best_of_n_is_no_measure_of_calls_that_a_filter_saved(installed, tmp_path, monkeypatch):
    sieve = SequenceTerm(
        "sieve", 0.0, "no b", "tests", lambda texts: [float("b" not in text) for text in texts], filter=True
    )
    monkeypatch.setattr(LettersDomain, "terms", lambda self: [sieve])
    terms = {"dear": lambda texts: [float(len(text)) for text in texts]}
    save_model(new_model(spread=1.0), tmp_path, "model", domain="letters")
    more = {"prior": f"{tmp_path}/", "updates": 2, "samples": 10, "best_of": 2, "rollouts": 16, "objective": "tb"}
    run = seqtutor.tune("letters", terms=terms, folder=tmp_path / "run", **more)
    assert run.summary["best_scored"]["per_call"] is False
    assert "at as many calls" not in (run.folder / "report.html").read_text()
    monkeypatch.setattr(LettersDomain, "terms", lambda self: [replace(sieve, filter=False)])
    run = seqtutor.tune("letters", terms=terms, folder=tmp_path / "other", **more)
    assert run.summary["best_scored"]["per_call"] is True
    assert "at as many calls" in (run.folder / "report.html").read_text()


def test_what_explains_an_item_shows_what_a_filter_left_of_its_pay():
    pays = TokenTerm("pays", 1.0, "", "", lambda tokens: np.ones(tokens.shape))
    scorer, _ = dear_and_cheap(passing=lambda text: 0.5 * ("a" in text))
    scorer = Scorer(DOMAIN, [pays, *scorer.terms], settings=scorer.settings)
    for text, share in (("ab", 0.5), ("b", 0.0)):
        scores = scorer.of_texts([text], ids(text))
        paid, whole = explaining._earned(scorer, scores)
        assert paid["pays"].sum() == pytest.approx(share * (len(text) + 1))
        assert ("dear" in whole) == (share > 0)


def test_it_lasts_over_a_checkpoint():
    scorer, _ = dear_and_cheap()
    score(scorer, "b", "ab", "bb")
    other, (dear, *_) = dear_and_cheap()
    other.restore(json.loads(json.dumps(scorer.state())))
    assert list(other.refused) == ["b", "bb"]
    np.testing.assert_array_equal(score(other, "b", "a").repeated, [True, False])
    assert dear.asked == ["a"]


def test_without_the_filter_it_is_asked_after_all():
    scorer, _ = dear_and_cheap()
    score(scorer, "b")
    other, (dear, *_) = dear_and_cheap(passing=lambda text: 1.0)
    other.restore(json.loads(json.dumps(scorer.state())))
    scores = score(other, "b")
    assert (dear.asked, other.calls, scores.repeated.tolist()) == (["b"], 1, [False])


def test_variations_that_a_filter_refuses_are_not_proposed(monkeypatch):
    asked = []
    sieve = SequenceTerm("sieve", 0.0, "", "", lambda texts: [float("b" not in text) for text in texts], filter=True)
    dear = SequenceTerm("dear", 1.0, "", "", lambda texts: asked.extend(texts) or [1.0] * len(texts))
    monkeypatch.setattr(LettersDomain, "terms", lambda self: [dear, sieve])
    tuner = tuner_of("tb", vary=0.5, rollouts=16)
    monkeypatch.setattr(tuner.domain, "vary", lambda texts, rng: ["ab", "a", "ca", "bb", "aaa"], raising=False)
    tuner.step()
    found = proposals.variations(tuner.scorer, tuner.prior, tuner.replay, 8, np.random.default_rng(0))
    proposed = {tuner.scorer.text(row) for row in found.numpy()}
    assert proposed
    assert proposed <= {"a", "ca", "aaa"}


def rows(*texts: str, dear) -> Batch:
    """Texts with what a dear term said of each, and the filter "a is in it" beside it."""
    tokens = torch.from_numpy(ids(*texts))
    terms = torch.zeros(*tokens.shape, 2)
    for i, text in enumerate(texts):
        terms[i, len(text)] = torch.tensor([dear[i], float("a" in text)])
    n = torch.ones(len(texts))
    return Batch(tokens, tokens != 0, torch.zeros(tokens.shape), terms, n > 0, n)


@pytest.mark.parametrize("end", [0.6, 0.7, 0.9])
def test_a_cut_off_is_learnt_from_as_it_is_told(end):
    settings = settings_of({"dear": {"function": len, "transform": {"kind": "step", "low": end}}})
    term = SequenceTerm("dear", 1.0, "", "", lambda texts: [end] * len(texts))
    scores = score(Scorer(DOMAIN, [term], settings=settings), "ab")
    tokens, one = torch.from_numpy(ids("ab")), torch.ones(1)
    batch = Batch(tokens, tokens != 0, torch.zeros(tokens.shape), torch.from_numpy(scores.values), one > 0, one)
    reward = Reward([term], settings)
    replay = Replay(1, DOMAIN.max_length, 1, lambda some: worth_of(reward, some))
    replay.add(batch)
    assert scores.totals.tolist() == replay.earned.tolist() == [1.0]
    assert worth_of(reward, replay.batch(torch.tensor([0]))).tolist() == [1.0]


def test_what_was_never_asked_is_forgotten_when_a_resumed_run_no_longer_has_the_filter():
    terms = [SequenceTerm("dear", 1.0, "", "", len), SequenceTerm("sieve", 0.0, "", "", len, filter=True)]
    with_filter = Reward(terms)
    without = Reward([terms[0], dataclasses.replace(terms[1], filter=False)])
    batch = rows("ab", "b", "a", "bb", "abb", dear=[3.0, np.nan, 2.0, np.nan, 5.0])
    assert worth_of(with_filter, batch).tolist() == [3, 0, 2, 0, 5]
    np.testing.assert_array_equal(worth_of(without, batch), [3, np.nan, 2, np.nan, 5])
    kept = Replay(4, DOMAIN.max_length, 2, lambda some: worth_of(with_filter, some))
    kept.add(batch.select(torch.arange(3)))
    kept.add(batch.select(torch.arange(3, 5)))  # the ring is full, its first slot taken by the fifth
    state = kept.state_dict()
    same = Replay(4, DOMAIN.max_length, 2, lambda some: worth_of(with_filter, some))
    same.load_state_dict(state)
    assert same.earned.tolist() == [5, 0, 2, 0]
    other = Replay(4, DOMAIN.max_length, 2, lambda some: worth_of(without, some))
    other.load_state_dict(state)
    assert (len(other), other.earned.tolist()) == (2, [2, 5, -np.inf, -np.inf])
    other.add(batch.select(torch.tensor([0])))
    assert other.earned.tolist() == [2, 5, 3, -np.inf]


def test_however_much_is_varied_one_sequence_is_the_policys_own():
    """All of four was varied, and the share of valid samples was one of none: a traceback."""
    tuner = tuner_of("tb", vary=0.9, rollouts=4, batch=4, replay=16)
    for _ in range(3):
        assert np.isfinite(tuner.step()["valid"])


def test_what_has_no_family_fills_none():
    """Molecules without a ring were one family, in which the third of them earned nothing."""
    payment = Payment(size=2)
    domain = type("Plain", (LettersDomain,), {"family": lambda self, text: text if "c" in text else ""})()
    scorer, _ = dear_and_cheap(passing=lambda text: 1.0)
    scorer.domain = domain
    scores = score(scorer, "ab", "aa", "abb", "c", "c")
    np.testing.assert_array_equal(payment.shares(domain, scores), np.ones(5))
    assert (payment.left(domain, "bb"), payment.left(domain, "c")) == (1.0, 0.0 if payment.members["c"] > 1 else 1.0)
    assert set(payment.members) == {"c"}


def test_a_family_that_is_near_fills_the_one_that_was_there_first():
    """Words by their length, of which two that differ by 1 are near: 3 and 4 share their places, and so 2 and 1."""

    def akin(self, family, families):
        return next((one for one in families if abs(int(one) - int(family)) == 1), family)

    domain = type("Near", (LettersDomain,), {"family": lambda self, text: str(len(text)), "akin": akin})()
    scorer, _ = dear_and_cheap(passing=lambda text: 1.0)
    scorer.domain, payment = domain, Payment(size=1)
    scores = score(scorer, "abc", "abca", "ab", "a", "abcab")
    np.testing.assert_array_equal(payment.shares(domain, scores), [1, 0, 0, 1, 1])
    assert dict(payment.members) == {"3": 3, "1": 1, "5": 1}
    assert (payment.left(domain, "cbac"), payment.left(domain, "abcabc")) == (0.0, 0.0)
    assert payment.left(domain, "abcabcab") == 1.0
    rows = [hits.ScoredText(text, domain.family(text), -len(text), "", {}) for text in ("abc", "ab", "a", "abcab")]
    assert [item.text for item in hits.best(domain, rows, 4, 1)] == ["a", "abc", "abcab"]
