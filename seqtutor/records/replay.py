"""What has been seen: sequences with what each term said of them; rewards are computed when they are drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from seqtutor.domain import Domain
from seqtutor.hardware import check_memory
from seqtutor.priors.files import check_alike
from seqtutor.priors.sampling import sequence_mask
from seqtutor.rewards.reward import Reward
from seqtutor.vocabulary import PAD

RANK, BEST = 0.01, 10  # of the stored sequences, at most so many: the best of these are drawn about equally often
NEWEST = 512  # sequences: half of what 'reward' draws are of these, so that what the policy writes now is unlearnt too


def level(n: int) -> float:
    """What is added to the rank of n stored sequences, the best being 0, before they are drawn by 1 / rank.

    >>> level(500), level(10_000)
    (5.0, 10)
    """
    return min(RANK * n, BEST)


@dataclass(frozen=True)
class Batch:
    """B sequences of up to T tokens and the parts that their reward is made of. Filtered only whole, by `select`."""

    tokens: Tensor  # (B, T) int64: without BOS, with EOS, then PAD
    mask: Tensor  # (B, T) bool: the steps that the policy chose
    prior_logp: Tensor  # (B, T) nats, of the token taken; 0 after the end
    terms: Tensor  # (B, T, K) raw values, float64 so that cut-offs are exact; a sequence-level one lies last
    valid: Tensor  # (B,) bool: the sequence is an item of the domain
    paid: Tensor  # (B,) the share of its reward that the sequence was paid when it was sampled
    slots: Tensor | None = None  # (B,) where the replay keeps them

    def __len__(self) -> int:
        return len(self.tokens)

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The same batch with every tensor changed."""
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        return Batch(**{name: change(part) for name, part in parts.items() if part is not None})

    def select(self, keep: Tensor) -> Batch:
        """The sequences that `keep` ((B,) bool, or indices) names."""
        return self.map(lambda part: part[keep])

    def to(self, device: torch.device | str) -> Batch:
        """The same on another device."""
        return self.map(lambda part: part.to(device))


def reward_of(reward: Reward, batch: Batch) -> Tensor:
    """R of each step (B, T) of a batch, times what it was paid."""
    real, valid = sequence_mask(batch.tokens), batch.valid
    parts = (batch.terms * real[..., None], real, valid)
    steps = torch.from_numpy(reward(*(part.cpu().numpy() for part in parts)))
    return steps.float().to(batch.tokens.device) * batch.paid[:, None]


def worth_of(reward: Reward, batch: Batch) -> Tensor:
    """R of each sequence (B,) of a batch, times what it was paid; NaN where this reward asks what nobody was asked."""
    steps = reward_of(reward, batch).double().sum(-1)  # exact, so that it is the same at any width
    if batch.terms.isnan().any():  # a filter had refused it
        parts = (batch.terms, sequence_mask(batch.tokens), batch.valid)
        steps[~torch.from_numpy(reward.scored(*(part.cpu().numpy() for part in parts))).to(steps.device)] = torch.nan
    return steps


STORED = tuple(f.name for f in fields(Batch) if f.name != "slots")


class Replay:
    """A ring buffer of at most `capacity` sequences with the parts of their rewards.

    `worth`: (B,) the reward of each sequence of a batch. `priority` says which are drawn: 'uniform', all alike;
    'reward', half of them by the rank of their reward and half of the newest; 'error', by the rank of their loss when
    they were last learnt from, new ones first. The oldest makes room for a new one; with 'reward', the one that earned
    least.
    """

    def __init__(
        self,
        capacity: int,
        max_length: int,
        terms: int,
        worth: Callable[[Batch], Tensor],
        priority: str = "uniform",
        device: torch.device | str = "cpu",
    ) -> None:
        check_memory(f"replay {capacity:,}", capacity * max_length * (8.0 * terms + 9))
        shape = (capacity, max_length)
        self.tokens = torch.full(shape, PAD, dtype=torch.int32, device=device)
        self.mask = torch.zeros(shape, dtype=torch.bool, device=device)
        self.prior_logp = torch.zeros(shape, device=device)
        self.terms = torch.zeros(*shape, terms, dtype=torch.float64, device=device)
        self.valid = torch.zeros(capacity, dtype=torch.bool, device=device)
        self.paid = torch.zeros(capacity, device=device)
        self.error = torch.full((capacity,), torch.inf, device=device)
        self.earned = torch.full((capacity,), -torch.inf, device=device)  # -inf: an empty slot
        self.born = torch.zeros(capacity, dtype=torch.int64, device=device)  # how many had come with it
        # where the terms lie among those of a checkpoint; None: one is not there, and what is stored is forgotten
        self.columns: list[int] | None = list(range(terms))
        self.worth, self.priority = worth, priority
        self.added = 0

    def __len__(self) -> int:
        return min(self.added, len(self.tokens))

    def add(self, batch: Batch) -> None:
        """Remember the sequences of `batch`; of more than fit, the last."""
        batch = batch.select(torch.arange(max(0, len(batch) - len(self.tokens)), len(batch)))
        slots = self._free(len(batch))
        for name in STORED:
            store, rows = getattr(self, name), getattr(batch, name)
            store[slots] = 0  # PAD is 0 too
            if rows.ndim == 1:
                store[slots] = rows.to(store)
            else:
                store[slots, : rows.shape[1]] = rows.to(store)
        self.error[slots] = torch.inf
        self.earned[slots] = self.worth(batch).to(self.earned)
        self.born[slots] = torch.arange(self.added, self.added + len(batch), device=self.born.device) + 1
        self.added += len(batch)

    def _free(self, count: int) -> Tensor:
        """The slots that the next `count` sequences take."""
        if self.priority != "reward":
            return torch.arange(self.added, self.added + count, device=self.tokens.device) % len(self.tokens)
        return self.earned.argsort(stable=True)[:count]

    def batches(self, count: int, size: int, generator: torch.Generator, *, by_length: bool = True) -> Iterator[Batch]:
        """`count` batches drawn with replacement; none while nothing is stored.

        `by_length`: each of nearly one length, so that little of it is padding. This is lawful only where the loss of
        a sequence depends on no other one of its batch.
        """
        if not len(self):
            return
        drawn = self.draw(count * size, generator)
        if by_length:
            drawn = drawn[sequence_mask(self.tokens[drawn]).sum(-1).argsort(stable=True)]
        for index in torch.randperm(count, generator=generator, device=drawn.device):
            yield self.batch(drawn.view(count, size)[index])

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """`count` slots, drawn with replacement as `priority` says."""
        n, device = len(self), self.tokens.device
        if self.priority == "uniform":
            return torch.randint(n, (count,), generator=generator, device=device)
        if self.priority == "error":
            return self._by_rank(self.error[:n], count, generator)
        newest = self.born[:n].topk(min(n, NEWEST)).indices
        new = newest[torch.randint(len(newest), (count // 2,), generator=generator, device=device)]
        drawn = torch.cat([self._by_rank(self.earned[:n], count - len(new), generator), new])
        return drawn[torch.randperm(count, generator=generator, device=device)]

    def _by_rank(self, key: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """`count` slots, drawn with replacement by the rank of their `key` (n,), the largest most often."""
        n = len(key)
        rank = torch.empty(n, device=key.device)
        rank[key.argsort(descending=True, stable=True)] = torch.arange(n, dtype=torch.float32, device=key.device)
        return torch.multinomial(1 / (level(n) + rank), count, replacement=True, generator=generator)

    def note(self, slots: Tensor, error: Tensor) -> None:
        """Remember the loss (B,) that the sequences at `slots` had when they were learnt from."""
        self.error[slots] = error.to(self.error)

    def batch(self, slots: Tensor) -> Batch:
        """The sequences at `slots`, cut to the longest of them."""
        length = int(sequence_mask(self.tokens[slots]).sum(-1).max())
        parts = {name: getattr(self, name)[slots] for name in STORED}
        parts = {name: part if part.ndim == 1 else part[:, :length] for name, part in parts.items()}
        return Batch(**{**parts, "tokens": parts["tokens"].long()}, slots=slots)

    def state_dict(self) -> dict[str, Tensor]:
        """Every stored sequence, for a checkpoint; of what is wide, the real steps alone."""
        stored = {name: getattr(self, name)[: len(self)] for name in (*STORED, "error", "born")}
        real = sequence_mask(stored["tokens"])
        for name in ("prior_logp", "terms"):
            stored[name] = stored[name][real]
        return {**stored, "added": torch.tensor(self.added)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Put back what `state_dict` gave, into a replay of any capacity; one that is smaller keeps the newest."""
        if self.columns is None:
            return
        n, capacity = len(state["tokens"]), len(self.tokens)
        self._check(state, n)
        added = int(state["added"])
        real, rows = sequence_mask(state["tokens"]), torch.arange(n)
        state = {**state, "terms": state["terms"][:, self.columns]}
        stores = {name: getattr(self, name) for name in ("prior_logp", "terms")}
        wide = {name: store.new_zeros(n, *store.shape[1:]) for name, store in stores.items()}
        for name, values in wide.items():
            values[real] = state[name]
        if n != min(added, capacity):  # the capacity was another one: oldest first
            rows = state["born"].argsort()[-capacity:]
            added = len(rows)
        for name in (*STORED, "error", "born"):
            getattr(self, name)[: len(rows)] = {**state, **wide}[name][rows].to(getattr(self, name))
        self.added = added
        if len(rows):
            self.born[: len(rows)] -= max(0, int(self.born[: len(rows)].max()) - added)  # none is newer than what comes
        self.earned[:], self.error[len(rows) :] = -torch.inf, torch.inf
        if len(rows):
            self.earned[: len(rows)] = self.worth(self.batch(torch.arange(len(rows)))).to(self.earned)
            self._keep((~self.earned[: len(rows)].isnan()).nonzero().squeeze(1))

    def _keep(self, slots: Tensor) -> None:
        """Forget all but the sequences at `slots`; nothing moves where these are all."""
        n = len(self)
        if len(slots) == n:
            return
        slots = slots[self.born[slots].argsort()]
        for name in (*STORED, "error", "born", "earned"):
            store = getattr(self, name)
            store[: len(slots)] = store[slots].clone()
        self.earned[len(slots) :], self.error[len(slots) :] = -torch.inf, torch.inf
        self.added = len(slots)
        self.born[: len(slots)] = torch.arange(len(slots), device=self.born.device) + 1

    def _check(self, state: Mapping[str, Tensor], n: int) -> None:
        """See that `state` is one that a replay of n sequences gave. Raises ValueError."""
        steps, columns = int(sequence_mask(state["tokens"]).sum()), state["terms"].shape[-1]
        own = {name: (state[name].shape, getattr(self, name).dtype) for name in (*STORED, "error", "born")}
        shapes = {name: (n, *getattr(self, name).shape[1:]) for name in own}
        shapes |= {"prior_logp": (steps,), "terms": (steps, columns)}
        wanted = {name: (torch.Size(shape), own[name][1]) for name, shape in shapes.items()}
        check_alike("replay", state, {**wanted, "added": (torch.Size(), torch.int64)})
        if n > int(state["added"]):
            raise ValueError(f"replay/added is {int(state['added'])}, for {n} sequences")
        odd = {name: ~state[name].isfinite() for name in ("prior_logp", "paid")}
        odd |= {"terms": state["terms"].isinf(), "error": state["error"].isnan()}
        if wrong := next((name for name, places in odd.items() if places.any()), None):
            raise ValueError(f"replay/{wrong} holds a number that is not finite")


def prior_mean(reward: Tensor, domain: Domain, gamma: float) -> Tensor:
    """The baseline (max_length,), from what the first rollouts (B, T), which are the prior's own, earned."""
    baseline = torch.zeros(domain.max_length)
    if domain.fixed_length:
        baseline[: reward.shape[1]] = reward.mean(0)
    elif gamma == 1.0:
        baseline[:] = reward.sum(-1).mean()
    return baseline
