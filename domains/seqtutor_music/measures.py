"""What a musician expects to read of a set of melodies: the rows of the paper's Table 1, and four of our own.

As in the paper, the shares of "notes" are shares of all sixteenth events, holds and rests too; melodies are shares of
melodies; the leaps that count are those resolved and those doubled by a second leap in the same direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seqtutor import Measure
from seqtutor_music import rules
from seqtutor_music.events import FIRST_PITCH, OFF, STEPS, VOCABULARY, Ids, batch

__all__ = ["batch", "copied", "measure"]  # batch, for the doctests

Values = NDArray[np.float64]
SCATTER = np.uint64(0x9E3779B97F4A7C15)  # odd, from the golden ratio: spreads ids over 64 bits
COPY_NOTES = 4


def measure(ids: Ids) -> list[Measure]:
    """The figures of N melodies (N, T); a row of padding is no melody and weighs nothing.

    >>> for m in measure(batch("C4 - E4 - G4 - E4 - C4 - - -", "E4 - F#4 - E4 - - - . - - -"))[4:7]:
    ...     print(m.name, round(m.mean, 3))
    notes not in key 0.042
    melodies starting with the tonic 0.5
    leaps resolved nan
    """
    events = _sum(ids >= OFF)
    whole = (events > 0).astype(np.float64)
    leaps, last = rules.leaps(ids), np.maximum(events.astype(np.int64) - 1, 0)
    r = np.take_along_axis(rules.coefficients(ids), last[None, :, None], axis=2)[:, :, 0]  # (3, N)
    varied = whole * (_range(ids, OFF) > 0)
    strikes = _sum(rules.pitched(ids))
    return [
        _share("notes excessively repeated", rules.repeating(ids) < 0, events, "lower"),
        *(
            Measure(f"mean autocorrelation, lag {lag}", r[i] * varied, varied, "lower", summary="of the events")
            for i, lag in enumerate(rules.LAGS)
        ),
        _share("notes not in key", rules.key(ids) < 0, events, "lower"),
        _share("melodies starting with the tonic", ids[:, :1] == rules.TONIC, whole, "higher"),
        _share("leaps resolved", leaps.resolved, _sum(leaps.resolved | leaps.doubled), "higher"),
        _share("melodies with a unique highest note", rules.unique_highest(ids)[:, None], whole, "higher"),
        _share("melodies with a unique lowest note", rules.unique_lowest(ids)[:, None], whole, "higher"),
        _share("notes in a motif", rules.motif(ids) > 0, events, "higher"),
        _share("notes in a repeated motif", rules.repeated_motif(ids) > 0, events, "higher"),
        _share("distinct melodies", _first_of_its_kind(ids)[:, None] & (whole > 0)[:, None], whole, "higher"),
        Measure("notes per bar", strikes, events / STEPS, summary="pitches struck in 16 steps"),
        Measure("range in semitones", _range(ids, FIRST_PITCH), (strikes > 0).astype(np.float64)),
    ]


def copied(ids: Ids, corpus: Ids, length: int = 24) -> NDArray[np.bool_]:
    """(N,): whether a melody has `length` events in a row that stand so in the corpus, both (N, T) and in the frame.

    Stretches of fewer than 4 struck notes are nobody's and count for nothing.

    >>> tune = batch("C4 - D4 - E4 - F4 - G4 - A4 - G4 -")
    >>> copied(batch("C5 - - D4 - E4 - F4 - G4", "C4 - D4 - E4 - D4 - C4 -"), tune, length=8)
    array([ True, False])
    """
    found = np.isin(_windows(ids, length), _windows(corpus, length).ravel()) & _substantial(ids, length)
    return np.asarray(found.any(axis=1))


def _share(name: str, counted: NDArray[np.bool_], of: Values, better: Literal["higher", "lower"]) -> Measure:
    return Measure(name, _sum(counted), of, better, percent=True)


def _sum(flags: NDArray[np.bool_]) -> Values:
    return flags.sum(axis=1).astype(np.float64)


def _range(ids: Ids, first: int) -> Values:
    """(N,): from the lowest to the highest of the ids from `first` on; 0 where there are none."""
    highest = ids.max(axis=1, initial=0)
    lowest = np.where(ids >= first, ids, len(VOCABULARY)).min(axis=1, initial=len(VOCABULARY))
    return np.maximum(highest - lowest, 0).astype(np.float64)


def _first_of_its_kind(ids: Ids) -> NDArray[np.bool_]:
    """(N,): whether no earlier row is the same."""
    first = np.zeros(len(ids), dtype=bool)
    first[np.unique(ids, axis=0, return_index=True)[1]] = True
    return first


def _windows(ids: Ids, length: int) -> NDArray[np.uint64]:
    """(N, T - length + 1): a number for each stretch of `length` events, the same for the same events."""
    count = max(ids.shape[1] - length + 1, 0)
    codes = np.zeros((len(ids), count), dtype=np.uint64)
    for i in range(length):  # wraps around at 64 bits, which is meant
        codes = (codes + ids[:, i : i + count].astype(np.uint64) + np.uint64(1)) * SCATTER
        codes ^= codes >> np.uint64(29)
    return codes


def _substantial(ids: Ids, length: int) -> NDArray[np.bool_]:
    """(N, T - length + 1): whether a stretch lies within the melody and strikes enough notes."""
    if ids.shape[1] < length:
        return np.zeros((len(ids), 0), dtype=bool)
    strikes = np.lib.stride_tricks.sliding_window_view(rules.pitched(ids), length, axis=1).sum(axis=2)
    return (strikes >= COPY_NOTES) & (ids[:, length - 1 :] >= OFF)
