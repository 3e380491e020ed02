"""How the figures of single items are spread in samples of the prior, of the policy, and among real items."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np

from seqtutor.arrays import Values
from seqtutor.domain import Measure, RewardTerm
from seqtutor.errors import UserError
from seqtutor.rewards import keeping
from seqtutor.rewards.reward import Scores
from seqtutor.rewards.scorer import Scorer
from seqtutor.runs.calibration import real_items
from seqtutor.runs.evaluation import Evaluation
from seqtutor.runs.hits import tokens_of

REAL = 1000  # real items, at most, that stand beside the samples
BINS = 24
EDGE = 0.5  # percent of the values at either end that the outermost bins take in
LEAST = 30  # items that a correlation is told from


def distributions(prior: Evaluation, policy: Evaluation, scorer: Scorer, seed: int) -> list[dict[str, Any]]:
    """The histograms of the reward, of the terms that it is made of, and of the measures, as plain data.

    A measure also has the term that already goes with it in the prior's own samples, if one does: `pull`.
    """
    try:
        texts = real_items(scorer.domain, min(REAL, len(prior.scores.texts)), seed)
    except UserError:  # the domain has no corpus
        texts = []
    found = []
    before, after = (_terms(scorer.terms, scores) for scores in (prior.scores, policy.scores))
    real = _terms([term for term in scorer.terms if not term.of_corpus], _worth(scorer, texts))
    for name, values in before.items():
        bins = binned({"prior": values, "policy": after[name], "real": real.get(name, np.zeros(0))})
        found.append({"kind": "term", "name": name, **bins})
    said, valid = {**prior.scores.terms, **prior.scores.transformed}, prior.scores.valid
    signs = {term.name: -1.0 if term.weight < 0 else 1.0 for term in scorer.terms if term.counts}
    paid = {name: np.where(valid, sign * said[name], np.nan) for name, sign in signs.items()}  # up to a scale
    of_real = keeping.measured(scorer.domain, texts) if texts else [None] * len(prior.measures)
    for one, other, third in zip(prior.measures, policy.measures, of_real, strict=True):
        if not one.of_set:
            groups = {"prior": _items(one), "policy": _items(other), "real": _items(third) if third else np.zeros(0)}
            pull = pulled(_items(one), paid)
            found.append({"kind": "measure", "name": one.name, **binned(groups), "pull": pull})
    return [row for row in found if "shares" in row]


def binned(groups: dict[str, Values]) -> dict[str, Any]:
    """The share of each group in each bin: `low` and `width` of the first, `shares` by group; empty if all are equal.

    Whole numbers that are few get a bin each.

    And `means`, of these very values: of a term those of items alone.

    >>> found = binned({"prior": np.array([0.0, 1.0, 1.0, 3.0]), "policy": np.array([3.0, np.nan])})
    >>> found["shares"], found["means"]
    ({'prior': [0.25, 0.5, 0.0, 0.25], 'policy': [0.0, 0.0, 0.0, 1.0]}, {'prior': 1.25, 'policy': 3.0})
    """
    known = {name: values[np.isfinite(values)] for name, values in groups.items()}
    known = {name: values for name, values in known.items() if len(values)}
    pooled = np.concatenate([*known.values(), np.zeros(0)])
    if not len(pooled) or pooled.min() == pooled.max():
        return {}
    low, high = np.percentile(pooled, [EDGE, 100 - EDGE])
    if (pooled == np.round(pooled)).all() and np.ptp(pooled) < BINS:
        edges = np.arange(pooled.min() - 0.5, pooled.max() + 1)
    else:
        low, high = (low, high) if low < high else (pooled.min(), pooled.max())
        edges = np.linspace(low, high, BINS + 1)
    shares = {
        name: (np.histogram(values.clip(edges[0], edges[-1]), edges)[0] / len(values)).round(5).tolist()
        for name, values in known.items()
    }
    means = {name: float(values.mean()) for name, values in known.items()}
    return {"low": float(edges[0]), "width": float(edges[1] - edges[0]), "shares": shares, "means": means}


def pulled(values: Values, terms: dict[str, Values]) -> dict[str, Any] | None:
    """The term whose pay goes most with `values` (N,) of the same items, by its correlation; None where none does."""
    found = {}
    for name, paid in terms.items():
        both = np.isfinite(values) & np.isfinite(paid)
        x, y = values[both], paid[both]
        if len(x) >= LEAST and np.ptp(x) > 0 and np.ptp(y) > 0:
            r = float(np.corrcoef(x, y)[0, 1])
            if abs(r) > 3 / np.sqrt(len(x)):  # three standard errors: one of many terms may well lie at two
                found[name] = r
    best = max(found, key=lambda name: abs(found[name]), default=None)
    return None if best is None else {"term": best, "correlation": found[best]}


def _items(measure: Measure) -> Values:
    """What the measure is of each item that it concerns, NaN for the others."""
    there = measure.weights > 0
    return np.where(there, measure.values / np.where(there, measure.weights, 1.0), np.nan)


def _terms(terms: Sequence[RewardTerm], scores: Scores | None) -> dict[str, Values]:
    """The reward and what each of `terms` that counts said of each item; of what is no item, nothing."""
    if scores is None:
        return {}
    named = {term.name for term in terms if term.counts}
    said = {name: values for name, values in scores.terms.items() if name in named}
    whole = {"reward": scores.totals} if set(said) == named else {}
    return {name: np.where(scores.valid, values, np.nan) for name, values in {**whole, **said}.items()}


def _worth(scorer: Scorer, texts: list[str]) -> Scores | None:
    """What the domain's own terms say of real items, but for those that compare with the corpus in which these stand.

    Nobody else's oracle is asked, and no dear one.
    """
    others = {*scorer.outside, *scorer.recorded}
    own = [
        term
        for term in scorer.terms
        if term.counts and term.name not in others and not term.costly and not term.of_corpus
    ]
    if not texts or not own:
        return None
    with closing(replace(scorer.aside(own), workers=0)) as asked:
        try:
            with keeping.answers(asked, texts) as told:
                told += texts
                return asked.of_texts(texts, tokens_of(asked, texts))
        except UserError:  # a run ends well without them
            return None
