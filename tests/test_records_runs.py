"""Runs on a record from the command line: files that people have, errors, pages, estimates from old texts."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from letters import new_model
from scored import MANY, WORDS, record_file

import seqtutor
from seqtutor.cli import main
from seqtutor.priors.files import save_model
from seqtutor.records import FEWEST


@pytest.fixture
def elsewhere(installed, tmp_path, monkeypatch):
    """A folder of its own with a small prior and a record."""
    monkeypatch.chdir(tmp_path)
    Path("prior").mkdir()
    save_model(new_model(spread=1.0, hidden=8), Path("prior"), "model", domain="letters")
    record_file("words.csv")
    return tmp_path


def train(*args):
    base = ["train", "--domain", "letters", "--prior", "./prior", "--rollouts", "8", "--batch", "8", "--samples", "20"]
    return CliRunner().invoke(main, [*base, "--updates", "3", "--objective", "tb", *map(str, args)])


def line(result):
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 1, result.output
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr.strip()


def test_one_command_from_a_table_to_a_tuned_model_and_its_page(elsewhere):
    with Path("words.csv").open("a") as file:
        file.write("xyz,1\nab,high\nxyz,2\nxyz,3\nba,\nab,2.5\n")
    result = train("--log", "words.csv", "--log-reward", "score", "--transform", "score=sigmoid,low=-1,high=1",
                   "--output", "run")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "11 lines of 10 texts" in result.output
    assert "left out: words.csv:12: 'xyz'" in result.output
    assert "left out: words.csv:13: score is 'high', and a number is needed" in result.output
    assert f"lines in all, each with its reason in {Path('run/left_out.csv')}" in result.output
    assert Path("run/left_out.csv").read_text().splitlines()[1].startswith("words.csv:12,")
    assert "nobody knows the reward of the samples" in result.output
    assert "reward nan" not in result.output
    summary = json.loads(Path("run/summary.json").read_text())
    assert summary["oracle_calls"] == 0
    assert summary["reward"]["policy"]["mean"] is None
    assert summary["record"]["lines"] == 11
    page = Path("run/report.html").read_text()
    assert "Learnt from a record" in page
    assert "mean reward went from" not in page
    assert not Path("run/ledger.csv").exists()


def test_a_changed_record_is_refused_by_name_and_an_unchanged_one_goes_on(elsewhere):
    assert train("--log", "words.csv", "--log-reward", "score", "--output", "run").exit_code == 0
    on = CliRunner().invoke(main, ["train", "--resume", "run", "--updates", "5"])
    assert on.exit_code == 0, on.output
    with Path("words.csv").open("a") as file:
        file.write("bb,1\n")
    result = CliRunner().invoke(main, ["train", "--resume", "run", "--updates", "6"])
    assert "the record words.csv has changed since this run began" in line(result)


def test_a_runs_ledger_and_samples_are_records(elsewhere):
    assert train("--output", "old").exit_code == 0
    for log, column in (("old", "reward"), ("old/ledger.csv", "reward"), ("old/samples.csv", "variety"),
                        ("old", "variety")):  # fmt: skip
        result = train("--log", log, "--log-reward", column, "--output", f"new{len(list(Path().iterdir()))}")
        if "different texts" not in result.output:  # an unlucky prior writes few words
            assert result.exit_code == 0, result.output


def test_json_lines_are_read_and_bad_ones_named(elsewhere):
    rows = [json.dumps({"text": word, "score": i}) for i, word in enumerate(WORDS)]
    Path("w.jsonl").write_text("\n".join([*rows, "{", '{"text": "ab"}']) + "\n")
    result = train("--log", "w.jsonl", "--log-reward", "score", "--output", "run")
    assert result.exit_code == 0, result.output
    assert "w.jsonl:11: no JSON object" in result.output
    assert "w.jsonl:12: score is empty, and a number is needed" in result.output


CASES = {
    "missing.csv": (None, "there is no record missing.csv"),
    "empty.csv": ("", "the record empty.csv is empty"),
    "head.csv": ("word,score\n", "the record head.csv is empty"),
    "other.csv": ("word,points\na,1\n", "has no column 'score' (it has: word, points); name one with --log-reward"),
    "one.csv": ("word,score\nab,1\n", f"has 1 different texts that can be learnt from, and {FEWEST} are needed"),
    "alike.csv": ("word,score\n" + "".join(f"{w},2\n" for w in WORDS), "says the same of every text (score is 2)"),
    "strange.csv": ("word,score\nxx,1\nyy,2\n", "has no column of items of domain 'letters' (it has: word, score)"),
    "words.csv": ("text,score\n" + "".join(f"{w},much\n" for w in WORDS), "score is 'much', and a number is needed"),
    "pictures.png": ("x", "its name must end in one of .csv, .tsv, .jsonl"),
    "bytes.csv": ("a\0b", "is not a text file"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_cannot_be_learnt_from_is_one_clear_line(name, elsewhere):
    content, said = CASES[name]
    if content is not None:
        Path(name).write_text(content)
    assert said in line(train("--log", name, "--log-reward", "score", "--output", "run"))
    assert not Path("run").exists()


def test_a_folder_with_nothing_readable_and_settings_that_need_an_oracle_are_one_clear_line(elsewhere):
    Path("folder").mkdir()
    assert "the folder folder holds no record" in line(train("--log", "folder", "--log-reward", "score"))
    common = ("--log", "words.csv", "--log-reward", "score")
    on_policy = CliRunner().invoke(main, ["train", "--domain", "letters", "--prior", "./prior", *common,
                                          "--objective", "reinforce"])  # fmt: skip
    assert "objective 'reinforce' learns from its own samples only" in line(on_policy)
    assert "unseen must be mean, min or a number" in line(train(*common, "--unseen", "low"))
    assert "vary is 0.5; it needs rewards of new texts" in line(train(*common, "--vary", "0.5"))
    assert "no term of this reward asks an oracle" in line(train(*common, "--oracle-calls", "5"))
    assert "priority is not for a run" in line(train(*common, "--priority", "error"))
    assert "has no column 'name' of texts" in line(train(*common, "--log-text", "name"))


# --- evaluate --log -----


def evaluate(*args):
    return CliRunner().invoke(main, ["evaluate", *map(str, args)])


def test_a_runs_samples_estimate_another_run_and_agree_with_its_own_table(elsewhere):
    wide = ("--rollouts", "32", "--samples", "600", "--updates", "20")
    for name in ("old", "new"):
        assert train(*wide, "--output", name, "--seed", len(name) + (name == "new")).exit_code == 0
    result = evaluate("./new", "--log", "old/samples.csv", "--json")
    assert result.exit_code == 0, result.output
    found, table = json.loads(result.output), json.loads(Path("new/summary.json").read_text())
    with Path("new/samples.csv").open(newline="") as file:
        items = [float(r["reward"]) for r in csv.DictReader(file) if r["model"] == "policy" and r["text"]]
    assert abs(found["reward"][0] - np.mean(items)) < found["reward"][1] + 3 * np.std(items) / math.sqrt(len(items))
    assert abs(found["kl"][0] - table["kl"]["sequence"]) < 0.2
    assert 30 < found["effective"] <= 1200
    said = evaluate("./new", "--log", "old").output
    assert "effective sample size" in said


def test_a_record_too_far_from_the_policy_is_refused_with_the_number(elsewhere):
    assert train("--output", "new").exit_code == 0
    record_file("far.csv", MANY, np.arange(len(MANY)), logp=[-1.0 - i for i in range(len(MANY))])
    said = line(evaluate("./new", "--log", "far.csv", "--log-reward", "score"))
    assert "its 33 lines are worth" in said
    assert "and 30 are needed" in said


def test_a_record_of_an_unknown_writer_is_refused_and_a_ledger_says_why(elsewhere):
    assert train("--output", "new", "--rollouts", "32").exit_code == 0
    record_file("lacking.csv", MANY, np.arange(len(MANY)), logp=[-1.0, "", 0.5] + [-2.0] * (len(MANY) - 3))
    said = line(evaluate("./new", "--log", "lacking.csv", "--log-reward", "score"))
    assert f"no log-probability (nats, 0 at most) in 2 of {len(MANY)} lines, the first lacking.csv:3" in said
    assert "that needs a column logp (nats)" in line(evaluate("./new", "--log", "words.csv", "--log-reward", "score"))
    said = line(evaluate("./new", "--log", "new/ledger.csv"))
    assert "as many policies as its run had updates" in said or "different texts" in said
    assert "has no column 'reward'" in line(evaluate("./new", "--log", "words.csv"))


def test_the_samples_of_two_runs_together_are_refused_and_not_called_unknown(elsewhere):
    for seed, name in enumerate(("one", "two")):
        assert train("--output", name, "--samples", "100", "--seed", seed).exit_code == 0
    said = line(evaluate("./one", "--log", "one", "--log", "two"))
    assert "from one/samples.csv and two/samples.csv together: the writer of a run's samples.csv" in said
    assert "give one --log at a time, or files with a column logp" in said


def test_from_python_a_record_is_a_setting_like_any_other(elsewhere):
    rows = []
    run = seqtutor.tune("letters", prior="./prior", log=["words.csv"], log_reward=["score"], objective="tb", samples=20,
                        report=rows.append)  # fmt: skip
    assert run.summary["record"]["texts"] == len(WORDS)
    assert all(math.isnan(row["reward"]) for row in rows)


def test_a_record_is_not_weighed_by_a_function_that_was_not_trusted(elsewhere):
    """The function of a run that somebody had sent was run on every line."""
    Path("mine.py").write_text(
        "from pathlib import Path\ndef mine(texts):\n    Path('ran').touch()\n    return [1.0 for text in texts]\n"
    )
    own = ("--function", "mine=mine:mine", "--weight", "mine=0.1")
    assert train("--log", "words.csv", "--log-reward", "score", *own, "--output", "run").exit_code == 0
    Path("ran").unlink()
    Path("run/answers.sqlite").unlink()
    said = line(evaluate("./run", "--log", "words.csv"))
    assert "the run's reward has 'mine', a function or a program, as a part: --trust runs it" in said
    assert not Path("ran").exists()
    evaluate("./run", "--log", "words.csv", "--trust")
    assert Path("ran").exists()
