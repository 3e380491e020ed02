"""Files that musicians have, read: MIDI, ABC, MusicXML and lines of text."""

from __future__ import annotations

import codecs
import itertools
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar
from xml.etree import ElementTree

from seqtutor import UserError
from seqtutor.files import check_file, read_bytes
from seqtutor_music.abc import read_tune
from seqtutor_music.events import Note, words
from seqtutor_music.keys import Key, mode_of, name_of
from seqtutor_music.metre import COMMON, Metre
from seqtutor_music.midi import read_midi
from seqtutor_music.parts import Part, melody_part
from seqtutor_music.scores import LARGEST, Bar, Melody, Score, Sound, melody, with_last_endings
from seqtutor_music.tunebooks import tunes

UNPACKED = 50_000_000  # bytes of an archive
LONGEST = 100_000  # characters of an ABC tune: two seconds of work
MOST = 10_000  # notes of MusicXML: music21 reads about a thousand a second

Source = TypeVar("Source", str, Path)
Result = TypeVar("Result")


class Found(NamedTuple):
    """A melody, or what was none: where it stands in its file, its events and marks or why none, and where it stood."""

    where: str
    words: list[str] | UserError
    key: Key | None = None  # None: of a line of text, which is in no key of its own
    by: int = 0  # semitones by which it was moved into the frame


def read_files(path: Path, shift: int = 0, metre: Metre = COMMON) -> Iterator[Found]:
    """Every melody in a file or in the files of a folder, by name; lines of text stand `shift` above the frame.

    A file that cannot be read is one melody with a reason. One of a folder is called by its place in that.
    """
    for file in _files(path):
        kind, label = file.suffix.lower(), file.relative_to(path).as_posix() if path.is_dir() else file.name
        for found in _text(file, shift) if kind == ".txt" else READERS[kind](file, metre):
            yield found._replace(where=label + found.where.removeprefix(file.name))


def _files(path: Path) -> list[Path]:
    known = f"melodies are read from {', '.join(READERS)} and .txt"
    if not path.exists():
        raise UserError(f"there is no file or folder {path}")
    if path.is_file() and path.suffix.lower() not in (*READERS, ".txt"):
        raise UserError(f"{path} is none of the files that can be read; {known}")
    within = (f for f in path.rglob("[!.]*") if f.suffix.lower() in (*READERS, ".txt") and f.is_file())
    files = [path] if path.is_file() else sorted(within)
    if not files:
        raise UserError(f"no melodies in the folder {path}; {known}")
    return files


def _text(path: Path, shift: int) -> Iterator[Found]:
    """One melody a line; empty lines are passed over."""
    for number, line in enumerate(_lines(path), start=1):
        if line.strip():
            yield Found(f"{path.name}, line {number}", _tried(lambda text: words(text, shift), line))


def _abc(path: Path, metre: Metre) -> Iterator[Found]:
    """The tunes of an ABC file."""
    for tune in tunes("\n".join(_lines(path))):
        if len(tune) > LONGEST:
            said = f"a tune of it has {len(tune):,} characters; no melody has more than {LONGEST:,}"
            yield Found(path.name, UserError(said))
            continue
        label = tune.split("\n", 1)[0].replace(" ", "") if tune.startswith("X:") else ""
        yield _told(f"{path.name} {label}".strip(), _tried(lambda text: _understood(read_tune(text), metre), tune))


def _lines(path: Path) -> list[str]:
    content = read_bytes(path)
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if wide else "utf-8-sig", errors="replace").splitlines()


def _one(read: Callable[[Path, Metre], Melody]) -> Callable[[Path, Metre], Iterator[Found]]:
    """A reader of files that hold one melody; it says what it understood of one that the file does not say plainly."""

    def found(path: Path, metre: Metre) -> Iterator[Found]:
        yield _told(path.name, _tried(lambda file: read(file, metre), path))

    return found


def _told(where: str, result: Melody | UserError) -> Found:
    """Where it stands, with what was understood of it, and its events, or why there are none."""
    if isinstance(result, UserError):
        return Found(where, result)
    return Found(f"{where}, {result.said}" if result.said else where, result.words, result.key, result.by)


def _understood(score: Score, metre: Metre, *decided: str) -> Melody:
    """The melody of a score; said is what was `decided`, and the mode that it states where that is no common one."""
    single = with_last_endings(score)
    endings = "with the last of its endings" if single != score else ""
    modal = (name_of(key) for key in dict.fromkeys(score.keys) if key.mode not in ("major", "minor"))
    mode = " and ".join(f"in {name}" for name in modal)
    return melody(single, metre)._replace(said=", ".join(filter(None, (*decided, mode, endings))))


def _tried(read: Callable[[Source], Result], source: Source) -> Result | UserError:
    """What `read` makes of it, or why it failed: other people's files make other people's parsers raise anything."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read(source)
    except UserError as error:
        return error
    except Exception as error:  # parsers of files that anybody wrote: AttributeError, ZeroDivisionError, any at all
        return UserError(f"it cannot be read ({type(error).__name__}: {' '.join(str(error).split())[:80]})")


def read_musicxml(path: Path, metre: Metre = COMMON) -> Melody:
    """A melody, and which part it is where there are several; of several voices the first."""
    from music21.converter import Converter

    notes = 0
    for sheet in _sheets(path):
        for _, element in ElementTree.iterparse(sheet):  # noqa: S314 - as music21 will; expat limits entities
            notes += element.tag == "note"
            if notes > MOST:
                raise UserError(f"it has more than {MOST:,} notes; no melody has so many")
            beats = (element.text or "") if element.tag == "beats" else ""
            if sum(map(int, re.findall(r"\d+", beats))) > LARGEST:
                raise UserError(f"its metre has {beats.strip()[:20]} beats; no melody has more than {LARGEST}")
    reader = Converter()
    reader.parseFileNoPickle(path, format="musicxml")
    streams = [part for part in reader.stream.parts if part.flatten().notes]
    if not streams:
        raise UserError("it has no notes")
    parts = [_part(stream, number) for number, stream in enumerate(streams, start=1)]
    chosen = melody_part(parts)
    return _understood(part_score(streams[chosen]), metre, *([parts[chosen].name] if len(parts) > 1 else []))


def _sheets(path: Path) -> Iterator[IO[bytes]]:
    """The XML of a file, or of the members of an archive of them."""
    check_file(path)
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive:
        if (size := sum(member.file_size for member in archive.infolist())) > UNPACKED:
            raise UserError(f"unpacked it has {size:,} bytes; a melody has fewer than {UNPACKED:,}")
        for member in archive.infolist():
            if member.filename.endswith((".xml", ".musicxml")):
                with archive.open(member) as file:
                    yield file


def _part(stream: Any, number: int) -> Part:
    """What decides whether a music21 part is the melody; times in 960ths of a quarter."""
    notes = [
        Note(int(960 * n.offset), int(960 * n.quarterLength), pitch.midi)
        for n in stream.flatten().notes
        if "ChordSymbol" not in n.classes
        for pitch in n.pitches
    ]
    return Part(f"part {number}" + f" '{stream.partName}'" * bool(stream.partName), notes)


def part_score(part: Any) -> Score:
    """A music21 part as notated."""
    measures = list(part.getElementsByClass("Measure"))
    brackets = part.getElementsByClass("RepeatBracket")
    over = {id(m): _first(one.number) for one in brackets for m in one.getSpannedElements()}
    return Score(
        tuple(m.ratioString for measure in measures for m in measure.getElementsByClass("TimeSignature")),
        tuple(_key(k) for measure in measures for k in measure.getElementsByClass("KeySignature")),
        tuple(
            replace(_bar(measure, following), ending=over.get(id(measure), 0))
            for measure, following in itertools.zip_longest(measures, measures[1:])
            if measure.highestTime
        ),
    )


def _key(stated: Any) -> Key:
    """A music21 key, or a signature that states no mode, of which nobody knows whether it is major."""
    mode = mode_of(getattr(stated, "mode", "major"))
    return Key(stated.sharps, mode or "major")


def _bar(measure: Any, following: Any) -> Bar:
    """A measure; a double line or repeat sign closes it, at its end or at the beginning of the following one."""
    voice = measure.voices.first() or measure
    sounds = (
        Sound(_fraction(n.offset), _fraction(n.quarterLength), max(p.midi for p in n.pitches), _tied(n))
        for n in voice.notes
        if n.pitches and n.quarterLength and "ChordSymbol" not in n.classes
    )
    lines = (measure.rightBarline, following.leftBarline if following else None)
    closes = any(line is not None and line.type != "regular" for line in lines)
    return Bar(_fraction(measure.highestTime), tuple(sounds), closes)


def _first(numbers: str) -> int:
    """The first of the numbers over an ending, such as "1, 3"; 1 where there is none."""
    return int(next(iter(re.findall(r"\d+", numbers)), 1))


def _tied(note: Any) -> bool:
    return note.tie is not None and note.tie.type in ("stop", "continue")


def _fraction(quarters: Any) -> Fraction:
    return Fraction(quarters).limit_denominator(960)


READERS: dict[str, Callable[[Path, Metre], Iterator[Found]]] = {
    ".mid": _one(read_midi),
    ".midi": _one(read_midi),
    ".abc": _abc,
    ".musicxml": _one(read_musicxml),
    ".xml": _one(read_musicxml),
    ".mxl": _one(read_musicxml),
}
