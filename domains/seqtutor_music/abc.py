"""ABC notation (version 2.1), one line of music of it: what a melody needs and no more.

The tests compare what is read here with music21's streams.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate
from math import lcm

from seqtutor import UserError
from seqtutor.errors import shortened
from seqtutor_music.events import LETTERS
from seqtutor_music.keys import FIFTHS, Key, fifth_of, mode_of
from seqtutor_music.scores import LARGEST, Bar, Score, Sound

FIELD = re.compile(r"([A-Za-z+]):(?![|:])(.*)")  # a line such as K:D; in `G:|` a note stands before a repeat sign
OCTAVE = re.compile(r"\boctave=([+-]?\d)\b")
NOTE = r"(?P<sign>\^\^?|__?|=)?(?P<letter>[A-Ga-g])(?P<octave>[,']*)"
TOKEN = re.compile(
    rf"""
      "[^"]*" | ![^!\s]*! | \{{[^}}]*\}}  # chord symbols and other text, decorations, grace notes
    | \+(?=[^+\s]*[h-zH-Z.<>()])[^+\s]*\+  # decorations as they were written before: +fermata+, where +CEG+ is a chord
    | \[(?P<field>[A-Za-z]):(?P<value>[^\]]*)\]
    | (?P<bar>\[\||[:|]*\|[:|\]]*|::+)(?:\ *\[?(?P<ending>\d)[\d,-]*)?  # `|1`, `:|2`, `| [1,3`
    | \[(?P<bracket>\d)[\d,-]*  # `[2` at the beginning of a line, or within a bar
    | \[(?P<chord>(?:"[^"\]]*")*[^\]\d\s"|:][^\]|]*)\](?P<outer>\d*/*\d*)
    | \((?P<tuplet>[2-9])(?::(?P<space>\d?))?(?::(?P<count>\d?))?
    | {NOTE}(?P<length>\d*/*\d*)
    | [zx](?P<rest>\d*/*\d*)
    | [ZX](?P<bars>\d*)
    | (?P<broken><+|>+)
    | (?P<tie>-)
    | (?P<overlay>&)
    | (?P<words>[h-wyH-WY]{{3,}})  # two may be decorations
    """,
    re.VERBOSE,
)
IN_CHORD = re.compile(NOTE + r"(?P<length>\d*/*\d*)(?P<tied>-?)")
BESIDE = re.compile(r'"[^"]*"|![^!]*!|\+[^+]*\+')  # text and decorations within a chord
KEY = re.compile(r"(?P<tonic>[A-G])(?P<sign>[#b]?) *(?P<mode>[A-Za-z]*)")
CHANGE = re.compile(r"(?<!\S)(?P<sign>\^\^?|__?|=)(?P<letter>[A-Ga-g])(?!\S)")
SIGNS = {"^^": 2, "^": 1, "=": 0, "_": -1, "__": -2}
SPACES = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}  # n notes in the time of so many; of 5, 7 and 9 the metre decides
NAMES = {"C": "4/4", "C|": "2/2"}  # of metres
FINE = 10_000  # steps of a quarter in which a book places its notes, at most
MOST = 999  # units of length of a note, and bars of rest in a row


def read_tune(text: str) -> Score:
    """One ABC tune as notated; of a chord the highest note; without grace notes, repeats not played out."""
    lines = [line.split("%")[0].rstrip() for line in text.splitlines()]
    fields = [FIELD.fullmatch(line) for line in lines]
    first = next((i for i, found in enumerate(fields) if found and found[1] == "K"), None)
    if first is None:
        raise UserError("it is no ABC tune: no line has its key (K:)")
    music = _Music()
    for found in fields[:first]:
        if found and found[1] in "ML":  # of several metres in the head the last one counts
            music.declare(found[1], found[2])
    music.metres = music.metres[-1:]
    for line, found in zip(lines[first:], fields[first:], strict=True):
        if found:
            music.declare(found[1], found[2])
        else:
            music.read(line)
    music.end_bar("|]")
    return Score(tuple(music.metres), tuple(music.keys), tuple(music.bars))


@dataclass
class _Music:
    """What has been read of a tune, and what holds for the next note."""

    metres: list[str] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    unit: Fraction | None = None  # quarters that a note without a length has; None: the metre decides
    key: dict[str, int] = field(default_factory=dict)  # semitones by which the key alters a letter
    octave: int = 0  # octaves above what is written, as the key states
    voice: str | None = None
    ending: int = 0  # the first number of the one that the bars stand in; 0: of none
    shared: Fraction = Fraction(0)  # quarters of this bar before an ending that begins within it
    signs: dict[str, int] = field(default_factory=dict)  # semitones by which an accidental of this bar alters one
    line: list[tuple[Fraction, int | None]] = field(default_factory=list)  # of this bar: length and pitch, or a rest
    ties: set[int] = field(default_factory=set)  # places in `line` of the notes that prolong the one before
    tie: tuple[str, int] | None = None  # the note before an open tie: as written, and its pitch
    before: tuple[str, int] | None = None  # the last note
    tuplet: tuple[int, Fraction] = (0, Fraction(1))  # how many notes are still in it, and its factor
    broken: Fraction | None = None  # factor of the next note
    lengths: dict[str, Fraction] = field(default_factory=dict)  # quarters of what is written behind a note

    def declare(self, name: str, value: str) -> None:
        """Take in a field, such as K:D."""
        self.lengths = {}
        if name == "P":  # another part of the tune
            self.ending = 0
        if name == "M":
            self.metres.append(_metre(value))
        elif name == "L":
            self.unit = 4 * _ratio(value.strip())
        elif name == "K":
            self.key, stated = _key(value)
            self.keys += stated
            self.octave = int(found[1]) if (found := OCTAVE.search(value)) else 0
        elif name == "V":
            voice = (value.split() or [""])[0]
            if self.voice not in (None, voice):
                raise UserError("it has several voices; a melody has one")
            self.voice = voice

    def read(self, text: str) -> None:
        """Take in a line of notes."""
        for token in TOKEN.finditer(text):
            kind = token.lastgroup
            if token["bar"]:
                self.end_bar(token["bar"])
                self.ending = int(token["ending"] or (self.ending if token["bar"] == "|" else 0))
            elif token["bracket"]:
                self.ending, self.shared = int(token["bracket"]), sum((length for length, _ in self.line), Fraction(0))
            elif token["letter"]:
                self.add(token["length"], [self._pitch(token)])
            elif token["chord"]:
                self._chord(token["chord"], token["outer"])
            elif kind == "rest":
                self.add(token["rest"], [])
            elif kind == "bars":
                self._rest_bars(int(token["bars"] or 1))
            elif token["field"]:
                self.declare(token["field"], token["value"])
            elif token["tuplet"]:
                self._begin_tuplet(int(token["tuplet"]), token["space"], token["count"])
            elif token["broken"]:
                self._break(token["broken"])
            elif token["tie"]:
                self.tie = self.before
            elif token["overlay"]:
                raise UserError("it has several voices; a melody has one")
            elif token["words"]:
                raise UserError(f"it has words where notes belong: '{shortened(text.strip())}'")

    def end_bar(self, sign: str) -> None:
        """Close the bar at hand where it has a note or rest; a double line or repeat sign closes the section too."""
        closes = sign != "|"
        if self.line:
            starts = _sums([length for length, _ in self.line])
            sounds = tuple(
                Sound(start, length, midi, tied=i in self.ties)
                for i, (start, (length, midi)) in enumerate(zip(starts, self.line, strict=False))
                if midi is not None
            )
            self.bars.append(Bar(starts[-1], sounds, closes, self.ending, self.shared))
        elif closes and self.bars:  # `|` and, on the next line, `|:`
            self.bars[-1] = replace(self.bars[-1], closes=True)
        self.line, self.ties, self.signs, self.shared = [], set(), {}, Fraction(0)

    def add(self, written: str, pitches: list[tuple[str, int]], outer: str = "") -> None:
        """Take in a note, chord or rest whose length is `written` behind it, of a chord `outer` behind all."""
        length = self.lengths.get(written)
        if length is None:
            length = self.lengths[written] = _factor(written) * self._quarters()
        if outer:
            length *= _factor(outer)
        if self.broken:
            length, self.broken = length * self.broken, None
        left, scale = self.tuplet
        if left:
            length, self.tuplet = length * scale, (left - 1, scale)
        self.before = max(pitches, key=lambda pitch: pitch[1], default=None)
        if self.before and self.tie and self.tie[1] == self.before[1]:
            self.ties.add(len(self.line))
        self.tie = None
        self.line.append((length, self.before[1] if self.before else None))

    def _quarters(self) -> Fraction:
        """The length of a note that has no number."""
        if self.unit is not None:
            return self.unit
        metre = Fraction(self.metres[0]) if self.metres and "/" in self.metres[0] else Fraction(1)
        return Fraction(1, 4) if metre < Fraction(3, 4) else Fraction(1, 2)

    def _pitch(self, token: re.Match[str]) -> tuple[str, int]:
        """A note as written and its MIDI pitch. An accidental holds to the end of its bar, in every octave."""
        letter, written = token["letter"].upper(), token["letter"] + token["octave"]
        if token["sign"]:
            self.signs[letter] = SIGNS[token["sign"]]
        elif self.tie and self.tie[0] == written:  # a tie takes its accidental over the bar line
            return self.tie
        octave = 5 if token["letter"].islower() else 4
        octave += token["octave"].count("'") - token["octave"].count(",") + self.octave
        alter = self.signs.get(letter, self.key.get(letter, 0))
        return written, 12 * (octave + 1) + LETTERS[letter] + alter

    def _chord(self, text: str, outer: str) -> None:
        if notes := list(IN_CHORD.finditer(BESIDE.sub("", text))):
            pitches = [self._pitch(note) for note in notes]
            self.add(notes[0]["length"], pitches, outer)
            if notes[pitches.index(max(pitches, key=lambda pitch: pitch[1]))]["tied"]:
                self.tie = self.before

    def _rest_bars(self, count: int) -> None:
        """Whole bars of rest: `Z2` are two."""
        metre = self.metres[-1] if self.metres else ""
        if "/" not in metre or count > MOST:
            raise UserError("it has bars of rest without a metre" if count <= MOST else "it rests for too many bars")
        for _ in range(count):
            self.end_bar("|")
            self.line = [(4 * Fraction(metre), None)]

    def _begin_tuplet(self, notes: int, space: str, count: str) -> None:
        compound = bool(self.metres) and self.metres[-1] in ("6/8", "9/8", "12/8")
        time = int(space or 0) or SPACES.get(notes, 3 if compound else 2)
        self.tuplet = (int(count or notes), Fraction(time, notes))

    def _break(self, sign: str) -> None:
        """`a>b` dots the one before and halves the next; `>>` doubly so."""
        short = Fraction(1, 2 ** min(len(sign), 4))
        before, self.broken = (2 - short, short) if sign[0] == ">" else (short, 2 - short)
        if self.line:
            length, midi = self.line[-1]
            self.line[-1] = (length * before, midi)


def _metre(value: str) -> str:
    """Numerator and denominator, or "free".

    >>> _metre("C|"), _metre(" 6/8 "), _metre("none"), _metre("2+3/8")
    ('2/2', '6/8', 'free', '5/8')
    """
    value = NAMES.get(value.strip(), value.strip())
    if (found := re.fullmatch(r"\(?(\d+(?: *\+ *\d+)*)\)?/(\d+)", value)) is None:
        return "free"
    beats = sum(map(int, found[1].split("+")))
    if not 0 < beats <= LARGEST or not 0 < int(found[2]) <= LARGEST:
        raise UserError(f"its metre is {beats}/{found[2]}; no melody has one above {LARGEST}")
    return f"{beats}/{found[2]}"


def _key(value: str) -> tuple[dict[str, int], list[Key]]:
    """Semitones by which a key alters each letter; and the key, if these are those of a usual signature.

    Its mode is told by where its tonic lies in that signature: D with one sharp is mixolydian, however it is written.

    >>> _key("Ador"), _key("D exp _b _e ^f"), _key("none")
    (({'F': 1}, [Key(sharps=1, mode='dorian')]), ({'B': -1, 'E': -1, 'F': 1}, []), ({}, []))
    >>> _key("D =c"), _key("HP")
    (({'F': 1, 'C': 0}, [Key(sharps=1, mode='mixolydian')]), ({'F': 1, 'C': 1}, [Key(sharps=2, mode='major')]))
    """
    value, altered = value.strip(), dict[str, int]()
    found = KEY.match(value)
    tonic = fifth_of(found["tonic"], found["sign"]) if found else None
    if value[:2].upper() == "HP":  # the bagpipes' scale
        altered = _signature(2)
    elif found and tonic is not None and found["mode"][:3].lower() != "exp":
        word = found["mode"][:3]  # all that counts of it; what names no mode is passed over
        named = mode_of(word) if len(word) in (0, 3) or word in "mM" else None
        altered = _signature(tonic - FIFTHS[named or "major"])
    altered |= {change["letter"].upper(): SIGNS[change["sign"]] for change in CHANGE.finditer(value)}
    real = {letter: alter for letter, alter in altered.items() if alter}
    stated = bool(found) or value[:2].upper() == "HP"
    sharps = [sharps for sharps in range(-7, 8) if stated and _signature(sharps) == real]
    return altered, [Key(one, _standing(tonic, one)) for one in sharps]


def _standing(tonic: int | None, sharps: int) -> str:
    """The mode whose tonic has this place on the line of fifths; major where it is unknown, or not of the signature."""
    return next((mode for mode, above in FIFTHS.items() if tonic == sharps + above), "major")


def _signature(sharps: int) -> dict[str, int]:
    """The letters that a key signature alters, with the semitones."""
    letters = "FCGDAEB"[:sharps] if sharps >= 0 else "BEADGCF"[:-sharps]
    return dict.fromkeys(letters, 1 if sharps > 0 else -1)


def _sums(lengths: Sequence[Fraction]) -> list[Fraction]:
    """Where each length starts that follows the others, and where the last one ends.

    >>> [str(at) for at in _sums([Fraction(1, 2), Fraction(1, 3)])]
    ['0', '1/2', '5/6']
    """
    unit = lcm(*(length.denominator for length in lengths))
    ends = accumulate((length.numerator * (unit // length.denominator) for length in lengths), initial=0)
    return [_place(end, unit) if unit <= FINE else Fraction(end, unit) for end in ends]


@lru_cache(maxsize=4096)  # a book has few places in a bar, and notes at them by the hundred thousand
def _place(step: int, unit: int) -> Fraction:
    return Fraction(step, unit)


@lru_cache(maxsize=1024)  # a book has a few lengths and writes them a hundred thousand times
def _factor(text: str) -> Fraction:
    """The length behind a note, in units.

    >>> [str(_factor(text)) for text in ("", "3", "/", "//", "3/2", "/4", "3/")]
    ['1', '3', '1/2', '1/4', '3/2', '1/4', '3/2']
    """
    number, slashes, divisor = re.fullmatch(r"(\d*)(/*)(\d*)", text).groups()  # type: ignore[union-attr]
    return _bounded(int(number or 1), int(divisor) if divisor else 2 ** len(slashes))


def _ratio(text: str) -> Fraction:
    if (found := re.fullmatch(r"(\d+)(?:/(\d+))?", text)) is None:
        raise UserError(f"its unit of length is '{text[:20]}'; that is a ratio such as 1/8")
    return _bounded(int(found[1]), int(found[2] or 1))


def _bounded(number: int, divisor: int) -> Fraction:
    if not (0 < number <= MOST and 0 < divisor <= MOST):
        raise UserError(f"a note has the length {number}/{divisor}; no melody has one beyond 1 to {MOST}")
    return Fraction(number, divisor)
