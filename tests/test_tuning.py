"""The loop: it reaches the optimum that enumeration gives, it starts again where it stopped, it keeps what it may."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from letters import FixedLettersDomain, LettersDomain, every, ids, log_probabilities, new_model

from seqtutor import EOS, PAD, SequenceTerm, UserError, tuning
from seqtutor.checkpoint import load_checkpoint, save_checkpoint
from seqtutor.config import TrainConfig
from seqtutor.objectives import OBJECTIVES
from seqtutor.run import Run, load_policy
from seqtutor.scoring import Scorer, weighted_terms
from seqtutor.tuning import Tuner, checkpoint, follow, resume, tune

KINDS = pytest.mark.parametrize("objective", sorted(OBJECTIVES))
SMALL = {"domain": "letters", "rollouts": 16, "batch": 16, "replay": 64, "learning_rate": 3e-3}


@dataclasses.dataclass
class Failing(LettersDomain):
    """Words whose score cannot be computed where they hold a `c`."""

    def __init__(self):
        super().__init__()

    def terms(self):
        return [SequenceTerm("fragile", 1.0, "", "", _no_c), *super().terms()]


def _no_c(texts):
    return np.array([float("nan") if "c" in text else 1.0 for text in texts])


def tuner_of(objective="psi", *, domain=None, prior=None, **settings):
    domain = domain or LettersDomain()
    prior = prior or new_model(spread=1.0, dropout=0.2, fixed_length=domain.fixed_length)
    return Tuner(domain, TrainConfig(**{**SMALL, "objective": objective, **settings}), prior)


def run_in(folder: Path) -> Run:
    folder.mkdir(parents=True)
    return Run(folder)


def rows_of(run: Run) -> list[dict[str, str]]:
    """metrics.csv without the clock."""
    with (run.folder / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def parameters(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def optimum(tuner):
    """Of every sequence of the domain: log pi* = log p + R/c - log Z, and log p; by enumeration."""
    sequences = every(tuner.domain.max_length, fixed_length=tuner.domain.fixed_length)
    truncated = ~(sequences == EOS).any(-1) & (not tuner.domain.fixed_length)
    scorer = Scorer(tuner.domain, weighted_terms(tuner.domain, tuner.config.weights))
    reward = torch.from_numpy(scorer.score(sequences.numpy(), truncated.numpy()).totals)
    logits = log_probabilities(tuner.prior, sequences) + reward / tuner.config.temperature
    return sequences, logits - logits.logsumexp(0)


def distance(log_policy, log_optimum):
    """KL(policy || optimum), nats."""
    return float((log_policy.exp() * (log_policy - log_optimum)).sum())


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("objective", ["psi", "g"])
def test_training_reaches_the_optimum_that_enumeration_gives(objective, fixed):
    """From more than 0.7 nats away, with replay, a target network, 4-step targets: KL(pi || pi*) below 0.01 nats."""
    settings = {"rollouts": 64, "batch": 64, "replay": 1024, "learning_steps": 3, "span": 4}
    tuner = tuner_of(
        objective,
        domain=FixedLettersDomain() if fixed else LettersDomain(),
        prior=new_model(spread=1.0, hidden=32, fixed_length=fixed),
        target_rate=0.1,
        temperature=0.7,
        **settings,
    )
    sequences, wanted = optimum(tuner)
    assert distance(log_probabilities(tuner.policy, sequences), wanted) > 0.7
    for update in range(80):
        tuner.optimiser.param_groups[0]["lr"] = 0.02 * (1 - update / 80)
        tuner.step()
    assert distance(log_probabilities(tuner.policy, sequences), wanted) < 0.01


@KINDS
def test_the_prior_does_not_change_through_training(objective):
    tuner = tuner_of(objective)
    before, start = parameters(tuner.prior), parameters(tuner.policy)
    rows = [tuner.step() for _ in range(3)]
    assert same(parameters(tuner.prior), before)
    after = parameters(tuner.policy)
    if objective == "g":
        inner = {name.removeprefix("prior."): value for name, value in after.items() if name.startswith("prior.")}
        assert same(inner, before)
    assert not same(after, start)
    assert rows[0]["kl"] == pytest.approx(0, abs=1e-6)
    assert rows[-1]["kl"] > 1e-5


@KINDS
def test_a_stop_and_a_resume_change_nothing(objective, tmp_path):
    whole, parts = run_in(tmp_path / "whole"), run_in(tmp_path / "parts")
    straight = tuner_of(objective, updates=8)
    tune(straight, whole, lambda row: None)

    def stop(row):
        if row["update"] == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(tuner_of(objective, updates=8), parts, stop)
    again = tuner_of(objective, updates=8)
    resume(again, parts)
    assert again.update == 5
    tune(again, parts, lambda row: None)

    assert [row["update"] for row in rows_of(whole)] == [str(i) for i in range(1, 9)]
    assert rows_of(parts) == rows_of(whole)
    assert same(parameters(again.policy), parameters(straight.policy))
    assert same(parameters(again.target), parameters(straight.target))
    assert again.scorer.calls == straight.scorer.calls


def test_rows_after_the_last_checkpoint_are_made_again(tmp_path):
    """Killed between two checkpoints: metrics.csv is ahead of the checkpoint by some rows."""
    whole, killed = run_in(tmp_path / "whole"), run_in(tmp_path / "killed")
    tune(tuner_of(updates=6), whole, lambda row: None)
    tuner = tuner_of(updates=6)
    for update in range(5):
        killed.log(tuner.step())
        if update == 2:
            checkpoint(tuner, killed)
    again = tuner_of(updates=6)
    resume(again, killed)
    assert [row["update"] for row in rows_of(killed)] == ["1", "2", "3"]
    tune(again, killed, lambda row: None)
    assert rows_of(killed) == rows_of(whole)


def test_a_resume_knows_what_was_seen_and_what_failed(tmp_path):
    """Repeats that an earlier part of the run has seen stay unpaid, and scored texts are not asked again."""
    settings = {"domain": Failing(), "failures": 1.0, "repeats": "unpaid"}
    run = run_in(tmp_path / "run")
    tune(tuner_of(updates=3, **settings), run, lambda row: None)
    again = tuner_of(updates=4, **settings)
    resume(again, run)
    assert again.scorer.failed
    text = sorted(again.scorer.seen - {text for _, text, _ in again.scorer.failed})[0]
    calls = again.scorer.calls
    scores = again.scorer.score(ids(text), np.array([False]))
    assert (scores.repeated.all(), scores.totals.tolist(), again.scorer.calls) == (True, [0.0], calls)


def test_the_seed_decides_the_metrics(tmp_path):
    runs = [run_in(tmp_path / name) for name in ("one", "same", "other")]
    for run, seed in zip(runs, (3, 3, 4), strict=True):
        tune(tuner_of(updates=4, seed=seed), run, lambda row: None)
    one, same_seed, other = (rows_of(run) for run in runs)
    assert one == same_seed
    assert one != other


def test_a_row_holds_the_figures_of_its_own_update():
    tuner = tuner_of(rollouts=64)
    seen = []
    score = tuner.scorer.score
    tuner.scorer.score = lambda *batch: seen.append((batch, score(*batch))) or seen[-1][1]
    row = tuner.step()
    (tokens, _), scores = seen[0]
    lengths = (tokens != PAD).sum(-1)
    assert row["update"] == 1
    assert row["reward"] == pytest.approx(scores.totals.mean())
    assert row["length"] == pytest.approx(lengths.mean())
    assert row["valid"] == pytest.approx(np.mean([text is not None for text in scores.texts]))
    assert row["distinct"] == pytest.approx(len({text for text in scores.texts if text}) / 64)
    assert row["term.rises"] == pytest.approx(scores.terms["rises"].mean())
    assert row["oracle_calls"] == len({text for text in scores.texts if text})
    assert 0 < row["valid"] < 1


def test_what_could_not_be_scored_is_not_learnt_from(tmp_path):
    tuner = tuner_of(domain=Failing(), failures=1.0, updates=3)
    run = run_in(tmp_path / "run")
    rows = []
    tune(tuner, run, rows.append)
    stored = tuner.replay.tokens[: len(tuner.replay)]
    whole = [tuner.scorer.text(row.numpy()) for row in stored if EOS in row]  # what was cut is no item, and is learnt
    assert 0 < len(stored) < 3 * 16
    assert not any("c" in text for text in whole if text)
    assert all(np.isfinite(row["loss"]) and np.isfinite(row["reward"]) for row in rows)
    with (run.folder / "failures.csv").open(newline="") as file:
        logged = list(csv.DictReader(file))
    assert {row["term"] for row in logged} == {"fragile"}
    assert all("c" in row["text"] for row in logged)
    assert len(logged) == len({row["text"] for row in logged})


def test_a_term_that_fails_too_often_stops_the_run_and_leaves_what_was_learnt(tmp_path):
    run = run_in(tmp_path / "run")
    with pytest.raises(UserError, match="term 'fragile' could not score"):
        tune(tuner_of(domain=Failing(), failures=0.05), run, lambda row: None)
    assert len(rows_of(run)) == 3  # one bad batch, or two, may be chance
    assert "fragile" in (run.folder / "failures.csv").read_text()
    load_policy(run.folder)


def test_what_stops_a_run_leaves_the_policy_as_it_was_learnt(tmp_path, monkeypatch):
    tuner, run = tuner_of(updates=9), run_in(tmp_path / "run")
    step = Tuner.step

    def interrupted(self):
        if self.update == 2:
            raise KeyboardInterrupt
        return step(self)

    monkeypatch.setattr(Tuner, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tune(tuner, run, lambda row: None)
    assert len(rows_of(run)) == 2
    assert same(parameters(load_policy(run.folder)), parameters(tuner.policy))
    again = tuner_of(updates=9)
    resume(again, run)
    assert again.update == 2


def test_a_checkpoint_is_saved_while_the_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "CHECKPOINT_SECONDS", -1.0)
    run, found = run_in(tmp_path / "run"), []

    def look(row):
        fresh = tuner_of()
        resume(fresh, run)
        found.append((row["update"], fresh.update))

    tune(tuner_of(updates=3), run, look)
    assert found == [(1, 0), (2, 1), (3, 2)]


@pytest.mark.parametrize("fixed", [False, True])
def test_centring_takes_the_same_from_every_sequence(fixed):
    """Else it would move the optimum: from short words less than from long ones, say."""
    tuner = tuner_of(domain=FixedLettersDomain() if fixed else LettersDomain())
    row = tuner.step()
    batches = list(tuner.replay.batches(4, 16, torch.Generator().manual_seed(0)))
    assert fixed or len({batch.tokens.shape[1] for batch in batches}) > 1
    for batch in batches:
        shift = batch.reward - tuner.centred(batch)
        assert (shift[~batch.mask] == 0).all()
        torch.testing.assert_close(shift.sum(-1), torch.full((16,), row["reward"]), rtol=0, atol=1e-5)


def test_the_target_follows_by_its_share():
    target, policy = new_model(seed=1), new_model(seed=2)
    before = parameters(target)
    follow(target, policy, 0.25)
    for name, value in policy.named_parameters():
        torch.testing.assert_close(dict(target.named_parameters())[name], 0.75 * before[name] + 0.25 * value)


def test_a_checkpoint_holds_every_part_and_the_state(tmp_path):
    def parts(seed):
        model = new_model(seed=seed)
        optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
        generator = torch.Generator().manual_seed(seed)
        return {"model": model, "optimiser": optimiser, "generator": generator}

    one, other = parts(1), parts(2)
    one["model"](every(2)).sum().backward()
    one["optimiser"].step()
    torch.rand(3, generator=one["generator"])
    save_checkpoint(tmp_path / "deep" / "folder", one, {"update": 3, "note": "ä", "best": float("inf")})
    assert load_checkpoint(tmp_path / "deep" / "folder", other) == {"update": 3, "note": "ä", "best": float("inf")}
    assert same(parameters(one["model"]), parameters(other["model"]))
    assert torch.equal(torch.rand(3, generator=one["generator"]), torch.rand(3, generator=other["generator"]))
    for some in (one, other):
        some["optimiser"].zero_grad()
        some["model"](every(2)).sum().backward()
        some["optimiser"].step()
    assert same(parameters(one["model"]), parameters(other["model"]))


def test_without_a_checkpoint_there_is_nothing_to_restore(tmp_path):
    assert load_checkpoint(tmp_path, {}) == {}


@pytest.mark.parametrize("length", [0, 5, 2000])
def test_a_checkpoint_cut_short_is_named(tmp_path, length):
    run = run_in(tmp_path / "run")
    checkpoint(tuner_of(), run)
    path = run.folder / "checkpoint" / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UserError, match=r"checkpoint\.safetensors does not fit this run"):
        resume(tuner_of(), run)
