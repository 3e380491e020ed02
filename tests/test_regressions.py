"""What was once wrong: each of these failed before it was mended. The comments say which file is concerned."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from letters import END, EOS, LettersDomain, Options, language, language_logp, new_model
from test_cli import TINY, call, elsewhere, prior, refuse, succeed, table, write  # noqa: F401
from test_replay import add, replay_of, words
from test_scoring import Oracle, nan_for, score, sequence_term, token_term
from test_tuning import Failing, tuner_of

from seqtutor import PAD, SequenceTerm, UserError
from seqtutor.config import PretrainConfig
from seqtutor.priors.files import load_model, load_prior, save_model
from seqtutor.rewards.scorer import Scorer
from seqtutor.training import pretraining
from seqtutor.training.pretraining import examples, held_out_figures, pretrain
from seqtutor.training.tuner import Tuner

DOMAIN = LettersDomain()
shell = pytest.mark.usefixtures("installed", "elsewhere")
TRAIN = ("train", "--domain", "letters", "--output", "run")


# test_pretraining.py


def test_short_and_long_words_weigh_the_same(tmp_path):
    """Batches of one length with a mean over each batch's tokens give the tokens of short words more weight."""
    longest = 30
    domain = LettersDomain(Options(longest=longest + 1))
    settings = PretrainConfig(
        domain="letters", embedding=8, hidden=16, learning_rate=0.02, held_out=0.1, epochs=3, patience=20
    )
    data = examples(domain, language(6000, longest), settings)
    model, _ = pretrain(domain, data, settings, tmp_path, lambda progress, updates: None)
    ends = model(torch.tensor([[3, 4, 3, 4, 3]]))[0, 1:, EOS].exp()
    assert (ends - END).abs().max() < 0.05
    entropy = -sum(language_logp("".join(domain.vocabulary.decode(i)), longest) for i in data.held_out)
    assert held_out_figures(model, data.held_out)[0] < entropy / sum(map(len, data.held_out)) + 0.015


# test_scoring.py


def test_one_failure_in_a_batch_of_known_texts_is_let_pass():
    """`failures` is 'the largest share of a batch'; late in a run a batch has one new text."""
    known = ["a", "b", "c", "abc", "ca", "ba", "bb", "aa", "ac"]
    scorer = Scorer(DOMAIN, [sequence_term(nan_for("ab"))], failures=0.2)
    score(scorer, *known)
    assert score(scorer, *known, "ab").scored.sum() == len(known)


def test_a_token_level_term_without_weight_may_fail():
    odd = token_term(lambda tokens: np.full(tokens.shape, np.nan), weight=0.0)
    scores = score(Scorer(DOMAIN, [sequence_term(Oracle()), odd]), "ab")
    assert (scores.scored.tolist(), scores.totals.tolist()) == ([True], [2.0])


def test_nan_of_a_token_level_term_is_counted_and_logged():
    odd = token_term(lambda tokens: np.where(tokens == 4, np.nan, 1.0))
    scorer = Scorer(DOMAIN, [odd])
    assert score(scorer, "ab", "a").scored.tolist() == [False, True]
    assert scorer.failed == [("tokens", "ab", "gave no number for a step")]
    scorer = Scorer(DOMAIN, [odd], failures=0.5)
    for _ in range(3):
        scorer.check()
        score(scorer, "ab")
    with pytest.raises(
        UserError, match=r"term 'tokens' could not score 3 of 3 texts of the last 3 batches, 'ab' among"
    ):
        scorer.check()


# test_tuning.py


class Hopeless(Failing):
    def terms(self):
        nothing = float("nan")
        return [SequenceTerm("none", 1.0, "", "", lambda texts: np.full(len(texts), nothing), invalid=nothing)]


def test_a_first_batch_without_a_score_is_said_in_a_line():
    """Now: RuntimeError from randint(0); and the centre is the mean of nothing, NaN for the rest of the run."""
    tuner = tuner_of(domain=Hopeless(), failures=1.0)
    try:
        tuner.step()
    except UserError:
        return
    assert tuner.baseline is None


@shell
def test_a_stop_in_the_middle_of_an_update_changes_nothing(prior, monkeypatch):  # noqa: F811
    base = ("train", "--domain", "letters", "--prior", prior, "--updates", 4)
    succeed(*base, "--output", "whole")
    learn, steps = Tuner.descend, iter(range(100))

    def interrupted(self, batch):
        if next(steps) == 5:
            signal.raise_signal(signal.SIGINT)
        return learn(self, batch)

    monkeypatch.setattr(Tuner, "descend", interrupted)
    assert call(*base, "--output", "parts").exit_code == 130
    monkeypatch.setattr(Tuner, "descend", learn)
    succeed("train", "--resume", "parts")
    whole, parts = ([{**row, "seconds": ""} for row in table(f"{folder}/metrics.csv")] for folder in ("whole", "parts"))
    assert parts == whole


# test_replay.py


def test_what_was_forgotten_does_not_come_back_empty_in_a_larger_replay():
    """`train --resume RUN --replay 8192`: `added` counts sequences that were overwritten long ago."""
    full, larger = replay_of(10), replay_of(20)
    add(full, words(range(13)))
    larger.load_state_dict(full.state_dict())
    for batch in larger.batches(20, 8, torch.Generator().manual_seed(0)):
        assert (batch.tokens != PAD).any(-1).all()


# test_weights.py


def test_a_prior_of_another_length_rule_is_told_so(tmp_path):
    """Now: '(the same tokens in another order)'."""
    save_model(new_model(fixed_length=True), tmp_path, "model")
    with pytest.raises(UserError, match="does not fit domain 'letters'") as caught:
        load_prior(str(tmp_path), LettersDomain())
    assert "another order" not in str(caught.value)


@pytest.mark.parametrize(
    "changes", [{"vocabulary": 7}, {"vocabulary": ["a", "a"]}, {"hidden": "x"}, {"hidden": -1}, {"kind": "odd"}]
)
def test_a_description_with_wrong_values_is_named(tmp_path, changes):
    save_model(new_model(), tmp_path, "model")
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(UserError, match=r"config\.json"):
        load_model(tmp_path, "model")


# test_cli.py


@shell
def test_a_resume_that_does_not_fit_leaves_the_run_as_it_was(prior):  # noqa: F811
    """Now config.toml says g from then on, and the message has several lines of state_dict."""
    succeed(*TRAIN, "--prior", prior)
    before = Path("run/config.toml").read_text()
    result = call("train", "--resume", "run", "--objective", "g")
    assert Path("run/config.toml").read_text() == before
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1


@shell
@pytest.mark.parametrize(
    "args",
    [
        ("--temperature", "nan"),
        ("--learning-rate", "inf"),
        ("--seed", str(2**70)),
        ("--device", "foo"),
        ("--device", "cuda:9"),
    ],
)
def test_values_that_no_run_can_have_are_refused(prior, args):  # noqa: F811
    refuse(*TRAIN, "--prior", prior, *args)


@shell
def test_a_temperature_that_no_sample_can_have_is_refused(prior):  # noqa: F811
    refuse("generate", prior, "--temperature", "nan")


@pytest.mark.parametrize("seed", ["-1", str(2**70)])
@pytest.mark.parametrize(
    "command",
    [
        ["generate", "music"],
        ["evaluate", "music"],
        ["infer", "--domain", "music"],
        ["calibrate", "music"],
        ["rate", "music"],
        ["verify", "tb"],
    ],
)
def test_a_seed_that_is_none_is_refused_as_it_is_typed(command, seed):
    """Two commands ended in a traceback."""
    result = call(*command, "--seed", seed)
    assert result.exit_code == 2
    assert "Invalid value for '--seed'" in result.output


@shell
@pytest.mark.parametrize(
    "text",
    [
        f"temperature = {10**400}",
        f"updates = {'9' * 5000}",
        f"[weights]\nrises = {10**400}",
        f'[terms.rises]\ntransform = {{ kind = "sigmoid", low = 1, high = {10**400} }}',
        "[terms.rises]\ntransform = { kind = [1, 2] }",
        f"hold_out = {'[' * 5000}{']' * 5000}",
    ],
)
def test_a_config_that_no_hand_would_write_is_refused_in_a_line(prior, text):  # noqa: F811
    refuse(*TRAIN, "--prior", prior, "--config", write("run.toml", text))


@shell
def test_a_negative_seed_is_refused_or_taken():
    result = call("pretrain", "--domain", "letters", "--seed", -1, *TINY)
    assert result.exception is None or isinstance(result.exception, SystemExit)


@shell
@pytest.mark.parametrize(
    "values",
    [
        {"weights": {"rises": "high"}},
        {"weights": {"rises": True}},
        {"options": {"longest": "far"}},
        {"options": {"longest": 2.5}},
        {"domain": 3},
    ],
)
def test_a_wrong_type_inside_a_table_is_named(prior, values):  # noqa: F811
    line = refuse("train", "--config", write("run.toml", {"domain": "letters", "prior": prior, **values}))
    assert "must be" in line


@shell
@pytest.mark.parametrize("kind", ["missing", "binary", "folder"])
def test_data_that_cannot_be_read_is_named(kind):
    """A plugin that reads as docs/plugins.md does, with a plain `read_text`."""
    if kind == "binary":
        Path("words.txt").write_bytes(bytes(range(256)))
    if kind == "folder":
        Path("words.txt").mkdir()
    assert "words.txt" in refuse("pretrain", "--domain", "letters", "--data", "words.txt")


@shell
def test_a_path_is_printed_in_one_piece(prior):  # noqa: F811
    deep = Path("a" * 60) / ("b" * 60)
    assert f"the page: {deep}/report.html" in succeed(*TRAIN[:-1], deep, "--prior", prior).output


@shell
def test_brackets_in_a_path_are_printed():
    assert "x[bold]y" in succeed("pretrain", "--domain", "letters", *TINY, "--output", "x[bold]y").output


@shell
def test_ctrl_c_ends_pretraining_with_what_was_learnt(monkeypatch):
    learn, steps = pretraining.Trainer.learn, iter(range(100))

    def interrupted(self, *args):
        if next(steps) == 5:
            signal.raise_signal(signal.SIGINT)
        return learn(self, *args)

    monkeypatch.setattr(pretraining.Trainer, "learn", interrupted)
    assert call("pretrain", "--domain", "letters", *TINY, "--output", "mine").exit_code == 130
    assert Path("mine/checkpoint/checkpoint.safetensors").is_file()
