"""The music domain: what the core asks of it, each answer one call into a module of this package."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, final

from seqtutor import DataLine, Domain, Measure, Progress, TokenTerm, Undecodable, UserError, Vocabulary
from seqtutor import option, silent, unknown
from seqtutor_music import corpus
from seqtutor_music.events import FIRST_PITCH, NAMES, STEPS, VOCABULARY, join, parse

FLATS = {"Db": "C#", "Eb": "D#", "Gb": "F#", "Ab": "G#", "Bb": "A#"}
PITCHES = frozenset(VOCABULARY.tokens[FIRST_PITCH:])


@dataclass(frozen=True)
class Options:
    """What a melody is."""

    bars: int = option(4, "Bars of 4/4 in a melody; the paper's melodies have 2")
    tonic: str = option("C", "Key of the text and files: C, F#, Bb, ... (its relative minor comes with it)")
    preset: str = option("default", "Weights of the rules: ours, or the paper's", choices=("default", "paper"))

    def __post_init__(self) -> None:
        if self.bars < 1:
            raise UserError(f"a melody has at least 1 bar; bars is {self.bars}")
        if self.tonic not in NAMES and self.tonic not in FLATS:
            raise unknown("tonic", self.tonic, (*NAMES, *FLATS))

    @property
    def shift(self) -> int:
        """Semitones from C to the tonic, by the shorter way: -5..6.

        >>> Options(tonic="G").shift, Options(tonic="Bb").shift, Options(tonic="F#").shift
        (-5, -2, 6)
        """
        return (NAMES.index(FLATS.get(self.tonic, self.tonic)) + 5) % 12 - 5


@final
class MusicDomain(Domain):
    """Melodies: one event a sixteenth, a fixed number of bars of 4/4."""

    name = "music"
    summary = "melodies of fixed length, tuned to rules of music theory"
    Options = Options
    fixed_length = True
    options: Options

    @property
    def vocabulary(self) -> Vocabulary:
        return VOCABULARY

    @property
    def max_length(self) -> int:
        return self.options.bars * STEPS

    def corpus(self, progress: Progress = silent) -> list[str]:
        """Whole tunes of four books of 1778-1903; see `seqtutor_music.corpus`."""
        shift = self.options.shift
        return [join(text.split(), shift) for text in corpus.corpus(progress)]

    def encode(self, text: str) -> list[str]:
        """Tokens in the frame, C major or A minor, of a text in the key of the options."""
        return parse(text, self.options.shift)

    def decode(self, tokens: Sequence[str]) -> str:
        """The text in the key of the options."""
        if not tokens:
            raise Undecodable("no events: a melody has at least one")
        return join(tokens, self.options.shift)

    def excerpts(self, tokens: Sequence[str]) -> list[list[str]]:
        """A window at every bar that starts with a note, so that no melody starts inside one or with silence.

        The last window ends with the tune. A tune that is shorter than a window gives none.
        """
        length = self.max_length
        starts = range(0, len(tokens) - length + 1, STEPS)
        return [list(tokens[start : start + length]) for start in starts if tokens[start] in PITCHES]

    def read(self, path: Path) -> Iterator[DataLine]:
        raise NotImplementedError

    def terms(self) -> Sequence[TokenTerm]:
        raise NotImplementedError

    def measure(self, texts: Sequence[str | None]) -> list[Measure]:
        raise NotImplementedError

    def write(self, texts: Sequence[str], folder: Path) -> list[Path]:
        raise NotImplementedError

    def picture(self, text: str) -> str:
        raise NotImplementedError
