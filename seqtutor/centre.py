"""Where the values' zero lies: rewards are measured from what the prior earns, so that values start near zero.

This moves no optimum: with a fixed length it takes the same from every sequence at each step; else the same from every
sequence's total, at its last step.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqtutor.domain import Domain
from seqtutor.replay import Batch
from seqtutor.rollout import last_step


def prior_mean(reward: Tensor, domain: Domain, gamma: float) -> Tensor:
    """The centre (T,), from what the first rollouts (B, t), which are the prior's own, earned."""
    centre = torch.zeros(domain.max_length)
    if domain.fixed_length:
        centre[: reward.shape[1]] = reward.mean(0)
    elif gamma == 1.0:
        centre[:] = reward.sum(-1).mean()
    return centre


def centred(batch: Batch, centre: Tensor | None, domain: Domain) -> Tensor:
    """The rewards (B, t) of `batch`, less the centre (T,)."""
    if centre is None:
        return batch.reward
    shift = centre[: batch.mask.shape[1]].to(batch.reward.device)
    return batch.reward - shift * (batch.mask if domain.fixed_length else last_step(batch.mask))
