"""From notation to events: bars of a metre in sixteenths, in C major or A minor, within C3..B5.

A bar of 4/4 always has 16 steps: the values of a 2/4 tune are doubled, since the sixteenths of its reels and marches
are the eighths of the same tunes in cut time (64 % of the notes in the one, 78 % in the other). A pickup ends on a bar
line; a strain that stops short of one holds its last note until there.

Keys: a tune is moved by its key signature to no sharps or flats, so that major stands in C, minor in A, dorian in D
and so on: a modal tune keeps its mode and all of them share one scale. Of the octaves in which it fits, it takes the
one whose mean pitch is nearest to F#4, the middle of the range.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple

from seqtutor import UserError
from seqtutor_music.events import BEAT, HIGHEST, LEFT_OUT, LOWEST, SECTION_END, TRIPLET, WITH_TRIPLETS, Note, written
from seqtutor_music.keys import MAJOR, Key
from seqtutor_music.metre import COMMON, Metre
from seqtutor_music.triplets import is_third, slots

LONGEST = 4096  # quarters of a bar that is written out: a tune without bar lines has one long bar
LARGEST = 64  # numerator of a metre that is looked at: music21 takes seconds over 320/4, hours over larger ones
CENTRE = 66  # F#4


@dataclass(frozen=True)
class Sound:
    """A note as notated: start in its bar and length, in quarters; `tied` where it prolongs the one before."""

    start: Fraction
    length: Fraction
    midi: int
    tied: bool = False


@dataclass(frozen=True)
class Bar:
    """A bar as notated, with its length in quarters; `closes` where a repeat sign or a double line ends it.

    `ending`: the first number that stands over it where a strain ends otherwise each time, 0 elsewhere; `shared`:
    quarters at its beginning that belong to all endings.
    """

    length: Fraction
    sounds: tuple[Sound, ...]
    closes: bool = False
    ending: int = 0
    shared: Fraction = Fraction(0)


@dataclass(frozen=True)
class Score:
    """One line of music as notated, with every metre and key that occurs in it."""

    metres: tuple[str, ...]
    keys: tuple[Key, ...]
    bars: tuple[Bar, ...]


class Melody(NamedTuple):
    """A melody of a file: its events and marks in the frame, where it stood, and what was decided to read it."""

    words: list[str]
    key: Key
    by: int  # semitones by which it was moved into the frame
    said: str = ""


def melody(score: Score, metre: Metre = COMMON) -> Melody:
    """The score in the frame, whole bars: canonical events, with `||` between its sections.

    Raises UserError with the reason where it cannot be written so.
    """
    found = _sections(score, metre)
    return found._replace(words=_unclosed(found.words))


def with_last_endings(score: Score) -> Score:
    """Where several endings of a strain stand one behind the other, the last of them alone."""
    runs = [(ending, tuple(run)) for ending, run in itertools.groupby(score.bars, key=lambda bar: bar.ending)]
    kept: list[Bar] = []
    for (ending, run), (after, _) in itertools.pairwise([*runs, (0, ())]):
        if 0 < ending < after:
            kept += [_shared(run[0])] if run[0].shared else []
        else:
            kept += run
    return replace(score, bars=tuple(kept))


def _shared(bar: Bar) -> Bar:
    """The part of a bar that stands before the ending which begins in it."""
    before = (sound for sound in bar.sounds if sound.start < bar.shared)
    return Bar(bar.shared, tuple(replace(s, length=min(s.length, bar.shared - s.start)) for s in before))


def passages(score: Score, metre: Metre = COMMON) -> list[str]:
    """As `melody`, but bars with a note off the sixteenth grid are left out, and `~` stands in their place."""
    per_quarter = int(metre.bar / metre.quarters(score.metres))
    found: list[str] = []
    for regular, group in itertools.groupby(score.bars, key=lambda bar: _regular(bar, score, metre, per_quarter)):
        bars = tuple(group)
        sounds = any(bar.sounds for bar in bars)
        found += _sections(replace(score, bars=bars), metre).words if regular and sounds else [LEFT_OUT]
    if set(found) <= {LEFT_OUT}:
        raise UserError("none of its bars is on the sixteenth grid")
    return _unclosed(found)


def _sections(score: Score, metre: Metre) -> Melody:
    """As `melody`, with `||` behind every section."""
    quarters = metre.quarters(score.metres)
    per_quarter = int(metre.bar / quarters)
    starts = starts_of(score.bars, quarters)
    notes = notes_of(score.bars, starts, per_quarter, metre)
    key = key_of(score.keys, notes)
    ids, by = fitted(notes, int(starts[-1] * per_quarter), key.sharps)
    return Melody(marked(ids, [int(end * per_quarter) for end in _ends(score.bars, starts, quarters)]), key, by)


def _unclosed(words: list[str]) -> list[str]:
    """Without a mark behind the last event: there the text ends too."""
    return words[:-1] if words[-1] == SECTION_END else words


def marked(ids: Sequence[int], ends: Iterable[int]) -> list[str]:
    """The events of `ids` with `||` before the steps `ends`.

    >>> marked([17, 4, 19, 4], [2, 4])
    ['C4', '-', '||', 'D4', '-', '||']
    """
    places = set(ends)
    events = WITH_TRIPLETS.decode(ids)
    marks = ([SECTION_END] if step in places else [] for step in range(1, len(events) + 1))
    return [word for event, mark in zip(events, marks, strict=True) for word in (event, *mark)]


def fitted(notes: Sequence[Note], steps: int, sharps: int) -> tuple[list[int], int]:
    """Ids of notes in the key of `sharps`, moved into the frame and into its range, and by how many semitones."""
    by = _move(notes, sharps)
    moved, divided = slots([note._replace(midi=note.midi + by) for note in notes])
    ids = written(moved, steps)
    for place in divided:
        ids[place] = TRIPLET
    return ids, by


def _move(notes: Sequence[Note], sharps: int) -> int:
    """The semitones by which notes in the key of `sharps` are moved into the frame and into its range."""
    lowest, highest = min(note.midi for note in notes), max(note.midi for note in notes)
    mean = sum(note.midi for note in notes) / len(notes)
    shift = -7 * sharps % 12
    fits = [s for s in range(shift - 132, 132, 12) if lowest + s >= LOWEST and highest + s <= HIGHEST]
    if not fits:
        raise UserError("its notes span more than C3..B5 can hold")
    return min(fits, key=lambda s: abs(mean + s - CENTRE))


def likely_sharps(notes: Sequence[Note]) -> int:
    """The key signature that leaves the least time outside its scale; of equals, the one with fewest accidentals.

    >>> likely_sharps([Note(i, 1, midi) for i, midi in enumerate([62, 64, 66, 67, 69, 71, 73])])
    2
    """
    return min(range(-5, 7), key=lambda s: (sum(n.length for n in notes if (n.midi - 7 * s) % 12 not in MAJOR), abs(s)))


def key_of(stated: Sequence[Key], notes: Sequence[Note]) -> Key:
    """The key that is stated, or the likely one. Raises UserError where the signature changes."""
    if len({key.sharps for key in stated}) > 1:
        raise UserError("it changes its key")
    return stated[0] if stated else Key(likely_sharps(notes))


def starts_of(bars: Sequence[Bar], full: Fraction) -> list[Fraction]:
    """Where each bar starts, in quarters, and where the last one ends: whole bars start on multiples of `full`."""
    starts: list[Fraction] = []
    at = Fraction(0)
    for i, bar in enumerate(bars):
        if bar.length > LONGEST or (bar.length > full and bar.length % full):
            raise UserError(f"bar {i + 1} is longer than its metre allows")
        room = -at % full  # what the bar before has left; 0 where it was whole
        following = bars[i + 1].length if i + 1 < len(bars) else full - bar.length
        ends_strain = room == 0 and i > 0 and (bar.closes or bar.length + following == full)
        if bar.length >= full:
            at += room
        elif bar.length != room and not ends_strain:  # a pickup: it ends on the bar line
            at += (room - bar.length) % full
        starts.append(at)
        at += bar.length
    return [*starts, at + -at % full]


def _ends(bars: Sequence[Bar], starts: Sequence[Fraction], full: Fraction) -> list[Fraction]:
    """Where sections end, in quarters: with the note that ends one; on the bar line where no pickup fills the bar."""
    ends = ((start + bar.length, following) for bar, start, following in zip(bars, starts, starts[1:], strict=False))
    return [min(following, end + -end % full) for bar, (end, following) in zip(bars, ends, strict=True) if bar.closes]


def _regular(bar: Bar, score: Score, metre: Metre, per_quarter: int) -> bool:
    """Whether all of its notes begin and end on the sixteenth grid, or in triplets where these can be told."""
    times = (time for sound in bar.sounds for time in (sound.start, sound.length))
    if all(per_quarter % time.denominator == 0 for time in times):
        return True
    if metre.triplets:
        with suppress(UserError):
            return bool(_sections(replace(score, bars=(bar,)), metre).words)
    return False


def notes_of(bars: Sequence[Bar], starts: Sequence[Fraction], per_quarter: int, metre: Metre = COMMON) -> list[Note]:
    """The notes in steps, ties merged; a note that ends its bar short of the bar line sounds on until there."""
    notes: list[Note] = []
    places = [_steps(start, per_quarter) for start in starts]
    for number, (bar, begin, following) in enumerate(zip(bars, places, places[1:], strict=False), start=1):
        whole = _steps(bar.length, per_quarter)
        for sound in bar.sounds:
            start, length = _steps(sound.start, per_quarter), _steps(sound.length, per_quarter)
            stop = following if start + length == whole else begin + start + length
            note = _note(begin + start, stop, sound.midi, number, metre)
            if notes and sound.tied and _continues(notes[-1], note):
                notes[-1] = notes[-1]._replace(length=notes[-1].length + note.length)
            else:
                notes.append(note)
    if not notes:
        raise UserError("it has no notes")
    return notes


def _steps(quarters: Fraction, per_quarter: int) -> int | Fraction:
    """A time in steps: a whole number where it is one, for a book has a million times and fractions are slow."""
    times, rest = divmod(per_quarter, quarters.denominator)
    return quarters * per_quarter if rest else quarters.numerator * times


def _note(start: int | Fraction, stop: int | Fraction, midi: int, bar: int, metre: Metre) -> Note:
    off = [time for time in (start, stop) if time.denominator != 1]
    if off and not (metre.triplets and all(map(is_third, off))):
        raise off_grid(bar, metre, third=all(map(is_third, off)))
    return Note(start, stop - start, midi)


def off_grid(bar: int, metre: Metre, *, third: bool) -> UserError:
    """What is said of a bar with a note between the sixteenths; `third`: it is on a third of a beat."""
    hint = ", but in a triplet (--triplets)" * (third and metre.beat == BEAT)
    return UserError(f"bar {bar} has a note that is not on the sixteenth grid{hint}")


def _continues(before: Note, note: Note) -> bool:
    return before.midi == note.midi and before.start + before.length == note.start
