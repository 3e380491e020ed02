"""Events, ids and text: how a melody is written, one event a sixteenth.

An event is a pitch struck at this sixteenth, `-` (hold: nothing new happens, a sounding note goes on) or `.` (note
off: the sounding note ends). A hold where nothing sounds, and an off after an off, sound nothing. Inside, every melody
stands in C major or A minor (the frame); only text carries the key that the user asked for.

Where a prior knows triplets (`--triplets`), a `3` in place of the first event of a quarter says that the three behind
it are its thirds: `3 C4 D4 E4` are three notes, `3 C4 - E4` a long and a short one. Anywhere else a `3` is a hold, so
that whatever a model writes is a melody.

Between the events of a text may stand marks: `|` a bar line, `||` where a section ends, `~` where something was left
out that cannot be written. They sound nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqtutor import UserError, Vocabulary
from seqtutor.errors import shortened
from seqtutor.priors.encoding import padded
from seqtutor_music.metre import COMMON, Metre

Ids = NDArray[np.int64]

LOWEST, HIGHEST = 48, 83  # MIDI: C3..B5

NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
FLAT_NAMES = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
ACCIDENTALS = {"": 0, "#": 1, "♯": 1, "b": -1, "♭": -1}
SPELLING = re.compile(r"([A-Ga-g])([#♯b♭]?)(-?\d{1,2})")


def spell(midi: int, flats: bool = False) -> str:
    """The name of a MIDI pitch, with sharps or with flats.

    >>> spell(60), spell(66), spell(83), spell(66, flats=True)
    ('C4', 'F#4', 'B5', 'Gb4')
    """
    return f"{(FLAT_NAMES if flats else NAMES)[midi % 12]}{midi // 12 - 1}"


def pitch(name: str) -> int | None:
    """The MIDI number of a pitch name, sharp or flat, in capitals or not; None where it is no pitch name.

    >>> pitch("C4"), pitch("Bb3"), pitch("bb3"), pitch("B#3"), pitch("H4")
    (60, 58, 58, 60, None)
    """
    match = SPELLING.fullmatch(name)
    if match is None:
        return None
    letter, accidental, octave = match.groups()
    return LETTERS[letter.upper()] + ACCIDENTALS[accidental] + 12 * (int(octave) + 1)


OFF_TOKEN, HOLD_TOKEN, TRIPLET_TOKEN = ".", "-", "3"
BAR_LINE, SECTION_END, LEFT_OUT = "|", "||", "~"
MARKS = (BAR_LINE, SECTION_END, LEFT_OUT)
MIDI = {spell(midi): midi for midi in range(LOWEST, HIGHEST + 1)}
VOCABULARY = Vocabulary((OFF_TOKEN, HOLD_TOKEN, *MIDI))
OFF, HOLD = VOCABULARY.encode((OFF_TOKEN, HOLD_TOKEN))
WITH_TRIPLETS = Vocabulary((*VOCABULARY.own, TRIPLET_TOKEN))
(TRIPLET,) = WITH_TRIPLETS.encode((TRIPLET_TOKEN,))
BEAT = 4  # sixteenths that a triplet takes: only metres in quarters have any
THIRD = Fraction(BEAT, 3)
FIRST_PITCH = HOLD + 1
MIDI_OFFSET = LOWEST - FIRST_PITCH  # MIDI number of a pitch's id = id + MIDI_OFFSET


class Note(NamedTuple):
    """A note as it sounds: where it starts and how long it lasts, in steps (in triplets fractions), its MIDI pitch."""

    start: int | Fraction
    length: int | Fraction
    midi: int

    @property
    def events(self) -> range:
        """Which events it lasts, where it is told in these."""
        return range(int(self.start), int(self.start + self.length))


def words(text: str, shift: int = 0) -> list[str]:
    """Tokens and marks of a text written `shift` semitones above the frame.

    >>> words("C4 - Eb4 .|| g4")
    ['C4', '-', 'D#4', '.', '||', 'G4']
    """
    found: list[str] = []
    place = 0
    for word in re.sub(r"(\|+|~)", r" \1 ", text).split():
        place += word not in MARKS
        found.append(word if word in MARKS else _token(word, place, shift))
    if not place:
        raise UserError("a melody has at least one event; this text has none")
    return found


def parse(text: str, shift: int = 0) -> list[str]:
    """Tokens of a text written `shift` semitones above the frame, without its marks.

    >>> parse("C4 - Eb4 . | g4")
    ['C4', '-', 'D#4', '.', 'G4']
    """
    return [word for word in words(text, shift) if word not in MARKS]


def _token(word: str, place: int, shift: int) -> str:
    if word in (OFF_TOKEN, HOLD_TOKEN, TRIPLET_TOKEN):
        return word
    midi = pitch(word)
    if midi is None:
        what = "an event is '.' (off), '-' (hold) or a pitch such as C4, F#4, Bb3"
        raise UserError(f"event {place} is '{shortened(word)}'; {what}")
    if not LOWEST <= midi - shift <= HIGHEST:
        lowest, highest = spell(LOWEST + shift), spell(HIGHEST + shift)
        raise UserError(f"event {place} is '{word}'; pitches go from {lowest} to {highest} in this key")
    return spell(midi - shift)


def join(tokens: Iterable[str], shift: int = 0, flats: bool = False) -> str:
    """The text of `tokens`, and of marks among them, `shift` semitones above the frame.

    >>> join(["C4", "-", "E4", "."], shift=2), join(["F4"], shift=-2, flats=True)
    ('D4 - F#4 .', 'Eb4')
    """
    return " ".join(spell(MIDI[token] + shift, flats) if token in MIDI else token for token in tokens)


def batch(*texts: str) -> Ids:
    """Ids (B, T) of melodies in the frame, the shorter ones padded: what every rule and measure works on.

    >>> batch("C4 - . E4", "B3 -")
    array([[17,  4,  3, 21],
           [16,  4,  0,  0]])
    """
    return padded([WITH_TRIPLETS.encode(parse(text)) for text in texts])


def is_pitch(event: int) -> bool:
    """Whether an event strikes a pitch."""
    return FIRST_PITCH <= event < TRIPLET


def sounding(ids: Iterable[int]) -> list[Note]:
    """The notes one hears, by the events at which they start: each ends at the next pitch, the next off, or the end.

    >>> sounding(batch("- C4 - . - E4 E4")[0])
    [Note(start=1, length=2, midi=60), Note(start=5, length=1, midi=64), Note(start=6, length=1, midi=64)]
    """
    notes: list[Note] = []
    struck: tuple[int, int] | None = None  # start and MIDI number of the note that sounds
    for step, event in enumerate([*map(int, ids), OFF]):
        if struck and event not in (HOLD, TRIPLET):
            notes.append(Note(struck[0], step - struck[0], struck[1]))
            struck = None
        if is_pitch(event):
            struck = (step, event + MIDI_OFFSET)
    return notes


def time_of(place: int, ids: Sequence[int]) -> int | Fraction:
    """When the event at a place happens, in sixteenths: the thirds of a divided beat are four thirds of one.

    >>> [str(time_of(place, batch("C4 - - - 3 C4 D4 E4")[0])) for place in range(4, 8)]
    ['4', '4', '16/3', '20/3']
    """
    beat, slot = divmod(place, BEAT)
    if not slot or ids[beat * BEAT] != TRIPLET:
        return place
    time = beat * BEAT + (slot - 1) * THIRD
    return time if time.denominator > 1 else int(time)


def parts(
    ids: Sequence[int], name: Callable[[int], str] = spell, shift: int = 0, metre: Metre = COMMON
) -> list[tuple[str, int]]:
    """Notes and rests, by bar, beat and the `name` of the pitch `shift` above the frame, with the steps of each.

    >>> parts(batch("- - C4 - - . - E4")[0])
    [('1:1 rest', 2), ('1:1.5 C4', 3), ('1:2.25 rest', 2), ('1:2.75 E4', 1)]
    >>> parts(batch("3 C4 - E4 F4 - - -")[0])
    [('1:1 C4', 3), ('1:1.67 E4', 1), ('1:2 F4', 4)]
    """
    edges = {edge for note in sounding(ids) for edge in (note.events.start, note.events.stop)}
    places = sorted({0, *edges} - {len(ids)})
    starts = {_with_its_sign(at, ids): at for at in places}  # where a part begins, and what stands there
    names = [name(ids[at] + MIDI_OFFSET + shift) if is_pitch(ids[at]) else "rest" for at in starts.values()]
    told = [f"{metre.place(time_of(at, ids))} {what}" for at, what in zip(starts.values(), names, strict=True)]
    return list(zip(told, np.diff([*starts, len(ids)]).tolist(), strict=True))


def _with_its_sign(place: int, ids: Sequence[int]) -> int:
    """The place itself; of the first third of a beat that of its `3`."""
    return place - 1 if place % BEAT == 1 and ids[place - 1] == TRIPLET else place


def written(notes: Iterable[Note], steps: int) -> list[int]:
    """The canonical ids of notes that do not overlap: one off where a note ends in silence, holds wherever else.

    >>> VOCABULARY.decode(written([Note(1, 2, 60), Note(5, 1, 64)], steps=8))
    ['-', 'C4', '-', '.', '-', 'E4', '.', '-']
    """
    ids = [HOLD] * steps
    for note in notes:
        here = note.events
        ids[here.start] = note.midi - MIDI_OFFSET
        if here.stop < steps and ids[here.stop] == HOLD:
            ids[here.stop] = OFF
    return ids
