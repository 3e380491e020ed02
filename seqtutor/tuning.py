"""THE loop: sample, score, learn, log, save."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqtutor.alarms import Alarm, Watch, shares
from seqtutor.checkpoint import Pace, Stateful, load_checkpoint, save_checkpoint
from seqtutor.config import TrainConfig
from seqtutor.domain import Domain
from seqtutor.errors import UserError
from seqtutor.memory import check_memory
from seqtutor.model import Model, SequenceModel, TiltedModel, frozen
from seqtutor.objectives import Objective, load_objective
from seqtutor.proposals import prior_rows, rewritten, variations
from seqtutor.replay import Batch, Replay
from seqtutor.rollout import Rollout, last_step, sample, sequence_mask
from seqtutor.run import Run
from seqtutor.scoring import Scorer, Scores, settings_of, weighted_terms
from seqtutor.signals import whole
from seqtutor.temperature import Dial

VALUE_SPEED = 10.0
# Settings that not every objective has: see Objective.options.
STEPS = ("gamma", "span", "trace", "clip", "target_rate", "learning_steps")
STORED = ("batch", "replay", "priority", "vary", "rewrite")
OPTIONAL = STEPS + STORED
Row = dict[str, float]
Report = Callable[[Row], None]
Warn = Callable[[Alarm], None]


def starting_policy(prior: SequenceModel, objective: Objective) -> Model:
    """The policy that an objective starts from: in distribution, exactly the prior. Q and Psi read it as log p."""
    policy = TiltedModel(prior) if objective.tilt else copy.deepcopy(prior)
    for module in policy.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return policy.train()


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
    torn: bool = False  # an update is done in part: what must not be saved

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
        self.optimiser = torch.optim.Adam(parameter_groups(self.policy, config.learning_rate))
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
        }

    def step(self) -> Row:
        """One update: sample, score, remember, learn -> its row of figures."""
        began = time.monotonic()
        config = self.config
        before = self.generator.get_state()
        try:
            varied = variations(self.domain, self.replay, round(config.vary * config.rollouts), self.rng(2))
            own = config.rollouts - len(varied)
            rollout = sample(self.policy, self.prior, own, self.domain.max_length, self.generator)
            scores = self.score(rollout, varied)
        except BaseException:  # nothing has been learnt: a resume begins this update anew
            self.generator.set_state(before)
            raise
        self.torn = True  # until it is logged, see `tune`
        self.scores = scores.part(slice(own))
        found = self.learnable(self.scores, rollout.tokens, rollout.log_prior)
        if self.centre is None and len(found.tokens):
            self.centre = self.prior_mean(found.reward)
        if not self.objective.fresh:
            self.replay.add(found)
        if len(varied):
            self.replay.add(self.learnable(scores.part(slice(own, None)), varied, prior_rows(self.prior, varied)))
        temperature = self.dial.temperature
        losses = [self.learn(batch) for batch in self.batches(found)] if config.kl_budget else []
        self.update += 1
        self.seconds += time.monotonic() - began
        row = self.row(rollout, self.scores, _mean(np.array(losses)), temperature)
        self.dial.turn(row["kl_per_token"], self.update)
        return row

    def score(self, rollout: Rollout, varied: Tensor) -> Scores:
        """What the samples earned, and the variations (N, T) behind them: at once, so that it is done or not done."""
        length = max(rollout.tokens.shape[1], varied.shape[1])
        rows = [np.pad(part.cpu().numpy(), ((0, 0), (0, length - part.shape[1]))) for part in (rollout.tokens, varied)]
        truncated = np.pad(rollout.truncated.cpu().numpy(), (0, len(varied)))
        return self.scorer.score(np.concatenate(rows), truncated)

    def learnable(self, scores: Scores, tokens: Tensor, log_prior: Tensor) -> Batch:
        """Of `tokens` (B, T) with their scores those sequences that may be learnt from."""
        keep = scores.scored & ~(scores.repeated & (self.config.priority == "reward"))  # the best are kept once
        reward = torch.from_numpy(scores.reward[:, : tokens.shape[1]]).float().to(tokens.device)
        batch = Batch(log_prior, tokens, reward, sequence_mask(tokens))
        return batch.select(torch.from_numpy(keep).to(tokens.device))

    def batches(self, found: Batch) -> Iterator[Batch]:
        """What an update learns from: stored sequences, or for a fresh objective those just sampled."""
        if not self.objective.fresh:
            yield from self.replay.batches(self.config.learning_steps, self.config.batch, self.generator)
        elif len(found.tokens):
            follow(self.target, self.policy, 1.0)
            yield from [found] * (self.config.learning_steps if self.objective.target == "sampler" else 1)

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
            self.centred(batch),
            batch.mask,
            temperature=self.dial.temperature,
            **self.options,
        )
        self.optimiser.zero_grad()
        loss.mean().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.policy.parameters(), 1.0)
        self.optimiser.step()
        if self.objective.target == "average":
            follow(self.target, self.policy, config.target_rate)
        if batch.slots is not None:
            self.replay.note(batch.slots, loss.detach())
        return loss.mean().item()

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

    def prior_mean(self, reward: Tensor) -> Tensor:
        """(T,) what the first rollouts, which are the prior's own, earn (B, T): where the values' zero shall lie."""
        centre = torch.zeros(self.domain.max_length)
        if self.domain.fixed_length:
            centre[: reward.shape[1]] = reward.mean(0)
        elif self.config.gamma == 1.0:
            centre[:] = reward.sum(-1).mean()
        return centre

    def centred(self, batch: Batch) -> Tensor:
        """The rewards (B, T) measured from what the prior earns, so that values start near zero and not far from it.

        This moves no optimum: with a fixed length it takes the same from every sequence at each step; else the same
        from every sequence's total, at its last step.
        """
        if self.centre is None:
            return batch.reward
        centre = self.centre[: batch.mask.shape[1]].to(batch.reward.device)
        return batch.reward - centre * (batch.mask if self.domain.fixed_length else last_step(batch.mask))

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

    def row(self, rollout: Rollout, scores: Scores, loss: float, temperature: float) -> Row:
        """The figures of an update, one column each of `metrics.csv`; docs/metrics.md says what each is."""
        lengths, texts, held = rollout.mask.sum(-1), scores.texts, self.config.hold_out
        return {
            "update": self.update,
            "seconds": round(self.seconds, 3),
            "reward": _mean(scores.totals),
            "kl": float(rollout.kl.sum(-1).mean()),
            "kl_per_token": float(rollout.kl.sum() / lengths.sum()),
            "entropy": -float(rollout.logp.sum() / lengths.sum()),
            "temperature": temperature,
            "loss": loss,
            "valid": sum(text is not None for text in texts) / len(texts),
            "distinct": len({text for text in texts if text is not None}) / len(texts),
            **shares(self.domain, texts),
            "length": float(lengths.float().mean()),
            "oracle_calls": self.scorer.calls,
            **{
                (name.replace("term.", "held_out.", 1) if name[5:] in held else name): _mean(values)
                for name, values in scores.columns.items()
            },
        }


def new_scorer(domain: Domain, config: TrainConfig) -> Scorer:
    """The scorer of a run: only terms with a weight are evaluated, and those that are held out."""
    settings = settings_of(config.terms)
    terms = weighted_terms(domain, config.term_weights, settings)
    if not any(term.weight for term in terms):
        listed = ", ".join(term.name for term in terms)
        raise UserError(f"every term has weight 0: nothing to tune towards; give one with --weight TERM=1 ({listed})")
    return Scorer(
        domain,
        [term for term in terms if term.weight or term.name in config.hold_out],
        failures=config.failures,
        unpaid_repeats=config.repeats == "unpaid",
        settings=settings,
        geometric=config.combine == "geometric",
        budget=config.oracle_calls,
        workers=config.workers,
        shared=config.cache,
    )


def check_options(config: TrainConfig, objective: Objective, domain: Domain) -> None:
    """Raise UserError for a setting that was changed and means nothing to the objective, or that the domain lacks."""
    usual = TrainConfig(domain=config.domain)
    for name in OPTIONAL:
        value = getattr(config, name)
        if name not in objective.options and value not in (getattr(usual, name), domain.defaults.get(name)):
            own = ", ".join(option for option in OPTIONAL if option in objective.options)
            raise UserError(
                f"objective '{config.objective}' has no {name} (given: {value}); of these it has: {own or 'none'}"
            )
    for name in ("vary", "rewrite"):
        if getattr(config, name) and not domain.offers(name):
            raise UserError(f"{name} is {getattr(config, name)}, but domain '{domain.name}' offers none; set it to 0")


def check_sizes(config: TrainConfig, domain: Domain) -> None:
    """Raise UserError where the rows of probabilities of an update, at the least, do not fit into memory."""
    row = 4.0 * domain.max_length * len(domain.vocabulary)
    check_memory(f"rollouts {config.rollouts:,}", 2 * config.rollouts * row)  # of the policy and of the prior
    check_memory(f"batch {config.batch:,}", 3 * config.batch * row)  # values, target, prior
    check_memory(f"learning_steps {config.learning_steps:,}", 8.0 * config.learning_steps * config.batch)


def parameter_groups(policy: Model, rate: float) -> list[dict[str, Any]]:
    """The body with its token head; the value heads, which start from nothing and learn VALUE_SPEED times as fast."""
    named = [(name, p) for name, p in policy.named_parameters() if p.requires_grad]
    return [
        {"params": [p for name, p in named if "value." not in name], "lr": rate},
        {"params": [p for name, p in named if "value." in name], "lr": VALUE_SPEED * rate},
    ]


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


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
