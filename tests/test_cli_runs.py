"""Runs from the command line that meet what can happen: strangers' configs, signals, locks, full disks, kills."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tomli_w
from click.testing import CliRunner
from letters import new_model

from seqtutor.cli import main
from seqtutor.files import read_toml
from seqtutor.priors.files import save_model

pytestmark = pytest.mark.usefixtures("installed")
TESTS = Path(__file__).parent
ORACLE = "--function=length=oracles:noted"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Every test works in a folder of its own, with a small prior in it."""
    monkeypatch.chdir(tmp_path)
    Path("prior").mkdir()
    save_model(new_model(spread=1.0, hidden=8), Path("prior"), "model", domain="letters")
    yield tmp_path
    while STARTED:  # what a failed test left behind
        with STARTED.pop() as process:
            process.kill()


def train(*args, **options):
    """A run within this process."""
    base = ["train", "--domain", "letters", "--prior", "./prior", "--rollouts", "8", "--batch", "8", "--samples", "10"]
    return CliRunner().invoke(main, [*base, *(str(arg) for arg in args)], **options)


def line(result, status=1):
    """The one line of a command that must fail."""
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == status, result.output
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr.strip()


def table(path):
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def write(name, **keys):
    Path(name).write_text(tomli_w.dumps({"domain": "letters", "prior": "./prior", "samples": 10, **keys}))
    return name


# Strangers


def test_a_function_that_is_typed_runs_and_is_kept_in_the_config():
    result = train("--function", "length=oracles:length", "--weight", "length=2", "--output", "run")
    assert result.exit_code == 0, result.output
    assert "length: higher is better" in result.output
    rows = table("run/metrics.csv")
    assert 0 < float(rows[0]["term.length"]) <= 4
    assert 'function = "oracles:length"' in Path("run/config.toml").read_text()
    assert {"term.rises", "term.variety", "term.length"} <= set(table("run/samples.csv")[0])
    assert len(table("run/ledger.csv")) == int(rows[-1]["oracle_calls"])


@pytest.mark.parametrize("term", [{"function": "oracles:noted"}, {"program": ["touch", "calls.txt"]}])
def test_a_config_runs_nothing_that_was_not_typed_or_trusted(term):
    config = write("run.toml", terms={"mine": term})
    for args in (("--config", config), ("--config", config, "--function", "mine=oracles:other")):
        kind, named = next(iter(term.items()))
        text = line(train(*args))
        assert f"run.toml names the {kind} {named!r} (term 'mine'), which would run on this machine" in text
        assert "--trust" in text
    assert not Path("calls.txt").exists()
    assert not Path("outputs").exists()


def test_a_trusted_config_runs_what_it_names_and_so_does_one_that_repeats_what_is_typed():
    config = write("run.toml", terms={"length": {"function": "oracles:noted"}})
    assert train("--config", config, "--trust", "--output", "one").exit_code == 0
    assert train("--config", config, ORACLE, "--output", "two").exit_code == 0
    assert "would run on this machine" in line(train("--resume", "one", "--updates", "4"))
    assert train("--resume", "one", "--updates", "4", "--trust").exit_code == 0


# Stages


def test_a_run_goes_on_by_another_profile_and_says_so():
    """The second profile was passed over without a word, and what had been paid by both was in one figure."""
    assert train(ORACLE, "--weight", "length=0.25", "--updates", "3", "--output", "run").exit_code == 0
    stage = {"updates": 6, "temperature": 0.5, "terms": {"length": {"weight": 2.0}}}
    Path("two.toml").write_text(tomli_w.dumps(stage))
    result = train("--resume", "run", "--config", "two.toml", ORACLE)
    assert result.exit_code == 0, result.output
    config = read_toml(Path("run/config.toml"))
    assert (config["updates"], config["temperature"], config["weights"]["length"]) == (6, 0.5, 2.0)
    stages = "from update 4 on other temperature, updates, weights"
    assert config["made_by"]["stages"] == stages
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert f"<strong>Resumed under other settings,</strong> {stages}." in page
    assert "This run is repeated by its own config" not in page
    scored = sorted((float(row["reward"]) for row in table("run/scored.csv")), reverse=True)
    best = json.loads(Path("run/summary.json").read_text())["best_scored"]
    assert best["reward"] == pytest.approx(sum(scored[: best["items"]]) / best["items"], rel=1e-4)
    Path("three.toml").write_text(tomli_w.dumps({"terms": {"length": {"function": "oracles:other"}}}))
    assert "three.toml names the function 'oracles:other'" in line(
        train("--resume", "run", "--config", "three.toml", ORACLE)
    )


def test_a_run_that_is_done_says_so_and_one_cannot_have_fewer_updates_than_it_has():
    assert train("--updates", "3", "--output", "run").exit_code == 0
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert "This run is repeated by its own config" in page
    assert "Resumed under other settings" not in page
    result = train("--resume", "run")
    assert result.exit_code == 0, result.output
    assert "its 3 updates are done (--updates N goes on to N): nothing more is learnt" in result.output
    assert "stages" not in read_toml(Path("run/config.toml"))["made_by"]
    said = line(train("--resume", "run", "--updates", "2"))
    assert "the run has 3 updates behind it, and is to have 2" in said
    assert read_toml(Path("run/config.toml"))["updates"] == 3


def test_a_transform_can_be_typed():
    result = train("--transform", "variety=step,low=2", "--output", "run")
    assert result.exit_code == 0, result.output
    assert {"term.variety", "score.variety"} <= set(table("run/metrics.csv")[0])
    assert {"term.variety", "score.variety"} <= set(table("run/samples.csv")[0])
    assert "variety: 1 from 2 on, 0 below" in result.output


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        (("--function", "length"), "--function takes NAME=..., such as --function dock=my_oracles:dock, not 'length'"),
        (("--function", "length=none:f"), "there is no module 'none'"),
        (("--function", "length=oracles:absent"), "has no function 'absent'"),
        (("--program", "x=none-such"), "there is no program 'none-such'"),
        (("--program", "x=sh 'dock"), "No closing quotation"),
        (("--transform", "variety=step,low"), "--transform takes NAME=KIND,low=NUMBER"),
        (("--transform", "variety=stip,low=1"), "did you mean 'step'"),
        (("--combine", "product"), "unknown value of combine 'product'"),
    ],
)
def test_what_cannot_be_run_is_said_before_a_folder_is_made(args, wanted):
    assert wanted in line(train(*args))
    assert not Path("outputs").exists()


def test_a_budget_ends_a_run_cleanly():
    result = train("--updates", 50, "--oracle-calls", 9, "--output", "run")
    assert result.exit_code == 0, result.output
    assert "the budget of 9 oracle calls is spent" in result.output
    rows = table("run/metrics.csv")
    assert len(rows) < 50
    assert rows[-1]["oracle_calls"] == "9"
    assert [row["call"] for row in table("run/ledger.csv")] == [str(i) for i in range(1, 10)]
    assert Path("run/report.html").is_file()
    again = train("--resume", "run", "--updates", 60)
    assert "its 9 oracle calls are spent (--oracle-calls N goes on to N): nothing more is learnt" in again.output


def test_a_run_that_was_resumed_and_stopped_is_not_finished_and_its_files_are_made_anew():
    assert train("--updates", 1, "--samples", 20, "--output", "run").exit_code == 0
    summary = Path("run/summary.json").read_text()
    before = set(Path("run/samples").iterdir())
    Path("run/samples/stray.txt").touch()
    assert train("--resume", "run", "--updates", 2, "--samples", 5).exit_code == 0
    assert not Path("run/samples/stray.txt").exists()
    assert before
    Path("run/summary.json").write_text(summary)  # as if it had been killed before its last table
    said = CliRunner().invoke(main, ["status", "run"]).output
    assert "stopped before its end; go on with --resume; report.html is of update 1" in said


def test_a_run_without_an_end_is_refused():
    assert train("--minutes", 0.01, "--output", "run").exit_code == 0
    result = CliRunner().invoke(main, ["train", "--resume", "run", "--minutes", "0"])
    assert (result.exit_code, "the run has no end: set --updates, --minutes or" in result.output) == (1, True)


def test_a_budget_that_cannot_be_spent_ends_a_run_and_says_so(monkeypatch):
    monkeypatch.setattr("seqtutor.training.tuner.IDLE", 5)
    monkeypatch.setattr("seqtutor.rewards.scorer.IDLE", 5)
    result = train("--oracle-calls", 5000, "--output", "run")
    assert result.exit_code == 0, result.output
    spent = int(table("run/metrics.csv")[-1]["oracle_calls"])
    assert (
        f"5 updates running wrote nothing new to ask about: {spent} of 5,000 oracle calls were spent" in result.output
    )
    assert "1,000,000,000" not in CliRunner().invoke(main, ["status", "run"]).output
    result = train("--updates", 30, "--output", "free")  # nothing is new soon; no budget is why it would end
    assert "nothing new" not in result.output


def test_a_term_that_fails_too_often_stops_with_the_tally_and_a_folder_that_opens():
    text = line(train("--function", "length=oracles:raises", "--failures", 0, "--updates", 60, "--output", "run"))
    assert "term 'length' could not score" in text
    assert {row["text"] for row in table("run/failures.csv")} == {"ab"}
    assert table("run/failures.csv")[0]["reason"] == "ValueError: I do not like ab"
    assert CliRunner().invoke(main, ["generate", "./run", "-n", "2"]).exit_code == 0


def test_a_function_that_loses_count_stops_with_a_line_and_a_folder_that_goes_on():
    Path("broken").touch()
    text = line(train("--function", "length=oracles:breaks", "--output", "run"))
    assert re.fullmatch(r"Error: term 'length' gave \d values for \d texts; one each is needed", text)
    Path("broken").unlink()
    result = train("--resume", "run", "--function", "length=oracles:breaks")
    assert result.exit_code == 0, result.output
    assert [row["update"] for row in table("run/metrics.csv")] == ["1", "2", "3"]


@pytest.mark.parametrize("command", ["generate", "evaluate"])
@pytest.mark.parametrize("own", ["1", "0"])
def test_terms_from_outside_are_left_out_of_a_run_that_is_looked_at_unless_trusted(command, own):
    look = [command, "./run", "-n", "20", *(["--output", "again"] if command == "generate" else [])]
    weights = [f"--weight={name}={own}" for name in ("rises", "variety")]
    result = train(ORACLE, "--weight", "length=2", *weights, "--output", "run")
    assert result.exit_code == 0, result.output
    Path("calls.txt").unlink()
    result = CliRunner().invoke(main, look)
    assert result.exit_code == 0, result.output
    assert result.stderr == "left out: length, scored by a function or a program; --trust runs them\n"
    assert not Path("calls.txt").exists()
    shutil.rmtree("again", ignore_errors=True)
    result = CliRunner().invoke(main, [*look, "--trust"])
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    assert Path("calls.txt").exists()


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        (("--replay", 10**12), "replay 1,000,000,000,000 needs"),
        (("--rollouts", 10**11, "--replay", 10**12), "rollouts 100,000,000,000 needs"),
        (("--batch", 10**30), "of memory, and there are"),
        (("--learning-steps", 10**15), "learning_steps 1,000,000,000,000,000 needs"),
        (("--samples", 10**14), "samples 100,000,000,000,000 needs"),
    ],
)
def test_what_does_not_fit_into_memory_is_said_in_a_line(args, wanted):
    assert wanted in line(train(*args))


def test_memory_that_runs_out_on_the_way_is_said_in_a_line(monkeypatch):
    def none_left(what, needed):
        raise MemoryError

    monkeypatch.setattr("seqtutor.training.limits.check_memory", none_left)
    assert "not enough memory" in line(train())


# Processes of their own

LETTERS = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
import importlib.metadata
found = importlib.metadata.entry_points
letters = importlib.metadata.EntryPoint("letters", "letters:LettersDomain", "seqtutor.domains")
ours = {{"group": "seqtutor.domains"}}
importlib.metadata.entry_points = lambda **given: [letters] if given == ours else found(**given)
import seqtutor.runs.checkpoint
seqtutor.runs.checkpoint.SECONDS, seqtutor.runs.checkpoint.SHARE = float(sys.argv.pop(1)), float("inf")
from seqtutor.cli import main
main(prog_name="seqtutor")
"""
PRETRAIN = ("pretrain", "--domain", "letters", "--hidden", "8", "--epochs", "1000", "--output", "mine")
BASE = ("train", "--domain", "letters", "--prior", "./prior", "--rollouts", "8", "--batch", "8", "--samples", "10")
STARTED: list[subprocess.Popen] = []


def start(*args, every="0", before="", environment=None, **options):
    """A run in a process of its own, which can be killed. `before`: code that runs first."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    pipes["env"] = environment or {**os.environ, "OMP_NUM_THREADS": "1"}
    STARTED.append(subprocess.Popen([sys.executable, "-c", before + LETTERS, every, *map(str, args)], **pipes))
    return STARTED[-1]


def wait_for(condition, process=None, seconds=120):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it took too long"
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.02)


def updates(folder="run"):
    path = Path(folder) / "metrics.csv"
    return len(path.read_text().splitlines()) - 1 if path.exists() else 0


def finish(process, seconds=120):
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_a_run_that_is_saved(number):
    process = start(*BASE, "--updates", 100000, "--output", "run", every="1000")
    wait_for(lambda: updates() > 2, process)
    process.send_signal(number)
    status, _, err = finish(process)
    assert status == 128 + number
    assert err == f"Error: stopped by {signal.Signals(number).name}; go on with: seqtutor train --resume run\n"
    done = updates()
    result = train("--resume", "run", "--updates", done + 2)
    assert result.exit_code == 0, result.output
    assert [row["update"] for row in table("run/metrics.csv")] == [str(i + 1) for i in range(done + 2)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_a_pretraining_that_is_saved_and_holds_its_folder(number):
    process = start(*PRETRAIN)
    wait_for(Path("mine/checkpoint/checkpoint.safetensors").exists, process)
    again = ("pretrain", "--resume", "mine", "--epochs", "0.01")
    assert f"mine is in use by process {process.pid}; wait for it" in line(CliRunner().invoke(main, again))
    process.send_signal(number)
    status, _, err = finish(process)
    assert status == 128 + number
    assert err == f"Error: stopped by {signal.Signals(number).name}; go on with: seqtutor pretrain --resume mine\n"
    result = CliRunner().invoke(main, again)
    assert result.exit_code == 0, result.output
    assert Path("mine/model.safetensors").exists()


def test_a_signal_does_not_wait_for_an_oracle_that_takes_long():
    process = start(*BASE, "--function", "slow=oracles:takes_long", "--output", "run")
    wait_for(Path("calls.txt").exists, process)
    process.send_signal(signal.SIGTERM)
    assert finish(process, 100)[0] == 128 + signal.SIGTERM


def test_two_runs_do_not_share_a_folder_and_a_dead_ones_lock_is_no_hindrance():
    process = start(*BASE, "--updates", 100000, "--output", "run")
    wait_for(lambda: updates() > 1, process)
    assert f"run is in use by process {process.pid}; wait for it, or stop it first" in line(train("--resume", "run"))
    text = CliRunner().invoke(main, ["status", "run"]).output
    assert f"process {process.pid} is tuning" in text
    assert "of 100,000" in text
    assert "time left" in text
    assert CliRunner().invoke(main, ["report", "run"]).exit_code == 0
    process.kill()
    finish(process)
    assert "stopped before its end" in CliRunner().invoke(main, ["status", "run"]).output
    assert train("--resume", "run", "--updates", updates() + 1).exit_code == 0
    assert "finished" in CliRunner().invoke(main, ["status", "run"]).output


KILLS = 2  # tests/faults/kills.py has sixty


def test_kills_at_random_moments_cost_no_call_twice_and_change_no_figure():
    """A checkpoint is written after every update, so that many a kill falls into a write."""
    rng, total = random.Random(0), 30
    singly = write("singly.toml", terms={"length": {"chunk": 1, "function": "oracles:noted"}})  # a kill costs a call
    asked = (*BASE, ORACLE, "--config", singly, "--vary", 0.25, "--updates", total)
    status, _, err = finish(start(*asked, "--output", "whole"))
    assert status == 0, err  # a process of its own too: figures are the same bit for bit at one number of threads
    Path("calls.txt").unlink()
    process = start(*asked, "--output", "run")
    wait_for(lambda: Path("run/config.toml").exists(), process)
    for _ in range(KILLS):
        goal = min(total - 2, updates() + rng.randrange(1, 6))
        wait_for(lambda goal=goal, process=process: updates() >= goal or process.poll() is not None)
        time.sleep(rng.uniform(0, 0.03))
        process.kill()
        finish(process)
        assert CliRunner().invoke(main, ["status", "run"]).exit_code == 0
        assert CliRunner().invoke(main, ["report", "run"]).exit_code == 0
        process = start("train", "--resume", "run", ORACLE)
        time.sleep(0.5)
    status, _, err = finish(process)
    assert status == 0, err
    for name in ("metrics.csv", "ledger.csv"):
        straight, killed = ([{**row, "seconds": ""} for row in table(f"{f}/{name}")] for f in ("whole", "run"))
        assert killed == straight
    assert Path("run/policy.safetensors").read_bytes() == Path("whole/policy.safetensors").read_bytes()
    tuned = {row["text"] for row in table("run/ledger.csv")}
    calls = [text for text in Path("calls.txt").read_text().splitlines() if text in tuned]
    assert len(calls) - len(set(calls)) <= KILLS  # at most the one that a kill fell into


def test_a_config_with_a_mark_in_front_is_read_and_a_transform_that_pays_nothing_is_said_to():
    text = '[terms.rises]\nweight = 0\ntransform = {kind = "step", low = 1}\n'
    Path("mine.toml").write_text(text, encoding="utf-8-sig")
    result = train("--config", "mine.toml", "--updates", "1")
    assert result.exit_code == 0, result.output
    assert "its weight is 0: it is not paid" in result.output


def test_a_run_whose_output_is_closed_is_saved():
    reader, writer = os.pipe()
    os.close(reader)
    process = start(*BASE, "--updates", 3, "--output", "run", stdout=writer)
    os.close(writer)
    status, _, err = finish(process)
    assert (status, err) == (1, "Error: the output was closed by its reader; what was learnt is saved\n")
    assert train("--resume", "run", "--updates", 4).exit_code == 0
    assert len(table("run/metrics.csv")) == 4


def test_a_full_disk_ends_in_one_line_and_a_folder_that_opens():
    """The limit on a file's size stands for it: a write beyond it fails, as on a full disk."""
    process = start(*BASE, "--updates", 100000, "--output", "run", before=LIMIT)
    status, _, err = finish(process)
    assert status == 1
    assert err.count("\n") == 1, err
    assert "File too large" in err or "disk I/O error" in err
    assert not list(Path("run").rglob("*.part"))
    done = updates()
    assert train("--resume", "run", "--updates", max(3, done)).exit_code == 0


LIMIT = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
"""


def test_a_folder_that_goes_away_ends_the_run_in_one_line():
    process = start(*BASE, "--updates", 100000, "--output", "run", every="1000")
    wait_for(lambda: updates() > 2, process)
    Path("run").rename("elsewhere")
    status, _, err = finish(process)
    assert status == 1
    assert err.count("\n") == 1, err
    assert err.startswith("Error: ")
    assert "run" in err
    assert not Path("run").exists()
    assert CliRunner().invoke(main, ["status", "elsewhere"]).exit_code == 0
    assert train("--resume", "elsewhere", "--updates", 3).exit_code == 0


def test_a_clock_that_goes_backwards_changes_nothing():
    code = """
import time, datetime
now = [2e9]
def backwards():
    now[0] -= 1000.0
    return now[0]
time.time = backwards
"""
    process = start(*BASE, "--updates", 4, "--output", "run", before=code)
    status, _, err = finish(process)
    assert status == 0, err
    seconds = [float(row["seconds"]) for row in table("run/metrics.csv")]
    assert seconds == sorted(seconds)
    assert seconds[0] >= 0
    assert CliRunner().invoke(main, ["status", "run"]).exit_code == 0


def generate(*args):
    """`seqtutor generate` within this process."""
    return CliRunner().invoke(main, ["generate", *(str(arg) for arg in args)])


def test_draws_are_kept_by_the_law_of_the_optimum():
    result = generate("./prior", "-n", 5, "--draws", 20, "--reward-temperature", 0.5, "--output", "chosen")
    assert result.exit_code == 0, result.output
    assert "100 draws are worth" in result.stdout
    kept = [float(row["reward"]) for row in table("chosen/samples.csv")]
    generate("./prior", "-n", 100, "--output", "all")
    assert len(kept) == 5
    assert sum(kept) / 5 > sum(float(row["reward"]) for row in table("all/samples.csv")) / 100


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        (["--draws", 2, "--reward-temperature", 1e-3], "draws of each"),
        (["--draws", 4, "--reward-temperature", 0], "above 0, not 0"),
        (["--draws", 4, "--temperature", 0.5], "leave --temperature at 1"),
        (["--reward-temperature", 1], "give --draws too"),
    ],
)
def test_draws_that_cannot_be_kept_are_refused(args, wanted):
    assert wanted in line(generate("./prior", "-n", 10, *args))


def test_draws_of_a_run_stay_within_its_reward_its_trust_and_its_budget():
    train(ORACLE, "--updates", 2, "--oracle-calls", 500, "--output", "run")
    assert "--trust runs it" in line(generate("run/", "-n", 4, "--draws", 4))
    assert "is 500 oracle calls" in line(generate("run/", "-n", 300, "--draws", 2, "--trust"))
    config = Path("run/config.toml").read_text()
    assert "length = 1.0" in config
    Path("run/config.toml").write_text(config.replace("length = 1.0", "length = 3.0"))
    assert "the weight of 'length' was 1 and is 3" in line(generate("run/", "-n", 4, "--draws", 4, "--trust"))


def score(*args):
    """`seqtutor score` within this process."""
    return CliRunner().invoke(main, ["score", *(str(arg) for arg in args)])


def test_what_a_run_has_scored_is_listed_once_and_the_best_are_kept():
    train(ORACLE, "--updates", 3, "--output", "run")
    rows = table("run/scored.csv")
    assert [row["text"] for row in rows] == [row["text"] for row in table("run/ledger.csv")]
    assert all(
        float(row["reward"]) == float(asked["reward"]) for row, asked in zip(rows, table("run/ledger.csv"), strict=True)
    )
    best = [float(row["reward"]) for row in table("run/hits/hits.csv")]
    assert best == sorted(best, reverse=True)
    assert best[0] == max(float(row["reward"]) for row in rows)
    asked = Path("calls.txt").read_text()
    result = score("run/", "-n", 2, "--trust", "--output", "more")
    assert result.exit_code == 0, result.output
    assert len(table("more/hits/hits.csv")) == 2
    assert (Path("calls.txt").read_text()) == asked


def test_a_file_is_scored_by_a_profile_and_what_fails_a_filter_is_no_hit():
    config = write("profile.toml", terms={"rare": {"function": "oracles:rare", "filter": True}})
    Path("mine.txt").write_text("abc\nab\nabc\nx9\ncc\n")
    result = score("mine.txt", "--config", config, "--trust", "--output", "found")
    assert result.exit_code == 0, result.output
    assert "left out: mine.txt:4" in result.stderr
    rows = {row["text"]: row["failed_filter"] for row in table("found/scored.csv")}
    assert rows == {"abc": "", "ab": "rare", "cc": ""}
    assert {row["text"]: row["where"] for row in table("found/hits/hits.csv")} == {
        "abc": "mine.txt:1",
        "cc": "mine.txt:5",
    }
    assert [row["where"] for row in table("found/left_out.csv")] == ["mine.txt:4"]
    assert "of one family" not in result.output
    one = score("mine.txt", "--config", config, "--trust", "--per-family", 1, "-n", 2, "--output", "one")
    same = {row["family"] for row in table("found/hits/hits.csv")}
    assert ("at most 1 of one family (--per-family 0: all)" in one.output) == (len(same) < 2)


def test_what_a_term_fails_on_has_no_score_and_the_reason_in_a_file():
    config = write("profile.toml", terms={"dock": {"function": "oracles:none", "weight": 1.0}})
    Path("mine.txt").write_text("abc\nab\nba\n")
    result = score("mine.txt", "--config", config, "--trust", "--output", "found")
    assert result.exit_code == 0, result.output
    path = Path("found/failures.csv")
    assert f"1 of 3 have no reward: a term failed, why is in {path}" in result.stderr
    (failure,) = table(path)
    assert (failure["text"], failure["term"]) == ("ab", "dock")
    assert failure["reason"] == "gave no value"
    assert next(row["reward"] for row in table("found/scored.csv") if row["text"] == "ab") == ""


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        (["mine.txt"], "name what to score by"),
        (["empty.txt", "--domain", "letters"], "empty.txt holds nothing to score"),
        (["none.txt", "--domain", "letters"], "none.txt"),
    ],
)
def test_what_cannot_be_scored_is_said_before_a_folder_is_made(args, wanted):
    Path("mine.txt").write_text("abc\n")
    Path("empty.txt").write_text("")
    assert wanted in line(score(*args, "--output", "out"))
    assert not Path("out").exists()


def test_a_stage_may_bring_a_term_of_which_nothing_is_stored():
    """A run that learns from its own samples alone did not resume: what it had not stored did not fit."""
    write("one.toml", objective="reinforce", rollouts=8, updates=2)
    assert CliRunner().invoke(main, ["train", "--config", "one.toml", "--output", "run"]).exit_code == 0
    Path("two.toml").write_text(tomli_w.dumps({"updates": 4, "terms": {"length": {"function": "oracles:noted"}}}))
    result = CliRunner().invoke(main, ["train", "--resume", "run", "--config", "two.toml", ORACLE])
    assert result.exit_code == 0, result.output
    assert float(table("run/metrics.csv")[-1]["term.length"]) > 0


@pytest.mark.parametrize("stage", [{"terms": 3}, {"terms": {"length": 3}}, {"weights": 3}])
def test_a_stage_that_is_no_config_is_one_line(stage):
    assert train("--updates", "2", "--output", "run").exit_code == 0
    Path("two.toml").write_text(tomli_w.dumps(stage))
    line(train("--resume", "run", "--config", "two.toml"))
