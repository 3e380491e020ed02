"""Triplets, from what sounds to events and back; see `events`.

Rules and measures hear the thirds of a beat at its first, third and fourth sixteenth: three notes as an eighth and two
sixteenths, a long and a short one as a dotted beat. What they pay is paid at the event that earned it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqtutor import PAD, UserError
from seqtutor_music.context import Values
from seqtutor_music.events import BEAT, HOLD, THIRD, TRIPLET, Ids, Note, time_of


def is_third(time: int | Fraction) -> bool:
    """Whether a time, in sixteenths, is a third of a beat or a beat."""
    return (time / THIRD).denominator == 1


def timed(notes: Iterable[Note], ids: Sequence[int]) -> list[Note]:
    """When notes sound that stand at these places among the events `ids`: in sixteenths, in triplets fractions of them.

    >>> timed([Note(1, 2, 60), Note(3, 4, 64)], batch("3 C4 - E4 - - - .")[0])
    [Note(start=0, length=Fraction(8, 3), midi=60), Note(start=Fraction(8, 3), length=Fraction(13, 3), midi=64)]
    """
    found = []
    for note in notes:
        start, stop = time_of(note.events.start, ids), time_of(note.events.stop, ids)
        found.append(Note(start, stop - start, note.midi))
    return found


def slots(notes: Sequence[Note]) -> tuple[list[Note], list[int]]:
    """The inverse of `timed`: at which events notes stand, and the places where a `3` does.

    Raises UserError where a beat is divided in three and in four.

    >>> slots([Note(0, 4, 60), Note(4, 2 * THIRD, 62)])
    ([Note(start=0, length=5, midi=60), Note(start=5, length=2, midi=62)], [4])
    """
    edges = [time for note in notes for time in (note.start, note.start + note.length)]
    divided = {int(time // BEAT) for time in edges if Fraction(time).denominator > 1}

    def place(time: int | Fraction) -> int:
        beat, within = divmod(time, BEAT)
        third = within / THIRD
        if beat not in divided:
            return int(time)
        if third.denominator > 1:
            raise UserError(f"beat {int(beat) + 1} of it is divided in three and in four")
        return int(beat) * BEAT + 1 + int(third)

    found = []
    for note in notes:
        start, stop = place(note.start), place(note.start + note.length)
        found.append(Note(start, stop - start, note.midi))
    return found, [beat * BEAT for beat in sorted(divided)]


def heard(ids: Ids) -> Ids:
    """(B, T): the same melodies, the thirds of a beat at its first, third and fourth sixteenth.

    >>> (heard(batch("3 C4 D4 E4 F4 - - 3")) == batch("C4 - D4 E4 F4 - - -")).all()
    np.True_
    """
    if not (ids == TRIPLET).any():
        return ids
    plain, beats = np.where(ids == TRIPLET, HOLD, ids), divided(ids)
    cells = _beats(plain)
    cells[beats] = cells[beats][:, [1, 0, 2, 3]]  # the sign, a hold, goes behind the first third
    return cells.reshape(len(ids), cells.shape[1] * BEAT)[:, : ids.shape[1]]


def as_heard(values: Callable[[Ids], Values]) -> Callable[[Ids], Values]:
    """A rule that hears the thirds so, and pays each at its own event."""

    def paid(ids: Ids) -> Values:
        cells, beats = _beats(values(heard(ids))), divided(ids)
        cells[beats, 1] += cells[beats, 0]
        cells[beats, 0] = 0.0
        return cells.reshape(len(ids), cells.shape[1] * BEAT)[:, : ids.shape[1]]

    return paid


def _beats(values: NDArray[Any]) -> NDArray[Any]:
    """(B, T) -> (B, beats, BEAT): a copy, the last beat filled up with nothing."""
    filled = np.pad(values, ((0, 0), (0, -values.shape[1] % BEAT)))
    return filled.reshape(len(values), filled.shape[1] // BEAT, BEAT)


def divided(ids: Ids) -> NDArray[np.bool_]:
    """(B, beats): whether a `3` stands at the beginning of a beat, which is there to its end."""
    cells = _beats(ids)
    return np.asarray((cells[:, :, 0] == TRIPLET) & (cells[:, :, -1] != PAD))


def in_three(ids: Ids) -> NDArray[np.bool_]:
    """(B, beats): whether a beat is divided by what sounds: something begins or ends at its second or third third.

    >>> in_three(batch("3 C4 D4 E4 3 C4 - -"))
    array([[ True, False]])
    """
    return np.asarray(divided(ids) & (_beats(ids)[:, :, 2:] != HOLD).any(axis=2))
