"""Attacks on what a run learns from and on its processes; docs/promises.md says what they found."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from letters import new_model
from safetensors.torch import load_file, save_file
from test_cli_runs import BASE, elsewhere, finish, line, start, table, train, updates, wait_for, write  # noqa: F401
from test_hostile import run, seqtutor  # noqa: F401
from test_scoring_outside import WORDS, score, scorer_of, script

from seqtutor import UserError
from seqtutor.priors.files import load_model, save_model
from seqtutor.rewards.outcomes import ask
from seqtutor.rewards.store import Store

pytestmark = pytest.mark.usefixtures("installed")


# 8. Numbers


def test_a_value_beyond_float32_is_the_failure_of_its_text():
    outcomes, _ = ask(lambda texts: [1e39, -3.5e38, float("nan"), 10**400, 2.0], list("abcde"))
    assert [outcome.kind for outcome in outcomes] == ["failure"] * 4 + ["value"]


@pytest.mark.parametrize("weight", ["1e18", "1e300"])
@pytest.mark.parametrize("objective", ["psi", "tb", "reinforce"])
def test_a_reward_beyond_float32_stops_the_run_on_a_finite_policy(weight, objective):
    batch = () if objective == "reinforce" else ("--batch", 8)
    result = seqtutor(*BASE[:7], *batch, "--weight", f"variety={weight}", "--objective", objective, "--output", "run")
    if weight == "1e300":
        assert line(result) == "Error: the weight of 'variety' must lie between -1e+18 and 1e+18, not 1e+300"
        return
    if result.exit_code:
        assert "not finite" in line(result)
    assert all(tensor.isfinite().all() for tensor in load_file("run/policy.safetensors").values())


@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(tmp_path, odd):
    save_model(new_model(), tmp_path, "model", domain="letters")
    tensors = load_file(tmp_path / "model.safetensors")
    next(iter(tensors.values())).view(-1)[0] = odd
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="holds a weight that is no finite number"):
        load_model(tmp_path, "model")


# 1. Nothing runs that was not typed


def test_what_lies_in_the_current_folder_does_not_run_in_a_worker():
    for name in ("sitecustomize", "usercustomize", "json", "seqtutor", "letters"):
        Path(f"{name}.py").write_text(f"open({str(Path('pwned').absolute())!r}, 'w')\nraise SystemExit(9)\n")
    config = write("run.toml", workers=1, updates=1, rollouts=8, batch=8)
    result = seqtutor("train", "--config", config, "--output", "run")
    assert result.exit_code == 0, result.output
    assert not Path("pwned").exists()


def test_with_a_typed_function_that_lies_there_still_nothing_else_does():
    Path("mine.py").write_text("import helper\ndef f(texts):\n    return [helper.ONE] * len(texts)\n")
    Path("helper.py").write_text("ONE = 1.0\n")
    for name in ("sitecustomize", "usercustomize", "json", "seqtutor"):
        Path(f"{name}.py").write_text(f"open({str(Path('pwned').absolute())!r}, 'w')\nraise SystemExit(9)\n")
    with function_of("mine:f") as scorer:
        assert (score(scorer, *WORDS).totals == 1).all()
    assert not Path("pwned").exists()


def function_of(place, **table):
    return scorer_of({"function": place, **table})


# 7. Whose answer is whose


TWICE = """
import sys, time
for line in sys.stdin:
    for _ in range(2):
        print(len(line) - 1, flush=True)
        time.sleep(0.003)
"""


def score_all(scorer, *batches):
    for words in batches:
        score(scorer, *words)


@pytest.mark.parametrize("chunk", [0, 1, 4])
def test_a_program_that_answers_twice_a_moment_apart_leaves_no_shifted_value(tmp_path, chunk):
    with script(TWICE, chunk=chunk) as scorer, scorer.remembering(tmp_path / "answers.sqlite"):
        with pytest.raises(UserError, match="gave more than one answer"):
            score_all(scorer, WORDS, ("c", "cab"), ("b", "bb"), ("ca", "cc"))
        kept = dict(scorer.answers.stores[0].connection.execute("SELECT text, value FROM answers"))
        assert {text: len(text) for text in kept} == kept
        assert {text: len(text) for text in scorer.answers.known["outside"]} == scorer.answers.known["outside"]


# 6. Only what has an order


@pytest.mark.parametrize(
    "answers", [{1.0, 2.0, 3.0}, {0: 1.0, 1: 2.0, 2: 3.0}, {0: 1, 1: 2, 2: 3}.values(), "123", b"123", iter([1, 2, 3])]
)
def test_what_has_no_order_is_no_answer(answers):
    with pytest.raises(UserError, match="values for 3 texts; a list with one each is needed"):
        ask(lambda texts: answers, ["a", "b", "c"])


def test_lists_tuples_and_arrays_are_answers():
    for answers in ([1, 2, 3], (1.0, 2.0, 3.0), np.array([1, 2, 3]), torch.tensor([1.0, 2.0, 3.0]), range(1, 4)):
        outcomes, _ = ask(lambda texts, answers=answers: answers, ["a", "b", "c"])
        assert [outcome.value for outcome in outcomes] == [1, 2, 3]


# 12. Signals and neighbours


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_a_signal_that_was_ignored_from_the_start_stays_ignored(number):
    before = f"import signal; signal.signal({int(number)}, signal.SIG_IGN)\n"
    process = start(*BASE, "--updates", 100000, "--output", "run", every="1000", before=before)
    wait_for(lambda: updates() > 2, process)
    process.send_signal(number)
    seen = updates()
    wait_for(lambda: updates() > seen + 3, process)
    process.send_signal(signal.SIGTERM)
    assert finish(process)[0] == 128 + signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_the_final_table_is_named_with_its_status(number):
    start_of_table = """
import seqtutor.training.conclusion, time
def conclude(*args, **options):
    open("concluding", "w").close()
    time.sleep(600)
seqtutor.training.conclusion.conclude = conclude
"""
    process = start(*BASE, "--updates", 1, "--output", "run", before=start_of_table)
    wait_for(Path("concluding").exists, process)
    process.send_signal(number)
    status, _, err = finish(process)
    assert status == 128 + number, err
    assert err == f"Error: stopped by {signal.Signals(number).name}; go on with: seqtutor train --resume run\n"


def test_a_signal_does_not_wait_for_a_cache_that_is_locked():
    Store(Path("shared.sqlite"), failures=False).connection.close()
    process = start(*BASE, "--updates", 1000, "--cache", "shared.sqlite", "--output", "run")
    wait_for(lambda: updates() > 2, process)
    with closing(sqlite3.connect("shared.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        time.sleep(2)
        process.send_signal(signal.SIGTERM)
        status, _, err = finish(process, 20)
        assert status == 128 + signal.SIGTERM, err


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal")
def test_a_worker_that_holds_the_interpreter_ends_with_its_parent():
    Path("holds.py").write_text(
        "import ctypes, os\n"
        "def f(texts):\n"
        "    open('pid', 'w').write(str(os.getpid()))\n"
        "    ctypes.PyDLL(None).sleep(600)\n"  # keeps the lock of the interpreter
    )
    process = start(*BASE, "--function", "mine=holds:f", "--output", "run")
    wait_for(lambda: Path("pid").exists() and Path("pid").read_text(), process)
    pid = int(Path("pid").read_text())
    process.kill()
    finish(process)
    wait_for(lambda: gone(pid), seconds=20)


@pytest.mark.skipif(sys.platform != "linux", reason="the table of processes")
def test_what_a_scorer_started_in_a_session_of_its_own_ends_with_its_worker():
    code = """
import subprocess, sys, pathlib
child = subprocess.Popen(["sh", "-c", "sleep 600 & echo $! > grandchild; wait"], start_new_session=True)
for line in sys.stdin:
    print(1, flush=True)
"""
    with script(code) as scorer:
        score(scorer, "a")
        wait_for(lambda: Path("grandchild").exists() and Path("grandchild").read_text())
        child = int(Path("grandchild").read_text())
    wait_for(lambda: gone(child), seconds=20)


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except FileNotFoundError:
        return True


def test_a_reader_who_has_seen_enough_of_a_status_is_not_told_of_learning(run):  # noqa: F811
    reader, writer = os.pipe()
    os.close(reader)
    process = start("status", "run", stdout=writer)
    os.close(writer)
    status, _, err = finish(process)
    assert "learnt" not in err
    assert "Traceback" not in err
    assert "ignored" not in err
    assert status == 1


def test_closed_standard_files_break_no_worker():
    before = "import os; os.close(0); os.close(1)\n"
    process = start(*BASE, "--updates", 1, "--function", "length=oracles:length", "--output", "run", before=before)
    status, _, err = finish(process)
    assert status == 0, err
    assert len(table("run/metrics.csv")) == 1


# 9. and 5. Texts that cannot be written, modules that do what they like


def test_a_message_with_a_lone_surrogate_can_be_written_down(tmp_path):
    def raises(texts):
        raise ValueError("\udcff \ud800")

    (outcome,), _ = ask(raises, ["a"])
    with Store(tmp_path / "a.sqlite", failures=True) as store:
        store.put("t", "v", {"a": outcome})
        assert store.get("t", "v", ["a"])["a"].reason == outcome.reason


@pytest.mark.parametrize("does", ["import sys; sys.exit(3)", "raise KeyboardInterrupt", "import os; os._exit(0)"])
def test_a_package_that_ends_the_process_ends_its_worker_alone(does):
    Path("pack").mkdir()
    Path("pack/__init__.py").write_text(does)
    Path("pack/mine.py").write_text("def f(texts):\n    return [1.0] * len(texts)\n")
    with function_of("pack.mine:f") as scorer, pytest.raises(UserError, match="term 'outside'"):
        scorer.start()
