"""What a musician tried with folders: priors that changed or moved, runs opened elsewhere, folders that two share."""

from __future__ import annotations

import os
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner
from letters import language, new_model
from scored import MANY, record_file

from seqtutor import UserError, evaluate, generate, load_run, tune
from seqtutor.cli import main
from seqtutor.config import MADE_BY, OF_PRIOR, STAGES
from seqtutor.files import read_table, read_toml
from seqtutor.people.votes import Vote, append
from seqtutor.priors.files import save_model
from seqtutor.runs.folder import claimed, new_folder
from seqtutor.runs.status import status_of

TINY = {"updates": 2, "samples": 10, "rollouts": 8, "best_of": 2}
pytestmark = pytest.mark.usefixtures("installed")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def new_prior(folder, seed=0):
    folder.mkdir(parents=True, exist_ok=True)
    save_model(new_model(seed=seed, spread=1.0, hidden=8), folder, "model", domain="letters")
    return folder


def call(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


def refused(*args):
    result = call(*args)
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    return result.stderr


def told(run):
    """What a command says of a word, without the folder that it wrote to."""
    result = call("explain", f"{run}/", "abc")
    assert result.exit_code == 0, result.output
    return result.output.rpartition("outputs")[0]


@pytest.fixture
def run(tmp_path):
    """A run in outputs/, from a prior that lies beside that folder and is named from there."""
    new_prior(tmp_path / "mine")
    return tune("letters", prior="./mine", folder="outputs/run", **TINY).folder


def test_a_run_is_not_read_with_another_prior_than_its_own(tmp_path, run):
    assert OF_PRIOR in read_toml(run / "config.toml")[MADE_BY]
    before = told(run)
    new_prior(tmp_path / "mine", seed=9)
    for command in (["explain", f"{run}/", "abc"], ["generate", f"{run}/", "-n", 2, "--draws", 2]):
        assert "the prior './mine' has changed since this run began" in refused(*command)
    with pytest.raises(UserError, match="has changed since this run began"):
        tune(resume=run, updates=4)
    new_prior(tmp_path / "mine")
    assert told(run) == before


def test_a_run_finds_its_prior_from_any_folder(tmp_path, run, monkeypatch):
    there = tmp_path / "there"
    there.mkdir()
    before = told(run)
    monkeypatch.chdir(there)
    assert told("../outputs/run") == before
    assert call("generate", "../outputs/run/", "-n", 2, "--draws", 2).exit_code == 0
    assert tune(resume="../outputs/run", updates=3).summary["updates"] == 3
    new_prior(there / "mine", seed=9)  # another one of the same name
    assert "has changed since this run began" in refused("explain", "../outputs/run/", "abc")


TERMS = {
    "votes": '[terms.mine]\ntaste = "votes.jsonl"\n',
    "table": '[terms.mine]\nsurrogate = "words.csv"\ncolumn = "score"\n',
    "run": '[terms.mine]\nrun = "outputs/run"\n',
    "record": "[terms]\n",
}


@pytest.mark.parametrize("kind", TERMS)
def test_what_a_run_learns_from_is_found_from_any_folder(tmp_path, run, monkeypatch, kind):
    words = list(dict.fromkeys(language(60, 3)))
    for first, second in pairwise(words):
        append(Path("votes.jsonl"), Vote("letters", "anna", first, second, "ab"[first < second]))
    record_file("words.csv", MANY, [float(word.count("a")) for word in MANY])
    (tmp_path / "my.toml").write_text(TERMS[kind], encoding="utf-8")
    begin = ["train", "--domain", "letters", "--prior", "./mine", "--config", "my.toml", "--objective", "tb"]
    begin += ["--log", "words.csv", "--log-reward", "score"] if kind == "record" else []
    for folder, updates in (("whole", 6), ("parts", 3)):
        result = call(*begin, "--samples", 20, "--rollouts", 8, "--updates", updates, "--output", f"outputs/{folder}")
        assert result.exit_code == 0, result.output
    there = tmp_path / "there"
    there.mkdir()
    monkeypatch.chdir(there)
    before = read_toml(tmp_path / "outputs/parts/config.toml")
    assert call("generate", "../outputs/parts/", "-n", 2, "--output", "made").exit_code == 0
    result = call("train", "--resume", "../outputs/parts", "--updates", 6)
    assert result.exit_code == 0, result.output
    after = read_toml(tmp_path / "outputs/parts/config.toml")
    assert {**after, "updates": 3, MADE_BY: None} == {**before, MADE_BY: None}
    assert after[MADE_BY][STAGES] == "from update 4 on other updates"
    whole, parts = (read_table(tmp_path / f"outputs/{name}/metrics.csv") for name in ("whole", "parts"))
    place = whole[0].index("seconds")
    assert [row[:place] + row[place + 1 :] for row in parts] == [row[:place] + row[place + 1 :] for row in whole]


def test_a_run_goes_on_with_its_prior_from_another_place(tmp_path, run):
    (tmp_path / "mine").rename(tmp_path / "moved")
    assert "no folder" in refused("train", "--resume", run, "--updates", 3)
    assert tune(resume=run, prior="moved/", updates=3).summary["updates"] == 3
    with pytest.raises(UserError, match="has changed since"):
        tune(resume=run, prior=str(new_prior(tmp_path / "other", seed=4)), updates=4)


def test_a_path_of_python_is_a_path(tmp_path):
    new_prior(tmp_path / "mine")
    assert tune("letters", prior=Path("mine"), folder="run", **TINY).config.prior == f".{os.sep}mine"


def test_a_run_without_a_checkpoint_does_not_begin_again(run):
    metrics = (run / "metrics.csv").read_text(encoding="utf-8")
    shutil.rmtree(run / "checkpoint")
    assert "has no checkpoint to go on from" in refused("train", "--resume", run, "--updates", 4)
    assert (run / "metrics.csv").read_text(encoding="utf-8") == metrics


def test_a_prior_is_compared_by_the_options_of_the_run(tmp_path):
    """README's own line, `evaluate RUN --against music`, failed for every run with an option."""
    prior = new_prior(tmp_path / "mine")
    run = tune("letters", prior=prior, folder="run", options={"longest": 6}, **TINY)
    result = call("evaluate", "run/", "--against", "mine/", "-n", 20)
    assert result.exit_code == 0, result.output
    assert len(evaluate("mine/", run, n=20)) == 2
    other = tune("letters", prior=prior, folder="other", options={"longest": 5}, **TINY)
    with pytest.raises(UserError, match=r"other' has longest 5, and '.*run' longest 6: only models with the same"):
        evaluate(run, other, n=20)


def test_two_commands_do_not_share_a_new_folder(tmp_path):
    first, second = (new_folder("made", "letters") for _ in range(2))
    claimed(first / "samples.csv")
    with pytest.raises(UserError, match="made has just been taken by another command; name another with --output"):
        claimed(second / "samples.csv")
    prior = new_prior(tmp_path / "mine")
    assert "is not empty" in refused("generate", f"{prior}/", "-n", 2, "--output", "made")
    with pytest.raises(UserError, match="primer must be text"):
        generate(prior, 2, primer=3)


def test_a_home_is_one_wherever_it_is_typed(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    prior = new_prior(tmp_path / "home" / "mine")
    assert call("generate", "~/mine/", "-n", 2, "--output=~/made").exit_code == 0
    assert (tmp_path / "home" / "made" / "samples.csv").is_file()
    (tmp_path / "home" / "one.txt").write_text("ab\n", encoding="utf-8")
    made = generate(prior, 5, primer="~/one.txt")
    assert all(item.startswith("ab") for item in made)
    assert not (tmp_path / "~").exists()


def test_what_is_no_file_of_votes_takes_none(tmp_path):
    prior = new_prior(tmp_path / "mine")
    (tmp_path / "book.abc").write_text("X:1\nK:C\nCDEF|\n", encoding="utf-8")
    said = refused("rate", f"{prior}/", "--votes", "book.abc", "--no-open")
    assert "book.abc is no file of votes: book.abc:1: " in said
    assert "name another with --votes" in said


def test_a_stopped_run_is_not_called_finished(run):
    assert dict(status_of(run))["doing"] == "finished: the page is report.html"
    summary = (run / "summary.json").read_text(encoding="utf-8")
    (run / "summary.json").write_text(summary.replace('"interrupted": false', '"interrupted": true'), encoding="utf-8")
    assert dict(status_of(run))["doing"] == "stopped early; go on with --resume: the page is report.html"


def test_a_run_that_an_alarm_ended_says_so(run):
    summary = (run / "summary.json").read_text(encoding="utf-8")
    assert '"went_back": null' in summary
    (run / "summary.json").write_text(summary.replace('"went_back": null', '"went_back": 1'), encoding="utf-8")
    assert dict(status_of(run))["doing"] == "ended by an alarm: the page is report.html"


def test_an_option_of_the_domain_that_stands_among_the_settings_is_told_its_place(tmp_path):
    (tmp_path / "my.toml").write_text('domain = "letters"\nlongest = 3\n', encoding="utf-8")
    said = refused("train", "--config", "my.toml")
    assert "'longest' in my.toml is an option of domain 'letters': write longest = ... under [options]" in said
    with pytest.raises(UserError, match=r"'longest' in the arguments .* write options=\{'longest': \.\.\.\}"):
        tune("letters", longest=3)


def test_a_resume_with_another_option_tells_that_one(run):
    assert "keeps its options: it has longest 4, not longest 3" in refused(
        "train", "--resume", run, "--longest", 3, "--updates", 4
    )


@pytest.mark.parametrize("command", [["generate", "none/"], ["evaluate", "none/"], ["explain", "none/", "a"]])
def test_a_folder_that_is_not_there_is_told_so(command):
    assert "none is no folder; a run's or a prior's is needed, or a name: " in refused(*command)
    Path("none").mkdir()
    assert "none is neither a run nor a prior: it has no config.json" in refused(*command)


def test_a_run_without_its_model_is_told_how_it_gets_one(run):
    for path in Path(run).glob("policy.*"):
        path.unlink()
    assert "has no policy.json: seqtutor train --resume" in refused("generate", f"{run}/")


def test_a_script_gives_the_options_of_the_domain(tmp_path):
    prior = new_prior(tmp_path / "mine")
    assert max(map(len, generate(prior, 200, options={"longest": 2}))) == 1
    run = tune("letters", prior=prior, folder="run", **TINY)
    with pytest.raises(UserError, match=r"was made for other items .* than longest 2 asks for"):
        generate(run, 2, options={"longest": 2})
    assert load_run("run").config.options == {"longest": 4}
    with pytest.raises(UserError, match="a folder; give a file that holds one item"):
        generate(prior, 2, primer=str(tmp_path))


def test_a_folder_that_is_taken_is_refused_before_anything_is_read(run):
    said = refused("pretrain", "--domain", "letters", "--data", "none.txt", "--output", run)
    assert "outputs/run exists and is not empty" in said


@pytest.mark.parametrize("output", [("--output", "made"), ()])
def test_a_stop_leaves_no_folder_that_the_next_command_refuses(tmp_path, monkeypatch, output):
    """Ctrl-C left an empty table, and the same command was refused after it."""

    def stopped(*arguments):
        raise KeyboardInterrupt

    prior = new_prior(tmp_path / "mine")
    monkeypatch.setattr("seqtutor.cli.generate._scored", stopped)
    assert call("generate", f"{prior}/", "-n", 2, *output).exit_code != 0
    assert not list(tmp_path.rglob("samples.csv"))
