"""How often a pickup of which no time signature tells is known: tunes of music21's corpus, their bar lines taken away.

    python benchmarks/pickups.py [METRE]

A tune is played from its first note on, as by a program that gives a short first bar no signature of its own. A row a
collection: tunes in the metre (4/4), those with a pickup; those that `unsaid_pickup` moves, and moves to where they
belong; and those without a pickup among the moved.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

from seqtutor import UserError
from seqtutor_music.abc import read_tune
from seqtutor_music.barlines import unsaid_pickup
from seqtutor_music.corpus import COLLECTIONS, states
from seqtutor_music.events import Note
from seqtutor_music.metre import COMMON, METRES, Metre
from seqtutor_music.scores import notes_of, starts_of
from seqtutor_music.tunebooks import tunes


def played(collection: str, metre: Metre = COMMON) -> Iterator[tuple[int, list[Note]]]:
    """The steps of its pickup, and its notes in steps from the first on, of each tune that can be read."""
    from music21.corpus import getComposer

    for path in sorted(path for path in map(Path, getComposer(collection)) if path.suffix == ".abc"):
        for source in tunes(path.read_text(encoding="utf-8", errors="replace")):
            if not states(source, metre):
                continue
            try:
                score = read_tune(source)
                quarters = metre.quarters(score.metres)
                starts = starts_of(score.bars, quarters)
                notes = notes_of(score.bars, starts, int(metre.bar / quarters))
            except UserError:
                continue
            bar = max(i for i, bar in enumerate(score.bars) if bar.sounds)
            last = score.bars[bar].sounds[-1]
            end = int((starts[bar] + last.start + last.length) * metre.bar // quarters)  # not held to the bar line
            first = notes[0].start
            notes = [note._replace(start=note.start - first) for note in notes]
            notes[-1] = notes[-1]._replace(length=end - first - notes[-1].start)
            yield int(-first % metre.bar), notes


def counts(found: Iterable[tuple[int, list[Note]]], metre: Metre = COMMON) -> tuple[int, int, int, int, int]:
    """Of pickups and notes: tunes, those with a pickup, those moved, moved to where they belong, moved without one."""
    both = [(true, unsaid_pickup(notes, notes[-1].events.stop, Fraction(1), metre)[0]) for true, notes in found]
    moved = [(true, told) for true, told in both if told]
    right, none = sum(true == told for true, told in moved), sum(true == 0 for true, _ in moved)
    return len(both), sum(true > 0 for true, _ in both), len(moved), right, none


def main(arguments: list[str]) -> None:
    """Print the table."""
    metre = METRES[arguments[0]] if arguments else COMMON
    print(f"{'collection':16}{'tunes':>8}{'pickups':>9}{'moved':>8}{'right':>8}{'none':>8}")
    for collection in (*COLLECTIONS, "essenFolksong"):
        tunes, pickups, moved, right, none = counts(played(collection, metre), metre)
        print(f"{collection:16}{tunes:8}{pickups:9}{moved:8}{right:8}{none:8}")


if __name__ == "__main__":
    main(sys.argv[1:])
