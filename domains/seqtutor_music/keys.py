"""Keys: how far one lies from the frame, its signature, its tonic, and how its pitches are spelt.

Keys and pitches have a place on the line of fifths: ... Bb -2, F -1, C 0, G 1, D 2 ..., sharps from F# 6 on. A key has
the notes of its signature; its mode says on which of them it stands. In the frame, without sharps or flats, major
stands on C, dorian on D, and minor, which is aeolian, on A.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from seqtutor import UserError

LINE = "FCGDAEB"  # the letters by fifths
NAME = re.compile(r"([A-G])([#b]?)(?: *(m|[A-Za-z]{2,}))?")
FIFTHS = {  # by which the tonic of a mode lies above that of the major key with its signature
    "major": 0, "mixolydian": 1, "dorian": 2, "minor": 3, "phrygian": 4, "locrian": 5, "lydian": -1,
}  # fmt: skip
OTHER_WORDS = {"ionian": "major", "aeolian": "minor"}
MAJOR = (0, 2, 4, 5, 7, 9, 11)  # pitch classes of the frame
BOTH = (0, 9)  # C and A: the tonics of major and minor in the frame
MOST = 7  # sharps or flats of a signature
LOWEST_FIFTH = -3  # of the twelve pitches of C major, Eb ... G#, as they are usually spelt


@dataclass(frozen=True)
class Key:
    """A signature, and the mode that stands on one of its notes."""

    sharps: int  # negative: flats
    mode: str = "major"  # one of FIFTHS

    @property
    def shift(self) -> int:
        """Semitones from the frame to this signature, from C to its major tonic, by the shorter way: -5..6.

        >>> [key(tonic).shift for tonic in ("C", "G", "Bb", "F#", "Am", "Gm", "Ddor")]
        [0, -5, -2, 6, 0, -2, 0]
        """
        return (7 * self.sharps + 5) % 12 - 5

    @property
    def flat(self) -> bool:
        """Whether its black keys are flats."""
        return self.sharps < 0

    @property
    def tonic(self) -> int:
        """The pitch class that it is named after: A of A minor."""
        return 7 * (self.sharps + FIFTHS[self.mode]) % 12

    @property
    def tonics(self) -> tuple[int, ...]:
        """The pitch classes, in the frame, on which a melody of this key may stand: see `grid.home`.

        Of a major key, which is what a signature is called by, also that of the minor key with the same notes: the
        melody itself says which one it is in.

        >>> [key(tonic).tonics for tonic in ("G", "Em", "Adorian", "Dmix")]
        [(0, 9), (9,), (2,), (7,)]
        """
        own = Key(0, self.mode).tonic
        return BOTH if own == BOTH[0] else (own,)

    def alters(self, letter: str) -> int:
        """Semitones by which the signature alters a letter.

        >>> [key("D").alters(letter) for letter in "FGC"], key("Gb").alters("C")
        ([1, 0, 1], -1)
        """
        return (self.sharps - LINE.index(letter) + 6) // 7

    def spelt(self, midi: int) -> tuple[str, int, int]:
        """Letter, alteration in semitones and octave of a pitch, as this key would write it.

        >>> key("C").spelt(66), key("Eb").spelt(66), key("F#").spelt(65), key("Gb").spelt(71)
        (('F', 1, 4), ('G', -1, 4), ('E', 1, 4), ('C', -1, 5))
        """
        lowest = self.sharps + LOWEST_FIFTH
        fifth = lowest + (7 * midi - lowest) % 12
        letter, alter = LINE[(fifth + 1) % 7], (fifth + 1) // 7
        return letter, alter, (midi - alter) // 12 - 1

    def name(self, midi: int) -> str:
        """What this key calls a pitch.

        >>> key("Gm").name(66), key("Bb").name(70), key("F#").name(65)
        ('F#4', 'Bb4', 'E#4')
        """
        letter, alter, octave = self.spelt(midi)
        return f"{letter}{'#' * alter}{'b' * -alter}{octave}"


HOME = Key(0)  # of the frame


def key(tonic: str) -> Key:
    """The key of a name such as C, Bb, F#m, Ddor, "G mixolydian".

    One of more than seven sharps or flats is written as its equal: G# as Ab.

    >>> key("Bb"), key("G#"), key("D dorian")
    (Key(sharps=-2, mode='major'), Key(sharps=-4, mode='major'), Key(sharps=0, mode='dorian'))
    """
    found = NAME.fullmatch(tonic)
    mode = mode_of(found[3] or "") if found else None
    if found is None or mode is None:
        capital = tonic[:1].upper() + tonic[1:]
        meant = f"; did you mean '{capital}'?" if capital != tonic and NAME.fullmatch(capital) else ""
        raise UserError(
            f"unknown tonic '{tonic}'; a tonic is C, F#, Bb, ... or, of a minor key, Am, F#m, Bbm, ... or, "
            f"of another mode, Ddor, Gmix, Aphr, Flyd, Bloc, or in full: 'D dorian'{meant}"
        )
    sharps = fifth_of(found[1], found[2]) - FIFTHS[mode]
    if abs(sharps) > MOST:
        sharps -= 12 if sharps > 0 else -12
    return Key(sharps, mode)


def mode(tonics: Sequence[int]) -> str:
    """The mode that stands on these pitch classes of the frame.

    >>> mode(BOTH), mode((9,)), mode((2,))
    ('major', 'minor', 'dorian')
    """
    return next(name for name in FIFTHS if Key(0, name).tonics == tuple(tonics))


def suffix(tonics: Sequence[int] = BOTH) -> str:
    """Behind the names of what is shipped for a mode: priors, figures, weights; empty for major.

    >>> suffix(), suffix((9,))
    ('', '-minor')
    """
    return "" if tuple(tonics) == BOTH else f"-{mode(tonics)}"


def chord(tonics: Sequence[int] = BOTH) -> tuple[int, int, int]:
    """The pitch classes, in the frame, of the triad on the first of the tonics.

    >>> chord(), chord((2,)), chord((11,))
    ((0, 4, 7), (2, 5, 9), (11, 2, 5))
    """
    at = MAJOR.index(tonics[0])
    return MAJOR[at], MAJOR[(at + 2) % 7], MAJOR[(at + 4) % 7]


def fifth_of(letter: str, sign: str = "") -> int:
    """The place on the line of fifths of a letter with #, b or nothing.

    >>> fifth_of("C"), fifth_of("B", "b"), fifth_of("F", "#")
    (0, -2, 6)
    """
    return LINE.index(letter) - 1 + {"": 0, "#": 7, "b": -7}[sign]


def mode_of(word: str) -> str | None:
    """The mode that a word names, in full or by its beginning, in any case; None where it is none, or more than one.

    >>> [mode_of(word) for word in ("", "m", "Dorian", "MIX", "aeo", "mi", "dorisch")]
    ['major', 'minor', 'dorian', 'mixolydian', 'minor', None, None]
    """
    if word.lower() in ("", "m"):
        return "minor" if word else "major"
    named = [name for name in (*FIFTHS, *OTHER_WORDS) if name.startswith(word.lower())]
    return OTHER_WORDS.get(named[0], named[0]) if len(named) == 1 else None


def text_of(key: Key) -> str:
    """Its name, as ABC and `--tonic` have it.

    >>> [text_of(key(tonic)) for tonic in ("Bb", "Am", "C#m", "G#", "D dorian")]
    ['Bb', 'Am', 'C#m', 'Ab', 'Ddor']
    """
    return _tonic(key) + {"major": "", "minor": "m"}.get(key.mode, key.mode[:3])


def name_of(key: Key) -> str:
    """Its name in words.

    >>> name_of(key("Bbm")), name_of(key("F#mix"))
    ('Bb minor', 'F# mixolydian')
    """
    return f"{_tonic(key)} {key.mode}"


def _tonic(key: Key) -> str:
    fifth = key.sharps + FIFTHS[key.mode] + 1
    return LINE[fifth % 7] + {-1: "b", 0: "", 1: "#"}[fifth // 7]
