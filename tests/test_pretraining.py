"""Pre-training: a language of known entropy is learnt, data is split by item, a stop loses nothing."""

from __future__ import annotations

import dataclasses
import math
import random
from itertools import pairwise

import numpy as np
import pytest
import torch
from letters import (
    END,
    FIRST,
    VOCABULARY,
    FixedLettersDomain,
    LettersDomain,
    Options,
    language,
    language_logp,
    new_model,
)

from seqtutor import EOS, PAD, Domain, UserError
from seqtutor.config import FURTHER, PretrainConfig, build
from seqtutor.plugin.guard import guarded
from seqtutor.priors.encoding import padded
from seqtutor.priors.files import load_prior, read_about, save_model
from seqtutor.priors.sampling import sample_tokens
from seqtutor.runs.drawing import open_model
from seqtutor.testing import rehearse
from seqtutor.training import pretraining
from seqtutor.training.pretraining import bucketed, examples, held_out_figures, learning_rate, nll, pretrain, save_prior

LONGEST = 30
DOMAIN = LettersDomain(Options(longest=LONGEST + 1))
TINY = {"domain": "letters", "embedding": 8, "hidden": 16, "batch": 64, "learning_rate": 0.02, "held_out": 0.1}


def config(**changes):
    return PretrainConfig(**{**TINY, **changes})


def silent(progress, updates):
    pass


def test_a_simple_language_is_learnt_to_its_entropy(tmp_path):
    """No model can be better on average than the language itself; this one comes within .04 nats a token of it."""
    settings = config(epochs=3, patience=20)
    data = examples(DOMAIN, language(4000, LONGEST), settings)
    model, progress = pretrain(DOMAIN, data, settings, tmp_path, silent)
    logp = [language_logp("".join(DOMAIN.vocabulary.decode(ids)), LONGEST) for ids in data.held_out]
    entropy = -sum(logp) / sum(map(len, data.held_out))
    untrained, _ = held_out_figures(new_model(spread=0.1), data.held_out)
    found, accuracy = held_out_figures(model, data.held_out)
    assert untrained > entropy + 0.3
    assert entropy - 0.02 < found < entropy + 0.04
    assert accuracy > 0.45
    first, last = progress.history[0], progress.history[-1]
    assert last[1] < first[1] - 0.05
    assert progress.best == min(held for _, _, held in progress.history) == pytest.approx(found, abs=1e-6)


def test_the_language_is_what_its_probabilities_say():
    words = language(4000, LONGEST)
    assert sum(word[0] == "a" for word in words) / 4000 == pytest.approx(FIRST["a"], abs=0.035)
    assert sum(len(word) == 1 for word in words) / 4000 == pytest.approx(END, abs=0.03)
    assert not any("cc" in word or "bb" in word for word in words)
    assert math.exp(language_logp("ab", LONGEST)) == pytest.approx(0.5 * 0.75 * 0.7 * 0.25)


class Windows(LettersDomain):
    """Every item is cut into overlapping windows of two letters."""

    def excerpts(self, text):
        return [list(text[i : i + 2]) for i in range(len(text) - 1)]


class Endings(FixedLettersDomain):
    """Words of four letters: any three, then a c; it learns from their last two letters as well."""

    def lessons(self, text):
        return [list(text), list(text[2:])]


def test_a_prior_of_one_length_learns_from_lessons_of_any_and_knows_how_far_off_the_end_is(tmp_path):
    rng, settings = random.Random(0), config(epochs=20, patience=20)
    words = ["".join(rng.choices("ab", k=3)) + "c" for _ in range(400)]
    data = examples(Endings(), words, settings)
    assert {len(ids) for ids in data.train} == {2, 4}
    assert {len(ids) for ids in data.held_out} == {4}
    model, _ = pretrain(Endings(), data, settings, tmp_path, silent)
    assert model.shape["clock"] == 4
    for length in (2, 4):
        letters = sample_tokens(model, 200, length, torch.Generator().manual_seed(0)) == VOCABULARY.encode("c")[0]
        assert letters[:, -1].float().mean() > 0.98
        assert letters[:, :-1].float().mean() < 0.02


class Rhymes(FixedLettersDomain):
    """Words of four letters, the second half of which is the first again."""

    lookback = (2,)


def test_a_prior_looks_back_where_its_domain_says(tmp_path):
    rng, settings = random.Random(0), config(epochs=25, hidden=4, embedding=4)
    words = [2 * "".join(rng.choices("abc", k=2)) for _ in range(400)]
    model, progress = pretrain(Rhymes(), examples(Rhymes(), words, settings), settings, tmp_path / "a", silent)
    assert model.shape["lookback"] == [2]
    _, blind = pretrain(FixedLettersDomain(), examples(Rhymes(), words, settings), settings, tmp_path / "b", silent)
    assert progress.best < 0.9 * blind.best


class Sequences(Rhymes):
    """The second half is the first, a letter higher or lower."""

    heights = (0, 1, 2)


def test_a_prior_sees_what_came_back_moved_where_its_domain_has_heights(tmp_path):
    settings = config(epochs=25, hidden=4, embedding=4)
    words = 50 * ["abbc", "baba", "babacb"[:4], "bbcc", "ccbb", "bcab", "cbba", "aabb"]
    moved, progress = pretrain(Sequences(), examples(Sequences(), words, settings), settings, tmp_path / "a", silent)
    assert moved.shape["heights"] == [-1, -1, -1, 0, 1, 2]
    _, blind = pretrain(Rhymes(), examples(Rhymes(), words, settings), settings, tmp_path / "b", silent)
    assert progress.best < blind.best - 0.03


def test_data_is_split_by_item_before_it_is_cut_into_excerpts():
    """With 36 items of one kind of letter pair each, a pair on both sides would be an item torn apart."""
    alphabet = [chr(ord("A") + i) for i in range(36)]

    class Many(Windows):
        vocabulary = type(DOMAIN.vocabulary)(alphabet)

    data = examples(Many(Options(longest=3)), [letter * 5 for letter in alphabet], config(held_out=0.25))
    train, held = ({ids[0] for ids in part} for part in (data.train, data.held_out))
    assert (len(train), len(held)) == (27, 9)
    assert not train & held
    assert (len(data.train), len(data.held_out)) == (27 * 4, 9 * 4)
    assert all(ids[-1] == EOS and len(ids) == 3 for ids in data.train + data.held_out)


def test_a_family_is_learnt_from_or_held_out_as_a_whole():
    """Words by their first letter; the largest family is too large to be held out."""

    class Many(LettersDomain):
        vocabulary = type(DOMAIN.vocabulary)("abcdefghij")

    words = [letter + second for letter in "abcdefghij" for second in "abcd"] + ["a" + letter for letter in "efghij"]
    domain = Many(Options(longest=4))
    for seed in range(5):
        data = examples(domain, words, config(held_out=0.2, split="family", seed=seed))
        train, held = ({ids[0] for ids in part} for part in (data.train, data.held_out))
        assert not train & held
        assert (len(held), data.families, len(data.held_out)) == (2, 2, 8)
        assert len(data.train) + len(data.held_out) == len(words)
        assert VOCABULARY.encode("a")[0] in train


def failing(hook, bad):
    """A domain of which `hook` fails at one item."""

    def fails(self, text):
        return 1 / 0 if text == bad else getattr(LettersDomain, hook)(self, text)

    return guarded(type("Failing", (LettersDomain,), {hook: fails})(Options(longest=31)))


@pytest.mark.parametrize("hook", ["lessons", "excerpts", "family"])
def test_the_item_at_which_a_plugin_fails_is_named(hook):
    words = ["ab" * n for n in range(1, 11)]
    with pytest.raises(UserError, match=rf"ZeroDivisionError.*\(item 3 of 10: '{words[2]}'\)"):
        examples(failing(hook, words[2]), words, config(held_out=0.2))


def test_the_item_of_a_corpus_that_cannot_be_encoded_is_named():
    with pytest.raises(UserError, match=r"encode: ZeroDivisionError.*\(item: 'abab'\)"):
        rehearse(failing("encode", "abab"), ["ab", "ba", "abab"], corpus=True)


def test_the_line_behind_which_a_plugin_cannot_read_on_is_named(tmp_path):
    class Failing(LettersDomain):
        read = Domain.read

        def encode(self, text):
            return list(text) if text != "abba" else 1 / 0

    (path := tmp_path / "words.txt").write_text("ab\n\nba\nabba\n")
    with pytest.raises(UserError, match=r"read, behind words.txt:3: ZeroDivisionError"):
        list(guarded(Failing()).read(path))


def test_single_items_are_held_out_where_every_family_is_too_large():
    data = examples(DOMAIN, ["ab" * n for n in range(1, 11)], config(held_out=0.2, split="family"))
    assert (len(data.train), len(data.held_out), data.families) == (8, 2, 0)


def test_copies_on_both_sides_of_a_split_by_item_are_counted():
    told = [examples(DOMAIN, texts, config()).copies for texts in (["ab"] * 60, [*dict.fromkeys(language(900, 4))])]
    assert told == [1, 0]


def test_the_split_depends_on_the_seed_alone():
    words = [a + b + c for a in "abc" for b in "ab" for c in "abc"]
    one, same, other = (examples(DOMAIN, words, config(seed=seed, held_out=0.3)) for seed in (0, 0, 1))
    assert one == same
    assert sorted(one.held_out) != sorted(other.held_out)
    assert sorted(one.train + one.held_out) == sorted(other.train + other.held_out)


def test_what_is_too_long_is_left_out():
    data = examples(LettersDomain(), ["ab", "abc", "abca"] * 10, config(held_out=0.4))
    assert {len(ids) for ids in data.train + data.held_out} == {3, 4}


def test_too_few_items_are_refused():
    with pytest.raises(UserError, match="1 items are too few to learn from"):
        examples(DOMAIN, ["ab"], config())


def test_an_epoch_takes_every_sequence_once_in_batches_of_nearly_one_length():
    sequences = [[3] * (1 + i % 7) + [i] for i in range(500)]
    batches = list(bucketed(sequences, 32, np.random.default_rng(0)))
    assert sorted(sequence[-1] for batch in batches for sequence in batch) == list(range(500))
    assert max(map(len, batches)) == 32
    padding = sum(len(batch) * max(map(len, batch)) - sum(map(len, batch)) for batch in batches)
    assert padding < 0.1 * sum(map(len, sequences))
    firsts = [len(batch[0]) for batch in batches]
    assert firsts not in (sorted(firsts), sorted(firsts, reverse=True))


def test_a_pass_that_goes_on_takes_the_batches_that_were_left():
    settings = config(batch=7)
    data = examples(DOMAIN, language(50, LONGEST), settings)
    per_epoch = math.ceil(len(data.train) / 7)
    whole = pretraining.stream(data, settings, 0, per_epoch)
    first = [next(whole) for _ in range(3 * per_epoch)]
    for start in (0, 1, per_epoch - 1, per_epoch, per_epoch + 2):
        rest = pretraining.stream(data, settings, start, per_epoch)
        assert [next(rest) for _ in range(per_epoch)] == first[start : start + per_epoch]
    assert first[:per_epoch] != first[per_epoch : 2 * per_epoch]


def test_the_loss_is_the_sum_over_real_tokens():
    model, sequences = new_model(), [[3, 4, EOS], [5, EOS]]
    rows = model(torch.from_numpy(padded(sequences))).detach()
    logp = [float(rows[i, t, a]) for i, sequence in enumerate(sequences) for t, a in enumerate(sequence)]
    assert nll(model, torch.from_numpy(padded(sequences))).item() == pytest.approx(-np.sum(logp), abs=1e-4)
    wider = torch.nn.functional.pad(torch.from_numpy(padded(sequences)), (0, 4), value=PAD)
    assert nll(model, wider).item() == pytest.approx(-np.sum(logp), abs=1e-4)
    found, accuracy = held_out_figures(model, sequences, batch=1)
    assert found == pytest.approx(-np.mean(logp), abs=1e-5)
    right = [int(rows[i, t].argmax()) == a for i, sequence in enumerate(sequences) for t, a in enumerate(sequence)]
    assert accuracy == np.mean(right)


def test_the_learning_rate_warms_up_and_falls_to_nothing():
    rates = [learning_rate(config(learning_rate=1.0), update, 1000) for update in range(1000)]
    assert rates[0] == pytest.approx(1 / 30)
    assert np.argmax(rates) in range(28, 32)
    assert max(rates) > 0.99
    assert rates[-1] < 1e-5
    assert all(later < earlier for earlier, later in pairwise(rates[31:]))


def test_it_stops_early_and_keeps_the_best(tmp_path):
    """Twenty words by heart: the held-out loss soon rises."""
    settings = config(epochs=400, batch=8, learning_rate=0.03, hidden=32, evaluations=50, patience=3, held_out=0.5)
    data = examples(DOMAIN, language(40, LONGEST), settings)
    model, progress = pretrain(DOMAIN, data, settings, tmp_path, silent)
    held = [loss for _, _, loss in progress.history]
    assert progress.update < 400 * 3 - 1
    assert len(held) < 50
    assert min(held) == held[-1 - settings.patience]
    assert held_out_figures(model, data.held_out)[0] == pytest.approx(min(held), abs=1e-6)


class Doubled(LettersDomain):
    """A word may be written twice over: the same item in another spelling."""

    def decode(self, tokens):
        text = "".join(tokens)
        return text[: len(text) // 2] if text[: len(text) // 2] == text[len(text) // 2 :] else text

    def rewrite(self, text, rng):
        return list(text + text)


class Stop(Exception):
    pass


@pytest.mark.parametrize("stop", [1, 7, 12])
def test_a_stop_and_a_resume_change_nothing(tmp_path, monkeypatch, stop):
    """With dropout and other spellings, across epochs: what the global generator draws must be restored too."""
    domain = Doubled(DOMAIN.options)
    monkeypatch.setattr("seqtutor.runs.checkpoint.Pace.due", True)
    settings = config(epochs=3, batch=16, dropout=0.2, evaluations=4, rewrite=0.5)
    data = examples(domain, language(90, LONGEST), settings)
    whole, straight = pretrain(domain, data, settings, tmp_path / "whole", silent)

    def stopping(progress, updates):
        if progress.update == stop:
            raise Stop

    with pytest.raises(Stop):
        pretrain(domain, data, settings, tmp_path / "parts", stopping)
    torch.rand(5)
    parts, again = pretrain(domain, data, settings, tmp_path / "parts", silent)
    assert straight.update == 18
    assert [list(row) for row in again.history] == [list(row) for row in straight.history]
    assert (again.update, again.tokens, again.best) == (straight.update, straight.tokens, straight.best)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, parts.state_dict()[name]), name


def test_a_prior_is_saved_with_its_figures_and_fits_its_domain(tmp_path):
    settings = config(epochs=1)
    data = examples(DOMAIN, language(300, LONGEST), settings)
    model, progress = pretrain(DOMAIN, data, settings, tmp_path, silent)
    figures = save_prior(model, DOMAIN, data, settings, progress, tmp_path)
    about = read_about(tmp_path, "model")
    assert about["figures"] == figures
    assert about["domain"] == "letters"
    assert about["training"] == dataclasses.asdict(settings)
    assert figures["held_out_nll"] == pytest.approx(progress.best, abs=1e-6)
    assert (figures["train_sequences"], figures["held_out_sequences"]) == (270, 30)
    found, _ = held_out_figures(load_prior(str(tmp_path), DOMAIN), data.held_out)
    assert found == pytest.approx(figures["held_out_nll"], abs=2e-3)


def test_it_goes_on_from_a_prior_and_the_last_model_is_kept_where_that_is_asked_for(tmp_path):
    first, further = tmp_path / "first", tmp_path / "further"
    settings = config(epochs=2, hidden=24)
    data = examples(DOMAIN, language(300, LONGEST), settings)
    prior, progress = pretrain(DOMAIN, data, settings, first, silent)
    save_prior(prior, DOMAIN, data, settings, progress, first)
    more = config(prior=str(first), epochs=30, batch=8, dropout=0.3, learning_rate=0.03, patience=1, keep="last")
    few = examples(DOMAIN, ["aba", "ab", "abab"] * 10, more)
    model, state = pretrain(DOMAIN, few, more, further, silent)
    assert model.shape == {**prior.shape, "dropout": 0.3}
    assert held_out_figures(model, few.held_out)[0] < held_out_figures(prior, few.held_out)[0] - 0.2
    assert state.update == 30 * 4
    best, _ = pretrain(DOMAIN, few, dataclasses.replace(more, keep="best"), further, silent)
    assert held_out_figures(best, few.held_out)[0] == pytest.approx(state.best, abs=1e-6)
    assert any(not torch.equal(value, best.state_dict()[name]) for name, value in model.state_dict().items())


def test_what_goes_on_from_a_prior_has_defaults_of_its_own_that_what_is_given_overrides():
    assert (
        build(PretrainConfig, {"prior": "molecules"}).dropout == FURTHER["dropout"] != build(PretrainConfig, {}).dropout
    )
    assert build(PretrainConfig, {"prior": "molecules", "dropout": 0.1}).dropout == 0.1


def test_other_spellings_of_the_same_items_are_learnt_and_a_domain_without_any_is_told(tmp_path):
    domain, words = Doubled(Options(longest=LONGEST)), [[*VOCABULARY.encode("abc"), EOS]] * 200
    found = pretraining.respelt(domain, words, 0.3, np.random.default_rng(0))
    assert {len(ids) for ids in found} == {4, 7}
    assert 30 < sum(len(ids) == 7 for ids in found) < 90
    assert all(ids[-1] == EOS and domain.decode(VOCABULARY.decode(ids)) == "abc" for ids in found)
    settings = config(rewrite=0.5)
    with pytest.raises(UserError, match=r"rewrite is 0\.5, but domain 'letters' offers none"):
        pretrain(DOMAIN, examples(DOMAIN, language(50, LONGEST), settings), settings, tmp_path, silent)


def test_a_prior_never_learns_a_value(tmp_path):
    """Q and Psi start at V(s) + log p: exactly at the prior only while V is zero."""
    settings = config(epochs=1)
    data = examples(DOMAIN, language(200, LONGEST), settings)
    model, _ = pretrain(DOMAIN, data, settings, tmp_path, silent)
    assert model.value_head.weight.abs().sum() == 0
    assert model.value_head.bias.abs().sum() == 0


def test_a_learning_rate_that_breaks_the_model_ends_with_a_line(tmp_path, monkeypatch):
    """It ended without one, and left a prior that could not be read."""
    settings = config(learning_rate=1e6, epochs=2)  # above some 1e29 the gradient fails first, on some processors
    data = examples(DOMAIN, language(500, LONGEST), settings)
    model, progress = pretrain(DOMAIN, data, settings, tmp_path / "checkpoints", silent)
    with pytest.raises(UserError, match="weights that half precision cannot hold"):
        save_prior(model, DOMAIN, data, settings, progress, tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))
    monkeypatch.setattr(pretraining, "nll", lambda model, tokens: nll(model, tokens) * math.inf)
    with pytest.raises(UserError, match="the gradient is not finite at a learning rate of"):
        pretrain(DOMAIN, data, settings, tmp_path / "others", silent)


def test_a_prior_whose_description_is_not_ours_is_opened_or_refused_with_a_line(tmp_path, installed):
    save_model(new_model(), tmp_path, "model", domain="letters", training="x")
    assert open_model(tmp_path).domain.name == "letters"
