"""One update of a tuning run: collect what the policy writes, learn from what it earned, turn the temperature."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqtutor.config import TrainConfig
from seqtutor.domain import Domain
from seqtutor.errors import UserError
from seqtutor.objectives import Objective, load_objective
from seqtutor.objectives.losses import Steps, credited
from seqtutor.priors.model import LstmModel, Model
from seqtutor.priors.policies import follow, frozen, starting_policy
from seqtutor.priors.sampling import Rollout, last_step, logp_of, sample, sequence_mask
from seqtutor.priors.script import barring, script_of, within
from seqtutor.records.offline import Offline, open_record
from seqtutor.records.replay import Batch, Replay, prior_mean, reward_of, worth_of
from seqtutor.rewards.distilled import clipped
from seqtutor.rewards.reward import Scores
from seqtutor.rewards.scorer import IDLE, Asked, new_scorer
from seqtutor.rewards.versions import version_of
from seqtutor.runs.alarms import PAID, Alarm, Watch
from seqtutor.runs.budget import rate, share
from seqtutor.runs.checkpoint import Stateful
from seqtutor.runs.metrics import Row, doubts, known_mean, row_of
from seqtutor.training.limits import check_settings
from seqtutor.training.optimiser import Adam
from seqtutor.training.proposals import rewritten, variations
from seqtutor.training.temperature import Dial
from seqtutor.vocabulary import PAD


class Collected(NamedTuple):
    """What an update collects: the policy's own sequences, variations (N, T) of stored ones, and their question."""

    rollout: Rollout
    varied: Tensor
    asked: Asked


@dataclass
class Tuner:
    """One tuning run: everything that changes while it goes on, and nothing else."""

    domain: Domain
    config: TrainConfig
    prior: LstmModel
    before: Path | None = None  # the folder of a run that goes on, by which what its config names is found
    objective: Objective = field(init=False)
    policy: Model = field(init=False)
    target: Model = field(init=False)  # a Polyak average of the policy
    sampler: Model = field(init=False)  # the policy as it was when it sampled the last batch
    healthy: Model = field(init=False)  # the policy of the last update without a sign of collapse
    update: int = 0
    seconds: float = 0.0
    baseline: Tensor | None = None  # (T,) what the prior earns at each step, or on its last one: see `centred`
    offline: Offline | None = field(init=False)  # the record that it learns from; None: it asks
    best_evidence: float = -math.inf  # the best lower end of what held-out texts say; its policy is `healthy`
    versions: dict[str, str] = field(init=False)  # what each term is computed by, in their order
    scores: Scores = field(init=False)  # what the sequences of the last update earned
    healthy_update: int = 0
    forgotten: str = ""  # a term of a resumed run's reward that is new or another one: nothing stored knows it
    went_back: bool = False  # an alarm ended the run, and the policy is `healthy` again

    def __post_init__(self) -> None:
        config = self.config
        self.objective, self.settings = load_objective(config.objective), config.settings
        check_settings(config, self.domain)
        self.prior = frozen(self.prior).to(config.device)
        self.policy = starting_policy(self.prior, tilt=self.objective.tilt)
        self.target = copy.deepcopy(self.policy).requires_grad_(False)
        self.sampler, self.healthy = copy.deepcopy(self.target), copy.deepcopy(self.target)
        self.optimiser = Adam(self.policy.parameter_groups(config.head_speed))
        self.generator = torch.Generator(config.device).manual_seed(config.seed)
        self.scorer = new_scorer(self.domain, config, self.before)
        self.offline = open_record(self.domain, config, self.prior, self.scorer, self.before) if config.log else None
        self.versions = {term.name: version_of(self.domain, term, self.scorer.settings) for term in self.scorer.terms}
        self.script = script_of(self.domain)
        self.watch = Watch(self.domain, self.scorer.outside, self.scorer.directions)
        off_policy = not self.objective.on_policy
        self.replay = Replay(
            self.settings.replay if off_policy else 0,
            self.domain.max_length,
            len(self.scorer.terms),
            lambda batch: worth_of(self.offline.reward if self.offline else self.scorer.reward, batch),
            self.settings.priority if off_policy else "uniform",
            config.device,
        )
        self.dial = Dial(config)

    @cached_property
    def parts(self) -> dict[str, Stateful]:
        """What a checkpoint holds as tensors."""
        return {
            "policy": self.policy,
            "target": self.target,
            "optimiser": self.optimiser,
            "generator": self.generator,
            "replay": self.replay,
            "healthy": self.healthy,
        }

    def step(self) -> Row:
        """One update -> its figures.

        What is stored is learnt from while others score the new batch; an on-policy objective waits for the scores of
        its own samples and learns from those.
        """
        began = time.monotonic()
        collected = self.collect()
        loss = self.learn(self.stored(), meanwhile=lambda: self.scorer.poll(collected.asked))
        own, varied = self.receive(collected)
        if self.objective.on_policy:
            loss = self.learn(self.repeated(own))
        else:
            self.replay.add(own)
            self.replay.add(varied)
        self.update += 1
        self.seconds += time.monotonic() - began
        row = self.row(collected.rollout, loss)
        self.turn(row["kl_per_token"])
        return row

    def collect(self) -> Collected:
        """Let the policy write, vary the best that is stored, and ask what all of it is worth."""
        size, length = self.config.rollouts, self.domain.max_length
        most = min(round(getattr(self.settings, "vary", 0.0) * size), size - 1)  # figures are of the policy's own
        tried = getattr(self.settings, "screen", 1)
        with self.narrow:
            varied = variations(self.scorer, self.prior, self.replay, most, self.rng(2), tried, self.dial.temperature)
        rollout = sample(self.policy, self.prior, size - len(varied), length, self.generator, self.script, self.narrow)
        self.sampler.load_state_dict(self.policy.state_dict())
        parts = [part.cpu().numpy() for part in (rollout.tokens, varied)]
        width = max(part.shape[1] for part in parts)
        tokens = np.concatenate([np.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in parts])
        truncated = np.pad(rollout.truncated.cpu().numpy(), (0, len(varied)))
        return Collected(rollout, varied, self.scorer.submit(tokens, truncated))

    def receive(self, collected: Collected) -> tuple[Batch, Batch]:
        """Wait for the scores -> the policy's own sequences and the variations, without what could not be scored."""
        scores, count = self.scorer.finish(collected.asked), len(collected.rollout)
        self.scores = scores.select(slice(count))
        if not self.update:
            self.scorer.reward.check(self.scores)
        rollout, varied = collected.rollout, collected.varied.to(collected.rollout.tokens.device)
        batch = self.batch(self.scores, rollout.tokens, rollout.mask, rollout.prior_logp)
        if self.baseline is None and len(batch):
            first = batch.select(batch.valid) if self.offline and batch.valid.any() else batch  # unseen items lie at 0
            self.baseline = prior_mean(self.reward(first), self.domain, getattr(self.settings, "gamma", 1.0))
        more = scores.select(slice(count, None))
        return batch, self.batch(more, varied, sequence_mask(varied), logp_of(self.prior, varied))

    def batch(self, scores: Scores, tokens: Tensor, mask: Tensor, prior_logp: Tensor) -> Batch:
        """Of the B sequences of `tokens` (B, T) those that may be learnt from."""
        once = getattr(self.settings, "priority", "") == "reward" and self.config.repeats == "paid"  # none of it twice
        scored = scores.scored
        if self.offline:  # what nobody has scored has a score of its own
            scored = self.offline.reward.scored(scores.values, (tokens != PAD).cpu().numpy(), scores.valid)
        keep = torch.from_numpy(scored & ~(scores.repeated & once))
        terms = torch.from_numpy(scores.values[:, : tokens.shape[1]])
        valid = torch.from_numpy(scores.valid)
        paid = torch.from_numpy(scores.paid).float()
        parts = (part.to(tokens.device) for part in (terms, valid, paid))
        return Batch(tokens, mask, prior_logp, *parts).select(keep.to(tokens.device))

    def stored(self) -> Iterator[Batch]:
        """The batches of an update of an objective that learns from the past."""
        if self.objective.on_policy:
            return iter(())
        steps, size = self.settings.learning_steps, self.settings.batch
        if self.offline:
            return self.offline.batches(self.replay, steps, size, self.generator, self.objective.separable)
        return self.replay.batches(steps, size, self.generator, by_length=self.objective.separable)

    def repeated(self, batch: Batch) -> Iterable[Batch]:
        """The batches of an update of an on-policy objective: the sequences just sampled, if any could be scored."""
        return [batch] * getattr(self.settings, "learning_steps", 1) if len(batch) else []

    def learn(self, batches: Iterable[Batch], meanwhile: Callable[[], None] = lambda: None) -> float:
        """A gradient step on each batch, and after each what is to be done `meanwhile` -> the mean loss; NaN: no batch.

        A budget of no KL at all leaves the policy as it is.
        """
        losses = []
        for number, batch in enumerate(batches if self.config.kl_budget else ()):
            losses.append(self.descend(self.respelt(batch, number)))
            meanwhile()
        return known_mean(np.array(losses))

    def descend(self, batch: Batch) -> float:
        """One gradient step on a batch, and the target network a little after it -> the loss."""
        with self.narrow:
            values = within(self.policy.action_values(batch.tokens), barring(self.script, batch.tokens))
        reward = credited(self.centred(batch), batch.mask)
        target, c = self.reference(values, batch.tokens), self.dial.temperature
        steps = Steps(values, target, batch.prior_logp, batch.tokens, reward, batch.mask, c)
        loss = self.objective(steps, **self.numbers)
        for group in self.optimiser.param_groups:
            group["lr"] = group["speed"] * rate(self.config, self.share)
        self.optimiser.zero_grad()
        loss.mean().backward()  # type: ignore[no-untyped-call]
        if not torch.nn.utils.clip_grad_norm_(self.policy.parameters(), 1.0).isfinite():
            raise self._not_finite(batch)
        self.optimiser.step()
        if self.objective.reference == "average":
            follow(self.target, self.policy, self.settings.target_rate)
        if batch.slots is not None:
            self.replay.note(batch.slots, loss.detach())
        return loss.mean().item()

    def respelt(self, batch: Batch, number: int) -> Batch:
        """The batch of the gradient step `number` with a share of it in other spellings, where that is asked for."""
        share = getattr(self.settings, "rewrite", 0.0)
        return rewritten(self.scorer, self.prior, batch, share, self.rng(3, number)) if share else batch

    @torch.no_grad()
    def reference(self, values: Tensor, tokens: Tensor) -> Tensor:
        """The values (B, T, V) that the objective compares with, without gradient."""
        models = {"average": self.target, "sampler": self.sampler}
        if (model := models.get(self.objective.reference)) is None:
            return values.detach()
        with self.narrow:
            return within(model.action_values(tokens), barring(self.script, tokens))

    @property
    def narrow(self) -> torch.autocast:
        """Within this, networks are computed in the precision that the run learns in."""
        return torch.autocast(self.config.device, torch.bfloat16, enabled=self.config.precision == "bfloat16")

    def reward(self, batch: Batch) -> Tensor:
        """R of each step (B, T), by the weights and transforms as they stand."""
        return reward_of(self.offline.reward if self.offline else self.scorer.reward, batch)

    def centred(self, batch: Batch) -> Tensor:
        """The rewards (B, T) less the baseline.

        This moves no optimum: with a fixed length it takes the same from every sequence at each step; else the same
        from every sequence's total, at its last step.
        """
        reward = self.reward(batch)
        if self.baseline is None:
            return reward
        real = sequence_mask(batch.tokens)
        shift = self.baseline[: real.shape[1]].to(reward.device)
        return reward - shift * (real if self.domain.fixed_length else last_step(real))

    def turn(self, kl: float) -> None:
        """Set the next temperature, given the KL in nats per token.

        Values are rewards over c, and are scaled along: else they would lag behind a c that moves, every sequence would
        fall short of a V that is far too high, and whatever had been sampled would be unlearnt.
        """
        before = self.dial.temperature
        self.dial.turn(kl, self.share)
        self.rescale(before)

    def rescale(self, before: float) -> None:
        """Turn values in units of a temperature `before` into units of the one that holds now."""
        for model in (self.policy, self.target, self.healthy):
            model.scale_values(before / self.dial.temperature)

    @cached_property
    def numbers(self) -> dict[str, float]:
        """The objective's own numbers, as the keyword arguments of its loss."""
        return self.objective.numbers(self.settings)

    def rng(self, *purpose: int) -> np.random.Generator:
        """A generator for `purpose` that depends on the seed and the update alone, so that a resume needs no state."""
        return np.random.default_rng([self.config.seed, self.update, *purpose])

    def guard(self, row: Row) -> list[Alarm]:
        """Watch the update that `row` is of -> new alarms; at one, go back to the last healthy policy if asked to."""
        alarms = self.watch.look(row, self.scores)
        if any(alarm.column != PAID for alarm in alarms) and self.config.stop_on_collapse:
            self.policy.load_state_dict(self.healthy.state_dict())
            self.target.load_state_dict(self.healthy.state_dict())
            self.went_back = True
        elif self.watch.healthy and self.better(row):
            self.healthy.load_state_dict(self.sampler.state_dict())  # the figures are of the policy that sampled
            self.healthy_update = self.update
        return alarms

    def better(self, row: Row) -> bool:
        """Whether held-out texts say more for the policy of `row` than for any before; without a record, yes."""
        low = row.get("explained_low", math.nan)
        if not self.offline or math.isnan(low):
            return True
        found, self.best_evidence = low > self.best_evidence, max(low, self.best_evidence)
        return found

    @property
    def kept(self) -> Model:
        """The policy that the run hands over: that of the best evidence where there was any, else the last."""
        return self.healthy if math.isfinite(self.best_evidence) else self.policy

    @property
    def kept_update(self) -> int:
        """The updates that the policy has learnt from which the run hands over."""
        return self.healthy_update - 1 if self.kept is self.healthy else self.update

    @property
    def share(self) -> float:
        """How much of its budget the run has spent."""
        return share(self.config, self.update, self.seconds, self.scorer.calls)

    @property
    def done(self) -> bool:
        """Whether a limit is reached: of updates, minutes or calls, or an alarm that ends the run.

        A budget of calls also ends a run that writes nothing new any more.
        """
        late = 0 < 60 * self.config.minutes <= self.seconds
        scorer = self.scorer
        spent = scorer.spent or (scorer.budget > 0 and scorer.idle >= IDLE)
        return late or self.update >= self.config.updates or spent or self.went_back

    def row(self, rollout: Rollout, loss: float) -> Row:
        """The figures of an update: its own, and the run's so far."""
        row = row_of(
            self.domain,
            rollout,
            self.scores,
            self.config.hold_out,
            update=self.update,
            seconds=self.seconds,
            temperature=self.dial.temperature,
            loss=loss,
            oracle_calls=self.scorer.calls,
        )
        row |= clipped(self.scorer.terms, self.scores) | doubts(self.scorer.terms, self.scores)
        return row | self.offline.figures(self.sampler, self.scores, self.dial.temperature) if self.offline else row

    def _not_finite(self, batch: Batch) -> UserError:
        some = ", ".join(f"'{self.scorer.text(row)}'" for row in batch.tokens[:3].cpu().numpy())
        return UserError(
            f"update {self.update + 1}: the gradient is not finite, learning from {some} with rewards "
            f"{float(self.reward(batch).sum(-1).min()):g} to {float(self.reward(batch).sum(-1).max()):g}; "
            f"the policy before it is kept: give the terms a transform, or the reward a larger temperature"
        )
