"""The objectives: what each compares with, which data it may learn from, and the numbers that it owns.

The losses themselves, each beside its equation, stand in `losses.py`. This file is free of torch, so that a command can
list the numbers of an objective in its help at once: a loss is imported when it is first called.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from seqtutor.errors import UserError
from seqtutor.option import option
from seqtutor.plugin.installed import find

if TYPE_CHECKING:
    from torch import Tensor

    from seqtutor.objectives.losses import Steps

PRIORITIES = ("uniform", "reward", "error")


@dataclass(frozen=True)
class OnPolicy:
    """The numbers of an objective that learns once from each batch, which the policy has just sampled: none."""


@dataclass(frozen=True)
class Discounted(OnPolicy):
    """An on-policy objective with a discount."""

    gamma: float = option(1.0, "Discount; only at 1 is the optimum prior * exp(reward / temperature).", between=(0, 1))


@dataclass(frozen=True)
class Proximal(Discounted):
    """An on-policy objective that takes several steps on a batch and limits how far they may go."""

    trace: float = option(1.0, "Lambda of the generalised advantage; 1: the whole return.", between=(0, 1))
    clip: float = option(0.2, "How far PPO's probability ratio may pay: from 1 - clip to 1 + clip.", between=(0, 1))
    learning_steps: int = option(2, "Gradient steps in an update.", above=0)


@dataclass(frozen=True)
class OffPolicy:
    """The numbers of an objective that may learn from stored sequences, whoever wrote them."""

    learning_steps: int = option(2, "Gradient steps in an update.", above=0)
    batch: int = option(64, "Stored sequences in a gradient step.", above=0)
    replay: int = option(4096, "Sequences that are remembered; the oldest are forgotten first.", above=0)
    priority: str = option(
        "uniform", "Stored sequences to learn from: uniform, by reward (half best, half newest), or error.", PRIORITIES
    )
    vary: float = option(
        0.0, "Share of the rollouts that are variations of the best stored items, not samples.", between=(0, 0.9)
    )
    screen: int = option(
        1, "Variations tried for each one that is asked about; what has been scored foresees which.", above=0
    )
    rewrite: float = option(0.0, "Share of a batch that is learnt in another spelling of its item.", between=(0, 1))


HUBER = 2.0  # nats; see `losses.square`


@dataclass(frozen=True)
class Robust(OffPolicy):
    """An objective with a robust square."""

    huber: float = option(
        HUBER,
        "Nats beyond which a gap is not squared but goes on in a straight line; inf: never.",
        between=(1e-3, math.inf),
    )


@dataclass(frozen=True)
class Bootstrap(Robust):
    """An objective whose targets are bootstrapped from a slowly moving copy of the policy."""

    gamma: float = option(1.0, "Discount; only at 1 is the optimum prior * exp(reward / temperature).", between=(0, 1))
    span: int = option(8, "Steps n of an n-step target.", above=0)
    trace: float = option(
        1.0, "Lambda that the 1- to n-step targets are averaged with; 1: the n-step one alone.", between=(0, 1)
    )
    target_rate: float = option(
        0.05, "Share of the policy that the target network takes over in a gradient step.", between=(0, 1)
    )


Reference = Literal["average", "sampler", "itself"]


@dataclass(frozen=True)
class Objective:
    """A loss of each sequence (B,), and what it must be given.

    `loss`: a function, or 'module:function', that takes a `losses.Steps` and those of its own numbers that it names as
    keywords. `Settings`: the frozen dataclass of those numbers; one that
    derives from OffPolicy says that the objective may learn from stored sequences. `reference`: what it compares with,
    an 'average' of past policies (a target network), the 'sampler' (the policy as it was when it wrote the batch), or
    the policy 'itself'. `tilt`: the network learns G, with Psi = log p + G. `exact`: it claims to lead to pi*.
    `separable`: the loss of a sequence depends on no other one, so that a batch may hold sequences of one length.
    """

    loss: str | Callable[..., Tensor]
    Settings: type = OffPolicy
    reference: Reference = "itself"
    tilt: bool = False
    exact: bool = True
    separable: bool = True

    def __call__(self, steps: Steps, **numbers: float) -> Tensor:
        """The loss of each sequence (B,)."""
        return self.function(steps, **numbers)

    @cached_property
    def function(self) -> Callable[..., Tensor]:
        """The loss, imported."""
        if not isinstance(self.loss, str):
            return self.loss
        module, _, name = self.loss.partition(":")
        return getattr(import_module(module), name)  # type: ignore[no-any-return]

    @property
    def on_policy(self) -> bool:
        """Whether it may learn only from what the policy, as it stands, has sampled."""
        return not issubclass(self.Settings, OffPolicy)

    def numbers(self, settings: Any) -> dict[str, float]:
        """Those of its settings that the loss takes as keywords."""
        parameters = inspect.signature(self.function).parameters.values()
        taken = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
        return {f.name: getattr(settings, f.name) for f in fields(settings) if f.name in taken}


_LOSSES = "seqtutor.objectives.losses"
q = Objective(f"{_LOSSES}:q", Bootstrap, "average", exact=False)
psi = Objective(f"{_LOSSES}:psi", Bootstrap, "average")
g = Objective(f"{_LOSSES}:psi", Bootstrap, "average", tilt=True)
tb = Objective(f"{_LOSSES}:tb", Robust)
vargrad = Objective(f"{_LOSSES}:vargrad", OffPolicy, separable=False)
dpg = Objective(f"{_LOSSES}:dpg", OffPolicy, separable=False)
dpo = Objective(f"{_LOSSES}:dpo", OffPolicy, separable=False)
ipo = Objective(f"{_LOSSES}:ipo", OffPolicy, separable=False)
reinvent = Objective(f"{_LOSSES}:reinvent", OnPolicy)
reinforce = Objective(f"{_LOSSES}:reinforce", Discounted, separable=False)
ppo = Objective(f"{_LOSSES}:ppo", Proximal, "sampler")


def load_objective(name: str) -> Objective:
    """An installed objective. Raises UserError with the nearest name, or for what is wrong with its numbers."""
    from seqtutor.plugin.contract import of_options, of_train  # it reads the configs, and they the objectives

    found = find("objective", name)
    if not isinstance(found, Objective):
        raise UserError(
            f"the entry point of objective '{name}' is {found!r}; it must name a seqtutor.objectives.Objective"
        )
    for problem in of_options(found.Settings, of_train()):
        raise UserError(f"objective '{name}', Settings: {problem}")
    return found
