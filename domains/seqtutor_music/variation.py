"""Melodies near others: a motif moved along the scale or turned upside down, a bar copied, a note moved by a step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seqtutor_music.events import HIGHEST, HOLD, LOWEST, MIDI_OFFSET, OFF, TRIPLET, is_pitch, sounding
from seqtutor_music.keys import MAJOR
from seqtutor_music.metre import COMMON, Metre

Events = list[int]
FARTHEST = 4  # scale steps that a motif is moved: a fifth


def vary(ids: Sequence[int], rng: np.random.Generator, metre: Metre = COMMON) -> Events | None:
    """As many events as `ids`, in the frame, changed in one of the four ways; None where that way is barred."""
    operators = (move_note, transpose, invert, copy_bar)
    return operators[int(rng.integers(len(operators)))](ids, rng, metre)


def move_note(ids: Sequence[int], rng: np.random.Generator, metre: Metre = COMMON) -> Events | None:
    """One note, moved to the next step of the scale above or below; None where there is none to move."""
    struck = [i for i, event in enumerate(ids) if is_pitch(event)]
    if not struck:
        return None
    place = struck[rng.integers(len(struck))]
    return _with(ids, place, [_moved(ids[place], _either(rng))])


def transpose(ids: Sequence[int], rng: np.random.Generator, metre: Metre = COMMON) -> Events | None:
    """One motif (half a bar) moved along the scale, at most by a fifth; None where that leaves the range."""
    start = _motif(ids, rng, metre)
    steps = int(rng.integers(1, FARTHEST + 1)) * _either(rng)
    return _with(ids, start, [_moved(event, steps) for event in ids[start : start + metre.strong]])


def invert(ids: Sequence[int], rng: np.random.Generator, metre: Metre = COMMON) -> Events | None:
    """One motif (half a bar) turned upside down about its first pitch; None where that leaves the range."""
    start = _motif(ids, rng, metre)
    motif = ids[start : start + metre.strong]
    axis = next((event for event in motif if is_pitch(event)), None)
    if axis is None:
        return None
    return _with(ids, start, [_moved(event, 2 * (_degree(axis) - _degree(event))) for event in motif])


def copy_bar(ids: Sequence[int], rng: np.random.Generator, metre: Metre = COMMON) -> Events | None:
    """One bar written over another; None in a melody of one bar."""
    bars = len(ids) // metre.bar
    if bars < 2:
        return None
    source, place = rng.choice(bars, 2, replace=False).tolist()
    return _with(ids, place * metre.bar, ids[source * metre.bar : (source + 1) * metre.bar])


def struck_anew(ids: Sequence[int], start: int) -> Events:
    """The same events; a note that sounds on at the event `start`, which begins a beat, is struck there once more.

    Where nothing sounds on, silence is said there, so that what is written before ends.

    >>> struck_anew(batch("C4 - - - - - D4 -")[0], 4) == batch("C4 - - - C4 - D4 -")[0].tolist()
    True
    >>> struck_anew(batch("C4 - . - - - D4 -")[0], 4) == batch("C4 - . - . - D4 -")[0].tolist()
    True
    """
    found, at = [int(event) for event in ids], start + (ids[start] == TRIPLET)
    held = next((note for note in sounding(found) if note.start < at < note.start + note.length), None)
    if held is not None:
        found[at] = held.midi - MIDI_OFFSET
    elif found[at] == HOLD:
        found[at] = OFF
    return found


def _with(ids: Sequence[int], start: int, events: Sequence[int | None]) -> Events | None:
    """`ids` with `events` from `start` on; None where one of them is None."""
    new = [event for event in events if event is not None]
    return [*ids[:start], *new, *ids[start + len(new) :]] if len(new) == len(events) else None


def _motif(ids: Sequence[int], rng: np.random.Generator, metre: Metre) -> int:
    """Where a motif starts: on a strong beat."""
    return int(rng.integers(-(-len(ids) // metre.strong))) * metre.strong


def _either(rng: np.random.Generator) -> int:
    return 1 if rng.random() < 0.5 else -1


def _degree(event: int) -> int:
    """The step of the scale of a pitch; of a pitch outside the key, that of the next lower one in it."""
    octave, pitch_class = divmod(event + MIDI_OFFSET, 12)
    return 7 * octave + sum(pitch_class >= one for one in MAJOR) - 1


def _moved(event: int, steps: int) -> int | None:
    """The event `steps` of the scale higher, an accidental kept; None outside the range. Holds and offs stay.

    >>> [_moved(event, 2) for event in batch("C4 F#4 - . B5")[0].tolist()] == [*batch("E4 A#4 - .")[0].tolist(), None]
    True
    """
    if not is_pitch(event):
        return event
    midi, degree = event + MIDI_OFFSET, _degree(event)
    midi += _midi(degree + steps) - _midi(degree)
    return midi - MIDI_OFFSET if LOWEST <= midi <= HIGHEST else None


def _midi(degree: int) -> int:
    octave, step = divmod(degree, 7)
    return 12 * octave + MAJOR[step]
