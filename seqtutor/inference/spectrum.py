"""How much alike two texts are, by the runs of 1 to GRAMS tokens that both have: whatever the domain.

A spectrum kernel (Leslie, Eskin and Noble, PSB 2002): the sum of the smaller counts over the sum of the larger ones, as
chemists compare fingerprints (Ralaivola et al., Neural Networks 18 (2005) 1093).
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import numpy as np

from seqtutor.arrays import Values
from seqtutor.domain import Domain
from seqtutor.priors.encoding import padded

GRAMS = 4  # tokens of the longest run
WIDTH = 1024  # places that runs are hashed to
COUNTED = 4  # a run that comes more often counts as often as this


def spectra(domain: Domain, texts: Sequence[str]) -> Values:
    """Which runs of tokens a text has, (N, COUNTED * WIDTH): 1 where one comes at least once, twice, ..."""
    if not texts:
        return np.zeros((0, COUNTED * WIDTH), np.float32)
    tokens = padded([[1 + crc32(token.encode()) for token in domain.encode(text)] for text in texts]).astype(np.uint64)
    counts, runs = np.zeros((len(texts), WIDTH)), np.zeros_like(tokens)
    for n in range(min(GRAMS, tokens.shape[1])):
        last = tokens[:, n:]  # the last token of each run of n + 1
        runs = runs[:, : last.shape[1]] * np.uint64(0x100000001B3) + last
        row, place = np.nonzero(last)
        slot = (runs[row, place] * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(32)).astype(np.int64) % WIDTH
        counts += np.bincount(row * WIDTH + slot, minlength=counts.size).reshape(counts.shape)
    return np.concatenate([counts >= often for often in range(1, COUNTED + 1)], 1).astype(np.float32)


def alike(some: Values, others: Values) -> Values:
    """Of spectra (N, S) and (M, S) the share that each two have in common, (N, M).

    >>> alike(np.array([[1.0, 1.0, 0.0]]), np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])).round(2)
    array([[1.  , 0.33]])
    """
    both = some @ others.T
    return np.asarray(both / np.maximum(some.sum(1)[:, None] + others.sum(1) - both, 1.0))
