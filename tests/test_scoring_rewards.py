"""Transforms and their combination, budgets, ledgers, answers on disk; and the examples for terms from outside."""

from __future__ import annotations

import csv
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from letters import LettersDomain, ids

import seqtutor
from seqtutor import SequenceTerm, TokenTerm, UserError
from seqtutor.config import TrainConfig, build
from seqtutor.files import read_toml
from seqtutor.rewards.reward import Scores
from seqtutor.rewards.scorer import Scorer, new_scorer
from seqtutor.rewards.terms import settings_of, weighted_terms
from seqtutor.rewards.transforms import transform_of
from seqtutor.runs.folder import RunFolder

DOMAIN = LettersDomain()
EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def lengths(asked=None, answer=lambda text: float(len(text)), **settings):
    def values(texts):
        if asked is not None:
            asked.extend(texts)
        return [answer(text) for text in texts]

    return SequenceTerm("length", 1.0, "", "", values, **settings)


def score(scorer, *words):
    return scorer.score(ids(*words), np.zeros(len(words), bool))


def transformed(table, *values):
    return transform_of("x", table)(np.array(values, float)).round(3).tolist()


# Transforms


def test_a_sigmoid_rises_and_its_reverse_falls():
    limits = {"low": 2, "high": 4}
    assert transformed({"kind": "sigmoid", **limits}, 2, 3, 4) == [0.1, 0.5, 0.9]
    assert transformed({"kind": "reverse_sigmoid", **limits}, 2, 3, 4) == [0.9, 0.5, 0.1]
    assert transformed({"kind": "sigmoid", **limits}, -1e9, 1e9) == [0, 1]


def test_a_double_sigmoid_and_a_step_want_the_middle():
    limits = {"low": 1, "high": 3}
    assert transformed({"kind": "double_sigmoid", **limits}, 0, 1, 2, 3, 4) == [0, 0.5, 1, 0.5, 0]
    assert transformed({"kind": "double_sigmoid", **limits, "softness": 1}, 0.5, 1.5, 2.5, 3.5) == [0.1, 0.9, 0.9, 0.1]
    assert transformed({"kind": "step", **limits}, 0.99, 1, 3, 3.01) == [0, 1, 1, 0]
    assert transformed({"kind": "step", "low": 1}, 0, 1e9) == [0, 1]


def test_an_interpolation_goes_through_its_points_and_is_flat_outside():
    table = {"kind": "interpolation", "points": [[0, 0], [1, 1], [3, 0.5]]}
    assert transformed(table, -5, 0.25, 1, 2, 9) == [0, 0.25, 1, 0.75, 0.5]


@pytest.mark.parametrize(
    "table",
    [
        {"kind": "sigmoid", "low": 0, "high": 1},
        {"kind": "double_sigmoid", "low": 0, "high": 1},
        {"kind": "step", "low": 0},
        {"kind": "interpolation", "points": [[0, 0], [1, 1]]},
    ],
)
def test_no_transform_makes_a_score_of_what_is_no_number(table):
    assert np.isnan(transformed(table, np.nan)).all()


@pytest.mark.parametrize(
    ("table", "wanted"),
    [
        ({"kind": "sigmod", "low": 0, "high": 1}, "did you mean 'sigmoid'"),
        ({"kind": "sigmoid", "low": 0}, "needs high"),
        ({"kind": "step"}, "needs low or high"),
        ({"kind": "sigmoid", "low": 3, "high": 2}, "needs low below high, not 3 and 2"),
        ({"kind": "sigmoid", "low": 0, "high": 1, "points": 3}, "unknown key in the transform of term 'x'"),
        ({"kind": "sigmoid", "low": "a", "high": 1}, "low in the transform of term 'x' must be a number, not 'a'"),
        ({"kind": "interpolation", "points": [[0, 0]]}, "two or more pairs"),
        ({"kind": "interpolation", "points": [[1, 0], [0, 1]]}, "rising raw values"),
        ("sigmoid", "must be a table"),
    ],
)
def test_a_transform_that_cannot_work_says_why(table, wanted):
    with pytest.raises(UserError, match=wanted):
        transform_of("x", table)


def test_which_direction_is_better_is_always_stated():
    tables = {
        "up": {"transform": {"kind": "sigmoid", "low": 0, "high": 1}},
        "down": {"transform": {"kind": "reverse_sigmoid", "low": 0, "high": 1}, "better": "lower"},
        "middle": {"transform": {"kind": "double_sigmoid", "low": 0, "high": 1}},
        "less": {"better": "lower", "invalid": -9.0},
        "plain": {},
    }
    words = {name: table.sentence for name, table in settings_of(tables).items()}
    assert words["up"] == "higher is better: 0.1 at 0, 0.9 at 1"
    assert words["down"] == "lower is better: 0.9 at 0, 0.1 at 1"
    assert words["middle"].startswith("between 0 and 1 is better")
    assert words["less"] == "lower is better: the score is minus the value"
    assert words["plain"] == "higher is better"
    with pytest.raises(UserError, match="says lower is better, its transform sigmoid that higher is"):
        settings_of({"up": {**tables["up"], "better": "lower"}})


def test_what_is_no_item_scores_as_stated_or_the_worst_of_the_transform():
    """With better = "lower" and nothing stated, an invalid sequence scored 0 and beat every positive value."""
    with pytest.raises(UserError, match=r"says lower is better and has no transform: state .* invalid ="):
        settings_of({"less": {"better": "lower"}})
    points = {"transform": {"kind": "interpolation", "points": [[0, -3], [1, 2]]}}
    tables = {
        "less": {"better": "lower", "invalid": -9},
        "curve": points,
        "up": {"transform": {"kind": "step", "low": 1}},
    }
    found = {name: table.invalid_score(-1.0) for name, table in settings_of(tables).items()}
    assert found == {"less": -9.0, "curve": -3.0, "up": 0.0}


def test_a_table_of_a_term_of_the_domain_takes_a_weight_and_no_workers():
    terms = {term.name: term.weight for term in weighted_terms(DOMAIN, {}, settings_of({"variety": {"weight": 3}}))}
    assert terms == {"rises": 1.0, "variety": 3.0}
    terms = weighted_terms(DOMAIN, {"variety": 0.5}, settings_of({"variety": {"weight": 3}}))
    assert terms[1].weight == 0.5
    with pytest.raises(UserError, match=r"workers in .terms.variety. is for a term from outside"):
        settings_of({"variety": {"workers": 2}})
    with pytest.raises(UserError, match=r"unknown term of domain 'letters' 'varety'; did you mean 'variety'"):
        weighted_terms(DOMAIN, {}, settings_of({"varety": {"weight": 3}}))


# Combination


def transformed_scorer(tables, *terms, **settings):
    return Scorer(DOMAIN, terms, settings=settings_of(tables), **settings)


def test_raw_and_transformed_both_appear_and_the_reward_is_made_of_the_transformed():
    tables = {"length": {"transform": {"kind": "step", "low": 2}}}
    scores = score(transformed_scorer(tables, lengths()), "abc", "a", "acc")
    np.testing.assert_array_equal(scores.columns["term.length"], [3, 1, np.nan])  # the last is no item
    np.testing.assert_array_equal(scores.columns["score.length"], [1, 0, 0])
    np.testing.assert_array_equal(scores.totals, [1, 0, 0])
    np.testing.assert_array_equal(scores.reward[0], [0, 0, 0, 1])


def test_a_token_level_term_is_transformed_by_its_sum():
    term = TokenTerm("tokens", 2.0, "", "", lambda tokens: np.ones(tokens.shape))
    scores = score(transformed_scorer({"tokens": {"transform": {"kind": "step", "low": 3}}}, term), "abc", "a")
    np.testing.assert_array_equal(scores.reward, [[0, 0, 0, 2], [0, 0, 0, 0]])


def test_less_is_better_turns_the_sign():
    scores = score(transformed_scorer({"length": {"better": "lower", "invalid": -9.0}}, lengths()), "abc", "a", "acc")
    np.testing.assert_array_equal(scores.totals, [-3, -1, -9])


def test_the_geometric_mean_is_weighted_and_zero_where_one_is():
    """By hand: sqrt(.25 * 1) = .5 with equal weights; .25^(3/4) with three to one."""
    other = SequenceTerm("other", 1.0, "", "", lambda texts: [float("b" in text) for text in texts])
    tables = {"length": {"transform": {"kind": "interpolation", "points": [[0, 0], [4, 1]]}}}
    scores = score(transformed_scorer(tables, lengths(), other, geometric=True), "b", "ab", "a")
    np.testing.assert_allclose(scores.totals, [0.5, np.sqrt(0.5), 0])
    heavy = SequenceTerm("length", 3.0, "", "", lengths().values)
    np.testing.assert_allclose(
        score(transformed_scorer(tables, heavy, other, geometric=True), "b").totals, [0.25**0.75]
    )


def test_what_is_of_figures_is_added_to_a_geometric_mean_and_a_filter_takes_it_too():
    """By hand: .25 alone, less a tenth of the length; "b" fails the filter."""
    share = SequenceTerm("share", 2.0, "", "", lambda texts: [0.25] * len(texts))
    held = SequenceTerm("length", -0.1, "", "", lengths().values, of_figures=True)
    passing = SequenceTerm("a", 0.0, "", "", lambda texts: [float("a" in text) for text in texts], filter=True)
    scores = score(transformed_scorer({}, share, held, passing, geometric=True), "a", "ab", "b")
    np.testing.assert_allclose(scores.totals, [0.15, 0.05, 0])
    np.testing.assert_allclose(score(transformed_scorer({}, held, geometric=True), "ab").totals, [-0.2])


def test_a_geometric_mean_refuses_what_is_no_share():
    with pytest.raises(UserError, match="scores from 0 to 1; term 'length' gave 3: give it a transform"):
        score(transformed_scorer({}, lengths(), geometric=True), "abc")
    negative = SequenceTerm("negative", -1.0, "", "", lambda texts: [0.5] * len(texts))
    with pytest.raises(UserError, match="weights above 0; that of term 'negative' is -1"):
        score(transformed_scorer({}, negative, geometric=True), "abc")


# Budget and ledger


def test_a_budget_counts_new_items_only_and_what_lies_beyond_is_neither_asked_nor_learnt():
    asked = []
    scorer = Scorer(DOMAIN, [lengths(asked)], budget=3)
    assert score(scorer, "ab", "ab", "acc").scored.all()
    assert (scorer.calls, scorer.spent) == (1, False)
    scores = score(scorer, "ab", "a", "b", "abc", "acc")
    np.testing.assert_array_equal(scores.scored, [True, True, True, False, True])
    assert (scorer.calls, scorer.spent, asked) == (3, True, ["ab", "a", "b"])
    assert not scorer.failed


def test_the_ledger_lists_every_call_once_and_in_order():
    scorer = Scorer(DOMAIN, [lengths(answer=lambda text: float("nan") if text == "b" else 2.0)])
    score(scorer, "ab", "acc", "b", "ab")
    assert [row[:2] for row in scorer.news.calls] == [(1, "ab"), (2, "b")]
    assert scorer.news.calls[0][2] == 2.0
    assert np.isnan(scorer.news.calls[1][2])
    score(scorer, "b", "a")
    assert [row[:2] for row in scorer.news.calls] == [(3, "a")]


def test_the_tables_of_a_run_are_cut_where_a_resume_begins(tmp_path):
    run, scorer = RunFolder(tmp_path), Scorer(DOMAIN, [lengths(answer=lambda text: None if text == "b" else 2.0)])
    for update, words in enumerate((("ab", "b"), ("a", "ca"), ("bc",)), 1):
        score(scorer, *words)
        run.note(update, scorer.news)
    whole = (tmp_path / "ledger.csv").read_text()
    assert [row["text"] for row in csv.DictReader(whole.splitlines())] == ["ab", "b", "a", "ca", "bc"]
    with (tmp_path / "ledger.csv").open("a") as file:
        file.write("6,3,half a ro")
    run.keep(2)
    assert (tmp_path / "ledger.csv").read_text() == "".join(whole.splitlines(keepends=True)[:5])
    assert (tmp_path / "failures.csv").read_text().splitlines() == [
        "update,term,text,reason",
        "1,length,b,gave no value",
    ]
    run.keep(0)
    assert len((tmp_path / "failures.csv").read_text().splitlines()) == 1


# Answers on disk


@pytest.mark.usefixtures("installed")  # of no digest of what the term closes over
def test_what_is_on_disk_is_not_asked_again_failures_included(tmp_path):
    asked = []
    term = lengths(asked, lambda text: None if text == "b" else float(len(text)))
    for _ in range(2):
        scorer = Scorer(DOMAIN, [term])
        with scorer.remembering(tmp_path / "answers.sqlite"):
            np.testing.assert_array_equal(score(scorer, "ab", "b").totals, [2, np.nan])
        assert scorer.failed == [("length", "b", "gave no value")]  # counted by each, asked by the first
        assert scorer.calls == 2
    assert asked == ["ab", "b"]


@pytest.mark.usefixtures("installed")  # of no digest of what the term closes over
def test_a_scorer_aside_does_not_ask_again_what_is_on_disk_and_was_not_looked_up(tmp_path):
    """As at the end of a resumed run: most of what it ever asked is on disk, and not in its memory."""
    asked = []
    first, second = (Scorer(DOMAIN, [lengths(asked)]) for _ in range(2))
    with first.remembering(tmp_path / "answers.sqlite"):
        score(first, "ab", "b")
    with second.remembering(tmp_path / "answers.sqlite"):
        score(second.aside(second.terms), "ab", "b", "c")
    with first.remembering(tmp_path / "answers.sqlite"):
        score(first.aside(first.terms), "c")  # nor what a scorer aside has asked
    assert asked == ["ab", "b", "c"]


@pytest.mark.usefixtures("installed")  # of no digest of what the term closes over
def test_a_shared_file_gives_values_to_other_runs_and_no_failures(tmp_path):
    asked = []
    term = lengths(asked, lambda text: None if text == "b" else float(len(text)))
    for name in ("one", "two"):
        scorer = Scorer(DOMAIN, [term], shared=str(tmp_path / "shared.sqlite"))
        with scorer.remembering(tmp_path / name):
            score(scorer, "ab", "b")
    assert asked == ["ab", "b", "b"]


def test_two_runs_use_one_file_at_once(tmp_path):
    one, two = (Scorer(DOMAIN, [lengths()], shared=str(tmp_path / "shared.sqlite")) for _ in range(2))
    with one.remembering(tmp_path / "one"), two.remembering(tmp_path / "two"):
        for words in (("a", "b"), ("ab", "b"), ("abc",)):
            np.testing.assert_array_equal(score(one, *words).totals, score(two, *words).totals)


def test_another_version_of_a_function_is_asked_anew(tmp_path):
    for value in (1, 2):
        Path("mine.py").write_text(f"def f(texts):\n    return [{value}] * len(texts)\n")
        tables = settings_of({"mine": {"function": "mine:f"}})
        terms = weighted_terms(DOMAIN, {"rises": 0, "variety": 0}, tables)
        with closing(Scorer(DOMAIN, terms, settings=tables)) as scorer, scorer.remembering(tmp_path / "answers"):
            assert score(scorer, "ab").totals == [value]


@pytest.mark.parametrize("content", [b"this is no database at all, " * 100, b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_file_of_answers_that_is_none_says_so(tmp_path, content):
    (tmp_path / "shared").write_bytes(content)
    scorer = Scorer(DOMAIN, [lengths()], shared=str(tmp_path / "shared"))
    with pytest.raises(UserError, match=r"cannot use the answers in .*shared"), scorer.remembering(tmp_path / "own"):
        pass


def test_what_an_error_stops_leaves_the_memory_as_it_was(tmp_path):
    """So that a resume begins that batch anew; what was answered stays answered."""
    asked = []
    broken = SequenceTerm("broken", 1.0, "", "", lambda texts: [1.0])
    scorer = Scorer(DOMAIN, [lengths(asked), broken])
    with scorer.remembering(tmp_path / "own"):
        before = scorer.state()
        with pytest.raises(UserError, match="term 'broken' gave 1 values for 2 texts"):
            score(scorer, "a", "ab")
        assert scorer.state() == before
        with pytest.raises(UserError, match="term 'broken'"):
            score(scorer, "a", "ab")
    assert asked == ["a", "ab"]


def test_texts_may_hold_anything_that_text_can(tmp_path):
    odd = ["'; DROP TABLE answers; --", 'a"b,c', "line\nbreak", "\x00", "ä\U0001f600"]
    asked = []
    scorer = Scorer(DOMAIN, [lengths(asked)])
    for _ in range(2):
        with scorer.remembering(tmp_path / "own"):
            scorer.answers.submit(odd)
            scorer.answers.finish()
            assert scorer.answers.known["length"] == {text: len(text) for text in odd}
    assert asked == odd
    with closing(sqlite3.connect(tmp_path / "own")) as connection:
        assert connection.execute("SELECT count(*) FROM answers").fetchone() == (5,)


# The examples


@pytest.mark.skipif(not shutil.which("sh"), reason="no program 'sh' to run the example with")
def test_the_examples_for_terms_from_outside_work(monkeypatch):
    monkeypatch.chdir(EXAMPLES)
    config = build(TrainConfig, read_toml(EXAMPLES / "program.toml"))
    domain = seqtutor.load("molecules")
    texts = ["CCO", "Clc1ccccc1", r"F/C=C\F", "C1CC1C1CC1C1CC1C1CC1", "FC(F)(F)c1ccc(Cl)cc1"]
    rows = [domain.vocabulary.encode(domain.encode(text)) for text in texts]
    tokens = np.array([[*row, 2, *[0] * (60 - len(row))] for row in rows])
    tokens[tokens == 2] = ids("a")[0, 1]  # the end
    with closing(new_scorer(domain, config)) as scorer:
        scorer.start("CCO")
        scores = scorer.score(tokens, np.zeros(len(texts), bool))
    assert not scorer.failed
    halogens = [text.count("F") + text.count("Cl") for text in scores.texts]
    np.testing.assert_array_equal(scores.terms["halogens"], halogens)
    np.testing.assert_array_equal(scores.terms["dock"], [-0.5, -1, 0, -4, -1])
    assert ((scores.totals > 0) == (scores.terms["halogens"] <= 3)).all()


@pytest.mark.parametrize("key", ["weight", "invalid"])
def test_a_number_of_a_table_that_no_reward_can_hold_is_refused(key):
    with pytest.raises(UserError, match=f"{key} in .terms.variety. must lie between -1e.18 and 1e.18, not 1e.300"):
        settings_of({"variety": {key: 1e300}})


def test_the_score_of_what_nobody_knows_is_no_figure():
    """A run on a record showed 0 ± 0: that of the one sample that was no item."""
    nothing, every = np.full(3, np.nan), np.ones(3, bool)
    known = np.array([1.0, np.nan, np.nan])
    for raw, transformed, told in (
        (nothing, [np.nan, np.nan, 0.0], nothing),
        (known, [0.5, np.nan, 0.0], [0.5, np.nan, 0.0]),
    ):
        scores = {"x": np.array(transformed)}
        found = Scores(
            ("a", "b", None), np.zeros((3, 1, 1)), np.zeros((3, 1)), every, ~every, known, {"x": raw}, scores
        )
        np.testing.assert_array_equal(found.columns["score.x"], told)
