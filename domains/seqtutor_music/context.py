"""What each step of a melody stands in, which the rules and measures read: ids (B, T) in, arrays (B, T) out.

The pitch before, whether a note sounds, how many pitches the last steps hold and whether they stood before, which leaps
are open, how far a melody goes with itself. Padding is nothing and gives nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqtutor import PAD
from seqtutor_music.events import FIRST_PITCH, MIDI_OFFSET, OFF, VOCABULARY, Ids

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]

MOTIF_STEPS = 8
LEAP = 7  # semitones
HALF_BAR = 8
LAGS = (1, 2, 3)


def pitched(ids: Ids) -> Flags:
    """Where a pitch is struck."""
    return ids >= FIRST_PITCH


def pitch_class(ids: Ids) -> Ids:
    """(B, T): 0 for C to 11 for B; of events that are no pitches, nothing that means anything."""
    return (ids + MIDI_OFFSET) % 12


def lengths(ids: Ids) -> Ids:
    """(B,): the number of events."""
    return np.asarray((ids >= OFF).sum(axis=1), dtype=np.int64)


def last_before(where: Flags) -> Ids:
    """(B, T): the latest step before this one at which `where` holds; -1 where there is none."""
    steps = np.where(where, np.arange(where.shape[1]), -1)
    latest = np.full(where.shape, -1, dtype=np.int64)
    np.maximum.accumulate(steps[:, :-1], axis=1, out=latest[:, 1:])
    return latest


def pitch_before(ids: Ids) -> Ids:
    """(B, T): the id of the pitch struck last before this step; 0 where there is none."""
    last = last_before(pitched(ids))
    return np.where(last >= 0, np.take_along_axis(ids, np.maximum(last, 0), axis=1), 0)


def sounds_before(ids: Ids) -> Flags:
    """(B, T): whether a note sounds as this step begins."""
    return last_before(pitched(ids)) > last_before(ids == OFF)


def distinct_pitches(ids: Ids) -> Ids:
    """(B, T): how many different pitches the last 8 events hold; 0 before the eighth and in padding."""
    bits = np.where(pitched(ids), 1 << np.maximum(ids - FIRST_PITCH, 0), 0)
    n = np.zeros(ids.shape, dtype=np.int64)
    if ids.shape[1] >= MOTIF_STEPS:
        windows = np.lib.stride_tricks.sliding_window_view(bits, MOTIF_STEPS, axis=1)
        n[:, MOTIF_STEPS - 1 :] = np.bitwise_count(np.bitwise_or.reduce(windows, axis=2))
    return n * (ids >= OFF)


def stood_before(ids: Ids) -> Flags:
    """(B, T): whether the last 8 events also stand earlier without overlap."""
    found = np.zeros(ids.shape, dtype=bool)
    count = ids.shape[1] - MOTIF_STEPS + 1
    codes = np.zeros((len(ids), max(count, 0)), dtype=np.int64)
    for i in range(MOTIF_STEPS):  # six bits an event: a number for each 8 events
        codes |= ids[:, i : i + codes.shape[1]] << 6 * i
    for lag in range(MOTIF_STEPS, count):
        found[:, MOTIF_STEPS - 1 + lag :] |= codes[:, lag:] == codes[:, :-lag]
    return found


def coefficients(ids: Ids) -> Values:
    """(3, B, T): autocorrelation at lags 1, 2, 3 of the events up to each step; 0 where they are all the same.

    As in the paper, events are numbers: off 0, hold 1, then the pitches; of all prefixes at once, by running sums.
    """
    x = np.where(ids == PAD, 0, ids - OFF).astype(np.float64)  # (B, T)
    n = np.arange(1, ids.shape[1] + 1)
    total, squares = x.cumsum(axis=1), (x * x).cumsum(axis=1)
    spread = n * squares - total**2  # n^2 times the variance, exact in integers
    out = np.zeros((len(LAGS), *ids.shape))
    for row, lag in enumerate(LAGS):
        late, early = (x[:, lag:].cumsum(axis=1), total[:, :-lag])
        products = (x[:, lag:] * x[:, :-lag]).cumsum(axis=1)
        t, m = total[:, lag:], n[lag:]
        shared = m * products - t * (late + early) + (m - lag) * t * t / m
        np.divide(shared, spread[:, lag:], out=out[row, :, lag:], where=spread[:, lag:] > 0)
    return np.where(ids >= OFF, out, 0.0)


class Leaps(NamedTuple):
    """(B, T) flags, of leaps of a fifth or more: what resolves one, and second ones in the same direction."""

    resolved: Flags
    doubled: Flags


def leaps(ids: Ids) -> Leaps:
    """Where leaps are resolved and doubled."""
    resolved, doubled = (np.zeros(ids.shape, dtype=bool) for _ in range(2))
    before, origin, direction, latest = (np.zeros(len(ids), dtype=np.int64) for _ in range(4))
    for step, event in enumerate(ids.T.copy()):  # (B,)
        struck = event >= FIRST_PITCH
        move = np.where(struck & (before > 0), event - before, 0)
        leaping, awaited = np.abs(move) >= LEAP, direction != 0
        back = leaping & awaited & (np.sign(move) == -direction)
        returned = struck & ~leaping & awaited & (direction * (event - origin) <= 0)
        doubled[:, step] = leaping & awaited & ~back
        resolved[:, step] = returned | back & (step - latest >= HALF_BAR)
        fresh = leaping & ~awaited
        direction = np.where(fresh, np.sign(move), np.where(returned | back, 0, direction))
        origin = np.where(fresh, before, origin)
        latest = np.where(leaping, step, latest)
        before = np.where(struck, event, before)
    return Leaps(resolved, doubled)


def highest_is_unique(ids: Ids) -> Flags:
    """(B, T): whether the highest pitch so far was struck once."""
    return _peak_is_unique(np.where(pitched(ids), ids, 0))


def lowest_is_unique(ids: Ids) -> Flags:
    """(B, T): whether the lowest pitch so far was struck once."""
    return _peak_is_unique(np.where(pitched(ids), len(VOCABULARY) - ids, 0))


def _peak_is_unique(heights: Ids) -> Flags:
    """(B, T): whether the greatest of the heights so far occurred once; 0 is no height."""
    peak = np.maximum.accumulate(heights, axis=1)
    higher = np.diff(peak, axis=1, prepend=0) > 0
    strikes = (heights > 0) & (heights == peak)
    last = np.maximum.accumulate(np.where(strikes, np.arange(heights.shape[1]), -1), axis=1)
    return np.asarray((last >= 0) & np.take_along_axis(higher, np.maximum(last, 0), axis=1))
