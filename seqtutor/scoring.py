"""From sampled sequences to rewards: the terms in use, what each text earned, and what could not be scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from seqtutor.domain import Domain, RewardTerm, SequenceTerm, TokenTerm
from seqtutor.errors import Undecodable, UserError, unknown
from seqtutor.vocabulary import PAD

if TYPE_CHECKING:
    from seqtutor.domain import Ids, Values

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Scores:
    """What B sequences earned. R is the weighted sum of the terms; a sequence-level value lands on the last step."""

    texts: list[str | None]  # None: no item of the domain
    reward: Values  # (B, T), 0 where masked; meaningless where not `scored`
    terms: dict[str, Values]  # raw value a sequence, (B,): token-level terms summed over steps; NaN: not computed
    scored: Flags  # (B,): False where a term failed: such a sequence is never learnt from
    repeated: Flags  # (B,): the text was seen before

    @property
    def totals(self) -> Values:
        """(B,) R of each sequence; NaN where not scored."""
        return np.where(self.scored, self.reward.sum(-1), np.nan)


def weighted_terms(domain: Domain, weights: Mapping[str, float]) -> list[RewardTerm]:
    """The domain's terms with `weights` in place of their defaults. Raises UserError for a term it has not."""
    terms = list(domain.terms())
    for name, weight in weights.items():
        if name not in {term.name for term in terms}:
            raise unknown(f"term of domain '{domain.name}'", name, (term.name for term in terms))
        if not np.isfinite(weight):
            raise UserError(f"the weight of term '{name}' must be a number, not {weight}")
    terms = [replace(term, weight=float(weights.get(term.name, term.weight))) for term in terms]
    if not any(term.weight for term in terms):
        names = ", ".join(term.name for term in terms)
        raise UserError(f"every term has weight 0: nothing to tune towards; give one with --weight TERM=1 ({names})")
    return terms


@dataclass
class Scorer:
    """Scores batches; remembers what each text earned, so that no text is scored twice by a term."""

    domain: Domain
    terms: Sequence[RewardTerm]
    failures: float = 1.0  # largest share of a batch that a term may fail on
    unpaid_repeats: bool = False
    calls: int = 0  # oracle calls: texts not seen before that the sequence-level terms were asked about
    cache: dict[str, dict[str, float]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    failed: list[tuple[str, str]] = field(default_factory=list)  # (term, text)

    def score(self, tokens: Ids, truncated: Flags) -> Scores:
        """`tokens` (B, T) and `truncated` (B,) as in a Rollout. Raises UserError where a term fails too often."""
        texts = [None if cut else self.text(row) for row, cut in zip(tokens, truncated, strict=True)]
        repeated = self._mark_repeats(texts)
        if any(isinstance(term, SequenceTerm) for term in self.terms):
            self.calls += sum(text is not None for text in texts) - int(repeated.sum())
        real, reward = tokens != PAD, np.zeros(tokens.shape)
        values: dict[str, Values] = {}
        for term in self.terms:
            if isinstance(term, TokenTerm):
                steps = self._token_level(term, tokens, texts)
                values[term.name] = steps.sum(-1)
            else:
                values[term.name] = self._sequence_level(term, texts)
                steps = _on_last_step(values[term.name], real)
            reward += term.weight * np.nan_to_num(steps)
        used = [values[term.name] for term in self.terms if term.weight]
        scored: Flags = np.all(np.isfinite(np.array(used)), axis=0)
        if self.unpaid_repeats:
            reward[repeated] = 0.0
        return Scores(texts, reward * real, values, scored, repeated)

    def text(self, row: Ids) -> str | None:
        """The text of one row of tokens; None where it is no item of the domain."""
        try:
            return self.domain.decode(self.domain.vocabulary.decode(row.tolist()))
        except Undecodable:
            return None

    def _mark_repeats(self, texts: Sequence[str | None]) -> Flags:
        repeated = np.zeros(len(texts), bool)
        for i, text in enumerate(texts):
            repeated[i] = text is not None and text in self.seen
            if text is not None:
                self.seen.add(text)
        return repeated

    def _token_level(self, term: TokenTerm, tokens: Ids, texts: Sequence[str | None]) -> Values:
        steps = np.asarray(term.values(tokens), np.float64)
        if steps.shape != tokens.shape:
            raise UserError(f"term '{term.name}' answered with shape {steps.shape} for tokens of {tokens.shape}")
        steps = np.where(tokens != PAD, steps, 0.0)
        failed = [text or "" for text, row in zip(texts, steps, strict=True) if not np.isfinite(row).all()]
        self._count_failures(term, failed, len(texts))
        return steps

    def _sequence_level(self, term: SequenceTerm, texts: Sequence[str | None]) -> Values:
        known = self.cache.setdefault(term.name, {})
        new = list(dict.fromkeys(text for text in texts if text is not None and text not in known))
        if new:
            answers = np.asarray(term.values(new), np.float64)
            if answers.shape != (len(new),):
                raise UserError(
                    f"term '{term.name}' gave {answers.shape} values for {len(new)} texts; one each is needed"
                )
            known.update(zip(new, answers.tolist(), strict=True))
            self._count_failures(term, [t for t, a in zip(new, answers, strict=True) if not np.isfinite(a)], len(texts))
        return np.array([term.invalid if text is None else known[text] for text in texts])

    def _count_failures(self, term: RewardTerm, failed: Sequence[str], asked: int) -> None:
        self.failed += [(term.name, text) for text in failed]
        if failed and len(failed) > self.failures * asked:
            raise UserError(
                f"term '{term.name}' could not score {len(failed)} of {asked} texts, '{failed[0]}' among them; "
                f"more than the share of {self.failures} that is let pass"
            )


def _on_last_step(values: Values, real: Flags) -> Values:
    """(B,) values put on the last real step of (B, T)."""
    steps = np.zeros(real.shape)
    steps[np.arange(len(real)), np.maximum(real.sum(-1) - 1, 0)] = values
    return steps
