"""THE loop: sample, score, learn, log, save."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqtutor.checkpoint import Stateful, load_checkpoint, save_checkpoint
from seqtutor.config import TrainConfig
from seqtutor.domain import Domain
from seqtutor.model import Model, SequenceModel, TiltedModel, frozen
from seqtutor.objectives import OBJECTIVES
from seqtutor.replay import Batch, Replay
from seqtutor.rollout import Rollout, sample
from seqtutor.run import Run
from seqtutor.scoring import Scorer, Scores, settings_of, weighted_terms
from seqtutor.signals import whole

CHECKPOINT_SECONDS = 30.0
VALUE_SPEED = 10.0
Row = dict[str, float]
Report = Callable[[Row], None]


def starting_policy(prior: SequenceModel, objective: str) -> Model:
    """The policy that an objective starts from: in distribution, exactly the prior. Q and Psi read it as log p."""
    policy = TiltedModel(prior) if objective == "g" else copy.deepcopy(prior)
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
    policy: Model = field(init=False)
    target: Model = field(init=False)
    update: int = 0
    seconds: float = 0.0
    torn: bool = False  # half an update is done: what must not be saved
    centre: Tensor = field(init=False)  # (T,) what the prior earns at each step, or on its last one: see `centred`

    def __post_init__(self) -> None:
        config = self.config
        self.prior = frozen(self.prior).to(config.device)
        self.policy = starting_policy(self.prior, config.objective).requires_grad_(True)
        if isinstance(self.policy, TiltedModel):
            self.policy.prior.requires_grad_(False)
        self.target = copy.deepcopy(self.policy).requires_grad_(False)
        self.optimiser = torch.optim.Adam(parameter_groups(self.policy, config.learning_rate))
        self.generator = torch.Generator().manual_seed(config.seed)
        self.replay = Replay(config.replay, self.domain.max_length, len(self.domain.vocabulary))
        self.scorer = new_scorer(self.domain, config)
        self.centre = torch.zeros(self.domain.max_length)

    @cached_property
    def parts(self) -> dict[str, Stateful]:
        """What a checkpoint holds as tensors."""
        return {
            "policy": self.policy,
            "target": self.target,
            "optimiser": self.optimiser,
            "generator": self.generator,
            "replay": self.replay,
        }

    def step(self) -> Row:
        """One update: sample, score, remember, learn -> its row of figures."""
        began = time.monotonic()
        config = self.config
        before = self.generator.get_state()
        try:
            rollout = sample(self.policy, self.prior, config.rollouts, self.domain.max_length, self.generator)
            scores = self.scorer.score(rollout.tokens.cpu().numpy(), rollout.truncated.cpu().numpy())
        except BaseException:  # nothing has been learnt: a resume begins this update anew
            self.generator.set_state(before)
            raise
        self.torn = True
        keep = torch.from_numpy(scores.scored)
        reward = torch.from_numpy(scores.reward).float()
        if len(self.replay) == 0 and keep.any():
            self.set_centre(reward[keep])
        self.replay.add(rollout.select(keep.to(rollout.tokens.device)), reward[keep])
        batches = self.replay.batches(config.learning_steps, config.batch, self.generator)
        losses = [self.learn(batch) for batch in batches]
        self.update += 1
        self.seconds += time.monotonic() - began
        self.torn = False
        return self.row(rollout, scores, _mean(np.array(losses)))

    def learn(self, batch: Batch) -> float:
        """One gradient step on stored sequences, and the target network a little after it -> the loss."""
        config, batch = self.config, batch.to(self.config.device)
        with torch.no_grad():
            target = self.target.action_values(batch.tokens)
        loss: Tensor = OBJECTIVES[config.objective](
            self.policy.action_values(batch.tokens),
            target,
            batch.log_prior,
            batch.tokens,
            self.centred(batch),
            batch.mask,
            temperature=config.temperature,
            gamma=config.gamma,
            span=config.span,
        )
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.policy.parameters(), 1.0)
        self.optimiser.step()
        follow(self.target, self.policy, config.target_rate)
        return loss.item()

    def set_centre(self, reward: Tensor) -> None:
        """Note what the first rollouts, which are the prior's own, earn (B, T): where the values' zero shall lie."""
        if self.domain.fixed_length:
            self.centre[: reward.shape[1]] = reward.mean(0)
        elif self.config.gamma == 1.0:
            self.centre[:] = reward.sum(-1).mean()

    def centred(self, batch: Batch) -> Tensor:
        """The rewards (B, T) measured from what the prior earns, so that values start near zero and not far from it.

        This moves no optimum: with a fixed length it takes the same from every sequence at each step; else the same
        from every sequence's total, at its last step.
        """
        steps, length = batch.mask, batch.mask.shape[1]
        centre = self.centre[:length].to(batch.reward.device)
        last = steps & ~torch.nn.functional.pad(steps[:, 1:], (0, 1))
        return batch.reward - centre * (steps if self.domain.fixed_length else last)

    def row(self, rollout: Rollout, scores: Scores, loss: float) -> Row:
        """The figures of an update, one column each of `metrics.csv`; docs/metrics.md says what each is."""
        lengths, texts = rollout.mask.sum(-1), scores.texts
        return {
            "update": self.update,
            "seconds": round(self.seconds, 3),
            "reward": _mean(scores.totals),
            "kl": float(rollout.kl.sum(-1).mean()),
            "kl_per_token": float(rollout.kl.sum() / lengths.sum()),
            "temperature": self.config.temperature,
            "loss": loss,
            "valid": sum(text is not None for text in texts) / len(texts),
            "distinct": len({text for text in texts if text is not None}) / len(texts),
            "length": float(lengths.float().mean()),
            "oracle_calls": self.scorer.calls,
            **{name: _mean(values) for name, values in scores.columns.items()},
        }


def new_scorer(domain: Domain, config: TrainConfig) -> Scorer:
    """The scorer of a run: only terms with a weight are evaluated."""
    settings = settings_of(config.terms)
    return Scorer(
        domain,
        [term for term in weighted_terms(domain, config.weights, settings) if term.weight],
        failures=config.failures,
        unpaid_repeats=config.repeats == "unpaid",
        settings=settings,
        geometric=config.combine == "geometric",
        budget=config.oracle_calls,
        workers=config.workers,
        shared=config.cache,
    )


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


def tune(tuner: Tuner, run: Run, report: Report) -> None:
    """Update until done, with a checkpoint every half minute. Whatever stops it, what was learnt is saved."""
    saved = time.monotonic()
    with tuner.scorer.remembering(run.answers):
        try:
            while tuner.update < tuner.config.updates and not tuner.scorer.spent:
                with whole():
                    row = tuner.step()
                    run.log(row)
                    run.note(tuner.update, tuner.scorer.news)
                report(row)
                tuner.scorer.check()
                if time.monotonic() - saved > CHECKPOINT_SECONDS:
                    checkpoint(tuner, run)
                    saved = time.monotonic()
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
        "centre": tuner.centre.tolist(),
    }
    run.sync()
    save_checkpoint(run.folder / "checkpoint", tuner.parts, state)


def resume(tuner: Tuner, run: Run) -> None:
    """Put a fresh tuner where the checkpoint of `run` stood."""
    state = load_checkpoint(run.folder / "checkpoint", tuner.parts)
    if state:
        tuner.update, tuner.seconds = state["update"], state["seconds"]
        tuner.centre = torch.tensor(state["centre"])
        tuner.scorer.restore(state["scorer"])
    run.keep(tuner.update)


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
