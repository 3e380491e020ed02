"""Before and after: samples of the prior, of the policy, and the free baseline, best of n from the prior."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from seqtutor.arrays import Ids, Values
from seqtutor.domain import Domain, Measure
from seqtutor.objectives.optimum import LEAST, Optimum, Point, Tilt, Written, best_of, tilt, within_reach
from seqtutor.plugin.complaints import measured
from seqtutor.priors.model import Model
from seqtutor.priors.sampling import array_of, compared, draw
from seqtutor.priors.script import script_of
from seqtutor.rewards import keeping
from seqtutor.rewards.reward import Scores
from seqtutor.rewards.scorer import Scorer

DRAWS = 100  # draws of the best of n: their figures need n times as many samples, each of which is scored


@dataclass(frozen=True, repr=False)
class Evaluation:
    """N scored items and every figure of them: the reward, the terms, the domain's measures."""

    domain: Domain
    tokens: Ids  # (N, T)
    scores: Scores
    reward: Measure
    terms: list[Measure]
    measures: list[Measure]

    def __repr__(self) -> str:
        """Every figure on a line, as a notebook shows it."""
        told = "\n".join(f"  {row.name}: {row.mean:.4g} ± {row.halfwidth:.2g}" for row in self.figures)
        return f"Evaluation of {len(self.scores.texts):,} samples, means and 95 % intervals\n{told}"

    @property
    def unscored(self) -> int:
        """Items without a reward, since a term failed; the other figures are of the others."""
        return int((self.scores.valid & ~self.scores.scored).sum())

    @property
    def figures(self) -> list[Measure]:
        """All of them, in the order of a table."""
        return [self.reward, *self.terms, *self.measures]

    def of_first(self, count: int) -> list[Measure]:
        """The same, but those that depend on how many items there are, of the first `count` alone."""
        if count >= len(self.scores.texts) or not any(m.of_set for m in self.measures):
            return self.figures
        fewer = measured(self.domain, self.scores.texts[:count])
        own = [less if m.of_set else m for m, less in zip(self.measures, fewer, strict=True)]
        return [self.reward, *self.terms, *own]


def evaluate(model: Model, domain: Domain, scorer: Scorer, n: int, generator: torch.Generator) -> Evaluation:
    """Sample n sequences from `model`, score and measure them."""
    tokens, truncated = draw(model, domain, n, generator)
    return described(domain, tokens, scorer.score(tokens, truncated))


def evaluate_prior(prior: Model, domain: Domain, scorer: Scorer, n: int, generator: torch.Generator) -> Evaluation:
    """As `evaluate`, of a model that other runs will ask the same of: see `keeping`."""
    tokens, truncated = keeping.draw(prior, domain, n, generator)
    scores = keeping.score(scorer, tokens, truncated)
    return described(domain, tokens, scores, keeping.measured(domain, scores.texts))


def described(domain: Domain, tokens: Ids, scores: Scores, measures: list[Measure] | None = None) -> Evaluation:
    """What was found of sequences, as figures; `measures`: None where they are not known yet."""
    measures = measured(domain, scores.texts) if measures is None else measures
    terms = [_measure(name.removeprefix("term."), values) for name, values in scores.columns.items()]
    return Evaluation(domain, tokens, scores, _measure("reward", scores.totals), terms, measures)


def best_of_n(
    prior: Model,
    domain: Domain,
    scorer: Scorer,
    n: int,
    draws: int,
    generator: torch.Generator,
    judge: Callable[[Ids], Values] | None = None,
) -> Evaluation:
    """The best of n by reward, drawn `draws` times: a set like any other, whose figures need no weights.

    `draws` sets of n samples are scored by the terms that have a weight, the winners by all; ties go to the first.
    `prior`: other runs will ask the same of it, see `keeping`. `judge`: what says which is best where nobody knows the
    reward: of tokens (N, T), a number each.
    """
    tokens, truncated = keeping.draw(prior, domain, n * draws, generator)
    with closing(scorer.aside([term for term in scorer.terms if term.counts])) as choosing:
        totals = judge(tokens) if judge else keeping.score(choosing, tokens, truncated).totals
    best = np.nan_to_num(totals, nan=-np.inf).reshape(draws, n).argmax(1) + n * np.arange(draws)
    return described(domain, tokens[best], scorer.score(tokens[best], truncated[best]))


def written(found: Evaluation, policy: Model, prior: Model, most: int) -> tuple[Written, Values]:
    """Of the first `most` sequences: what is known of those with a score, and KL(pi || p) along each of all (N,)."""
    tokens = torch.from_numpy(found.tokens[:most]).to(policy.device)
    logp, prior_logp, kl = map(array_of, compared(policy, prior, tokens, script_of(found.domain)))
    reward = found.scores.totals[:most]
    known = np.isfinite(reward)
    return Written(reward[known], logp[known], prior_logp[known], int((~known).sum())), kl


def kept_of(policy: Evaluation, prior: Evaluation, found: Optimum, count: int, seed: int) -> tuple[Ids, Tilt]:
    """Which samples of the policy and, counted on, of the prior a run hands over; and what all tell of the optimum.

    `count` by the law of the optimum, or as many as they are worth of it; where that is too few to tell, by the law of
    the next higher temperature whose optimum they are worth `count` of, or a quarter of themselves. None where none is
    within REACH, or where that one earns less than the policy.
    `found`: of what `written` told of both. What a policy has unlearnt is among the prior's samples.
    """
    totals, valid = (
        np.concatenate([getattr(each.scores, name) for each in (policy, prior)]) for name in ("totals", "valid")
    )
    read = [np.flatnonzero(np.isfinite(each.scores.totals)) for each in (policy, prior)]
    known = np.concatenate([read[0][: len(found.policy)], len(policy.scores.texts) + read[1][: len(found.prior)]])
    reward, odds = found.pooled
    items = valid[known]
    of_items, least = np.where(items, reward, np.nan), min(count, LEAST)
    told = tilt(of_items, found.temperature, odds)
    if short := told.effective < least:
        least = max(least, min(count, len(known) / 4))
        told = within_reach(of_items, found.temperature, odds, least)
    lost = short and not (len(found.policy) and told.reward > found.policy.reward.mean())
    rows = known[:0] if lost or told.effective < least else told.keep(min(count, int(told.effective)), seed)
    weights = np.zeros(len(totals))
    weights[known] = told.weights
    apart = -float(np.log(items.mean())) if items.any() else 0.0  # what is no item has no part in this optimum
    return known[rows], replace(told, weights=weights, kl=told.kl + apart)


def against_optimum(found: Optimum, kl: float) -> dict[str, Any]:
    """How far the policy, at `kl` nats a sequence, is from the optimum, as plain data; see `objectives.optimum`."""
    policy, prior = found.policy, found.prior
    at = Point(kl, float(policy.reward.mean()) if len(policy) else math.nan)
    return {
        "temperature": found.temperature,
        "gap": found.gap._asdict(),
        "log_z": found.log_z._asdict(),
        "effective": found.effective,
        "samples": len(policy) + len(prior),
        "share": found.share(at),
        "frontier": [list(point) for point in found.frontier()],
        "best_of": [[n, *point] for n, point in best_of(prior.reward)],
    }


def _measure(name: str, values: Values) -> Measure:
    known = np.isfinite(values)
    return Measure(name, np.where(known, values, 0.0), known.astype(np.float64), better="higher")


def comparison(
    prior: Evaluation, best: Evaluation, policy: Evaluation, scorer: Scorer, kept: Tilt | None = None
) -> dict[str, Any]:
    """The before/after table as plain data: reward, terms and measures of prior, best of n, policy, and what is kept.

    What depends on the number of items is measured on as many of each; of what is kept it is not.
    """
    count = len(best.scores.texts)
    rows = [_row(*row) for row in zip(prior.of_first(count), best.figures, policy.of_first(count), strict=True)]
    if kept is not None:
        for row, own, other in zip(rows, policy.figures, prior.figures, strict=True):
            row |= {} if own.of_set else {"kept": _figure(own.with_items(other).weighted(kept.weights))}
    described = of_terms(scorer)
    cut = 1 + len(described)
    terms = [{**row, **about} for row, about in zip(rows[1:cut], described, strict=True)]
    return {"best_of_draws": count, "reward": rows[0], "terms": terms, "measures": rows[cut:]}


def of_terms(scorer: Scorer) -> list[dict[str, Any]]:
    """As `Reward.described`; of what is asked about items that pass the filters alone, that is said."""
    rows = scorer.reward.described()
    for row in rows:
        if row["name"].removeprefix("score.") in scorer.partial:
            row["summary"] += "; of items that pass the filters"
    return rows


def _row(prior: Measure, best: Measure, policy: Measure) -> dict[str, Any]:
    figures = {key: _figure(m) for key, m in (("prior", prior), ("best_of_n", best), ("policy", policy))}
    kept = ("name", "better", "percent", "summary", "reference", "reference_halfwidth")
    about = {key: getattr(prior, key) for key in kept}
    return {**about, **figures}


def _figure(measure: Measure) -> dict[str, float]:
    return {"mean": measure.mean, "halfwidth": measure.halfwidth}
