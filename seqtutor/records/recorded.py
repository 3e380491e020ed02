"""What a record tells of a policy that has left it: a certificate, an estimate from old texts, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from seqtutor.arrays import Ids, Values
from seqtutor.config import TrainConfig
from seqtutor.objectives.optimum import NORMAL, Estimate, effective
from seqtutor.priors.model import Model
from seqtutor.priors.sampling import array_of, compared
from seqtutor.records.offline import Offline
from seqtutor.rewards.reward import Scores

REFUSED, ROUGH = 30.0, 100.0  # effective samples below which an estimate is refused, and is called rough
NO_WRITER = "nobody knows with which probability its writer wrote each text (a column logp, nats)"


def weighted(reward: Values, log_weights: Values) -> tuple[Estimate, float]:
    """E_pi[R] from N texts of another writer beta, weighted by pi/beta; its 95 % interval; the effective sample size.

    Self-normalised importance sampling: sum wR / sum w, with the error of a ratio by the delta method.
    """
    weights = np.exp(log_weights - log_weights.max())
    weights /= weights.sum()
    mean = float(weights @ reward)
    error = math.sqrt(float(np.square(weights) @ np.square(reward - mean)))
    return Estimate(mean, NORMAL * error), effective(log_weights)


def odds_of(policy: Model, prior: Model) -> Callable[[Ids], Values]:
    """Log pi/p of tokens (N, T): what a policy that learnt from a record says their reward is, over c and but for Z."""

    def odds(tokens: Ids) -> Values:
        logp, prior_logp, _ = compared(policy, prior, torch.from_numpy(tokens).to(policy.device))
        return array_of(logp - prior_logp)

    return odds


def of_record(
    offline: Offline, config: TrainConfig, temperature: float, policy: Model, samples: Mapping[str, Scores], kept: int
) -> dict[str, Any]:
    """What a run's summary says of its record, as plain data. `samples` of 'policy' and 'prior'; `kept`: the update."""
    valid = float(samples["prior"].valid.mean())
    explained = offline.explained(policy, temperature)
    return {
        "files": list(config.log),
        "lines": len(offline.record.lines),
        "texts": len(offline.record.texts),
        "unread": len(offline.record.problems),
        "held_out": len(offline.held),
        "groups": len(np.unique(offline.groups)),
        "kept": kept,
        "explained": explained._asdict(),
        "in_record": offline.share_of(samples["policy"].texts),
        "unseen": dict(offline.reward.unseen),
        "certificate": certificate(offline, config, offline.log_z(temperature, valid), temperature),
        "estimate": _estimate(offline, policy),
    }


def _estimate(offline: Offline, policy: Model) -> dict[str, Any]:
    """E_pi[R] from all lines where their writer is known, or why there is none."""
    beta = np.array([line.logp for line in offline.record.lines])
    if not np.isfinite(beta).all():
        return {"effective": None, "why": NO_WRITER}
    logp = array_of(compared(policy, policy, offline.batch.tokens)[0])
    found, worth = weighted(array_of(offline.worth(offline.batch).sum(-1)), logp - beta)
    if worth < REFUSED:
        why = f"the lines are worth {worth:.0f} samples of this policy, and {REFUSED:.0f} are needed"
        return {"effective": worth, "why": why}
    return {"effective": worth, "why": "", "reward": found._asdict()}


def sentences(found: Mapping[str, Any]) -> list[str]:
    """What a summary says of its record, for a person, a line each."""
    estimate, sure, explained = found["estimate"], found["certificate"], found["explained"]
    lines = [
        f"learnt from a record: {found['lines']:,} lines of {found['texts']:,} texts"
        + (f", {found['unread']:,} more could not be read" if found["unread"] else "")
        + "; no oracle was asked, and nobody knows the reward of the samples"
    ]
    if found["held_out"]:
        lines.append(
            f"held out: {found['held_out']:,} lines of {found['groups']:,} groups; of the variance of their reward the "
            f"policy explains {explained['mean']:.0%} ± {explained['halfwidth']:.0%}; it is that of update "
            f"{found['kept']}, the best lower end"
        )
        if not explained["mean"] - explained["halfwidth"] > 0:
            lines.append(
                "the held-out lines do not show that anything was learnt which holds for texts not seen"
                + ("" if found["kept"] else ", so that the prior itself is handed over")
            )
    else:
        lines.append("nothing is held out: the record has fewer than fifteen groups, and nothing says when to stop")
    lines.append(f"share of the policy's samples that stand in the record: {found['in_record']:.1%}")
    if estimate["why"]:
        lines.append(f"no estimate of the reward from the record: {estimate['why']}")
    else:
        reward = estimate["reward"]
        lines.append(
            f"reward of the policy, from the record's own lines: {reward['mean']:.4g} ± {reward['halfwidth']:.2g} "
            f"(effective sample size {estimate['effective']:.0f}{'; rough' if estimate['effective'] < ROUGH else ''})"
        )
    if sure["bound"] is None:
        lines.append(f"no certificate: {sure['why']}")
    else:
        condition, bound = f", {sure['why']}" if sure["why"] else "", round(sure["bound"], 6) + 0.0
        lines.append(
            f"certificate: the optimum of the completed reward has R - c KL of at least {bound:.4g}{condition}"
        )
    return lines


def certificate(offline: Offline, config: TrainConfig, log_z: float, temperature: float) -> dict[str, Any]:
    """What is sure of the optimum of the completed reward, J(pi~) >= c log Z~, or why nothing is."""
    condition = ""
    for term in offline.reward.terms:
        if term.counts and term.name not in offline.reward.unseen:
            return {"bound": None, "why": f"the term {term.name} is computed, not read from the record"}
        transform = offline.reward.transform(term)
        least = transform.worst if transform else -math.inf
        if term.counts and term.weight < 0:
            return {"bound": None, "why": f"the weight of {term.name} is below 0"}
        if term.counts and config.unseen == "min":
            condition = "if nothing off the record is worse than the worst of it"
        elif term.counts and offline.reward.unseen[term.name] > least:
            kept = f", such as --unseen {least:g}" if math.isfinite(least) else " or a number that nothing falls below"
            return {
                "bound": None,
                "why": f"unseen texts count as {offline.reward.unseen[term.name]:.4g}, and they may be worth less: "
                f"that needs --unseen min{kept}",
            }
    return {"bound": temperature * log_z, "why": condition}
