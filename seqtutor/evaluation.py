"""Before and after: samples of the prior, of the policy, and the free baseline, best of n from the prior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from seqtutor.domain import Domain, Measure
from seqtutor.guard import measured
from seqtutor.model import Model
from seqtutor.rollout import sample_tokens
from seqtutor.scoring import Scorer, Scores
from seqtutor.vocabulary import EOS

if TYPE_CHECKING:
    from seqtutor.domain import Values

CHUNK = 256  # sequences sampled together


@dataclass(frozen=True)
class Evaluation:
    """N scored samples of one model and every figure of them: the reward, the terms, the domain's measures."""

    scores: Scores
    reward: Measure
    terms: list[Measure]
    measures: list[Measure]


def evaluate(model: Model, domain: Domain, scorer: Scorer, n: int, generator: torch.Generator) -> Evaluation:
    """Sample n sequences from `model`, score and measure them."""
    scores = scorer.score(*draw(model, domain, n, generator))
    return Evaluation(
        scores,
        _measure("reward", scores.totals),
        [_measure(name.removeprefix("term."), values) for name, values in scores.columns.items()],
        measured(domain, scores.texts),
    )


def draw(
    model: Model,
    domain: Domain,
    n: int,
    generator: torch.Generator,
    *,
    temperature: float = 1.0,
    primer: torch.Tensor | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """N sequences of `model` -> tokens (n, max_length) and truncated (n,), as the scorer takes them."""
    tokens = np.zeros((n, domain.max_length), np.int64)
    for start in range(0, n, CHUNK):
        count = min(CHUNK, n - start)
        some = sample_tokens(model, count, domain.max_length, generator, temperature=temperature, primer=primer)
        tokens[start : start + count, : some.shape[1]] = some.cpu().numpy()
    return tokens, ~(tokens == EOS).any(-1) & (not domain.fixed_length)


def drawn(model: Model, domain: Domain, scorer: Scorer, seed: int, n: int = 32) -> list[str]:
    """The items among n samples of `model`, none of which counts for anything."""
    tokens, truncated = draw(model, domain, n, torch.Generator().manual_seed(seed))
    texts = [None if cut else scorer.text(row) for row, cut in zip(tokens, truncated, strict=True)]
    return [text for text in texts if text is not None]


def _measure(name: str, values: Values) -> Measure:
    known = np.isfinite(values)
    return Measure(name, np.where(known, values, 0.0), known.astype(np.float64), better="higher")


def best_of_n(evaluation: Evaluation, n: int) -> list[Measure]:
    """Every figure under 'the best of n by reward', from the same samples: reward, terms, measures.

    Of N samples the one of rank i is the best of C(i-1, n-1) of the C(N, n) subsets: averaging over all subsets uses
    every sample, where drawing n N times would need n times as many.
    """
    totals = np.nan_to_num(evaluation.scores.totals, nan=-np.inf)
    weight = np.empty(len(totals))
    weight[np.argsort(totals, kind="stable")] = best_of_weights(len(totals), n)
    figures = [evaluation.reward, *evaluation.terms, *evaluation.measures]
    return [replace(m, values=m.values * weight, weights=m.weights * weight) for m in figures]


def best_of_weights(total: int, n: int) -> Values:
    """For ranks 1..total (worst first): the chance that a random subset of n has this one as its best; sums to 1."""
    n = min(n, total)
    weights = np.zeros(total)
    weights[-1] = n / total  # C(N-1, n-1) / C(N, n); the next lower ranks follow by their ratio
    for rank in range(total - 1, n - 1, -1):
        weights[rank - 1] = weights[rank] * (rank - n + 1) / rank
    return weights


def comparison(prior: Evaluation, policy: Evaluation, scorer: Scorer, n: int) -> dict[str, Any]:
    """The before/after table as plain data: reward, terms and measures of prior, best of n, and policy."""
    before, after = zip(*figures([prior, policy]), strict=True)
    rows = [_row(*row) for row in zip(before, best_of_n(prior, n), after, strict=True)]
    described = scorer.described()
    count = 1 + len(described)
    terms = [{**row, **about} for row, about in zip(rows[1:count], described, strict=True)]
    return {"reward": rows[0], "terms": terms, "measures": rows[count:]}


def _row(prior: Measure, best: Measure, policy: Measure) -> dict[str, Any]:
    figures = {
        key: {"mean": m.mean, "halfwidth": m.halfwidth}
        for key, m in (("prior", prior), ("best_of_n", best), ("policy", policy))
    }
    about = {"name": prior.name, "better": prior.better, "percent": prior.percent, "summary": prior.summary}
    return {**about, **figures}


def figures(evaluations: Sequence[Evaluation]) -> list[list[Measure]]:
    """Every figure of several evaluations, row by row: the reward, the terms, the measures."""
    return [list(row) for row in zip(*([e.reward, *e.terms, *e.measures] for e in evaluations), strict=True)]
