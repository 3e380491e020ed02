"""The end of a run: both models sampled and compared, the best of what was scored, samples, and the page."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqtutor.arrays import Ids
from seqtutor.objectives.optimum import Optimum, Tilt, best_of_n_kl
from seqtutor.priors.encoding import misfit
from seqtutor.priors.files import weights_digest
from seqtutor.priors.script import chosen
from seqtutor.records.recorded import odds_of, of_record
from seqtutor.rewards.reward import Scores
from seqtutor.rewards.surrogate import sentences
from seqtutor.rewards.taste import votes_of
from seqtutor.rewards.terms import weighted_terms
from seqtutor.runs import evaluation, hits
from seqtutor.runs.distributions import distributions
from seqtutor.runs.evaluation import DRAWS, best_of_n, comparison, kept_of
from seqtutor.runs.explaining import credit
from seqtutor.runs.folder import BEST, FILES, RunFolder, best_of
from seqtutor.runs.report import SAMPLES, render
from seqtutor.training.tuner import Tuner

COMPARED = 2000  # samples of each model, at most, that are read by both: the distance to prior and optimum
HITS, PER_FAMILY = 100, 2  # items that a run hands over, and the most of one family; `seqtutor score` takes others
APART = 1 << 63  # added to a seed, it is one that nobody can give


def conclude(tuner: Tuner, run: RunFolder, count: int, *, interrupted: bool) -> tuple[dict[str, Any], Path]:
    """Sample `count` of the prior and of the policy, write summary, samples and page -> the summary, the page."""
    domain, config = tuner.domain, tuner.config
    scorer = tuner.scorer.aside(weighted_terms(domain, config.term_weights, tuner.scorer.settings))
    generator, apart = (torch.Generator(config.device).manual_seed(config.seed + by) for by in (1, APART))
    with closing(scorer), scorer.remembering(run.answers):
        prior = evaluation.evaluate_prior(tuner.prior, domain, scorer, count, generator)
        policy = evaluation.evaluate(tuner.kept.eval(), domain, scorer, count, generator)
        own, kl = evaluation.written(policy, tuner.kept, tuner.prior, COMPARED)
        others, _ = evaluation.written(prior, tuner.kept, tuner.prior, COMPARED)
        judge = odds_of(tuner.kept, tuner.prior) if tuner.offline else None
        best = best_of_n(tuner.prior, domain, scorer, config.best_of, min(DRAWS, count), apart, judge)
        spreads = distributions(prior, policy, scorer, config.seed)
        found = Optimum(own, others, tuner.dial.temperature)
        rows, kept = kept_of(policy, prior, found, FILES, config.seed)
        by_law = tuner.offline is None and len(rows) > 0
    best_scored = _save_hits(tuner, run)
    steps = chosen(tuner.script, torch.from_numpy(policy.tokens[:COMPARED])).sum()
    summary = {
        **_course(tuner),
        "best_scored": best_scored,
        "samples": count,
        "interrupted": interrupted,
        "policy_digest": weights_digest(run.folder),
        "kl": {"sequence": float(kl.mean()), "token": float(kl.sum() / steps)},
        **_distance(tuner, found, float(kl.mean()), {"policy": policy.scores, "prior": prior.scores}),
        **comparison(prior, best, policy, scorer, kept if by_law else None),
        "spread": spreads,
    }
    if by_law:
        summary["kept"] = _handed_over(rows, count, kept, found)
    else:
        rows = np.flatnonzero(policy.scores.valid)[:FILES]
    if foreseen := [*sentences(tuner.scorer.terms), *votes_of(tuner.scorer.terms)]:
        summary["foreseen"] = [
            f"Nobody has judged what stands here: the reward is foreseen. {line}" for line in foreseen
        ]
    run.save_summary(summary)
    _save_items(tuner, run, policy.scores, prior.scores, rows)
    return summary, run.save_page(render(run.folder, domain))


def _save_items(tuner: Tuner, run: RunFolder, policy: Scores, prior: Scores, rows: Ids) -> None:
    """The samples, those `rows` of them as files, the best, and what the page draws of them."""
    run.save_samples(tuner.domain, policy, prior, rows)
    run.save_best(tuner.domain, policy, BEST if not tuner.scorer.calls else 0)  # a run with calls has its hits
    run.save_credit(_credit(tuner, policy, prior, rows))


def _credit(tuner: Tuner, policy: Scores, prior: Scores, rows: Ids) -> dict[str, Any]:
    """Of what the page shows; of a template's items nothing, whose tokens the model has not chosen in that order."""
    texts = [*policy.texts, *prior.texts]
    picked = [*range(min(SAMPLES, len(policy.texts))), *rows[:SAMPLES], *best_of(policy, BEST)]
    shown = [*prior.texts[:SAMPLES], *(texts[row] for row in picked)]
    items = [text for text in dict.fromkeys(shown) if text is not None and not misfit(tuner.domain, text)]
    if tuner.script or not items:
        return {}
    return credit(tuner.domain, tuner.scorer.reward, tuner.kept, tuner.prior, tuner.dial.temperature, items)


def _course(tuner: Tuner) -> dict[str, Any]:
    """What was run, how far it came and what that cost."""
    config = tuner.config
    return {
        "domain": tuner.domain.name,
        "objective": config.objective,
        "updates": tuner.update,
        "seconds": tuner.seconds,
        "oracle_calls": tuner.scorer.calls,
        "best_of": config.best_of,
        "best_of_kl": best_of_n_kl(config.best_of),
        "went_back": tuner.healthy_update if tuner.went_back else None,
    }


def _save_hits(tuner: Tuner, run: RunFolder) -> dict[str, Any]:
    """Write everything that was scored, once each, and the best of it -> how many the best 1/n are, and what they earn.

    By the reward as it is now, whatever the ledger says that a text was paid before a resume. `per_call`: best of n of
    the prior costs as many calls; where a filter saved some, it would save the prior some, too.
    """
    told: dict[str, Any] = {"items": 0, "reward": math.nan, "per_call": not tuner.scorer.refused}
    if not tuner.scorer.calls:
        return told
    asked = [row["text"] for row in run.ledger if row["text"] in tuner.scorer.seen]  # of a dear term that is new, few
    texts = [*asked, *tuner.scorer.refused]
    with tuner.scorer.remembering(run.answers):
        found = hits.write_table(hits.scored(tuner.scorer, texts), run.folder / "scored.csv")
    shutil.rmtree(run.folder / "hits", ignore_errors=True)  # of a table before a resume
    hits.write_hits(tuner.domain, hits.best(tuner.domain, found, HITS, PER_FAMILY), run.folder / "hits")
    rewards = sorted((item.reward for item in found if math.isfinite(item.reward)), reverse=True)
    count = min(round(tuner.scorer.calls / tuner.config.best_of), len(rewards))
    return told | {"items": count, "reward": sum(rewards[:count]) / count if count else math.nan}


def _handed_over(rows: Ids, count: int, kept: Tilt, found: Optimum) -> dict[str, Any]:
    """Of the samples the `rows` that a run hands over, and their law; the prior wrote those from `count` on."""
    told = {key: getattr(kept, key) for key in ("effective", "kl", "reward", "temperature")}
    draws = len(found.policy) + len(found.prior)
    return {"items": len(rows), "of_prior": int((rows >= count).sum()), "draws": draws, **told}


def _distance(tuner: Tuner, found: Optimum, kl: float, samples: Mapping[str, Scores]) -> dict[str, Any]:
    """How far the policy is from the optimum; of a run that learnt from a record, what that record tells."""
    if tuner.offline is None:
        return {"optimum": evaluation.against_optimum(found, kl)}
    c = found.temperature
    return {"record": of_record(tuner.offline, tuner.config, c, tuner.kept, samples, tuner.kept_update)}
