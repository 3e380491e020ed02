"""Modes: the notes of their signature, and a tonic of their own for every rule; read and written as others do."""

import io
import shutil
import subprocess
import warnings

import mido
import numpy as np
import pytest
from click.testing import CliRunner
from music21.converter import parseData

from seqtutor import UserError, tune
from seqtutor.cli import main
from seqtutor.files import read_toml
from seqtutor.priors.files import digest, load_prior
from seqtutor.runs.drawing import open_model
from seqtutor_music import MusicDomain, form, grid, line, paper
from seqtutor_music.domain import MusicOptions
from seqtutor_music.events import Note, batch
from seqtutor_music.files import read_files
from seqtutor_music.keys import FIFTHS, Key, key, name_of, text_of
from seqtutor_music.sheets import Sheet, abc, musicxml
from seqtutor_music.writing import midi

MODES = list(FIFTHS)
SCALES = {  # pitch classes from the tonic up, as any textbook has them
    "major": (0, 2, 4, 5, 7, 9, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "locrian": (0, 1, 3, 5, 6, 8, 10),
}
OF_D = {"major": 2, "dorian": 0, "phrygian": -2, "lydian": 3, "mixolydian": 1, "minor": -1, "locrian": -3}
TUNE = "K:{}\nD2FG A2dc|A2GE C4|D2FG A2dc|AGEC D4|]\n"
modes = pytest.mark.parametrize("mode", MODES)


def in_key(tonic, **options):
    return MusicDomain(MusicOptions(tonic=tonic, **options))


def paid(domain, text):
    """What each rule pays for a melody of the domain."""
    ids = domain._ids([text])
    return {term.name: float(term.values(ids).sum()) for term in domain.terms()}


def inspected(tmp_path, name, content, *options):
    (tmp_path / name).write_text(content)
    result = CliRunner().invoke(main, ["inspect", str(tmp_path / name), "--domain", "music", *options])
    assert result.exit_code == 0, result.output
    return result.output.splitlines()[0]


# What a name means


@modes
def test_a_mode_has_the_notes_of_its_signature_and_its_own_tonic(mode):
    for tonic in range(-5, 7):
        own = Key(tonic, mode)
        assert key(text_of(own)) == key(name_of(own)) == own
        above = sorted((note + own.shift - own.tonic) % 12 for note in paper.MAJOR)
        assert tuple(above) == SCALES[mode]
    assert key(f"D {mode}") == Key(OF_D[mode], mode)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("Ddor", "DDor", "DDOR", "D dorian", "D Dorian", "Ddorian"), Key(0, "dorian")),
        (("Gmix", "Gmixolydian", "G MIX"), Key(0, "mixolydian")),
        (("Aphr", "A phrygian"), Key(-1, "phrygian")),
        (("Fly", "Flyd", "F lydian"), Key(0, "lydian")),
        (("Eaeo", "Em", "Emin", "E minor", "E aeolian"), Key(1, "minor")),
        (("C", "Cmaj", "C major", "Cion", "C Ionian"), Key(0)),
        (("Bbdor", "Bb dorian"), Key(-4, "dorian")),
        (("F#mix",), Key(5, "mixolydian")),
        (("Bloc",), Key(0, "locrian")),
        (("G#lyd", "Ablyd"), Key(-3, "lydian")),  # nine sharps are written as three flats
    ],
)
def test_the_ways_to_name_a_key(names, expected):
    assert {key(name) for name in names} == {expected}


@pytest.mark.parametrize("name", ["Ddorx", "D dorisch", "Dmi", "DM", "Dd", "ddor", "Hdor", "D  ", "D#b", "Ddor "])
def test_a_wrong_name_is_told_what_is_possible(name):
    with pytest.raises(UserError) as error:
        MusicOptions(tonic=name)
    assert str(error.value).startswith(f"unknown tonic '{name}'; a tonic is C, F#, Bb, ")
    for possible in ("Am", "Ddor", "Gmix", "Aphr", "Flyd", "Bloc", "'D dorian'"):
        assert possible in str(error.value)
    assert "\n" not in str(error.value)


def test_text_and_tokens_stand_in_the_frame_of_the_signature():
    assert in_key("Ddor").encode("D4 F4 A4") == ["D4", "F4", "A4"]
    assert in_key("Ador").encode("A4 C5 E5") == ["D5", "F5", "A5"]
    assert in_key("Aphr").decode(["E4", "F4"]) == "A4 Bb4"


# Rules


@pytest.mark.parametrize(
    ("tonic", "good", "bad"),
    [
        ("Ddor", "A4 - - - E4 - - - D4 - - - - - - -", "A4 - - - D4 - - - C4 - - - - - - -"),
        ("Adorian", "E5 - - - B4 - - - A4 - - - - - - -", "E5 - - - A4 - - - G4 - - - - - - -"),
        ("Gmix", "D5 - - - A4 - - - G4 - - - - - - -", "D5 - - - B4 - - - C5 - - - - - - -"),
        ("Ephr", "B4 - - - F4 - - - E4 - - - - - - -", "B4 - - - E4 - - - C4 - - - - - - -"),
        ("Flyd", "C5 - - - G4 - - - F4 - - - - - - -", "C5 - - - F4 - - - C4 - - - - - - -"),
        ("Bloc", "F4 - - - C4 - - - B3 - - - - - - -", "F4 - - - B3 - - - C4 - - - - - - -"),
    ],
)
def test_a_cadence_is_one_on_the_tonic_of_the_mode(tonic, good, bad):
    domain = in_key(tonic, bars=1)
    assert paid(domain, good)["cadence"] == 1.5
    assert paid(domain, bad)["cadence"] == 0


@modes
def test_what_sounds_longer_decides_between_major_and_minor_alone(mode):
    """A melody of the white keys may be in C or in A; who asks for D dorian, or A minor, has said where it is."""
    expected = {"major": (0, 9)}.get(mode, (7 * FIFTHS[mode] % 12,))
    assert {Key(sharps, mode).tonics for sharps in range(-7, 8)} == {expected}
    first, second = batch("D4 - - A4 A4", "A4 - - - D4")
    assert grid.on_tonic(np.array([first, second]), (2,))[:, -1].tolist() == [False, True]


def test_a_rule_of_the_tonic_says_it_of_every_tonic_alike():
    """The same tune a degree higher in the frame, with the tonic of that degree, is worth the same."""
    tunes = "C4 - E4 - D4 - - - C4 - - -", "D4 - F4 - E4 - - - D4 - - -"
    for rule in (form.opening, form.cadence, form.question, line.triads):
        major, dorian = (rule(batch(tune), tonics=(at,)) for tune, at in zip(tunes, (0, 2), strict=True))
        np.testing.assert_array_equal(major, dorian)


def test_opening_and_question_and_triads_know_the_tonic():
    domain = in_key("Ddor", bars=2)
    assert [paid(domain, f"{first}4" + " -" * 31)["opening"] for first in "DFAC"] == [1, 0.5, 0.5, 0]
    rest = "E4 - - - F4 - - - {} - - - - - - - " + "E4 - - - F4 - - - G4 - - - D4 - - -"
    assert paid(domain, rest.format("A4"))["question"] == 1
    assert paid(domain, rest.format("D4"))["question"] == 0.5
    line = "D4 - F4 - A4 - E4 - D4 - G4 - B4 - D4 - " * 2  # five in eight of the chord
    assert paid(domain, line)["triads"] == 0 > paid(in_key("C", bars=2), line)["triads"]


def test_the_rules_of_the_paper_follow_too():
    assert paper.tonic(batch("D4 - E4 - D4 - - -"), (2,)).sum() == paper.tonic(batch("C4 - D4 - C4 - - -")).sum() == 15
    assert paper.interval(batch("D4 A4 -"), (2,)).tolist() == paper.interval(batch("C4 G4 -")).tolist()


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_major_keys_are_paid_as_ever(preset):
    """Of the tonics of a major key every rule says what it says without being told of any."""
    ids = np.random.default_rng(0).integers(3, 41, (50, 64))
    from seqtutor_music import rules

    for tonic in ("C", "Eb"):
        for term, plain in zip(in_key(tonic, preset=preset).terms(), rules.terms(preset), strict=True):
            np.testing.assert_array_equal(term.values(ids), plain.values(ids))


def test_a_minor_key_stands_on_its_own_tonic():
    """Of 100 files of --tonic Am 91 ended on C: it was paid as if nobody had said that it is minor."""
    ends = {"C": "E4 - - - D4 - - - C4 - - - - - - -", "A": "C4 - - - B3 - - - A3 - - - - - - -"}
    assert {end: paid(in_key("Am", bars=1), text)["cadence"] for end, text in ends.items()} == {"C": 0, "A": 1.5}
    assert paid(in_key("C", bars=1), ends["C"])["cadence"] == 1.5
    rows = {m.name: m for m in in_key("Am", bars=1).measure([ends["A"]])}
    assert rows["last note on the tonic"].mean == 1
    assert "A, C and E" in rows


def test_a_mode_without_a_prior_of_its_own_asks_more_for_its_tonic():
    tonics = ("C", "Am", "Ddor", "Gmix", "Flyd")
    weights = {tonic: {term.name: term.weight for term in in_key(tonic).terms()} for tonic in tonics}
    assert weights["C"] == weights["Am"] == weights["Ddor"] == weights["Gmix"]
    assert weights["Flyd"] == {**weights["C"], "cadence": 4, "opening": 1, "likeness": 0}  # no w were found
    waltz = {term.name: term.weight for term in in_key("Am", metre="3/4").terms()}
    assert (waltz["cadence"], waltz["opening"]) == (4, 1)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"tonic": "G"}, "music"),
        ({"tonic": "F#m"}, "music-minor"),
        ({"tonic": "Ador"}, "music-dorian"),
        ({"tonic": "Dmix"}, "music-mixolydian"),
        ({"tonic": "Aphr"}, "music"),
        ({"tonic": "Em", "metre": "6/8"}, "music-6-8-minor"),
        ({"tonic": "Ddor", "metre": "6/8"}, "music-6-8"),
        ({"tonic": "Am", "metre": "3/4"}, "music-3-4"),
        ({"tonic": "Am", "triplets": True}, "music-triplets"),
    ],
)
def test_a_mode_in_which_there_are_tunes_has_a_prior_of_its_own(options, name):
    assert MusicDomain(MusicOptions(**options)).own_prior == name
    assert open_model("music", options).folder.name == name


def test_a_run_in_major_is_weighed_as_minor_where_minor_is_asked_for(tmp_path):
    """Every weight stands in a run's config, and those of major stayed under `--tonic Am`."""
    tune("music", updates=1, rollouts=4, samples=4, weights={"compass": 0.5}, folder=tmp_path / "run")
    assert read_toml(tmp_path / "run/config.toml")["weights"]["cadence"] == 1.5
    found = open_model(tmp_path / "run", {"tonic": "Ephr"})
    assert [found.config.weights.get(name, "left open") for name in ("cadence", "compass")] == ["left open", 0.5]
    weights = {term.name: term.weight for term in found.scorer().terms}
    assert (weights["cadence"], weights["opening"], weights["compass"]) == (4, 1, 0.5)
    args = ["train", "--config", f"{tmp_path}/run/config.toml", "--tonic", "Ephr", "--output", f"{tmp_path}/other"]
    result = CliRunner().invoke(main, args)
    assert result.exit_code == 0, result.output
    weights = read_toml(tmp_path / "other/config.toml")["weights"]
    assert (weights["cadence"], weights["opening"], weights["compass"]) == (4, 1, 0.5)


def test_a_run_keeps_its_prior_whatever_key_it_writes_in(tmp_path):
    """That of the options that are asked for now is another, and no run began with it."""
    run = tune("music", updates=1, rollouts=4, samples=4, folder=tmp_path / "run")
    assert digest(open_model(tmp_path / "run", {"tonic": "Am"}).prior) == digest(load_prior("music", run.domain))
    own = tune("music", prior="music", options={"tonic": "Am"}, updates=1, rollouts=4, samples=4, folder=tmp_path / "a")
    assert read_toml(tmp_path / "a/config.toml")["prior"] == "music"
    assert digest(open_model(own.folder).prior) == digest(load_prior("music", run.domain))


# Measures


def test_the_rows_of_the_tonic_are_of_the_mode_and_held_against_tunes_of_that_mode():
    found = {m.name: m for m in in_key("Ddor", bars=1).measure(["D4 - - - E4 - - - F4 - - - D4 - - -"])}
    assert found["last note on the tonic"].mean == found["melodies starting with the tonic"].mean == 1
    assert found["D, F and A"].mean == 0.75
    assert "C, E and G" not in found
    major = {m.name: m.reference for m in in_key("C", bars=1).measure(["C4 - - - "])}
    held = {name: m.reference for name, m in found.items() if m.reference is not None}
    changed = {"last note on the tonic": 0.79, "melodies starting with the tonic": 0.26, "D, F and A": 0.49}
    assert {name for name in held if held[name] != major.get(name)} == set(changed)
    assert {name: held[name] for name in changed} == pytest.approx(changed, abs=0.005)


def test_where_no_tunes_of_a_mode_are_known_its_tonic_is_held_against_nothing():
    found = {m.name: m for m in in_key("Dphr", bars=1).measure(["D4 - - - Eb4 - - - F4 - - - D4 - - -"])}
    rows = ("last note on the tonic", "melodies starting with the tonic", "E, G and B")
    assert {name for name, m in found.items() if m.reference is None} == {
        *rows,
        "commonest half bars",  # of so few melodies
        "distinct melodies",
        "melodies that quote the corpus",
    }
    assert found["E, G and B"].better == "neither"
    assert "E, in any octave" in found["melodies starting with the tonic"].summary
    assert {m.name: m.mean for m in in_key("Eaeo").measure(["E4 - - -"])} == pytest.approx(
        {m.name: m.mean for m in in_key("Em").measure(["E4 - - -"])}, nan_ok=True
    )


# Reading


@pytest.mark.parametrize(
    ("stated", "said"),
    [("Ddor", "D dorian"), ("D Dorian", "D dorian"), ("D =c", "D mixolydian"), ("DMix", "D mixolydian"),
     ("Dlyd", "D lydian"), ("D phrygian", "D phrygian"), ("Dloc", "D locrian")],
)  # fmt: skip
def test_inspect_says_the_mode_that_an_abc_tune_states(tmp_path, stated, said):
    found = inspected(tmp_path, "a.abc", "X:1\nM:4/4\nL:1/8\n" + TUNE.format(stated))
    assert found.startswith(f"a.abc X:1, in {said}: 21 notes")


@pytest.mark.parametrize("stated", ["D", "Dm", "D minor", "Daeo", "Dion", "D Major", "HP", "none", "D exp ^f ^g _b"])
def test_major_minor_and_what_is_no_mode_is_not_spoken_of(tmp_path, stated):
    content = "X:1\nM:4/4\nL:1/8\n" + TUNE.format(stated)
    assert inspected(tmp_path, "a.abc", content).startswith("a.abc X:1: 21 notes")


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode not in ("major", "minor")])
def test_a_file_that_music21_writes_is_read_in_its_mode(tmp_path, mode):
    from music21 import key as keys
    from music21 import meter, note, stream

    part = stream.Part()
    part.append([keys.Key("D", mode), meter.TimeSignature("4/4")])
    part.append([note.Note(62 + step, quarterLength=1) for step in SCALES[mode]] + [note.Note(74)])
    part.write("musicxml", tmp_path / "a.musicxml")
    found, *_ = read_files(tmp_path / "a.musicxml")
    assert found.where == f"a.musicxml, in D {mode}"
    tonic = 7 * FIFTHS[mode] % 12
    pitches = [word for word in found.words if word not in ("-", ".")]
    assert [(midi_of(p) - tonic) % 12 for p in pitches] == [*SCALES[mode], 0]


def midi_of(name):
    return MusicDomain().notes(name)[0][2]


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("Ddor", "A4 - C5 - E5 - D5 - G4 - - - - - - -"),
        ("Dmix", "G4 - A#4 - D5 - C5 - F4 - - - - - - -"),
    ],
)
def test_a_tune_is_moved_by_its_signature_and_never_bent(tmp_path, stated, expected):
    """Into D dorian: one of another dorian lands on D; one in another mode keeps its steps and its own tonic."""
    scale = {"Ddor": "A2 c2 e2 d2 G8", "Dmix": "D2 =F2 A2 G2 C8"}[stated]
    (tmp_path / "a.abc").write_text(f"X:1\nM:4/4\nL:1/16\nK:{stated}\n{scale}|]\n")
    (line,) = in_key("Ddor").read(tmp_path / "a.abc")
    assert line.text == expected


# Writing


@modes
def test_what_is_written_says_its_mode_and_music21_reads_it(mode):
    from seqtutor_music.abc import read_tune

    notes = [Note(4 * i, 4, 62 + step) for i, step in enumerate((*SCALES[mode], 12))]
    sheet = Sheet("One", key(f"D {mode}"), 90)
    stated = {"abc": abc(notes, 32, sheet), "musicxml": musicxml(notes, 32, sheet)}
    assert read_tune(stated["abc"]).keys == (sheet.key,)
    assert "^" not in stated["abc"]
    assert "_" not in stated["abc"].split("K:")[1]
    assert "<alter>" not in stated["musicxml"] or OF_D[mode]
    for kind, written in stated.items():
        if (kind, mode) == ("abc", "locrian"):  # which music21 takes for D major
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            part = parseData(written, format=kind).parts[0].flatten()
        found = next(part.getElementsByClass("Key"))
        assert (found.sharps, found.tonic.name, found.mode) == (OF_D[mode], "D", mode)
        assert [n.pitch.midi for n in part.notes] == [62 + step for step in (*SCALES[mode], 12)]


@pytest.mark.parametrize(
    ("tonic", "stated"), [("Ddor", "C"), ("Gdor", "F"), ("Amix", "D"), ("Eaeo", "Em"), ("Bbdor", "Ab")]
)
def test_midi_states_the_signature_for_it_knows_no_mode(tonic, stated):
    file = mido.MidiFile(file=io.BytesIO(midi([Note(0, 4, 62)], 16, Sheet("One", key(tonic), 90))))
    assert [m.key for m in file.tracks[0] if m.type == "key_signature"] == [stated]


def test_a_domain_writes_and_reads_a_mode(tmp_path):
    domain = in_key("G dorian", formats="abc,musicxml", bars=1)
    text = "G4 - - - Bb4 - - - E5 - - - G4 - - -"
    paths = domain.write([text], tmp_path)
    assert (tmp_path / "0001.abc").read_text().endswith("K:Gdor\nG4 B4 e4 G4|]\n")
    assert [line.text for path in paths for line in domain.read(path)] == [text] * 3
    assert [line.where for path in paths for line in domain.read(path)] == [
        "0001.mid", "0001.abc X:1, in G dorian", "0001.musicxml, in G dorian",
    ]  # fmt: skip


@pytest.mark.skipif(shutil.which("abc2midi") is None, reason="abc2midi is not installed")
@modes
def test_abc2midi_reads_what_we_write_and_what_we_read(tmp_path, mode):
    """An independent reader: its notes are ours, of our file and of the tune as a book would have it."""
    sheet, notes = Sheet("One", key(f"D {mode}"), 90), [Note(4 * i, 4, 62 + s) for i, s in enumerate(SCALES[mode])]
    by_hand = f"X:1\nM:4/4\nL:1/4\nK:D {mode.title()}\nDEFG|ABc|]\n"
    for content in (abc(notes, 28, sheet), by_hand):
        (tmp_path / "a.abc").write_text(content)
        subprocess.run(["abc2midi", "a.abc", "-o", "a.mid"], cwd=tmp_path, check=True, capture_output=True)
        played = [m.note for m in mido.MidiFile(tmp_path / "a.mid") if m.type == "note_on" and m.velocity]
        assert played == [62 + step for step in SCALES[mode]]
        (ours,) = [
            [n[2] for n in in_key(f"D{mode}").notes(line.text)] for line in in_key(f"D{mode}").read(tmp_path / "a.abc")
        ]
        assert [n - ours[0] for n in ours] == [n - 62 for n in played]


# Commands


def test_chords_are_written_in_the_key_of_the_tonic():
    domain = in_key("Ador", chords="Am | D", bars=2)
    assert paid(domain, "A4 - - - - - - - - - - - - - - - F#4 - - - - - - - - - - - - - - -")["chord_tones"] == 4
    assert paid(domain, "A4 - - - - - - - - - - - - - - - F4 - - - - - - - - - - - - - - -")["chord_tones"] == 0


def test_explain_pays_for_the_tonic_of_the_mode(tmp_path):
    text = "A4 - - - F4 - - - E4 - - - D4 - - -"
    said = [
        CliRunner().invoke(
            main, ["explain", "music", text, "--bars", "1", "--tonic", tonic, "--output", str(tmp_path / tonic[0])]
        )
        for tonic in ("Ddor", "C")
    ]
    assert [one.exit_code for one in said] == [0, 0], said
    assert ["cadence +2.25" in one.output for one in said] == [True, False]


def test_generate_goes_on_from_a_primer_in_the_mode(tmp_path):
    (tmp_path / "a.abc").write_text("X:1\nM:4/4\nL:1/8\nK:Ador\nA2Bc d2ef|]\n")
    options = ["--tonic", "Adorian", "--bars", "2", "--formats", "abc", "--output", str(tmp_path / "out"), "-n", "1"]
    result = CliRunner().invoke(main, ["generate", "music", "--primer", str(tmp_path / "a.abc"), *options])
    assert result.exit_code == 0, result.output
    assert "K:Ador\nA4 B2c2 d4 e2f2|" in (tmp_path / "out" / "0001.abc").read_text()


@pytest.mark.parametrize(
    ("key_line", "tune", "written"),
    [
        ("D", "D2FA d2AF", "D4 F2A2 d4 A2F2"),
        ("G", "d2BG d2gb", "d4 B2G2 d4 g2b2"),
        ("Em", "E,2G,B, E4", "E,4 G,2B,2 E8"),
    ],
)
@pytest.mark.parametrize("kind", ["abc", "mid", "musicxml"])
def test_a_primer_comes_back_in_its_own_key_and_octave(tmp_path, kind, key_line, tune, written):
    """A tune in D came back in C, one in G an octave lower, without a word."""
    path = tmp_path / "a.abc"
    path.write_text(f"X:1\nM:4/4\nL:1/8\nK:{key_line}\n{tune}|]\n")
    if kind != "abc":
        source = in_key(key_line, bars=1, formats=kind, octave=in_key("C").stated(path)["octave"])
        (line,) = source.read(path)
        source.write([line.text], tmp_path / "written")
        path = tmp_path / "written" / f"0001.{kind}"
    options = ["--bars", "2", "--formats", "abc", "--output", str(tmp_path / "out"), "-n", "1"]
    result = CliRunner().invoke(main, ["generate", "music", "--primer", str(path), *options])
    assert result.exit_code == 0, result.output
    found = (tmp_path / "out" / "0001.abc").read_text()
    assert f"K:{key_line}\n{written}|" in found


def test_a_primer_in_ones_home_states_its_key_too(tmp_path, monkeypatch):
    """`--primer=~/tune.abc` was read from there, and continued in C."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.abc").write_text("X:1\nM:4/4\nL:1/8\nK:D\nD2FA d2AF|]\n")
    assert open_model("music", {"bars": 2}, "~/a.abc").domain.options.tonic == "D"


def test_what_is_typed_wins_over_what_a_file_states_and_a_line_of_text_states_nothing(tmp_path):
    (tmp_path / "a.abc").write_text("X:1\nM:4/4\nL:1/8\nK:D\nD2FA d2AF|]\n")
    (tmp_path / "a.txt").write_text("D4 - - - F#4 - - - A4 - - - D5 - - -\n")
    assert in_key("C").stated(tmp_path / "a.abc") == {"tonic": "D", "octave": 0}
    assert in_key("D").stated(tmp_path / "a.txt") == {}
    assert open_model("music", {"tonic": "G", "bars": 2}, str(tmp_path / "a.abc")).domain.options.tonic == "G"
    assert open_model("music", {"bars": 2}, str(tmp_path / "a.abc")).domain.options.tonic == "D"
    assert open_model("music", {"bars": 2}, "C4 - - -").domain.options.tonic == "C"


def test_the_fifth_of_a_key_is_its_own():
    """In locrian F, which is in the key, earned nothing, and F sharp, which is not, did."""
    assert form.cadence(batch("C4 - F4 B4", "C4 - F#4 B4"), tonics=(11,)).sum(axis=1).tolist() == [1.5, 1.0]
