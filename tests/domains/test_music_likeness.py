"""What holds the figures: exact where the base is listed, bounded as real melodies are, silent where nobody knows."""

import json
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from seqtutor.objectives.optimum import effective
from seqtutor.runs.drawing import open_model, sequences_of
from seqtutor_music import MusicDomain, fit, likeness, measures
from seqtutor_music.domain import MusicOptions
from seqtutor_music.events import batch
from seqtutor_music.keys import Key
from seqtutor_music.metre import COMMON, METRES

STEPPING = "C4 - D4 - E4 - F4 - G4 - F4 - E4 - D4 - " * 4


def test_a_part_is_how_far_a_figure_is_from_real_ones_as_often_as_it_is_asked():
    known = measures.real(4)
    found = likeness.parts(batch(STEPPING), COMMON)
    assert found["notes per bar"][0] == pytest.approx(4 * (8 - known["notes per bar"]["mean"]))
    steps = known["stepwise motion"]
    assert found["stepwise motion"][0] == pytest.approx(31 * (min(1.0, steps["high"]) - steps["mean"]))
    assert not set(found) & {*likeness.WANTED, "commonest half bars"}


def test_nothing_is_paid_for_more_than_real_melodies_have():
    known = measures.real(4)["half bars that come back"]
    found = likeness.parts(batch("C4 - - - E4 - - - " * 8), COMMON)["half bars that come back"][0]
    assert found == pytest.approx(8 * (known["high"] - known["mean"]))
    assert known["high"] < 0.9


def test_noise_is_not_paid_for_its_many_notes():
    noise = np.random.default_rng(0).integers(5, 40, (50, 64))
    assert likeness.likeness(noise).sum(axis=1).max() <= likeness.MOST


def test_it_is_paid_by_the_table_at_the_last_event():
    ids, weights = batch(STEPPING), likeness.table(4)
    found = likeness.parts(ids)
    paid = likeness.likeness(ids)
    assert paid[0, -1] == pytest.approx(sum(weight * found[name][0] for name, weight in weights.items()))
    assert not paid[0, :-1].any()


in_each = pytest.mark.parametrize(
    "metre", [*METRES.values(), replace(COMMON, triplets=True)], ids=lambda metre: metre.kind
)


@in_each
@pytest.mark.parametrize("mode", ["major", "minor"])
def test_each_table_names_figures_that_there_are(metre, mode):
    tonics = Key(0, mode).tonics
    for bars in measures.BARS:
        steps = bars * metre.bar
        named = set(likeness.parts(np.full((1, steps), 3), metre, tonics))
        assert set(likeness.table(bars, metre, tonics)) == named


def test_in_a_melody_that_is_twice_as_long_a_weight_is_half():
    eight, sixteen = likeness.table(8), likeness.table(16)
    assert set(eight) == set(sixteen)
    assert all(sixteen[name] == pytest.approx(eight[name] / 2) for name in eight)
    assert likeness.table(5)["stepwise motion"] == pytest.approx(0.8 * likeness.table(4)["stepwise motion"])


def test_where_nobody_has_found_the_weights_nothing_is_paid():
    metre = replace(METRES["3/4"], triplets=True)
    assert not likeness.kept(metre).exists()
    assert not likeness.likeness(batch("C4 - - - E4 - - - G4 - - -"), metre).any()
    assert likeness.likeness(batch(STEPPING)).any()
    assert not likeness.likeness(batch(STEPPING), COMMON, Key(0, "locrian").tonics).any()
    names = [term.name for term in MusicDomain(MusicOptions(preset="paper")).terms()]
    assert "likeness" not in names


def test_the_weights_hold_the_figures_where_the_rules_lead():
    """Of other draws than they were found with: where the rules alone lead away, with them the mean is nearly 0."""
    source = open_model("music")
    tokens, truncated = sequences_of(source.model, source.domain, 4000, 7)
    with closing(source.scorer(["likeness"])) as scorer:
        reward = scorer.score(tokens, truncated).totals
    total = reward + likeness.likeness(tokens).sum(axis=1)
    parts = likeness.parts(tokens)
    away = []
    for logs in (reward, total):
        worth = np.exp(logs - logs.max())
        assert effective(logs) > 300
        away.append([abs(np.average(f, weights=worth)) / f.std() for f in parts.values()])
    assert np.mean(away[1]) < 0.6 * np.mean(away[0])


def test_the_fit_finds_weights_that_make_every_mean_0(monkeypatch, tmp_path):
    monkeypatch.setattr(fit, "DRAWS", 1500)
    monkeypatch.setattr(likeness, "kept", lambda metre, tonics: tmp_path / "likeness.json")
    monkeypatch.setattr(measures, "BARS", (4,))
    fit.main([])
    found = json.loads((tmp_path / "likeness.json").read_text(encoding="utf-8"))
    assert set(found) == {"4"}
    ours = np.array(list(likeness.table(4).values()))
    same = np.corrcoef(list(found["4"].values()), ours)[0, 1]
    assert same > 0.8  # of a sixteenth of the draws


def test_the_fit_of_a_mode_is_made_by_its_rules_and_kept_apart(monkeypatch, tmp_path):
    monkeypatch.setattr(fit, "DRAWS", 300)
    path = likeness.kept(COMMON, (9,))
    monkeypatch.setattr(likeness, "kept", lambda metre, tonics: tmp_path / f"{tonics}.json")
    monkeypatch.setattr(measures, "BARS", (4,))
    fit.main(["minor"])
    found = json.loads((tmp_path / "(9,).json").read_text(encoding="utf-8"))["4"]
    assert set(found) == set(json.loads(path.read_text(encoding="utf-8"))["4"])
    assert "C, E and G" not in found


def test_what_a_melody_is_paid_does_not_depend_on_those_beside_it():
    """In a file of tunes of several lengths all were held to the figures of the longest."""
    short, long = "C4 - D4 - E4 - F4 - G4 - A4 - G4 - E4 - " * 4, "C4 - - - E4 - G4 - A4 - G4 - E4 - D4 - " * 8
    both = likeness.likeness(batch(short, long))
    for row, text in zip(both, (short, long), strict=True):
        assert row.sum() == pytest.approx(likeness.likeness(batch(text)).sum(), abs=1e-12)
