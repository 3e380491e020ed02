"""Which variations are asked about: those of which the scored texts foresee the most."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from letters import LettersDomain, Options
from test_tuning import tuner_of

from seqtutor import SequenceTerm
from seqtutor.config import TrainConfig
from seqtutor.errors import UserError
from seqtutor.inference.spectrum import COUNTED, WIDTH, alike, spectra
from seqtutor.training import screening
from seqtutor.training.limits import check_settings
from seqtutor.training.proposals import variations
from seqtutor.training.screening import LEAST, promising, scored

WORDS = LettersDomain(Options(longest=9))


def all_words(length: int) -> list[str]:
    return [word for word in map("".join, itertools.product("abc", repeat=length)) if "cc" not in word]


def scorer_that_knows(texts, **more):
    """The scorer of a run that has been told what those texts are worth."""
    scorer = tuner_of(domain=WORDS, **more).scorer
    scorer.score(spelt(texts), np.zeros(len(texts), bool))
    return scorer


def ordered(scorer, texts, log_prior=0.0, c=1.0, seed=0):
    """The texts by what they promise."""
    log_prior = np.broadcast_to(log_prior, len(texts))
    return promising(scorer, texts, spelt(texts), log_prior, c, np.random.default_rng(seed))


def spelt(texts):
    """Their tokens."""
    tokens = np.zeros((len(texts), WORDS.max_length), np.int64)
    for row, text in zip(tokens, texts, strict=True):
        row[: len(text) + 1] = [*WORDS.vocabulary.encode(list(text)), 2]
    return tokens


def grams(text: str, most: int = 4) -> Counter[str]:
    """Each run of 1 to `most` letters with how often it comes, the plain way."""
    return Counter(text[i : i + n] for n in range(1, most + 1) for i in range(len(text) - n + 1))


@pytest.mark.parametrize(
    "pair", [("abcab", "abcab"), ("abab", "ababab"), ("abc", "ba"), ("a", "bbbb"), ("aaaaaaa", "aaa")]
)
def test_two_texts_are_alike_by_the_runs_that_both_have(pair):
    one, other = map(grams, pair)
    capped = [Counter({run: min(often, COUNTED) for run, often in count.items()}) for count in (one, other)]
    expected = (capped[0] & capped[1]).total() / (capped[0] | capped[1]).total()
    rows = spectra(WORDS, pair)
    assert alike(rows[:1], rows[1:])[0, 0] == pytest.approx(expected)


def test_a_spectrum_belongs_to_its_text_and_not_to_the_batch():
    texts = ["abcab", "ab", "bbbbbbbb"]
    together = spectra(WORDS, texts)
    assert together.shape == (3, COUNTED * WIDTH)
    for row, text in zip(together, texts, strict=True):
        np.testing.assert_array_equal(row, spectra(WORDS, [text])[0])


def test_what_promises_most_comes_first():
    """The reward counts different letters; half of the words of six letters are scored, the others are foreseen."""
    texts = all_words(6)
    rng = np.random.default_rng(0)
    rng.shuffle(texts)
    known, new = texts[: len(texts) // 2], texts[len(texts) // 2 :]
    scorer = scorer_that_knows(known, weights={"rises": 0.0})
    order = ordered(scorer, new, seed=1)
    assert sorted(order) == sorted(new)
    variety = [len(set(text)) for text in order]
    third = len(order) // 3
    assert np.mean(variety[:third]) > np.mean(variety[-third:]) + 0.5
    assert order == ordered(scorer, new, seed=1)


def test_what_the_prior_would_not_write_must_earn_the_more():
    """At temperature c a reward of 1 is worth 1 / c nats of log p."""
    texts = all_words(6)
    scorer, new = scorer_that_knows(texts[::2]), texts[1::2]
    plain = ordered(scorer, new)
    first = plain[0]
    log_prior = np.array([-50.0 if text == first else 0.0 for text in new])
    assert ordered(scorer, new, log_prior, 1.0) == [*plain[1:], first]
    assert ordered(scorer, new, log_prior, 1e-9) == plain


def test_of_much_that_is_scored_the_best_and_some_others_are_learnt_from(monkeypatch):
    texts, learnt = all_words(6), []
    scorer = scorer_that_knows(texts[::2])
    monkeypatch.setattr("seqtutor.training.screening.BEST", 30)
    monkeypatch.setattr("seqtutor.training.screening.OTHERS", 20)
    plain = screening.foreseen
    monkeypatch.setattr(screening, "foreseen", lambda *args: learnt.append(args[1]) or plain(*args))
    orders = [ordered(scorer, texts[1::2], seed=3) for _ in "ab"]
    assert orders[0] == orders[1]
    worth = np.sort(scored(scorer)[1])[::-1]
    assert len(learnt[0]) == 50 < len(worth)
    np.testing.assert_array_equal(learnt[0][:30], worth[:30])


def test_an_empty_text_has_nothing_in_common_with_any():
    rows = spectra(WORDS, ["", "", "ab"])
    assert alike(rows, rows).round(3).tolist() == [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]


def test_little_that_is_scored_foresees_nothing():
    texts = all_words(5)
    scorer = scorer_that_knows(texts[: LEAST - 1])
    assert ordered(scorer, texts[LEAST:]) == texts[LEAST:]


def test_what_is_paid_token_by_token_counts_exactly():
    """`rises` pays a unit for each letter that follows the one before in the alphabet."""
    texts = all_words(6)
    scorer, new = scorer_that_knows(texts[::2], weights={"rises": 50.0, "variety": 1.0}), texts[1::2]
    rises = np.array([sum(a + b in ("ab", "bc") for a, b in itertools.pairwise(text)) for text in new])
    np.testing.assert_allclose(screening.by_tokens(scorer, spelt(new)), 50.0 * rises)
    order = ordered(scorer, new)
    assert [rises[new.index(text)] for text in order] == sorted(rises, reverse=True)
    assert not screening.by_tokens(replace(scorer, geometric=True), spelt(new)).any()


def test_only_terms_that_are_asked_are_foreseen():
    """`rises`, which is paid letter by letter, belongs to a spelling and is known without asking."""
    scorer = scorer_that_knows(all_words(3))
    texts, worth = scored(scorer)
    assert texts == sorted(all_words(3))
    variety = next(term for term in scorer.terms if term.name == "variety")
    np.testing.assert_allclose(worth, variety.weight * np.array(variety.values(texts)))


def test_a_text_that_failed_is_not_learnt_from():
    scorer = scorer_that_knows(all_words(3))
    scorer.answers.known["variety"]["aaa"] = float("nan")
    texts, worth = scored(scorer)
    assert "aaa" not in texts
    assert len(texts) == len(worth) == len(all_words(3)) - 1


def test_a_full_family_promises_nothing():
    texts = all_words(6)
    scorer = scorer_that_knows(texts[::2], family_size=10, family_least=-10.0)
    scorer.payment.members = Counter(a=10)
    new = [text for text in texts[1::2] if text[0] in "ab"]
    order = ordered(scorer, new)
    assert [text[0] for text in order] == sorted((text[0] for text in order), reverse=True)


def test_what_costs_promises_no_more_in_a_full_family():
    texts, orders = all_words(6), []
    for more in ({}, {"family_size": 10, "family_least": -10.0}):
        scorer = scorer_that_knows(texts[::2], weights={"rises": 0.0, "variety": -0.5}, **more)
        assert not more or scorer.payment.left(WORDS, "abc") == 0.0
        orders.append(ordered(scorer, texts[1::2]))
    assert orders[0] == orders[1] != texts[1::2]


def test_what_is_not_on_disk_is_looked_up_once(monkeypatch):
    """A term that is new on a resume has no answer of any text that was seen before."""
    scorer, looked = scorer_that_knows(all_words(3)), []
    scorer.answers.known["variety"].clear()
    monkeypatch.setattr(type(scorer.answers), "_stored", lambda self, name, texts: looked.append(list(texts)))
    for _ in range(2):
        assert scored(scorer)[0] == []
    assert sorted(looked[0]) == sorted(all_words(3))
    assert looked[1] == []


def test_of_many_variations_the_promising_are_asked():
    """Each of eight times as many earns less, on average, than the few that were chosen of them."""

    class Pairs(LettersDomain):
        def terms(self):
            return [
                SequenceTerm("pairs", 1.0, "how often ab comes", "tests", lambda texts: [t.count("ab") for t in texts])
            ]

    words = Pairs(Options(longest=13))
    tuner = tuner_of("tb", domain=words, rollouts=64, temperature=1.0, priority="reward", vary=0.25)
    while len(tuner.scorer.seen) < 2 * LEAST:
        tuner.step()
    earned = {}
    for screen in (1, 8):
        rows = [
            variations(tuner.scorer, tuner.prior, tuner.replay, 16, np.random.default_rng(seed), screen, 0.01)
            for seed in range(20)
        ]
        texts = [text for some in rows for row in some.numpy() if (text := tuner.scorer.text(row))]
        assert not tuner.scorer.seen & set(texts)
        earned[screen] = np.mean([text.count("ab") for text in texts])
    assert earned[8] > earned[1] + 0.5


def test_where_no_oracle_is_asked_screening_is_refused():
    with pytest.raises(UserError, match="screen is 8, but no term of this reward asks an oracle"):
        tuner_of("tb", domain=WORDS, vary=0.25, screen=8, weights={"variety": 0.0})


def test_more_than_fits_into_memory_is_refused():
    with pytest.raises(UserError, match="screen 10,000,000 needs"):
        check_settings(TrainConfig(domain="letters", objective="tb", vary=0.5, screen=10**7), WORDS)


def test_screening_without_variations_is_refused():
    with pytest.raises(UserError, match="screen is 8, and vary is 0: nothing is varied, so nothing is screened"):
        check_settings(TrainConfig(domain="letters", objective="tb", screen=8), WORDS)


@pytest.mark.parametrize("objective", ["vargrad", "dpg", "dpo", "ipo"])
def test_a_batch_of_one_has_nothing_to_be_compared_with(objective):
    with pytest.raises(UserError, match=f"batch is 1, and {objective} compares the sequences of a batch"):
        check_settings(TrainConfig(domain="letters", objective=objective, batch=1), WORDS)
    check_settings(TrainConfig(domain="letters", objective="tb", batch=1), WORDS)
