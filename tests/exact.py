"""A world small enough to enumerate, in float64: every sequence, its reward, Z, pi*, and the values at every prefix.

Words over a, b, c of at most `LENGTH` letters, ended by EOS or cut at the length. The prior and the rewards are random
tables. Everything here is written with plain loops over prefixes, on purpose unlike the code that it checks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

from seqtutor import EOS, PAD, Vocabulary
from seqtutor.objectives import load_objective
from seqtutor.objectives.losses import Steps
from seqtutor.priors.model import FORBIDDEN

VOCABULARY = Vocabulary("abc")
LETTERS = (3, 4, 5)
MOVES = (*LETTERS, EOS)
LENGTH = 4
Prefix = tuple[int, ...]


@dataclass(frozen=True)
class World:
    """The tables of one world; `temperature` is c."""

    temperature: float
    gamma: float
    prior: dict[Prefix, np.ndarray]  # log p(.|prefix), (V,)
    reward: dict[Prefix, np.ndarray]  # r(prefix, a), (V,)

    @property
    def sequences(self) -> list[Prefix]:
        """Every finished sequence, EOS included where there is one."""
        ended = [(*word, EOS) for n in range(LENGTH) for word in product(LETTERS, repeat=n)]
        return ended + list(product(LETTERS, repeat=LENGTH))

    def score(self, table: dict[Prefix, np.ndarray], sequence: Prefix) -> float:
        """The sum of a table's entries along a sequence."""
        return math.fsum(table[sequence[:t]][a] for t, a in enumerate(sequence))

    def optimum(self) -> np.ndarray:
        """pi*(x) = p(x) exp(R(x)/c) / Z over `sequences`, by enumeration."""
        logits = np.array(
            [self.score(self.prior, x) + self.score(self.reward, x) / self.temperature for x in self.sequences]
        )
        return np.exp(logits - self.log_z())

    def log_z(self) -> float:
        """log Z = log sum_x p(x) exp(R(x)/c), by enumeration."""
        terms = [self.score(self.prior, x) + self.score(self.reward, x) / self.temperature for x in self.sequences]
        top = max(terms)
        return top + math.log(math.fsum(math.exp(term - top) for term in terms))

    def values(self, kind: str) -> dict[Prefix, np.ndarray]:
        """The fixed point of 'q', 'psi' or 'g' at every prefix, by backward recursion."""
        table: dict[Prefix, np.ndarray] = {}
        for n in reversed(range(LENGTH)):
            for prefix in product(LETTERS, repeat=n):
                row = np.zeros(len(VOCABULARY))
                for a in MOVES:
                    after = 0.0 if a == EOS or n + 1 == LENGTH else self._state_value(kind, table, (*prefix, a))
                    row[a] = self.reward[prefix][a] / self.temperature + self.gamma * after
                    row[a] += 0.0 if kind == "g" else self.prior[prefix][a]
                if kind != "g":
                    row[[PAD, 1]] = FORBIDDEN
                table[prefix] = row
        return table

    def _state_value(self, kind: str, table: dict[Prefix, np.ndarray], prefix: Prefix) -> float:
        row = table[prefix] + (self.prior[prefix] if kind == "g" else 0.0)
        options = [row[a] for a in MOVES]
        top = max(options)
        return float(top if kind == "q" else top + math.log(math.fsum(math.exp(o - top) for o in options)))

    def probabilities(self, policy: dict[Prefix, np.ndarray]) -> np.ndarray:
        """pi(x) over `sequences` of a policy given as log pi(.|prefix)."""
        return np.exp([self.score(policy, x) for x in self.sequences])

    def batch(self) -> dict[str, Tensor]:
        """All sequences as one batch, in the words of the objectives; `prefix` (B, T) indexes `prefixes`."""
        index = {prefix: i for i, prefix in enumerate(self.prefixes)}
        shape = (len(self.sequences), LENGTH)
        tokens, prefix = torch.zeros(shape, dtype=torch.int64), torch.zeros(shape, dtype=torch.int64)
        reward = torch.zeros(shape, dtype=torch.float64)
        for i, sequence in enumerate(self.sequences):
            for t, a in enumerate(sequence):
                tokens[i, t], prefix[i, t], reward[i, t] = a, index[sequence[:t]], self.reward[sequence[:t]][a]
        mask = tokens != PAD
        return {
            "tokens": tokens,
            "prefix": prefix,
            "reward": reward,
            "mask": mask,
            "prior_logp": self.rows(self.prior)[prefix].gather(-1, tokens[..., None])[..., 0] * mask,
        }

    @property
    def prefixes(self) -> list[Prefix]:
        """Every unfinished sequence."""
        return [prefix for n in range(LENGTH) for prefix in product(LETTERS, repeat=n)]

    def rows(self, table: dict[Prefix, np.ndarray]) -> Tensor:
        """A table as a tensor (prefixes, V)."""
        return torch.from_numpy(np.array([table[prefix] for prefix in self.prefixes]))


def world(seed: int = 0, *, temperature: float = 0.5, gamma: float = 1.0, only_at_end: bool = False) -> World:
    """A random world. `only_at_end`: the reward is that of the finished word alone, as for a molecule."""
    rng = np.random.default_rng(seed)
    prior, reward = {}, {}
    for n in range(LENGTH):
        for prefix in product(LETTERS, repeat=n):
            row = np.full(len(VOCABULARY), FORBIDDEN)
            logits = rng.normal(size=len(MOVES))
            row[list(MOVES)] = logits - np.log(np.exp(logits).sum())
            prior[prefix] = row
            gains = rng.normal(size=len(VOCABULARY))
            if only_at_end and n + 1 < LENGTH:
                gains[list(LETTERS)] = 0.0
            reward[prefix] = gains
    return World(temperature, gamma, prior, reward)


def kl(p: np.ndarray, q: np.ndarray) -> float:
    """KL(p || q), nats, of two distributions over the same list."""
    return float((p * (np.log(p) - np.log(q))).sum())


def loss_of(objective: str, *tensors: Tensor, temperature: float, **numbers: float) -> Tensor:
    """The loss of an objective (B,); `tensors` in the order of `Steps`."""
    return load_objective(objective)(Steps(*tensors, temperature), **numbers)
