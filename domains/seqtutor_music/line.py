"""Rules of pitch: which notes, how they follow each other, how far the line goes.

All of them are said of the prefix that ends at a step, and pay where it happens. Limits are such that at least four in
five real phrases are charged nothing by a rule.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seqtutor_music.context import LEAP, Values, coefficients, highest_is_unique, lowest_is_unique, pitch_class, pitched
from seqtutor_music.events import VOCABULARY, Ids
from seqtutor_music.grid import count, moved, moves, onset, outside, paid, share
from seqtutor_music.keys import BOTH, chord
from seqtutor_music.metre import COMMON, Metre

LINE = 8  # notes that a line has before anything is said of it as a whole
FOURTH, TWELFTH = 5, 19  # semitones


def steps(ids: Ids, metre: Metre = COMMON) -> Values:
    """Charges a line of which under 25 % or over 66 % (72 % in 6/8 and 3/4) of the moves are steps.

    >>> steps(batch("C4 D4 E4 G4 G4 F4 E4 C4", "C4 G4 E4 C5 G4 E4 G4 C4 G4 C5 E4 G4")).sum(axis=1).round(1) + 0.0
    array([ 0. , -2.7])
    """
    semitones = np.abs(moves(ids))
    stepwise = share((semitones == 1) | (semitones == 2), moved(ids), usual=0.5)
    return paid(ids, outside(stepwise, *metre.limits.steps, 0.05))


def awkward(ids: Ids) -> Values:
    """-1 for a move that is hard to sing: a tritone, a seventh, or more than an octave.

    >>> awkward(batch("C4 F4 B4 C5 D4 G4 A5 E5"))
    array([[ 0.,  0., -1.,  0., -1.,  0., -1.,  0.]])
    """
    semitones = np.abs(moves(ids))
    return np.where(np.isin(semitones, (6, 10, 11)) | (semitones > 12), -1.0, 0.0)


def recovery(ids: Ids) -> Values:
    """+3 for a leap of a fifth or more once the line has turned and filled half of it, twice; +1 for every later one.

    The third leap and each after it costs 1. A second leap before the first is filled leaves that as it is: leaping to
    and fro recovers nothing.

    >>> recovery(batch("C4 G4 - F4 E4 D4 C4"))
    array([[0., 0., 0., 0., 0., 3., 0.]])
    >>> float(recovery(batch("C4 G4 D5 - - G4 C4")).sum())
    -2.0
    """
    move = moves(ids)
    filled, leapt = (np.zeros(ids.shape, dtype=bool) for _ in range(2))
    half = np.zeros(len(ids))
    direction = np.zeros(len(ids), dtype=np.int64)
    for step in range(ids.shape[1]):
        leapt[:, step] = leaps = np.abs(move[:, step]) >= LEAP
        turned = direction * (ids[:, step] - half) <= 0
        filled[:, step] = fills = pitched(ids[:, step]) & ~leaps & (direction != 0) & turned
        half = np.where(leaps, ids[:, step] - move[:, step] / 2, half)
        direction = np.where(leaps, np.sign(move[:, step]), np.where(fills, 0, direction))
    return paid(ids, count(filled) + 2.0 * np.minimum(count(filled), 2.0) - np.maximum(count(leapt) - 2.0, 0.0))


def compass(ids: Ids) -> Values:
    """Charges each note by how far over an octave and a fifth it is from another; and eight that stay within a fourth.

    >>> compass(batch("C4 D4 C4 D4 C4 D4 C4 D4", "E4 E4 F4 G4 G4 F4 E4 C4")).sum(axis=1)
    array([-1.125,  0.   ])
    >>> compass(batch("C3 A4 C4 C5 E3"))
    array([[ 0.  , -0.5 ,  0.  , -1.25, -0.25]])
    """
    lowest, highest = _extremes(ids)
    far = np.maximum(np.maximum(ids - lowest, highest - ids) - TWELFTH, 0)
    narrow = outside((highest - lowest).astype(np.float64), FOURTH, np.inf, 2.0)
    return paid(ids, np.where(count(pitched(ids)) >= LINE, narrow, 0.0)) - np.where(pitched(ids), far / 4.0, 0.0)


def _extremes(ids: Ids) -> tuple[Ids, Ids]:
    """(B, T) twice: the ids of the lowest and of the highest pitch so far; the same where there is none."""
    highest = np.maximum.accumulate(np.where(pitched(ids), ids, 0), axis=1)
    lowest = np.minimum.accumulate(np.where(pitched(ids), ids, len(VOCABULARY)), axis=1)
    return np.asarray(np.minimum(lowest, highest)), highest


def triads(ids: Ids, tonics: Sequence[int] = BOTH) -> Values:
    """Charges a line of which over 68 % of the notes are of the tonic chord, C, E or G, or under 36 %.

    >>> triads(batch("C4 E4 G4 E4 C4 E4 G4 C5", "C4 D4 E4 F4 G4 F4 E4 D4")).sum(axis=1).round(2)
    array([-6.01,  0.  ])
    """
    within = np.isin(pitch_class(ids), chord(tonics))
    return paid(ids, outside(share(within, pitched(ids), usual=0.56), 0.36, 0.68, 0.05))


def to_and_fro(ids: Ids, metre: Metre = COMMON) -> Values:
    """Charges pitches that correlate with those one, two or three notes before, more or less than most real tunes' do.

    Only the pitches count: in another octave, key or rhythm it is the same.

    >>> alberti, joy = "C4 G4 E4 G4 " * 3, "E4 E4 F4 G4 G4 F4 E4 D4 C4 C4 D4 E4"
    >>> to_and_fro(batch(alberti, joy)).sum(axis=1).round(1) + 0.0
    array([-13.4,   0. ])
    """
    r = pitch_correlation(ids)
    usual = metre.limits.correlation
    charged = sum((outside(one, *limits, 0.15) for one, limits in zip(r, usual, strict=True)), np.zeros(ids.shape))
    return paid(ids, np.where(count(pitched(ids)) >= LINE, charged, 0.0))


def pitch_correlation(ids: Ids) -> Values:
    """(3, B, T): autocorrelation of the pitches struck so far, one, two and three notes apart.

    >>> pitch_correlation(batch("C4 - E4 - C4 E4"))[:, 0, -1]
    array([-0.75,  0.5 , -0.25])
    """
    struck = pitched(ids)
    order = np.argsort(~struck, axis=1, kind="stable")
    notes = np.where(np.take_along_axis(struck, order, axis=1), np.take_along_axis(ids, order, axis=1), 0)
    latest = np.maximum(count(struck).astype(np.int64) - 1, 0)
    r = coefficients(notes)  # of events as numbers, all of which are pitches here
    return np.take_along_axis(r, latest[None], axis=2) * (onset(ids) >= 0)


def monotony(ids: Ids) -> Values:
    """-1 for each stroke of one pitch after the fourth in a row.

    >>> monotony(batch("E4 E4 E4 - E4 E4 E4 - E4 G4 C4"))
    array([[ 0.,  0.,  0.,  0.,  0., -1., -1.,  0., -1.,  0.,  0.]])
    """
    struck = pitched(ids)
    fresh = struck & (~moved(ids) | (moves(ids) != 0))
    strokes = count(struck)
    in_a_row = strokes - np.maximum.accumulate(np.where(fresh, strokes - 1, 0), axis=1)
    return np.where(struck & (in_a_row > 4), -1.0, 0.0)


def climax(ids: Ids) -> Values:
    """In all +1 for a highest note that is struck once, and +1 for a lowest, where there is a line to crown.

    A line has eight notes and spans a fourth.

    >>> climax(batch("C4 D4 E4 F4 A4 G4 E4 D4 C4", "C4 D4 E4 F4 A4 G4 E4 A4 C4", "C4 - - - - -")).sum(axis=1)
    array([1., 0., 0.])
    """
    unique = 1.0 * highest_is_unique(ids) + 1.0 * lowest_is_unique(ids)
    bottom, top = _extremes(ids)
    return paid(ids, np.where((count(pitched(ids)) >= LINE) & (top - bottom >= FOURTH), unique, 0.0))
