"""What a batch of sequences earned, and how the scores of its terms become one reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from seqtutor.domain import RewardTerm
from seqtutor.errors import UserError
from seqtutor.outside.answers import Outcome

if TYPE_CHECKING:
    from seqtutor.domain import Ids, Values

Flags = NDArray[np.bool_]
Answers = dict[str, dict[str, Outcome]]  # by term and text


@dataclass(frozen=True)
class Scores:
    """What B sequences earned. R is made of the terms' scores; a sequence-level one lands on the last step."""

    texts: list[str | None]  # None: no item of the domain
    reward: Values  # (B, T), 0 where masked; meaningless where not `scored`
    terms: dict[str, Values]  # raw value a sequence, (B,): token-level terms summed over steps; NaN: not computed
    scored: Flags  # (B,): False where a term failed: such a sequence is never learnt from
    repeated: Flags  # (B,): the text was seen before
    transformed: dict[str, Values] = field(default_factory=dict)  # (B,) of each term that has a transform

    @property
    def totals(self) -> Values:
        """(B,) R of each sequence; NaN where not scored."""
        return np.where(self.scored, self.reward.sum(-1), np.nan)

    def part(self, rows: slice) -> Scores:
        """What those sequences alone earned."""
        terms, transformed = (
            {name: values[rows] for name, values in table.items()} for table in (self.terms, self.transformed)
        )
        return Scores(self.texts[rows], self.reward[rows], terms, self.scored[rows], self.repeated[rows], transformed)

    @property
    def columns(self) -> dict[str, Values]:
        """Every figure a sequence by the name of its column: `term.<name>` raw, `score.<name>` transformed."""
        raw = {f"term.{name}": values for name, values in self.terms.items()}
        return raw | {f"score.{name}": values for name, values in self.transformed.items()}


@dataclass
class Asked:
    """B sequences of up to T tokens whose terms have been asked, and what has been answered so far."""

    tokens: Ids  # (B, T)
    texts: list[str | None]
    repeated: Flags  # (B,)
    new: list[int]  # which of them count as oracle calls
    answers: Answers
    problem: UserError | None = None  # what will be raised when it is finished


@dataclass(frozen=True)
class News:
    """What the last batch brought: rows for the files of a run."""

    calls: list[tuple[int, str, float]] = field(default_factory=list)  # number, text, R (NaN: not scored)
    failures: list[tuple[str, str, str]] = field(default_factory=list)  # term, text, reason
    quarantined: list[tuple[str, str, str]] = field(default_factory=list)  # those that killed their worker


def geometric_mean(terms: Sequence[RewardTerm], scores: Mapping[str, Values], scored: Flags) -> Values:
    """(B,): the product of score^(weight / sum of weights); 0 where not `scored`.

    Raises UserError for a score outside 0..1 or a weight below 0.
    """
    logarithm, total = np.zeros(len(scored)), sum(term.weight for term in terms)
    for term in terms:
        values = scores[term.name]
        wrong = scored & ((values < 0) | (values > 1))
        if term.weight < 0:
            raise UserError(f"a geometric mean needs weights above 0; that of term '{term.name}' is {term.weight:g}")
        if wrong.any():
            raise UserError(
                f"a geometric mean needs scores from 0 to 1; term '{term.name}' gave {values[wrong][0]:g}: "
                f"give it a transform, such as --transform {term.name}=sigmoid,low=0,high=1"
            )
        with np.errstate(divide="ignore"):
            logarithm += term.weight * np.log(np.where(scored, values, 0.0))
    return np.exp(logarithm / total)


def on_last_step(values: Values, real: Flags) -> Values:
    """(B,) values put on the last real step of (B, T)."""
    steps = np.zeros(real.shape)
    steps[np.arange(len(real)), np.maximum(real.sum(-1) - 1, 0)] = values
    return steps
