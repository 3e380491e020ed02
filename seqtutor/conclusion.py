"""The end of a run: the before/after table, the samples, the page."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import torch

from seqtutor.divergence import best_of_n_kl
from seqtutor.evaluation import comparison, evaluate
from seqtutor.report import render
from seqtutor.rollout import Rollout, sample
from seqtutor.run import Run
from seqtutor.scoring import weighted_terms
from seqtutor.tuning import Tuner

KL_SAMPLES = 256


def conclude(tuner: Tuner, run: Run, count: int, interrupted: bool) -> tuple[dict[str, Any], Path]:
    """Sample `count` of the prior and of the policy, write summary, samples and page -> the summary, the page."""
    domain, config = tuner.domain, tuner.config
    scorer = tuner.scorer.aside(weighted_terms(domain, config.term_weights, tuner.scorer.settings))
    generator = torch.Generator().manual_seed(config.seed + 1)
    with closing(scorer), scorer.remembering(run.answers):
        prior = evaluate(tuner.prior, domain, scorer, count, generator)
        policy = evaluate(tuner.policy.eval(), domain, scorer, count, generator)
    rollout = sample(tuner.policy, tuner.prior, min(KL_SAMPLES, count), domain.max_length, generator)
    summary = {
        "domain": domain.name,
        "objective": config.objective,
        "updates": tuner.update,
        "seconds": tuner.seconds,
        "oracle_calls": tuner.scorer.calls,
        "samples": count,
        "best_of": config.best_of,
        "best_of_kl": best_of_n_kl(config.best_of),
        "interrupted": interrupted,
        "went_back": tuner.healthy_update if tuner.went_back else None,
        "kl": mean_kl(rollout),
        **comparison(prior, policy, scorer, config.best_of),
    }
    run.save_summary(summary)
    run.save_samples(domain, policy.scores, prior.scores)
    return summary, run.save_page(render(run.folder, domain))


def mean_kl(rollout: Rollout) -> dict[str, float]:
    """KL(policy || prior) of a rollout of the policy: nats per sequence and per token."""
    total = float(rollout.kl.sum())
    return {"sequence": total / len(rollout), "token": total / float(rollout.mask.sum())}
