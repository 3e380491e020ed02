"""What a musician's own tune books and sequencers hold: prose, old signs, other encodings, gate times, minor keys."""

from __future__ import annotations

from pathlib import Path

import mido
import pytest
from click.testing import CliRunner
from music21.converter import parseData

from seqtutor import UserError, load
from seqtutor.cli import main
from seqtutor.priors.given import given_steps, items_of
from seqtutor_music import MusicDomain
from seqtutor_music.domain import MusicOptions
from seqtutor_music.events import batch, sounding
from seqtutor_music.harmony import chords
from seqtutor_music.keys import key
from seqtutor_music.midi import legato
from seqtutor_music.sheets import Sheet, musicxml
from seqtutor_music.tunebooks import tunes
from seqtutor_music.variation import struck_anew

SCALE = "C4 - - - D4 - - - E4 - - - F4 - - - G4 - - - A4 - - - G4 - - - E4 - - -"
HEAD = "X:1\nT:t\nM:4/4\nL:1/4\nK:C\n"


def read(tmp_path, text, name="a.abc", encoding="utf-8"):
    """The one melody of an ABC text, or what is said of it."""
    (tmp_path / name).write_bytes(text.encode(encoding))
    return [line.text or line.problem for line in MusicDomain().read(tmp_path / name)]


def test_prose_between_tunes_is_no_music(tmp_path):
    told = "A tale of a fiddler in Galway. Beautiful cadence!"
    book = f"{HEAD}CDEF|GAGE|\n\n{told}\n\nX:2\nM:4/4\nL:1/4\nK:G\nGABc|dedB|\n \n{told}\n"
    assert [tune.count("\n") for tune in tunes(book)] == [6, 5]
    first, second = read(tmp_path, book)
    assert first == second == SCALE


@pytest.mark.parametrize(
    "music",
    [
        "+fermata+CD+trill+EF|GA+accent+GE|",
        "CDEF|\n+:more of the words\nGAGE|",
        "CDEF|\nw:la la la la\nGAGE|",
        "%%begintext\nBeef and cabbage\n%%endtext\nCDEF|GAGE|",
        "%%begintext center\nA bad egg\nCDEF|GAGE|\n%%endtext\nCDEF|GAGE|",
    ],
)
def test_what_is_written_about_music_is_none(tmp_path, music):
    assert read(tmp_path, f"{HEAD}{music}\n") == [SCALE]


def test_what_is_written_within_a_chord_is_no_note(tmp_path):
    music = '[!fermata!C,C]["x"D,D]["5"C,"1"E][F,+trill+F]|["3"E,G][F,A]GE|'
    assert read(tmp_path, f"{HEAD}{music}\n") == [SCALE]


def test_a_tie_within_a_chord_is_one(tmp_path):
    (held,) = read(tmp_path, f"{HEAD}[C,-C-]4|[C,C]2G2|\n")
    (struck,) = read(tmp_path, f"{HEAD}[C,-C]4|[C,C]2G2|\n")
    assert held == "C4 - - - - - - - - - - - - - - - - - - - - - - - G4 - - - - - - -"
    assert struck == held.replace("- - - - - - - - G4", "C4 - - - - - - - G4")


def test_a_mark_at_the_beginning_of_a_list_is_no_note(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfC4 - - - E4 - - -\n")
    assert [line.text for line in MusicDomain().read(tmp_path / "a.txt")] == ["C4 - - - E4 - - -"]


def test_files_of_one_name_are_told_apart(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        read(tmp_path / name, f"{HEAD}CDEF|GAGE|\n")
    assert [line.where for line in MusicDomain().read(tmp_path)] == ["one/a.abc X:1", "two/a.abc X:1"]


DORIAN = "X:1\nM:4/4\nL:1/8\nK:Ddor\nD2E2F2G2|A4 G4|F2E2D2C2|D8|\n"


def test_a_tune_is_judged_in_the_key_that_it_states(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("tune.abc").write_text(DORIAN)
    for number, args in enumerate((["--domain", "music"], ["--domain", "music", "--tonic", "Ddor"])):
        result = CliRunner().invoke(main, ["score", "tune.abc", *args, "--output", f"scored{number}"])
        assert result.exit_code == 0, result.output
    tables = [Path(f"scored{number}/scored.csv").read_text() for number in (0, 1)]
    assert tables[0] == tables[1]
    result = CliRunner().invoke(main, ["explain", "music", "tune.abc", "--output", "told"])
    assert result.exit_code == 0, result.output
    typed = CliRunner().invoke(main, ["explain", "music", "tune.abc", "--tonic", "Ddor", "--output", "typed"])
    assert Path("told/explained.csv").read_text() == Path("typed/explained.csv").read_text(), typed.output


def test_another_domain_than_that_of_a_profile_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("tune.abc").write_text(DORIAN)
    Path("p.toml").write_text('domain = "molecules"\n')
    result = CliRunner().invoke(main, ["score", "tune.abc", "--domain", "music", "--config", "p.toml"])
    assert "--domain music was given, and p.toml is of domain 'molecules'" in result.output


ENDINGS = {
    "behind the bar line": "|:CDEF|1 GAGE:|2 c4|]",
    "in brackets": "|:CDEF|[1 GAGE:|[2 c4|]",
    "at the beginning of a line": "|:CDEF|[1 GAGE:|\n[2 c4||",
    "of two bars": "|:CDEF|1 GAGE|FEDC:|2 c4|]",
}


@pytest.mark.parametrize("music", ENDINGS.values(), ids=ENDINGS)
@pytest.mark.parametrize("written", ["abc", "musicxml"])
def test_of_several_endings_the_last_is_read_and_said(tmp_path, music, written):
    path = tmp_path / f"a.{written}"
    if written == "abc":
        path.write_text(f"{HEAD}{music}\nG4|]\n")
    else:
        parseData(f"{HEAD}{music}\nG4|]\n", format="abc").write("musicxml", path)
    (line,) = MusicDomain().read(path)
    assert line.where.endswith(", with the last of its endings")
    held = " -" * 15
    assert line.text.replace(" ||", "") == f"C4 - - - D4 - - - E4 - - - F4 - - - C5{held} G4{held}"


STRAINS = [
    # the second ending of the first strain ends with a plain bar line
    ("|:CDEF|1GAGE:|2c4|\nDDDD|1EEEE:|2FFFF|]", ["CDEF", "c4", "DDDD", "FFFF"]),
    ("|:CDEF|1GAGE:|2c4|\nP:B\nDDDD|EEEE|1FFFF:|2GGGG|]", ["CDEF", "c4", "DDDD", "EEEE", "GGGG"]),
    # endings that begin within a bar: what stands before them belongs to all
    ("|:CDEF|GA[1GE:|[2c2|]", ["CDEF", "GAc2"]),
    ("|:CDEF|GA\n[1 GE|FEDC:|[2c2|]", ["CDEF", "GAc2"]),
    ("|:CDEF|G2-[1G2:|[2c2|]", ["CDEF", "G2c2"]),
]


@pytest.mark.parametrize(("music", "bars"), STRAINS)
def test_nothing_but_earlier_endings_is_left_out(tmp_path, music, bars):
    (found,) = MusicDomain().read(_file(tmp_path, f"{HEAD}{music}\n"))
    plain = f"{HEAD}{'|'.join(bars)}|]\n"
    (tmp_path / "plain.abc").write_text(plain)
    (expected,) = MusicDomain().read(tmp_path / "plain.abc")
    assert found.text.replace(" ||", "") == expected.text.replace(" ||", "")


def test_an_ending_of_several_passes_is_one(tmp_path):
    (line,) = MusicDomain().read(_file(tmp_path, f"{HEAD}|:CDEF|1,3 GAGE:|2 EEEE:|4 c4|]\n"))
    assert line.text == f"C4 - - - D4 - - - E4 - - - F4 - - - C5{' -' * 15}"


def test_one_ending_alone_stays(tmp_path):
    (line,) = MusicDomain().read(_file(tmp_path, f"{HEAD}|:CDEF|1 GAGE:|\n"))
    assert line.where == "a.abc X:1"
    assert line.text == SCALE


def _file(tmp_path, text):
    (tmp_path / "a.abc").write_text(text)
    return tmp_path / "a.abc"


def test_an_old_chord_is_no_decoration(tmp_path):
    """Between plus signs, notes alone: nobody knows the one from the other by anything else."""
    (found,) = read(tmp_path, f"{HEAD}+CEG+DEF|GAGE|\n")
    assert "longer than its metre allows" in found


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_a_book_in_another_encoding(tmp_path, encoding):
    text = HEAD.replace("T:t", "T:Caf\u00e9") + "CDEF|GAGE|\n"
    mark = "\ufeff" if encoding == "utf-16-le" else ""
    assert read(tmp_path, mark + text, encoding=encoding) == [SCALE]


def midi(path, notes, stated=None):
    """Notes (start, end, pitch) in quarters."""
    file = mido.MidiFile(ticks_per_beat=480)
    file.tracks.append(track := mido.MidiTrack())
    track.append(mido.MetaMessage("time_signature", numerator=4, denominator=4))
    if stated:
        track.append(mido.MetaMessage("key_signature", key=stated))
    events = sorted(
        [(round(480 * start), 1, pitch) for start, _, pitch in notes]
        + [(round(480 * end), 0, pitch) for _, end, pitch in notes]
    )
    now = 0
    for at, on, pitch in events:
        track.append(mido.Message("note_on", note=pitch, velocity=80 * on, time=at - now))
        now = at
    file.save(path)
    return path


LONG = [(0, 4, 60), (4, 4, 64), (8, 2, 67), (10, 2, 65), (12, 4, 60)]


@pytest.mark.parametrize("gate", [1.0, 0.99, 0.95, 0.9, 0.875, 0.85, 0.8])
def test_the_gate_time_of_a_sequencer_is_no_rest(tmp_path, gate):
    path = midi(tmp_path / "a.mid", [(start, start + gate * length, pitch) for start, length, pitch in LONG])
    (line,) = MusicDomain().read(path)
    assert "." not in line.text.split()
    assert [(n.start, n.length) for n in sounding(batch(line.text)[0])] == [(4 * s, 4 * n) for s, n, _ in LONG]


def test_a_rest_that_is_written_stays_one(tmp_path):
    """Notes that end on the grid are what a notation program wrote; so is a rest of half the time."""
    written = [(0, 0.75, 60), (1, 1.75, 62), (2, 2.5, 64), (3, 4, 65)]
    (line,) = MusicDomain().read(midi(tmp_path / "a.mid", written))
    assert line.text.split().count(".") == 3
    short = [(start, start + 0.45 * length, pitch) for start, length, pitch in LONG]
    (line,) = MusicDomain().read(midi(tmp_path / "b.mid", short))
    assert line.text.split().count(".") == 5
    assert legato(sounding(batch("C4 - - . D4 . - - E4 - - - - - - .")[0]))[0].length == 4


@pytest.mark.parametrize(("stated", "tonic"), [("Gm", "Gm"), ("Bb", "Bb"), ("F#m", "F#m"), ("A", "A")])
def test_a_minor_key_of_a_midi_file_is_one(tmp_path, stated, tonic):
    home = key(stated).tonic + 60
    path = midi(tmp_path / "a.mid", [(i, i + 1, home + step) for i, step in enumerate((0, 2, 7, 0))], stated)
    assert MusicDomain().stated(path)["tonic"] == tonic


def test_a_slash_chord_has_its_bass():
    text = musicxml(sounding(batch(SCALE)[0]), 32, Sheet("One", key("C"), 120, tuple(chords("C/E | Bbm7/Ab"))))
    read = parseData(text, format="musicxml")
    symbols = list(read.flatten().getElementsByClass("ChordSymbol"))
    assert [(one.root().name, one.bass().name) for one in symbols] == [("C", "E"), ("B-", "A-")]


TIED = "E4 - - - F4 - - - G4 - - - A4 - - - - - - - - - - - G4 - - - - - - -"


def test_a_bar_that_is_kept_keeps_the_note_held_into_it():
    domain = load("music", {"bars": 2})
    given = given_steps(domain, revise=TIED, keep="2").ids
    assert domain.vocabulary.decode(given[16:18].tolist()) == ["A4", "-"]
    assert (given[:16] == 0).all()
    whole = given_steps(load("music", {"bars": 4}), revise=f"{TIED} {SCALE}", keep="1-2").ids
    assert domain.vocabulary.decode(whole[16:17].tolist()) == ["-"]  # what it is held from is kept as well


def test_a_note_is_struck_anew_where_it_sounds_on_alone():
    assert struck_anew(batch(TIED)[0], 16) == batch(TIED.replace("A4 - - - -", "A4 - - - A4"))[0].tolist()
    assert struck_anew(batch(SCALE)[0], 16) == batch(SCALE)[0].tolist()
    silent = "C4 - . - - - - -"
    assert struck_anew(batch(silent)[0], 4) == batch("C4 - . - . - - -")[0].tolist()  # what comes before ends there
    assert struck_anew(batch("C4 - - - 3 - D4 E4")[0], 4) == batch("C4 - - - 3 C4 D4 E4")[0].tolist()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"metre": "2/4"}, "tunes in 2/4 are read as 4/4: --metre 4/4"),
        ({"metre": "6/4"}, "tunes in 6/4 are read as 6/8: --metre 6/8"),
        ({"tonic": "dm"}, "unknown tonic 'dm'; a tonic is .*; did you mean 'Dm'?"),
        ({"tonic": "h"}, "unknown tonic 'h'; a tonic is"),
        ({"bars": 100_000}, "bars must lie between 1 and 2048, not 100000"),
    ],
)
def test_a_near_miss_is_told_what_was_meant(options, said):
    with pytest.raises(UserError, match=said.replace("?", r"\?")):
        MusicOptions(**options)


def test_a_file_of_several_tunes_is_no_primer(tmp_path):
    (tmp_path / "book.abc").write_text(f"{HEAD}CDEF|\n\n{HEAD}GAGE|\n\nX:3\nM:6/8\nK:C\nC3|\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"book\.abc holds 3 items; give a file that holds one"):
        items_of(MusicDomain(), str(tmp_path / "book.abc"), alone=True)


def test_what_hides_in_a_folder_is_no_tune(tmp_path):
    for name in ("a.abc", "._a.abc", ".b.abc"):
        (tmp_path / name).write_text(f"{HEAD}CDEF|GAGE|\n", encoding="utf-8")
    (tmp_path / "c.mid").mkdir()
    (tmp_path / "gone.abc").symlink_to(tmp_path / "nowhere.abc")
    assert [line.where for line in MusicDomain().read(tmp_path)] == ["a.abc X:1"]


def test_what_the_rules_are_asked_for_is_said_where_nothing_asks_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def made(*options):
        result = CliRunner().invoke(main, ["generate", "music", "-n", "2", *options])
        assert result.exit_code == 0, result.output
        return result.output

    said = "is chosen with --draws 30, say"
    assert said in made("--chords", "C | Am")
    assert said in made("--tonic", "Gphr", "--output", "gphr")
    assert said not in made("--tonic", "Gm", "--output", "gm")  # its prior knows the key
    assert said not in made("--tonic", "G", "--tempo", "90")
    assert said not in made("--tonic", "Gm", "--draws", "20", "--reward-temperature", "20")


def test_a_folder_whose_name_is_no_text_has_files(tmp_path):
    folder = Path(f"{tmp_path}/out\udce9")
    domain = MusicDomain(MusicOptions(formats="abc,musicxml", bars=2))
    assert len(domain.write([SCALE], folder)) == 3


def test_an_empty_line_within_music_ends_nothing(tmp_path):
    assert read(tmp_path, f"{HEAD}CDEF|\n\nGAGE|\n\nA tale.\n") == [SCALE]
    assert read(tmp_path, f"{HEAD}\n\nCDEF|GAGE|\n") == [SCALE]
    assert len(tunes(f"{HEAD}%%begintext\nCDEF|GAGE|\n\n{HEAD}C|\n")) == 2


def test_the_sign_of_what_is_left_out_is_no_home():
    assert items_of(MusicDomain(), "~ C4 - - -") == ["C4 - - -"]
