"""Keys: how far one lies from the frame, its signature, and how its pitches are spelt.

Keys and pitches have a place on the line of fifths: ... Bb -2, F -1, C 0, G 1, D 2 ..., sharps from F# 6 on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from seqtutor import UserError

LINE = "FCGDAEB"  # the letters by fifths
NAME = re.compile(r"([A-G])([#b]?)(m?)")
MOST = 7  # sharps or flats of a signature
LOWEST_FIFTH = -3  # of the twelve pitches of C major, Eb ... G#, as they are usually spelt


@dataclass(frozen=True)
class Key:
    """A major key or the minor one of the same signature."""

    sharps: int  # negative: flats
    minor: bool = False

    @property
    def shift(self) -> int:
        """Semitones from C to the major tonic, by the shorter way: -5..6.

        >>> [key(tonic).shift for tonic in ("C", "G", "Bb", "F#", "Am", "Gm")]
        [0, -5, -2, 6, 0, -2]
        """
        return (7 * self.sharps + 5) % 12 - 5

    @property
    def flat(self) -> bool:
        """Whether its black keys are flats."""
        return self.sharps < 0

    @property
    def tonic(self) -> int:
        """The pitch class that it is named after: A of A minor."""
        return (7 * self.sharps - 3 * self.minor) % 12

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


def key(tonic: str) -> Key:
    """The key of a name such as C, Bb, F#m. One of more than seven sharps or flats is written as its equal: G# as Ab.

    >>> key("Bb"), key("Am"), key("G#"), key("Dbm")
    (Key(sharps=-2, minor=False), Key(sharps=0, minor=True), Key(sharps=-4, minor=False), Key(sharps=4, minor=True))
    """
    found = NAME.fullmatch(tonic)
    if found is None:
        raise UserError(f"unknown tonic '{tonic}'; a tonic is C, F#, Bb, ... or, of a minor key, Am, F#m, Bbm, ...")
    letter, sign, minor = found.groups()
    sharps = LINE.index(letter) - 1 + {"": 0, "#": 7, "b": -7}[sign] - 3 * bool(minor)
    if abs(sharps) > MOST:
        sharps -= 12 if sharps > 0 else -12
    return Key(sharps, bool(minor))


def text_of(key: Key) -> str:
    """The name of its tonic.

    >>> [text_of(key(tonic)) for tonic in ("Bb", "Am", "C#m", "G#")]
    ['Bb', 'Am', 'C#m', 'Ab']
    """
    fifth = key.sharps + 3 * key.minor + 1
    return LINE[fifth % 7] + {-1: "b", 0: "", 1: "#"}[fifth // 7] + "m" * key.minor
