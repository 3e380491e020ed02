"""The rules of the paper, each a pure function of ids: (B, T) int64 -> (B, T) float64, padding and all else ignored.

Jaques et al., "Sequence Tutor" (ICML 2017), after Gauldin's *Practical Approach to Eighteenth-Century Counterpoint*.
The magnitudes are those released with the paper (Magenta's RL Tuner), so that weight 1 is the paper. Where its code
does not do what its text says, a comment that starts with "Not as released" says what was wrong. All rules work in the
frame, C major or A minor, and so hold in every key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from seqtutor_music.context import (
    Values,
    coefficients,
    distinct_pitches,
    highest_is_unique,
    leaps,
    lengths,
    lowest_is_unique,
    pitch_before,
    pitch_class,
    pitched,
    sounds_before,
    stood_before,
)
from seqtutor_music.events import FIRST_PITCH, HOLD, OFF, VOCABULARY, Ids
from seqtutor_music.keys import BOTH, MAJOR

MIDDLE_C = VOCABULARY.encode(["C4"])[0]


def key(ids: Ids) -> Values:
    """-1 for every pitch outside the key.

    >>> key(batch("C4 - F#4 B4"))
    array([[ 0.,  0., -1.,  0.]])
    """
    return np.where(pitched(ids) & ~np.isin(pitch_class(ids), MAJOR), -1.0, 0.0)


def tonic(ids: Ids, tonics: Sequence[int] = BOTH) -> Values:
    """+3 for opening on middle C, for C again on the last beat, for holding it there, and for holding or ending it.

    In a mode, for its tonic above middle C.

    >>> tonic(batch("C4 E4 G4 - C4 - - ."))
    array([[3., 0., 0., 0., 3., 3., 3., 3.]])
    >>> tonic(batch("C5 E4 G4 - C4 D4 . -"))
    array([[0., 0., 0., 0., 3., 0., 3., 3.]])
    """
    left = lengths(ids)[:, None] - np.arange(ids.shape[1])  # (B, T) steps left, this one included
    opens = (np.arange(ids.shape[1]) == 0) | (left == 4)
    rests = (left == 3) & (ids == HOLD) | np.isin(left, (1, 2)) & ((ids == HOLD) | (ids == OFF))
    return np.where(opens & (ids == MIDDLE_C + tonics[0]) | rests, 3.0, 0.0)


def repeating(ids: Ids) -> Values:
    """-100 for a pitch struck more than 4 times in a row, and for a note-off where an off already made silence.

    It may be struck 6 times if it is held somewhere in between, or there is a rest; 8 times if there are both.
    Holding a note, however long, is no repetition.

    >>> repeating(batch("C4 C4 C4 C4 C4 D4"))
    array([[   0.,    0.,    0.,    0., -100.,    0.]])
    >>> repeating(batch("C4 - - - - - . - ."))
    array([[   0.,    0.,    0.,    0.,    0.,    0.,    0.,    0., -100.]])
    """
    # Not as released: there a long hold counts as repetition (it counts events equal to the last, holds included), the
    # limit of 8 is never reached, and a pitch is charged from its sixth stroke on, an off from the third.
    charged = np.zeros(ids.shape, dtype=bool)
    strikes = np.zeros(len(ids), dtype=np.int64)
    pitch = np.zeros(len(ids), dtype=np.int64)
    held, rested, silent = (np.zeros(len(ids), dtype=bool) for _ in range(3))
    for step, event in enumerate(ids.T.copy()):  # (B,)
        struck, off = event >= FIRST_PITCH, event == OFF
        again, new = struck & (event == pitch), struck & (event != pitch)
        strikes = np.where(new, 1, strikes + again)
        charged[:, step] = again & (strikes > 4 + 2 * held + 2 * rested) | off & silent
        pitch = np.where(struck, event, pitch)
        held = (held | (event == HOLD) & ~silent) & ~new
        rested = (rested | off) & ~new
        silent = (silent | off) & ~struck
    return np.where(charged, -100.0, 0.0)


def autocorrelation(ids: Ids) -> Values:
    """-3 |r| for each lag of 1, 2, 3 steps at which the melody so far correlates with itself by more than .15.

    Going back and forth costs ever more; of one pitch alone there is no correlation.

    >>> autocorrelation(batch("C4 D4 C4 D4 C4 D4", "C4 C4 C4 C4 C4 C4")).round(1)
    array([[ 0. , -1.5, -2.5, -4.5, -5.3, -6. ],
           [ 0. ,  0. ,  0. ,  0. ,  0. ,  0. ]])
    """
    r = np.abs(coefficients(ids))  # (3, B, T); coefficients of short melodies are often .15 but for rounding
    charged: Values = np.where(r > 0.15 + 1e-9, r, 0.0).sum(axis=0)
    return 0.0 - 3.0 * charged


def motif(ids: Ids) -> Values:
    """3 + .3 (n - 3) where the last 8 events hold n >= 3 different pitches.

    Chance alone earns this nearly everywhere: taken by itself it says little about a melody.

    >>> motif(batch("C4 - D4 - E4 - D4 - G4"))
    array([[0., 0., 0., 0., 0., 0., 0., 3., 3.]])
    >>> motif(batch("C4 - D4 - C4 - D4 -", "C4 - D4 E4 F4 - D4 -"))[:, -1]
    array([0. , 3.3])
    """
    n = distinct_pitches(ids)
    return np.where(n >= 3, 3.0 + 0.3 * (n - 3), 0.0)


def repeated_motif(ids: Ids) -> Values:
    """4 + (n - 3) where the last 8 events are such a motif and stood, event for event, earlier without overlap.

    >>> repeated_motif(batch("C4 - D4 - E4 - D4 -  C4 - D4 - E4 - D4 -"))[:, 14:]
    array([[0., 4.]])
    >>> repeated_motif(batch("C4 - D4 - E4 - D4 -  C4 - D4 - E4 - C4 -"))[:, 14:]
    array([[0., 0.]])
    """
    n = distinct_pitches(ids)
    return np.where((n >= 3) & stood_before(ids), 4.0 + (n - 3), 0.0)


# What a step earns, times 5, by the semitones from the pitch before; all others nothing. Larger than an octave: -1.
BY_SEMITONES = {2: 0.08, 4: 0.09, 5: 0.07, 7: 0.02, 9: 0.05, 11: -0.3}


def interval(ids: Ids, tonics: Sequence[int] = BOTH) -> Values:
    """5 times the worth of the interval from the pitch before: small steps and consonances earn, sevenths cost.

    Semitones 2: .08, 4: .09 (.15 in key), 5: .07, 7: .02 (.1 between C and G), 9: .05, 11: -.3, over 12: -1. A hold
    earns .075 (.3 on C or G), a note-off .05 (.15 after C or G). In a mode its tonic and fifth are what C and G are.

    >>> interval(batch("C4 E4 - G4 - C5 .")).round(3)
    array([[0.   , 0.75 , 0.375, 0.   , 1.5  , 0.35 , 0.75 ]])
    >>> interval(batch("C4 B4 C3 . - - ."))
    array([[ 0.  , -1.5 , -5.  ,  0.75,  0.  ,  0.  ,  0.  ]])
    """
    # Not as released: there a hold in silence earns what a held note earns, a third has its bonus whenever it leaves C
    # or E (up to G sharp, too) and a fifth whenever it leaves C or G.
    before, sounds = pitch_before(ids), sounds_before(ids)
    semitones = np.where(pitched(ids) & (before > 0), np.abs(ids - before), 0)
    worth = _TABLE[semitones]
    here, there = pitch_class(ids), pitch_class(before)
    worth[(semitones == 4) & np.isin(here, MAJOR) & np.isin(there, MAJOR)] = 0.15
    bare = tonics[0], (tonics[0] + 7) % 12
    stable = np.isin(there, bare)
    worth[(semitones == 7) & np.isin(here, bare) & stable] = 0.1
    worth = np.where((ids == HOLD) & sounds, np.where(stable, 0.3, 0.075), worth)
    return 5.0 * np.where((ids == OFF) & sounds, np.where(stable, 0.15, 0.05), worth)


_TABLE = np.array([BY_SEMITONES.get(s, -1.0 if s > 12 else 0.0) for s in range(len(VOCABULARY))])


def leap(ids: Ids) -> Values:
    """+5 for resolving a leap of a fifth or more, -5 for a second leap in the same direction.

    A leap is resolved gradually, once the melody is back at the pitch that it leapt from, or by a leap back half a bar
    (8 steps) later or more. An earlier leap back undoes it and earns nothing.

    >>> leap(batch("C4 G4 - F4 E4 D4 C4"))
    array([[0., 0., 0., 0., 0., 0., 5.]])
    >>> leap(batch("C4 G4 C4", "C4 G4 D5"))
    array([[ 0.,  0.,  0.],
           [ 0.,  0., -5.]])
    >>> leap(batch("C4 G4 - F4 - G4 - - - C4"))
    array([[0., 0., 0., 0., 0., 0., 0., 0., 0., 5.]])
    """
    found = leaps(ids)
    return 5.0 * found.resolved - 5.0 * found.doubled


def extrema(ids: Ids) -> Values:
    """In all +3 if the highest pitch is struck once, and +3 if the lowest is: paid when so, taken back when no longer.

    Not as released: there it is paid at the last step. The sum over a melody is the same, and so is what is optimal;
    but the note that strikes the peak again is the one that is charged.

    >>> extrema(batch("C4 - E4 D4 C4", "C4 - E4 E4 C4"))
    array([[ 6.,  0.,  0.,  0., -3.],
           [ 6.,  0.,  0., -3., -3.]])
    """
    unique = 3.0 * highest_is_unique(ids) + 3.0 * lowest_is_unique(ids)
    return np.diff(unique, axis=1, prepend=0.0)


SOURCE = "Jaques et al. 2017, Sequence Tutor, section 4.1; magnitudes as released (RL Tuner)"
RULES: tuple[tuple[Callable[[Ids], Values], str], ...] = (
    (key, "each pitch outside the key costs 1"),
    (tonic, "opening on the tonic and ending on it, held, earns 3 a step"),
    (repeating, "a pitch struck too often in a row, or a second note-off, costs 100"),
    (autocorrelation, "correlating with itself by more than .15 at 1, 2, 3 steps costs 3 times that, at every step"),
    (motif, "8 events with 3 or more different pitches earn 3 and more, at every step"),
    (repeated_motif, "a motif that stood before earns 4 and more, at every step"),
    (interval, "small steps, consonances and held notes earn up to 1.5; sevenths and leaps over an octave cost"),
    (leap, "resolving a leap of a fifth or more earns 5; a second one in the same direction costs 5"),
    (extrema, "a highest and a lowest pitch that are struck once earn 3 each; striking one again takes it back"),
)
