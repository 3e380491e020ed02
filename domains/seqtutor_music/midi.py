"""Standard MIDI files, read as people's programs write them, in ticks; what a melody does not need is passed over.

Tempo, controllers and sounds are not looked at, so a tempo of 0 or a key signature of 8 sharps does no harm. A track
that breaks off counts up to there.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from math import ceil
from pathlib import Path

from seqtutor import UserError
from seqtutor.files import read_bytes
from seqtutor_music.barlines import bar_lines, unsaid_pickup
from seqtutor_music.events import BEAT, THIRD, WITH_TRIPLETS, Note
from seqtutor_music.keys import Key
from seqtutor_music.metre import COMMON, Metre
from seqtutor_music.parts import Part, melody_part, skyline
from seqtutor_music.scores import LONGEST, Melody, fitted, key_of, off_grid
from seqtutor_music.triplets import is_third

DRUMS = 9  # the channel of percussion
NOTE_OFF, NOTE_ON = 0x8, 0x9
DATA_BYTES = {0xC: 1, 0xD: 1}  # of a message by the upper half of its status byte; the others have two
SYSTEM, META = 0xF0, 0xFF
NAME, END, METRE, KEY = 0x03, 0x2F, 0x58, 0x59  # kinds of meta events
MOST, MOST_NOTES = 5_000_000, 100_000  # bytes and notes of a file; a symphony has some 50,000 notes
NEAR = Fraction(1, 4)  # of a sixteenth: how far from the grid a note of a performance may begin; triplets are 1/3 off


@dataclass
class Track:
    """What a track holds: the notes of each channel as (start, end, pitch) in ticks, end None where it never ended."""

    name: str = ""
    notes: dict[int, list[tuple[int, int | None, int]]] = field(default_factory=lambda: defaultdict(list))
    metres: list[tuple[int, str]] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
    end: int = 0
    count: int = 0  # of its notes

    @property
    def last(self) -> int:
        """Where its last note ends, as far as that is known."""
        return max(start if stop is None else stop for notes in self.notes.values() for start, stop, _ in notes)


def read_midi(path: Path, metre: Metre = COMMON) -> Melody:
    """A melody; what was decided is what the file does not say: which of several parts it is, a pickup.

    Notes begin on the sixteenths of the file's own beats or near them; those of a triplet do not: it is told where
    `metre` has triplets, and else refused. Silent bars before the first note are left out. Where most notes end off
    the grid, or after the same part of their time, a short silence behind one is its gate time. A key signature
    decides the key; without one it is the likely one. Without a time signature the file is taken to be in `metre`.
    """
    ticks, tracks = _tracks(read_bytes(path, MOST))
    sounding = [track for track in tracks if track.notes]
    if not sounding:
        raise UserError("it has no notes")
    changes = [change for track in tracks for change in track.metres]
    stated, pickup = bar_lines(changes, max(track.last for track in sounding), ticks)
    per_quarter = int(metre.bar / metre.quarters([stated or metre.name]))
    bar = metre.bar * ticks // per_quarter
    parts = _parts(tracks, bar, pickup or 0)
    chosen = parts[melody_part(parts)]
    said = [chosen.name] if len(parts) > 1 else []
    step = Fraction(ticks, per_quarter)
    if pickup is None:
        pickup, by = unsaid_pickup(chosen.notes, max(track.end for track in sounding), step, metre)
        said += [f"with a pickup, by its {by}"] if pickup else []
    line = skyline(_on_grid(chosen.notes, (bar - pickup) % bar, 1 / step, metre))
    line = legato(line, metre.bar) if _is_played(chosen.notes, step, metre) else line
    silent = int(line[0].start // metre.bar) * metre.bar
    line = [note._replace(start=note.start - silent) for note in line]
    steps = ceil(max(note.start + note.length for note in line))
    if steps > LONGEST * metre.bar:
        raise UserError("it is longer than any melody")
    key = key_of([key for track in tracks for key in track.keys], line)
    ids, moved = fitted(line, steps + -steps % metre.bar, key.sharps)
    return Melody(WITH_TRIPLETS.decode(ids), key, moved, ", ".join(said))


def _parts(tracks: Sequence[Track], bar: int, pickup: int) -> list[Part]:
    """What each channel of each track plays, but for drums."""
    parts = [
        Part(f"track {number}" + f" '{track.name}'" * bool(track.name), _ended(notes, track.end, bar, pickup))
        for number, track in enumerate(tracks, start=1)
        for channel, notes in sorted(track.notes.items())
        if channel != DRUMS
    ]
    if not parts:
        raise UserError("it has no notes")
    return parts


def _ended(notes: Sequence[tuple[int, int | None, int]], end: int, bar: int, pickup: int) -> list[Note]:
    """Notes in ticks: one that was never ended lasts to the end of its track, or of its bar where that is no later."""

    def close(start: int) -> int:
        return end if end > start else start + bar - (start - pickup) % bar

    return [Note(start, (close(start) if stop is None else stop) - start, midi) for start, stop, midi in notes]


def _on_grid(notes: Sequence[Note], offset: int, per_tick: Fraction, metre: Metre) -> list[Note]:
    """Notes in ticks as notes in sixteenths, where a third of a beat may be told in thirds; `offset` in ticks."""
    starts = [_near((note.start + offset) * per_tick, metre) for note in notes]
    stops = [(note.start + offset + note.length) * per_tick for note in notes]
    ends = (stop for stop in stops if metre.triplets and is_third(stop))
    divided = {time // BEAT for time in (*starts, *ends) if time.denominator > 1}
    found = []
    for note, start, stop in zip(notes, starts, stops, strict=True):
        unit = THIRD if metre.triplets and stop // BEAT in divided else 1
        least = THIRD if start // BEAT in divided else 1
        found.append(Note(start, max(least, round(stop / unit) * unit - start), note.midi))
    return found


def _near(exact: Fraction, metre: Metre) -> int | Fraction:
    """The sixteenth near a time, or the third of a beat."""
    start, third = round(exact), round(exact / THIRD) * THIRD
    if abs(exact - start) <= NEAR:
        return start
    in_triplet = abs(exact - third) <= NEAR
    if in_triplet and metre.triplets:
        return third
    raise off_grid(start // metre.bar + 1, metre, third=in_triplet)


def _is_played(notes: Sequence[Note], step: Fraction, metre: Metre) -> bool:
    """Whether most notes were ended early by a program's gate time, or by a hand.

    They end off the grid of `step` ticks; or all sound for the same part of their time, which is more than 3/4 of it: a
    gate of 7/8 ends a half note on a sixteenth.
    """
    ends = [(note.start + note.length) / step for note in notes]
    on = sum(end.denominator == 1 or (metre.triplets and is_third(end)) for end in ends)
    starts = sorted({note.start for note in notes})
    following = dict(pairwise(starts))
    parts = Counter(Fraction(n.length, following[n.start] - n.start) for n in notes if n.start in following)
    part, count = parts.most_common(1)[0] if parts else (Fraction(1), 0)
    return 2 * on < len(notes) or (Fraction(3, 4) < part < 1 and 2 * count > len(notes))


def legato(line: Sequence[Note], bar: int = COMMON.bar) -> list[Note]:
    """Notes that fill three quarters of the time to the next one, or to the last bar line, last until then.

    What is left is their gate time, and no rest.

    >>> [note.length for note in legato([Note(0, 14, 60), Note(16, 2, 62), Note(20, 11, 64)])]
    [16, 2, 12]
    """
    end = line[-1].start + line[-1].length
    starts = [*(note.start for note in line[1:]), end + -end % bar]
    rooms = [following - note.start for note, following in zip(line, starts, strict=True)]
    return [
        note._replace(length=room) if 4 * note.length >= 3 * room else note
        for note, room in zip(line, rooms, strict=True)
    ]


def _tracks(content: bytes) -> tuple[int, list[Track]]:
    """Ticks of a quarter, and the tracks."""
    head = content.find(b"MThd", 0, 64)  # behind the header of a RIFF file, where there is one
    if head < 0 or len(content) < head + 14:
        raise UserError("it is no MIDI file")
    ticks = int.from_bytes(content[head + 12 : head + 14])
    if not 0 < ticks < 0x8000:
        raise UserError("it counts frames of film instead of beats; export it with ticks per quarter")
    tracks, at = [], head + 8 + int.from_bytes(content[head + 4 : head + 8])
    while at + 8 <= len(content):
        size = int.from_bytes(content[at + 4 : at + 8])
        if content[at : at + 4] == b"MTrk":
            tracks.append(_track(content[at + 8 : at + 8 + size]))
            _check_notes(sum(track.count for track in tracks))
        at += 8 + size
    return ticks, tracks


def _track(content: bytes) -> Track:
    track = Track()
    sounding: dict[tuple[int, int], deque[int]] = defaultdict(deque)  # where in its channel's list each open note is
    for now, status, data in _messages(content):
        track.end = now
        if status == META:
            _describe(track, now, data[0], data[1:])
            continue
        kind, channel, notes = status >> 4, status & 0xF, track.notes[status & 0xF]
        open_notes = sounding[channel, data[0]]
        if kind == NOTE_ON and data[1]:
            open_notes.append(len(notes))
            notes.append((now, None, data[0]))
            track.count += 1
            _check_notes(track.count)
        elif open_notes:  # the first of them that began: the second one of a pitch keeps its full length
            place = open_notes.popleft()
            start, _, midi = notes[place]
            notes[place] = (start, now, midi)
    track.notes = {channel: notes for channel, notes in track.notes.items() if notes}
    return track


def _check_notes(count: int) -> None:
    if count > MOST_NOTES:
        raise UserError(f"it has more than {MOST_NOTES:,} notes; no piece has so many")


def _describe(track: Track, now: int, kind: int, data: bytes) -> None:
    """Take in a meta event; one that says nothing possible is passed over."""
    if kind == NAME and not track.name:
        name = "".join(c if c.isprintable() else " " for c in data.decode("utf-8", "replace"))
        track.name = " ".join(name.split())[:40]
    elif kind == METRE and len(data) >= 2 and data[0] and data[1] < 8:
        track.metres.append((now, f"{data[0]}/{2 ** data[1]}"))
    elif kind == KEY and len(data) >= 2:
        sharps = int.from_bytes(data[:1], signed=True)
        if abs(sharps) <= 7 and data[1] < 2:
            track.keys.append(Key(sharps, "minor" if data[1] else "major"))


def _messages(content: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(ticks from the start, status, data) of the notes' messages and meta events, as far as they can be read."""
    at, now, running = 0, 0, 0
    try:
        while at < len(content):
            delta, at = _number(content, at)
            now += delta
            status = content[at] if content[at] & 0x80 else running
            at += content[at] >> 7
            if status < 0x80:  # data without a status
                return
            if status == META:
                size, start = _number(content, at + 1)
                yield now, META, content[at : at + 1] + content[start : start + size]
                if content[at] == END:
                    return
                at = start + size
            elif status >= SYSTEM:
                size, start = _number(content, at)
                at = start + size
            else:
                running, size = status, DATA_BYTES.get(status >> 4, 2)
                if status >> 4 in (NOTE_OFF, NOTE_ON):
                    yield now, status, content[at : at + size].ljust(size, b"\0")
                at += size
    except IndexError:  # it breaks off
        return


def _number(content: bytes, at: int) -> tuple[int, int]:
    """A number of variable length, and the place behind it."""
    value = 0
    for _ in range(4):
        value = value << 7 | content[at] & 0x7F
        at += 1
        if not content[at - 1] & 0x80:
            break
    return value, at
