"""Data that the policy did not sample: variations of good items, and other spellings of the same item.

Both are lawful for objectives whose loss is zero at the optimum on every path, whoever wrote the sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from seqtutor.domain import Domain
from seqtutor.errors import UserError
from seqtutor.priors.encoding import fits, padded, with_end
from seqtutor.priors.model import Model
from seqtutor.priors.sampling import array_of, logp_of, sequence_mask
from seqtutor.records.replay import Batch, Replay, level
from seqtutor.rewards import filters
from seqtutor.rewards.scorer import Scorer
from seqtutor.training.screening import promising

PARENTS = 2  # stored items that are offered to `Domain.vary` for each variation wanted, where nothing is screened


def variations(
    scorer: Scorer, prior: Model, replay: Replay, count: int, rng: np.random.Generator, tried: int = 1, c: float = 1.0
) -> Tensor:
    """At most `count` variations (N, T), new to the run, of stored items that are drawn by the rank of their reward.

    `tried`: so many are made for each one that is wanted, and those are taken that promise most at temperature `c`.
    """
    n, domain = len(replay), scorer.domain
    if not count or not n:
        return torch.zeros(0, 1, dtype=torch.int64)
    best = replay.earned[:n].argsort(descending=True, stable=True).cpu().numpy()
    weight = 1 / (level(n) + np.arange(n))
    chosen = rng.choice(n, count * max(PARENTS, tried), p=weight / weight.sum())
    rows = [replay.tokens[best[i]].cpu().numpy() for i in chosen if replay.valid[best[i]]]
    parents = [text for row in rows if (text := scorer.text(row)) is not None]
    new = [text for text in domain.vary(parents, rng) if text not in scorer.seen]
    refused = filters.refused(scorer.answers, scorer.reward, new)
    new = [text for text in new if text not in refused]
    spelt = {text: ids for text in new if (ids := _ids(domain, domain.encode(text)))}
    texts = list(spelt)
    if tried > 1 and texts:
        tokens = torch.from_numpy(padded(list(spelt.values()))).to(prior.device)
        texts = promising(scorer, texts, tokens.cpu().numpy(), array_of(logp_of(prior, tokens).sum(-1)), c, rng)
    wanted = [spelt[text] for text in texts[:count]]
    return torch.from_numpy(padded(wanted)) if wanted else torch.zeros(0, 1, dtype=torch.int64)


def rewritten(scorer: Scorer, prior: Model, batch: Batch, share: float, rng: np.random.Generator) -> Batch:
    """`batch` with `share` of its sequences in another spelling of the same item.

    What is no item, or was cut at the length, keeps the only spelling that it has. Sequence-level values belong to the
    item and move along; token-level ones belong to the spelling and are computed anew.
    """
    rows = [ids[:end] for ids, end in zip(batch.tokens.tolist(), sequence_mask(batch.tokens).sum(-1), strict=True)]
    texts = [scorer.text(np.array(row)) if valid else None for row, valid in zip(rows, batch.valid, strict=True)]
    for i in np.flatnonzero(rng.random(len(rows)) < share):
        if (text := texts[i]) is not None:
            rows[i] = _ids(scorer.domain, scorer.domain.rewrite(text, rng)) or rows[i]
    spelt = padded(rows)
    terms = torch.from_numpy(scorer.respelt(spelt, batch.terms.sum(1).cpu().numpy()))
    tokens = torch.from_numpy(spelt).to(batch.tokens.device)
    return replace(
        batch,
        tokens=tokens,
        mask=sequence_mask(tokens),
        prior_logp=logp_of(prior, tokens),
        terms=terms.to(tokens.device),
    )


def _ids(domain: Domain, tokens: Sequence[str]) -> list[int] | None:
    """The ids of an item with its EOS; None where it does not fit the model."""
    try:
        ids = with_end(domain, tokens)
    except UserError:
        return None
    return ids if fits(domain, len(ids)) else None
