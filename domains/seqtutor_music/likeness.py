"""What holds the figures of melodies to those of real phrases, while the rules pay for what they are made for.

A rule moves more than it speaks of: forms that return bring steps, and take leaps and variety of rhythm away. Of all
models with the reward of the rules, the nearest to the prior whose figures are still those of real phrases is
p exp(R + sum_k w_k f_k) / Z, f_k being a melody's part in a figure (`seqtutor.rewards.figures`). The w stand in
`likeness.json`, of phrases of four bars and of sections of eight, one file a metre and mode; `python -m
seqtutor_music.fit` finds them anew. The rows that rules are to move (WANTED) are left to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from seqtutor.arrays import Values
from seqtutor_music import measures
from seqtutor_music.events import OFF, Ids
from seqtutor_music.keys import BOTH, suffix
from seqtutor_music.metre import COMMON, Metre

WANTED = (  # by the rules beyond what real phrases have of it: ends on the tonic, filled leaps, one highest note, ...
    *measures.ENDINGS,
    "leaps resolved",
    "melodies with a unique highest note",
    "melodies with a unique lowest note",
    "notes not in key",
    "notes excessively repeated",
)
MOST = 2.5  # nats; one to three real melodies in a hundred have more


def likeness(ids: Ids, metre: Metre = COMMON, tonics: Sequence[int] = BOTH) -> Values:
    """sum_k w_k f_k, nats, MOST at most, at the last event; 0 in a metre or a mode of which nobody has found the w.

    >>> scale, chord = "C4 - D4 - E4 - F4 - G4 - F4 - E4 - D4 - " * 4, "C4 - E4 - G4 - E4 - " * 8
    >>> line, broken = likeness(batch(scale, chord)).sum(axis=1)
    >>> bool(line > broken)  # which has no note outside of its chord
    True
    """
    steps = np.zeros(ids.shape)
    lengths = (ids >= OFF).sum(axis=1)
    for bars in np.unique(lengths // metre.bar).tolist():  # each is held to real ones of its own length
        if weights := table(bars, metre, tonics):
            rows = np.flatnonzero(lengths // metre.bar == bars)
            found = parts(ids[rows, : lengths[rows].max()], metre, tonics)
            worth = sum(
                (weight * found[name] for name, weight in weights.items() if name in found), np.zeros(len(rows))
            )
            steps[rows, lengths[rows] - 1] = np.minimum(worth, MOST)
    return steps


def parts(ids: Ids, metre: Metre = COMMON, tonics: Sequence[int] = BOTH) -> dict[str, Values]:
    """The part (N,) of each melody in every figure that is held: value - real * weight.

    It ends where 98 of 100 real melodies do: nothing is paid for more than they have. The commonest half bars are those
    of a set, so that no melody by itself has a part in them.
    """
    known = measures.real(ids.shape[1] // metre.bar, metre, tonics)
    left_out = (*WANTED, f"commonest {metre.part}s")
    found = {}
    for m in measures.measure(ids, metre, tonics):
        if m.reference is not None and not m.of_set and m.name not in left_out:
            row, weighs = known[m.name], np.maximum(m.weights, 1e-9)
            found[m.name] = ((m.values / weighs).clip(row["low"], row["high"]) - row["mean"]) * m.weights
    return found


def table(bars: int, metre: Metre = COMMON, tonics: Sequence[int] = BOTH) -> Mapping[str, float]:
    """The w of four bars, or of eight, whichever is nearer; none where nobody has found them.

    A figure is counted as often as a melody is long: in one that is twice as long each w is half.
    """
    known = measures.by_bars(kept(metre, tonics))
    if not known or not bars:
        return {}
    nearest = min(known, key=lambda one: abs(one - bars))
    return {name: weight * nearest / bars for name, weight in known[nearest].items()}


def kept(metre: Metre, tonics: Sequence[int] = BOTH) -> Path:
    """Where the w of a metre and a mode stand."""
    return Path(__file__).parent / f"likeness{metre.kind}{suffix(tonics)}.json"
