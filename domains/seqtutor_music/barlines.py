"""Where the bars of a MIDI file lie, in ticks: by its time signatures, or by its length where they say nothing."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from seqtutor import UserError
from seqtutor_music.events import STEPS, Note

BEGINNING = 4  # of a bar: a pickup of which nothing is said lasts at most the fourth part


def bar_lines(changes: Sequence[tuple[int, str]], end: int, ticks: int) -> tuple[str, int | None]:
    """The metre, and the ticks from the beginning to the first bar line; None where only the beginning has a signature.

    `changes`: tick and metre of each time signature, of music that ends at `end`; `ticks` of a quarter.

    A bar begins where a time signature stands. A signature that lasts for one bar, shorter than the others, is that of
    a part of a bar: of a pickup, of what a repeat sign cuts off, of a last bar that lacks the pickup.

    >>> bar_lines([(0, "1/4"), (480, "4/4"), (6240, "3/4")], 7680, ticks=480), bar_lines([(0, "2/2")], 1920, ticks=480)
    (('4/4', 480), ('2/2', None))
    """
    ordered = sorted({at: name for at, name in changes if at < end}.items())
    if not ordered or (len(ordered) == 1 and ordered[0][0] == 0):
        return ordered[0][1] if ordered else "4/4", None
    full = max((name for _, name in ordered), key=Fraction)
    bar = Fraction(full) * 4 * ticks
    lines = []
    for (start, name), stop in zip(ordered, [*(at for at, _ in ordered[1:]), end], strict=True):
        own, length, last = Fraction(name) * 4 * ticks, stop - start, stop == end
        if own < bar and not (length == own or (last and length < own)):
            raise UserError("it changes its metre")
        if own == bar and (length >= bar or last):
            lines.append(start)
    if len({line % bar for line in lines}) != 1:
        raise UserError("it changes its metre")
    return full, int(lines[0] % bar)


def unsaid_pickup(notes: Sequence[Note], end: int, step: Fraction) -> int:
    """The ticks of a pickup of which no time signature tells; 0 where there is none.

    Some programs give a short first bar no signature of its own: then the music ends so much behind a bar line. That is
    taken for a pickup where it is at most a quarter of a bar, in one line that was written, not played: on the grid, no
    note over another. It must begin at once, and strike no fewer bar lines so. `step`: the ticks of a sixteenth.

    >>> beats = [Note(480 * beat, 480, 60) for beat in range(17)]
    >>> unsaid_pickup(beats, 17 * 480, Fraction(120)), unsaid_pickup(beats[:16], 16 * 480, Fraction(120))
    (480, 0)
    """
    bar, end = STEPS * step, int(round(end / step) * step)
    left, starts = end % bar, {note.start for note in notes}
    written = all(start % step == 0 for start in starts) and all(
        one.start + one.length <= other.start for one, other in pairwise(sorted(notes))
    )
    if not (written and min(starts) == 0 and 0 < left <= bar / BEGINNING and left in starts and end > 2 * bar):
        return 0
    return int(left) if _struck(starts, left, end, bar) >= _struck(starts, Fraction(0), end, bar) else 0


def _struck(starts: set[int], first: Fraction, end: int, bar: Fraction) -> float:
    """The share of bar lines, from `first` on, at which a note begins."""
    lines = [first + number * bar for number in range(int((end - first) / bar) + 1)]
    within = [line for line in lines if line < end]
    return sum(line in starts for line in within) / len(within)
