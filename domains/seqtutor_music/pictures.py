"""A melody as a piano roll: inline SVG that takes the text colour of its page, light or dark."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from seqtutor_music.events import Note
from seqtutor_music.keys import MAJOR, Key
from seqtutor_music.metre import COMMON, Metre

STEP, ROW = 7, 7  # width of a sixteenth, height of a semitone
LEFT, TOP, RIGHT, BOTTOM = 32, 18, 4, 6
ROWS = 25  # two octaves, or what the melody needs
NOTE = "#2f81c7"  # reads on white and on black
ATTACK = "#175a94"
CHARGED, NEITHER = "#d9730d", "#9a9a9a"
MUCH = 1.0  # a reward that gives a note the full colour


def piano_roll(
    notes: Sequence[Note], steps: int, key: Key, seconds: float, worth: Sequence[float] = (), metre: Metre = COMMON
) -> str:
    """SVG of `notes` over `steps` sixteenths of so many seconds; rows outside the key are shaded.

    `worth`: what each note earned, where that shall be its colour: blue paid, orange charged, grey neither.

    The data attributes tell a page's player how long it lasts and between which x it runs.
    """
    lowest, rows = _rows(notes)
    told = describe(notes, key)
    width, height = LEFT + steps * STEP + RIGHT, TOP + rows * ROW + BOTTOM
    return "".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'data-seconds="{steps * seconds:g}" data-from="{LEFT}" data-to="{LEFT + steps * STEP}" '
            f'role="img" aria-label="{told}" style="max-width:100%;height:auto" '
            'font-family="system-ui,sans-serif" font-size="11" fill="currentColor">',
            f"<title>{told}</title>",
            *_shades(lowest, rows, steps, key),
            *_grid(rows, steps, metre),
            *_labels(lowest, rows, key),
            *_notes(notes, lowest, rows, worth),
            "</svg>",
        ]
    )


def describe(notes: Sequence[Note], key: Key) -> str:
    """One line: how many notes, from where to where.

    >>> describe([Note(0, 2, 60), Note(2, 2, 70)], Key(-2)), describe([], Key(0))
    ('2 notes, C4–Bb4', 'silence')
    """
    if not notes:
        return "silence"
    lowest, highest = min(note.midi for note in notes), max(note.midi for note in notes)
    names = key.name(lowest), key.name(highest)
    span = names[0] if lowest == highest else "–".join(names)
    return f"{len(notes)} note{'s' if len(notes) > 1 else ''}, {span}"


def _rows(notes: Sequence[Note]) -> tuple[int, int]:
    """The lowest pitch shown and the number of rows: the melody in the middle, with a semitone to spare."""
    pitches = [note.midi for note in notes] or [60, 72]
    rows = max(ROWS, max(pitches) - min(pitches) + 3)
    return (max(pitches) + min(pitches) - rows + 1) // 2, rows


def _shades(lowest: int, rows: int, steps: int, key: Key) -> Iterator[str]:
    for row in range(rows):
        if (lowest + row - key.shift) % 12 not in MAJOR:
            y = TOP + (rows - 1 - row) * ROW
            yield f'<rect x="{LEFT}" y="{y}" width="{steps * STEP}" height="{ROW}" opacity=".06"/>'


def _grid(rows: int, steps: int, metre: Metre) -> Iterator[str]:
    """Beats as thin lines, bars as strong ones with their number."""
    bottom = TOP + rows * ROW
    for step in range(0, steps + 1, metre.beat):
        x, bar = LEFT + step * STEP, step % metre.bar == 0
        opacity = ".45" if bar else ".13"
        yield f'<path d="M{x} {TOP}V{bottom}" stroke="currentColor" stroke-opacity="{opacity}"/>'
        if bar and step < steps:
            yield f'<text x="{x + 3}" y="{TOP - 5}" opacity=".55">{step // metre.bar + 1}</text>'


def _labels(lowest: int, rows: int, key: Key) -> Iterator[str]:
    """The tonic of every octave."""
    for row in range(rows):
        if (lowest + row) % 12 == key.tonic:
            y, name = TOP + (rows - row) * ROW, key.name(lowest + row)
            yield f'<text x="{LEFT - 5}" y="{y - 0.5}" text-anchor="end" opacity=".7">{name}</text>'


def _notes(notes: Sequence[Note], lowest: int, rows: int, worth: Sequence[float]) -> Iterator[str]:
    """A bar for each note, its beginning darker, so that a note struck again does not look held."""
    for (start, length, midi), earned in itertools.zip_longest(notes, worth):
        x, y = LEFT + float(start * STEP), TOP + (rows - 1 - (midi - lowest)) * ROW
        colour, told = (NOTE, "") if earned is None else (_colour(earned), f"<title>{earned:+.2f}</title>")
        width = f"{float(length * STEP - 1):g}"
        yield f'<rect x="{x + 0.5:g}" y="{y}" width="{width}" height="{ROW}" rx="2" fill="{colour}">'
        yield f'{told}</rect><rect x="{x + 0.5:g}" y="{y}" width="2" height="{ROW}" rx="1" fill="{_darker(colour)}"/>'


def _colour(earned: float) -> str:
    """From grey at 0 to the full colour at MUCH.

    >>> _colour(0.0), _colour(2.5), _colour(-9.0)
    ('#9a9a9a', '#2f81c7', '#d9730d')
    """
    part = min(abs(earned) / MUCH, 1.0)
    full = NOTE if earned > 0 else CHARGED
    return _mixed(NEITHER, full, part)


def _darker(colour: str) -> str:
    """The beginning of a note of this colour."""
    return ATTACK if colour == NOTE else _mixed(colour, "#000000", 0.3)


def _mixed(one: str, other: str, part: float) -> str:
    """`one` with `part` of `other`."""
    pairs = ((int(one[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5))
    return "#" + "".join(f"{round(a + (b - a) * part):02x}" for a, b in pairs)
