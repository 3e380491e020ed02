"""From what the terms said of a batch to its reward: transforms, weights, combination. Pure functions of arrays.

B sequences, T steps, K terms. A sequence-level value lies on its last step. NaN: the term could not be computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqtutor.arrays import Flags, Values
from seqtutor.domain import RewardTerm, SequenceTerm
from seqtutor.errors import UserError
from seqtutor.rewards.terms import TermSettings
from seqtutor.rewards.transforms import Transform

LEAST = 8  # scored items below which nothing is said of a term's scale


@dataclass(frozen=True)
class Reward:
    """R(values): the weighted sum, or geometric mean, of the terms' scores; what is of figures is added to either."""

    terms: Sequence[RewardTerm]
    settings: Mapping[str, TermSettings] = field(default_factory=dict)
    geometric: bool = False
    unseen: Mapping[str, float] = field(default_factory=dict)  # score, by term, of an item that nobody has scored

    def __call__(self, values: Values, real: Flags, valid: Flags) -> Values:
        """R of each step (B, T) of `values` (B, T, K); `real` (B, T): before the end; `valid` (B,): it is an item.

        Raises UserError where a geometric mean is asked of scores outside 0..1.
        """
        passed = self.passed(values, valid)
        mean = self._geometric_mean(values, valid) if self.geometric else np.zeros(len(values))
        reward: Values = on_last_step(mean, real)
        for k, term in enumerate(self.terms):
            if term.weight and (term.of_figures or not self.geometric):
                plain = not isinstance(term, SequenceTerm) and not self.transform(term)
                earned = values[..., k] if plain else on_last_step(self.score(k, values, valid), real)
                reward += term.weight * np.nan_to_num(earned)
        steps: Values = reward * real * passed[:, None]
        return steps

    def passed(self, values: Values, valid: Flags) -> Values:
        """(B,): the product of the filters' scores; 1 without a filter."""
        passed: Values = np.ones(len(values))
        for k, term in enumerate(self.terms):
            if term.filter:
                scores = self.score(k, values, valid)
                _check_share(term, scores[np.isfinite(scores)], "a filter")
                passed *= np.nan_to_num(scores)
        return passed

    def check(self, scores: Scores) -> None:
        """Raise UserError where the reward asks for what nobody wants, as the first batch tells.

        That is: for no item, which earns more by a term, and no less in all, than each item; or for what fails a
        filter, as each item that passes is paid below 0.
        """
        enough, empty, no = scores.scored & scores.valid, np.zeros_like(scores.values[:1]), np.array([False])
        paid = self(empty, np.ones(empty.shape[:2], bool), no).sum()
        for k, term in enumerate(self.terms):
            earned = self.score(k, scores.values, scores.valid)[enough]
            if isinstance(term, SequenceTerm) and term.weight and np.isfinite(earned).sum() >= LEAST:
                sign, nothing = np.sign(term.weight), float(self.score(k, empty, no)[0])
                best = float(np.nanmax(sign * earned)) * sign
                if sign * nothing > sign * best and paid >= scores.totals[enough].max():
                    better, most, less = ("more", "most", "less") if sign > 0 else ("less", "least", "more")
                    raise UserError(
                        f"term '{term.name}', of weight {term.weight:g}, gives a sequence that is no item {nothing:g}, "
                        f"{better} than each of the first {np.isfinite(earned).sum()} items (at {most} {best:g}), and "
                        f"so it earns more: state {less}, with invalid = NUMBER in [terms.{term.name}], or give it a "
                        "transform"
                    )
        passing = scores.totals[enough][self.passed(scores.values, scores.valid)[enough] > 0]
        if any(term.filter for term in self.terms) and len(passing) >= LEAST and passing.max() < 0:
            raise UserError(
                f"each of the first {len(passing)} items that pass the filters earns less than 0, and one that fails a "
                "filter 0, which is more: pay for what is wanted, by a transform from 0 to 1 say"
            )

    def raw(self, k: int, values: Values, valid: Flags) -> Values:
        """What the term k said of each sequence (B,): token-level values summed, an invalid sequence's own value."""
        term, totals = self.terms[k], values[..., k].sum(-1)
        if not isinstance(term, SequenceTerm):
            return np.asarray(totals)
        nothing = np.nan if self.transform(term) else self._invalid(term)
        return np.asarray(np.where(valid, totals, nothing), np.float64)

    def score(self, k: int, values: Values, valid: Flags) -> Values:
        """What the term k contributes to R, before its weight, for each sequence (B,)."""
        term, raw = self.terms[k], self.raw(k, values, valid)
        scores = raw
        if transform := self.transform(term):
            scores = transform(raw)
            scores = np.where(valid, scores, self._invalid(term)) if isinstance(term, SequenceTerm) else scores
        if term.name in self.unseen:
            scores = np.where(valid & np.isnan(raw), self.unseen[term.name], scores)
        return scores

    def scored(self, values: Values, real: Flags, valid: Flags) -> Flags:
        """(B,): it has a reward: every term that counts could be computed, or every filter, and one of them says 0."""
        known = {k: np.isfinite(self.score(k, values, valid)) for k, term in enumerate(self.terms) if term.counts}
        whole = np.all([real.any(-1), *known.values()], axis=0)
        if not any(term.filter for term in self.terms):
            return np.asarray(whole)
        heard = np.all([real.any(-1), *(known[k] for k in known if self.terms[k].filter)], axis=0)
        return np.asarray(whole | (heard & (self.passed(values, valid) == 0)))

    def transform(self, term: RewardTerm) -> Transform | None:
        """The transform of a term, if it has one."""
        table = self.settings.get(term.name)
        return table.transform if table else None

    def _invalid(self, term: SequenceTerm) -> float:
        table = self.settings.get(term.name)
        return term.invalid if table is None else table.invalid_score(term.invalid)

    def _geometric_mean(self, values: Values, valid: Flags) -> Values:
        """(B,): the product of score^(weight / sum of weights); 0 where a score is not known, or none counts."""
        used = [(k, term) for k, term in enumerate(self.terms) if term.weight and not term.of_figures]
        if not used:
            return np.zeros(len(values))
        scores = np.stack([self.score(k, values, valid) for k, _ in used], -1)
        known: Flags = np.isfinite(scores.sum(-1))
        for (_, term), column in zip(used, scores.T, strict=True):
            _check_share(term, column[known], "a geometric mean")
        weights = np.array([term.weight for _, term in used])
        with np.errstate(divide="ignore"):
            logarithms = np.log(np.where(known[:, None], scores, 0.0))
        return np.asarray(np.exp(logarithms @ (weights / weights.sum())))

    def described(self) -> list[dict[str, Any]]:
        """Of every column that `Scores.columns` has, in its order: name, better side, weight in R, summary, source."""
        raw = [
            {
                "name": term.name,
                "better": _signed(transform.better if (transform := self.transform(term)) else "higher", term),
                "weight": None if self.transform(term) or term.filter else term.weight,
                "summary": f"raw value: {term.summary}" if self.transform(term) else term.summary,
                "source": term.source,
            }
            for term in self.terms
        ]
        scores = [
            {
                "name": f"score.{term.name}",
                "better": _signed("higher", term),
                "weight": None if term.filter else term.weight,
                "summary": transform.sentence,
                "source": term.source,
            }
            for term in self.terms
            if (transform := self.transform(term))
        ]
        return raw + scores


def _signed(better: str, term: RewardTerm) -> str:
    """What is better of a term that its weight may turn round; a term that does not count has no better side."""
    if not term.counts or not better:
        return "neither"
    return turned(better, term.weight)


def turned(better: str, weight: float) -> str:
    """The better side of a figure that is paid with this weight, of which one below 0 turns it round."""
    return better if weight >= 0 else {"higher": "lower", "lower": "higher"}.get(better, better)


def _check_share(term: RewardTerm, scores: Values, taker: str) -> None:
    """Raise UserError for a weight or a score that `taker`, a filter or a geometric mean, cannot take."""
    if term.weight < 0:
        raise UserError(f"{taker} needs weights above 0; that of term '{term.name}' is {term.weight:g}")
    wrong = scores[(scores < 0) | (scores > 1)]
    if len(wrong):
        raise UserError(
            f"{taker} needs scores from 0 to 1; term '{term.name}' gave {wrong[0]:g}: "
            f"give it a transform, such as --transform {term.name}=sigmoid,low=0,high=1"
        )


@dataclass(frozen=True)
class Scores:
    """What B sequences earned, and what it was made of."""

    texts: Sequence[str | None]  # None: no item of the domain
    values: Values  # (B, T, K) what each term said of each step
    reward: Values  # (B, T), 0 where masked; meaningless where not `scored`
    scored: Flags  # (B,): False where a term failed: such a sequence is never learnt from
    repeated: Flags  # (B,): the text was seen before
    paid: Values  # (B,) the share that `reward` is of what the terms are worth, see `payment`
    terms: Mapping[str, Values]  # raw value a sequence, (B,); NaN: not computed
    transformed: Mapping[str, Values] = field(default_factory=dict)  # (B,) of each term that has a transform

    @property
    def totals(self) -> Values:
        """(B,) R of each sequence; NaN where not scored."""
        return np.where(self.scored, self.reward.sum(-1), np.nan)

    @property
    def valid(self) -> Flags:
        """(B,): the sequence is an item of the domain."""
        return np.array([text is not None for text in self.texts], bool)

    def select(self, rows: slice | NDArray[np.int64]) -> Scores:
        """What those sequences alone earned."""
        terms, transformed = (
            {name: values[rows] for name, values in table.items()} for table in (self.terms, self.transformed)
        )
        texts = np.array(self.texts, object)[rows].tolist()
        scored, repeated, paid = self.scored[rows], self.repeated[rows], self.paid[rows]
        return Scores(texts, self.values[rows], self.reward[rows], scored, repeated, paid, terms, transformed)

    def items(self, most: int) -> Scores:
        """The first `most` that are items."""
        return self.select(np.flatnonzero(self.valid)[:most])

    @property
    def figures(self) -> dict[str, list[float]]:
        """Reward and columns as plain numbers, for files."""
        return {name: values.tolist() for name, values in {"reward": self.totals, **self.columns}.items()}

    @property
    def columns(self) -> dict[str, Values]:
        """Every figure a sequence by the name of its column: `term.<name>` raw, `score.<name>` transformed.

        Of a term that nobody knows of any item, the score of what is none tells nothing.
        """
        raw = {f"term.{name}": values for name, values in self.terms.items()}
        told = {f"score.{name}": values for name, values in self.transformed.items()}
        for name in self.transformed:
            if self.valid.any() and not np.isfinite(self.terms[name][self.valid]).any():
                told[f"score.{name}"] = np.full(len(self.valid), np.nan)
        return raw | told


def on_last_step(values: Values, real: Flags) -> Values:
    """(B,) values put on the last real step of (B, T)."""
    steps: Values = np.zeros(real.shape)
    steps[np.arange(len(real)), np.maximum(real.sum(-1) - 1, 0)] = values
    return steps
