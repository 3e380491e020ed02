"""Table 1, worked out by hand."""

import json

import numpy as np
import pytest

from seqtutor_music import MusicDomain, corpus, form, measures
from seqtutor_music import real as remake
from seqtutor_music.copies import stretches
from seqtutor_music.events import VOCABULARY, batch
from seqtutor_music.measures import COPIES, measure, real

C = MusicDomain()
MOTIF = "C4 - D4 - E4 F4 - -"
MELODIES = [
    f"{MOTIF} {MOTIF}",  # 16 events, 8 notes, from the tonic; all pitches twice; 9 in a motif, 1 repeated
    "D4 - A4 - G4 F4 E4 D4",  # 8 events, 6 notes; a leap, resolved
    "G4 F#4 B3 E3 . . - -",  # 8 events, 4 notes; two leaps, doubled; F sharp; a second off
    None,
    "D4 - A4 - G4 F4 E4 D4",
    "E4 - - - - - - -",  # 8 events, 1 note
]
BY_HAND = {
    "notes excessively repeated": (0, 48),
    "notes not in key": (1, 48),
    "melodies starting with the tonic": (1, 5),
    "leaps resolved": (2, 2 + 2),
    "melodies with a unique highest note": (4, 5),
    "melodies with a unique lowest note": (2, 5),
    "notes in a motif": (9 + 1 + 1 + 1, 48),
    "notes in a repeated motif": (1, 48),
    "distinct melodies": (4, 5),
    "notes per bar": (8 + 6 + 4 + 6 + 1, 3),
    "range in semitones": (5 + 7 + 15 + 7 + 0, 5),
    "onsets on odd sixteenths": (2 + 2 + 2 + 2 + 0, 25),  # F4 of the motif; F4 and D4; F#4 and E3
    "dotted beats": (0, 12),
    "pairs of bars in one rhythm": (0, 0),
    "first bar back at the half": (0, 5),
    "half bars that come back": (1, 6 - 1),  # of the last melody's note nothing is told
    "commonest half bars": (6 - 1, 6 - 1),
    "stepwise motion": (6 + 4 + 1 + 4, 7 + 5 + 3 + 5),
    "leaps of a fifth or more": (1 + 2 + 1, 7 + 5 + 3 + 5),
    "C, E and G": (4 + 2 + 2 + 2 + 1, 25),
    "last note on the tonic": (0, 5),
    "last note a quarter or longer": (1, 5),
    "last note on an odd sixteenth": (1 + 1 + 1 + 1, 5),
}


def test_the_rows_of_table_1():
    measures = {m.name: m for m in C.measure(MELODIES)}
    assert {n: (m.values.sum(), m.weights.sum()) for n, m in measures.items() if n in BY_HAND} == BY_HAND
    assert len(measures) == len(BY_HAND) + 5
    assert all(m.values[3] == m.weights[3] == 0 for m in measures.values())
    assert [m.better for m in measures.values()] == [
        "lower", *["near"] * 3, "lower", *["higher"] * 4, "near", "higher",
        *["near"] * 6, "neither", *["near"] * 3, "higher", "higher", "lower", "higher", "lower", *["near"] * 2,
    ]  # fmt: skip


def test_autocorrelation_is_that_of_the_whole_melody():
    lags = {m.name: m for m in C.measure(["C4 D4 C4 D4", "C4 C4 C4 C4"]) if "autocorrelation" in m.name}
    assert [m.mean for m in lags.values()] == [-0.75, 0.5, -0.25]
    assert all(m.weights.tolist() == [1, 0] for m in lags.values())


def test_the_measures_do_not_depend_on_the_key():
    d = MusicDomain(MusicDomain.Options(tonic="Eb"))
    moved = [None if t is None else d.decode(C.encode(t)) for t in MELODIES]
    for here, there in zip(C.measure(MELODIES), d.measure(moved), strict=True):
        np.testing.assert_array_equal(here.values, there.values)


def test_noise_scores_what_the_paper_would_have_it_score():
    """Uniformly random events, 32 steps."""
    measures = {m.name: m.mean for m in measure(np.random.default_rng(0).integers(3, 41, (5000, 32)))}
    expected = {
        "melodies starting with the tonic": 6 / 38,  # in any octave, of C or A; the paper has one of them, .025
        "melodies with a unique highest note": 0.645,
        "melodies with a unique lowest note": 0.65,
        "leaps resolved": 0.002,  # of all; the paper's .028 is of those resolved or doubled
        "notes not in key": 0.39,
        "notes in a motif": 0.781,
        "mean autocorrelation, lag 1": -0.04,
    }
    assert {name: measures[name] for name in expected} == pytest.approx(expected, abs=0.02)
    assert measures["notes in a repeated motif"] < 1e-4


def test_no_melodies_at_all():
    assert len(C.measure([])) == len(C.measure([None, None])) == 28
    assert VOCABULARY is C.vocabulary


def test_copies_are_found_in_the_key_of_the_options(monkeypatch):
    d = MusicDomain(MusicDomain.Options(tonic="G"))
    tune = "C4 - D4 - E4 - F4 - G4 - A4 - B4 - C5 - " * 2
    in_g = d.decode(C.encode(tune))
    monkeypatch.setattr(corpus, "known", lambda metre: stretches(batch(tune)))
    assert d.in_corpus([in_g, tune]) == [True, False]
    ids = np.array([VOCABULARY.encode(d.encode(text)) for text in (in_g, tune)])
    assert corpus.quoting(ids).sum(axis=1).tolist() == [-(len(ids[0]) - 31), 0]
    copies = next(m for m in d.measure([tune, in_g, None, in_g]) if m.name == "melodies that quote the corpus")
    assert copies.mean == pytest.approx(2 / 3)


def test_pairs_of_bars_and_commonest_half_bars():
    bar, other = "C4 - - - D4 - E4 - " * 2, "C4 - D4 - E4 - F4 - " * 2
    found = {m.name: m for m in C.measure([bar + other + bar.replace("C4", "G4"), other + other + bar])}
    assert found["pairs of bars in one rhythm"].values.tolist() == [1, 1]
    assert found["pairs of bars in one rhythm"].weights.tolist() == [3, 3]
    assert found["half bars that come back"].values.tolist() == [3, 4]
    assert found["commonest half bars"].mean == 1  # there are three kinds, all of them among the ten commonest
    many = measure(np.random.default_rng(1).integers(5, 41, (200, 64)))
    assert next(m for m in many if m.name == "commonest half bars").mean == pytest.approx(10 / 800)


def test_every_row_but_those_of_copies_says_what_real_tunes_have():
    assert {m.name for m in C.measure([]) if m.reference is None} == set(COPIES)
    assert set(real(4)) == set(real(8)) == {m.name for m in C.measure([])} - set(COPIES)


def test_a_long_melody_is_held_against_whole_sections():
    def reference(bars):
        bar = "C4 - - - D4 - - - E4 - - - F4 - - - "
        found = next(m for m in C.measure([bar * bars]) if m.name == "half bars that come back")
        return found.reference

    assert [reference(bars) for bars in (1, 4, 8, 12)] == [
        real(n)["half bars that come back"]["mean"] for n in (4, 4, 8, 8)
    ]
    assert real(8)["half bars that come back"]["mean"] > 2 * real(4)["half bars that come back"]["mean"]


def test_what_real_tunes_have_can_be_made_anew(tmp_path, monkeypatch):
    real(4)  # it is read once, from where it lies
    tune = "C4 - - - G4 - - - E4 - - - F4 - - - " * 7 + "G4 - - - E4 - - - C4 - - - - - - - "
    monkeypatch.setattr(corpus, "corpus", lambda *_: [tune.strip(), "C4 - - -"])
    monkeypatch.setattr(measures, "SHIPPED", tmp_path)
    remake.main([str(tmp_path / "endings.txt")])
    figures = json.loads((tmp_path / "real.json").read_text())["4"]
    assert figures["last note on the tonic"]["mean"] == 1
    assert figures["notes per bar"] == {"mean": 3.75, "low": 3.75, "high": 3.75}
    assert (tmp_path / "endings.txt").read_text() == " ".join(tune.split()[-64:]) + "\n"


def test_the_interval_of_real_tunes_knows_that_phrases_of_one_tune_are_alike():
    home, away = ((f"C4 - - - E4 - - - G4 - - - {last} - - - " * 4).split() for last in ("C4", "D4"))

    def halfwidth(*tunes):
        found = list(zip(tunes, (home, home, away), strict=True))
        return remake.figures(found)["last note on the tonic"]["halfwidth"]

    assert halfwidth(0, 1, 2) == pytest.approx(1.96 * (3 / 2 * (1 + 1 + 4) / 9) ** 0.5 / 3, abs=1e-4)
    assert halfwidth(0, 0, 1) == pytest.approx(1.96 * (2 * (4 + 4) / 9) ** 0.5 / 3, abs=1e-4)
    rare = real(4)["notes excessively repeated"]  # four tunes have it: an interval around 0 would say that none may
    assert 0 < rare["mean"] < rare["halfwidth"] < 1e-4
    row = next(m for m in C.measure([" ".join(home)]) if m.name == "last note on the tonic")
    assert row.reference_halfwidth == real(4)[row.name]["halfwidth"] > 0.01


def test_an_off_that_nobody_hears_changes_no_figure():
    plain, more = "C4 - D4 - E4 - . - ", "C4 - D4 - E4 - . . "
    one, other = (measure(batch(*some)) for some in ((8 * plain, 8 * plain), (8 * plain, 4 * (plain + more))))
    assert [figure.mean for figure in one] == pytest.approx([figure.mean for figure in other], nan_ok=True)
    assert next(figure.mean for figure in other if figure.name == "distinct melodies") == 0.5
    for rule in (form.variety, form.answer):
        worth = rule(batch(8 * plain, 4 * (plain + more))).sum(axis=1)
        assert worth[0] == worth[1]


def test_the_commonest_of_few_melodies_are_held_against_nothing():
    row = "commonest half bars"
    few, many = (C.measure(["C4 - - - D4 - E4 - " * 8] * count) for count in (99, 100))
    assert [next(m for m in found if m.name == row).better for found in (few, many)] == ["neither", "near"]
