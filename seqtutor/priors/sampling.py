"""Sampling: a policy writes sequences; a Rollout records a batch of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqtutor.domain import Domain
from seqtutor.hardware import check_memory
from seqtutor.priors.model import Model
from seqtutor.priors.script import Script, barring, chosen, script_of, within
from seqtutor.priors.stepping import Step
from seqtutor.vocabulary import BOS, EOS, PAD

CHUNK = 256  # sequences that are sampled, or read by the prior, together
READ = 64  # sequences that two models read together: of more the gates of every step take a hundred megabytes
AHEAD = 16  # steps between two looks at which sequences have ended, where looking means waiting for a device


@dataclass(frozen=True)
class Rollout:
    """A batch of B sampled sequences of up to T tokens."""

    tokens: Tensor  # (B, T) int64: without BOS, with EOS, then PAD
    mask: Tensor  # (B, T) bool: the steps that the policy chose: not the given ones, up to and including EOS
    logp: Tensor  # (B, T) nats, of the token taken, under the policy that sampled it; 0 where masked
    prior_logp: Tensor  # (B, T) nats, the same under the prior
    kl: Tensor  # (B, T) nats, KL(policy || prior) of each step's whole distribution; 0 where masked
    truncated: Tensor  # (B,) bool: reached max_length without EOS, in a domain whose items end

    def __len__(self) -> int:
        return len(self.tokens)


@torch.no_grad()
def sample(
    policy: Model,
    prior: Model,
    n: int,
    max_length: int,
    generator: torch.Generator,
    script: Script | None = None,
    narrow: AbstractContextManager[Any] | None = None,
) -> Rollout:
    """N sequences of at most `max_length` tokens from `policy`, beside what `prior` thinks of them.

    `script`: the steps that nobody chooses, and what may not be chosen at the others: both models are those given that.
    `narrow`: the autocast under which their bodies are computed; the policy so computed is the one that samples.
    """
    tokens = _blank(policy, n, max_length)
    log_policy = torch.zeros(n, max_length, len(policy.vocabulary), device=tokens.device)
    length = 0
    with narrow or nullcontext():
        step = policy.stepper()
    for active, last, logp in _steps(policy, step, n, max_length, generator, script=script):
        tokens[active, length], log_policy[active, length] = last, logp
        length += 1
    tokens, log_policy = tokens[:, :length], log_policy[:, :length]
    mask = chosen(script, tokens)
    prior_logp, kl = torch.zeros_like(log_policy[..., 0]), torch.zeros_like(log_policy[..., 0])
    for start in range(0, n, CHUNK):  # so that not all of the prior's rows are held at once
        rows = slice(start, start + CHUNK)
        with narrow or nullcontext():
            log_prior = within(prior(tokens[rows]), barring(script, tokens[rows]))
        prior_logp[rows] = log_prior.gather(-1, tokens[rows][..., None])[..., 0]
        kl[rows] = exact_kl(log_policy[rows], log_prior)
    return Rollout(
        tokens=tokens,
        mask=mask,
        logp=log_policy.gather(-1, tokens[..., None])[..., 0] * mask,
        prior_logp=prior_logp * mask,
        kl=kl * mask,
        truncated=~(tokens == EOS).any(-1) & (not policy.fixed_length),
    )


@torch.no_grad()
def sample_tokens(
    policy: Model,
    n: int,
    max_length: int,
    generator: torch.Generator,
    *,
    temperature: float = 1.0,
    script: Script | None = None,
) -> Tensor:
    """N sequences -> tokens (n, T).

    `temperature`: of the softmax (1: the policy itself). `script`: as of `sample`.
    """
    tokens, length = _blank(policy, n, max_length), 0
    for active, last, _ in _steps(policy, policy.stepper(), n, max_length, generator, temperature, script):
        tokens[active, length] = last
        length += 1
    return tokens[:, :length]


def draw(
    model: Model,
    domain: Domain,
    n: int,
    generator: torch.Generator,
    *,
    temperature: float = 1.0,
    script: Script | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """N sequences of `model` -> tokens (n, max_length) and truncated (n,), as a scorer takes them.

    `script`: None is the one of the domain, if it has any.
    """
    check_memory(f"{n:,} samples", 8.0 * n * domain.max_length)
    script = script or script_of(domain)
    tokens = np.zeros((n, domain.max_length), np.int64)
    for start in range(0, n, CHUNK):
        count = min(CHUNK, n - start)
        some = sample_tokens(model, count, domain.max_length, generator, temperature=temperature, script=script)
        tokens[start : start + count, : some.shape[1]] = some.cpu().numpy()
    return tokens, ~(tokens == EOS).any(-1) & (not domain.fixed_length)


def _blank(policy: Model, n: int, max_length: int) -> Tensor:
    return torch.full((n, max_length), PAD, dtype=torch.int64, device=policy.device)


def _steps(
    policy: Model,
    step: Step,
    n: int,
    max_length: int,
    generator: torch.Generator,
    temperature: float = 1.0,
    script: Script | None = None,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Step by step: the sequences that go on (b,), their next tokens (b,), the policy's log-probabilities (b, V).

    Sequences that have ended leave the batch, so that no step is spent on padding: at once on a CPU, every AHEAD steps
    on a device that would have to be waited for; until then they write PAD.
    """
    device = policy.device
    places = () if script is None else script.start(n, device)
    every = looks(device)
    state, last = policy.start(n, max_length), torch.full((n,), BOS, device=device)
    active = torch.arange(n, device=device)
    ended = torch.zeros(n, dtype=torch.bool, device=device)
    for t in range(max_length):
        logp, state = step(last, state)
        must = None if script is None else script.must(places)
        logp = within(logp, None if script is None else script.barred(places))
        if must is not None and (must != PAD).all():
            last = must
        else:
            last = _choose(logp if temperature == 1.0 else (logp / temperature).log_softmax(-1), generator)
        if script is not None and must is not None:
            last = torch.where(must == PAD, last, must)
            places = script.move(places, last)
        yield active, last.masked_fill(ended, PAD), logp
        ended = ended | (last == EOS)
        if (t + 1) % every == 0 and ended.any():
            going = ~ended
            active, last, ended = active[going], last[going], ended[going]
            state, places = tuple(part[going] for part in state), tuple(part[going] for part in places)
        if not len(active):
            return


def looks(device: torch.device) -> int:
    """After how many steps to look which sequences have ended."""
    return 1 if device.type == "cpu" else AHEAD


def _choose(logp: Tensor, generator: torch.Generator) -> Tensor:
    """One token a row of `logp` (B, V), by inverting the cumulative distribution: one uniform a sequence."""
    cumulative = logp.exp().cumsum(-1)
    u = torch.rand(len(logp), 1, generator=generator, device=generator.device).to(logp.device) * cumulative[:, -1:]
    return torch.searchsorted(cumulative, u, right=True)[:, 0].clamp(max=logp.shape[-1] - 1)


def exact_kl(log_policy: Tensor, log_prior: Tensor) -> Tensor:
    """KL(policy || prior) of each step's whole distribution along sampled prefixes: (..., V) nats -> (...) nats.

    Summed over steps and averaged over rollouts of the policy this is an unbiased estimate of KL(policy || prior) per
    sequence, with less variance than any estimate from the taken tokens alone.
    """
    return (log_policy.exp() * (log_policy - log_prior)).sum(-1)


@torch.no_grad()
def logp_of(model: Model, tokens: Tensor) -> Tensor:
    """Log-probability (N, T), nats, of every token of `tokens` (N, T), however many, under `model`; 0 after the end.

    Sequences of like length are read together, so that little padding is.
    """
    lengths, parts = sequence_mask(tokens).sum(-1), []
    order = lengths.argsort(stable=True)
    for rows in torch.split(order, READ):
        some = tokens[rows, : max([1, *lengths[rows].tolist()])]
        taken = model(some).gather(-1, some[..., None])[..., 0]
        parts.append(torch.nn.functional.pad(taken, (0, tokens.shape[1] - some.shape[1])))
    return torch.cat(parts)[order.argsort()] * sequence_mask(tokens)


@torch.no_grad()
def compared(
    policy: Model, prior: Model, tokens: Tensor, script: Script | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Of `tokens` (N, T), whoever wrote them: log pi and log p of each sequence, and its exact KL, nats, (N,) each.

    All three are of the steps that `script` leaves to a model, and of both models given what it bars there.
    Sequences of like length are read together, so that little padding is.
    """
    lengths, parts = sequence_mask(tokens).sum(-1), []
    order = lengths.argsort(stable=True)
    for start in range(0, len(tokens), READ):
        rows = order[start : start + READ]
        some = tokens[rows, : int(lengths[rows].max())]
        mask, barred = chosen(script, some), barring(script, some)
        log_policy, log_prior = within(policy(some), barred), within(prior(some), barred)
        taken = [part.gather(-1, some[..., None])[..., 0] for part in (log_policy, log_prior)]
        parts.append([(values * mask).sum(-1) for values in (*taken, exact_kl(log_policy, log_prior))])
    logp, prior_logp, kl = (torch.cat(columns)[order.argsort()] for columns in zip(*parts, strict=True))
    return logp, prior_logp, kl


def array_of(tensor: Tensor) -> NDArray[np.float64]:
    """A tensor of any device as float64."""
    return np.asarray(tensor.double().cpu().numpy())


def sequence_mask(tokens: Tensor) -> Tensor:
    """(B, T) -> (B, T) bool: True up to and including EOS."""
    return tokens != PAD


def last_step(mask: Tensor) -> Tensor:
    """(B, T) bool mask -> (B, T) bool: True at each sequence's last real step alone."""
    return mask & ~torch.nn.functional.pad(mask[:, 1:], (0, 1))
