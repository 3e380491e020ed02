"""What a musician expects to read of a set of melodies: the rows of the paper's Table 1, and five of our own.

As in the paper, the shares of "notes" are shares of all sixteenth events, holds and rests too; melodies are shares of
melodies; the leaps that count are those resolved and those doubled by a second leap in the same direction.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seqtutor import Measure
from seqtutor_music import context, corpus, paper
from seqtutor_music.copies import copied
from seqtutor_music.events import FIRST_PITCH, OFF, STEPS, VOCABULARY, Ids, batch

__all__ = ["batch", "measure"]  # batch, for the doctests

Values = NDArray[np.float64]


def measure(ids: Ids) -> list[Measure]:
    """The figures of N melodies (N, T); a row of padding is no melody and weighs nothing.

    >>> for m in measure(batch("C4 - E4 - G4 - E4 - C4 - - -", "E4 - F#4 - E4 - - - . - - -"))[4:7]:
    ...     print(m.name, round(m.mean, 3))
    notes not in key 0.042
    melodies starting with the tonic 0.5
    leaps resolved nan
    """
    ids = ids if ids.size else np.zeros((len(ids), 1), dtype=np.int64)  # so that there is a last step
    events = _sum(ids >= OFF)
    whole = (events > 0).astype(np.float64)
    leaps, last = context.leaps(ids), np.maximum(events.astype(np.int64) - 1, 0)
    r = np.take_along_axis(context.coefficients(ids), last[None, :, None], axis=2)[:, :, 0]  # (3, N)
    varied = whole * (_range(ids, OFF) > 0)
    strikes = _sum(context.pitched(ids))
    return [
        _share("notes excessively repeated", paper.repeating(ids) < 0, events, "lower"),
        *(
            Measure(f"mean autocorrelation, lag {lag}", r[i] * varied, varied, "zero", summary="of the events")
            for i, lag in enumerate(context.LAGS)
        ),
        _share("notes not in key", paper.key(ids) < 0, events, "lower"),
        _share("melodies starting with the tonic", ids[:, :1] == paper.TONIC, whole, "higher"),
        _share("leaps resolved", leaps.resolved, _sum(leaps.resolved | leaps.doubled), "higher"),
        _share("melodies with a unique highest note", context.unique_highest(ids)[:, None], whole, "higher"),
        _share("melodies with a unique lowest note", context.unique_lowest(ids)[:, None], whole, "higher"),
        _share("notes in a motif", paper.motif(ids) > 0, events, "higher"),
        _share("notes in a repeated motif", paper.repeated_motif(ids) > 0, events, "higher"),
        _share("distinct melodies", _first_of_its_kind(ids)[:, None] & (whole > 0)[:, None], whole, "higher"),
        _share("melodies that quote the corpus", copied(ids, corpus.known())[:, None], whole, "lower"),
        Measure("notes per bar", strikes, events / STEPS, summary="pitches struck in 16 steps"),
        Measure("range in semitones", _range(ids, FIRST_PITCH), (strikes > 0).astype(np.float64)),
    ]


def _share(name: str, counted: NDArray[np.bool_], of: Values, better: Literal["higher", "lower"]) -> Measure:
    return Measure(name, _sum(counted), of, better, percent=True)


def _sum(flags: NDArray[np.bool_]) -> Values:
    total: Values = flags.sum(axis=1).astype(np.float64)
    return total


def _range(ids: Ids, first: int) -> Values:
    """(N,): from the lowest to the highest of the ids from `first` on; 0 where there are none."""
    highest = ids.max(axis=1, initial=0)
    lowest = np.where(ids >= first, ids, len(VOCABULARY)).min(axis=1, initial=len(VOCABULARY))
    return np.asarray(np.maximum(highest - lowest, 0), dtype=np.float64)


def _first_of_its_kind(ids: Ids) -> NDArray[np.bool_]:
    """(N,): whether no earlier row is the same."""
    first = np.zeros(len(ids), dtype=bool)
    first[np.unique(ids, axis=0, return_index=True)[1]] = True
    return first
