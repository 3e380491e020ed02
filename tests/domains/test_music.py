"""Events, text and the domain's own surface."""

import csv
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtutor import Undecodable, UserError, Vocabulary, tune
from seqtutor_music import MusicDomain
from seqtutor_music.domain import MusicOptions
from seqtutor_music.events import (
    FLAT_NAMES,
    HIGHEST,
    HOLD,
    LOWEST,
    NAMES,
    OFF,
    VOCABULARY,
    Note,
    batch,
    join,
    parse,
    sounding,
    written,
)
from seqtutor_music.grid import canonical

C = MusicDomain()
events = st.lists(st.sampled_from(VOCABULARY.own), min_size=1, max_size=80)
tonics = st.sampled_from([name + mode for name in (*NAMES, *FLAT_NAMES) for mode in ("", "m")])


def in_key(tonic, bars=4):
    return MusicDomain(MusicOptions(tonic=tonic, bars=bars))


def test_the_vocabulary_is_the_papers_38_events_in_order():
    assert len(VOCABULARY.own) == 38
    assert VOCABULARY.encode([".", "-", "C3", "C4", "B5"]) == [3, 4, 5, 17, 40]
    assert Vocabulary(VOCABULARY.own) == C.vocabulary


def test_text_is_checked_word_by_word():
    assert C.encode("c4 - bb4 | Eb5 .") == ["C4", "-", "A#4", "D#5", "."]
    assert C.decode(C.encode("Cb4 B#3")) == "B3 C4"
    for text, said in [
        ("C4 - H4", "event 3 is 'H4'"),
        ("C4 C9", "event 2 is 'C9'; pitches go from C3 to B5"),
        ("B2", "event 1 is 'B2'"),
        ("C4 --", "event 2 is '--'"),
        ("  ", "at least one event"),
    ]:
        with pytest.raises(UserError, match=said):
            C.encode(text)


def test_nothing_is_no_melody():
    with pytest.raises(Undecodable):
        C.decode([])


@settings(max_examples=40, deadline=None)
@given(events, tonics)
def test_text_and_tokens_are_the_same_melody_in_every_key(tokens, tonic):
    domain = in_key(tonic)
    assert domain.encode(domain.decode(tokens)) == tokens


@settings(max_examples=40, deadline=None)
@given(events, tonics)
def test_the_key_only_moves_what_sounds(tokens, tonic):
    shift = in_key(tonic).options.shift
    assert -5 <= shift <= 6
    plain, moved = C.notes(C.decode(tokens)), in_key(tonic).notes(in_key(tonic).decode(tokens))
    assert moved == [(start, length, midi + shift) for start, length, midi in plain]


def test_the_tonic_is_the_tonic():
    assert in_key("D").decode(["C4", "E4", "G4"]) == "D4 F#4 A4"
    assert in_key("Bb").decode(["C4", "F4"]) == "Bb3 Eb4"
    assert in_key("F#").decode(["B5"]) == "F6"
    assert in_key("Am").decode(["A3", "C4"]) == "A3 C4"
    assert in_key("Gm").decode(["A3", "C4"]) == "G3 Bb3"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bars": 0}, "bars must lie between 1 and 2048, not 0"),
        ({"tonic": "H"}, "unknown tonic 'H'"),
        ({"tonic": "c"}, "unknown tonic 'c'"),
        ({"tonic": "Hm"}, "unknown tonic 'Hm'; a tonic is C"),
        ({"formats": "mid,pdf"}, "unknown format 'pdf'"),
        ({"preset": "papr"}, "did you mean 'paper'"),
    ],
)
def test_options_are_checked(options, said):
    with pytest.raises(UserError, match=said):
        MusicOptions(**options)


def test_length_follows_the_bars():
    assert C.max_length == 64
    assert MusicDomain(MusicOptions(bars=2)).max_length == 32
    assert C.fixed_length


def test_off_and_hold_are_not_swapped():
    """RL Tuner swapped them against the library that it exports with."""
    assert sounding(batch("C4 - . -")[0]) == [Note(0, 2, 60)]
    assert sounding(batch("C4 . - -")[0]) == [Note(0, 1, 60)]
    assert VOCABULARY.encode([".", "-"]) == [OFF, HOLD]


def test_what_is_silent():
    assert sounding(batch("- - . . - .")[0]) == []
    assert sounding(batch("- . C4 . . - - E4")[0]) == [Note(2, 1, 60), Note(7, 1, 64)]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(range(3, 41)), min_size=1, max_size=80))
def test_the_canonical_form_sounds_the_same_and_is_one(ids):
    form = written(sounding(ids), len(ids))
    assert sounding(form) == sounding(ids)
    assert canonical(np.array([ids, form])).tolist() == [form, form]


@settings(max_examples=40, deadline=None)
@given(st.integers(LOWEST - 20, HIGHEST + 20), st.integers(-5, 6))
def test_spelling_is_read_back(midi, shift):
    name = f"{NAMES[midi % 12]}{midi // 12 - 1}"
    if LOWEST <= midi - shift <= HIGHEST:
        assert join(parse(name, shift), shift) == name
    else:
        with pytest.raises(UserError, match="in this key"):
            parse(name, shift)


def bar(start):
    return [*start.split(), *["-"] * (16 - len(start.split()))]


def test_excerpts_are_the_last_bars_of_each_section():
    """A section ends with its last note held to the bar line; the pickup behind it belongs to the next one."""
    domain = MusicDomain(MusicOptions(bars=2, tonic="G"))
    one, two = bar("G4"), bar("A4")
    tune = [*one, *bar("F#4"), *two, *one[:12], "||", *["D4", "-", "-", "-"], *two, *bar("B4"), *bar("G4 - E4")]
    assert [domain.decode(e).split() for e in domain.excerpts(" ".join(tune))] == [
        two + one,
        bar("B4") + bar("G4 - E4"),
    ]
    assert domain.excerpts(" ".join(one)) == []
    assert len(domain.excerpts(" ".join([*one, *two, "||", *one, *two]))) == 1  # the same phrase again
    assert domain.excerpts(" ".join([*one[:8], "||", "A4", *["-"] * 7, *two])) == []  # one bar, with a long pickup
    assert len(domain.excerpts(" ".join([*bar("-"), *one]))) == 0  # it begins with silence


def test_lessons_end_where_excerpts_end_and_begin_at_every_bar():
    tune = " ".join(bar("G4") * 2 + bar("C4") * 3 + ["||"] + bar("E4") * 9)
    lengths = [len(lesson) // 16 for lesson in C.lessons(tune)]
    assert sorted(lengths) == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 7, 8]
    assert all(excerpt in C.lessons(tune) for excerpt in C.excerpts(tune))
    assert max(len(lesson) // 16 for lesson in in_key("C", bars=9).lessons(tune)) == 9


@pytest.mark.parametrize(
    ("middle", "bars", "lengths"), [(["||"], 8, [12, 16]), (["||"], 9, []), (["||", "~"], 8, []), ([], 8, [])]
)
def test_lessons_go_on_from_a_section_into_one_of_eight_bars(middle, bars, lengths):
    first = [event for pitch in "CDEFGABC" for event in bar(f"{pitch}4")]
    second = [event for pitch in "CDEFGABCD"[:bars] for event in bar(f"{pitch}5")]
    tune = [*first, *middle, *second]
    longer = [lesson for lesson in C.lessons(" ".join(tune)) if len(lesson) > 8 * 16]
    assert [len(lesson) // 16 for lesson in longer] == lengths
    assert all(lesson == (first + second)[-len(lesson) :] for lesson in longer)


def test_no_excerpt_reaches_over_what_was_left_out():
    domain = MusicDomain(MusicOptions(bars=2))
    one, two = bar("G4"), bar("A4")
    tune = [*one, *two, "~", *two, "||", *one, *one, "~", *two, *one, *two, "||", *two, *two, "~"]
    assert domain.excerpts(" ".join(tune)) == [one + two]


def test_the_page_has_seconds_and_a_caption():
    assert C.notes("C4 - - - E4 . - -") == [(0.0, 0.5, 60), (0.5, 0.125, 64)]
    assert C.caption("C4 - - - A4 . - -") == "2 notes, C4–A4"
    assert C.caption("- -") == "silence"


def test_a_picture_shows_every_note():
    text = "C4 - - - E4 . - - G4 - - - - - - -"
    svg = C.picture(text)
    assert svg.startswith("<svg")
    assert svg.count('rx="2"') == 3
    assert "3 notes, C4–G4" in svg
    assert "<script" not in svg
    assert in_key("D").picture(in_key("D").decode(C.encode(text))).count("D4") >= 1
    assert C.picture("- -").count('rx="2"') == 0


def test_importing_is_quick_and_light():
    code = "import sys, seqtutor_music; print([m for m in ('torch', 'music21') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_best_of_a_run_are_files_that_its_page_links_to(tmp_path):
    """The page showed the six best melodies, and most of them could not be had as MIDI."""
    run = tune("music", folder=tmp_path / "run", updates=1, samples=30, rollouts=8, best_of=2, seed=1)
    with (run.folder / "samples.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["model"] == "policy"]
    best = sorted(rows, key=lambda row: -float(row["reward"]))[:6]
    files = sorted((run.folder / "best").glob("*.mid"))
    read = [line.text for path in files for line in run.domain.read(path)]
    assert len(read) == len(best) == 6
    for text, row in zip(read, best, strict=True):  # a reader moves a tune to the octave that suits it
        assert re.sub(r"\d", "", text) == re.sub(r"\d", "", row["text"])
        octaves = zip(re.findall(r"\d", text), re.findall(r"\d", row["text"]), strict=True)
        assert len({int(one) - int(other) for one, other in octaves}) == 1
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    for path in files:
        assert f'<a href="best/{path.name}">{path.name}</a>' in page
