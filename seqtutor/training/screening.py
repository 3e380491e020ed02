"""Which of many candidates are worth a call: those that the optimum, prior * exp(R/c), would weigh most.

R is foreseen by the scored items: the mean of a Gaussian process (Rasmussen and Williams 2006, equation 2.25) over
texts. Two of them are alike by the runs of 1 to GRAMS tokens that both have (a spectrum kernel: Leslie, Eskin and
Noble, PSB 2002), the sum of the smaller counts over the sum of the larger ones, as chemists compare fingerprints
(Ralaivola et al., Neural Networks 18 (2005) 1093). So it needs nothing of a domain but its tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from zlib import crc32

import numpy as np

from seqtutor.arrays import Values
from seqtutor.domain import Domain
from seqtutor.priors.encoding import padded
from seqtutor.rewards.scorer import Scorer

GRAMS = 4  # tokens of the longest run
WIDTH = 1024  # places that runs are hashed to
COUNTED = 4  # a run that comes more often counts as often as this
NOISE = 0.02  # variance, of 1, that a text does not tell
BEST, OTHERS = 500, 500  # scored items that are learnt from: the work is the cube of their number
LEAST = 100  # scored items below which nothing is foreseen


def promising(scorer: Scorer, texts: Sequence[str], log_prior: Values, c: float, rng: np.random.Generator) -> list[str]:
    """`texts` that nobody has scored, the most promising first; as they are while little is scored.

    A text promises what the optimum weighs it by: R/c + log p, with the R that is foreseen of the terms that are asked,
    times the share that a new member of its family is paid. So what the prior would never write must earn the more.

    `log_prior`: log p of each text (N,), nats.
    """
    known, worth = scored(scorer)
    if len(known) < LEAST:
        return list(texts)
    order = np.argsort(-worth, kind="stable")
    chosen = np.concatenate([order[:BEST], rng.permutation(order[BEST:])[:OTHERS]])
    rows = spectra(scorer.domain, [known[i] for i in chosen])
    reward = foreseen(rows, worth[chosen], spectra(scorer.domain, texts))
    for i in np.flatnonzero(reward > 0).tolist():  # what costs, costs in any family
        reward[i] *= scorer.payment.left(scorer.domain, texts[i])
    return [texts[i] for i in np.argsort(-(reward / c + log_prior), kind="stable")]


def scored(scorer: Scorer) -> tuple[list[str], Values]:
    """The texts that were scored so far, in one order, and R of the terms that were asked of each, (N,)."""
    texts, terms = sorted(scorer.seen), scorer.oracles
    scorer.answers.recall(texts)
    known = [scorer.answers.known[term.name] for term in terms]
    values = np.array([[of.get(text, np.nan) for of in known] for text in texts]).reshape(len(texts), 1, len(terms))
    reward, real = replace(scorer.reward, terms=terms), np.ones((len(texts), 1), bool)
    found = np.flatnonzero(reward.scored(values, real, real[:, 0]))
    return [texts[i] for i in found], reward(values, real, real[:, 0])[found, 0]


def foreseen(rows: Values, worth: Values, others: Values) -> Values:
    """What items with the spectra `others` (M, F) are worth, (M,), by those of `rows` (N, F) that are worth (N,).

    >>> rows = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    >>> foreseen(rows, np.array([1.0, 0.0]), np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])).round(2)
    array([0.99, 0.14])
    """
    covariance = alike(rows, rows) + NOISE * np.eye(len(rows))
    weights = np.linalg.solve(covariance, worth - worth.mean())
    return np.asarray(worth.mean() + alike(others, rows) @ weights)


def alike(some: Values, others: Values) -> Values:
    """Of spectra (N, F) and (M, F) the share that each two have in common, (N, M)."""
    both = some @ others.T
    return np.asarray(both / np.maximum(some.sum(1)[:, None] + others.sum(1) - both, 1.0))


def spectra(domain: Domain, texts: Sequence[str]) -> Values:
    """Which runs of tokens a text has, (N, COUNTED * WIDTH): 1 where one comes at least once, twice, ..."""
    tokens = padded([[1 + crc32(token.encode()) for token in domain.encode(text)] for text in texts]).astype(np.uint64)
    counts, runs = np.zeros((len(texts), WIDTH)), np.zeros_like(tokens)
    for n in range(min(GRAMS, tokens.shape[1])):
        last = tokens[:, n:]  # the last token of each run of n + 1
        runs = runs[:, : last.shape[1]] * np.uint64(0x100000001B3) + last
        row, place = np.nonzero(last)
        slot = (runs[row, place] * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(32)).astype(np.int64) % WIDTH
        counts += np.bincount(row * WIDTH + slot, minlength=counts.size).reshape(counts.shape)
    return np.concatenate([counts >= often for often in range(1, COUNTED + 1)], 1).astype(np.float32)
