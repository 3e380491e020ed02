"""The loop: it reaches the optimum that enumeration gives, it starts again where it stopped, it keeps what it may."""

from __future__ import annotations

import copy
import csv
import dataclasses
import json
import math
import re
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import replace_installed
from letters import FixedLettersDomain, LettersDomain, Options, every, ids, log_probabilities, new_model, rises

from seqtutor import EOS, PAD, Domain, SequenceTerm, UserError
from seqtutor.config import TrainConfig
from seqtutor.objectives import load_objective
from seqtutor.plugin.installed import installed
from seqtutor.priors.files import load_model
from seqtutor.priors.policies import follow
from seqtutor.priors.sampling import logp_of
from seqtutor.rewards.scorer import IDLE, Scorer
from seqtutor.rewards.terms import weighted_terms
from seqtutor.runs.checkpoint import load_checkpoint, save_checkpoint
from seqtutor.runs.folder import RunFolder
from seqtutor.training.proposals import rewritten, variations
from seqtutor.training.temperature import FALL, FAR, FASTEST, SLOW, Dial
from seqtutor.training.tuner import Tuner
from seqtutor.training.tuning import checkpoint, resume, tune
from seqtutor.training.verification import loss_at_optimum, new_world

KINDS = pytest.mark.parametrize("objective", sorted(installed("objective")))
ROOT = Path(__file__).parent.parent
SMALL = {"domain": "letters", "rollouts": 16, "learning_rate": 3e-3}


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
    stored = {} if load_objective(objective).on_policy else {"batch": 16, "replay": 64}
    return Tuner(domain, TrainConfig(**{**SMALL, **stored, "objective": objective, **settings}), prior)


def run_in(folder: Path) -> RunFolder:
    folder.mkdir(parents=True)
    return RunFolder(folder)


def rows_of(run: RunFolder) -> list[dict[str, str]]:
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
    settings = {"rollouts": 64, "batch": 64, "replay": 1024, "learning_steps": 3, "span": 4, "updates": 80}
    tuner = tuner_of(
        objective,
        domain=FixedLettersDomain() if fixed else LettersDomain(),
        prior=new_model(spread=1.0, hidden=32, fixed_length=fixed),
        target_rate=0.1,
        temperature=0.7,
        learning_rate=0.02,
        learning_rate_end=0.0002,
        **settings,
    )
    sequences, wanted = optimum(tuner)
    assert distance(log_probabilities(tuner.policy, sequences), wanted) > 0.7
    for _ in range(80):
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
    finish = tuner.scorer.finish
    tuner.scorer.finish = lambda asked: seen.append((asked.tokens, finish(asked))) or seen[-1][1]
    row = tuner.step()
    tokens, scores = seen[0]
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
    assert all(np.isfinite(row["reward"]) for row in rows)
    assert [bool(np.isfinite(row["loss"])) for row in rows] == [False, True, True]  # at first there is nothing to learn
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
    load_model(run.folder, "policy")


def test_what_stops_a_run_within_an_update_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    tuner, run = tuner_of(updates=9), run_in(tmp_path / "run")
    step = Tuner.step

    def interrupted(self):
        if self.update == 2:
            raise KeyboardInterrupt
        return step(self)

    monkeypatch.setattr(Tuner, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tune(tuner, run, lambda row: None)
    assert len(rows_of(run)) == tuner.update == 0  # an update that broke off: back to the last checkpoint
    assert same(parameters(load_model(run.folder, "policy")), parameters(tuner.policy))
    again = tuner_of(updates=9)
    resume(again, run)
    assert again.update == 0


def test_a_checkpoint_is_saved_while_the_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("seqtutor.runs.checkpoint.Pace.due", True)
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
        shift = tuner.reward(batch) - tuner.centred(batch)
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


@KINDS
def test_a_setting_that_an_objective_has_not_is_named(objective):
    own = {field.name for field in dataclasses.fields(load_objective(objective).Settings)}
    changed = {"gamma": 0.5, "span": 3, "trace": 0.5, "clip": 0.1, "target_rate": 0.3, "learning_steps": 5}
    changed |= {"batch": 8, "replay": 32, "priority": "reward", "vary": 0.1, "rewrite": 0.1}
    for name in sorted(changed.keys() - own):
        with pytest.raises(UserError, match=f"objective '{objective}' has no {name} "):
            tuner_of(objective, **{name: changed[name]})
    for name in sorted((changed.keys() & own) - {"vary", "rewrite"}):
        tuner_of(objective, **{name: changed[name]})


def test_an_objective_of_ones_own_is_an_entry_point(tmp_path, monkeypatch):
    """The ten lines of docs/objectives.md: a function, a decorator, an entry point; the loop, the CLI and the proof."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "objectives.md").read_text(encoding="utf-8"), re.S)
    (tmp_path / "mine.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    entry = EntryPoint("mine", "mine:mine", "seqtutor.objectives")
    replace_installed(monkeypatch, "objective", {**installed("objective"), "mine": entry})
    tuner = tuner_of("mine")
    assert [tuner.step()["update"] for _ in range(2)] == [1, 2]
    world = new_world()
    at_optimum, beside = loss_at_optimum(world, load_objective("mine"))
    assert at_optimum < 1e-10 < beside
    with pytest.raises(UserError, match=r"'mime'.*mine"):
        tuner_of("mime")


@pytest.mark.parametrize("priority", ["reward", "error"])
def test_training_on_ranked_replay_reaches_the_optimum_too(priority):
    """Data that the policy did not choose are lawful: the fixed point is the same."""
    tuner = tuner_of("tb", prior=new_model(spread=1.0, hidden=32), temperature=0.7, rollouts=64, batch=64, replay=1024,
                     learning_steps=3, priority=priority, updates=80, learning_rate=0.02,
                     learning_rate_end=0.0002)  # fmt: skip
    sequences, wanted = optimum(tuner)
    assert distance(log_probabilities(tuner.policy, sequences), wanted) > 0.7
    for _ in range(80):
        tuner.step()
    assert distance(log_probabilities(tuner.policy, sequences), wanted) < 0.05


def test_a_replay_holds_an_update_or_says_what_would_and_is_nothing_to_those_without_one():
    with pytest.raises(UserError, match=r"replay \(8\) cannot hold one update's rollouts \(16\); try --replay 128"):
        tuner_of("tb", replay=8)
    assert tuner_of("reinforce", rollouts=5000).objective.on_policy


def test_a_budget_of_zero_leaves_the_prior_as_it_is():
    tuner = tuner_of(kl_budget=0.0)
    start = parameters(tuner.policy)
    rows = [tuner.step() for _ in range(3)]
    assert same(parameters(tuner.policy), start)
    assert all(row["kl"] == pytest.approx(0, abs=1e-6) for row in rows)


@pytest.mark.parametrize("objective", ["psi", "g"])
def test_values_keep_their_worth_in_reward_when_the_temperature_turns_and_probabilities_stay(objective):
    tuner = tuner_of(objective, temperature=2.0, temperature_end=0.5, updates=5)
    for _ in range(3):
        tuner.step()
    tokens, models = torch.tensor([[3, 4, 3]]), (tuner.policy, tuner.target)
    heads = [(model if objective == "psi" else model.tilt).value_head for model in models]
    worth = [head.bias * tuner.dial.temperature for head in heads]
    rows = [log_probabilities(model, tokens) for model in models]
    c, tuner.update = tuner.dial.temperature, tuner.update + 1
    tuner.turn(kl=0.0)
    assert tuner.dial.temperature < c
    for model, head, value, row in zip(models, heads, worth, rows, strict=True):
        assert value != 0
        assert torch.allclose(head.bias * tuner.dial.temperature, value)
        assert torch.allclose(log_probabilities(model, tokens), row, atol=1e-5)


@pytest.mark.parametrize("budget", [0.1, 0.3])
def test_the_temperature_is_turned_until_the_policy_sits_at_its_budget(budget):
    tuner = tuner_of("psi", prior=new_model(spread=1.0, hidden=32), kl_budget=budget, rollouts=64, batch=64,
                     replay=256, learning_rate=5e-3, target_rate=0.2, updates=250)  # fmt: skip
    kl = [tuner.step()["kl_per_token"] for _ in range(250)]
    assert np.mean(kl[200:]) == pytest.approx(budget, rel=0.1)
    assert f"KL budget {budget} nats per token: the policy settled at 0." in tuner.dial.verdict


def test_a_budget_that_the_reward_cannot_use_says_where_it_settled():
    dial = Dial(TrainConfig(domain="letters", kl_budget=5.0))
    for update in range(3000):
        dial.turn(0.3, update)
    assert dial.verdict.endswith("settled at 0.300, temperature 0.0333; the reward can use no more")
    short = Dial(TrainConfig(domain="letters", kl_budget=5.0))
    short.turn(0.3, 199)
    assert short.verdict.endswith("it was still on its way: try more --updates")
    assert Dial(TrainConfig(domain="letters")).verdict == ""


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kl_budget": -0.1}, "kl_budget must lie between 0 and inf, not -0.1"),
        ({"kl_budget": float("nan")}, "kl_budget must lie between 0 and inf, not nan"),
        ({"kl_budget": 0.1, "temperature_end": 0.5}, "choose one of them"),
        ({"span": 0}, "span must be above 0, not 0"),
        ({"huber": 0.0}, "huber must lie between 0.001 and inf, not 0.0"),
        ({"huber": float("nan")}, "huber must lie between 0.001 and inf, not nan"),
        ({"learning_rate_end": -1.0}, "learning_rate_end must lie between 0 and inf, not -1.0"),
        ({"trace": 1.5}, "trace must lie between 0 and 1, not 1.5"),
        ({"vary": 0.95}, r"vary must lie between 0 and 0.9, not 0.95"),
        ({"priority": "rewards"}, "'rewards'.*reward"),
    ],
)
def test_a_setting_out_of_range_is_said_in_a_line(settings, message):
    with pytest.raises(UserError, match=message):
        TrainConfig(domain="letters", **settings)


def test_a_schedule_moves_the_temperature_by_equal_factors():
    tuner = tuner_of(temperature=4.0, temperature_end=1.0, updates=3)
    assert [tuner.step()["temperature"] for _ in range(3)] == pytest.approx([4.0, 2.0, 1.0])


def test_a_schedule_moves_the_learning_rate_in_equal_steps():
    tuner = tuner_of(learning_rate=0.04, learning_rate_end=0.01, updates=3)
    rates = []
    for _ in range(4):
        tuner.step()
        rates.append([group["lr"] for group in tuner.optimiser.param_groups])
    assert [body for body, _, _ in rates[1:]] == pytest.approx(
        [0.025, 0.01, 0.01]
    )  # the first update has nothing stored
    assert [values / body for body, _, values in rates[1:]] == pytest.approx([10.0] * 3)


def test_varied_items_are_scored_and_learnt_from_and_are_none_of_the_policys_figures():
    class Varying(LettersDomain):
        def vary(self, texts, rng):
            return [text for text in ("a", "ab", "aba", "ba") if text not in texts]

    tuner = tuner_of(domain=Varying(), vary=0.25)
    tuner.step()
    assert len(tuner.replay) == 16
    tuner.scorer.seen.clear()  # only what is new to the run is a variation
    row = tuner.step()
    assert len(tuner.replay) == 32
    varied = tuner.replay.tokens[28:32].numpy()
    assert {tuner.scorer.text(r) for r in varied} <= {"a", "ab", "aba", "ba"}
    tokens = torch.from_numpy(varied).long()
    known = logp_of(tuner.prior, tokens)
    torch.testing.assert_close(tuner.replay.prior_logp[28:32], known, rtol=0, atol=1e-5)
    assert row["valid"] * 12 == pytest.approx(round(row["valid"] * 12))

    class Plain(LettersDomain):
        vary = Domain.vary
        family = Domain.family

    with pytest.raises(UserError, match="family_size is 25, but domain 'letters' has no families; set it to 0"):
        tuner_of(domain=Plain(), family_size=25)

    with pytest.raises(UserError, match=r"vary is 0\.5, but domain 'letters' offers none"):
        tuner_of(domain=Plain(), vary=0.5)


class Rewriting(LettersDomain):
    """Each word may be written backwards; a term counts rises, which belong to the spelling."""

    def rewrite(self, text, rng):
        return list(reversed(text))


def drawn(tuner):
    """One batch of what is stored."""
    tuner.step()
    (batch,) = tuner.replay.batches(1, 64, torch.Generator().manual_seed(0))
    return batch


def test_a_rewritten_sequence_has_the_terms_of_its_own_spelling():
    """Sequence-level values move along; token-level ones, and what the prior thinks, are computed anew."""
    tuner = tuner_of("tb", domain=Rewriting(), rewrite=1.0)
    batch = drawn(tuner)
    new = rewritten(tuner.scorer, tuner.prior, batch, 1.0, np.random.default_rng(0))
    texts = [tuner.scorer.text(row) for row in new.tokens.numpy()]
    assert all(text is not None for text, valid in zip(texts, batch.valid, strict=True) if valid)
    torch.testing.assert_close(new.terms[..., 0].double(), torch.from_numpy(rises(new.tokens.numpy())))
    torch.testing.assert_close(new.terms[..., 1].sum(-1), batch.terms[..., 1].sum(-1))
    torch.testing.assert_close(new.prior_logp, logp_of(tuner.prior, new.tokens))
    changed = [i for i in range(len(texts)) if not torch.equal(new.tokens[i], batch.tokens[i, : new.tokens.shape[1]])]
    assert changed
    assert any(abs(float((new.terms[i] - batch.terms[i, : new.terms.shape[1]]).sum())) > 0.5 for i in changed)


def test_what_is_no_item_is_not_rewritten():
    """A truncated word got an end, and kept the reward of one that has none."""
    tuner = tuner_of("tb", domain=Rewriting(), rewrite=1.0, prior=new_model(spread=1.0, seed=5))
    batch = drawn(tuner)
    new = rewritten(tuner.scorer, tuner.prior, batch, 1.0, np.random.default_rng(0))
    cut = ~batch.valid
    assert cut.any()
    assert torch.equal(new.tokens[cut], batch.tokens[cut, : new.tokens.shape[1]])


def test_every_gradient_step_rewrites_others(monkeypatch):
    """The same rows were rewritten in all steps of an update, and in all updates with one rng."""
    tuner, seen = tuner_of("tb", domain=Rewriting(), rewrite=0.5, learning_steps=3), []

    def noted(scorer, prior, batch, share, rng):
        seen.append((share, rng.random()))
        return batch

    monkeypatch.setattr("seqtutor.training.tuner.rewritten", noted)
    for _ in range(3):
        tuner.step()
    assert len({number for _, number in seen}) == len(seen) == 6
    assert {share for share, _ in seen} == {0.5}


def test_about_the_share_that_was_asked_for_is_rewritten():
    tuner = tuner_of("tb", domain=Rewriting(), rewrite=0.5, rollouts=200, replay=200)
    tuner.step()
    batch = tuner.replay.batch(torch.arange(200))
    new = rewritten(tuner.scorer, tuner.prior, batch, 1.0, np.random.default_rng(0))
    half = rewritten(tuner.scorer, tuner.prior, batch, 0.5, np.random.default_rng(0))
    width = min(new.tokens.shape[1], half.tokens.shape[1])
    every, some = ((b.tokens[:, :width] != batch.tokens[:, :width]).any(-1).sum() for b in (new, half))
    assert 0.25 * every < some < 0.75 * every


@pytest.mark.parametrize("given", [{"weights": {"rises": 3.0}}, {"weights": {"variety": 0.0}}, {"temperature": 0.25}])
def test_a_resumed_run_uses_the_weights_and_the_temperature_that_it_is_given(given, tmp_path):
    """They were saved and printed, and the stored sums of old rewards were learnt from."""
    run = run_in(tmp_path / "run")
    tune(tuner_of(updates=3), run, lambda row: None)
    again = tuner_of(updates=5, **given)
    resume(again, run)
    assert again.update == 3
    assert again.dial.temperature == again.config.temperature
    tokens = again.replay.tokens[: len(again.replay)].long()
    truncated = ~(tokens == EOS).any(-1)
    scorer = Scorer(again.domain, weighted_terms(again.domain, again.config.weights))
    wanted = torch.from_numpy(scorer.score(tokens.numpy(), truncated.numpy()).totals)
    torch.testing.assert_close(again.replay.earned[: len(tokens)].double(), wanted, atol=1e-5, rtol=0)
    assert again.step()["update"] == 4


def test_a_resumed_run_learns_at_the_head_speed_that_it_is_given(tmp_path):
    run = run_in(tmp_path / "run")
    tune(tuner_of(updates=1), run, lambda row: None)
    again = tuner_of(updates=2, head_speed=5.0)
    resume(again, run)
    again.step()
    body, head, _ = again.optimiser.param_groups
    assert head["lr"] == 5 * body["lr"] > 0


def test_a_temperature_that_changes_at_a_resume_takes_the_values_along(tmp_path):
    run = run_in(tmp_path / "run")
    before = tuner_of(updates=3, temperature=1.0)
    tune(before, run, lambda row: None)
    again = tuner_of(updates=3, temperature=0.5)
    resume(again, run)
    torch.testing.assert_close(again.policy.value_head.bias, 2 * before.policy.value_head.bias)


def test_with_a_term_that_was_not_stored_a_resumed_run_forgets_what_it_had_stored(tmp_path):
    run = run_in(tmp_path / "run")
    before = tuner_of(updates=2, weights={"variety": 0.0})
    tune(before, run, lambda row: None)
    again = tuner_of(updates=3, weights={"rises": 0.0, "variety": 1.0})
    resume(again, run)
    assert again.forgotten == "variety"
    assert len(before.replay) > 0
    assert len(again.replay) == 0
    assert same(parameters(again.policy), parameters(before.policy))
    assert math.isnan(again.step()["loss"])  # there was nothing to learn from yet
    assert len(again.replay) > 0
    assert np.isfinite(again.step()["loss"])


def test_the_policy_that_is_gone_back_to_is_the_one_that_was_measured(monkeypatch):
    """The figures of a row are of the policy that sampled, not of the one that has learnt since."""
    tuner = tuner_of(stop_on_collapse=True)
    tuner.step()
    sampled = parameters(tuner.policy)
    row = tuner.step()
    assert not same(parameters(tuner.policy), sampled)
    monkeypatch.setattr("seqtutor.runs.alarms.Watch.healthy", True)
    tuner.guard(row)
    assert same(parameters(tuner.healthy), sampled)


def test_a_gradient_that_is_not_finite_stops_the_run_on_the_last_finite_policy(tmp_path):
    def huge(texts):
        return np.array([1e17 if tuner.update == 2 else 1.0 for _ in texts])

    tuner = tuner_of("reinvent", terms={"huge": {"function": huge}}, updates=5, temperature=1e-16)
    run = run_in(tmp_path / "run")
    with pytest.raises(UserError, match=r"update 3: the gradient is not finite, learning from '"):
        tune(tuner, run, lambda row: None)
    assert all(value.isfinite().all() for value in parameters(load_model(run.folder, "policy")).values())
    assert len(rows_of(run)) == tuner.update


def test_a_budget_of_calls_ends_a_run_and_then_updates_do_not():
    config = TrainConfig(domain="letters", oracle_calls=40)
    assert config.updates > 10**6
    assert TrainConfig(domain="letters", oracle_calls=40, updates=7).updates == 7
    tuner = tuner_of(oracle_calls=15, updates=10**6, learning_steps=1)
    while not tuner.done:
        tuner.step()
    assert tuner.scorer.spent
    assert tuner.scorer.idle < IDLE


def test_a_budget_that_cannot_be_spent_ends_a_run_too():
    """Of words of at most two letters, no two of them c, there are eleven."""
    tuner = tuner_of(domain=LettersDomain(Options(longest=3)), oracle_calls=40, updates=10**6, learning_steps=1)
    while not tuner.done:
        tuner.step()
    assert not tuner.scorer.spent
    assert tuner.scorer.idle == IDLE
    assert IDLE < tuner.update < 10 * IDLE


def test_where_a_policy_repeats_itself_variations_spend_the_budget(monkeypatch):
    monkeypatch.setattr("seqtutor.training.tuner.IDLE", 20)
    spent = {}
    for vary in (0.0, 0.25):
        words = LettersDomain(Options(longest=8))
        more = {"temperature": 0.02, "learning_rate": 0.03, "priority": "reward", "repeats": "unpaid", "vary": vary}
        tuner = tuner_of("tb", domain=words, oracle_calls=200, updates=10**6, learning_steps=4, **more)
        while not tuner.done:
            tuner.step()
        spent[vary] = tuner.scorer.calls
    assert spent[0.0] < 150
    assert spent[0.25] == 200


@pytest.mark.parametrize(("repeats", "kept"), [("paid", []), ("unpaid", ["ab", "ab"])])
def test_by_reward_a_repeat_is_learnt_from_where_it_earns_nothing(repeats, kept):
    tuner = tuner_of(priority="reward", repeats=repeats)
    tokens = torch.from_numpy(ids("ab", "ab", "ab", "a"))
    scores = tuner.scorer.score(tokens.numpy(), np.zeros(4, bool))
    batch = tuner.batch(scores, tokens, tokens != PAD, torch.zeros(tokens.shape))
    assert sorted(tuner.scorer.text(row.numpy()) for row in batch.tokens) == sorted(["a", "ab", *kept])
    assert batch.paid.tolist().count(0.0) == len(kept)


def test_variations_are_new_to_the_run():
    class Few(LettersDomain):
        def vary(self, texts, rng):
            return ["a", "ab", "aba"]

    tuner = tuner_of(domain=Few(), vary=0.25)
    tuner.step()
    tuner.scorer.seen = {"a", "aba"}
    (row,) = variations(tuner.scorer, tuner.prior, tuner.replay, 3, np.random.default_rng(0))
    assert tuner.scorer.text(row.numpy()) == "ab"


def test_minutes_end_a_run_and_then_updates_do_not():
    config = TrainConfig(domain="letters", minutes=0.5)
    assert config.updates > 10**6
    tuner = tuner_of(minutes=0.001, updates=10**6)
    while not tuner.done:
        tuner.step()
    assert 0.06 <= tuner.seconds < 5
    assert TrainConfig(domain="letters", minutes=0.5, updates=7).updates == 7


def test_a_sequence_that_is_no_item_must_not_beat_all_items():
    """A docking score near -7 beside 0 for what is no molecule: every invalid string wins."""

    def dock(texts):
        return np.array([-7.0 - len(text) for text in texts])

    with pytest.raises(UserError, match=r"'dock', of weight 1, gives a sequence that is no item 0, more .*at most -8"):
        tuner_of(terms={"dock": dock}, rollouts=64, replay=64).step()
    table = {"function": dock, "invalid": -50.0}
    assert tuner_of(terms={"dock": table}, rollouts=64, replay=64).step()["update"] == 1


def test_a_budget_of_calls_is_refused_where_nothing_is_called():
    with pytest.raises(UserError, match=r"oracle_calls is 50, but no term of this reward asks an oracle"):
        tuner_of(oracle_calls=50, weights={"variety": 0.0})


def test_gradients_are_clipped_at_norm_one(monkeypatch):
    norms, clip = [], torch.nn.utils.clip_grad_norm_

    def noted(parameters, largest):
        parameters = list(parameters)
        before = clip(parameters, largest)
        after = torch.stack([p.grad.norm() for p in parameters if p.grad is not None]).norm()
        norms.append((float(before), float(after)))
        return before

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", noted)
    tuner = tuner_of("tb", temperature=0.01, huber=1e6)
    for _ in range(3):
        tuner.step()
    assert max(before for before, _ in norms) > 2
    assert all(after <= 1 + 1e-4 for _, after in norms)


@pytest.mark.parametrize("objective", ["g", "tb"])
def test_head_and_values_learn_as_fast_as_they_should_and_nothing_is_in_two_groups(objective):
    tuner = tuner_of(objective, head_speed=5.0)
    model = tuner.policy.tilt if objective == "g" else tuner.policy
    body, head, values = tuner.optimiser.param_groups
    assert (body["speed"], head["speed"], values["speed"]) == (1.0, 5.0, 10.0)
    assert {id(p) for p in head["params"]} == {id(p) for p in model.head.parameters()}
    assert {id(p) for p in values["params"]} == {id(p) for p in model.value_head.parameters()}
    learnt = [id(p) for p in tuner.policy.parameters() if p.requires_grad]
    assert sorted(id(p) for group in (body, head, values) for p in group["params"]) == sorted(learnt)


def test_a_head_that_learns_faster_moves_further_and_the_body_as_far():
    """Adam's first step moves every weight by the learning rate, whatever the gradient."""
    moved = {}
    for speed in (1.0, 5.0):
        tuner = tuner_of("tb", head_speed=speed, learning_rate=1e-4, learning_steps=1)
        before = copy.deepcopy(tuner.policy.state_dict())
        tuner.step()
        after = tuner.policy.state_dict()
        moved[speed] = {
            name: float((after[name] - before[name]).abs().max()) for name in ("head.bias", "lstm.bias_ih_l0")
        }
    assert moved[5.0]["head.bias"] == pytest.approx(5 * moved[1.0]["head.bias"], rel=0.01)
    assert moved[5.0]["lstm.bias_ih_l0"] == pytest.approx(moved[1.0]["lstm.bias_ih_l0"], rel=0.01)


def test_every_purpose_and_update_has_its_own_generator():
    tuner = tuner_of()
    first = [tuner.rng(2).random(), tuner.rng(3, 0).random(), tuner.rng(3, 1).random()]
    tuner.update = 1
    again = [tuner.rng(2).random(), tuner.rng(3, 0).random(), tuner.rng(3, 1).random()]
    assert len({*first, *again}) == 6


def test_without_a_discount_of_one_and_a_length_no_constant_can_be_taken_away():
    """At gamma < 1 the same from every total is not the same from every discounted one: the baseline is zero."""
    tuner = tuner_of(gamma=0.5)
    tuner.step()
    assert (tuner.baseline == 0).all()
    fixed = tuner_of(gamma=0.5, domain=FixedLettersDomain())
    fixed.step()
    assert (fixed.baseline[1:] != 0).any()


def test_the_dial_answers_at_once_and_within_its_limits():
    """The proportional part: a KL that jumps over the budget moves c at the next update, by no more than FASTEST."""
    dial = Dial(TrainConfig(domain="letters", kl_budget=0.1))
    for update in range(200):
        dial.turn(0.1, update)
    settled = dial.log_c
    dial.turn(0.13, 200)
    integral = SLOW * dial.error
    assert dial.log_c - settled > 2 * integral  # an integral answer alone would be this small
    dial.turn(100.0, 201)
    dial.turn(100.0, 202)
    before = dial.log_c
    dial.turn(100.0, 203)
    assert dial.log_c - before <= FASTEST + 1e-12
    assert dial.error == FAR
    low = Dial(TrainConfig(domain="letters", kl_budget=0.1))
    low.turn(1e-12, 0)
    before = low.log_c
    low.turn(1e-12, 1)
    assert low.error == -FAR
    assert low.log_c - before == pytest.approx(-FALL)


def with_lag(dial, updates, needed=0.3, lag=30, broken=range(0)):
    """A policy whose KL goes to budget * needed / c within `lag` updates -> (updates, 2): c / needed, KL / budget.

    While it is `broken` it stands at fifty times its budget, whatever c is.
    """
    budget, kl, rows = dial.config.kl_budget, 1e-4, []
    for update in range(updates):
        goal = budget * needed / dial.temperature
        kl = kl * (goal / kl) ** (1 / lag) if kl > budget / 20 else kl + (goal - kl) / lag
        kl = 50 * budget if update in broken else kl
        dial.turn(kl, update / updates)
        rows.append((dial.temperature / needed, kl / budget))
    return np.array(rows)


def settled_after(rows, within=0.2):
    """The first update from which on both c and the KL stay where they belong."""
    return int(np.flatnonzero((np.abs(rows - 1) > within).any(1)).max()) + 1


def budgeted(temperature=1.0):
    return Dial(TrainConfig(domain="letters", kl_budget=0.1, temperature=temperature))


@pytest.mark.parametrize(("lag", "most"), [(10, 1.001), (30, 1.015), (60, 1.105)])
def test_the_dial_settles_at_the_budget_and_hardly_overshoots(lag, most):
    rows = with_lag(budgeted(), 400, lag=lag)
    assert rows[200:, 1] == pytest.approx(1, abs=0.1)
    assert rows[:, 1].max() < most


@pytest.mark.parametrize(("broken", "updates", "highest"), [(1, 90, 8), (20, 110, 11), (100, 210, 50)])
def test_after_a_policy_broke_the_temperature_is_soon_back(broken, updates, highest):
    """c ran off to 38, 240 and 2e7 times what was needed, and was back after 179, 274 and more than 800 updates."""
    rows = with_lag(budgeted(), 1200, broken=range(400, 400 + broken))
    assert settled_after(rows[:400]) < 200
    assert settled_after(rows[400:]) < updates
    assert rows[400:, 0].max() < highest
    assert rows[400:, 1].min() > 0.4  # it does not lose all that it had learnt


@pytest.mark.parametrize(("needed", "updates"), [(10.0, 110), (100.0, 240)])
def test_a_temperature_that_begins_far_too_low_is_raised_all_the_same(needed, updates):
    assert settled_after(with_lag(budgeted(), 400, needed=needed)) < updates


def test_a_reward_that_has_come_to_need_a_higher_temperature_gets_it():
    dial = budgeted()
    with_lag(dial, 400)
    kl = dial.config.kl_budget * 10
    for update in range(300):
        kl *= (dial.config.kl_budget * 3.0 / dial.temperature / kl) ** (1 / 30)
        dial.turn(kl, update)
    assert dial.temperature == pytest.approx(3.0, rel=0.05)


@pytest.mark.parametrize("after", [20, 410, 430])
def test_a_dial_that_is_put_back_goes_on_exactly(after):
    """On the way to the budget, while c runs off, and while it is taken back."""
    kls = 0.1 * with_lag(budgeted(), 500, broken=range(400, 420))[:, 1]
    through, again = budgeted(), budgeted()
    for update, kl in enumerate(kls):
        if update == after:
            again.restore(json.loads(json.dumps(through.state())))
        through.turn(kl, update)
        if update >= after:
            again.turn(kl, update)
    assert again.state() == through.state()


def test_with_replay_by_reward_a_repeat_is_stored_once():
    """The best would fill the memory with copies of themselves; with the other priorities they stay, as sampled."""
    stored = {}
    for priority in ("reward", "uniform"):
        tuner = tuner_of("tb", priority=priority, replay=64)
        for _ in range(3):
            tuner.step()
        rows = tuner.replay.tokens[: len(tuner.replay)][tuner.replay.valid[: len(tuner.replay)]]
        stored[priority] = [tuner.scorer.text(row.numpy()) for row in rows]
    assert len(set(stored["reward"])) == len(stored["reward"])
    assert len(set(stored["uniform"])) < len(stored["uniform"])
