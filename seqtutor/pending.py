"""The batch of the update that is under way: what a stop must keep, so that the update goes on where it stood."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from seqtutor.rollout import Rollout


@dataclass
class Pending:
    """What has been sampled and is not scored yet; between updates, nothing."""

    rollout: Rollout | None = None
    varied: Tensor | None = None  # (N, T) variations that are scored with it
    learnt: bool = False  # from what was stored before
    loss: float = math.nan  # mean, of that learning

    def clear(self) -> None:
        """The update is done."""
        self.rollout, self.varied, self.learnt, self.loss = None, None, False, math.nan

    def state(self) -> dict[str, Tensor]:
        """All of it as tensors, for a checkpoint; {} between updates."""
        if self.rollout is None or self.varied is None:
            return {}
        flags = {"learnt": torch.tensor(self.learnt), "loss": torch.tensor(self.loss, dtype=torch.float64)}
        return {**vars(self.rollout), "varied": self.varied, **flags}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Put back what `state` gave."""
        self.clear()
        if state:
            rollout = dict(state)
            self.varied = rollout.pop("varied")
            self.learnt, self.loss = bool(rollout.pop("learnt")), rollout.pop("loss").item()
            self.rollout = Rollout(**rollout)
