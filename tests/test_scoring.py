"""From sequences to rewards: where a value lands, what is never learnt from, what is asked only once."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from letters import A, LettersDomain, ids

from seqtutor import PAD, SequenceTerm, TokenTerm, UserError
from seqtutor.config import TrainConfig
from seqtutor.rewards.payment import Payment
from seqtutor.rewards.scorer import Scorer, new_scorer
from seqtutor.rewards.terms import weighted_terms

DOMAIN = LettersDomain()


class Oracle:
    """A sequence-level function that remembers what it was asked; by default the number of letters."""

    def __init__(self, answer=lambda text: float(len(text))):
        self.answer, self.asked = answer, []

    def __call__(self, texts):
        self.asked += texts
        return np.array([self.answer(text) for text in texts])


def sequence_term(oracle, name="oracle", weight=1.0, invalid=-5.0):
    return SequenceTerm(name, weight, "", "", oracle, invalid)


def token_term(values, name="tokens", weight=1.0):
    return TokenTerm(name, weight, "", "", values)


def nan_for(*bad):
    return Oracle(lambda text: float("nan") if text in bad else float(len(text)))


def score(scorer, *words, truncated=()):
    return scorer.score(ids(*words), np.array([i in truncated for i in range(len(words))]))


def test_a_sequence_level_value_lands_on_the_last_step():
    scores = score(Scorer(DOMAIN, [sequence_term(Oracle(), weight=2.0)]), "abc", "a", "ab")
    wanted = np.zeros((3, 4))
    wanted[0, 3], wanted[1, 1], wanted[2, 2] = 6.0, 2.0, 4.0
    np.testing.assert_array_equal(scores.reward, wanted)
    np.testing.assert_array_equal(scores.terms["oracle"], [3.0, 1.0, 2.0])


def test_in_a_fixed_length_the_last_step_is_the_last_token():
    tokens = ids("abca", end=False)
    scores = Scorer(DOMAIN, [sequence_term(Oracle())]).score(tokens, np.array([False]))
    np.testing.assert_array_equal(scores.reward, [[0, 0, 0, 4.0]])


def test_a_costly_term_is_evaluated_only_where_a_run_names_it(monkeypatch):
    costly = dataclasses.replace(sequence_term(Oracle(), weight=0.0), costly=True)
    monkeypatch.setattr(LettersDomain, "terms", lambda self: [sequence_term(Oracle(), "cheap", 0.0), costly])
    assert [term.name for term in weighted_terms(DOMAIN, {})] == ["cheap"]
    assert [term.name for term in weighted_terms(DOMAIN, {"oracle": 0.0})] == ["cheap", "oracle"]


def test_both_levels_add_up_by_weight():
    """By hand: 'abc' rises twice and has 3 letters; 'aab' rises once and has 2."""
    terms = weighted_terms(DOMAIN, {"rises": 10.0, "variety": -1.0})
    scores = score(Scorer(DOMAIN, terms), "abc", "aab")
    np.testing.assert_array_equal(scores.reward, [[0, 10, 10, -3], [0, 0, 10, -2]])
    np.testing.assert_array_equal(scores.totals, [17, 8])
    np.testing.assert_array_equal(scores.terms["rises"], [2, 1])
    np.testing.assert_array_equal(scores.terms["variety"], [3, 2])
    assert scores.texts == ["abc", "aab"]
    assert scores.scored.all()


def test_what_a_token_level_term_says_of_padding_is_ignored():
    noisy = token_term(lambda tokens: np.where(tokens == PAD, np.nan, 1.0))
    scores = score(Scorer(DOMAIN, [noisy]), "abc", "a")
    np.testing.assert_array_equal(scores.reward, [[1, 1, 1, 1], [1, 1, 0, 0]])
    np.testing.assert_array_equal(scores.terms["tokens"], [4, 2])
    assert scores.scored.all()


def test_nan_is_never_a_score():
    scorer = Scorer(DOMAIN, [sequence_term(nan_for("ab")), token_term(lambda tokens: np.ones(tokens.shape))])
    scores = score(scorer, "abc", "ab", "a")
    np.testing.assert_array_equal(scores.scored, [True, False, True])
    np.testing.assert_array_equal(scores.totals, [7, np.nan, 3])
    np.testing.assert_array_equal(scores.terms["oracle"], [3, np.nan, 1])
    assert scorer.failed == [("oracle", "ab", "gave nan")]
    assert scorer.calls == 3


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinity_is_no_score_either(value):
    scorer = Scorer(DOMAIN, [sequence_term(Oracle(lambda text: value if text == "ab" else 1.0))])
    np.testing.assert_array_equal(score(scorer, "abc", "ab").scored, [True, False])
    assert scorer.failed == [("oracle", "ab", f"gave {value}")]


def test_a_text_that_failed_is_neither_asked_again_nor_learnt_from_later():
    oracle = nan_for("ab")
    scorer = Scorer(DOMAIN, [sequence_term(oracle)])
    score(scorer, "ab")
    assert not score(scorer, "ab").scored.any()
    assert oracle.asked == ["ab"]
    assert scorer.failed == [("oracle", "ab", "gave nan")]


def test_a_term_without_weight_may_fail_and_the_sequence_still_counts():
    scorer = Scorer(DOMAIN, [sequence_term(Oracle()), sequence_term(nan_for("ab"), "watched", weight=0.0)])
    scores = score(scorer, "ab", "a")
    assert scores.scored.all()
    np.testing.assert_array_equal(scores.totals, [2, 1])
    np.testing.assert_array_equal(scores.terms["watched"], [np.nan, 1])


def test_too_many_failures_in_three_batches_running_stop_the_run_with_the_tally():
    scorer = Scorer(DOMAIN, [sequence_term(nan_for("ab", "b"))], failures=0.5)
    for words in (("ab", "a", "b"), ("ab", "b"), ("ab", "a"), ("ab", "b"), ("ab", "b", "a")):
        score(scorer, *words)
        scorer.check()  # two bad ones, one at the share that is let pass, two bad ones
    score(scorer, "ab", "b", "abc")
    with pytest.raises(UserError, match="term 'oracle' could not score 6 of 8 texts of the last 3 batches") as caught:
        scorer.check()
    assert "(6 x failed before)" in str(caught.value)
    assert "0.5" in str(caught.value)
    assert scorer.failed == [("oracle", "ab", "gave nan"), ("oracle", "b", "gave nan")]


def test_what_is_no_item_earns_invalid_and_costs_no_call():
    oracle = Oracle()
    scorer = Scorer(DOMAIN, [sequence_term(oracle, weight=2.0, invalid=-5.0)])
    scores = score(scorer, "acc", "", "ab", "abc", truncated=[3])
    assert scores.texts == [None, None, "ab", None]
    np.testing.assert_array_equal(scores.totals, [-10, -10, 4, -10])
    np.testing.assert_array_equal(scores.reward[:, [3, 0, 2, 3]].diagonal(), [-10, -10, 4, -10])
    assert scores.scored.all()
    assert oracle.asked == ["ab"]
    assert scorer.calls == 1


def test_a_text_is_asked_once_by_every_term_and_counts_as_one_call():
    first, second = Oracle(), Oracle(lambda text: 1.0)
    scorer = Scorer(DOMAIN, [sequence_term(first), sequence_term(second, "other")])
    score(scorer, "ab", "ab", "a")
    scores = score(scorer, "a", "b", "ab")
    assert first.asked == second.asked == ["ab", "a", "b"]
    assert scorer.calls == 3
    np.testing.assert_array_equal(scores.totals, [2, 2, 3])


def test_token_level_terms_alone_make_no_calls():
    scorer = Scorer(DOMAIN, [token_term(lambda tokens: np.ones(tokens.shape))])
    score(scorer, "ab", "a")
    assert scorer.calls == 0


@pytest.mark.parametrize("answer", [[1.0], [1.0, 2.0, 3.0], [[1.0], [2.0]], 1.0])
def test_a_wrong_number_of_answers_names_the_term(answer):
    with pytest.raises(UserError, match=r"term 'oracle' gave .* values for 2 texts"):
        score(Scorer(DOMAIN, [sequence_term(lambda texts: np.array(answer))]), "ab", "a")


def test_a_wrong_shape_of_a_token_level_term_names_it():
    with pytest.raises(UserError, match=r"term 'tokens' answered with shape \(2,\) for tokens of \(2, 3\)"):
        score(Scorer(DOMAIN, [token_term(lambda tokens: np.ones(len(tokens)))]), "ab", "a")


def test_repeats_are_paid_by_default_and_marked():
    scorer = Scorer(DOMAIN, [sequence_term(Oracle())])
    first, second = score(scorer, "ab", "ab", "acc"), score(scorer, "b", "ab", "acc")
    np.testing.assert_array_equal(first.repeated, [False, True, False])
    np.testing.assert_array_equal(second.repeated, [False, True, False])
    np.testing.assert_array_equal(second.totals, [1, 2, -5])


def test_unpaid_repeats_earn_nothing_and_what_is_no_item_still_pays():
    scorer = Scorer(DOMAIN, weighted_terms(DOMAIN, {}), payment=Payment(repeats=False))
    np.testing.assert_array_equal(score(scorer, "ab", "ab", "acc").totals, [2.0, 0.0, -0.5])
    np.testing.assert_array_equal(score(scorer, "b", "ab", "acc").totals, [0.5, 0.0, -0.5])


def test_what_costs_costs_the_same_when_it_comes_again_or_its_family_is_full():
    """A repeat that cost 3 cost nothing, and was the best of its batch."""
    loss = sequence_term(Oracle(lambda text: -float(len(text))))
    unpaid = Scorer(DOMAIN, [loss], payment=Payment(repeats=False))
    np.testing.assert_array_equal(score(unpaid, "abc", "abc", "ab").totals, [-3, -3, -2])
    full = Scorer(DOMAIN, [loss], payment=Payment(size=1, least=-9))
    np.testing.assert_array_equal(score(full, "abc", "ab", "a").totals, [-3, -2, -1])


@pytest.mark.parametrize(
    ("penalty", "paid"),
    [
        ("step", [1, 1, 0, 0]),
        ("linear", [1, 0.5, 0, 0]),
        ("sigmoid", [0.99873, 0.5, 0.00127, 0.00127]),
        ("tanh", [1, 0.094852, 0.004945, 0.000247]),
    ],
)
def test_a_family_that_is_full_earns_less(penalty, paid):
    """Families of words by their first letter; variety pays 1, 2 and 3 for 1, 2 and 3 letters."""
    scorer = Scorer(DOMAIN, [sequence_term(Oracle())], payment=Payment(size=2, least=2, penalty=penalty))
    words = ["ab", "abc", "acb", "bab", "b", "acc"]
    scores = score(scorer, *words)
    plain = score(Scorer(DOMAIN, [sequence_term(Oracle())]), *words)
    factors = [*paid[:3], paid[0], 1, 1]  # "b" earns too little to count, and the last is no word
    np.testing.assert_allclose(scores.totals, plain.totals * factors, atol=1e-5)
    np.testing.assert_allclose(scores.paid, factors, atol=1e-5)
    assert scorer.payment.members == {"a": 3, "b": 1}
    assert [reward for *_, reward in scorer.news.calls] == plain.totals[:5].tolist()
    np.testing.assert_allclose(score(scorer, "ab").paid, paid[3], atol=1e-5)
    assert scorer.payment.members == {"a": 3, "b": 1}  # a repeat is no other member


def test_the_order_of_the_batch_changes_nothing():
    words = ["abc", "a", "acc", "ab", "bca", "", "cab"]
    order = [4, 2, 6, 0, 5, 3, 1]
    plain = score(Scorer(DOMAIN, DOMAIN.terms()), *words, truncated=[3])
    mixed = score(Scorer(DOMAIN, DOMAIN.terms()), *(words[i] for i in order), truncated=[order.index(3)])
    np.testing.assert_array_equal(mixed.reward, plain.reward[order])
    np.testing.assert_array_equal(mixed.terms["rises"], plain.terms["rises"][order])
    np.testing.assert_array_equal(mixed.terms["variety"], plain.terms["variety"][order])
    assert mixed.texts == [plain.texts[i] for i in order]


def test_weights_replace_the_defaults_and_nothing_else():
    terms = {term.name: term for term in weighted_terms(DOMAIN, {"variety": 3})}
    assert (terms["rises"].weight, terms["variety"].weight) == (1.0, 3.0)
    assert dataclasses.replace(terms["variety"], weight=0.5) == DOMAIN.terms()[1]


def test_an_unknown_term_comes_with_the_nearest_name():
    with pytest.raises(UserError, match=r"unknown term of domain 'letters' 'rise'; did you mean 'rises'\?"):
        weighted_terms(DOMAIN, {"rise": 1.0})


def test_a_reward_of_nothing_is_refused():
    with pytest.raises(UserError, match=r"every term has weight 0.*--weight TERM=1 \(rises, variety\)"):
        new_scorer(DOMAIN, TrainConfig(domain="letters", weights={"rises": 0, "variety": 0}))


@pytest.mark.parametrize("weight", [float("nan"), float("inf")])
def test_a_weight_is_a_finite_number(weight):
    with pytest.raises(UserError, match="the weight of term 'rises' must be a number"):
        weighted_terms(DOMAIN, {"rises": weight})


def test_terms_see_the_tokens_of_the_batch_as_they_stand():
    seen = []
    score(Scorer(DOMAIN, [token_term(lambda tokens: seen.append(tokens) or np.zeros(tokens.shape))]), "ab", "a")
    np.testing.assert_array_equal(seen[0], ids("ab", "a"))
    assert seen[0][0, 0] == A
