"""What we write, read by others: MIDI by mido, MusicXML by music21, ABC by music21 and, exactly, by our own reader."""

from __future__ import annotations

import io
import warnings

import mido
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from music21.converter import parseData

from seqtutor import UserError, load
from seqtutor_music import MusicDomain
from seqtutor_music.abc import read_tune
from seqtutor_music.domain import MusicOptions
from seqtutor_music.events import Note, sounding
from seqtutor_music.keys import FIFTHS, Key, key, text_of
from seqtutor_music.sheets import Sheet, abc, bars, musicxml
from seqtutor_music.writing import midi, title

lines = st.lists(st.sampled_from(range(3, 41)), min_size=1, max_size=64).map(lambda ids: (sounding(ids), len(ids)))
sparse = st.lists(st.sampled_from([4, 4, 4, 4, 3, *range(12, 32, 3)]), min_size=16, max_size=64).map(
    lambda ids: (sounding(ids), len(ids))
)
tonics = st.sampled_from([text_of(Key(sharps, mode)) for sharps in range(-7, 8) for mode in FIFTHS])
EVERY = settings(max_examples=60, deadline=None)


def merged(found):
    """(start, length, pitch) of values that say whether they prolong the one before."""
    notes = []
    for start, length, pitch, prolongs in found:
        if prolongs:
            before = notes.pop()
            assert before[0] + before[1] == start
            assert before[2] == pitch
            start, length = before[0], before[1] + length
        notes.append((start, length, pitch))
    return [Note(*note) for note in notes]


@EVERY
@given(line=st.one_of(lines, sparse))
def test_values_fill_their_bars_and_add_up_to_the_notes(line):
    notes, steps = line
    found = bars(notes, steps)
    assert all(sum(value.length for value in bar) == 16 for bar in found)
    values = [v._replace(start=v.start + 16 * i) for i, bar in enumerate(found) for v in bar if v.midi is not None]
    assert merged((v.start, v.length, v.midi, v.prolongs) for v in values) == notes
    for bar in found:
        for value in bar:  # nobody writes a note across the middle of the bar that does not begin on a beat
            crosses = value.start < 8 < value.start + value.length
            assert not crosses or value.start in (0, 4)


@EVERY
@given(line=st.one_of(lines, sparse), tonic=tonics)
def test_our_abc_reader_finds_exactly_the_notes(line, tonic):
    notes, steps = line
    score = read_tune(abc(notes, steps, Sheet("A % title", key(tonic), 90)))
    assert score.metres == ("4/4",)
    assert score.keys == (key(tonic),)
    assert len(score.bars) == -(-steps // 16)
    found = [
        (16 * i + 4 * sound.start, 4 * sound.length, sound.midi, sound.tied)
        for i, bar in enumerate(score.bars)
        for sound in bar.sounds
    ]
    assert merged(found) == notes


@settings(max_examples=12, deadline=None)
@given(line=st.one_of(lines, sparse).filter(lambda line: line[0]), tonic=tonics)
@pytest.mark.parametrize("kind", ["abc", "musicxml"])
def test_music21_finds_the_same(kind, line, tonic):
    """Bars are asked of MusicXML alone: of an ABC tune of one bar music21 makes none. Locrian ABC it does not know."""
    assume(kind == "musicxml" or (not tonic.endswith("loc") and tonic != "Fblyd"))
    notes, steps = line
    written = {"abc": abc, "musicxml": musicxml}[kind](notes, steps, Sheet("One & only", key(tonic), 90))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        part = parseData(written, format=kind).parts[0]
    found = [(4 * n.offset, 4 * n.quarterLength, n.pitch.midi) for n in part.stripTies().flatten().notes]
    assert found == [tuple(note) for note in notes]
    assert next(part.flatten().getElementsByClass("KeySignature")).sharps == key(tonic).sharps
    if kind == "musicxml":
        assert [measure.quarterLength for measure in part.getElementsByClass("Measure")] == [4.0] * -(-steps // 16)


def test_music21_reads_key_title_tempo_and_spelling():
    sheet = Sheet("Run <7> 3", key("Gm"), 72)
    score = parseData(musicxml([Note(0, 4, 67), Note(4, 4, 70), Note(8, 8, 66)], 16, sheet), format="musicxml")
    assert score.metadata.title == "Run <7> 3"
    assert [n.nameWithOctave for n in score.flatten().notes] == ["G4", "B-4", "F#4"]
    assert next(score.flatten().getElementsByClass("Key")).name.lower() == "g minor"
    assert next(score.flatten().getElementsByClass("MetronomeMark")).number == 72


@pytest.mark.parametrize(("tonic", "named"), [("C", "C"), ("Bb", "Bb"), ("Am", "Am"), ("F#m", "F#m"), ("G#", "Ab")])
def test_a_midi_file_says_key_tempo_title_and_lasts_whole_bars(tonic, named):
    file = mido.MidiFile(file=io.BytesIO(midi([Note(0, 3, 60)], 64, Sheet("Run 1", key(tonic), 90))))
    for track in file.tracks:
        assert sum(message.time for message in track) == 16 * file.ticks_per_beat
        assert track[-1].type == "end_of_track"
    ticks, kinds = 0, {}
    for message in file.tracks[0]:
        ticks += message.time
        kinds.setdefault(message.type, (ticks, message))
    assert kinds["key_signature"] == (0, mido.MetaMessage("key_signature", key=named, time=0))
    assert mido.tempo2bpm(kinds["set_tempo"][1].tempo) == pytest.approx(90, abs=1e-3)
    assert kinds["track_name"][1].name == "Run 1"


def test_every_signature_keeps_its_own_scale_free_of_accidentals():
    for sharps in range(-7, 8):
        own = Key(sharps)
        assert key(text_of(own)) == own
        for degree in (0, 2, 4, 5, 7, 9, 11):
            letter, alter, _ = own.spelt(60 + own.shift + degree)
            assert alter == own.alters(letter)


def test_the_domain_writes_what_is_asked_for(tmp_path):
    domain = MusicDomain(MusicOptions(tonic="Dm", tempo=60, formats="abc,musicxml"))
    folder = tmp_path / "run" / "samples"
    folder.parent.mkdir()
    (folder.parent / "config.toml").touch()
    paths = domain.write(["D4 - - - F4 - - - A4 - - - D5 - - -"] * 2, folder)
    assert [path.name for path in paths] == [f"000{n}.{kind}" for n in (1, 2) for kind in ("mid", "abc", "musicxml")]
    tune = (folder / "0002.abc").read_text()
    assert tune == "X:1\nT:run samples 2\nM:4/4\nL:1/16\nQ:1/4=60\nK:Dm\nD4 F4 A4 d4|]\n"
    assert domain.notes("D4 - - -") == [(0.0, 1.0, 62)]
    assert title(tmp_path / "melodies") == "melodies"
    for path in paths:  # and our readers bring them back; a file has no mark of the octave that it was in
        assert [line.text for line in domain.read(path)] == ["D4 - - - F4 - - - A4 - - - D5 - - -"]


def test_a_tempo_that_nobody_plays_is_refused():
    with pytest.raises(UserError, match="tempo must lie between 10 and 400, not 0"):
        load("music", {"tempo": 0})
