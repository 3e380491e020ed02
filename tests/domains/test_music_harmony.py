"""Chords: how they are read, what their rule pays, and that notation programs find them where they begin."""

from __future__ import annotations

import io
import re
import wave

import numpy as np
import pytest
from music21.converter import parseData
from music21.harmony import ChordSymbol

from seqtutor import UserError, load
from seqtutor.plugin.contract import inherited
from seqtutor.runs.drawing import as_stated
from seqtutor_music.domain import MusicDomain, MusicOptions
from seqtutor_music.events import Note, batch
from seqtutor_music.harmony import QUALITIES, Chord, chord_tones, chords
from seqtutor_music.keys import key
from seqtutor_music.sheets import Sheet, abc, musicxml
from seqtutor_music.writing import RATE, wav

NOTES = [Note(0, 12, 64), Note(12, 4, 67), Note(16, 16, 62)]


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("root", ["C", "F#", "Bb"])
def test_the_notes_of_a_chord_are_those_that_music21_has(root, quality):
    theirs = ChordSymbol(f"{root.replace('b', '-')}{quality.replace('m7b5', 'ø7')}")
    assert Chord(root + quality, 0, 16).pitch_classes == {pitch.pitchClass for pitch in theirs.pitches}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("C | H7", "unknown chord 'H7'; a chord is a root, C, F#, Bb"),
        ("Cmin", "unknown chord 'Cmin'"),
        ("C | C F G", "bar 2 of the chords 'C | C F G' has 3 of them; a bar has 1, 2 or 4"),
        ("C || F", "bar 2 of the chords 'C || F' has 0"),
        ("|", "bar 1 of the chords"),
    ],
)
def test_what_is_no_progression_is_said(given, said):
    with pytest.raises(UserError, match=said.replace("|", r"\|")):
        MusicOptions(chords=given)


def test_without_chords_there_is_no_rule_of_them():
    assert "chord_tones" not in {term.name for term in MusicDomain().terms()}
    assert "chord_tones" in {term.name for term in MusicDomain(MusicOptions(chords="C")).terms()}


def test_the_rule_does_not_care_in_which_key_it_is_played():
    melody = batch("E4 - - - D4 - - - C4 - - - B3 - - -")
    paid = [chord_tones(chords(text), key(tonic).shift)(melody) for text, tonic in (("C G |", "C"), ("D A |", "D"))]
    assert paid[0].tolist() == paid[1].tolist()
    assert paid[0].sum() == 0.0  # E fits C; C does not fit G


def test_a_progression_begins_anew():
    rule = chord_tones(chords("C | G"), 0)
    bars = "C4" + 15 * " -" + " B3" + 15 * " -"
    assert rule(batch(f"{bars} {bars}")).sum() == 8.0  # two strong beats a bar
    assert rule(batch("- " * 64)).sum() == 0.0  # what does not sound fits nothing and hurts nothing


@pytest.mark.parametrize("kind", ["abc", "musicxml"])
def test_a_notation_program_finds_each_chord_where_it_begins_and_the_notes_as_they_were(kind):
    sheet = Sheet("One", key("C"), 120, tuple(chords("C Am | Dm7 G7")))
    written = {"abc": abc, "musicxml": musicxml}[kind](NOTES, 32, sheet)
    part = parseData(written, format=kind).parts[0].flatten()
    found = [(4 * chord.offset, chord.figure) for chord in part.getElementsByClass(ChordSymbol)]
    assert found == [(0.0, "C"), (8.0, "Am"), (16.0, "Dm7"), (24.0, "G7")]
    sounding = [n for n in part.stripTies().notes if not isinstance(n, ChordSymbol)]
    assert [(4 * n.offset, 4 * n.quarterLength, n.pitch.midi) for n in sounding] == [tuple(note) for note in NOTES]


def test_a_sound_file_lasts_its_bars_and_has_the_pitch():
    with wave.open(io.BytesIO(wav([Note(0, 16, 69)], 16, Sheet("One", key("C"), 120)))) as file:
        assert (file.getnchannels(), file.getframerate()) == (1, RATE)
        sound = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
    assert len(sound) == RATE * 2 + RATE // 2
    assert np.abs(np.fft.rfft(sound[:RATE])).argmax() == 440
    assert np.abs(sound).max() <= 32_767


def test_chords_of_a_run_are_not_written_into_another_key(tmp_path):
    """Bb and F7 stood over a melody in G, and its rule paid for other degrees than the run was tuned to."""
    stored = {"tonic": "Bb", "chords": "Bb | F7", "bars": 4}
    said = "chords 'Bb | F7' was given for tonic Bb, and tonic is G here: give --chords for that, too, or none"
    with pytest.raises(UserError, match=re.escape(said)):
        inherited("music", {"tonic": "G"}, stored, "run")
    assert inherited("music", {"tonic": "G", "chords": "G | D7"}, stored, "run")["chords"] == "G | D7"
    assert inherited("music", {"tonic": "G", "chords": ""}, stored, "run")["chords"] == ""
    (tmp_path / "a.abc").write_text("X:1\nM:4/4\nL:1/8\nK:D\nD2FA d2AF|]\n")
    domain = load("music", {"tonic": "Bb", "chords": "Bb | F7"})
    with pytest.raises(UserError, match="and tonic is D here"):
        as_stated(domain, str(tmp_path / "a.abc"))
    assert as_stated(domain, str(tmp_path / "a.abc"), {"tonic": "Bb"}).options.tonic == "Bb"
