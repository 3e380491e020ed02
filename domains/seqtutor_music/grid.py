"""A melody against the bar: what sounds, for how long, from which beat on; ids (B, T) in, arrays (B, T) out.

Everything is said of the prefix that ends at a step, so that a rule can pay as it goes. Padding is nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqtutor_music.context import Flags, Values, lengths, pitch_before, pitch_class, pitched, sounds_before
from seqtutor_music.events import FIRST_PITCH, HOLD, OFF, TRIPLET, VOCABULARY, Ids
from seqtutor_music.keys import BOTH

DEGREES = np.array([0, 0, 1, 1, 2, 3, 3, 4, 4, 5, 5, 6])  # steps of the scale by pitch class; a sharp is its natural


def events(ids: Ids) -> Flags:
    """Where a melody has an event."""
    return ids >= OFF


def paid(ids: Ids, worth: Values) -> Values:
    """What each step adds to the worth of the melody so far: in all, the worth of the whole."""
    return np.where(events(ids), np.diff(worth, axis=1, prepend=0.0), 0.0)


def outside(x: Values, lowest: float, highest: float, unit: float) -> Values:
    """How far x lies outside of a range, in units, squared and halved, negative: what a bell curve would charge.

    >>> outside(np.array([0.1, 0.5, 0.9]), 0.3, 0.7, 0.1).round(3)
    array([-2.,  0., -2.])
    """
    distance = np.maximum(np.maximum(lowest - x, x - highest), 0.0) / unit
    return np.asarray(0.0 - 0.5 * distance**2)


def canonical(ids: Ids) -> Ids:
    """(B, T): the same melodies, an off only where a note ends; others sound nothing, and are holds.

    >>> (canonical(batch(". - C4 . . -", ". D4 - . . E4")) == batch("- - C4 . - -", "- D4 - . - E4")).all()
    np.True_
    """
    return np.where((ids == OFF) & ~sounds_before(ids), HOLD, ids)


def count(flags: Flags) -> Values:
    """(B, T): how often it was so up to each step."""
    return flags.cumsum(axis=1).astype(np.float64)


def share(counted: Flags, of: Flags, usual: float, weight: float = 4.0) -> Values:
    """(B, T): the share of `counted` among `of` so far, as if `weight` usual ones had stood before."""
    return np.asarray((count(counted & of) + usual * weight) / (count(of) + weight))


def onset(ids: Ids) -> Ids:
    """(B, T): the step at which the latest note up to here was struck; -1 before the first.

    >>> onset(batch("- C4 - . E4"))
    array([[-1,  1,  1,  1,  4]])
    """
    steps = np.where(pitched(ids), np.arange(ids.shape[1]), -1)
    return np.asarray(np.maximum.accumulate(steps, axis=1))


def latest(ids: Ids, values: NDArray[np.int64]) -> Ids:
    """(B, T): what `values` had where the latest note was struck; of no note, what stands at the first step."""
    return np.take_along_axis(values, np.maximum(onset(ids), 0), axis=1)


def sounding_length(ids: Ids) -> Ids:
    """(B, T): how long the latest note will have sounded if nothing more happens; 0 before the first.

    >>> sounding_length(batch("- C4 - . E4 - - -"))
    array([[0, 7, 7, 2, 4, 4, 4, 4]])
    """
    here = onset(ids)
    ended = np.where((ids == OFF) & sounds_before(ids), np.arange(ids.shape[1]), -1)
    off = np.maximum.accumulate(ended, axis=1)
    stop = np.where(off > here, off, lengths(ids)[:, None])
    return np.where(here >= 0, stop - here, 0)


def moves(ids: Ids) -> Ids:
    """(B, T): semitones from the pitch before; 0 where none is struck, and at the first."""
    before = pitch_before(ids)
    return np.where(pitched(ids) & (before > 0), ids - before, 0)


def moved(ids: Ids) -> Flags:
    """Where a pitch is struck that is not the first."""
    return pitched(ids) & (pitch_before(ids) > 0)


def scale_steps(ids: Ids) -> Ids:
    """(B, T): the pitch as steps of the scale; of what is no pitch, nothing that means anything."""
    return np.asarray(DEGREES[pitch_class(ids)] + 7 * ((ids - FIRST_PITCH) // 12))


def heights(tokens: int = len(VOCABULARY)) -> list[int]:
    """Of each event of a vocabulary of so many tokens: its pitch as steps of the scale; -1 of what is no pitch."""
    ids = np.arange(OFF, tokens)
    return [int(height) for height in np.where(pitched(ids) & (ids < TRIPLET), scale_steps(ids), -1)]


def home(ids: Ids, tonics: Sequence[int] = BOTH) -> Ids:
    """(B, T): of the tonics, as pitch classes, the one that sounded longest before the latest note was struck.

    Of those that sounded as long the first one: C, unless A sounded longer.

    >>> home(batch("A4 - C4 - - A4")), home(batch("A4 - C4"), tonics=(2,))
    (array([[0, 0, 9, 9, 9, 0]]), array([[2, 2, 2]]))
    """
    name = np.where(sounds(ids), pitch_class(latest(ids, ids)), -1)
    longest = np.argmax([count(name == tonic) for tonic in tonics], axis=0)
    before = np.zeros(ids.shape, dtype=np.int64)
    before[:, 1:] = longest[:, :-1]
    return np.asarray(np.array(tonics)[latest(ids, before)])


def sounds(ids: Ids) -> Flags:
    """Where a note sounds: struck here, or before and not ended yet."""
    steps = np.arange(ids.shape[1])
    off = np.maximum.accumulate(np.where(ids == OFF, steps, -1), axis=1)
    return np.asarray(events(ids) & (onset(ids) > off))


def on_tonic(ids: Ids, tonics: Sequence[int] = BOTH) -> Flags:
    """(B, T): whether the latest note is the tonic, in any octave: `home`."""
    return np.asarray((onset(ids) >= 0) & (pitch_class(latest(ids, ids)) == home(ids, tonics)))


def cells(values: NDArray[Any], steps: int) -> NDArray[Any]:
    """(B, T) -> (B, N, steps): bars, or parts of them, the last one filled up with nothing."""
    left = -values.shape[1] % steps
    return np.pad(values, ((0, 0), (0, left))).reshape(len(values), (values.shape[1] + left) // steps, steps)


def at_ends(values: NDArray[Any], steps: int, length: int) -> Values:
    """(B, N) -> (B, length): what is known of each cell, at its last step; 0 at all others.

    >>> at_ends(np.array([[1, 2]]), 3, length=7)
    array([[0., 0., 1., 0., 0., 2., 0.]])
    """
    out = np.zeros((*values.shape, steps))
    out[:, :, -1] = values
    out = out.reshape(len(values), values.shape[1] * steps)
    return np.pad(out, ((0, 0), (0, steps)))[:, :length]
