"""The commonest half bars of a set of melodies: a model that has stopped inventing uses a few again and again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from seqtutor_music.metre import COMMON, Metre

COMMONEST = 10


def commonest(texts: Sequence[str], metre: Metre = COMMON) -> list[float]:
    """Of each melody the share of its half bars that are among the ten commonest of all; 0 where it has none.

    >>> cell, other = "C4 - - - D4 - - -", "E4 - F4 - G4 - - -"
    >>> commonest([f"{cell} {cell}", f"{cell} {other}", "C4 - -"])
    [1.0, 1.0, 0.0]
    """
    melodies = [_halves(text, metre.strong) for text in texts]
    counts = Counter(half for melody in melodies for half in melody)
    common = set(sorted(counts, key=lambda half: (-counts[half], half))[:COMMONEST])
    return [sum(half in common for half in melody) / max(len(melody), 1) for melody in melodies]


def _halves(text: str, half: int) -> list[str]:
    """The whole half bars of a text."""
    words = text.split()
    return [" ".join(words[at : at + half]) for at in range(0, len(words) - half + 1, half)]
