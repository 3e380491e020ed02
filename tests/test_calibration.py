"""A profile held against real items: what is never or always paid, which transform would tell items apart."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from letters import LettersDomain

import seqtutor
from seqtutor import Measure, SequenceTerm, UserError
from seqtutor.cli import main
from seqtutor.config import TrainConfig, build, changed
from seqtutor.files import read_toml
from seqtutor.objectives import optimum
from seqtutor.priors.files import load_prior
from seqtutor.rewards.reward import Scores
from seqtutor.rewards.scorer import Scorer, new_scorer
from seqtutor.runs.calibration import Calibrated, calibrated, held, passing, real_items
from seqtutor.runs.evaluation import Evaluation
from seqtutor.training.tuner import Tuner

EXAMPLES = Path(__file__).parents[1] / "examples"
PROFILES = ("drug_like", "cns", "like_celecoxib", "isomer", "fragment", "program")
VALUES = np.arange(101.0)


def of(values, better="higher"):
    return Calibrated(SequenceTerm("mine", 1.0, "", "", len), values, values, better, 0.0)


@pytest.mark.parametrize(
    ("values", "better", "proposal"),
    [
        (VALUES, "higher", '{ kind = "sigmoid", low = 50, high = 95 }'),
        (VALUES, "lower", '{ kind = "reverse_sigmoid", low = 5, high = 50 }'),
        (np.append(VALUES, np.nan), "higher", '{ kind = "sigmoid", low = 50, high = 95 }'),
        (VALUES / 25 + 1000, "higher", '{ kind = "sigmoid", low = 1002, high = 1003.8 }'),
        (VALUES / 1e6 - 3, "lower", '{ kind = "reverse_sigmoid", low = -2.999995, high = -2.99995 }'),
        (VALUES * 1e6, "higher", '{ kind = "sigmoid", low = 50000000, high = 95000000 }'),
        (VALUES, "", ""),
        (VALUES % 2, "higher", ""),
        (np.full(5, np.nan), "higher", ""),
    ],
)
def test_a_transform_is_proposed_where_one_can_tell_items_apart(values, better, proposal):
    assert of(values, better).proposal == proposal


def test_what_is_never_or_always_paid_and_how_often_it_failed():
    found = of(np.array([0.0, 0.04, 0.5, 1.0, np.nan]))
    assert (found.never, found.always, found.of_share) == (0.4, 0.2, True)
    assert found.failed == pytest.approx(0.2)
    assert not of(VALUES).of_share


def test_every_term_of_a_profile_is_asked_and_the_scorer_then_knows_the_answers():
    domain = seqtutor.load("molecules")
    terms = {
        "tpsa": {"transform": {"kind": "reverse_sigmoid", "low": 40, "high": 90}, "weight": 1.0},
        "neutral": {"kind": "substructure", "smarts": ["[+,-]"], "wanted": "none", "filter": True},
    }
    config = TrainConfig(
        domain="molecules", terms=terms, weights={"qed": 0, "makeability": 0, "saturation": 0, "logp": -1}
    )
    texts = real_items(domain, 30, 1)
    assert len(set(texts)) == 30
    with closing(new_scorer(domain, config)) as scorer:
        found = {one.term.name: one for one in calibrated(scorer, texts)}
        assert {name: one.better for name, one in found.items()} == {
            "tpsa": "lower",
            "neutral": "higher",
            "logp": "lower",
        }
        assert all(set(scorer.answers.known[name]) == set(texts) for name in found)
    charged = np.mean([("+" in text or "-]" in text) for text in texts])
    assert passing(list(found.values())) == pytest.approx(1 - charged)


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_of_the_examples_tunes(name, monkeypatch):
    monkeypatch.chdir(EXAMPLES)
    config = changed(build(TrainConfig, read_toml(Path(f"{name}.toml"))), rollouts=16, batch=16, replay=32)
    domain = seqtutor.load("molecules")
    tuner = Tuner(domain, config, load_prior("molecules", domain))
    with closing(tuner.scorer):
        rows = [tuner.step() for _ in range(2)]
    assert all(0 <= row["reward"] <= 1 for row in rows)
    assert np.isfinite(rows[1]["loss"])


def test_a_profile_is_shown_with_a_line_for_each_term(monkeypatch):
    monkeypatch.chdir(EXAMPLES)
    said = CliRunner().invoke(main, ["calibrate", "program.toml", "-n", "20", "--trust"], catch_exceptions=False)
    assert said.exit_code == 0, said.output
    for line in ("dock", "halogens", "qed: transform = ", "us an item, ", "of the items pass every filter"):
        assert line in said.output


def test_what_the_optimum_has_is_told_before_anything_is_tuned():
    """Melodies end on the tonic more often at the optimum than the prior's, of which the domain is enough."""
    said = CliRunner().invoke(main, ["calibrate", "music", "-n", "20", "--draws", "800"], catch_exceptions=False)
    assert said.exit_code == 0, said.output
    assert "the optimum at c = 1 is " in said.output
    row = next(line for line in said.output.splitlines() if line.startswith("last note on the tonic"))
    prior, optimum, real = (float(cell) for cell in re.findall(r"([\d.]+)(?: ± [\d.]+)? %", row))
    assert prior < 80 < 85 < optimum
    assert real == pytest.approx(70.7, abs=0.1)
    assert "distinct melodies" not in said.output  # it depends on how many there are


def test_the_optimum_is_that_of_the_temperature_a_run_ends_with(tmp_path):
    """A schedule or a budget of KL was not looked at, and the optimum of another temperature was told."""
    profile = tmp_path / "mine.toml"
    told = {}
    for line in (
        "",
        "temperature_end = 3.0",
        "kl_budget = 0.1",
        "kl_budget = 0.1\ntemperature = 0.5",
        "kl_budget = inf",
    ):
        profile.write_text(f'domain = "music"\n{line}\n')
        told[line] = CliRunner().invoke(main, ["calibrate", str(profile), "-n", "20", "--draws", "400"])
    assert "the optimum at c = 1 is " in told[""].output
    assert "the optimum at c = 3 is " in told["temperature_end = 3.0"].output
    for line in ("kl_budget = 0.1", "kl_budget = 0.1\ntemperature = 0.5"):  # that is where c begins
        assert "nobody knows its optimum before: take that out" in told[line].stderr
    assert "the optimum at c = 1 is " in told["kl_budget = inf"].output


def test_percentiles_say_of_how_many_items_they_are(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "picky.py").write_text("def picky(texts):\n    return [None if len(t) > 30 else 1.0 for t in texts]\n")
    (tmp_path / "mine.toml").write_text('domain = "molecules"\n[terms.picky]\nfunction = "picky:picky"\n')
    said = CliRunner().invoke(main, ["calibrate", "mine.toml", "-n", "40", "--trust"])
    assert re.search(r"at 5, 50 and 95 % of the \d+ that could be scored; ", said.output), said.output


def test_what_is_neither_a_domain_nor_a_file_is_said():
    assert "did you mean 'music'?" in CliRunner().invoke(main, ["calibrate", "musik"]).output
    assert "there is no config file musik.toml" in CliRunner().invoke(main, ["calibrate", "musik.toml"]).output


def test_too_few_draws_tell_nothing_of_the_optimum():
    said = CliRunner().invoke(main, ["calibrate", "music", "-n", "20", "--draws", "40"], catch_exceptions=False)
    assert "too few to tell its figures: fewer than 50" in said.output


def test_a_profile_of_somebody_else_runs_nothing(monkeypatch):
    monkeypatch.chdir(EXAMPLES)
    refused = CliRunner().invoke(main, ["calibrate", "program.toml"])
    assert refused.exit_code == 1
    assert "say --trust" in refused.output


def test_what_a_term_loads_when_it_is_first_asked_is_no_time_of_an_item():
    asked = []

    def slow(texts):
        asked.append(len(texts))
        return [float(len(text)) for text in texts]

    scorer = Scorer(LettersDomain(), [SequenceTerm("slow", 1.0, "", "", slow)])
    (found,) = calibrated(scorer, ["a", "ab", "abc"])
    assert asked == [1, 2]
    assert found.known.tolist() == [1, 2, 3]


def test_a_budget_of_calls_is_no_limit_of_what_is_looked_at(tmp_path):
    """It ended in a traceback: beyond the budget nothing had been answered."""
    profile = tmp_path / "mine.toml"
    profile.write_text('domain = "molecules"\noracle_calls = 10\n')
    said = CliRunner().invoke(main, ["calibrate", str(profile), "-n", "20", "--draws", "40"], catch_exceptions=False)
    assert said.exit_code == 0, said.output
    assert "failed on" not in said.output
    assert "too few to tell its figures" in said.output


def drawn(count=3000, seed=0):
    """Draws of which one figure in two is paid for: what is said of the other is what was not asked for."""
    rng = np.random.default_rng(seed)
    size, colour = rng.normal(size=count), rng.random(count)
    reward = 0.3 * size + 0.5 * colour
    valid = rng.random(count) < 0.9
    reward[~valid] = 0.0
    size[~valid] = colour[~valid] = 0.0
    of_items = valid.astype(float)
    measures = [
        Measure("size", size, of_items, better="near", reference=-0.1),
        Measure("colour", colour, of_items, better="near", reference=0.4),
        Measure("beauty", size * colour, of_items, better="higher"),
        Measure("unique", of_items, of_items, better="near", reference=1.0, of_set=True),
    ]
    texts, all_of_them = ["a" if ok else None for ok in valid], np.ones(count, bool)
    scores = Scores(texts, reward[:, None, None], reward[:, None], all_of_them, ~all_of_them, np.ones(count), {})
    return Evaluation(LettersDomain(), np.zeros((count, 1), int), scores, measures[0], [], measures)


def test_held_figures_are_those_of_real_items_and_the_others_are_left_to_the_reward():
    found = drawn()
    kept = held(found, 0.5, ["colour"])
    size, colour, *_ = (m.weighted(kept.optimum.weights).mean for m in found.measures)
    assert colour == pytest.approx(0.4, abs=0.003)  # the term ends where all but a few draws do
    assert size == pytest.approx(0.6, abs=0.1)  # exp(.3 x / .5) moves a normal variable by .6
    both = held(found, 0.5, ["all"])
    assert [m.weighted(both.optimum.weights).mean for m in found.measures[:2]] == pytest.approx([-0.1, 0.4], abs=0.01)
    assert set(both.table) == {"kind", "transform", "size", "colour"}
    assert both.table["size"] == pytest.approx(-0.3 - 0.1 * 0.5, abs=0.03)  # what the reward pays, and past 0 to -.1


def test_what_a_filter_takes_is_taken_of_what_holds_figures_too():
    """Half of the draws fail a filter, as a run has it: all that they are paid is multiplied by 0."""
    found = drawn()
    passed = (np.arange(len(found.tokens)) % 2).astype(float)
    scores = replace(found.scores, reward=found.scores.reward * passed[:, None])
    kept = held(replace(found, scores=scores), 0.5, ["all"], passed)
    weights, measures = np.array([kept.table["size"], kept.table["colour"]]), found.measures[:2]
    low, high = (point[0] for point in kept.table["transform"]["points"])
    parts = np.column_stack([m.values - m.reference for m in measures])
    worth = (scores.totals + (parts @ weights).clip(low, high) * passed)[found.scores.valid]
    law = np.exp(worth / 0.5 - (worth / 0.5).max())
    given = kept.optimum.weights[found.scores.valid]
    np.testing.assert_allclose(given / given.sum(), law / law.sum(), rtol=1e-4)
    of_passing = kept.optimum.weights * passed
    means = [float(np.average(m.values, weights=of_passing)) for m in measures]
    assert means == pytest.approx([-0.1, 0.4], abs=0.01)


def test_what_is_held_costs_no_more_than_the_reward_led_away():
    """Of all laws with these figures it is the nearest to the optimum, so that moving one of them costs reward."""
    found = drawn()
    free = optimum.tilt(found.scores.totals, 0.5)
    kept = held(found, 0.5, ["all"]).optimum
    earned = [float(np.average(found.scores.totals, weights=law.weights)) for law in (free, kept)]
    assert earned[1] < earned[0]
    assert held(found, 0.5, ["size", "size"]).table == held(found, 0.5, ["size"]).table


def test_what_no_draw_has_cannot_be_held():
    found = drawn()
    far = [replace(found.measures[1], reference=2.0)]
    with pytest.raises(UserError, match="nothing holds colour at once; hold fewer, or draw more"):
        held(replace(found, measures=far), 0.5, ["colour"])


def test_a_profile_that_holds_figures_is_written_and_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = ["calibrate", "music", "-n", "20", "--draws", "800", "--bars", "2"]
    said = CliRunner().invoke(main, [*asked, "--hold", "stepwise motion", "--output", "held.toml"])
    assert said.exit_code == 0, said.output
    row = next(line for line in said.output.splitlines() if line.startswith("stepwise motion"))
    kept, real = (float(cell) for cell in re.findall(r"([\d.]+)(?: ± [\d.]+)? %", row)[2:])
    assert kept == pytest.approx(real, abs=1.5)
    assert read_toml(Path("held.toml"))["options"]["bars"] == 2
    run = CliRunner().invoke(
        main, ["train", "--config", "held.toml", "--updates", "1", "--rollouts", "8", "--samples", "8"]
    )
    assert run.exit_code == 0, run.output
    assert "held 1" in run.output


def test_where_nothing_can_be_held_it_is_said():
    found = drawn(100)
    nothing = replace(found, measures=found.measures[2:])
    none = replace(found, scores=replace(found.scores, texts=[None] * 100))
    for given in (nothing, none):
        with pytest.raises(UserError, match="no item, or no figure of domain 'letters' that real items have"):
            held(given, 0.5, ["all"])


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (["music", "--hold", "all"], "--hold is told from samples of the prior: add --draws 20000"),
        (["music", "--output", "x.toml"], "--output writes what holds figures: name some with --hold, or --hold all"),
        (["music", "--draws", "400", "--hold", "setpwise motion"], "did you mean 'stepwise motion'?"),
        (["twice.toml", "--draws", "9", "--hold", "all"], "the profile has [terms.held] already"),
        (["music", "--draws", "9", "--hold", "all", "--output", "twice.toml"], "twice.toml exists; name another"),
        (["music", "--draws", "9", "--hold", "all", "--output", "a/b.toml"], "cannot write a/b.toml: its folder is"),
    ],
)
def test_what_cannot_be_held_is_said(tmp_path, monkeypatch, given, line):
    monkeypatch.chdir(tmp_path)
    Path("twice.toml").write_text('domain = "molecules"\n[terms.held]\nkind = "figures"\nTPSA = 0.1\n')
    said = CliRunner().invoke(main, ["calibrate", *given, "-n", "20"])
    assert said.exit_code == 1
    assert line in said.output
