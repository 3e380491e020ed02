"""Chords that a melody is to fit: read from their symbols, and a rule that pays for their notes on strong beats."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from seqtutor import UserError
from seqtutor_music.context import Values, pitch_class
from seqtutor_music.events import ACCIDENTALS, LETTERS, Ids
from seqtutor_music.grid import latest, sounds
from seqtutor_music.metre import COMMON, Metre

SYMBOL = re.compile(r"([A-G])([#b]?)([^/]*)(?:/([A-G])([#b]?))?")  # a bass note changes nothing for a melody
QUALITIES: dict[str, tuple[int, ...]] = {  # semitones above the root
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "7": (0, 4, 7, 10),
    "m7": (0, 3, 7, 10),
    "maj7": (0, 4, 7, 11),
    "6": (0, 4, 7, 9),
    "m6": (0, 3, 7, 9),
    "9": (0, 2, 4, 7, 10),
    "sus2": (0, 2, 7),
    "sus4": (0, 5, 7),
    "dim": (0, 3, 6),
    "dim7": (0, 3, 6, 9),
    "m7b5": (0, 3, 6, 10),
    "aug": (0, 4, 8),
}
KINDS = {"": "major", "m": "minor", "7": "dominant", "m7": "minor-seventh", "maj7": "major-seventh",
         "6": "major-sixth", "m6": "minor-sixth", "9": "dominant-ninth", "sus2": "suspended-second",
         "sus4": "suspended-fourth", "dim": "diminished", "dim7": "diminished-seventh",
         "m7b5": "half-diminished", "aug": "augmented"}  # as MusicXML names them  # fmt: skip


@dataclass(frozen=True)
class Chord:
    """A chord as it was written, and where it begins and ends, in sixteenths of the progression."""

    symbol: str
    start: int
    length: int

    @property
    def parts(self) -> tuple[str, int, str]:
        """The letter and the alteration of its root, and its quality.

        >>> Chord("Bbmaj7", 0, 16).parts, Chord("F#m", 0, 16).parts
        (('B', -1, 'maj7'), ('F', 1, 'm'))
        """
        letter, sign, quality = _read(self.symbol)[:3]
        return letter, ACCIDENTALS[sign], quality

    @property
    def bass(self) -> tuple[str, int] | None:
        """The letter and the alteration of a bass note that is another one than the root.

        >>> Chord("C/Eb", 0, 16).bass, Chord("C", 0, 16).bass, Chord("C7/C", 0, 16).bass
        (('E', -1), None, None)
        """
        letter, sign = _read(self.symbol)[3:]
        found = (letter, ACCIDENTALS[sign])
        return found if letter and found != self.parts[:2] else None

    @property
    def pitch_classes(self) -> frozenset[int]:
        """Its notes, 0 for C to 11 for B.

        >>> sorted(Chord("Am", 0, 16).pitch_classes), sorted(Chord("G7/B", 0, 16).pitch_classes)
        ([0, 4, 9], [2, 5, 7, 11])
        """
        letter, alter, quality = self.parts
        return frozenset((LETTERS[letter] + alter + above) % 12 for above in QUALITIES[quality])


def _read(symbol: str) -> tuple[str, ...]:
    """The letter and the sign of its root, its quality, the letter and the sign of its bass; empty where none."""
    found = SYMBOL.fullmatch(symbol)
    if found is None or found[3] not in QUALITIES:
        raise UserError(
            f"unknown chord '{symbol}'; a chord is a root, C, F#, Bb, ..., and one of "
            f"{', '.join(quality for quality in QUALITIES if quality)}, or nothing for a major triad"
        )
    return found.groups(default="")


def chords(text: str, metre: Metre = COMMON) -> list[Chord]:
    """The chords of a progression whose bars stand between strokes: one for each bar, strong beat or beat.

    A bar of 4/4 has 1, 2 or 4, one of 3/4 has 1 or 3, one of 6/8 has 1 or 2. Without a stroke each has a bar.

    >>> [(chord.symbol, chord.start, chord.length) for chord in chords("C | Am F |")]
    [('C', 0, 16), ('Am', 16, 8), ('F', 24, 8)]
    >>> chords("C Am F") == chords("C | Am | F")
    True
    """
    bars = _bars(text)
    counts = sorted({1, metre.bar // metre.strong, metre.bar // metre.beat})
    found = []
    for number, bar in enumerate(bars):
        if len(bar) not in counts:
            possible = f"{', '.join(map(str, counts[:-1]))} or {counts[-1]}"
            raise UserError(f"bar {number + 1} of the chords '{text}' has {len(bar)} of them; a bar has {possible}")
        length = metre.bar // len(bar)
        found += [Chord(symbol, metre.bar * number + length * place, length) for place, symbol in enumerate(bar)]
    for chord in found:
        _read(chord.symbol)
    return found


def turned(text: str, bars: int) -> str:
    """A progression that begins `bars` later, as it sounds when it has been played over and over.

    >>> turned("C | Am F | G7", 4), turned("C G", 0)
    ('Am F | G7 | C', 'C | G')
    """
    found = _bars(text)
    first = bars % len(found) if found else 0
    return " | ".join(" ".join(bar) for bar in found[first:] + found[:first])


def _bars(text: str) -> list[list[str]]:
    return [bar.split() for bar in text.strip().strip("|").split("|")] if "|" in text else [[s] for s in text.split()]


def chord_tones(progression: Sequence[Chord], shift: int, metre: Metre = COMMON) -> Callable[[Ids], Values]:
    """The rule for a progression, which begins anew when it has ended; `shift`: semitones from the frame to its key.

    On strong beats (1 and 3 of 4/4), and wherever else a chord begins, a note of the chord that sounds earns 1; another
    costs 1.

    >>> chord_tones(chords("C G |"), 0)(batch("E4 - D4 - - - - - B4 - - - . - - -")).round(0)[0, [0, 2, 8]]
    array([1., 0., 1.])
    >>> float(chord_tones(chords("C"), 0)(batch("D4 - - - - - - - . - - - - - - -")).sum())
    -1.0
    """
    length = progression[-1].start + progression[-1].length
    fits = np.zeros((length, 12))
    counts = np.arange(length) % metre.strong == 0
    for chord in progression:
        fits[chord.start : chord.start + chord.length, [(pc - shift) % 12 for pc in chord.pitch_classes]] = 1.0
        counts[chord.start] = True

    def values(ids: Ids) -> Values:
        steps = np.arange(ids.shape[1]) % length
        fit = fits[steps, pitch_class(latest(ids, ids))]
        return np.where(sounds(ids) & counts[steps], 2.0 * fit - 1.0, 0.0)

    return values
