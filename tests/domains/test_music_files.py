"""MIDI out, read back by another library; what people have, in."""

import mido
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtutor import UserError
from seqtutor_music import MusicDomain
from seqtutor_music.domain import MusicOptions
from seqtutor_music.events import VOCABULARY, Note, parse, sounding, written
from seqtutor_music.parts import skyline

C = MusicDomain()
REEL = "X:1\nM:4/4\nL:1/8\nK:G\nG2A2 B2d2|e2d2 B2A2|\n"


def by_mido(path):
    """(start, length, pitch) in sixteenths, the seconds of a sixteenth, and the messages of a file."""
    file = mido.MidiFile(path)
    ticks, notes, open_notes, messages = 0, [], {}, list(mido.merge_tracks(file.tracks))
    for message in messages:
        ticks += message.time
        at = ticks * 4 / file.ticks_per_beat
        if message.type == "note_on" and message.velocity:
            assert message.note not in open_notes
            open_notes[message.note] = at
        elif message.type in ("note_on", "note_off"):
            start = open_notes.pop(message.note)
            notes.append((start, at - start, message.note))
    assert not open_notes
    tempo = next(m.tempo for m in messages if m.type == "set_tempo")
    return sorted(notes), tempo / 4e6, messages


@settings(max_examples=60, deadline=None)
@given(ids=st.lists(st.sampled_from(range(3, 41)), min_size=1, max_size=64), tonic=st.sampled_from(["C", "D", "Ab"]))
def test_a_midi_file_holds_exactly_what_sounds(tmp_path_factory, ids, tonic):
    """RL Tuner's came out two semitones high, with on and off swapped."""
    domain = MusicDomain(MusicOptions(tonic=tonic))
    (path,) = domain.write([domain.decode(VOCABULARY.decode(ids))], tmp_path_factory.mktemp("midi"))
    notes, sixteenth, _ = by_mido(path)
    assert notes == [(n.start, n.length, n.midi + domain.options.shift) for n in sounding(ids)]
    assert sixteenth == 0.125


def test_middle_c_is_60_and_starts_at_once(tmp_path):
    (path,) = C.write(["C4 - - - E4 - . - G4 - - -"], tmp_path)
    assert by_mido(path)[0] == [(0, 4, 60), (4, 2, 64), (8, 4, 67)]


def test_files_are_numbered_and_say_their_metre_key_and_instrument(tmp_path):
    d = MusicDomain(MusicOptions(tonic="D"))
    paths = d.write(["D4 - - -"] * 3, tmp_path / "new" / "folder")
    assert [p.name for p in paths] == ["0001.mid", "0002.mid", "0003.mid"]
    messages = by_mido(paths[2])[2]
    assert next((m.numerator, m.denominator) for m in messages if m.type == "time_signature") == (4, 4)
    assert next(m.key for m in messages if m.type == "key_signature") == "D"
    assert next(m.program for m in messages if m.type == "program_change") == 0
    assert d.write([], tmp_path) == []


def test_a_melody_of_silence_is_a_file_too(tmp_path):
    (path,) = C.write(["- - . -"], tmp_path)
    assert by_mido(path)[0] == []


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write to"):
        C.write(["C4"], tmp_path / "file" / "x")


melody_in_c = st.lists(st.sampled_from(VOCABULARY.encode(parse("C4 D4 E4 F4 G4 A4 B4 C5 - - - ."))), max_size=46)


@settings(max_examples=30, deadline=None)
@given(melody_in_c)
def test_what_we_write_we_read_in_its_canonical_form(tmp_path_factory, ids):
    scale = VOCABULARY.encode(
        parse("C4 D4 E4 F4 G4 A4 B4 C5 B4 A4 G4 F4 E4 D4 C4 B3 C4 - ")
    )  # leaves no doubt of the key
    ids = (scale + ids + [4] * 64)[:64]
    folder = tmp_path_factory.mktemp("midi")
    C.write([C.decode(VOCABULARY.decode(ids))], folder)
    (line,) = C.read(folder)
    read = VOCABULARY.encode(C.encode(line.text))
    assert len(read) % 16 == 0
    assert sounding(read) == sounding(ids)
    assert read == written(sounding(ids), len(ids))[: len(read)]


def test_every_kind_of_file_is_read_by_name(tmp_path):
    from music21.converter import parse as parse_abc

    C.write(["C4 - - - D4 - - - E4 - - - F4 - - - G4 - - - A4 - - - B4 - - - C5 - - -"], tmp_path)
    (tmp_path / "a.abc").write_text(REEL + "\n" + REEL.replace("X:1", "X:2").replace("4/4", "6/8"))
    (tmp_path / "b.txt").write_text("C4 - E4 -\n\nC4 - H4\n")
    (tmp_path / "c.md").write_text("not music")
    parse_abc(REEL, format="abc").write("musicxml", tmp_path / "d.musicxml")
    (tmp_path / "e.mid").write_bytes(b"MThd nonsense")
    (tmp_path / "f.xml").write_text("<score")
    (tmp_path / "g.abc").write_bytes(bytes(range(256)))
    (tmp_path / "h.mid").write_text("")
    reel = "C4 - - - D4 - - - E4 - - - G4 - - - A4 - - - G4 - - - E4 - - - D4 - - -"
    lines = list(C.read(tmp_path))
    assert [(line.where, line.text) for line in lines if not line.problem] == [
        ("0001.mid", "C4 - - - D4 - - - E4 - - - F4 - - - G4 - - - A4 - - - B4 - - - C5 - - -"),
        ("a.abc X:1", reel),
        ("b.txt, line 1", "C4 - E4 -"),
        ("d.musicxml", reel),
    ]
    assert [line.where for line in lines if line.problem] == [
        "a.abc X:2", "b.txt, line 3", "e.mid", "f.xml", "g.abc", "h.mid",
    ]  # fmt: skip
    assert all("\n" not in line.problem and line.text is None for line in lines if line.problem)
    assert "its metre is 6/8" in next(line.problem for line in lines if line.where == "a.abc X:2")
    assert "event 3 is 'H4'" in next(line.problem for line in lines if line.where == "b.txt, line 3")


def test_reading_moves_a_tune_to_the_key_that_was_asked_for(tmp_path):
    (tmp_path / "a.abc").write_text(REEL)
    (tmp_path / "b.txt").write_text("G4 - A4 - F#4 -")
    d = MusicDomain(MusicOptions(tonic="D"))
    abc, txt = d.read(tmp_path)
    assert abc.text.startswith("D4 - - - E4 - - - F#4")
    assert txt.text == "G4 - A4 - F#4 -"


def test_what_cannot_be_read_at_all(tmp_path):
    (tmp_path / "song.wav").write_text("")
    for path, said in [
        (tmp_path / "none", "there is no file or folder"),
        (tmp_path / "song.wav", "read from .mid, .midi, .abc"),
        (tmp_path, "no melodies in the folder"),
    ]:
        with pytest.raises(UserError, match=said):
            list(C.read(path))


def midi_file(path, tracks, metre=(4, 4), tempo=500_000):
    """A file by mido; tracks of (channel, [(start, length, pitch) in quarters])."""
    file = mido.MidiFile(ticks_per_beat=480)
    head = mido.MidiTrack()
    head.append(mido.MetaMessage("set_tempo", tempo=tempo))
    head.append(mido.MetaMessage("time_signature", numerator=metre[0], denominator=metre[1]))
    file.tracks.append(head)
    for channel, notes in tracks:
        track, now = mido.MidiTrack(), 0
        events = [(int(s * 480), "note_on", p) for s, _, p in notes]
        events += [(int((s + length) * 480), "note_off", p) for s, length, p in notes]
        for at, kind, pitch in sorted(events, key=lambda e: (e[0], e[1] == "note_on")):
            track.append(mido.Message(kind, note=pitch, velocity=64, time=at - now, channel=channel))
            now = at
        file.tracks.append(track)
    file.save(path)


def test_midi_of_others(tmp_path):
    """Drums are passed over, the upper line is taken, timing is put on the grid of the file's beats, any tempo."""
    drums = (9, [(0, 0.25, 36)])
    piano = (0, [(4.02, 0.9, 62), (4, 2, 50), (5, 0.5, 66), (5.5, 0.5, 69), (6, 0.98, 74), (7, 1, 73)])
    bass = (1, [(0, 4, 40)])
    midi_file(tmp_path / "a.mid", [drums, piano, bass], tempo=731_000)
    (line,) = C.read(tmp_path / "a.mid")
    assert line.text == "C4 - - - E4 - G4 - C5 - - - B4 - - -"


def test_midi_in_other_metres(tmp_path):
    scale = [(i / 2, 0.5, p) for i, p in enumerate([60, 62, 64, 65, 67, 69, 71, 72])]
    midi_file(tmp_path / "a.mid", [(0, scale)], metre=(2, 4))
    midi_file(tmp_path / "b.mid", [(0, scale)], metre=(3, 4))
    midi_file(tmp_path / "c.mid", [])
    two, three, none = C.read(tmp_path)
    assert " ".join(two.text.split()[::4]) == "C4 D4 E4 F4 G4 A4 B4 C5"
    assert "its metre is 3/4" in three.problem
    assert "no notes" in none.problem


def test_the_upper_line_of_chords_and_held_notes():
    chord = [Note(0, 4, 60), Note(0, 4, 67), Note(0, 4, 64)]
    assert skyline(chord) == [Note(0, 4, 67)]
    assert skyline([Note(0, 8, 72), Note(2, 2, 60), Note(4, 2, 76)]) == [Note(0, 4, 72), Note(4, 2, 76)]
    assert skyline([Note(0, 2, 60), Note(2, 2, 60)]) == [Note(0, 2, 60), Note(2, 2, 60)]


def test_a_tune_that_would_take_half_a_minute_is_refused_at_once(tmp_path):
    (tmp_path / "a.abc").write_text("X:1\nM:4/4\nL:1/8\nK:G\n" + "GABc dedB|" * 180_000)
    (line,) = MusicDomain().read(tmp_path / "a.abc")
    assert line.problem == "a tune of it has 1,800,020 characters; no melody has more than 100,000"


def test_a_midi_file_of_more_notes_than_any_piece_is_refused_at_once(tmp_path):
    """1.6 million notes of one track took 15 s and 700 MB; so would as many in many tracks."""
    head, end = b"MThd\0\0\0\6\0\1\0\1\1\xe0", b"\0\xff\x2f\0"
    one = b"\0\x90\x3c\x40" + bytes([0, 60, 64]) * 100_000 + end
    few = b"\0\x90\x3c\x40" + bytes([0, 60, 64]) * 10_000 + end
    for name, tracks in (("one.mid", [one]), ("many.mid", [few] * 12)):
        (tmp_path / name).write_bytes(head + b"".join(b"MTrk" + len(t).to_bytes(4) + t for t in tracks))
        (line,) = C.read(tmp_path / name)
        assert line.problem == "it has more than 100,000 notes; no piece has so many"


def test_absurd_lengths_of_midi_are_said_at_once(tmp_path):
    most = b"\xff\xff\xff\x7f"  # ticks, 268 million
    for track in (
        b"\0\x90\x3c\x40" + most + b"\x3c\0",
        (most + b"\xff\6\0") * 1000 + b"\0\x90\x3c\x40" + most + b"\x3c\0",
    ):
        body = track + b"\0\xff\x2f\0"
        (tmp_path / "a.mid").write_bytes(b"MThd\0\0\0\6\0\1\0\1\0\1" + b"MTrk" + len(body).to_bytes(4) + body)
        (line,) = C.read(tmp_path / "a.mid")
        assert line.problem == "it is longer than any melody"


def test_musicxml_of_more_notes_than_any_melody_is_refused_before_music21_reads_it(tmp_path):
    (tmp_path / "a.xml").write_text("<score-partwise>" + "<note/>" * 10_001 + "</score-partwise>")
    (line,) = MusicDomain().read(tmp_path / "a.xml")
    assert line.problem == "it has more than 10,000 notes; no melody has so many"
