"""A melody as a sheet of music: bars with note values that can be written, in ABC and in MusicXML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple
from xml.sax.saxutils import escape

from seqtutor_music.events import BEAT, Note
from seqtutor_music.harmony import KINDS, Chord
from seqtutor_music.keys import Key, text_of
from seqtutor_music.metre import COMMON, SIXTEENTHS, Metre

# Where in a bar a value of so many sixteenths may begin, so that the beats stay visible: the largest comes first.
VALUES = {
    "4/4": (
        (16, {0}),
        (12, {0, 4}),
        (8, {0, 4, 8}),
        (6, {0, 2, 8, 10}),
        (4, {0, 2, 4, 8, 10, 12}),
        (3, {0, 1, 4, 5, 8, 9, 12, 13}),
        (2, {0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14}),
        (1, set(range(16))),
    ),
    "3/4": (
        (12, {0}),
        (8, {0, 4}),
        (6, {0, 2, 4, 6}),
        (4, {0, 2, 4, 6, 8}),
        (3, {0, 1, 4, 5, 8, 9}),
        (2, {0, 1, 2, 4, 5, 6, 8, 9, 10}),
        (1, set(range(12))),
    ),
    "6/8": (
        (12, {0}),
        (6, {0, 6}),
        (4, {0, 2, 6, 8}),
        (3, {0, 1, 2, 3, 6, 7, 8, 9}),
        (2, {0, 1, 2, 3, 4, 6, 7, 8, 9, 10}),
        (1, set(range(12))),
    ),
}
TYPES = {16: "whole", 12: "half", 8: "half", 6: "quarter", 4: "quarter", 3: "eighth", 2: "eighth", 1: "16th"}
DOTTED = (12, 6, 3)
QUARTER = 4
PARTS = 3  # of a sixteenth, in MusicXML
SIGNS = {-2: "__", -1: "_", 0: "=", 1: "^", 2: "^^"}
ACCIDENTALS = {-2: "flat-flat", -1: "flat", 0: "natural", 1: "sharp", 2: "double-sharp"}  # in MusicXML


@dataclass(frozen=True)
class Sheet:
    """What stands at the head of a melody."""

    title: str
    key: Key
    tempo: int  # quarters a minute
    chords: tuple[Chord, ...] = ()  # of a progression that begins anew when it has ended
    metre: Metre = COMMON

    def over(self, bar: int) -> dict[int, Chord]:
        """The chords of a bar, by the sixteenth that they begin on.

        >>> sheet = Sheet("One", Key(0), 120, (Chord("C", 0, 8), Chord("G7", 8, 8), Chord("C", 16, 16)))
        >>> [{start: chord.symbol for start, chord in sheet.over(bar).items()} for bar in (0, 3)]
        [{0: 'C', 8: 'G7'}, {0: 'C'}]
        """
        steps = self.metre.bar
        length = self.chords[-1].start + self.chords[-1].length if self.chords else steps
        first = bar * steps % length
        return {chord.start - first: chord for chord in self.chords if first <= chord.start < first + steps}


class Value(NamedTuple):
    """A note or rest (None) as it is written, in sixteenths of its bar; `tied`: the next one prolongs it."""

    start: int | Fraction
    length: int | Fraction
    midi: int | None
    tied: bool = False
    prolongs: bool = False

    @property
    def in_triplet(self) -> bool:
        """Whether it is one or two thirds of a beat."""
        return self.length.denominator > 1

    @property
    def told(self) -> int:
        """The length of the sign that it is written with: three in the time of two."""
        return int(self.length * 3 / 2 if self.in_triplet else self.length)


def bars(notes: Sequence[Note], steps: int, sheet: Sheet | None = None) -> list[list[Value]]:
    """The values of each bar; a last bar that is not full is filled with rests. None goes on where a chord begins.

    >>> [[(v.length, v.midi, v.tied) for v in bar] for bar in bars([Note(3, 15, 60)], 20)]
    [[(3, None, False), (1, 60, True), (12, 60, True)], [(2, 60, False), (6, None, False), (8, None, False)]]
    """
    metre = sheet.metre if sheet else COMMON
    full = metre.bar
    found: list[list[Value]] = [[] for _ in range(-(-steps // full))]
    filled = list(_filled(notes, len(found) * full))
    divided = sorted({int(start // BEAT) * BEAT for start, _, _ in filled if start.denominator > 1})
    for start, end, midi in filled:
        at = start
        while at < end:
            bar, place = int(at // full), at % full
            if (beat := int(at // BEAT) * BEAT) in divided:
                length = min(end, beat + BEAT) - at
            else:
                edges = [full, *(sheet.over(bar) if sheet else {}), *(edge - bar * full for edge in divided)]
                room = min(end - at, min(edge for edge in edges if edge > place) - place)
                length = next(value for value, places in VALUES[metre.name] if value <= room and place in places)
            sounds = midi is not None
            found[bar].append(Value(place, length, midi, sounds and at + length < end, sounds and at > start))
            at += length
    return found


def _filled(notes: Sequence[Note], steps: int) -> Iterator[tuple[int | Fraction, int | Fraction, int | None]]:
    """Notes and the rests between them: start, end, pitch."""
    at: int | Fraction = 0
    for note in notes:
        if note.start > at:
            yield at, note.start, None
        at = note.start + note.length
        yield note.start, at, note.midi
    if at < steps:
        yield at, steps, None


def abc(notes: Sequence[Note], steps: int, sheet: Sheet) -> str:
    """An ABC tune, four bars a line: in sixteenths, or in eighths where a bar has no whole note.

    >>> print(abc([Note(0, 8, 70), Note(8, 4, 71), Note(12, 2, 71)], 16, Sheet("One", Key(-2), 100)))
    X:1
    T:One
    M:4/4
    L:1/16
    Q:1/4=100
    K:Bb
    B8 =B4 =B2z2|]
    <BLANKLINE>
    """
    written = [_abc_bar(bar, sheet, number) for number, bar in enumerate(bars(notes, steps, sheet))]
    lines = ["|".join(written[at : at + 4]) for at in range(0, len(written), 4)]
    title = " ".join(sheet.title.replace("%", " ").split())
    unit = f"L:1/{SIXTEENTHS // _unit(sheet)}\nQ:1/4={sheet.tempo}\nK:{text_of(sheet.key)}\n"
    return f"X:1\nT:{title}\nM:{sheet.metre.name}\n{unit}" + "|\n".join(lines) + "|]\n"


def _abc_bar(bar: Sequence[Value], sheet: Sheet, number: int) -> str:
    """The notes of a bar, each one outside the key with its accidental, and each later one of its letter.

    For how long an accidental holds, and in which octaves, readers disagree: so it is not left to them.
    """
    altered: set[str] = set()
    text, key, over = "", sheet.key, sheet.over(number)
    for value in bar:
        if value.start and value.start % sheet.metre.beat == 0:
            text += " "  # a beam ends at the beat
        if value.in_triplet and value.start % BEAT == 0:
            text += "(3" if sum(one.start // BEAT == value.start // BEAT for one in bar) == 3 else "(3:2:2"
        if value.start in over:
            text += f'"{over[int(value.start)].symbol}"'
        length = _abc_length(value.told, _unit(sheet))
        if value.midi is None:
            text += f"z{length}"
            continue
        letter, alter, octave = key.spelt(value.midi)
        altered |= {letter} if alter != key.alters(letter) else set()
        sign = SIGNS[alter] if letter in altered else ""
        name = letter.lower() + "'" * (octave - 5) if octave > 4 else letter + "," * (4 - octave)
        text += f"{sign}{name}{length}{'-' * value.tied}"
    return text


def _unit(sheet: Sheet) -> int:
    """Sixteenths of a note without a number: of a jig the eighth, as its books have it."""
    return 1 if sheet.metre.name == COMMON.name else 2


def _abc_length(steps: int, unit: int) -> str:
    """The length behind a note, in units.

    >>> [_abc_length(steps, 2) for steps in (1, 2, 3, 6)], [_abc_length(steps, 1) for steps in (1, 2)]
    (['/', '', '3/2', '3'], ['', '2'])
    """
    if steps % unit:
        return f"{steps if steps > 1 else ''}/{unit if steps > 1 else ''}"
    return "" if steps == unit else str(steps // unit)


def musicxml(notes: Sequence[Note], steps: int, sheet: Sheet, line: int = 0) -> str:
    """A MusicXML score of one part; with `line` bars in a line, and then without what stands around the notes."""
    found = bars(notes, steps, sheet)
    measures = "".join(
        _measure(number, bar, sheet, line, last=number == len(found)) for number, bar in enumerate(found, 1)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 3.1 Partwise//EN" '
        '"http://www.musicxml.org/dtds/partwise.dtd">\n'
        f'<score-partwise version="3.1"><work><work-title>{escape(sheet.title)}</work-title></work>'
        f'<part-list><score-part id="P1"><part-name>{"" if line else "Melody"}</part-name></score-part></part-list>\n'
        f'<part id="P1">{measures}</part></score-partwise>\n'
    )


def _measure(number: int, bar: Sequence[Value], sheet: Sheet, line: int, *, last: bool) -> str:
    beats, value = sheet.metre.counts
    head = (
        f"<attributes><divisions>{PARTS * QUARTER}</divisions><key><fifths>{sheet.key.sharps}</fifths>"
        f"<mode>{sheet.key.mode}</mode></key>"
        f"<time><beats>{beats}</beats><beat-type>{value}</beat-type></time>"
        "<clef><sign>G</sign><line>2</line></clef></attributes>"
    )
    tempo = (
        '<direction placement="above"><direction-type><metronome><beat-unit>quarter</beat-unit>'
        f"<per-minute>{sheet.tempo}</per-minute></metronome></direction-type>"
        f'<sound tempo="{sheet.tempo}"/></direction>'
    )
    end = '<barline location="right"><bar-style>light-heavy</bar-style></barline>' if last else ""
    over, notes = sheet.over(number - 1), ""
    for one, beam, sign in zip(bar, _beams(bar, sheet.metre), _signs(bar, sheet.key), strict=True):
        notes += _xml_chord(over[int(one.start)]) if one.start in over else ""
        notes += _xml_note(one, beam, sign, sheet)
    begins = (
        head + tempo * (not line) if number == 1 else '<print new-system="yes"/>' * (line > 0 and number % line == 1)
    )
    return f'<measure number="{number}">{begins}{notes}{end}</measure>\n'


def _beams(bar: Sequence[Value], metre: Metre = COMMON) -> list[str]:
    """The part of each value in a beam of its beat, empty where it has none.

    >>> _beams([Value(0, 2, 60), Value(2, 1, 62), Value(3, 1, 64), Value(4, 4, 65), Value(8, 2, 60), Value(10, 6, 62)])
    ['begin', 'continue', 'end', '', '', '']
    """
    beat = [value.start // metre.beat if value.told < QUARTER and value.midi is not None else None for value in bar]
    joined = [one is not None and one == other for one, other in pairwise(beat)]
    words = {(False, True): "begin", (True, True): "continue", (True, False): "end", (False, False): ""}
    return [words[before, after] for before, after in zip([False, *joined], [*joined, False], strict=True)]


def _signs(bar: Sequence[Value], key: Key) -> list[str]:
    """The accidental that each value of a bar is written with, empty where it has none.

    Of what the key, or the last note of that letter in the bar, in any octave, has otherwise; a tie needs none.

    >>> _signs([Value(0, 4, 66), Value(4, 4, 66), Value(8, 4, 65), Value(12, 4, 77)], Key(0))
    ['sharp', '', 'natural', '']
    """
    latest: dict[str, int] = {}
    found = []
    for value in bar:
        sign = ""
        if value.midi is not None and not value.prolongs:
            letter, alter, _ = key.spelt(value.midi)
            sign = ACCIDENTALS[alter] if alter != latest.get(letter, key.alters(letter)) else ""
            latest[letter] = alter
        found.append(sign)
    return found


def _xml_chord(chord: Chord) -> str:
    letter, alter, quality = chord.parts
    altered = f"<root-alter>{alter}</root-alter>" if alter else ""
    root = f"<root><root-step>{letter}</root-step>{altered}</root>"
    bass = ""
    if chord.bass:
        letter, alter = chord.bass
        altered = f"<bass-alter>{alter}</bass-alter>" if alter else ""
        bass = f"<bass><bass-step>{letter}</bass-step>{altered}</bass>"
    return f'<harmony>{root}<kind text="{quality}">{KINDS[quality]}</kind>{bass}</harmony>'


def _xml_note(value: Value, beam: str, sign: str, sheet: Sheet) -> str:
    ties = [kind for kind, so in (("stop", value.prolongs), ("start", value.tied)) if so]
    whole = value.midi is None and value.length == sheet.metre.bar < SIXTEENTHS  # a bar of rest: the sign of a whole
    pitch = '<rest measure="yes"/>' if whole else "<rest/>"
    if value.midi is not None:
        letter, alter, octave = sheet.key.spelt(value.midi)
        altered = f"<alter>{alter}</alter>" if alter or ties else ""  # of a tie both ends are told alike
        pitch = f"<pitch><step>{letter}</step>{altered}<octave>{octave}</octave></pitch>"
    sounds = "".join(f'<tie type="{kind}"/>' for kind in ties)
    drawn = "".join(f'<tied type="{kind}"/>' for kind in ties)
    dot = "<dot/>" if value.told in DOTTED and not whole else ""
    kind = "whole" if whole else TYPES[value.told]
    beamed = f'<beam number="1">{beam}</beam>' if beam else ""
    three, edge, accidental = "", "", f"<accidental>{sign}</accidental>" if sign else ""
    if value.in_triplet:
        three = "<time-modification><actual-notes>3</actual-notes><normal-notes>2</normal-notes></time-modification>"
        edge = "start" if value.start % BEAT == 0 else "stop" if (value.start + value.length) % BEAT == 0 else ""
    drawn += f'<tuplet type="{edge}" bracket="yes"/>' if edge else ""
    return (
        f"<note>{pitch}<duration>{int(value.length * PARTS)}</duration>{sounds}<voice>1</voice><type>{kind}</type>"
        f"{dot}{accidental}{three}{beamed}{f'<notations>{drawn}</notations>' if drawn else ''}</note>"
    )
