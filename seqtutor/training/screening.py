"""Which of many candidates are worth a call: those that the optimum, prior * exp(R/c), would weigh most.

R is foreseen by the scored items: the mean of a Gaussian process (Rasmussen and Williams 2006, equation 2.25) over
texts that are alike by their runs of tokens. So it needs nothing of a domain but these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from seqtutor.arrays import Ids, Values
from seqtutor.domain import TokenTerm
from seqtutor.inference.spectrum import alike, spectra
from seqtutor.rewards.scorer import Scorer
from seqtutor.vocabulary import PAD

NOISE = 0.02  # variance, of 1, that a text does not tell
BEST, OTHERS = 500, 500  # scored items that are learnt from: the work is the cube of their number
LEAST = 100  # scored items below which nothing is foreseen


def promising(
    scorer: Scorer, texts: Sequence[str], tokens: Ids, log_prior: Values, c: float, rng: np.random.Generator
) -> list[str]:
    """`texts` that nobody has scored, the most promising first; as they are while little is scored.

    A text promises what the optimum weighs it by: R/c + log p, with the R that is foreseen of the terms that are asked
    and what the others pay its tokens, times the share that a new member of its family is paid. So what the prior would
    never write must earn the more.

    `tokens`: (N, T). `log_prior`: log p of each text (N,), nats.
    """
    known, worth = scored(scorer)
    if len(known) < LEAST:
        return list(texts)
    order = np.argsort(-worth, kind="stable")
    chosen = np.concatenate([order[:BEST], rng.permutation(order[BEST:])[:OTHERS]])
    rows = spectra(scorer.domain, [known[i] for i in chosen])
    reward = foreseen(rows, worth[chosen], spectra(scorer.domain, texts)) + by_tokens(scorer, tokens)
    for i in np.flatnonzero((reward > 0) & (reward >= scorer.payment.least)).tolist():  # the others are no members
        reward[i] *= scorer.payment.left(scorer.domain, texts[i])
    return [texts[i] for i in np.argsort(-(reward / c + log_prior), kind="stable")]


def scored(scorer: Scorer) -> tuple[list[str], Values]:
    """The texts that were scored so far, in one order, and R of the terms that were asked of each, (N,)."""
    texts, terms = sorted(scorer.seen), scorer.oracles
    scorer.answers.recall(texts)
    values = scorer.answers.table([term.name for term in terms], texts)[:, None]
    reward, real = replace(scorer.reward, terms=terms), np.ones((len(texts), 1), bool)
    found = np.flatnonzero(reward.scored(values, real, real[:, 0]))
    return [texts[i] for i in found], reward(values, real, real[:, 0])[found, 0]


def by_tokens(scorer: Scorer, tokens: Ids) -> Values:
    """What the token-level terms pay sequences (N, T), exactly and for nothing: (N,); 0 in a geometric mean."""
    if scorer.geometric:  # what a factor of it adds depends on the others
        return np.zeros(len(tokens))
    own = [k for k, term in enumerate(scorer.terms) if isinstance(term, TokenTerm)]
    values = scorer.respelt(tokens, np.zeros((len(tokens), len(scorer.terms))))[..., own]
    reward = replace(scorer.reward, terms=[scorer.terms[k] for k in own])
    return np.asarray(reward(values, tokens != PAD, np.ones(len(tokens), bool)).sum(-1))


def foreseen(rows: Values, worth: Values, others: Values) -> Values:
    """What items with the spectra `others` (M, F) are worth, (M,), by those of `rows` (N, F) that are worth (N,).

    >>> rows = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    >>> foreseen(rows, np.array([1.0, 0.0]), np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])).round(2)
    array([0.99, 0.14])
    """
    covariance = alike(rows, rows) + NOISE * np.eye(len(rows))
    weights = np.linalg.solve(covariance, worth - worth.mean())
    return np.asarray(worth.mean() + alike(others, rows) @ weights)
