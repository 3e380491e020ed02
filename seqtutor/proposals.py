"""Data that the policy did not sample: variations of good items, and other spellings of the same item.

Both are lawful for objectives whose loss is zero at the optimum on every path, whoever wrote the sequence.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from seqtutor.domain import Domain
from seqtutor.errors import Undecodable, UserError
from seqtutor.model import SequenceModel
from seqtutor.pretraining import padded
from seqtutor.replay import Batch, Replay
from seqtutor.rollout import last_step, sequence_mask
from seqtutor.vocabulary import EOS

PARENTS = 2  # stored items that are offered to `Domain.vary` for each variation wanted


def variations(domain: Domain, replay: Replay, count: int, rng: np.random.Generator) -> Tensor:
    """At most `count` variations (N, T) of stored items, these drawn by the rank of their reward."""
    n = len(replay)
    if not count or not n:
        return torch.zeros(0, 1, dtype=torch.int64)
    best = replay.reward[:n].sum(-1).argsort(descending=True, stable=True).numpy()
    weight = 1 / (0.01 * n + np.arange(n))
    chosen = rng.choice(n, PARENTS * count, p=weight / weight.sum())
    rows = [domain.vocabulary.decode(replay.tokens[best[i]].tolist()) for i in chosen]
    parents = [text for row in rows if (text := _text(domain, row)) is not None]
    spelt = [ids for text in domain.vary(parents, rng) if (ids := _ids(domain, domain.encode(text)))]
    return padded(spelt[:count]) if spelt else torch.zeros(0, 1, dtype=torch.int64)


def rewritten(domain: Domain, prior: SequenceModel, batch: Batch, share: float, rng: np.random.Generator) -> Batch:
    """`batch` with `share` of its sequences in another spelling of the same item, which earns the same."""
    if not share:
        return batch
    rows = [ids[:end] for ids, end in zip(batch.tokens.tolist(), batch.mask.sum(-1).tolist(), strict=True)]
    for i in np.flatnonzero(rng.random(len(rows)) < share):
        text = _text(domain, domain.vocabulary.decode(rows[i]))
        rows[i] = (_ids(domain, domain.rewrite(text, rng)) if text is not None else None) or rows[i]
    tokens = padded(rows).to(batch.tokens.device)
    mask = sequence_mask(tokens)
    reward = batch.reward.sum(-1, keepdim=True) * last_step(mask)
    return Batch(prior_rows(prior, tokens), tokens, reward, mask, batch.slots)


@torch.no_grad()
def prior_rows(prior: SequenceModel, tokens: Tensor) -> Tensor:
    """Log p (B, T, V) of every next token along `tokens` (B, T); 0 after the end."""
    rows: Tensor = prior(tokens) * sequence_mask(tokens)[..., None]
    return rows


def _text(domain: Domain, tokens: Sequence[str]) -> str | None:
    try:
        return domain.decode(tokens)
    except Undecodable:
        return None


def _ids(domain: Domain, tokens: Sequence[str]) -> list[int] | None:
    """The ids of an item with its EOS; None where it does not fit the model."""
    try:
        ids = domain.vocabulary.encode(tokens) + ([] if domain.fixed_length else [EOS])
    except UserError:
        return None
    fits = len(ids) == domain.max_length if domain.fixed_length else len(ids) <= domain.max_length
    return ids if fits else None
