"""What has been seen: tokens, rewards, and the prior's log-probabilities, which are computed once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from seqtutor.memory import check_memory
from seqtutor.rollout import sequence_mask
from seqtutor.vocabulary import PAD

RANK = 0.01  # of the stored sequences: the best of these many are drawn about equally often


@dataclass(frozen=True)
class Batch:
    """B sequences with their rewards, in the words and the order of the objectives' arguments."""

    log_prior: Tensor  # (B, T, V) nats
    tokens: Tensor  # (B, T) int64
    reward: Tensor  # (B, T)
    mask: Tensor  # (B, T) bool
    slots: Tensor | None = None  # (B,) where the replay keeps them

    def to(self, device: str) -> Batch:
        """The same on another device."""
        log_prior, tokens, reward = self.log_prior.to(device), self.tokens.to(device), self.reward.to(device)
        return Batch(log_prior, tokens, reward, self.mask.to(device), self.slots)

    def select(self, keep: Tensor) -> Batch:
        """The sequences that `keep` ((B,) bool, or indices) names."""
        slots = None if self.slots is None else self.slots[keep]
        return Batch(self.log_prior[keep], self.tokens[keep], self.reward[keep], self.mask[keep], slots)


class Replay:
    """At most `capacity` sequences with their rewards.

    `priority` says which are drawn: 'uniform', all alike; 'reward', by the rank of their reward; 'error', by the rank
    of their loss when they were last learnt from, new ones first. The oldest makes room for a new one; with
    'reward', the one that earned least.
    """

    def __init__(self, capacity: int, max_length: int, vocabulary: int, priority: str = "uniform") -> None:
        check_memory(f"replay {capacity:,}", capacity * max_length * (4.0 * vocabulary + 12))
        self.tokens = torch.full((capacity, max_length), PAD, dtype=torch.int64)
        self.reward = torch.zeros(capacity, max_length)
        self.log_prior = torch.zeros(capacity, max_length, vocabulary)
        self.error = torch.full((capacity,), torch.inf)
        self.priority = priority
        self.added = 0

    def __len__(self) -> int:
        return min(self.added, len(self.tokens))

    def add(self, batch: Batch) -> None:
        """Remember the sequences of `batch`."""
        count, length = batch.tokens.shape
        slots = self._free(count)
        log_prior = batch.log_prior.where(batch.mask[..., None], 0.0)
        new = {"tokens": batch.tokens, "reward": batch.reward, "log_prior": log_prior}
        for name, rows in new.items():
            store: Tensor = getattr(self, name)
            store[slots] = 0  # PAD is 0 too
            store[slots, :length] = rows.to(store)
        self.error[slots] = torch.inf
        self.added += count

    def _free(self, count: int) -> Tensor:
        """The slots that the next `count` sequences take."""
        if self.priority != "reward":
            return torch.arange(self.added, self.added + count) % len(self.tokens)
        earned = self.reward.sum(-1)
        earned[len(self) :] = -torch.inf  # the empty ones first
        return earned.argsort(stable=True)[:count]

    def batches(self, count: int, size: int, generator: torch.Generator) -> Iterator[Batch]:
        """`count` batches drawn with replacement, each of nearly one length; none while nothing is stored."""
        if not len(self):
            return
        drawn = self.draw(count * size, generator)
        lengths = sequence_mask(self.tokens[drawn]).sum(-1)
        ordered = drawn[lengths.argsort(stable=True)].view(count, size)
        for index in torch.randperm(count, generator=generator):
            yield self._batch(ordered[index])

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """`count` slots, drawn with replacement as `priority` says."""
        n = len(self)
        if self.priority == "uniform":
            return torch.randint(n, (count,), generator=generator)
        key = self.reward[:n].sum(-1) if self.priority == "reward" else self.error[:n]
        rank = torch.empty(n)
        rank[key.argsort(descending=True, stable=True)] = torch.arange(n, dtype=torch.float32)
        return torch.multinomial(1 / (RANK * n + rank), count, replacement=True, generator=generator)

    def note(self, slots: Tensor, error: Tensor) -> None:
        """Remember the loss (B,) that the sequences at `slots` had when they were learnt from."""
        self.error[slots] = error.to(self.error)

    def _batch(self, slots: Tensor) -> Batch:
        mask = sequence_mask(self.tokens[slots])
        length = int(mask.sum(-1).max())
        log_prior, tokens, reward = (store[slots, :length] for store in (self.log_prior, self.tokens, self.reward))
        return Batch(log_prior, tokens, reward, mask[:, :length], slots)

    def state(self) -> dict[str, Tensor]:
        """Every stored sequence, for a checkpoint; of the prior's rows, which are most of it, the real steps alone."""
        stored = {name: getattr(self, name)[: len(self)] for name in ("tokens", "reward", "log_prior", "error")}
        stored["log_prior"] = stored["log_prior"][sequence_mask(stored["tokens"])]
        return {**stored, "added": torch.tensor(self.added)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Put back what `state` gave."""
        n, added, capacity = len(state["tokens"]), int(state["added"]), len(self.tokens)
        log_prior = torch.zeros(n, *self.log_prior.shape[1:])
        log_prior[sequence_mask(state["tokens"])] = state["log_prior"]
        state = {**state, "log_prior": log_prior}
        rows = torch.arange(n)
        if added > n != capacity:  # another capacity than the one that wrapped around: the newest, oldest first
            rows, added = rows.roll(-(added % n))[-capacity:], min(n, capacity)
        for name in ("tokens", "reward", "log_prior", "error"):
            getattr(self, name)[: len(rows)] = state[name][rows]
        self.added = added
