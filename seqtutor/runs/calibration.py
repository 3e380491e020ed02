"""What a profile asks, before it is run: each term over real items, what its answers cost, and where it leads."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from seqtutor.arrays import Values
from seqtutor.domain import Domain, Progress, RewardTerm, silent
from seqtutor.errors import UserError, unknown
from seqtutor.inference.matching import matched
from seqtutor.objectives.optimum import Tilt, tilt
from seqtutor.rewards import figures
from seqtutor.rewards.reward import turned
from seqtutor.rewards.scorer import Scorer
from seqtutor.runs.hits import PASSED, tokens_of

if TYPE_CHECKING:
    from seqtutor.runs.evaluation import Evaluation

BARS = "▁▂▃▄▅▆▇█"
BINS = 10
ALL = "all"  # the figures that have a reference
TINY = 1e-12  # a value below it is rounding
NEVER, ALWAYS = 0.05, 0.95  # scores up to and from which an item is satisfied not at all, or wholly


@dataclass(frozen=True)
class Calibrated:
    """One term over N items: what it said, what that is worth, and the seconds that it took."""

    term: RewardTerm
    raw: Values  # (N,), NaN: it could not be computed
    score: Values  # (N,), the same without a transform
    better: str  # side of the raw value: "higher", "lower", or "" where neither is
    seconds: float

    @property
    def known(self) -> Values:
        """The values that could be computed, to nine digits of the largest: what they differ by beyond is rounding."""
        values = self.raw[np.isfinite(self.raw)]
        return np.round(values, 9 - math.ceil(math.log10(max(float(np.abs(values).max(initial=0.0)), TINY)))) + 0.0

    @property
    def failed(self) -> float:
        """The share of items on which it failed."""
        return 1.0 - len(self.known) / len(self.raw)

    @property
    def never(self) -> float:
        """The share of items that a score from 0 to 1 leaves unpaid."""
        return float(np.mean(self.score <= NEVER))

    @property
    def always(self) -> float:
        """The share of items that a score from 0 to 1 pays in full already."""
        return float(np.mean(self.score >= ALWAYS))

    @property
    def of_share(self) -> bool:
        """Whether its scores lie between 0 and 1, so that `never` and `always` say something."""
        known = self.score[np.isfinite(self.score)]
        return bool(len(known)) and known.min() >= 0 and known.max() <= 1

    @property
    def histogram(self) -> str:
        """Its raw values from the lowest to the highest, in bars.

        >>> from seqtutor.term import SequenceTerm
        >>> term = SequenceTerm("mine", 1.0, "", "", len)
        >>> Calibrated(term, np.repeat([0.0, 9.0], [1, 8]), np.zeros(9), "", 0.0).histogram
        '▂        █'
        """
        if not len(self.known):
            return ""
        counts, _ = np.histogram(self.known, BINS)
        heights = np.ceil(counts / counts.max() * (len(BARS) - 1)).astype(int)
        return "".join(BARS[height] if count else " " for height, count in zip(heights, counts, strict=True))

    @property
    def proposal(self) -> str:
        """A transform by which half the items are paid little and one in twenty nearly all; empty where none helps."""
        if len(np.unique(self.known)) < 3 or not self.better:
            return ""
        low, high = np.percentile(self.known, (50, 95) if self.better == "higher" else (5, 50))
        if not low < high:
            return ""
        kind = "sigmoid" if self.better == "higher" else "reverse_sigmoid"
        places = max(0, 2 - math.floor(math.log10(high - low)))  # three digits of the width
        low, high = round(float(low), places), round(float(high), places)
        return f'{{ kind = "{kind}", low = {low:.15g}, high = {high:.15g} }}'


def calibrated(scorer: Scorer, texts: Sequence[str], progress: Progress = silent) -> Iterator[Calibrated]:
    """Each term of `scorer` over `texts`, asked alone so that its time is its own; `scorer` then knows the answers.

    What several terms need, as the parsing of a text, is counted with the first of them.
    """
    tokens = tokens_of(scorer, texts)
    for done, term in enumerate(scorer.terms, 1):
        with closing(scorer.aside([term])) as alone:
            alone.start(texts[0])
            alone.of_texts(texts[:1], tokens[:1])  # what it loads when it is first asked is no time of an item
            began = time.perf_counter()
            scores = alone.of_texts(texts, tokens)
            seconds = time.perf_counter() - began
            for name, known in alone.answers.known.items():
                scorer.answers.known[name].update(known)
            raw = scores.terms[term.name]
            transform = alone.reward.transform(term)
            better = turned(transform.better if transform else "higher", term.weight)
            yield Calibrated(term, raw, scores.transformed.get(term.name, raw), better, seconds)
        progress(done, len(scorer.terms))


def real_items(domain: Domain, count: int, seed: int) -> list[str]:
    """Different items of the corpus, at most `count`: the first excerpt of each whole one. Raises UserError if none."""
    corpus = domain.corpus()
    found: dict[str, None] = {}
    for i in np.random.default_rng(seed).permutation(len(corpus)).tolist():
        for tokens in domain.excerpts(corpus[i])[:1]:
            found[domain.decode(tokens)] = None
        if len(found) == count:
            break
    if not found:
        raise UserError(f"the corpus of {domain.name} holds no item")
    return list(found)


def percentiles(values: Values, *wanted: float) -> list[float]:
    """Percentiles of the values that are known; NaN where none is."""
    known = values[np.isfinite(values)]
    return np.percentile(known, wanted).tolist() if len(known) else [float("nan")] * len(wanted)


def passing(found: Sequence[Calibrated]) -> float:
    """The share of the items that pass every filter."""
    filters = [one.score >= PASSED for one in found if one.term.filter]
    return float(np.mean(np.all(filters, axis=0))) if filters else 1.0


@dataclass(frozen=True)
class Held:
    """A term that holds figures beside a reward: its table in a config, and what the draws tell of both's optimum."""

    table: dict[str, Any]
    optimum: Tilt


def held(found: Evaluation, temperature: float, names: Sequence[str], passed: Values | None = None) -> Held:
    """The term by which the figures `names` of the optimum are those of real items, told from draws of the prior.

    Of what passes the filters, that is, by which all pay is multiplied: `passed` (N,); None: there are none.

    Of all laws with these figures the nearest to p exp(R/c) / Z is p exp(R/c + sum_k w_k f_k) / Z, f_k being an item's
    part in a figure (`seqtutor.rewards.figures`). The term pays c w_k f_k, as far as all but a few draws have it.
    """
    known = figures.parts(found.measures)
    if not known or not found.scores.valid.any():
        raise UserError(f"no item, or no figure of domain '{found.domain.name}' that real items have, is there to hold")
    for name in names:
        if name not in (ALL, *known):
            raise unknown("figure to hold", name, [ALL, *known])
    passed = np.ones(len(found.tokens)) if passed is None else passed
    chosen = {name: part for name, part in known.items() if name in names or ALL in names}
    valid, totals = found.scores.valid, found.scores.totals
    parts = np.column_stack(list(chosen.values()))
    spread = parts[valid].std(axis=0) + np.finfo(float).tiny
    items = tilt(np.where(valid, totals, np.nan), temperature).weights
    try:
        paid = parts / spread * passed[:, None]
        w = matched(np.zeros(len(chosen)), paid, items / items.sum()).weights
    except UserError as error:
        raise UserError(f"nothing holds {', '.join(chosen)} at once; hold fewer, or draw more") from error
    weights = dict(zip(chosen, temperature * w / spread, strict=True))
    table = figures.table(weights, {name: part[valid] for name, part in chosen.items()})
    (low, _), (high, _) = table["transform"]["points"]
    earned = np.where(valid, (parts @ np.array(list(weights.values()))).clip(low, high), low) * passed
    return Held(table, tilt(totals + earned, temperature))
