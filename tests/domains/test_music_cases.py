"""Files as people's programs write them: what each must be read as, one small file a case."""

import struct

import mido
import pytest

from seqtutor_music import MusicDomain
from seqtutor_music.abc import read_tune
from seqtutor_music.events import parse, sounding, spell
from seqtutor_music.scores import melody
from seqtutor_music.tunebooks import tunes

SCALE = [60, 62, 64, 65, 67, 69, 71, 72, 71, 69, 67, 65, 64, 62, 60, 60]
IN_QUARTERS = " - - - ".join(map(spell, SCALE)) + " - - -"


# ABC


def quarters(names):
    """Text of quarter notes; a dot is a rest."""
    return " ".join(f"{name} - - -" for name in names.split())


def abc(body, key="C", head="M:4/4\nL:1/4\n"):
    return f"X:1\nT:t\n{head}K:{key}\n{body}\n"


def read(text):
    return [" ".join(melody(read_tune(tune)).words) for tune in tunes(text)]


SHARPS = "^F E F E | ^G A G A | B c d e | c4 |]"
IN_SHARPS = (
    quarters("F#4 E4 F#4 E4 G#4 A4 G#4 A4 B4 C5 D5 E5") + " C5" + " -" * 15  # F and G stay sharp in their bar
)
CADENCE = quarters("G4 A4 B4 C5") + " C4" + " -" * 15


def test_an_accidental_holds_to_the_end_of_its_bar():
    assert read(abc(SHARPS)) == [IN_SHARPS]
    assert read(abc("^F =F F f | F4 |]")) == [quarters("F#4 F4 F4 F5") + " F4" + " -" * 15]
    assert read(abc("_B2 B2- | B2 B2 |]", key="C")) == ["A#4 - - - - - - - A#4" + " -" * 15 + " B4" + " -" * 7]


def test_a_version_line_changes_nothing():
    assert read("%abc-2.1\n" + abc(SHARPS)) == [IN_SHARPS]


def test_the_fields_before_the_first_tune_serve_all():
    book = (
        "%abc-2.1\nM:4/4\nL:1/8\n\nX:1\nT:a\nK:C\nC2D2E2F2|G2A2B2c2|c2B2A2G2|C8|]\n\n"
        "X:2\nT:b\nK:G\nG2A2B2c2|d2e2f2g2|g2f2e2d2|G8|]\n"
    )
    both = quarters("C4 D4 E4 F4 G4 A4 B4 C5 C5 B4 A4 G4") + " C4" + " -" * 15
    assert read(book) == [both, both]
    assert read("L:1/4\n\nX:1\nT:a\nM:4/4\nK:C\nCDEF|GABc|cBAG|C4|]\n") == [both]
    assert read("M:3/4\nL:1/4\n\nX:1\nM:4/4\nK:C\nCDEF|GABc|cBAG|C4|]\n") == [both]  # a tune's own metre counts


@pytest.mark.parametrize(("rest", "bars"), [("Z", 1), ("Z2", 2), ("z4", 1), ("X", 1), ("z4|z4", 2)])
def test_bars_of_rest_keep_their_place(rest, bars):
    text = " ".join(["C4 - - - D4 - - - E4 - - - F4 - - - .", *["-"] * (16 * bars - 1)])
    assert read(abc(f"CDEF|{rest}|GABc|C4|]")) == [f"{text} {CADENCE}"]


def test_an_invisible_rest_is_a_rest():
    assert read(abc("CDEF|x E F x|GABc|C4|]")) == [quarters("C4 D4 E4 F4 . E4 F4 .") + " " + CADENCE]
    assert read(abc("C x2 F|C4|]")) == ["C4 - - - . - - - - - - - F4 - - - C4" + " -" * 15]


def test_a_voice_may_be_named_twice():
    one = abc('V:1 clef=treble name="Fiddle"\nV:1\nCDEF|GABc|cBAG|C4|]')
    assert read(one) == [quarters("C4 D4 E4 F4 G4 A4 B4 C5 C5 B4 A4 G4") + " C4" + " -" * 15]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("D exp _b _e ^f", "E4 F4 G#4 A4 B4 C5 D5 E5"),  # D Eb F# G A Bb c d, as A minor with a raised seventh
        ("D =c", "G3 A3 B3 C4 D4 E4 F4 G4"),  # one sharp: D mixolydian
        ("Dmix", "G3 A3 B3 C4 D4 E4 F4 G4"),
        ("D Dorian", "D4 E4 F4 G4 A4 B4 C5 D5"),
        ("HP", "C4 D4 E4 F4 G4 A4 B4 C5"),
        ("none", "D4 E4 F4 G4 A4 B4 C5 D5"),
    ],
)
def test_keys_mean_exactly_their_accidentals(key, expected):
    notes = [word for word in read(abc("DEFG|ABcd|]", key=key))[0].split() if word != "-"]
    assert notes == expected.split()


def test_a_repeat_sign_needs_no_space():
    tune = "BABA GEDE|DBDE DBGB|G2G2 DEDE|FEFG A2AA::\nBABd B2BG|cABc d2c2|BABd B2d2|edBA G4:|"
    (text,) = read(abc(tune, key="G", head="M:4/4\nL:1/8\n"))
    assert [len(parse(part)) for part in text.split("||")] == [64, 64]
    assert "D4 - - - D4 - D4 - || E4 - D4" in text
    assert text.endswith("A4 - G4 - E4 - D4 - C4 - - - - - - -")


def test_sections_end_at_double_lines_and_repeat_signs_wherever_they_stand():
    one, other = "C4 - - - - - - - - - - - - - - -", "G4 - - - - - - - - - - - - - - -"
    for sign in (":|", "||", "|]", ":|]", "|\n|:", "::", "||:", ":||:"):
        assert read(abc(f"C4{sign}G4|]")) == [f"{one} || {other}"], sign
    assert read(abc("C4|G4|]")) == [f"{one} {other}"]
    assert read(abc("C4|1 G4:|2 G4|]")) == [f"{one} {other} || {other}"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("C>D E<F|", "C4 - - - - - D4 - E4 - F4 - - - - -"),
        ("C>(D E)<F|", "C4 - - - - - D4 - E4 - F4 - - - - -"),
        ("C>>D E2|", "C4 - - - - - - D4 E4 - - - - - - -"),
        ("C/D//E// F3/2 G3/2|", "C4 - D4 E4 F4 - - - - - G4 - - - - -"),
        ("[CE]2 [E2G]|", "E4 - - - - - - - G4 - - - - - - -"),
        ('"Am"{cd}C !trill!D ~E "^text"F|', "C4 - - - D4 - - - E4 - - - F4 - - -"),
        ("(4CDEF G|", "C4 - - D4 - - E4 - - F4 - - G4 - - -"),
        ("C D E F % G A\n|", "C4 - - - D4 - - - E4 - - - F4 - - -"),
        ("C [I:setbarnb 3] D [r:remark] E F|", "C4 - - - D4 - - - E4 - - - F4 - - -"),
    ],
)
def test_what_stands_between_bar_lines(body, expected):
    assert read(abc(body)) == [expected]


# MIDI


def midi(notes, *, head=(), tail=True, name=None, track=0, divisions=480):
    """The bytes of a file: `notes` (start, length, pitch) in quarters, length None where it is never ended."""
    events = [(int(start * 480), 0x90, pitch, 80) for start, _, pitch in notes]
    events += [(int((start + length) * 480), 0x80, pitch, 64) for start, length, pitch in notes if length is not None]
    content, now = b"", 0
    for at, *message in sorted(events, key=lambda e: (e[0], e[1])):
        content += variable(at - now) + bytes(message)
        now = at
    body = b"".join(b"\0" + meta for meta in head) + content + (b"\0\xff\x2f\0" if tail else b"")
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, divisions) + b"MTrk" + struct.pack(">I", len(body)) + body


def variable(number):
    """A MIDI number of variable length."""
    out = bytes([number & 0x7F])
    while number := number >> 7:
        out = bytes([0x80 | number & 0x7F]) + out
    return out


def meta(kind, *data):
    return bytes([0xFF, kind, len(data), *data])


def line(pitches, length=1.0, start=0.0):
    return [(start + i * length, length, pitch) for i, pitch in enumerate(pitches)]


def of(tmp_path, content):
    (tmp_path / "a.mid").write_bytes(content)
    (found,) = MusicDomain().read(tmp_path / "a.mid")
    return found


@pytest.mark.parametrize(
    "content",
    [
        midi(line(SCALE)),
        midi(line(SCALE), head=[meta(0x51, 0, 0, 0)]),
        midi(line(SCALE), head=[meta(0x59, 8, 0)]),
        midi(line(SCALE), head=[meta(0x59, 0, 7)]),
        midi(line(SCALE), head=[meta(0x58, 0, 2, 24, 8)]),
        midi(line(SCALE), tail=False),
        midi(line(SCALE))[:-5],  # it breaks off within the last message
        b"RIFF" + struct.pack("<I", 500) + b"RMIDdata" + struct.pack("<I", 492) + midi(line(SCALE)),
        midi([*line(SCALE[:-1]), (15, None, 60)]),
    ],
    ids=["plain", "tempo", "key", "mode", "metre", "end", "broken", "riff", "never ended"],
)
def test_what_can_be_played_can_be_read(tmp_path, content):
    found = of(tmp_path, content)
    assert not found.problem
    assert found.text == IN_QUARTERS


def test_a_note_that_is_never_ended_lasts_to_the_end_of_its_track_or_bar(tmp_path):
    content = midi([*line(SCALE[:4]), (4, 1, 67), (5, None, 72)], tail=False) + b""
    assert of(tmp_path, content).text.endswith("G4 - - - C5 - - - - - - - - - - -")
    ended = content[:18] + struct.pack(">I", len(content) - 22 + 5) + content[22:] + variable(480) + meta(0x2F)
    assert of(tmp_path, ended).text.endswith("G4 - - - C5 - - - . - - - - - - -")


def test_the_second_of_two_notes_of_one_pitch_keeps_its_length(tmp_path):
    content = midi([(0, 1, 60), (0.5, 1, 60), *line(SCALE[1:], start=1.5)])
    assert of(tmp_path, content).text.startswith("C4 - C4 - - - D4 - - - E4")


def test_a_short_first_bar_is_a_pickup(tmp_path):
    head = [meta(0x58, 1, 2, 24, 8)]
    body = midi(line([67, *SCALE]), head=head)
    later = variable(480) + meta(0x58, 4, 2, 24, 8)
    content = with_second_track(body, later + b"\0" + meta(0x2F))
    assert of(tmp_path, content).text == ("- - - - " * 3 + "G4 - - - " + IN_QUARTERS)
    changed = with_second_track(body, variable(1920) + meta(0x58, 4, 2, 24, 8) + b"\0" + meta(0x2F))
    assert "it changes its metre" in of(tmp_path, changed).problem


def metres(*changes):
    """A track of time signatures (quarter, "n/d")."""
    content, now = b"", 0
    for at, metre in changes:
        beats, unit = map(int, metre.split("/"))
        content += variable(int(at * 480) - now) + meta(0x58, beats, unit.bit_length() - 1, 24, 8)
        now = int(at * 480)
    return content + b"\0" + meta(0x2F)


@pytest.mark.parametrize(
    ("upbeat", "changes"),
    [
        (1, [(0, "1/4"), (1, "4/4")]),
        (0.5, [(0, "1/8"), (0.5, "4/4")]),
        (0.25, [(0, "1/16"), (0.25, "4/4")]),
        (1.25, [(0, "5/16"), (1.25, "2/2")]),
        (1.5, [(0, "3/8"), (1.5, "4/4")]),
        (3, [(0, "3/4"), (3, "4/4")]),
        (3.5, [(0, "7/8"), (3.5, "4/4")]),
        (1, [(1, "4/4")]),  # the first bar comes before any time signature
        (1, [(0, "4/4"), (1, "4/4")]),  # a bar begins where a time signature stands
        (0.5, [(0, "4/4"), (0.5, "4/4"), (8.5, "4/4")]),
        (1, [(0, "1/4"), (1, "4/4"), (13, "3/4")]),  # the last bar lacks what the first one has
        (1, [(0, "1/4"), (1, "4/4"), (5, "3/4"), (8, "1/4"), (9, "4/4")]),  # a repeat sign within a bar
        (1, [(0, "1/4"), (1, "4/4"), (40.5, "3/4")]),  # behind the last note
    ],
)
def test_the_bars_are_where_the_time_signatures_say(tmp_path, upbeat, changes):
    content = midi([(0, upbeat, 67), *line(SCALE[:15], start=upbeat)])
    steps = int(4 * upbeat)
    before = " ".join(["-"] * (16 - steps) + ["G4"] + ["-"] * (steps - 1))
    found = of(tmp_path, with_second_track(content, metres(*changes)))
    assert found.text == f"{before} {quarters(' '.join(map(spell, SCALE[:15])))} . - - -"


def test_of_a_tune_in_2_4_too(tmp_path):
    content = midi([(0, 0.25, 67), *line(SCALE, 0.5, 0.25)])
    found = of(tmp_path, with_second_track(content, metres((0, "1/16"), (0.25, "2/4"))))
    assert found.text == "- - - - - - - - - - - - - - G4 - " + IN_QUARTERS


@pytest.mark.parametrize("upbeat", [1, 0.5, 0.25, 0.75])
def test_a_pickup_that_no_time_signature_tells_is_known_by_the_length(tmp_path, upbeat):
    steps = int(4 * upbeat)
    found = of(tmp_path, midi([(0, upbeat, 67), *line(SCALE, start=upbeat)]))
    assert found.text == " ".join(["-"] * (16 - steps) + ["G4"] + ["-"] * (steps - 1)) + " " + IN_QUARTERS
    assert found.where == "a.mid, with a pickup, by its length"


DANCE = [60, 62, 64, 65, 67, 64, 62, 65, 64, 60, 62, 59, 60, 64, 67, 72, 71, 67, 69, 65, 64, 62, 62, 60]


def dance(upbeat, bars=8, last=3):
    """An upbeat, and bars of two quarters and a half note."""
    starts = [4 * bar + beat for bar in range(bars) for beat in (0, 1, 2)]
    tune = [(upbeat + start, 1 + (start % 4 == 2), pitch) for start, pitch in zip(starts, DANCE, strict=False)]
    tune[-1] = (tune[-1][0], last - 2, tune[-1][2])
    return [(0, upbeat, 55), *tune] if upbeat else tune


@pytest.mark.parametrize("upbeat", [1, 0.5, 0.25, 0.75])
def test_a_pickup_that_no_time_signature_tells_is_known_by_the_bar_lines(tmp_path, upbeat):
    found = of(tmp_path, midi(dance(upbeat, last=4 - upbeat if upbeat < 1 else 3)))  # it ends with a bar of the file
    assert found.where == "a.mid, with a pickup, by its bar lines"
    events = found.text.split()
    assert events[16 - int(4 * upbeat)] == "G3"
    assert all(events[at] not in ("-", ".") for at in range(16, len(events), 16))
    assert of(tmp_path, midi(dance(0, last=4))).where == "a.mid"
    assert of(tmp_path, midi(dance(upbeat, bars=6, last=4 - upbeat))).where == "a.mid"  # too few bars to tell


def test_a_day_of_silence_takes_no_time(tmp_path):
    silence = b"\xff\xff\xff\x7f\xb0\0\0" * 2000
    body = variable(0) + bytes([0x90, 60, 80]) + variable(1) + bytes([0x80, 60, 0]) + silence + b"\0" + meta(0x2F)
    content = b"MThd" + struct.pack(">IHHH", 6, 0, 1, 1) + b"MTrk" + struct.pack(">I", len(body)) + body
    assert of(tmp_path, content).text == "C4 - - - . - - - - - - - - - - -"


def longer(content, quarters):
    """The file with silence before the end of its one track."""
    body = content[22:-4] + variable(480 * quarters) + meta(0x2F)
    return content[:18] + struct.pack(">I", len(body)) + body


@pytest.mark.parametrize(
    "content",
    [
        midi(line(SCALE[:6])),  # a bar and a half
        midi([*line(SCALE), (16, 2, 67)]),  # half a bar more
        longer(midi(line([67, *SCALE])), 3),  # its track ends with a bar
        midi([(0, 1.5, 67), *line(SCALE, start=1)]),  # a note over another: played
        midi([(0, 1, 67), (1.02, 1, 60), *line(SCALE[1:], start=2)]),  # off the grid: played
        midi([(0, 2, 67), *line(SCALE[1:], start=2)]),  # a note over the bar line that there would be
        midi([*line(SCALE, 4), (64, 1, 60)]),  # whole notes: they begin with their bars
        midi([(1, 1, 67), *line(SCALE[1:], start=2)]),  # silence first
    ],
)
def test_what_says_nothing_of_a_pickup_has_none(tmp_path, content):
    found = of(tmp_path, content)
    assert not found.problem
    assert found.where == "a.mid"
    assert found.text.split()[0] in ("G4", "C4") or found.text.startswith("- - - - G4")


def test_an_upbeat_behind_rests_stays_in_its_bar(tmp_path):
    content = midi([(3, 1, 67), *line(SCALE, start=4)])
    assert of(tmp_path, content).text == "- - - - " * 3 + "G4 - - - " + IN_QUARTERS


@pytest.mark.parametrize(
    "changes",
    [
        [(0, "1/4"), (4, "4/4")],  # four bars of 1/4
        [(0, "4/4"), (8, "2/4"), (10, "4/4")],  # half a bar too much
        [(0, "4/4"), (4, "3/4")],
        [(0, "4/4"), (4, "6/8"), (7, "4/4")],
        [(0, "4/4"), (2, "4/4"), (8, "4/4")],
    ],
)
def test_other_changes_of_metre_are_refused(tmp_path, changes):
    found = of(tmp_path, with_second_track(midi(line(SCALE)), metres(*changes)))
    assert found.problem == "it changes its metre"


def with_second_track(content, events):
    return content + b"MTrk" + struct.pack(">I", len(events)) + events


@pytest.mark.parametrize("key", ["C", "G", "Eb", "Bm"])
def test_a_stated_key_decides(tmp_path, key):
    """The tune has no F: it may stand in C or in G."""
    tune = [67, 69, 71, 74, 76, 74, 71, 69, 67, 62, 64, 67, 69, 71, 69, 67]
    shift = {"C": 0, "G": 5, "Eb": -3, "Bm": -2}[key]
    sharps = {"C": 0, "G": 1, "Eb": 0x100 - 3, "Bm": 2}[key]
    found = of(tmp_path, midi(line(tune), head=[meta(0x59, sharps, key == "Bm")]))
    pitches = [note.midi for note in sounding(MusicDomain().vocabulary.encode(parse(found.text)))]
    assert {(pitch - shift - wanted) % 12 for pitch, wanted in zip(pitches, tune, strict=True)} == {0}
    likely = of(tmp_path, midi(line(tune)))
    assert "G4 - - - A4" in likely.text


@pytest.mark.parametrize(
    ("starts", "bar", "hint"),
    [
        ([0, 1 / 3, 2 / 3, 1, 4 / 3, 5 / 3, 2, 3], 1, ", but in a triplet (--triplets)"),
        ([0, 2 / 3, 1, 5 / 3, 2, 8 / 3, 3, 11 / 3], 1, ", but in a triplet (--triplets)"),  # swing
        ([0, 1, 2, 3, 4, 4 + 1 / 3, 4 + 2 / 3, 5], 2, ", but in a triplet (--triplets)"),
        ([0, 1, 2, 3, 3.125, 4, 5, 6], 1, ""),  # a thirty-second
    ],
)
def test_what_is_off_the_grid_is_refused_with_its_bar(tmp_path, starts, bar, hint):
    found = of(tmp_path, midi([(start, 0.1, 60 + i) for i, start in enumerate(starts)]))
    assert found.problem == f"bar {bar} has a note that is not on the sixteenth grid{hint}"


BASS = [(i, 1, 36) for i in range(16)]
CHORDS = [(4 * i, 4, pitch) for i in range(4) for pitch in (48, 52, 88)]
BELL = [(0, 1, 96), (12, 1, 96)]


@pytest.mark.parametrize(
    ("others", "name", "where"),
    [
        ([BASS], None, "a.mid, track 3"),
        ([CHORDS], None, "a.mid, track 3"),
        ([BASS, CHORDS, BELL], None, "a.mid, track 5"),
        ([[(i, 1, 90) for i in range(16)]], "Lead vocals", "a.mid, track 3 'Lead vocals'"),
        ([], "Piano", "a.mid"),
    ],
)
def test_the_melody_is_found_among_the_tracks_and_named(tmp_path, others, name, where):
    file = mido.MidiFile(ticks_per_beat=480)
    file.tracks.append(mido.MidiTrack([mido.MetaMessage("time_signature", numerator=4, denominator=4)]))
    for channel, notes in enumerate([*others, line(SCALE)]):
        messages = [(int(s * 480), "note_on", p) for s, _, p in notes]
        messages += [(int((s + length) * 480), "note_off", p) for s, length, p in notes]
        track, now = mido.MidiTrack(), 0
        if name and notes == line(SCALE):
            track.append(mido.MetaMessage("track_name", name=name))
        for at, kind, pitch in sorted(messages, key=lambda m: (m[0], m[1] == "note_on")):
            track.append(mido.Message(kind, note=pitch, velocity=64, time=at - now, channel=channel))
            now = at
        file.tracks.append(track)
    file.save(tmp_path / "a.mid")
    (found,) = MusicDomain().read(tmp_path / "a.mid")
    assert (found.where, found.text) == (where, IN_QUARTERS)


def test_time_in_frames_of_film_is_refused(tmp_path):
    assert "frames of film" in of(tmp_path, midi(line(SCALE), divisions=0xE728)).problem
    assert "no MIDI file" in of(tmp_path, b"MThd").problem


# MusicXML


def test_in_musicxml_too_the_melody_is_found_and_sections_end(tmp_path):
    from music21 import bar, key, meter, note, stream

    bass, line = stream.Part([stream.Measure(number=i) for i in (1, 2)]), stream.Part()
    bass.partName, line.partName = "Bass", "Flute"
    for measure in bass:
        measure.append(note.Note("C2", quarterLength=4))
    for number, names in enumerate(("G4 A4 B4 D5", "G4 D4 E4 G4"), start=1):
        measure = stream.Measure(number=number)
        if number == 1:
            measure.append([key.KeySignature(1), meter.TimeSignature("4/4")])
            measure.rightBarline = bar.Repeat(direction="end")
        measure.append([note.Note(name) for name in names.split()])
        line.append(measure)
    stream.Score([bass, line]).write("musicxml", tmp_path / "a.musicxml")
    (found,) = MusicDomain().read(tmp_path / "a.musicxml")
    assert found.where == "a.musicxml, part 2 'Flute'"
    assert found.text == quarters("C4 D4 E4 G4") + " || " + quarters("C4 G3 A3 C4")


def test_octaves_that_a_key_states_are_read(tmp_path):
    for number, field in ((0, "K:C"), (-1, "K:C octave=-1"), (1, "K:C clef=treble octave=1")):
        (tmp_path / "a.abc").write_text(f"X:1\nM:4/4\nL:1/8\n{field}\nC2E2 G2C2|]\n")
        stated = MusicDomain().stated(tmp_path / "a.abc")
        assert stated == {"tonic": "C", "octave": number}
