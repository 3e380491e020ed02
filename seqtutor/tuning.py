"""THE loop: sample, ask, learn while others work, collect, log, save."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from seqtutor.alarms import Alarm, Watch
from seqtutor.centre import centred, prior_mean
from seqtutor.checkpoint import Pace, Stateful, load_checkpoint, save_checkpoint
from seqtutor.config import TrainConfig
from seqtutor.domain import Domain
from seqtutor.metrics import Row, known_mean, row_of
from seqtutor.model import Model, SequenceModel, TiltedModel, frozen
from seqtutor.objectives import Objective, load_objective
from seqtutor.pending import Pending
from seqtutor.preparation import check_options, check_sizes, new_scorer, parameter_groups, starting_policy
from seqtutor.proposals import prior_rows, rewritten, variations
from seqtutor.replay import Batch, Replay
from seqtutor.rollout import Rollout, sample, sequence_mask
from seqtutor.run import Run
from seqtutor.scoring import Asked, Scores
from seqtutor.signals import whole
from seqtutor.temperature import Dial

Report = Callable[[Row], None]
Warn = Callable[[Alarm], None]


@dataclass
class Tuner:
    """One tuning run: everything that changes while it goes on, and nothing else."""

    domain: Domain
    config: TrainConfig
    prior: SequenceModel
    objective: Objective = field(init=False)
    policy: Model = field(init=False)
    target: Model = field(init=False)
    update: int = 0
    seconds: float = 0.0
    centre: Tensor | None = None  # (T,) what the prior earns at each step, or on its last one: see `centred`
    scores: Scores = field(init=False)  # what the sequences of the last update earned
    healthy: Model = field(init=False)  # the policy of the last update without a sign of collapse
    healthy_update: int = 0
    went_back: bool = False  # an alarm ended the run, and the policy is `healthy` again
    pending: Pending = field(default_factory=Pending)  # the batch of an update that is under way
    torn: bool = False  # an update is done in part, beyond what `pending` tells: what must not be saved

    def __post_init__(self) -> None:
        config = self.config
        self.objective = load_objective(config.objective)
        check_options(config, self.objective, self.domain)
        check_sizes(config, self.domain)
        self.prior = frozen(self.prior).to(config.device)
        self.policy = starting_policy(self.prior, self.objective).requires_grad_(True)
        if isinstance(self.policy, TiltedModel):
            self.policy.prior.requires_grad_(False)
        self.target = copy.deepcopy(self.policy).requires_grad_(False)
        self.healthy = copy.deepcopy(self.target)
        self.watch = Watch(self.domain)
        self.optimiser = torch.optim.Adam(parameter_groups(self.policy))
        self.generator = torch.Generator().manual_seed(config.seed)
        capacity = 0 if self.objective.fresh else config.replay
        self.replay = Replay(capacity, self.domain.max_length, len(self.domain.vocabulary), config.priority)
        self.scorer = new_scorer(self.domain, config)
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
            "pending": self.pending,
        }

    def step(self) -> Row:
        """One update: sample, ask, learn from what is stored while others work, collect, remember -> its figures.

        What may learn from its own fresh samples alone waits for their scores, then learns. Whatever stops the wait
        leaves the batch `pending`, and the next call goes on with it.
        """
        began = time.monotonic()
        rollout, varied = self.sampled()
        asked = self.ask(rollout, varied)
        if not (self.objective.fresh or self.pending.learnt):
            self.torn = True
            stored = self.replay.batches(self.config.learning_steps, self.config.batch, self.generator)
            self.pending.loss = self.learn_from(stored, lambda: self.scorer.poll(asked))
            self.pending.learnt, self.torn = True, False
        scores = self.scorer.finish(asked)
        self.torn = True  # until it is logged, see `tune`
        self.scores = scores.part(slice(len(rollout)))
        found = self.remember(rollout, varied, scores)
        loss = self.learn_from(self.own(found)) if self.objective.fresh else self.pending.loss
        self.pending.clear()
        self.update += 1
        self.seconds += time.monotonic() - began
        row = self.row(rollout, loss)
        self.turn(row["kl_per_token"])
        return row

    def sampled(self) -> tuple[Rollout, Tensor]:
        """The batch that is pending, or a new one: the policy's own sequences, and variations (N, T) of stored ones."""
        pending, config = self.pending, self.config
        if pending.rollout is None or pending.varied is None:
            before = self.generator.get_state()
            try:
                pending.varied = variations(self.domain, self.replay, round(config.vary * config.rollouts), self.rng(2))
                own = config.rollouts - len(pending.varied)
                pending.rollout = sample(self.policy, self.prior, own, self.domain.max_length, self.generator)
            except BaseException:  # nothing has happened: a resume begins this update anew
                pending.clear()
                self.generator.set_state(before)
                raise
        return pending.rollout, pending.varied

    def ask(self, rollout: Rollout, varied: Tensor) -> Asked:
        """Begin to score the samples, and the variations (N, T) behind them as one batch: it is done or not done."""
        length = max(rollout.tokens.shape[1], varied.shape[1])
        rows = [np.pad(part.cpu().numpy(), ((0, 0), (0, length - part.shape[1]))) for part in (rollout.tokens, varied)]
        truncated = np.pad(rollout.truncated.cpu().numpy(), (0, len(varied)))
        return self.scorer.begin(np.concatenate(rows), truncated)

    def remember(self, rollout: Rollout, varied: Tensor, scores: Scores) -> Batch:
        """Store what is scored -> of the policy's own sequences those that may be learnt from."""
        found = self.learnable(self.scores, rollout.tokens, rollout.log_prior)
        if self.centre is None and len(found.tokens):
            self.centre = prior_mean(found.reward, self.domain, self.config.gamma)
        if not self.objective.fresh:
            self.replay.add(found)
        if len(varied):
            of_varied = scores.part(slice(len(rollout), None))
            self.replay.add(self.learnable(of_varied, varied, prior_rows(self.prior, varied)))
        return found

    def learnable(self, scores: Scores, tokens: Tensor, log_prior: Tensor) -> Batch:
        """Of `tokens` (B, T) with their scores those sequences that may be learnt from."""
        keep = scores.scored & ~(scores.repeated & (self.config.priority == "reward"))  # the best are kept once
        reward = torch.from_numpy(scores.reward[:, : tokens.shape[1]]).float().to(tokens.device)
        batch = Batch(log_prior, tokens, reward, sequence_mask(tokens))
        return batch.select(torch.from_numpy(keep).to(tokens.device))

    def own(self, found: Batch) -> Iterator[Batch]:
        """What a fresh objective learns from: the sequences just sampled, if any could be scored."""
        if len(found.tokens):
            follow(self.target, self.policy, 1.0)
            yield from [found] * (self.config.learning_steps if self.objective.target == "sampler" else 1)

    def learn_from(self, batches: Iterable[Batch], meanwhile: Callable[[], None] = lambda: None) -> float:
        """A gradient step on each batch, and after each what is to be done `meanwhile` -> the mean loss; NaN: no batch.

        A budget of no KL at all leaves the policy as it is.
        """
        losses = []
        for batch in batches if self.config.kl_budget else ():
            losses.append(self.learn(batch))
            meanwhile()
        return known_mean(np.array(losses))

    def learn(self, batch: Batch) -> float:
        """One gradient step on a batch, and the target network a little after it -> the loss."""
        config = self.config
        batch = rewritten(self.domain, self.prior, batch.to(config.device), config.rewrite, self.rng(3))
        values = self.policy.action_values(batch.tokens)
        loss = self.objective(
            values,
            self.target_values(values, batch.tokens),
            batch.log_prior,
            batch.tokens,
            centred(batch, self.centre, self.domain),
            batch.mask,
            temperature=self.dial.temperature,
            **self.options,
        )
        for group in self.optimiser.param_groups:
            group["lr"] = group["speed"] * config.rate(self.update)
        self.optimiser.zero_grad()
        loss.mean().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.policy.parameters(), 1.0)
        self.optimiser.step()
        if self.objective.target == "average":
            follow(self.target, self.policy, config.target_rate)
        if batch.slots is not None:
            self.replay.note(batch.slots, loss.detach())
        return loss.mean().item()

    def turn(self, kl: float) -> None:
        """Set the next temperature, given the KL in nats per token; values, which are rewards over c, turn with it.

        Else they lag: with V far too high every sequence seems a disappointment, and whatever was sampled is unlearnt.
        """
        before = self.dial.temperature
        self.dial.turn(kl, self.update)
        for model in (self.policy, self.target):
            model.scale_values(before / self.dial.temperature)

    def target_values(self, values: Tensor, tokens: Tensor) -> Tensor:
        """What the objective is given as `target` (B, T, V), without gradient."""
        if self.objective.target == "none":
            return values.detach()
        with torch.no_grad():
            return self.target.action_values(tokens)

    @cached_property
    def options(self) -> dict[str, float]:
        """The objective's own settings, as its keyword arguments."""
        return {name: getattr(self.config, name) for name in self.objective.keywords}

    def rng(self, purpose: int) -> np.random.Generator:
        """A generator for `purpose` that depends on the seed and the update alone, so that a resume needs no state."""
        return np.random.default_rng([self.config.seed, purpose, self.update])

    def guard(self, row: Row) -> list[Alarm]:
        """Watch the update that `row` is of -> new alarms; at one, go back to the last healthy policy if asked to."""
        alarms = self.watch.look(row, self.scores)
        if alarms and self.config.stop_on_collapse:
            self.policy.load_state_dict(self.healthy.state_dict())
            self.target.load_state_dict(self.healthy.state_dict())
            self.went_back = True
        elif self.watch.healthy:
            self.healthy.load_state_dict(self.policy.state_dict())
            self.healthy_update = self.update
        return alarms

    def row(self, rollout: Rollout, loss: float) -> Row:
        """The figures of an update: its own, and the run's so far."""
        return row_of(
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


@torch.no_grad()
def follow(target: Model, policy: Model, rate: float) -> None:
    """Move `target` the share `rate` of the way to `policy` (Polyak average)."""
    for theirs, ours in zip(target.parameters(), policy.parameters(), strict=True):
        theirs.lerp_(ours, rate)


def tune(tuner: Tuner, run: Run, report: Report, warn: Warn = lambda alarm: None) -> None:
    """Update until done, with a checkpoint now and then. Whatever stops it, what was learnt is saved."""
    pace = Pace()
    with tuner.scorer.remembering(run.answers):
        try:
            while tuner.update < tuner.config.updates and not (tuner.scorer.spent or tuner.went_back):
                with whole():
                    row = tuner.step()
                    alarms = tuner.guard(row)
                    run.log(row)
                    run.note(tuner.update, tuner.scorer.news)
                    if alarms:
                        run.save_alarms(tuner.watch.raised)
                    tuner.torn = False
                report(row)
                for alarm in alarms:
                    warn(alarm)
                tuner.scorer.check()
                if pace.due:
                    with pace.saving():
                        checkpoint(tuner, run)
        finally:
            if not tuner.torn:
                run.save_policy(tuner.policy, tuner.config)
                checkpoint(tuner, run)


def checkpoint(tuner: Tuner, run: Run) -> None:
    """Save all that is needed to go on as if never stopped."""
    state = {
        "update": tuner.update,
        "seconds": tuner.seconds,
        "scorer": tuner.scorer.state(),
        "centre": None if tuner.centre is None else tuner.centre.tolist(),
        "dial": tuner.dial.state(),
        "watch": tuner.watch.state(),
        "healthy_update": tuner.healthy_update,
        "went_back": tuner.went_back,
    }
    run.sync()
    save_checkpoint(run.folder / "checkpoint", tuner.parts, state)


def resume(tuner: Tuner, run: Run) -> None:
    """Put a fresh tuner where the checkpoint of `run` stood."""
    state = load_checkpoint(run.folder / "checkpoint", tuner.parts)
    if state:
        tuner.update, tuner.seconds = state["update"], state["seconds"]
        tuner.centre = None if state["centre"] is None else torch.tensor(state["centre"])
        tuner.dial.restore(state["dial"])
        tuner.watch.restore(state["watch"])
        tuner.healthy_update = state["healthy_update"]
        tuner.went_back = state["went_back"] and tuner.config.stop_on_collapse  # without it, the run goes on
        tuner.scorer.restore(state["scorer"])
    run.keep(tuner.update)
