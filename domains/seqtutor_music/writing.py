"""Files that musicians open, written: MIDI, and beside it ABC and MusicXML where they are wanted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from seqtutor import UserError, unknown
from seqtutor_music.events import Note
from seqtutor_music.midi import midi
from seqtutor_music.sheets import Sheet, abc, musicxml

Melody = tuple[Sequence[Note], int]  # what sounds, and the sixteenths that it lasts

FORMATS: Mapping[str, Callable[[Sequence[Note], int, Sheet], bytes]] = {
    "mid": midi,
    "abc": lambda notes, steps, sheet: abc(notes, steps, sheet).encode(),
    "musicxml": lambda notes, steps, sheet: musicxml(notes, steps, sheet).encode(),
}


def formats(text: str) -> tuple[str, ...]:
    """The formats that a list with commas names, in the order of FORMATS; MIDI always.

    >>> formats("musicxml, mid"), formats("")
    (('mid', 'musicxml'), ('mid',))
    """
    named = {name.strip() for name in text.split(",") if name.strip()}
    for name in sorted(named - set(FORMATS)):
        raise unknown("format", name, FORMATS)
    return tuple(name for name in FORMATS if name in named | {"mid"})


def write(melodies: Sequence[Melody], folder: Path, kinds: Collection[str], sheet: Sheet) -> list[Path]:
    """Write 0001.mid and on, and the same number in the other formats; each number stands in the title."""
    width = max(4, len(str(len(melodies))))
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, (notes, steps) in enumerate(melodies, start=1):
            numbered = replace(sheet, title=f"{sheet.title} {number}")
            for kind in kinds:
                paths.append(folder / f"{number:0{width}}.{kind}")
                paths[-1].write_bytes(FORMATS[kind](notes, steps, numbered))
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}") from error
    return paths


def title(folder: Path) -> str:
    """What the melodies of a folder are called: its name, behind that of the run that it lies in."""
    folder = folder.absolute()
    run = folder.parent.name if (folder.parent / "config.toml").is_file() else ""
    return f"{run} {folder.name}".strip()
