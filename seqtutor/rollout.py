"""Sampling: a policy writes sequences; a Rollout records a batch of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
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
) -> Tensor:
    """N sequences -> tokens (n, T).

    `temperature`: of the softmax (1: the policy itself). `primer`: (P,) ids every sequence begins with.
    """
    tokens = torch.full((n, max_length), PAD, dtype=torch.int64, device=next(policy.parameters()).device)
    length = 0
    for active, last, _ in _steps(policy, n, max_length, generator, temperature, primer):
        tokens[active, length] = last
        length += 1
    return tokens[:, :length]


def _steps(
    policy: Model, n: int, max_length: int, generator: torch.Generator, temperature: float, primer: Tensor | None
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Step by step: the sequences that go on (b,), their next tokens (b,), the policy's log-probabilities (b, V).

    Sequences that have ended leave the batch, so that no step is spent on padding.
    """
    device = next(policy.parameters()).device
    step, state, last = policy.stepper(), policy.start(n), torch.full((n,), BOS, device=device)
    active = torch.arange(n, device=device)
    for t in range(max_length):
        logp, state = step(last, state)
        if primer is not None and t < len(primer):
            last = primer[t].expand(len(active)).contiguous()
        else:
            last = _draw(logp if temperature == 1.0 else (logp / temperature).log_softmax(-1), generator)
        yield active, last, logp
        going = last != EOS
        if not going.all():
            active, last = active[going], last[going]
            state = tuple(part[going] for part in state)
        if not len(active):
            return


def _draw(logp: Tensor, generator: torch.Generator) -> Tensor:
    """One token a row of `logp` (B, V), by inverting the cumulative distribution: one uniform a sequence."""
    cumulative = logp.exp().cumsum(-1)
    u = torch.rand(len(logp), 1, generator=generator).to(logp.device) * cumulative[:, -1:]
    return torch.searchsorted(cumulative, u, right=True)[:, 0].clamp(max=logp.shape[-1] - 1)


@torch.no_grad()
def sample(policy: Model, prior: Model, n: int, max_length: int, generator: torch.Generator) -> Rollout:
    """N sequences of at most `max_length` tokens from `policy`, beside what `prior` thinks of them."""
    device = next(policy.parameters()).device
    tokens = torch.full((n, max_length), PAD, dtype=torch.int64, device=device)
    log_policy = torch.zeros(n, max_length, len(policy.vocabulary), device=device)
    length = 0
    for active, last, logp in _steps(policy, n, max_length, generator, 1.0, None):
        tokens[active, length], log_policy[active, length] = last, logp
        length += 1
    tokens, log_policy = tokens[:, :length], log_policy[:, :length]
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
