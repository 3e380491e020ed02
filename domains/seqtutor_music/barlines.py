"""Where the bars of a MIDI file lie, in ticks: by its time signatures, or by its length where they say nothing."""

from __future__ import annotations

from collections.abc import Sequence, Set
from fractions import Fraction
from itertools import pairwise

from seqtutor import UserError
from seqtutor_music.events import Note
from seqtutor_music.metre import COMMON, Metre
from seqtutor_music.scores import LONGEST

HELD = 0.85  # of a file's bar lines: where notes begin on no more of them, and on all others, these are the bar lines
ENOUGH = 8  # bars of which that can be said


def bar_lines(changes: Sequence[tuple[int, str]], end: int, ticks: int) -> tuple[str, int | None]:
    """The metre, and the ticks from the beginning to the first bar line; None where only the beginning has a signature.

    The metre is empty where none is stated.

    `changes`: tick and metre of each time signature, of music that ends at `end`; `ticks` of a quarter.

    A bar begins where a time signature stands. A signature that lasts for one bar, shorter than the others, is that of
    a part of a bar: of a pickup, of what a repeat sign cuts off, of a last bar that lacks the pickup.

    >>> bar_lines([(0, "1/4"), (480, "4/4"), (6240, "3/4")], 7680, ticks=480), bar_lines([(0, "2/2")], 1920, ticks=480)
    (('4/4', 480), ('2/2', None))
    """
    ordered = _restated(sorted({at: name for at, name in changes if at < end}.items()), ticks)
    if not ordered or (len(ordered) == 1 and ordered[0][0] == 0):
        return ordered[0][1] if ordered else "", None
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


def _restated(changes: list[tuple[int, str]], ticks: int) -> list[tuple[int, str]]:
    """Without those that say the same metre again within half a sixteenth of a bar line, which they do not move."""
    kept: list[tuple[int, str]] = []
    for start, name in changes:
        if kept and kept[-1][1] == name:
            bar = Fraction(name) * 4 * ticks
            off = (start - kept[-1][0]) % bar
            if 0 < min(off, bar - off) < ticks / 8:
                continue
        kept.append((start, name))
    return kept


def unsaid_pickup(notes: Sequence[Note], end: int, step: Fraction, metre: Metre = COMMON) -> tuple[int, str]:
    """The ticks of a pickup of which no time signature tells, and by what it is known; 0 where there is none.

    Some programs give a short first bar no signature of its own: their bar lines come too late by the rest of a bar. A
    pickup of at most a beat is known by its length, where the music ends so much behind a bar line; or by
    its bar lines, where notes begin on all of them, and of eight or more of the file's own one in seven is held over.
    The music must be one line that was written, not played: begun at once, on the grid, no note over another.

    Of 5,887 tunes (`benchmarks/pickups.py`), 3,733 of them with a pickup, this moves 1,047, of which 988 to where they
    belong; none without a pickup. `step`: the ticks of a sixteenth.

    >>> beats = [Note(480 * beat, 480, 60) for beat in range(17)]
    >>> unsaid_pickup(beats, 17 * 480, Fraction(120)), unsaid_pickup(beats[:16], 16 * 480, Fraction(120))
    ((480, 'length'), (0, ''))
    """
    bar, end = metre.bar * step, int(round(end / step) * step)
    starts = {note.start for note in notes}
    written = all(start % step == 0 for start in starts) and all(
        one.start + one.length <= other.start for one, other in pairwise(sorted(notes))
    )
    if not written or min(starts) > 0 or not 2 * bar < end <= LONGEST * bar:
        return 0, ""
    struck = [_struck(starts, steps * step, end, bar) for steps in range(metre.beat + 1)]
    left = int(end % bar / step)
    if 0 < left < len(struck) and left * step in starts and struck[left] >= struck[0]:
        return int(left * step), "length"
    better = [steps for steps, share in enumerate(struck) if share == 1]
    if len(better) == 1 and struck[0] <= HELD and end >= ENOUGH * bar:
        return int(better[0] * step), "bar lines"
    return 0, ""


def _struck(starts: Set[int | Fraction], first: Fraction, end: int, bar: Fraction) -> float:
    """The share of bar lines, from `first` on, at which a note begins."""
    lines = [first + number * bar for number in range(int((end - first) / bar) + 1)]
    within = [line for line in lines if line < end]
    return sum(line in starts for line in within) / len(within)
