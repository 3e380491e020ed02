"""An update learns from what is stored while workers score its batch: really, exactly, and with any number of them."""

from __future__ import annotations

import csv
import signal
import sqlite3
from contextlib import closing
from multiprocessing.connection import wait
from pathlib import Path

import pytest
import torch
from letters import LettersDomain, Options
from test_tuning import parameters, rows_of, run_in, same, tuner_of

import seqtutor.rewards.answers
from seqtutor import UserError
from seqtutor.runs.folder import RunFolder
from seqtutor.training.tuner import Tuner
from seqtutor.training.tuning import resume, tune

UPDATES = 5
CALLS = Path("calls.txt")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def long_words(objective="psi", function="noted", **settings):
    """A tuner on words long enough to be new for some updates, one of them at a time in one worker."""
    table = {"function": f"oracles:{function}", "chunk": 1}
    domain = LettersDomain(Options(longest=8))
    return tuner_of(objective, domain=domain, updates=UPDATES, rollouts=32, terms={"outside": table}, **settings)


def in_all(tuner, folder, report=lambda row: None):
    run = run_in(Path(folder))
    with closing(tuner.scorer):
        tune(tuner, run, report)
    return run


def heard(tuner):
    """Wait until a worker has something to say."""
    assert wait([worker.pipe for worker in tuner.scorer.answers.pools["outside"].running], 60)


def test_gradient_steps_are_made_while_the_workers_work(monkeypatch):
    learn = Tuner.descend
    monkeypatch.setattr(Tuner, "descend", lambda self, batch: (Path("learnt").touch(), learn(self, batch))[1])
    tuner = long_words(function="after_learning")
    with closing(tuner.scorer):
        tuner.step()
        assert not Path("learnt").exists()
        Path("second").touch()
        row = tuner.step()
    assert tuner.scorer.failed == []
    assert row["loss"] > 0


def test_between_gradient_steps_workers_get_more_to_do_and_answers_land_on_disk(monkeypatch):
    """One text a call, one worker: the n-th call is answered before the n-th step ends only if the polls feed it."""
    learn, kept = Tuner.descend, []

    def slow(self, batch):
        if self.update == 1:
            with closing(sqlite3.connect("run/answers.sqlite")) as connection:
                query = "SELECT count(*) FROM answers WHERE version LIKE 'function %'"
                kept.append(connection.execute(query).fetchone()[0])
            heard(self)
        return learn(self, batch)

    monkeypatch.setattr(Tuner, "descend", slow)
    in_all(long_words(learning_steps=4), "run")
    assert [count - kept[0] for count in kept] == [0, 1, 2, 3]


def test_the_number_of_workers_changes_no_figure():
    runs = []
    for workers in (0, 1, 2):
        tuner = tuner_of(updates=4, workers=workers, vary=0.25, domain=LettersDomain(Options(longest=8)))
        run = in_all(tuner, f"{workers}")
        runs.append((rows_of(run), (run.folder / "ledger.csv").read_text(), parameters(tuner.policy)))
        assert bool(tuner.scorer.answers.pools) == bool(workers)
    for figures, ledger, weights in runs[1:]:
        assert (figures, ledger) == runs[0][:2]
        assert same(weights, runs[0][2])
    assert [bool(row["loss"]) for row in runs[0][0]] == [False, True, True, True]  # the first batch comes before all


@pytest.mark.parametrize(
    ("moment", "objective", "more"),
    [
        ("learn", "psi", {"vary": 0.25}),
        ("wait", "psi", {"vary": 0.25}),
        ("wait", "tb", {"priority": "error"}),
        ("wait", "ppo", {}),
    ],
)
def test_a_signal_while_others_work_changes_no_bit_and_no_call_is_paid_twice(moment, objective, more, monkeypatch):
    """During the gradient steps it is held back until they are done; during the wait it is obeyed at once."""
    straight = long_words(objective, **more)
    whole = in_all(straight, "whole")
    CALLS.unlink()
    breaking, steps, step = long_words(objective, **more), [], Tuner.descend

    def learn(self, batch):
        steps.append(self.update)
        if moment == "learn" and steps.count(2) == 1 and self is breaking:
            signal.raise_signal(signal.SIGINT)
        return step(self, batch)

    def waited(sources, timeout):
        if moment == "wait" and timeout and breaking.update == 2:
            signal.raise_signal(signal.SIGINT)
        return wait(sources, timeout)

    monkeypatch.setattr(Tuner, "descend", learn)
    monkeypatch.setattr(seqtutor.rewards.answers, "wait", waited)
    with pytest.raises(KeyboardInterrupt):
        in_all(breaking, "parts")
    monkeypatch.setattr(seqtutor.rewards.answers, "wait", wait)
    again, parts = goes_on(long_words(objective, **more))
    assert_same(again, parts, straight, whole)
    calls = CALLS.read_text().split()
    assert len(calls) - len(set(calls)) <= 1  # the one that was under way


@pytest.mark.parametrize("objective", ["psi", "reinforce"])
def test_an_error_of_a_term_waits_for_the_gradient_steps_and_leaves_a_run_that_goes_on(objective, monkeypatch):
    straight = long_words(objective, "breaks")
    whole = in_all(straight, "whole")
    learn, learnt = Tuner.descend, []

    def slow(self, batch):
        if self.update == 2 and not self.objective.on_policy and not learnt:
            heard(self)  # so that it is the first poll that meets the error
        learnt.append(self.update)
        return learn(self, batch)

    monkeypatch.setattr(Tuner, "descend", slow)
    with pytest.raises(UserError, match="term 'outside' gave 0 values for 1 texts"):
        in_all(long_words(objective, "breaks"), "parts", lambda row: row["update"] == 2 and Path("broken").touch())
    assert learnt.count(2) == (0 if objective == "reinforce" else straight.settings.learning_steps)
    Path("broken").unlink()
    again, parts = goes_on(long_words(objective, "breaks"))
    assert_same(again, parts, straight, whole)


def goes_on(tuner):
    """Resume the run in `parts`, which stopped while its third batch was being scored, from its last checkpoint."""
    run = RunFolder(Path("parts"))
    resume(tuner, run)
    with closing(tuner.scorer):
        tune(tuner, run, lambda row: None)
    return tuner, run


def assert_same(tuner, run, straight, whole):
    assert rows_of(run) == rows_of(whole)
    assert (run.folder / "ledger.csv").read_text() == (whole.folder / "ledger.csv").read_text()
    assert same(parameters(tuner.policy), parameters(straight.policy))
    assert torch.equal(tuner.replay.tokens, straight.replay.tokens)
    with (run.folder / "metrics.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == UPDATES
