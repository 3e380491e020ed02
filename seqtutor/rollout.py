"""Sampling: a policy writes sequences; a Rollout records a batch of them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from seqtutor.divergence import exact_kl
from seqtutor.model import Model
from seqtutor.vocabulary import BOS, EOS, PAD


@dataclass(frozen=True)
class Rollout:
    """A batch of B sampled sequences of up to T tokens. Filtered only whole: `rollout.select(keep)`."""

    tokens: Tensor  # (B, T) int64: without BOS, with EOS, then PAD
    mask: Tensor  # (B, T) bool: True up to and including EOS
    logp: Tensor  # (B, T) nats, of the token taken, under the policy that sampled it; 0 where masked
    log_prior: Tensor  # (B, T, V) nats, of every token, under the prior; 0 where masked
    kl: Tensor  # (B, T) nats, KL(policy || prior) of each step's whole distribution; 0 where masked
    truncated: Tensor  # (B,) bool: reached max_length without EOS, in a domain whose items end

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def prior_logp(self) -> Tensor:
        """(B, T) nats, of the token taken, under the prior; 0 where masked."""
        return self.log_prior.gather(-1, self.tokens[..., None])[..., 0]

    def select(self, keep: Tensor) -> Rollout:
        """The sequences that `keep` ((B,) bool, or indices) names."""
        return Rollout(**{f.name: getattr(self, f.name)[keep] for f in dataclasses.fields(self)})


@torch.no_grad()
def sample_tokens(
    policy: Model,
    n: int,
    max_length: int,
    generator: torch.Generator,
    *,
    temperature: float = 1.0,
    primer: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """N sequences -> tokens (n, T) and log-probabilities (n, T, V) of every token at every step; 0 after the end.

    Sequences that have ended leave the batch, so that no step is spent on padding. `temperature`: of the softmax
    (1: the policy itself); the log-probabilities returned are the policy's own. `primer`: (P,) ids every sequence
    begins with.
    """
    device = next(policy.parameters()).device
    tokens = torch.full((n, max_length), PAD, dtype=torch.int64, device=device)
    rows = torch.zeros(n, max_length, len(policy.vocabulary), device=device)
    state, last = policy.start(n), torch.full((n,), BOS, device=device)
    active = torch.arange(n, device=device)
    for t in range(max_length):
        logp, state = policy.step(last, state)
        if primer is not None and t < len(primer):
            last = primer[t].expand(len(active)).contiguous()
        else:
            last = _draw(logp / temperature, generator)
        tokens[active, t], rows[active, t] = last, logp
        going = last != EOS
        if not going.all():
            active, last = active[going], last[going]
            state = tuple(part[:, going] for part in state)
        if not len(active):
            return tokens[:, : t + 1], rows[:, : t + 1]
    return tokens, rows


def _draw(logits: Tensor, generator: torch.Generator) -> Tensor:
    """One token a row of `logits` (B, V), by inverting the cumulative distribution: one uniform a sequence."""
    cumulative = logits.softmax(-1).cumsum(-1)
    u = torch.rand(len(logits), 1, generator=generator).to(logits.device) * cumulative[:, -1:]
    return torch.searchsorted(cumulative, u, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)


@torch.no_grad()
def sample(policy: Model, prior: Model, n: int, max_length: int, generator: torch.Generator) -> Rollout:
    """N sequences of at most `max_length` tokens from `policy`, beside what `prior` thinks of them."""
    tokens, log_policy = sample_tokens(policy, n, max_length, generator)
    mask = sequence_mask(tokens)
    log_prior = prior(tokens) * mask[..., None]
    return Rollout(
        tokens=tokens,
        mask=mask,
        logp=log_policy.gather(-1, tokens[..., None])[..., 0] * mask,
        log_prior=log_prior,
        kl=exact_kl(log_policy, log_prior) * mask,
        truncated=~(tokens == EOS).any(-1) & (not policy.fixed_length),
    )


def sequence_mask(tokens: Tensor) -> Tensor:
    """(B, T) -> (B, T) bool: True up to and including EOS."""
    return tokens != PAD


def last_step(mask: Tensor) -> Tensor:
    """(B, T) bool mask -> (B, T) bool: True at each sequence's last real step alone."""
    return mask & ~torch.nn.functional.pad(mask[:, 1:], (0, 1))
