"""The music domain: what the core asks of it, each answer one call into a module of this package."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, final

import numpy as np

from seqtutor import (
    DataLine,
    Domain,
    Figures,
    Measure,
    Progress,
    RewardTerm,
    Undecodable,
    UserError,
    Vocabulary,
    option,
    silent,
)
from seqtutor.option import checked
from seqtutor.priors.encoding import padded
from seqtutor_music import (
    corpus,
    files,
    harmony,
    keys,
    measures,
    pictures,
    rules,
    staff,
    triplets,
    variation,
    writing,
)
from seqtutor_music.copies import copied
from seqtutor_music.events import (
    BEAT,
    TRIPLET_TOKEN,
    VOCABULARY,
    WITH_TRIPLETS,
    Ids,
    Note,
    join,
    parse,
    parts,
    sounding,
)
from seqtutor_music.grid import heights
from seqtutor_music.metre import COMMON, METRES, Metre
from seqtutor_music.phrases import phrases, turns
from seqtutor_music.sheets import Sheet

FARTHEST = 3  # octaves
MOST_BARS = 2048  # 32,768 sixteenths, the most tokens of an item
SECTION = 8  # bars that most sections of the corpus have
TURNS = (4, 8)  # bars before a section that a prior learns together with it


@dataclass(frozen=True)
class MusicOptions:
    """What a melody is."""

    bars: int = option(4, "Bars of a melody; the paper's melodies have 2", between=(1, MOST_BARS))
    metre: str = option(COMMON.name, "Metre of the melodies, and of the files that are read", choices=tuple(METRES))
    tonic: str = option(
        "C", "Key of the text and files: C, F#, Bb, ...; minor Am, F#m, ...; a mode Ddor, 'G mixolydian', ..."
    )
    octave: int = option(
        0, "Octaves that the text and files stand above the usual place", between=(-FARTHEST, FARTHEST)
    )
    tempo: int = option(120, "Quarters a minute", between=(10, 400))
    formats: str = option("mid", "Files that are written, with commas: mid (always), abc, musicxml, wav")
    chords: str = option(
        "", 'Chords to fit, in the key of the tonic, bar by bar and over again: "C | Am | F G7 | C"', beside="tonic"
    )
    triplets: bool = option(False, "Melodies may divide a quarter in three; in 4/4, or by a prior of your own")
    preset: str = option("default", "The rules that are paid for: ours, or the paper's", choices=("default", "paper"))

    def __post_init__(self) -> None:
        if meant := next((one.name for one in METRES.values() if self.metre in one.reads[1:]), ""):
            raise UserError(f"tunes in {self.metre} are read as {meant}: --metre {meant}")
        checked(self)
        keys.key(self.tonic)
        writing.formats(self.formats)
        _ = self.progression
        if self.triplets and self.bar.beat != BEAT:
            raise UserError(f"a beat of {self.metre} has three eighths by itself; triplets are of 4/4 and 3/4")

    @property
    def shift(self) -> int:
        """Semitones from the frame to the key, by the shorter way: -5..6; and to the octave.

        >>> [MusicOptions(tonic=tonic).shift for tonic in ("G", "Bb", "F#")]
        [-5, -2, 6]
        """
        return self.key.shift + 12 * self.octave

    @property
    def key(self) -> keys.Key:
        """The key of the tonic."""
        return keys.key(self.tonic)

    @property
    def bar(self) -> Metre:
        """What a bar is, and whether its beats may be divided in three."""
        return replace(METRES[self.metre], triplets=self.triplets)

    @property
    def progression(self) -> list[harmony.Chord]:
        """The chords to fit; empty where none are given."""
        return harmony.chords(self.chords, self.bar) if self.chords.strip() else []

    @property
    def seconds(self) -> float:
        """Of a sixteenth."""
        return 15 / self.tempo


@final
class MusicDomain(Domain):
    """Melodies: one event a sixteenth, a fixed number of bars."""

    name = "music"
    summary = "melodies of fixed length, tuned to rules of music theory"
    Options = MusicOptions
    defaults = {  # noqa: RUF012 (declared as a class variable by Domain)
        "objective": "reinforce",
        "temperature": 1.0,  # the weights are nats
        "rollouts": 128,
        "updates": 150,
        "learning_rate": 5e-4,
        "head_speed": 3.0,  # the pulls towards what stood before are in the head
        "learning_rate_end": 5e-5,
    }
    fixed_length = True
    options: MusicOptions

    def __init__(self, options: MusicOptions | None = None) -> None:
        """`options`: None means all defaults."""
        super().__init__(options)
        self.metre = self.options.bar
        self.unit, self.lookback = self.metre.bar, self.metre.lookback
        self.heights = heights(len(self.vocabulary))

    @property
    def own_prior(self) -> str:
        """Each metre has a prior of its own, and so have melodies with triplets, and modes in which there are tunes."""
        tonics = self.options.key.tonics
        return self.name + self.metre.kind + keys.suffix(tonics) * measures.knows(self.metre, tonics)

    @property
    def vocabulary(self) -> Vocabulary:
        """Off, hold, the pitches C3..B5 of the frame, and the sign of a triplet where there may be any."""
        return WITH_TRIPLETS if self.options.triplets else VOCABULARY

    @property
    def max_length(self) -> int:
        """Sixteenths in a melody."""
        return self.options.bars * self.metre.bar

    def corpus(self, progress: Progress = silent) -> list[str]:
        """Whole tunes of four books of 1778-1903; see `seqtutor_music.corpus`."""
        return [self._text(text.split()) for text in corpus.corpus(progress, self.metre)]

    def encode(self, text: str) -> list[str]:
        """Tokens in the frame, without sharps or flats, of a text in the key of the options."""
        tokens = parse(text, self.options.shift)
        if TRIPLET_TOKEN in tokens and not self.options.triplets:
            place = tokens.index(TRIPLET_TOKEN) + 1
            raise UserError(f"event {place} is '{TRIPLET_TOKEN}', a triplet, which melodies have with --triplets alone")
        return tokens

    def decode(self, tokens: Sequence[str]) -> str:
        """The text in the key of the options."""
        if not tokens:
            raise Undecodable("no events: a melody has at least one")
        return self._text(tokens)

    def excerpts(self, text: str) -> list[list[str]]:
        """The last bars of each section, which end as music ends; see `phrases`. A shorter section gives none."""
        return phrases(text, self.options.bars, self.options.shift, self.metre)

    def lessons(self, text: str) -> list[list[str]]:
        """The last 1, 2, ... 8 bars of each section, or more: an ending is one from wherever the melody begins.

        And sections of eight bars with the last four, or eight, before them: in a longer melody one follows another.
        """
        shift, metre = self.options.shift, self.metre
        found = [phrases(text, bars, shift, metre) for bars in range(1, max(SECTION, self.options.bars) + 1)]
        found += [turns(text, before, SECTION, shift, metre) for before in TURNS]
        return [lesson for these in found for lesson in these]

    def read(self, path: Path) -> Iterator[DataLine]:
        """Melodies of .mid, .abc, .musicxml and .txt files, moved to the key of the options; see `files`."""
        for found in files.read_files(path, self.options.shift, self.metre):
            if isinstance(found.words, UserError):
                yield DataLine(found.where, None, str(found.words))
            else:
                yield DataLine(found.where, self._text(found.words))

    def stated(self, path: Path) -> dict[str, Any]:
        """The key of the one melody in a file, and how many octaves it stands from where that key has it."""
        read = files.read_files(path, self.options.shift, self.metre)
        found = [(one.key, one.by) for one in read if one.key is not None]
        if len(found) != 1:
            return {}
        ((key, by),) = found
        tonic = self.options.tonic if self.options.key == key else keys.text_of(key)  # as it was typed
        return {"tonic": tonic, "octave": min(max((-by - key.shift) // 12, -FARTHEST), FARTHEST)}

    def terms(self) -> Sequence[RewardTerm]:
        """The rules of the preset, and the one of the chords where there are any."""
        return rules.terms(self.options.preset, self.options.progression, self.options.key, self.metre)

    def in_corpus(self, texts: Sequence[str]) -> list[bool]:
        """Whether two bars in a row, with 4 notes or more, stand in the corpus."""
        ids = triplets.heard(self._ids(texts))
        return [bool(copy) for copy in copied(ids, corpus.known(self.metre), self.metre.copy)]

    def commonest(self, texts: Sequence[str]) -> list[float]:
        """Of each melody the share of its half bars that are among the ten commonest of all."""
        return measures.commonest(texts, self.metre)

    def measure(self, texts: Sequence[str | None]) -> list[Measure]:
        """The rows of the paper's Table 1, and how near to real tunes the samples are; see `measures`."""
        return measures.measure(self._ids(texts), self.metre, self.options.key.tonics)

    def write(self, texts: Sequence[str], folder: Path, figures: Figures | None = None) -> list[Path]:
        """Numbered MIDI files, and the other formats of the options."""
        melodies = [(self._sounding(text), len(self.encode(text))) for text in texts]
        return writing.write(
            melodies, folder, writing.formats(self.options.formats), self._sheet(writing.title(folder))
        )

    def picture(self, text: str) -> str:
        """A piano roll."""
        return self._roll(self._sounding(text), len(self.encode(text)))

    def notation(self, text: str) -> str:
        """Staff notation, where verovio is installed."""
        return staff.staff(self._sounding(text), len(self.encode(text)), self._sheet(""))

    def parts(self, text: str) -> list[tuple[str, int]]:
        """Notes and rests, each with its bar and beat."""
        return parts(self._events(text), self.options.key.name, self.options.shift, self.metre)

    def coloured(self, text: str, paid: Sequence[float]) -> str:
        """A piano roll whose notes are blue where the rules paid and orange where they charged."""
        ids = self._events(text)
        starts = [note.events.start for note in sounding(ids)]
        worth = [float(sum(paid[at:end])) for at, end in pairwise([*starts, len(ids)])]
        return self._roll(self._sounding(text), len(ids), worth)

    def notes(self, text: str) -> list[tuple[float, float, int]]:
        """The notes in seconds."""
        seconds = self.options.seconds
        return [(n.start * seconds, n.length * seconds, n.midi) for n in self._sounding(text)]

    def caption(self, text: str) -> str:
        """How many notes, from where to where."""
        return pictures.describe(self._sounding(text), self.options.key)

    def vary(self, texts: Sequence[str], rng: np.random.Generator) -> list[str]:
        """Each text with one motif moved along the scale or inverted, one bar copied, or one note moved by a step."""
        varied = (variation.vary(self._events(text), rng, self.metre) for text in texts)
        new = dict.fromkeys(self.decode(self.vocabulary.decode(ids)) for ids in varied if ids)
        return [text for text in new if text not in texts]

    def detached(self, tokens: Sequence[str], start: int) -> list[str]:
        """A note that sounds on at `start` is struck there anew, so that it is the same note."""
        return self.vocabulary.decode(variation.struck_anew(self.vocabulary.encode(tokens), start))

    def following(self, start: int) -> MusicDomain:
        """Chords that begin with those of the bar in which `start` lies."""
        chords = harmony.turned(self.options.chords, start // self.metre.bar)
        return MusicDomain(replace(self.options, chords=chords))

    def family(self, text: str) -> str:
        """The opening bar."""
        return " ".join(text.split()[: self.metre.bar])

    def _sheet(self, title: str) -> Sheet:
        """What stands at the head of a melody of these options."""
        return Sheet(title, self.options.key, self.options.tempo, tuple(self.options.progression), self.metre)

    def _roll(self, notes: Sequence[Note], steps: int, worth: Sequence[float] = ()) -> str:
        return pictures.piano_roll(notes, steps, self.options.key, self.options.seconds, worth, self.metre)

    def _text(self, words: Iterable[str]) -> str:
        """Events in the frame, and marks, as text in the key of the options."""
        return join(words, self.options.shift, self.options.key.flat)

    def _ids(self, texts: Sequence[str | None]) -> Ids:
        """Ids (N, T) in the frame; a row of padding where there is no text."""
        return padded([[] if text is None else self._events(text) for text in texts])

    def _events(self, text: str) -> list[int]:
        return self.vocabulary.encode(self.encode(text))

    def _sounding(self, text: str) -> list[Note]:
        """The notes one hears, in the key of the options and in sixteenths."""
        ids, shift = self._events(text), self.options.shift
        return [n._replace(midi=n.midi + shift) for n in triplets.timed(sounding(ids), ids)]
