"""The terms that made the shipped music prior: originality, and what keeps the new like a phrase of the corpus.

Copies are counted by event: the cheapest ways to be new are a rare rhythm, more notes, leaps, another ending.
"""

from itertools import pairwise

import seqtutor
from seqtutor_music.events import sounding

MUSIC = seqtutor.load("music")
STEPS = 16  # of a bar


def originality(texts):
    """1 for a melody of which no 24 events in a row, 4 notes or more, stand in the corpus; 0 for a copy."""
    return [1.0 - copy for copy in MUSIC.in_corpus(texts)]


def on_eighths(texts):
    """The share of notes that begin on an eighth."""
    return [_share([note.start % 2 == 0 for note in notes]) for notes in _read(texts)]


def same_rhythm(texts):
    """The share of pairs of bars that have the same rhythm."""
    return [_share([a == b for i, a in enumerate(bars) for b in bars[:i]]) for bars in map(_bars, _read(texts))]


def calm(texts):
    """Sixteenths for each note."""
    return [len(text.split()) / max(1, len(notes)) for text, notes in zip(texts, _read(texts), strict=True)]


def steps(texts):
    """The share of intervals that are a second."""
    return [_share([abs(b.midi - a.midi) in (1, 2) for a, b in pairwise(n)]) for n in _read(texts)]


def ending(texts):
    """1 for a last note on the tonic, 1 for one of a quarter or longer."""
    return [float(bool(n) and n[-1].midi % 12 == 0) + float(bool(n) and n[-1].length >= 4) for n in _read(texts)]


def _read(texts):
    return [sounding(MUSIC.vocabulary.encode(MUSIC.encode(text))) for text in texts]


def _bars(notes):
    last = notes[-1].start // STEPS if notes else -1
    return [[note.start % STEPS for note in notes if note.start // STEPS == bar] for bar in range(last + 1)]


def _share(flags):
    return sum(flags) / len(flags) if flags else 0.0
