"""How single items are spread: the bins, which term pays for a drift, and what the page says of both."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from test_report import Tunes, measure, summary, text, write_run

from seqtutor import load_run, tune
from seqtutor.runs.distributions import binned, pulled
from seqtutor.runs.report import reading, render
from seqtutor.runs.report.histograms import drifts, histograms


def test_a_share_of_every_group_lies_in_the_bins():
    rng = np.random.default_rng(0)
    groups = {"prior": rng.normal(0, 1, 500), "policy": rng.normal(1, 1, 300), "real": np.array([np.nan])}
    found = binned(groups)
    assert set(found["shares"]) == {"prior", "policy"}
    assert [sum(shares) for shares in found["shares"].values()] == pytest.approx([1.0, 1.0], abs=1e-3)


def test_what_never_differs_has_no_histogram():
    assert binned({"prior": np.ones(5), "policy": np.ones(5)}) == {}
    assert binned({"prior": np.full(5, np.nan)}) == {}


def test_most_items_alike_and_one_far_away_still_have_bins():
    found = binned({"prior": np.array([0.5] * 999 + [7.25])})
    assert sum(found["shares"]["prior"]) == pytest.approx(1.0)
    assert found["width"] > 0


def test_the_term_that_pays_for_a_drift_is_the_one_whose_pay_goes_with_it_most():
    rng = np.random.default_rng(1)
    weight = rng.normal(0, 1, 400)
    terms = {"noise": rng.normal(0, 1, 400), "light": -weight + rng.normal(0, 1, 400), "flat": np.ones(400)}
    found = pulled(np.where(weight > 2, np.nan, weight), terms)
    assert found is not None
    assert found["term"] == "light"
    assert -0.8 < found["correlation"] < -0.55
    assert pulled(weight, {"noise": terms["noise"], "flat": terms["flat"]}) is None
    assert pulled(weight[:20], {"light": terms["light"][:20]}) is None


def parsed(better: str, before: float, after: float, pull: float | None, **more: object) -> reading.Summary:
    raw = summary()
    raw["measures"] = [measure("size", better, False, (before, 0.1), (before, 0.1), (after, 0.1)) | more]
    shares = {"prior": [0.5, 0.5], "policy": [0.25, 0.75]}
    bins = {"kind": "measure", "name": "size", "low": 0.0, "width": 2.0, "shares": shares}
    raw["spread"] = [bins | {"pull": None if pull is None else {"term": "leaps", "correlation": pull}}]
    return reading.parse(json.loads(json.dumps(raw)))


def test_a_drift_is_told_with_the_term_that_pays_for_it():
    ((name, sentence),) = drifts(parsed("near", 3.0, 5.0, 0.5, reference=2.9))
    assert name == "size"
    assert sentence == (
        "rose from 3 to 5, away from the 2.9 of real items: leaps pays for that already in the prior’s own samples "
        "(correlation 0.5)."
    )
    ((_, against),) = drifts(parsed("neither", 3.0, 5.0, -0.5))  # the term pays for less of it
    assert against == "rose from 3 to 5: no single term pays for that in the prior’s own samples."


@pytest.mark.parametrize(("better", "after"), [("near", 3.0), ("higher", 5.0), ("lower", 5.0), ("neither", 3.05)])
def test_what_did_not_move_or_has_a_better_side_is_no_drift(better, after):
    assert drifts(parsed(better, 3.0, after, 0.5, reference=3.0)) == []


def test_a_histogram_that_cannot_be_drawn_is_left_out():
    found = parsed("near", 3.0, 5.0, None, reference=3.0)
    assert len(histograms(found)["first"]) == 1
    odd = {"prior": (0.5,), "policy": (0.5, 0.5)}
    for broken in (odd, {"prior": (0.5, 0.5)}, {"prior": (np.nan,), "policy": (1.0,)}):
        spread = reading.Distribution("size", False, 0.0, 2.0, broken, {}, None)
        assert histograms(dataclasses.replace(found, spread=(spread,)))["first"] == []


def test_a_run_leaves_the_histograms_and_its_page_shows_them(tmp_path):
    run = tune("music", updates=1, samples=40, best_of=2, folder=tmp_path / "run")
    found = json.loads((run.folder / "summary.json").read_text())["spread"]
    assert found[0]["name"] == "reward"
    assert {"prior", "policy", "real"} == set(found[0]["shares"])
    rows = {row["name"]: set(row["shares"]) for row in found if row["kind"] == "term"}
    assert "real" in rows["cadence"]
    assert "real" not in rows["quoting"]  # real tunes stand in the books that it compares with
    low, width, shares = (found[0][key] for key in ("low", "width", "shares"))
    middle = low + width * (np.arange(len(shares["real"])) + 0.5)
    assert abs(middle @ shares["real"] - middle @ shares["prior"]) < 5
    page = (load_run(run.folder).folder / "report.html").read_text()
    assert "How the items themselves changed" in text(page)


def test_a_page_of_a_run_from_before_has_no_histograms(tmp_path):
    assert "How many items have which value" not in render(write_run(tmp_path), Tunes())
