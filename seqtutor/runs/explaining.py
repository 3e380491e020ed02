"""An item explained: what each part of it was paid by which term, and what the models thought of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seqtutor.arrays import Values
from seqtutor.domain import SequenceTerm
from seqtutor.files import write_csv
from seqtutor.priors.encoding import rows_of
from seqtutor.priors.model import Model
from seqtutor.priors.sampling import array_of, logp_of
from seqtutor.rewards.reward import Scores
from seqtutor.rewards.scorer import Scorer
from seqtutor.runs.drawing import Source
from seqtutor.runs.folder import figure_text


@dataclass(frozen=True)
class Part:
    """What a person tells apart in an item: a note, a symbol, the end."""

    name: str
    prior_logp: float  # nats, of its tokens together
    logp: float | None  # the same under a run's policy
    paid: dict[str, float]  # weight times value of each term that is paid step by step

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
    whole: dict[str, float]  # score of each term that is said of all of it
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
    prior_logp = _logp(source.prior, ids)
    logp = _logp(source.model, ids) if source.tuned else None
    named = domain.parts(text) + ([] if domain.fixed_length else [("end", 1)])
    cuts = np.cumsum([0, *(count for _, count in named)])
    parts = tuple(
        Part(
            name,
            float(prior_logp[start:stop].sum()),
            None if logp is None else float(logp[start:stop].sum()),
            {term: float(values[start:stop].sum()) for term, values in paid.items()},
        )
        for (name, _), start, stop in zip(named, cuts, cuts[1:], strict=False)
    )
    if not paid and logp is not None:
        paid = {"": source.temperature * (logp - prior_logp)}
    steps = np.sum([np.zeros(len(ids[0])), *paid.values()], axis=0)[: len(tokens)]
    return Explanation(text, parts, tuple(steps.tolist()), whole, float(scores.totals[0]))


def _logp(model: Model, ids: NDArray[np.int64]) -> Values:
    """Log-probability (T,) of each token of one sequence (1, T)."""
    return array_of(logp_of(model, torch.from_numpy(ids))[0])


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
    names = [*(found[0].parts[0].paid if found[0].parts else ()), *found[0].whole]
    rows: list[list[Any]] = [["item", "part", "prior_logp", "policy_logp", "reward", *(f"term.{n}" for n in names)]]
    for number, item in enumerate(found, start=1):
        for part in item.parts:
            rows.append([number, part.name, *_row(part.prior_logp, part.logp, part.total, part.paid, names)])
        sums = {name: sum(part.paid[name] for part in item.parts) for name in names if name not in item.whole}
        rows.append([number, item.text, *_row(item.prior_logp, item.logp, item.reward, sums | item.whole, names)])
    write_csv(path, rows)


def _row(
    prior_logp: float, logp: float | None, reward: float, terms: Mapping[str, float], names: Sequence[str]
) -> list[str]:
    figures = [prior_logp, math.nan if logp is None else logp, reward, *(terms.get(name, math.nan) for name in names)]
    return [figure_text(value) for value in figures]
