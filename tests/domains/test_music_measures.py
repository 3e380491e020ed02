"""Table 1, worked out by hand."""

import numpy as np
import pytest

from seqtutor_music import MusicDomain, corpus
from seqtutor_music.copies import stretches
from seqtutor_music.events import VOCABULARY, batch
from seqtutor_music.measures import measure

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
    "notes excessively repeated": (1, 48),
    "notes not in key": (1, 48),
    "melodies starting with the tonic": (1, 5),
    "leaps resolved": (2, 3),
    "melodies with a unique highest note": (4, 5),
    "melodies with a unique lowest note": (2, 5),
    "notes in a motif": (9 + 1 + 1 + 1, 48),
    "notes in a repeated motif": (1, 48),
    "distinct melodies": (4, 5),
    "notes per bar": (8 + 6 + 4 + 6 + 1, 3),
    "range in semitones": (5 + 7 + 15 + 7 + 0, 5),
}


def test_the_rows_of_table_1():
    measures = {m.name: m for m in C.measure(MELODIES)}
    assert {n: (m.values.sum(), m.weights.sum()) for n, m in measures.items() if n in BY_HAND} == BY_HAND
    assert len(measures) == len(BY_HAND) + 4
    assert all(m.values[3] == m.weights[3] == 0 for m in measures.values())
    assert [m.better for m in measures.values()] == [
        "lower", *["zero"] * 3, "lower", *["higher"] * 7, "lower", *["neither"] * 2,
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
    """ANCHORS: uniformly random events, 32 steps."""
    measures = {m.name: m.mean for m in measure(np.random.default_rng(0).integers(3, 41, (5000, 32)))}
    expected = {
        "melodies starting with the tonic": 0.025,
        "melodies with a unique highest note": 0.645,
        "melodies with a unique lowest note": 0.65,
        "leaps resolved": 0.028,
        "notes not in key": 0.39,
        "notes in a motif": 0.781,
        "mean autocorrelation, lag 1": -0.04,
    }
    assert {name: measures[name] for name in expected} == pytest.approx(expected, abs=0.02)
    assert measures["notes in a repeated motif"] < 1e-4


def test_no_melodies_at_all():
    assert len(C.measure([])) == len(C.measure([None, None])) == 15
    assert VOCABULARY is C.vocabulary


def test_copies_are_found_in_the_key_of_the_options(monkeypatch):
    d = MusicDomain(MusicDomain.Options(tonic="G"))
    tune = "C4 - D4 - E4 - F4 - G4 - A4 - B4 - C5 - " * 2
    in_g = d.decode(C.encode(tune))
    monkeypatch.setattr(corpus, "known", lambda: stretches(batch(tune)))
    assert d.in_corpus([in_g, tune]) == [True, False]
    assert d.originality([in_g, tune]).tolist() == [0.0, 1.0]
    copies = next(m for m in d.measure([tune, in_g, None, in_g]) if m.name == "melodies that quote the corpus")
    assert copies.mean == pytest.approx(2 / 3)
