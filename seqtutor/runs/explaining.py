"""An item explained: what each part of it was paid by which term, and what the models thought of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seqtutor.arrays import Values
from seqtutor.domain import Domain, RewardTerm, SequenceTerm, TokenTerm
from seqtutor.files import write_csv
from seqtutor.plugin.complaints import spared
from seqtutor.priors.encoding import rows_of
from seqtutor.priors.model import Model
from seqtutor.priors.sampling import array_of, logp_of
from seqtutor.rewards.reward import Reward, Scores
from seqtutor.rewards.scorer import Scorer
from seqtutor.runs.drawing import Source
from seqtutor.runs.folder import figure_text
from seqtutor.term import Parts


@dataclass(frozen=True)
class Part:
    """What a person tells apart in an item: a note, a symbol, the end."""

    name: str
    prior_logp: float  # nats, of its tokens together
    logp: float | None  # the same under a run's policy
    paid: dict[str, float]  # weight times value of each term that is paid step by step
    adds: dict[str, float]  # to the value of each term of the whole that says what it is made of

    @property
    def total(self) -> float:
        """What it earned in all."""
        return sum(self.paid.values())


@dataclass(frozen=True)
class Explanation:
    """An item with its parts, and what was said of it as a whole."""

    text: str
    parts: tuple[Part, ...]
    steps: tuple[float, ...]  # what each token is worth, its end left out; see `explain`
    whole: dict[str, float]  # score of each term that is said of all of it, not weighted
    weights: dict[str, float]  # of all terms, by name
    made_of: dict[str, Parts]  # what its value is made of, where the term says so
    reward: float  # with everything: weights, filters, the way of combining; NaN where a term failed

    @property
    def prior_logp(self) -> float:
        """Nats of the item under the prior."""
        return sum(part.prior_logp for part in self.parts)

    @property
    def logp(self) -> float | None:
        """The same under the policy; None without one."""
        own = [part.logp for part in self.parts if part.logp is not None]
        return sum(own) if own else None


def explain(source: Source, scorer: Scorer, word: str) -> Explanation:
    """Explain one item, in any spelling and of any length that the domain can read.

    A token is worth what was paid for it. Where all terms are of the whole, it is worth what a run's model makes of it:
    c (log pi - log p), whose sum over an item is R - c log Z for a policy that is the optimum.
    """
    domain = source.domain
    text = domain.decode(domain.encode(word))
    tokens = domain.encode(text)
    ids = rows_of(domain, [text])
    scores = scorer.of_texts([text], ids)
    paid, whole = _earned(scorer, scores)
    prior_logp = _logp(source.prior, ids)[0]
    logp = _logp(source.model, ids)[0] if source.tuned else None
    made = made_of(scorer.terms, text)
    adds = {name: np.array([*found, 0.0]) for name, found in made.items() if not isinstance(found, Mapping)}
    named = domain.parts(text) + ([] if domain.fixed_length else [("end", 1)])
    cuts = np.cumsum([0, *(count for _, count in named)])
    parts = tuple(
        Part(
            name,
            float(prior_logp[start:stop].sum()),
            None if logp is None else float(logp[start:stop].sum()),
            {term: float(values[start:stop].sum()) for term, values in paid.items()},
            {term: float(values[start:stop].sum()) for term, values in adds.items()},
        )
        for (name, _), start, stop in zip(named, cuts, cuts[1:], strict=False)
    )
    if not paid and logp is not None:
        paid = {"": source.temperature * (logp - prior_logp)}
    steps = np.sum([np.zeros(len(ids[0])), *paid.values()], axis=0)[: len(tokens)]
    weights = {term.name: term.weight for term in scorer.terms}
    return Explanation(text, parts, tuple(steps.tolist()), whole, weights, made, float(scores.totals[0]))


def made_of(terms: Sequence[RewardTerm], text: str) -> dict[str, Parts]:
    """By the name of each term that counts and says so what its value of a text is made of."""
    return {t.name: t.parts(text) for t in terms if isinstance(t, SequenceTerm) and t.counts and t.parts}


PAID, WANTED = "paid", "wanted"  # by the terms; by the tuned model beyond its prior


def credit(
    domain: Domain, reward: Reward, policy: Model, prior: Model, temperature: float, texts: Sequence[str]
) -> dict[str, dict[str, Parts]]:
    """Of each text what the page draws: what the terms of each step paid, where nothing multiplies or changes that;
    c (log pi - log p) of each token, as in `explain`; and what the other terms are made of.
    """
    ids = rows_of(domain, texts)
    wanted = temperature * (_logp(policy, ids) - _logp(prior, ids))
    stepwise = [term for term in reward.terms if isinstance(term, TokenTerm) and term.weight]
    changed = reward.geometric or any(t.filter for t in reward.terms)
    plain = [] if changed or any(map(reward.transform, stepwise)) else stepwise
    paid = np.sum([term.weight * term.values(ids) for term in plain], axis=0) if plain else None
    found: dict[str, dict[str, Parts]] = {}
    for row, text in enumerate(texts):
        length = len(domain.encode(text))
        told: dict[str, Parts] = {} if paid is None else {PAID: paid[row, :length].round(4).tolist()}
        made = spared(domain, partial(made_of, reward.terms, text), dict[str, Parts])
        found[text] = told | made | {WANTED: wanted[row, :length].round(4).tolist()}
    return found


def _logp(model: Model, ids: NDArray[np.int64]) -> Values:
    """Log-probability (N, T) of each token."""
    return array_of(logp_of(model, torch.from_numpy(ids).to(model.device)))


def _earned(scorer: Scorer, scores: Scores) -> tuple[dict[str, Values], dict[str, float]]:
    """Of the terms that count: what each pays step by step (T,), weighted; the scores of the others."""
    reward, paid, whole = scorer.reward, dict[str, Values](), dict[str, float]()
    passed = float(reward.passed(scores.values, scores.valid)[0])  # all pay is multiplied by it
    for k, term in enumerate(scorer.terms):
        if not term.counts:
            continue
        if isinstance(term, SequenceTerm) or reward.transform(term) or reward.geometric:
            score = float(reward.score(k, scores.values, scores.valid)[0])
            if np.isfinite(score) or not scores.scored[0]:  # else a filter refused it, and nobody was asked
                whole[term.name] = score
        else:
            paid[term.name] = term.weight * scores.values[0, :, k] * passed
    return paid, whole


def write_table(found: Sequence[Explanation], path: Path) -> None:
    """A row for each part of each item, then one for the item: what it earned in all, and the scores of the whole."""
    first = found[0].parts[0] if found[0].parts else None
    names, adding = [*(first.paid if first else ()), *found[0].whole], list(first.adds if first else ())
    columns = [*(f"term.{name}" for name in names), *(f"adds.{name}" for name in adding)]
    rows: list[list[Any]] = [["item", "part", "prior_logp", "policy_logp", "reward", *columns]]
    for number, item in enumerate(found, start=1):
        for part in item.parts:
            added = [figure_text(part.adds[name]) for name in adding]
            rows.append([number, part.name, *_row(part.prior_logp, part.logp, part.total, part.paid, names), *added])
        sums = {name: sum(part.paid[name] for part in item.parts) for name in names if name not in item.whole}
        whole = _row(item.prior_logp, item.logp, item.reward, sums | item.whole, names)
        rows.append([number, item.text, *whole, *("" for _ in adding)])
    write_csv(path, rows)


def _row(
    prior_logp: float, logp: float | None, reward: float, terms: Mapping[str, float], names: Sequence[str]
) -> list[str]:
    figures = [prior_logp, math.nan if logp is None else logp, reward, *(terms.get(name, math.nan) for name in names)]
    return [figure_text(value) for value in figures]
