"""The command line: what each command leaves behind, and that a user's mistake is one line and an exit status."""

from __future__ import annotations

import csv
import errno
import io
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tomli_w
from click.testing import CliRunner
from letters import language, new_model

from seqtutor import Vocabulary
from seqtutor.cli import main
from seqtutor.cli.train import TrainCommand
from seqtutor.cli.train import train as train_command
from seqtutor.priors.files import load_model, save_model
from seqtutor.runs.alarms import Alarm, Watch
from seqtutor.training.tuner import Tuner

TINY = ["--epochs", "1", "--hidden", "8", "--embedding", "4", "--evaluations", "2"]
pytestmark = pytest.mark.usefixtures("installed")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Every test works in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def prior(tmp_path):
    """A prior of the letters, as a folder."""
    folder = tmp_path / "prior"
    folder.mkdir()
    save_model(new_model(spread=1.0), folder, "model", domain="letters")
    return str(folder)


@pytest.fixture
def run(prior):
    """A finished run of the letters, as a folder."""
    succeed("train", "--domain", "letters", "--prior", prior, "--output", "run")
    return "run"


def call(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


def succeed(*args):
    result = call(*args)
    assert result.exit_code == 0, result.output
    return result


def refuse(*args, status=1):
    """Run a command that must fail -> its one line. An exception that is no exit would be a traceback."""
    result = call(*args)
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == status
    assert "Traceback" not in result.output
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    if status == 1:
        assert result.stderr.count("\n") == 1, result.stderr
    return last


def write(name, content):
    Path(name).write_text(content if isinstance(content, str) else tomli_w.dumps(content), encoding="utf-8")
    return name


def table(path):
    """The rows of a CSV file."""
    return list(csv.DictReader(Path(path).read_text(encoding="utf-8").splitlines()))


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


# What the commands do


def test_help_waits_for_neither_torch_nor_numpy():
    code = """
import runpy, sys
sys.argv = ["seqtutor", *{args}]
try:
    runpy.run_module("seqtutor", run_name="__main__")
except SystemExit as end:
    print(end.code, sorted({{"torch", "numpy", "jinja2"}} & set(sys.modules)))
"""
    for args in (
        ["-h"],
        ["train", "-h"],
        ["pretrain", "--help"],
        ["generate", "-h"],
        ["evaluate", "-h"],
        ["infer", "-h"],
    ):
        result = python(code.format(args=args))
        assert "Usage: seqtutor" in result.stdout
        assert result.stdout.splitlines()[-1] == "0 []", args


def test_a_clock_that_goes_backwards_harms_nothing(prior, monkeypatch):
    hours = itertools.count(2e9, -3600)
    monkeypatch.setattr("time.time", lambda: next(hours))
    succeed("train", "--domain", "letters", "--prior", prior, "--updates", "4", "--output", "run")
    seconds = [float(row["seconds"]) for row in table("run/metrics.csv")]
    assert seconds == sorted(seconds)
    os.utime("run/metrics.csv", (4e9, 4e9))  # written in what is now the future
    assert ", 0 s ago" in succeed("status", "run").output


def test_where_no_terminal_shows_a_bar_lines_say_how_far_it_is(prior):
    said = succeed("train", "--domain", "letters", "--prior", prior, "--updates", "20").output
    lines = [line for line in said.splitlines() if line.startswith("tuning: ")]
    assert [line.split()[1:4] for line in lines] == [[str(n), "of", "20"] for n in range(2, 21, 2)]


@pytest.mark.parametrize("command", ["domains", "train", "generate", "evaluate", "report", "pretrain", "infer"])
def test_every_command_has_help_with_an_example(command):
    text = succeed(command, "-h").output
    assert f"seqtutor {command}" in text.split("Usage:")[1].split("\n", 1)[1]


def test_help_lists_the_options_of_the_domain_that_is_named():
    plain, named = succeed("train", "-h").output, succeed("train", "--domain", "letters", "-h").output
    assert "--longest" not in plain
    assert "--longest" in named
    assert "--temperature" in plain
    updates = [text[text.index("--updates") :].split("[default: ")[1].split("]")[0] for text in (plain, named)]
    assert updates == ["200", "3"]  # the domain's own default stands in its place


def test_the_help_of_a_run_tells_every_option_once_under_a_heading():
    flags = {flag for option in train_command.params for flag in option.opts}
    told = re.findall(r"(?m)^  (?:-h, )?(--[a-z-]+)", succeed("train", "-h").output)
    assert len(told) == len(set(told))
    assert set(told) >= flags
    assert re.findall(r"(?m)^([A-Z][^:\n]*):$", succeed("train", "-h").output) == [*TrainCommand.sections]


def test_domains_lists_terms_and_says_what_is_missing():
    text = succeed("domains").output
    assert "letters: words over a, b, c" in text
    assert "rises" in text
    assert "broken: the domain 'broken' is named as 'seqtutor_tests_have" in text
    assert "fixedletters" not in succeed("domains", "letters").output


def test_a_run_leaves_a_folder_that_describes_itself(run):
    names = {path.name for path in Path(run).iterdir()}
    assert names >= {
        *("config.toml", "metrics.csv", "policy.safetensors", "policy.json", "checkpoint"),
        *("samples", "samples.csv", "summary.json", "report.html"),
    }
    rows = table(f"{run}/metrics.csv")
    assert [row["update"] for row in rows] == ["1", "2", "3"]
    assert {"seconds", "reward", "kl", "kl_per_token", "temperature", "oracle_calls", "term.rises"} <= set(rows[0])
    samples = table(f"{run}/samples.csv")
    assert [row["model"] for row in samples] == ["policy"] * 40 + ["prior"] * 40
    assert (Path(run) / "samples" / "words.txt").read_text().split() == [r["text"] for r in samples[:40] if r["text"]]
    summary = json.loads((Path(run) / "summary.json").read_text())
    assert (summary["updates"], summary["samples"], summary["interrupted"]) == (3, 40, False)
    assert not [path for path in Path(run).rglob("*") if path.suffix in (".pt", ".pkl", ".part")]


def test_a_run_hands_over_what_it_keeps_of_its_samples_by_the_law_of_the_optimum(run):
    said = succeed("train", "--config", f"{run}/config.toml", "--samples", 1500, "--output", "more").output
    assert re.search(r"the 100 files in more/samples are kept of 3,000 samples of both models, worth \d+ of the", said)
    both = table("more/samples.csv")
    samples = [row for row in both if row["model"] == "policy"]
    filed = sorted((row for row in both if row["file"]), key=lambda row: int(row["file"]))
    assert [row["file"] for row in filed] == [str(place) for place in range(1, 101)]
    assert (Path("more") / "samples" / "words.txt").read_text().split() == [row["text"] for row in filed]
    assert [int(row["number"]) for row in filed] != sorted(int(row["number"]) for row in filed)
    rewards, kept = ([float(row["reward"]) for row in rows] for rows in (samples, filed))
    summary = json.loads((Path("more") / "summary.json").read_text())
    assert (summary["kept"]["items"], summary["kept"]["draws"]) == (100, 3000)
    assert 0 < sum(row["model"] == "prior" for row in filed) == summary["kept"]["of_prior"] < 100
    assert summary["reward"]["kept"]["mean"] == pytest.approx(summary["kept"]["reward"])
    assert sum(kept) / 100 > sum(rewards) / 1500
    succeed("train", "--config", f"{run}/config.toml", "--samples", 200, "--output", "fewer")
    found = json.loads((Path("fewer") / "summary.json").read_text())["kept"]
    assert 50 <= found["items"] == int(found["effective"]) < 100
    assert len((Path("fewer") / "samples" / "words.txt").read_text().split()) == found["items"]


def test_a_run_can_be_repeated_from_its_config_alone(run):
    succeed("train", "--config", f"{run}/config.toml", "--output", "again")

    def rows(folder):
        return [{**row, "seconds": ""} for row in table(f"{folder}/metrics.csv")]

    assert rows("again") == rows(run)
    assert (Path("again") / "samples.csv").read_text() == (Path(run) / "samples.csv").read_text()


def test_what_is_typed_wins_over_the_file_and_the_file_over_the_domain(prior):
    file = write("run.toml", {"domain": "letters", "prior": prior, "updates": 1, "samples": 6, "weights": {"rises": 4}})
    args = ("--updates", 2, "--weight", "variety=0.25", "--longest", 5, "--output", "run")
    succeed("train", "--config", file, *args)
    saved = (Path("run") / "config.toml").read_text()
    for line in ("updates = 2", "samples = 6", "learning_rate = 0.003", "longest = 5", "rises = 4", "variety = 0.25"):
        assert line in saved


def test_a_stopped_run_goes_on_as_if_it_had_not_been(prior):
    base = ("--domain", "letters", "--prior", prior)
    succeed("train", *base, "--updates", 5, "--output", "whole")
    succeed("train", *base, "--updates", 2, "--output", "parts")
    succeed("train", "--resume", "parts", "--updates", 5)
    whole, parts = ([{**row, "seconds": ""} for row in table(f"{folder}/metrics.csv")] for folder in ("whole", "parts"))
    assert len(whole) == 5
    assert whole == parts
    assert (Path("whole") / "samples.csv").read_text() == (Path("parts") / "samples.csv").read_text()


@pytest.mark.parametrize("objective", ["q", "psi", "g"])
def test_every_objective_runs_and_its_policy_writes(prior, objective):
    succeed("train", "--domain", "letters", "--prior", prior, "--objective", objective, "--output", "run")
    succeed("generate", "./run", "-n", 5, "--output", "words")
    assert len(table("words/samples.csv")) == 5


def test_a_term_is_held_out_and_watched(prior):
    said = succeed("train", "--domain", "letters", "--prior", prior, "--output", "run", "--hold-out", "variety").output
    assert "rises 1, variety held out" in said
    assert "held_out.variety" in table("run/metrics.csv")[0]
    settings = Path("run/config.toml").read_text()
    assert "variety" in settings
    assert "stop_on_collapse = false" in settings
    terms = {term["name"]: term["weight"] for term in json.loads(Path("run/summary.json").read_text())["terms"]}
    assert terms == {"rises": 1.0, "variety": 0.0}
    said = refuse("train", "--domain", "letters", "--hold-out", "rises", "--weight", "rises=2")
    assert said == "Error: term 'rises' is held out and has weight 2: a term is paid or held out, not both"


def test_an_alarm_is_one_line_and_ends_the_run_when_asked_to(prior, monkeypatch):
    monkeypatch.setattr(Watch, "look", alarm_at_two)
    monkeypatch.setattr(Watch, "healthy", property(lambda watch: len(watch.raised) == 0))
    said = succeed("train", "--domain", "letters", "--prior", prior, "--output", "run", "--stop-on-collapse").output
    assert said.count("alarm: update 2: too few words") == 1
    assert "ended by an alarm; the policy is that of update 1, the last healthy one" in said
    assert len(table("run/metrics.csv")) == 2
    assert json.loads(Path("run/summary.json").read_text())["went_back"] == 1
    assert "update 2: too few words" in Path("run/report.html").read_text()
    again = succeed("train", "--resume", "run").output
    assert "an alarm ended it (--no-stop-on-collapse goes on): nothing more is learnt" in again


def alarm_at_two(watch, row, scores):
    found = [Alarm(2, "distinct", "update 2: too few words", "ab")] if row["update"] == 2 else []
    watch.raised += found
    return found


def test_generate_writes_the_same_for_the_same_seed(prior):
    def texts(*args):
        succeed("generate", prior, "-n", 20, *args)
        return [row["text"] for row in table(f"{args[-1]}/samples.csv")]

    first = texts("--seed", 1, "--output", "one")
    assert first == texts("--seed", 1, "--output", "same")
    assert first != texts("--seed", 2, "--output", "other")
    assert all(text.startswith("ba") for text in texts("--primer", "ba", "--output", "primed") if text)


def test_evaluate_sets_models_side_by_side(run, prior):
    figures = json.loads(succeed("evaluate", f"./{run}", "--against", prior, "-n", 50, "--json").output)
    assert set(figures) == {f"./{run}", prior}
    assert set(figures[prior]) == {"reward", "rises", "variety", "valid", "letters"}
    mean, halfwidth = figures[prior]["letters"]
    assert 1 <= mean <= 4
    assert 0 < halfwidth < 1


def test_what_would_not_be_heeded_is_refused(prior):
    assert "--against" in refuse("evaluate", prior, "--log", "a.csv", "--against", prior)
    for command in (("evaluate", prior), ("train", "--domain", "letters", "--prior", prior)):
        for option in ("--log-reward", "--log-text"):
            assert "name the record with --log FILE" in refuse(*command, option, "y")
    for option, value in (("--unseen", "foo"), ("--unseen-share", "0.5")):
        said = refuse("train", "--domain", "letters", "--prior", prior, option, value)
        assert "name the record with --log FILE" in said


def test_two_folders_of_one_name_are_told_apart(run, prior):
    for folder in ("A", "B"):
        shutil.copytree(run, Path(folder) / "run")
    said = succeed("evaluate", "A/run", "--against", "B/run", "-n", 20).output
    assert "A/run" in said
    assert "B/run" in said


def test_a_file_where_the_run_folder_should_be_is_called_one(prior):
    Path("file").touch()
    said = refuse("train", "--domain", "letters", "--prior", prior, "--output", "file")
    assert "file is a file, and a folder is needed" in said


def test_report_writes_the_page_again(run):
    page = Path(run) / "report.html"
    before = page.read_text()
    page.unlink()
    succeed("report", run)
    assert page.read_text() == before


def test_pretrain_makes_a_prior_that_train_takes():
    words = write("words.txt", "\n".join(language(80, 3)))
    result = succeed("pretrain", "--domain", "letters", "--data", words, *TINY, "--output", "mine")
    assert "80 items" in result.output
    assert "held-out loss" in result.output
    assert json.loads(Path("mine/config.json").read_text())["training"]["data"] == words
    succeed("train", "--domain", "letters", "--prior", "./mine", "--updates", 1, "--output", "run")
    for change in (["--held-out", "0.4"], ["--seed", "7"], ["--data", write("other.txt", "ab\nba\nabc\n" * 60)]):
        refused = CliRunner().invoke(main, ["pretrain", "--resume", "mine", *change])
        assert refused.exit_code == 1
        assert "are not those that this pre-training began with" in refused.output
    succeed("pretrain", "--resume", "mine")


def test_pretrain_learns_from_the_corpus_where_no_data_is_named():
    assert "2,000 items" in succeed("pretrain", "--domain", "letters", *TINY, "--output", "mine").output


# What is wrong with the data


def test_bad_lines_are_counted_the_first_three_are_shown_and_the_run_goes_on():
    lines = language(60, 3)
    for place, bad in ((4, "axb"), (10, ""), (20, "a b"), (30, "cab!"), (40, "é")):
        lines.insert(place, bad)
    result = succeed("pretrain", "--domain", "letters", "--data", write("w.txt", "\n".join(lines)), *TINY)
    assert "5 of 65 items left out; the first 3:" in result.output
    assert "w.txt:5: the vocabulary has no token 'x' (token 2 of 'axb')" in result.output
    assert "w.txt:11: an empty line" in result.output
    assert "w.txt:21: 'a b' is more than one word" in result.output
    assert "cab!" not in result.output
    assert "60 items:" in result.output


def test_what_was_understood_is_listed_before_learning_and_beside_the_prior():
    lines = ["ab", "axb", "", *language(60, 3)]
    words = write("w.txt", "\n".join(lines))
    listed = succeed("inspect", words, "--domain", "letters").output.splitlines()
    assert listed[:3] == [
        "w.txt:1: ab",
        "w.txt:2: left out: the vocabulary has no token 'x' (token 2 of 'axb')",
        "w.txt:3: left out: an empty line",
    ]
    assert listed[-1] == "61 of 63 items can be used"
    succeed("pretrain", "--domain", "letters", "--data", words, *TINY, "--output", "mine")
    assert Path("mine/items.txt").read_text().splitlines() == listed[:-1]


def test_inspecting_what_is_not_there_or_empty():
    for path, said in ((write("none.txt", ""), "none.txt is empty"), ("missing", "cannot read missing")):
        result = call("inspect", path, "--domain", "letters")
        assert result.exit_code == 1
        assert said in result.stderr


@pytest.mark.parametrize(
    ("shares", "warning"),
    [([0.5, 0.9], "fewer samples are valid than before: try fewer --epochs than 2"), ([0.88, 0.9], ""), ([1, 0.9], "")],
)
def test_a_prior_goes_on_from_another_and_says_how_many_samples_are_valid(shares, warning, monkeypatch):
    words = write("w.txt", "\n".join(language(60, 3)))
    made = succeed("pretrain", "--domain", "letters", "--data", words, *TINY, "--output", "mine").output
    assert re.search(r"^valid: [\d.]+% of 200 samples$", made, re.MULTILINE)
    monkeypatch.setattr("seqtutor.cli.pretrain._valid", lambda domain, model, seed: (shares.pop(0), 0.05))
    said = f"valid: {shares[0]:.1%} of 200 samples; of ./mine, from which it went on, 90.0%"
    few = write("few.txt", "\n".join(language(12, 3)))
    options = ("--prior", "./mine", "--output", "near", "--epochs", "2")
    further = succeed("pretrain", "--domain", "letters", "--data", few, *options).output
    assert said in further
    assert warning in further
    assert ("warning" in further) == bool(warning)
    assert 'keep = "last"' in Path("near/config.toml").read_text()


def test_a_runs_policy_becomes_a_prior_as_it_is(run):
    said = succeed("pretrain", "--domain", "letters", "--prior", f"./{run}", "--epochs", "0", "--output", "kept").output
    assert "held-out loss" in said
    own, kept = (load_model(Path(folder), stem).state_dict() for folder, stem in ((run, "policy"), ("kept", "model")))
    own = {name: value for name, value in own.items() if not name.startswith("value_head")}  # a prior has no value
    assert all(value.half().float().equal(kept[name]) for name, value in own.items())
    succeed("train", "--domain", "letters", "--prior", "./kept", "--updates", "1", "--samples", "10")
    assert "name what is to be kept as it is with --prior RUN/" in refuse(
        "pretrain", "--domain", "letters", "--epochs", "0"
    )


def test_a_new_prior_that_writes_next_to_nothing_valid_is_said_to(monkeypatch):
    monkeypatch.setattr("seqtutor.cli.pretrain._valid", lambda domain, model, seed: (0.02, 0.02))
    words = write("w.txt", "\n".join(language(60, 3)))
    made = succeed("pretrain", "--domain", "letters", "--data", words, *TINY, "--output", "mine").output
    assert "warning: few samples are valid: go on from a prior that knows the field, with --prior" in made


def test_too_few_good_lines_are_too_few():
    words = write("words.txt", "ab\nabc\nxyz\n")
    result = call("pretrain", "--domain", "letters", "--data", words)
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: words.txt has 2 items that can be learnt from; "
        "at least 50 are needed, or 10 to go on from a prior (--prior)\n"
    )
    assert not Path("outputs").exists()


def test_an_empty_file_is_called_empty():
    assert "empty.txt is empty" in refuse("pretrain", "--domain", "letters", "--data", write("empty.txt", ""))
    assert not Path("outputs").exists()


# What is wrong with the names


@pytest.mark.parametrize("command", ["train", "pretrain"])
def test_an_unknown_domain_comes_with_the_nearest_name(command):
    wanted = "Error: unknown domain 'leters'; did you mean 'letters'? (there are: broken, fixedletters, letters)"
    assert refuse(command, "--domain", "leters") == wanted
    assert refuse("domains", "leters") == wanted
    assert refuse(command, "--config", write("run.toml", {"domain": "leters"})) == wanted


@pytest.mark.parametrize("command", ["train", "pretrain"])
def test_no_domain_at_all_says_what_to_type(command):
    assert "name a domain: --domain" in refuse(command)


def test_a_domain_whose_module_is_missing_says_so_and_names_nothing_to_install():
    for command in ("train", "pretrain"):
        line = refuse(command, "--domain", "broken")
        assert "there is no module 'seqtutor_tests_have_no_such_module'; install a package again" in line
        assert "pip install" not in line


def test_an_unknown_objective_comes_with_the_nearest_name():
    assert "unknown objective 'psy'; did you mean 'psi'?" in refuse(
        "train", "--domain", "letters", "--objective", "psy"
    )


def test_an_unknown_term_comes_with_the_nearest_name(prior):
    base = ("train", "--domain", "letters", "--prior", prior)
    assert "unknown term of domain 'letters' 'rise'; did you mean 'rises'?" in refuse(*base, "--weight", "rise=1")
    assert "--weight takes TERM=VALUE" in refuse(*base, "--weight", "rises")
    assert "every term has weight 0" in refuse(*base, "--weight", "rises=0", "--weight", "variety=0")
    assert not Path("outputs").exists()


@pytest.mark.parametrize("command", ["train", "pretrain"])
def test_an_unknown_option_comes_with_the_nearest_name(command):
    line = refuse(command, "--domain", "letters", "--longst", "3", status=2)
    assert "No such option" in line
    assert "--longest" in line


def test_an_unknown_key_in_a_config_comes_with_the_nearest_name(prior):
    file = write("run.toml", {"domain": "letters", "temprature": 1.0})
    assert "unknown key in run.toml 'temprature'; did you mean 'temperature'?" in refuse("train", "--config", file)
    file = write("run.toml", {"domain": "letters", "prior": prior, "options": {"longst": 3}})
    assert "unknown option of domain 'letters' 'longst'; did you mean 'longest'?" in refuse("train", "--config", file)


def test_an_unknown_command_is_a_usage_error():
    assert "No such command 'tran'" in refuse("tran", status=2)


# What is wrong with the values


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"updates": "many"}, "updates in run.toml must be a whole number, not 'many'"),
        ({"temperature": True}, "temperature in run.toml must be a number, not True"),
        ({"weights": 3}, "weights in run.toml must be a table, not 3"),
        ({"temperature": 0}, "temperature must be above 0, not 0"),
    ],
)
def test_a_config_with_a_wrong_value_says_which_and_what_is_wanted(values, wanted):
    assert wanted in refuse("train", "--config", write("run.toml", {"domain": "letters", **values}))


def test_a_config_that_is_none_says_where():
    assert "there is no config file none.toml" in refuse("train", "--config", "none.toml")
    line = refuse("train", "--config", write("run.toml", "updates = \n"))
    assert "cannot read the config run.toml" in line
    assert "line 1" in line


def test_a_typed_value_of_the_wrong_type_is_a_usage_error():
    assert "--updates" in refuse("train", "--domain", "letters", "--updates", "many", status=2)
    assert "--longest" in refuse("train", "--domain", "letters", "--longest", "far", status=2)


def test_a_temperature_of_nothing_is_refused(prior):
    assert "temperature must be above 0, not 0.0" in refuse("train", "--domain", "letters", "--temperature", 0)
    assert "temperature must be above 0, not 0.0" in refuse("generate", prior, "--temperature", 0)
    assert not Path("outputs").exists()


def test_a_primer_that_is_too_long_or_unknown_is_refused(prior):
    assert "the primer has 4 tokens and an item at most 4 tokens: nothing is left" in refuse(
        "generate", prior, "--primer", "abab"
    )
    assert "the vocabulary has no token 'x' (token 2 of 'ax')" in refuse("generate", prior, "--primer", "ax")


# What is wrong with the files


def test_a_prior_whose_vocabulary_does_not_fit_says_how(tmp_path):
    save_model(new_model(vocabulary=Vocabulary("abd")), tmp_path, "model", domain="letters")
    for args in (("train", "--domain", "letters", "--prior", tmp_path), ("generate", tmp_path)):
        line = refuse(*args)
        assert "does not fit domain 'letters'" in line
        assert "tokens in one and not the other: c d" in line


def test_a_prior_that_does_not_exist_lists_every_place():
    for args in (("train", "--domain", "letters"), ("train", "--domain", "letters", "--prior", "mine")):
        result = call(*args)
        assert result.exit_code == 1
        assert result.stderr.startswith(f"Error: no prior is called '{args[-1]}' (there are: molecules, music, ")
        assert result.stderr.count("/pretrained") == 2
        assert result.stderr.count("\n") == 1
        assert "seqtutor pretrain" in result.stderr


def test_a_run_folder_that_exists_is_not_written_over(run, prior):
    before = (Path(run) / "metrics.csv").read_text()
    line = refuse("train", "--domain", "letters", "--prior", prior, "--output", run)
    assert line == "Error: run exists and is not empty; name another with --output, or remove it"
    assert (Path(run) / "metrics.csv").read_text() == before
    assert "run exists and is not empty" in refuse("generate", prior, "--output", run)


def test_no_permission_to_write_is_said_in_a_line(prior, monkeypatch):
    write("file", "")
    base = ("train", "--domain", "letters", "--prior", prior, "--output")
    assert "cannot write to file/run: Not a directory" in refuse(*base, "file/run")

    def forbidden(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "touch", forbidden)
    Path("empty").mkdir()
    line = refuse(*base, "empty")
    assert "cannot write to empty: Permission denied; name another folder with --output" in line
    assert not list(Path("empty").iterdir())


@pytest.fixture(params=[errno.EROFS, errno.EACCES])
def read_only(request, monkeypatch):
    """The folder `run`, on a disk that is read-only or that belongs to others; root, too, cannot write to it."""
    said = OSError(request.param, os.strerror(request.param))

    def guarded(real, writes):
        def called(path, *args, **kwargs):
            if not isinstance(path, int) and Path(path).is_relative_to("run") and writes(*args, *kwargs.values()):
                raise OSError(said.errno, said.strerror, str(path))
            return real(path, *args, **kwargs)

        return called

    for name in ("mkdir", "unlink", "rename", "replace", "rmdir"):
        monkeypatch.setattr(os, name, guarded(getattr(os, name), lambda *args: True))
    monkeypatch.setattr(os, "open", guarded(os.open, lambda flags=0, *args: flags & (os.O_WRONLY | os.O_RDWR)))
    monkeypatch.setattr(io, "open", guarded(io.open, lambda mode="r", *args: mode[0] != "r" or "+" in mode))
    return said.strerror


@pytest.mark.parametrize(
    ("args", "remedy"),
    [
        (("train", "--resume", "run", "--updates", 5), "go on with a copy of it elsewhere"),
        (("report", "run"), "copy the run to where there is room"),
        (("train", "--domain", "letters", "--output", "run/deeper"), "name another folder with --output"),
    ],
)
def test_a_folder_that_is_read_only_is_named_in_a_line(run, prior, read_only, args, remedy):
    before = {path: path.stat().st_mtime_ns for path in Path("run").rglob("*")}
    named = "run/deeper" if "run/deeper" in args else "run"
    more = ("--prior", prior) if "--output" in args else ()
    assert refuse(*args, *more) == f"Error: cannot write to {named}: {read_only}; {remedy}"
    assert before == {path: path.stat().st_mtime_ns for path in Path("run").rglob("*")}


def test_losing_the_permission_on_the_way_is_said_in_a_line(prior, monkeypatch):
    def forbidden(self, *args):
        raise PermissionError(13, "Permission denied", "run/metrics.csv")

    monkeypatch.setattr("seqtutor.runs.folder.RunFolder.log", forbidden)
    line = refuse("train", "--domain", "letters", "--prior", prior, "--output", "run")
    assert line == "Error: no permission to write or read run/metrics.csv"


@pytest.mark.parametrize("command", [("train", "--resume"), ("report",)])
def test_a_folder_that_is_no_run_says_so(command):
    Path("nothing").mkdir()
    assert "config.toml" in refuse(*command, "nothing")
    assert "config.toml" in refuse(*command, "nowhere")


def test_models_of_different_domains_are_not_compared(prior, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    save_model(new_model(fixed_length=True), other, "model", domain="fixedletters")
    assert "is of domain 'fixedletters'" in refuse("evaluate", prior, "--against", other, "-n", 4)


def test_ctrl_c_keeps_what_was_learnt_and_writes_the_page(prior, monkeypatch):
    step = Tuner.step

    def interrupted(self):
        if self.update == 2:
            raise KeyboardInterrupt
        return step(self)

    monkeypatch.setattr(Tuner, "step", interrupted)
    args = ("--domain", "letters", "--prior", prior, "--updates", 9, "--output", "run")
    result = call("train", *args)
    assert result.exit_code == 130
    assert "stopped early" in result.output
    load_model(Path("run"), "policy")
    assert "<html" in Path("run/report.html").read_text()
    assert json.loads(Path("run/summary.json").read_text())["interrupted"] is True
    monkeypatch.setattr(Tuner, "step", step)
    succeed("train", "--resume", "run", "--updates", 3)
    assert len(Path("run/metrics.csv").read_text().splitlines()) == 4


def test_the_program_itself_ends_with_the_status_and_one_line(tmp_path):
    """Not through click's runner: what a shell sees."""
    environment = {**os.environ, "PYTHONPATH": ""}
    for args, status in ((["train", "--domain", "musik"], 1), (["train", "--updates", "x"], 2)):
        result = subprocess.run(
            [sys.executable, "-m", "seqtutor", *args], capture_output=True, text=True, check=False, env=environment
        )
        assert result.returncode == status
        assert "Traceback" not in result.stderr
        assert result.stderr.splitlines()[-1].startswith("Error: ")
        assert not result.stdout
