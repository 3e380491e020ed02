"""How far a policy is from the prior: KL(policy || prior), nats, and never the other direction."""

from __future__ import annotations

import math

from torch import Tensor


def exact_kl(log_policy: Tensor, log_prior: Tensor) -> Tensor:
    """KL of each step's whole distribution along sampled prefixes: (..., V) log-probabilities -> (...).

    Summed over steps and averaged over rollouts of the policy this is an unbiased estimate of KL(policy || prior) per
    sequence, with less variance than any estimate from the taken tokens alone.
    """
    return (log_policy.exp() * (log_policy - log_prior)).sum(-1)


def k1(logp: Tensor, prior_logp: Tensor) -> Tensor:
    """Log pi - log p of taken tokens: unbiased, high variance, may be negative (Schulman, 2020)."""
    return logp - prior_logp


def k3(logp: Tensor, prior_logp: Tensor) -> Tensor:
    """p/pi - 1 - log(p/pi) of taken tokens: unbiased, never negative (Schulman, 2020)."""
    ratio = prior_logp - logp
    return ratio.expm1() - ratio


def best_of_n_kl(n: int) -> float:
    """The most that the best of n samples can be from their source: log n - (n-1)/n nats a sequence."""
    return math.log(n) - (n - 1) / n
