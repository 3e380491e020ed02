"""Staff notation by verovio, an extra: a drawing that a page may hold as it is; nothing where it is not installed."""

import re
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from seqtutor.runs.report.svg import clean
from seqtutor_music import MusicDomain, staff
from seqtutor_music.domain import MusicOptions

SCALE = "C4 - - - D4 - - - E4 - - - F4 - - - G4 - - - A4 - - - B4 - - - C5 - - -"
BUSY = " ".join(["C#4 D4 D#5 F#3 G4 G#4 A4 A#4"] * 8)  # an accidental nearly everywhere
LARGEST = " ".join(["C#5 G#3"] * 192)  # 24 bars of sixteenths, each with its accidental


def of(**options):
    return MusicDomain(MusicOptions(**options))


def drawn(text, **options):
    pytest.importorskip("verovio")
    domain = of(**options)
    return domain.notation(domain.decode(MusicDomain().encode(text)))


def glyphs(svg):
    """(outline, x, y) of each sign that is set."""
    found = re.findall(r'<path d="([^"]+)" transform="translate\(([\d.-]+), ([\d.-]+)\)', svg)
    return [(outline, float(x), float(y)) for outline, x, y in found]


def heads(svg, count):
    """The places of the one sign that is there so often."""
    outlines = [outline for outline, *_ in glyphs(svg)]
    (head,) = {outline for outline in outlines if outlines.count(outline) == count}
    return [(x, y) for outline, x, y in glyphs(svg) if outline == head]


@pytest.mark.parametrize("text", [SCALE, BUSY, "- - - -", "C4" + " -" * 63, " ".join([SCALE] * 12), LARGEST])
@pytest.mark.parametrize("tonic", ["C", "Gb", "C#m"])
def test_a_page_can_hold_it_as_it_is(text, tonic):
    svg = drawn(text, tonic=tonic)
    shown, dropped = clean(svg)
    assert dropped == []
    assert shown.count("<") == svg.count("<")
    assert not re.search(r"\b(id|href|class)=|<style|<use|<defs|font-face", svg)
    assert "currentColor" in svg
    assert len(svg) < 200_000
    assert drawn(text, tonic=tonic) == svg


def test_it_is_drawn_in_any_thread():
    """Verovio found its fonts in the thread alone that had imported it: a server of notebooks asks from others."""
    with ThreadPoolExecutor() as threads:
        assert threads.submit(drawn, SCALE).result() == drawn(SCALE)


def test_all_have_one_width_and_two_bars_a_line():
    one, four = drawn(SCALE), drawn(f"{SCALE} {SCALE}")
    width, height = (re.search(r'viewBox="0 0 (\d+) (\d+)"', svg)[i] for svg, i in ((one, 1), (one, 2)))
    assert f'viewBox="0 0 {width} ' in four
    assert int(width) > int(height)
    assert f'width="{int(width) / 25:g}" height="{int(height) / 25:g}"' in one
    assert [len(re.findall(r'"M0 (\d+) L\d+ \1"', svg)) for svg in (one, four)] == [5, 10]  # five lines a system
    assert [line.count("<g") for line in (one, four)] == [line.count("</g>") for line in (one, four)]


def test_a_note_a_step_higher_stands_half_a_space_higher():
    places = heads(drawn(SCALE), 8)
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    assert {before - after for (_, before), (_, after) in pairwise(places)} == {90.0}


@pytest.mark.parametrize(("tonic", "signs"), [("C", 0), ("D", 2), ("Bb", 2), ("F#m", 3), ("Gdor", 1), ("A lydian", 4)])
def test_the_signature_is_that_of_the_key(tonic, signs):
    others = len(glyphs(drawn(SCALE, tonic="C")))
    assert len(glyphs(drawn(SCALE, tonic=tonic))) == others + signs


def test_chords_stand_over_the_notes():
    words = re.findall(r"<text[^>]*>([^<]*)</text>", drawn(SCALE, tonic="Bb", chords="Bb | F7 D#m"))
    assert words == ["B♭", "F7", "D♯m"]


def test_everything_lies_within_the_picture():
    for text in (BUSY, SCALE, "C3 - B5 - " * 8):
        svg = drawn(text.strip())
        width, height = map(float, re.search(r'viewBox="0 0 (\d+) (\d+)"', svg).groups())
        (shift,) = re.findall(r'<g transform="translate\((\d+), (\d+)\)"', svg)
        right, low = width - float(shift[0]), height - float(shift[1])
        assert all(0 <= x <= right and 0 <= y <= low for _, x, y in glyphs(svg))
        assert ElementTree.fromstring(svg).get("viewBox")


def test_it_says_what_it_shows():
    assert 'aria-label="staff notation: 8 notes, C4–C5"' in drawn(SCALE)
    assert "<title>staff notation: silence</title>" in drawn("- - - -")


def test_without_the_extra_there_is_none(monkeypatch):
    monkeypatch.setitem(sys.modules, "verovio", None)
    assert of().notation(SCALE) == ""


def test_a_very_long_tune_has_none():
    pytest.importorskip("verovio")
    bar = "C4" + " -" * 15
    assert of().notation(" ".join([bar] * staff.MOST))
    assert of().notation(" ".join([bar] * (staff.MOST + 1))) == ""


@pytest.mark.parametrize(
    ("tonic", "one", "other"),
    [
        ("C", "C4 - - - F4 - - - G4 - - - C4 - - -", "C4 - - - F#4 - - - G4 - - - C4 - - -"),
        ("Eb", "Eb4 - - - Ab4 - - - G4 - - - Eb4 - - -", "Eb4 - - - A4 - - - G4 - - - Eb4 - - -"),
    ],
)
def test_an_accidental_is_drawn(tonic, one, other):
    """F# looked like F: verovio draws the signs that it is given, and takes what is altered for what sounds."""
    pytest.importorskip("verovio")
    plain, signed = (len(glyphs(of(bars=1, tonic=tonic).notation(text))) for text in (one, other))
    assert signed == plain + 1
