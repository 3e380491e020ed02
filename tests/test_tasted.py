"""Votes as a reward: a taste tunes, its doubt is a column, a run repeats and resumes exactly, bad votes are a line."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from letters import LettersDomain, language, new_model

from seqtutor import UserError, tune
from seqtutor.cli import main
from seqtutor.files import read_toml
from seqtutor.people.lens import new_lens
from seqtutor.people.votes import Vote, append
from seqtutor.priors.files import save_model
from seqtutor.rewards.taste import INVALID, Tasted
from seqtutor.rewards.terms import settings_of, weighted_terms
from seqtutor.runs.alarms import START, WINDOW, Watch


def train(*words):
    return CliRunner().invoke(main, ["train", "--domain", "letters", "--prior", "./prior", *words])


def line(result):
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


def vote_for(path, liked, pairs):
    """Votes of somebody who always takes the word of which more is `liked`."""
    for first, second in pairs:
        answer = "same" if liked(first) == liked(second) else "a" if liked(first) > liked(second) else "b"
        append(path, Vote("letters", "anna", first, second, answer))


@pytest.fixture
def voted(installed, tmp_path, monkeypatch):
    """A folder with a small prior and sixty votes for words with many a."""
    monkeypatch.chdir(tmp_path)
    Path("prior").mkdir()
    save_model(new_model(spread=1.0, hidden=8), Path("prior"), "model", domain="letters")
    vote_for(Path("votes.jsonl"), lambda word: word.count("a"), pairwise(language(61, 3)))
    return tmp_path


def rows(folder):
    with (Path(folder) / "metrics.csv").open(newline="") as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def test_the_taste_is_what_was_voted_for_and_less_where_it_is_not_known(voted):
    term = Tasted(Path("votes.jsonl"), LettersDomain(), "./prior")
    one, three = term(["b", "aaa"])
    assert three > one + 1
    bold = Tasted(Path("votes.jsonl"), LettersDomain(), "./prior", caution=0.0)
    words = sorted(set(language(50, 3)))
    assert (bold(words) >= term(words)).all()
    np.testing.assert_allclose(bold(words), term.members(words).mean(1), atol=1e-6)


def test_the_figures_of_a_text_do_not_depend_on_its_neighbours():
    lens = new_lens(LettersDomain(), new_model(spread=1.0, hidden=8))
    other = new_lens(LettersDomain(), new_model(spread=1.0, hidden=8))
    words = ["abc", "a", "cab"]
    together = lens(words)
    alone = np.array([other([word])[0] for word in reversed(words)])[::-1]
    np.testing.assert_array_equal(together, alone)
    assert np.isnan(lens(["two words"])).all()


def test_three_commands_lead_to_a_model_that_writes_what_was_liked(voted):
    result = train("--taste", "votes.jsonl", "--updates", "12", "--output", "run", "--samples", "200")
    assert result.exit_code == 0, result.output
    config = read_toml(Path("run/config.toml"))
    table = config["terms"]["taste"]
    assert table["taste"] == "votes.jsonl"
    assert table["bytes"] == Path("votes.jsonl").stat().st_size
    assert table["prior"] == "./prior"
    assert config["kl_budget"] == 0.05  # fewer than a hundred votes
    assert config["weights"] == {"rises": 0.0, "variety": 0.0, "taste": config["temperature"]}
    first, *_, last = rows("run")
    assert {"term.taste", "sd.taste", "agreement.taste"} <= set(first)
    assert float(last["term.taste"]) > float(first["term.taste"])
    assert "Agreement.taste" in Path("run/report.html").read_text(encoding="utf-8")
    drawn = CliRunner().invoke(main, ["generate", "./run", "-n", "4", "--output", "drawn"])
    assert drawn.exit_code == 0, drawn.output


def test_named_terms_stay_in_and_the_weight_is_as_typed(voted):
    words = ("--taste", "votes.jsonl", "--weight", "taste=2", "--weight", "variety=1", "--caution", "0.5")
    result = train(*words, "--updates", "1", "--output", "run", "--temperature", "1")
    assert result.exit_code == 0, result.output
    config = read_toml(Path("run/config.toml"))
    assert config["weights"] == {"rises": 0.0, "variety": 1.0, "taste": 2.0}
    assert config["terms"]["taste"]["caution"] == 0.5
    assert config["kl_budget"] == float("inf")


def test_a_run_resumes_and_repeats_exactly_though_votes_were_added(voted):
    assert train("--taste", "votes.jsonl", "--updates", "6", "--output", "whole").exit_code == 0
    assert train("--taste", "votes.jsonl", "--updates", "3", "--output", "parts").exit_code == 0
    vote_for(Path("votes.jsonl"), len, pairwise(language(30, 3, seed=1)))
    resumed = CliRunner().invoke(main, ["train", "--resume", "parts", "--updates", "6"])
    assert resumed.exit_code == 0, resumed.output
    assert rows("parts") == rows("whole")
    again = CliRunner().invoke(main, ["train", "--config", "whole/config.toml", "--output", "again"])
    assert again.exit_code == 0, again.output
    assert rows("again") == rows("whole")


def test_what_is_wrong_with_votes_is_one_line_before_there_is_a_folder(voted):
    text = Path("votes.jsonl").read_text()
    assert "cannot read the votes nowhere.jsonl" in line(train("--taste", "nowhere.jsonl", "--output", "x"))
    Path("few.jsonl").write_text("".join(text.splitlines(keepends=True)[:5]))
    few = line(train("--taste", "few.jsonl", "--output", "x"))
    assert "few.jsonl holds 5 votes, and a taste needs 8, better 50: give more with 'seqtutor rate'" in few
    Path("other.jsonl").write_text(text.replace('"letters"', '"music"'))
    assert "is a vote on items of domain 'music', not of 'letters'" in line(train("--taste", "other.jsonl"))
    Path("edited.jsonl").write_text(text.replace('"a": "', '"a": "no such '))
    edited = line(train("--taste", "edited.jsonl", "--output", "x"))
    assert "0 votes compare items of domain 'letters'; 8 are needed; the first of the others, vote" in edited
    assert "is more than one word; left out" in edited
    assert "--caution 2 is about a learnt reward: name --taste FILE or --surrogate NAME=FILE" in line(
        train("--caution", "2")
    )
    assert "caution in [terms.taste] must be at least 0, not -1" in line(
        train("--taste", "votes.jsonl", "--caution", "-1")
    )
    assert not Path("x").exists()


def test_a_second_file_of_votes_is_refused_with_the_ways_to_give_two(voted):
    for command in (["train", "--domain", "letters"], ["explain", "./prior"]):
        result = CliRunner().invoke(main, [*command, "--taste", "anna.jsonl", "--taste", "bert.jsonl"])
        said = line(result)
        assert "--taste takes one file of votes, not anna.jsonl and bert.jsonl: for one taste of all" in said
        assert "cat anna.jsonl bert.jsonl > all.jsonl" in said


def test_a_taste_of_a_config_is_held_near_the_prior_unless_that_says_otherwise(voted):
    def budget(folder, said="", *words):
        Path("c.toml").write_text(f'domain = "letters"\n{said}\n[terms.anna]\ntaste = "votes.jsonl"\n')
        result = CliRunner().invoke(
            main, ["train", "--config", "c.toml", "--prior", "./prior", "--updates", "1", "--output", folder, *words]
        )
        assert result.exit_code == 0, result.output
        return read_toml(Path(folder, "config.toml"))["kl_budget"]

    assert budget("usual") == 0.05  # fewer than a hundred votes
    assert budget("cold", "temperature = 0.5") == float("inf")
    assert budget("wide", "kl_budget = 0.3") == 0.3
    assert budget("typed", "", "--kl-budget", "0.4") == 0.4
    table = {"anna": {"taste": "votes.jsonl"}}
    assert tune("letters", prior="./prior", terms=table, updates=1, folder="python").config.kl_budget == 0.05


def test_lines_that_are_no_votes_are_named_where_a_run_begins(voted):
    with Path("votes.jsonl").open("a") as file:
        file.write("{\n" * 4)
    result = train("--taste", "votes.jsonl", "--updates", "1", "--output", "run")
    assert result.exit_code == 0, result.output
    assert result.output.count("votes.jsonl:61: no JSON object of at most") == 1
    assert "4 votes were passed over in all" in result.output


def test_a_resumed_run_keeps_its_votes(voted):
    assert train("--taste", "votes.jsonl", "--updates", "1", "--output", "run").exit_code == 0
    said = line(CliRunner().invoke(main, ["train", "--resume", "run", "--taste", "votes.jsonl"]))
    assert "a resumed run keeps what it learnt its reward from: go on without --taste, or start another run" in said
    Path("votes.jsonl").write_text(Path("votes.jsonl").read_text().replace("anna", "otto"))
    said = line(CliRunner().invoke(main, ["train", "--resume", "run", "--updates", "2"]))
    assert "votes.jsonl no longer begins with the votes that the run was tuned by" in said


def test_what_is_no_item_loses_and_a_table_may_say_how_much(voted):
    for table, invalid in (({}, INVALID), ({"invalid": -9.0}, -9.0)):
        settings = settings_of({"t": {"taste": "votes.jsonl", "prior": "./prior", **table}})
        (term,) = [term for term in weighted_terms(LettersDomain(), {}, settings) if term.name == "t"]
        assert term.invalid == invalid
    with pytest.raises(UserError, match="a term comes from one of function, program, record, run, taste"):
        settings_of({"t": {"taste": "votes.jsonl", "run": "x"}})


def test_members_that_part_while_the_reward_rises_raise_the_alarm(scores_of):
    watch = Watch(LettersDomain())
    raised = []
    for update in range(1, START + 2 * WINDOW):
        now = {"reward": 0.1 * update, "valid": 1.0, "entropy": 1.0, "distinct": 1.0, "largest_family": 0.1}
        row = now | {"update": update, "agreement.taste": 0.6 if update <= START else 0.2}
        raised += watch.look(row, scores_of)
    assert [alarm.column for alarm in raised] == ["agreement.taste"]
    assert "the model of the votes knows less and less what it pays: the agreement of taste falls" in raised[0].message


@pytest.fixture
def scores_of():
    """Scores of two words, of different reward."""
    from letters import ids

    from seqtutor.rewards.scorer import Scorer

    return Scorer(LettersDomain(), LettersDomain().terms()).score(ids("abc", "a"), np.zeros(2, bool))


def test_a_taste_that_is_to_be_avoided_takes_its_doubt_from_what_is_disliked(voted):
    settings = settings_of({"t": {"taste": "votes.jsonl", "prior": "./prior"}})
    cautions = {}
    for weight in (1.0, -1.0):
        terms = weighted_terms(LettersDomain(), {"t": weight}, settings)
        cautions[weight] = next(term for term in terms if term.name == "t").values.caution
    assert cautions == {1.0: 1.0, -1.0: -1.0}


def test_a_taste_of_which_less_is_better_is_not_paid_for_its_doubt(voted):
    cautions = []
    falling = {"transform": {"kind": "reverse_sigmoid", "low": -1, "high": 1}}
    for more in ({}, falling, {"better": "lower", "invalid": -9.0}):
        table = {"taste": "votes.jsonl", "prior": "./prior", "caution": 2.0, **more}
        terms = weighted_terms(LettersDomain(), {}, settings_of({"t": table}))
        cautions.append(next(term for term in terms if term.name == "t").values.caution)
    assert cautions == [2.0, -2.0, -2.0]
