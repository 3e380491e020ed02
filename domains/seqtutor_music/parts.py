"""Which of several parts is the melody, and the one line of music that a part with chords holds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from seqtutor_music.events import Note

MELODY = re.compile(r"melod|lead|vocal|voice|singer|sopran|solo|tune|theme", re.IGNORECASE)
ALONE = 0.9  # share of notes that sound alone in a part of one line
ENOUGH = 0.25  # of the most notes that any part has, so that a bell that rings twice is no melody


class Part(NamedTuple):
    """A part of a piece: what it is called, and its notes in any unit of time."""

    name: str
    notes: Sequence[Note]


def melody_part(parts: Sequence[Part]) -> int:
    """Which part is called melody, lead, voice, ...; else, of those with one line, which one lies highest.

    >>> bass, line = Part("bass", [Note(0, 4, 40)]), Part("", [Note(0, 4, 60)])
    >>> chords = Part("strings", [Note(0, 4, 72), Note(0, 4, 76)])
    >>> melody_part([bass, chords, line])
    2
    >>> melody_part([bass._replace(name="Solo bass"), chords, line])
    0
    """
    named = [i for i, part in enumerate(parts) if MELODY.search(part.name)]
    most = max(len(part.notes) for part in parts)
    full = [i for i, part in enumerate(parts) if len(part.notes) >= ENOUGH * most]
    lines = [i for i in full if _is_line(parts[i])]
    return max(named or lines or full, key=lambda i: _height(parts[i]))


def _is_line(part: Part) -> bool:
    """Whether nearly all of its notes sound alone; a short overlap is legato."""
    detached = [note._replace(length=note.length - note.length // 8) for note in part.notes]
    return len(skyline(detached)) >= ALONE * len(detached)


def _height(part: Part) -> float:
    return sum(note.midi for note in part.notes) / len(part.notes)


def skyline(notes: Sequence[Note]) -> list[Note]:
    """The upper line: of notes struck together the highest, without those struck under a higher one that sounds.

    >>> skyline([Note(0, 4, 60), Note(0, 4, 64), Note(2, 2, 62), Note(3, 4, 67)])
    [Note(start=0, length=3, midi=64), Note(start=3, length=4, midi=67)]
    """
    line: list[Note] = []
    for note in sorted(notes, key=lambda n: (n.start, -n.midi)):
        if line and note.start < line[-1].start + line[-1].length:
            if note.start == line[-1].start or note.midi < line[-1].midi:
                continue
            line[-1] = line[-1]._replace(length=note.start - line[-1].start)
        line.append(note)
    return line
