"""What a domain offers as rewards: of each step, of a finished item, and what a config makes terms of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from seqtutor.arrays import Ids, Values

Parts = Sequence[float] | Mapping[str, float]  # a number for each token of an item, or one for each of some names


@dataclass(frozen=True)
class TokenTerm:
    """A reward for each step: a pure function of token ids, vectorised over the batch.

    `values`: ids (B, T) int64, as in `Rollout.tokens` (no BOS, EOS, then PAD) -> (B, T) float64. Padding is ignored.
    """

    name: str
    weight: float
    summary: str
    source: str
    values: Callable[[Ids], Values]
    of_figures: bool = False  # it is made of the domain's figures: `infer` and a taste see those, and not it
    of_corpus: bool = False  # it compares with the domain's corpus: items of that are not judged by it
    costly: ClassVar[bool] = False
    filter: ClassVar[bool] = False

    @property
    def counts(self) -> bool:
        """Whether the reward depends on it."""
        return bool(self.weight)


@dataclass(frozen=True)
class SequenceTerm:
    """A reward for a finished item: a pure function of texts.

    `values`: B texts, all of them decoded -> (B,) float64, higher is better once weighted. NaN says "this could not
    be computed" and is never a score. `invalid` is what a sequence earns that is no item of the domain at all
    (undecodable or truncated): no call is made for it. A `costly` term is evaluated only where a run names it, by a
    weight or to hold it out; any other term stands in every table, with or without a weight. `parts`: what the value of
    one text is made of, for `explain` and the page; they need not add up to it.
    """

    name: str
    weight: float
    summary: str
    source: str
    values: Callable[[Sequence[str]], Values]
    invalid: float = 0.0
    costly: bool = False
    filter: bool = False  # its score, 0 to 1, multiplies the reward instead of adding to it
    of_figures: bool = False  # as of a TokenTerm; it is added to a geometric mean of the others
    of_corpus: bool = False  # as of a TokenTerm
    parts: Callable[[str], Parts] | None = None

    @property
    def counts(self) -> bool:
        """Whether the reward depends on it."""
        return bool(self.weight) or self.filter


class TermKind(ABC):
    """What a config makes terms of, `[terms.NAME] kind = "..."`, one a name: a frozen dataclass of `option` fields."""

    lower: ClassVar[bool] = False  # a lower raw value is better: a config must say how it is paid

    @abstractmethod
    def term(self, name: str) -> SequenceTerm:
        """The term of that name. Raises UserError for settings that make none."""


RewardTerm = TokenTerm | SequenceTerm
