"""Which stretches of events stand elsewhere: melodies that copy the corpus, and tunes that are variants of others.

Tunes of one tradition share their phrases: one real phrase in three has 24 events in a row in common with another tune,
one in ten two whole bars (`benchmarks/quotes.py`). A copy is two bars, of which a prior that fits its books has 2 %.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seqtutor.priors.encoding import padded
from seqtutor_music.context import pitched
from seqtutor_music.events import OFF, Ids

Codes = NDArray[np.uint64]

LENGTH = 32  # events in a row that make a copy: two bars of 4/4; those of another metre are told by its `copy`
NOTES = 4  # that a stretch must strike to be anybody's
SCATTER = np.uint64(0x9E3779B97F4A7C15)  # odd, from the golden ratio: spreads ids over 64 bits
BITS = 40  # of a stretch's number: of 90,000 melodies of 4 bars one seems a copy and is none


def quoted(ids: Ids, known: Codes, length: int = LENGTH) -> NDArray[np.bool_]:
    """(N, T): whether the `length` events up to each of a melody (N, T) are among the `stretches` known, sorted.

    Stretches of fewer than 4 struck notes are nobody's and count for nothing.

    >>> tune = stretches(batch("C4 - D4 - E4 - F4 - G4 - A4 - G4 -"), length=8)
    >>> quoted(batch("C5 - - D4 - E4 - F4 - G4", "C4 - D4 - E4 - D4 - C4 -"), tune, length=8).any(axis=1)
    array([ True, False])
    """
    codes, ended = _windows(ids, length), np.append(known, ~np.uint64(0))  # so that there is always a next one
    found = np.zeros(ids.shape, dtype=bool)
    found[:, length - 1 :] = (ended[np.searchsorted(ended, codes)] == codes) & _substantial(ids, length)
    return found


def copied(ids: Ids, known: Codes, length: int = LENGTH) -> NDArray[np.bool_]:
    """(N,): whether a melody (N, T) quotes anything."""
    return np.asarray(quoted(ids, known, length).any(axis=1))


def stretches(ids: Ids, length: int = LENGTH) -> Codes:
    """A number for each different stretch of `length` events with enough notes, of tunes (N, T); sorted."""
    return np.unique(_windows(ids, length)[_substantial(ids, length)])


def variants(tunes: Sequence[Sequence[int]], share: float = 0.25, length: int = LENGTH) -> list[bool]:
    """Whether more than a `share` of a tune's stretches stand in tunes before it that are no variants themselves.

    A stretch is three quarters of the `length` of a copy.
    """
    ids = padded(tunes)
    shared = length * 3 // 4
    codes, counts = _windows(ids, shared), _substantial(ids, shared)
    seen: set[int] = set()
    out: list[bool] = []
    for row, wanted in zip(codes, counts, strict=True):
        own = row[wanted].tolist()
        out.append(sum(code in seen for code in own) > share * len(own))
        if not out[-1]:
            seen.update(own)
    return out


def _windows(ids: Ids, length: int) -> Codes:
    """(N, T - length + 1): a number for each stretch of `length` events, the same for the same events."""
    count = max(ids.shape[1] - length + 1, 0)
    codes = np.zeros((len(ids), count), dtype=np.uint64)
    for i in range(length):  # wraps around at 64 bits, which is meant
        codes = (codes + ids[:, i : i + count].astype(np.uint64) + np.uint64(1)) * SCATTER
        codes ^= codes >> np.uint64(29)
    return codes >> np.uint64(64 - BITS)


def _substantial(ids: Ids, length: int) -> NDArray[np.bool_]:
    """(N, T - length + 1): whether a stretch lies within the melody and strikes enough notes."""
    if ids.shape[1] < length:
        return np.zeros((len(ids), 0), dtype=bool)
    strikes: Ids = np.lib.stride_tricks.sliding_window_view(pitched(ids), length, axis=1).sum(axis=2)
    return (strikes >= NOTES) & (ids[:, length - 1 :] >= OFF)
