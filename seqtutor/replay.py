"""What has been seen: tokens, rewards, and the prior's log-probabilities, which are computed once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from seqtutor.rollout import Rollout, sequence_mask
from seqtutor.vocabulary import PAD


@dataclass(frozen=True)
class Batch:
    """B stored sequences, in the words and the order of the objectives' arguments."""

    log_prior: Tensor  # (B, T, V) nats
    tokens: Tensor  # (B, T) int64
    reward: Tensor  # (B, T)
    mask: Tensor  # (B, T) bool

    def to(self, device: str) -> Batch:
        """The same on another device."""
        return Batch(self.log_prior.to(device), self.tokens.to(device), self.reward.to(device), self.mask.to(device))


class Replay:
    """The last `capacity` sequences, each with its reward; the oldest is overwritten first."""

    def __init__(self, capacity: int, max_length: int, vocabulary: int) -> None:
        self.tokens = torch.full((capacity, max_length), PAD, dtype=torch.int64)
        self.reward = torch.zeros(capacity, max_length)
        self.log_prior = torch.zeros(capacity, max_length, vocabulary)
        self.added = 0

    def __len__(self) -> int:
        return min(self.added, len(self.tokens))

    def add(self, rollout: Rollout, reward: Tensor) -> None:
        """Remember `rollout` with its `reward` (B, T)."""
        count, length = rollout.tokens.shape
        slots = torch.arange(self.added, self.added + count) % len(self.tokens)
        for store, new in ((self.tokens, rollout.tokens), (self.reward, reward), (self.log_prior, rollout.log_prior)):
            store[slots] = 0  # PAD is 0 too
            store[slots, :length] = new.to(store)
        self.added += count

    def batches(self, count: int, size: int, generator: torch.Generator) -> Iterator[Batch]:
        """`count` batches drawn uniformly with replacement, each of nearly one length; none while nothing is stored."""
        if not len(self):
            return
        drawn = torch.randint(len(self), (count * size,), generator=generator)
        lengths = sequence_mask(self.tokens[drawn]).sum(-1)
        ordered = drawn[lengths.argsort(stable=True)].view(count, size)
        for index in torch.randperm(count, generator=generator):
            yield self._batch(ordered[index])

    def _batch(self, rows: Tensor) -> Batch:
        length = int(sequence_mask(self.tokens[rows]).sum(-1).max())
        tokens = self.tokens[rows, :length]
        return Batch(self.log_prior[rows, :length], tokens, self.reward[rows, :length], sequence_mask(tokens))

    def state(self) -> dict[str, Tensor]:
        """Every stored sequence, for a checkpoint."""
        n = len(self)
        stored = {"tokens": self.tokens[:n], "reward": self.reward[:n], "log_prior": self.log_prior[:n]}
        return {**stored, "added": torch.tensor(self.added)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Put back what `state` gave."""
        n, added, capacity = len(state["tokens"]), int(state["added"]), len(self.tokens)
        rows = torch.arange(n)
        if added > n != capacity:  # another capacity than the one that wrapped around: the newest, oldest first
            rows, added = rows.roll(-(added % n))[-capacity:], min(n, capacity)
        for store, key in ((self.tokens, "tokens"), (self.reward, "reward"), (self.log_prior, "log_prior")):
            store[: len(rows)] = state[key][rows]
        self.added = added
