"""Rules of rhythm: where in the bar notes stand, how long they are, whether bars share their rhythm.

All of them are said of the prefix that ends at a step, and pay where it happens.
"""

from __future__ import annotations

import numpy as np

from seqtutor_music.context import Flags, Values, last_before, lengths, pitched, sounds_before
from seqtutor_music.events import OFF, Ids
from seqtutor_music.grid import at_ends, cells, count, events, outside, paid, share
from seqtutor_music.metre import COMMON, Metre


def odd(ids: Ids) -> Flags:
    """Notes on odd sixteenths."""
    return np.asarray(pitched(ids) & (np.arange(ids.shape[1]) % 2 == 1))


def accents(ids: Ids, metre: Metre = COMMON) -> Values:
    """Charges over 20 % of the notes on odd sixteenths (real tunes: 8 %); and .5 for each bar without a first beat.

    >>> dots, even = "C4 - - D4 E4 - - F4 G4 - - F4 E4 - - D4", "C4 - D4 - E4 - F4 - G4 - F4 - E4 - D4 -"
    >>> accents(batch(dots, even, "- - " + even)).sum(axis=1).round(2)
    array([-1.28,  0.  , -0.5 ])
    """
    weak = share(odd(ids), pitched(ids), usual=0.08)
    first = events(ids) & (np.arange(ids.shape[1]) % metre.bar == 0)
    return paid(ids, outside(weak, 0.0, 0.2, 0.1) - 0.5 * count(first & ~pitched(ids)))


def is_dotted(ids: Ids, metre: Metre = COMMON) -> Flags:
    """(B, N): the beats that are divided 3 + 1, in 6/8 3 + 1 + 2."""
    beats = cells(pitched(ids), metre.beat)
    return np.asarray((beats == np.isin(np.arange(metre.beat), (0, 3, 4))).all(axis=2))


def dotted(ids: Ids, metre: Metre = COMMON) -> Values:
    """Dotted beats a bar of the whole, 1 at most: as many as a tune in a dotted rhythm has.

    >>> dots, even = "C4 - - D4 E4 - - F4 " * 2, "C4 - D4 - E4 - F4 - " * 2
    >>> dotted(batch(dots + even, dots + 7 * even, dots + dots)).sum(axis=1)
    array([1. , 0.5, 1. ])
    """
    found = at_ends(is_dotted(ids, metre), metre.beat, ids.shape[1])
    bars = _bars(ids, metre)
    return paid(ids, np.minimum(found.cumsum(axis=1), bars) / bars)


def pulse(ids: Ids, metre: Metre = COMMON) -> Values:
    """Charges note lengths that are too many to be one rhythm (over 1.75 bits of entropy), or all the same (under .2).

    These are the limits of 4/4; a jig may be all eighths.

    >>> irregular, rhythm, even = "C4 D4 - E4 - - F4 - - - G4 - - - - C4", "C4 - D4 - E4 - - - " * 2, "C4 - " * 8
    >>> pulse(batch(irregular, rhythm, even)).sum(axis=1).round(2)
    array([-4.09,  0.  , -0.5 ])
    """
    return paid(ids, np.where(count(pitched(ids)) > 1, outside(entropy(ids, metre), *metre.limits.entropy, 0.2), 0.0))


def entropy(ids: Ids, metre: Metre = COMMON) -> Values:
    """(B, T): of the times from note to note so far, in bits; what is longer than a bar counts as a bar.

    >>> float(entropy(batch("C4 - D4 - E4 - - - C4"))[0, -1].round(2))
    0.92
    """
    strokes, last = pitched(ids), last_before(pitched(ids))
    gap = np.where(strokes & (last >= 0), np.minimum(np.arange(ids.shape[1]) - last, metre.bar), 0)
    n = np.maximum(count(gap > 0), 1.0)
    same = (count(gap == length) for length in range(1, metre.bar + 1))
    return np.asarray(np.log2(n) - sum(c * np.log2(np.maximum(c, 1.0)) for c in same) / n)


def activity(ids: Ids, metre: Metre = COMMON) -> Values:
    """Charges fewer than 3.4 notes a bar of 4/4, and more than 9, as if a bar of 6 had stood before.

    >>> activity(batch(("C4" + " -" * 15 + " ") * 4, "C4 - - - D4 - - - E4 - - - F4 - - - " * 4)).sum(axis=1)
    array([-3.92,  0.  ])
    """
    bars = (np.arange(ids.shape[1]) + 1) / metre.bar
    density = (count(pitched(ids)) + metre.limits.usual_notes) / (bars + 1.0)
    return paid(ids, outside(density, *metre.limits.notes, 0.5))


def pauses(ids: Ids) -> Values:
    """-1 for each rest after the second: one in a hundred windows of real tunes has more.

    >>> float(pauses(batch("C4 . D4 . E4 . F4 . - - .")).sum())
    -2.0
    """
    begun = (ids == OFF) & sounds_before(ids)
    return np.where(begun & (count(begun) > 2), -1.0, 0.0)


def shared_rhythm(ids: Ids, metre: Metre = COMMON) -> Values:
    """4 times the share of the bars that are in the rhythm of an earlier one, 2 at most.

    A bar of equally long notes counts a quarter. Paid as it goes, and taken back if it turns out to be another rhythm.

    >>> bar, even, other = "C4 - - - - - D4 - E4 - - - G4 - - - ", "C4 - " * 8, "C4 - D4 - - - E4 - - - - - - - F4 - "
    >>> shared_rhythm(batch(other + bar + bar + even, bar + other + even + even, 4 * bar, 8 * bar)).sum(axis=1)
    array([1.  , 0.25, 2.  , 2.  ])
    """
    struck = cells(pitched(ids), metre.bar)
    worth = np.zeros(struck.shape)
    full = _full_worth(struck)
    for bar in range(1, struck.shape[1]):
        same = np.logical_and.accumulate(struck[:, bar, None] == struck[:, :bar], axis=2)  # (B, earlier, bar)
        worth[:, bar] = (same * full[:, :bar, None]).max(axis=1) * (np.arange(metre.bar) + 1) / metre.bar
    earned = worth[:, :, -1].cumsum(axis=1) - worth[:, :, -1]
    so_far = np.minimum(4.0 * (earned[:, :, None] + worth) / _bars(ids, metre)[:, :, None], 2.0)
    return paid(ids, so_far.reshape(len(ids), struck.shape[1] * metre.bar)[:, : ids.shape[1]])


def _bars(ids: Ids, metre: Metre) -> Values:
    """(B, 1): how many bars each whole sequence has, one that is not full among them."""
    return np.maximum(np.ceil(lengths(ids)[:, None] / metre.bar), 1.0)


def _full_worth(struck: Flags) -> Values:
    """(B, N): what a bar's rhythm is worth to another bar: nothing if it is one note."""
    notes, bar = struck.sum(axis=2), struck.shape[2]
    length = bar // np.maximum(notes, 1)
    even = (struck == (np.arange(bar) % length[:, :, None] == 0)).all(axis=2)
    return np.where(notes < 2, 0.0, np.where(even, 0.25, 1.0))
