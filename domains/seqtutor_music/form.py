"""Rules of form: how a melody opens, asks, answers and ends, and what comes back in it.

All of them are said of the prefix that ends at a step. Those about the end pay in the last bar what an end there and
then would be worth, and take it back when another note follows: what a prefix is worth can be foreseen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seqtutor_music.context import Flags, Values, lengths, pitch_class, pitched
from seqtutor_music.events import FIRST_PITCH, Ids
from seqtutor_music.grid import (
    at_ends,
    canonical,
    cells,
    count,
    events,
    latest,
    moved,
    moves,
    on_tonic,
    onset,
    paid,
    scale_steps,
    sounding_length,
)
from seqtutor_music.keys import BOTH, chord
from seqtutor_music.metre import COMMON, Metre

CELL_NOTES = 3  # of a motif, at the least


def opening(ids: Ids, tonics: Sequence[int] = BOTH) -> Values:
    """+1 for opening on a tonic, C or A, in any octave; +.5 on another note of the tonic chord, E or G.

    >>> opening(batch("C5 E4", "E4 C4", "D4 C4", "- C4")).sum(axis=1)
    array([1. , 0.5, 0. , 0. ])
    """
    name = pitch_class(ids)
    worth = np.where(np.isin(name, tonics), 1.0, 0.5 * np.isin(name, chord(tonics)))
    return np.where(pitched(ids) & (np.arange(ids.shape[1]) == 0), worth, 0.0)


def _in_last_bar(ids: Ids, metre: Metre) -> Flags:
    return events(ids) & (lengths(ids)[:, None] - np.arange(ids.shape[1]) <= metre.bar)


def cadence(ids: Ids, metre: Metre = COMMON, tonics: Sequence[int] = BOTH) -> Values:
    """+1 for ending on the tonic, in any octave, and +.5 if a step, or the fifth of the key, leads to it.

    The tonic is C, or A where A sounded longer than C before the last note; of another mode, its own.

    >>> cadence(batch("E4 D4 C4 -", "E4 G4 C5 -", "G4 E4 C4 -", "E4 C4 B3 -", "A4 - B4 A4")).sum(axis=1)
    array([1.5, 1.5, 1. , 0. , 1.5])
    """
    semitones, name = latest(ids, moves(ids)), pitch_class(latest(ids, ids))
    by_step = (semitones != 0) & (np.abs(semitones) <= 2)
    fifth = 7 if len(tonics) > 1 else (chord(tonics)[2] - tonics[0]) % 12  # of a mode its own, 6 in locrian
    from_fifth = (name - semitones) % 12 == (name + fifth) % 12
    worth = np.where(on_tonic(ids, tonics), 1.0 + 0.5 * (by_step | from_fifth), 0.0)
    return paid(ids, np.where(_in_last_bar(ids, metre), worth, 0.0))


def repose(ids: Ids, metre: Metre = COMMON) -> Values:
    """How the last note rests: +1 on beats 1 and 3, +.5 on 2 and 4, -1 on an odd sixteenth; up to +1 for a half note.

    In another metre: +1 on its strong beats, +.5 on the others; up to +1 where it lasts from one to the next.

    >>> ends = "C4 - - - - - - -", "C4 - . - - - - -", "E4 - - - C4 - - -", "E4 D4 C4 -", "E4 - - C4"
    >>> repose(batch(*ends)).sum(axis=1)
    array([ 2.   ,  1.25 ,  1.   ,  0.25 , -0.875])
    """
    at = onset(ids)
    place = np.select([at % metre.strong == 0, at % metre.beat == 0, at % 2 == 1], [1.0, 0.5, -1.0], 0.0)
    length = np.minimum(sounding_length(ids), metre.strong) / metre.strong
    return paid(ids, np.where(_in_last_bar(ids, metre) & (at >= 0), place + length, 0.0))


def question(ids: Ids, metre: Metre = COMMON, tonics: Sequence[int] = BOTH) -> Values:
    """+.5 for a first half that comes to rest, a quarter or longer from a beat on; +.5 more if not on the tonic.

    >>> bar = "C4 - - - D4 - - - E4 - - - F4 - - - "
    >>> open, closed, busy = "D4 - - - - - - - ", "C4 - - - - - - - ", "D4 - E4 - F4 - D4 - "
    >>> question(batch(*(bar + "E4 - - - D4 - - - " + end + bar + bar for end in (open, closed, busy)))).sum(axis=1)
    array([1. , 0.5, 0. ])
    """
    steps = np.arange(ids.shape[1])
    middle = _middle(ids, metre)
    asks = (steps >= middle - metre.bar) & (steps < middle)
    at = onset(ids)
    rest = (at >= 0) & (at % metre.beat == 0) & (np.minimum(middle - at, sounding_length(ids)) >= metre.beat)
    worth = np.where(asks & rest, 0.5 + 0.5 * ~on_tonic(ids, tonics), 0.0)
    return np.where(asks, paid(ids, worth), 0.0)


def _middle(ids: Ids, metre: Metre) -> Ids:
    """(B, 1): the step at which the second half begins, at a bar line; 0 of a melody of one bar."""
    return lengths(ids)[:, None] // metre.bar // 2 * metre.bar


def answer(ids: Ids, metre: Metre = COMMON) -> Values:
    """Up to +1 for five notes that begin the second half as they began the first, in rhythm and contour, at any pitch.

    Taken back where the second half is the first again, to its end: an answer ends otherwise.

    >>> a, b, c = "C4 - - - D4 - E4 - F4 - E4 - D4 - - - ", "G4 - - - G4 - - - G4 - - - - - - - ", "C4 - " * 8
    >>> higher = "D4 - - - E4 - F4 - G4 - F4 - E4 - - - "
    >>> answer(batch(a + b + a + c, a + b + higher + c, a + b + c + c, a + b + a + b)).sum(axis=1)
    array([1., 1., 0., 0.])
    """
    ids = canonical(ids)
    steps, middle = np.arange(ids.shape[1]), _middle(ids, metre)
    second = (steps >= middle) & (steps < 2 * middle)
    before = np.maximum(steps - middle, 0)  # the step of the first half that one of the second answers
    degree = latest(ids, scale_steps(ids))
    move = np.where(moved(ids), np.diff(degree, axis=1, prepend=0), 0)
    struck = pitched(ids)
    number = count(struck & second)
    same = np.take_along_axis(struck, before, axis=1) == struck
    same &= (np.take_along_axis(move, before, axis=1) == move) | (number <= 1)
    same = np.logical_and.accumulate(same | ~second, axis=1)
    notes = count(same & struck & second)
    again = np.logical_and.accumulate((np.take_along_axis(ids, before, axis=1) == ids) | ~second, axis=1)
    worth = np.clip(notes - 1.0, 0.0, 4.0) / 4.0
    return paid(ids, np.where(again & (steps >= 2 * middle - 1), 0.0, worth))


def _imitates(ids: Ids, steps: int) -> Flags:
    """(B, N): whether a cell is an earlier one at the same or another pitch, upright or inverted."""
    struck, degree = cells(pitched(ids), steps), cells(scale_steps(ids), steps)  # (B, N, steps)
    first = np.take_along_axis(degree, np.argmax(struck, axis=2)[:, :, None], axis=2)
    contour = np.where(struck, degree - first, 0)
    found = np.zeros(struck.shape[:2], dtype=bool)
    for lag in range(1, struck.shape[1]):
        rhythm = (struck[:, lag:] == struck[:, :-lag]).all(axis=2)
        late, early = contour[:, lag:], contour[:, :-lag]
        found[:, lag:] |= rhythm & ((late == early).all(axis=2) | (late == -early).all(axis=2))
    return np.asarray(found & (struck.sum(axis=2) >= CELL_NOTES) & contour.any(axis=2))


def imitation(ids: Ids, metre: Metre = COMMON) -> Values:
    """+1 for half a bar, or a second half, that imitates: a motif of three notes or more comes back; three at most.

    In the same rhythm and contour, at the same or another pitch (a sequence), upright or inverted. A bar imitates, too.

    >>> cell, higher, inverted = "C4 - D4 - E4 - - - ", "D4 - E4 - F4 - - - ", "E4 - D4 - C4 - - - "
    >>> imitation(batch(cell + higher, cell + inverted, cell + "C4 - E4 - C4 - - - ", 8 * cell)).sum(axis=1)
    array([1., 1., 0., 3.])
    """
    sizes = metre.strong, metre.bar
    found = sum((at_ends(_imitates(ids, size), size, ids.shape[1]) for size in sizes), np.zeros(ids.shape))
    return paid(ids, np.minimum(np.minimum(found, 1.0).cumsum(axis=1), 3.0))


def ideas(ids: Ids, metre: Metre = COMMON) -> Values:
    """-1 for each pitch that two bars lack to three (in 3/4 to two).

    >>> ideas(batch("C4" + " -" * 63, "C4 - - - C4 - - - G4 - - - G4 - - - A4" + " -" * 15)).sum(axis=1)
    array([-5.,  0.])
    """
    bits = cells(np.where(pitched(ids), 1 << np.maximum(ids - FIRST_PITCH, 0), 0), 2 * metre.bar)
    pitches = np.bitwise_count(np.bitwise_or.reduce(bits, axis=2))
    lacking = at_ends(np.maximum(metre.limits.pitches - pitches.astype(np.float64), 0.0), 2 * metre.bar, ids.shape[1])
    return paid(ids, -lacking.cumsum(axis=1))


def come_back(ids: Ids, metre: Metre = COMMON) -> Flags:
    """(B, N): whether a half bar is an earlier one, note for note."""
    found = cells(canonical(ids), metre.strong)
    again = np.zeros(found.shape[:2], dtype=bool)
    for lag in range(1, found.shape[1]):
        again[:, lag:] |= (found[:, lag:] == found[:, :-lag]).all(axis=2)
    return again


def takes_up(ids: Ids, metre: Metre = COMMON) -> Flags:
    """(B,): whether the second half begins with the first bar, note for note.

    >>> a, b = "C4 - - - D4 - E4 - F4 - E4 - D4 - - - ", "G4 - - - G4 - - - G4 - - - - - - - "
    >>> takes_up(batch(a + b + a + b, a + a + b + b, a))
    array([ True, False, False])
    """
    bars = cells(canonical(ids), metre.bar)
    places = np.arange(len(ids)), _middle(ids, metre)[:, 0] // metre.bar  # 0 of a melody of one bar
    return np.asarray((bars[places] == bars[:, 0]).all(axis=1) & (places[1] > 0))


def variety(ids: Ids, metre: Metre = COMMON) -> Values:
    """Charges half bars that are note for note earlier ones, where they are more than half of all: by their square.

    In 3/4 it is bars, and more than a quarter of all.

    >>> cell, other = "C4 - D4 - E4 - - - ", "G4 - - - F4 - - - "
    >>> variety(batch(8 * cell, 7 * cell + other, 4 * (cell + other), 2 * cell + 2 * other)).sum(axis=1)
    array([-9., -4., -4.,  0.])
    """
    repeated = at_ends(come_back(ids, metre), metre.strong, ids.shape[1]).cumsum(axis=1)
    return paid(ids, -(np.maximum(repeated - lengths(ids)[:, None] // metre.strong * metre.limits.repeated, 0.0) ** 2))
