"""Files that musicians open, written: MIDI, and beside it ABC, MusicXML and sound where they are wanted."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seqtutor import UserError, unknown
from seqtutor_music.context import Values
from seqtutor_music.events import Note
from seqtutor_music.keys import Key, text_of
from seqtutor_music.sheets import Sheet, abc, musicxml

if TYPE_CHECKING:
    from pretty_midi import PrettyMIDI

TICKS = 120  # of a sixteenth
CLOCKS = 6  # of MIDI in a sixteenth: a metronome clicks on the beats
VELOCITY = 90
RATE = 22_050  # samples of sound a second
LOUDNESS = 26_000  # of the loudest sample; 16 bits hold 32,767
Melody = tuple[Sequence[Note], int]  # what sounds, and the sixteenths that it lasts


def performance(notes: Sequence[Note], sheet: Sheet) -> PrettyMIDI:
    """The notes, in the metre of the sheet, for a piano."""
    import pretty_midi

    step = 15.0 / sheet.tempo  # seconds
    made = pretty_midi.PrettyMIDI(resolution=4 * TICKS, initial_tempo=sheet.tempo)
    made.time_signature_changes.append(pretty_midi.TimeSignature(*sheet.metre.counts, 0))
    piano = pretty_midi.Instrument(program=0)
    for start, length, pitch in notes:
        piano.notes.append(pretty_midi.Note(VELOCITY, pitch, float(start) * step, float(start + length) * step))
    made.instruments.append(piano)
    return made


def wav(notes: Sequence[Note], steps: int, sheet: Sheet) -> bytes:
    """Sound, 16 bits, one channel: a plain tone, for those who have no synthesiser at hand."""
    audio = np.zeros(round(steps * 15.0 / sheet.tempo * RATE) + RATE // 2)  # half a second for the last note to die
    made = performance(notes, sheet).synthesize(fs=RATE, wave=_tone)[: len(audio)]
    audio[: len(made)] = made / max(1.0, np.abs(made).max(initial=0.0))
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((audio * LOUDNESS).astype("<i2").tobytes())
    return out.getvalue()


def _tone(phase: Values) -> Values:
    """One oscillation with its octave, its twelfth and the octave above, ever softer; none that RATE cannot tell."""
    step = float(phase[1] - phase[0]) if len(phase) > 1 else 0.0
    return np.asarray(sum(np.sin(k * phase) / k**2 for k in (1, 2, 3, 4) if k * step < np.pi))


def midi(notes: Sequence[Note], steps: int, sheet: Sheet) -> bytes:
    """A file for a piano; it ends after `steps` sixteenths, whether something sounds or not."""
    import mido

    stream = io.BytesIO()
    performance(notes, sheet).write(stream)
    stream.seek(0)
    file = mido.MidiFile(file=stream)  # pretty_midi ends a file with its last note, and spells a key in its own way
    signed = sheet.key if sheet.key.mode == "minor" else Key(sheet.key.sharps)  # MIDI knows no other mode
    head = [("track_name", {"name": sheet.title}), ("key_signature", {"key": text_of(signed)})]
    for message in file.tracks[0]:
        if message.type == "time_signature":
            message.clocks_per_click = CLOCKS * sheet.metre.beat
    file.tracks[0][:0] = [mido.MetaMessage(kind, **values, time=0) for kind, values in head]
    for track in file.tracks:
        track[-1].time = steps * TICKS - sum(message.time for message in track[:-1])
    file.charset, out = "utf-8", io.BytesIO()
    file.save(file=out)
    return out.getvalue()


FORMATS: Mapping[str, Callable[[Sequence[Note], int, Sheet], bytes]] = {
    "mid": midi,
    "abc": lambda notes, steps, sheet: abc(notes, steps, sheet).encode(),
    "musicxml": lambda notes, steps, sheet: musicxml(notes, steps, sheet).encode(),
    "wav": wav,
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
    return f"{run} {folder.name}".strip().encode(errors="replace").decode()  # a name that is no text is none here
