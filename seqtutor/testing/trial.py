"""An objective is tried on a few numbers before a run begins: whoever wrote it is told in a line what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import get_args

import torch

from seqtutor.config import TrainConfig
from seqtutor.domain import Domain
from seqtutor.errors import UserError
from seqtutor.objectives import Objective, Reference
from seqtutor.objectives.losses import Steps
from seqtutor.plugin.installed import line_of, place

B, LONGEST = 4, 256  # sequences of the trial, and steps of each at the most


@contextmanager
def asked(name: str, objective: Objective) -> Iterator[None]:
    """Turn whatever a stranger's loss raises in the block into a UserError that names the objective and the place."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        where = place(error, getattr(objective.loss, "__module__", "") or str(objective.loss).partition(":")[0])
        raise UserError(f"objective '{name}': its loss cannot be used: {line_of(error)}{where}") from error


def tried(objective: Objective, config: TrainConfig, domain: Domain) -> None:
    """Raise UserError where an objective cannot be used: what it states, or what its loss makes of random numbers."""
    settings, steps, words = config.settings, min(domain.max_length, LONGEST), len(domain.vocabulary)

    def wrong(said: str) -> UserError:
        return UserError(f"objective '{config.objective}': {said}")

    if objective.reference not in get_args(Reference):
        raise wrong(f"its reference is {objective.reference!r}; possible are {', '.join(get_args(Reference))}")
    known = {f.name for f in fields(settings)}
    if objective.reference == "average" and "target_rate" not in known:
        raise wrong("it compares with an average of policies, so its Settings need a target_rate, as Bootstrap has")
    if both := known & {f.name for f in fields(domain.Options)}:
        raise wrong(f"a number of its own is called {min(both)}, as an option of domain '{domain.name}' is; rename it")
    generator = torch.Generator().manual_seed(0)
    values, target = (torch.randn(B, steps, words, generator=generator) for _ in range(2))
    prior_logp, reward = (torch.randn(B, steps, generator=generator) for _ in range(2))
    tokens = torch.randint(words, (B, steps), generator=generator)
    every = torch.ones(B, steps, dtype=torch.bool)
    some = Steps(values.requires_grad_(), target, -prior_logp.abs(), tokens, reward, every, 1.0)
    with asked(config.objective, objective):
        loss = objective(some, **objective.numbers(settings))
    shape = tuple(loss.shape) if isinstance(loss, torch.Tensor) else type(loss).__name__
    if shape != (B,):
        raise wrong(f"its loss gave {shape} for {B} sequences; one number of each is needed, a tensor ({B},)")
    if not loss.isfinite().all():
        raise wrong(f"its loss gave {loss.tolist()} for {B} sequences of random numbers; all must be finite")
    if not loss.requires_grad:
        raise wrong("its loss has no gradient: it must be made of `values`, without detach, item or numpy")
