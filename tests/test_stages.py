"""A run that goes on with another reward: what is paid, what is watched, and what stands in its folder meanwhile."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from letters import LettersDomain, new_model
from test_tuning import run_in, tuner_of

from seqtutor import UserError, evaluate, generate, load_run, tune
from seqtutor.cli import main
from seqtutor.config import TrainConfig, changed
from seqtutor.priors.files import load_model, save_model, weights_digest
from seqtutor.runs.drawing import open_model
from seqtutor.training.tuning import checkpoint, resume

TINY = {"updates": 3, "samples": 10, "rollouts": 16, "best_of": 2}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, installed):
    monkeypatch.chdir(tmp_path)
    Path("prior").mkdir()
    save_model(new_model(spread=1.0, hidden=8), Path("prior"), "model", domain="letters")


def column(path, name="text"):
    with Path(path).open(newline="") as file:
        return [row[name] for row in csv.DictReader(file)]


def dear(texts):
    """The length; what it was asked stands in a file, for what a function sees is part of its version."""
    with Path("asked.txt").open("a") as file:
        file.writelines(f"{text}\n" for text in texts)
    return [float(len(text)) for text in texts]


def test_a_term_that_is_new_is_asked_of_new_calls_alone_and_within_their_budget():
    """The table of hits asked it about everything that the stage before had scored, and no call was counted."""
    tune("letters", prior="./prior", folder="run", **TINY, options={"longest": 9})
    before = len(column("run/ledger.csv"))
    run = tune(resume="run", terms={"dear": dear}, oracle_calls=before + 5, updates=50)
    assert run.summary["oracle_calls"] == before + 5
    paid = column("run/ledger.csv")[before:]
    assert sorted(column("run/scored.csv")) == sorted(paid)
    asked = Path("asked.txt").read_text().split()
    drawn, best = {*column("run/samples.csv")}, TINY["best_of"] * TINY["samples"]
    assert {*paid} <= {*asked}
    assert len({*asked} - {*paid} - drawn) <= best


def test_what_a_dear_term_has_said_is_still_known_when_a_run_goes_on():
    tune("letters", prior="./prior", terms={"dear": dear}, folder="run", **TINY)
    tune(resume="run", terms={"dear": dear}, updates=5)
    for told in (Path("asked.txt").read_text().split(), column("run/ledger.csv")):
        assert len(told) == len({*told})


def test_alarms_begin_anew_where_the_reward_is_another_one(tmp_path):
    """A smaller scale looked like a reward that had fallen below the prior's, and the stage was thrown away."""
    first = tuner_of("tb", updates=1)
    run = run_in(tmp_path / "stage")
    row = first.step()
    first.guard(row)
    checkpoint(first, run)
    (run.folder / "metrics.csv").write_text("update\n1\n")
    for weights, kept in (({}, 1), ({"variety": 0.1}, 0)):
        again = tuner_of("tb", updates=2, weights=weights)
        resume(again, run)
        assert len(again.watch.rows) == kept
    colder = tuner_of("tb", updates=2, temperature=0.5)
    resume(colder, run)
    assert len(colder.watch.rows) == 1  # the reward is the same


def test_the_healthy_policy_has_its_values_at_the_temperature_that_holds_when_it_comes_back():
    tuner = tuner_of("tb", temperature=1.0)
    tuner.step()
    tuner.healthy.load_state_dict(tuner.policy.state_dict())
    word = torch.tensor([[3, 4, 2]])
    before = tuner.healthy.action_values(word)[0, 0].logsumexp(-1)
    tuner.dial.restore({**tuner.dial.state(), "log_c": float(np.log(0.5))})
    tuner.rescale(1.0)
    after = tuner.healthy.action_values(word)[0, 0].logsumexp(-1)
    torch.testing.assert_close(after, 2 * before)


def test_a_table_from_before_a_run_went_on_is_not_taken_for_one_of_its_policy():
    """The old samples were weighed as if the new policy had written them, at the old temperature."""
    run = tune("letters", prior="./prior", folder="run", temperature=0.5, **{**TINY, "samples": 60})
    assert run.summary["policy_digest"] == weights_digest("./run")
    assert open_model("./run").temperature == 0.5
    policy = load_model(Path("run"), "policy")
    with torch.no_grad():
        policy.head.bias += 0.1
    save_model(policy, Path("run"), "policy", domain="letters", options=dict(run.config.options))
    config = Path("run/config.toml")
    config.write_text(config.read_text().replace("temperature = 0.5", "temperature = 0.25"))
    assert open_model("./run").temperature == 0.25
    said = CliRunner().invoke(main, ["evaluate", "./run", "--log", "run/samples.csv"])
    assert said.exit_code == 1
    assert (
        "written by the policy from before the run went on; write it anew: seqtutor train --resume run" in said.stderr
    )


def test_a_domain_that_is_made_has_its_defaults_as_one_by_name_has_them():
    """Its usual updates ended a run before its minutes did, as if somebody had typed them."""
    made, named = (
        tune(domain, prior="./prior", folder=name, minutes=1e-4, samples=4, rollouts=4, best_of=2)
        for domain, name in ((LettersDomain(), "made"), ("letters", "named"))
    )
    assert made.config.updates == named.config.updates > LettersDomain.defaults["updates"]
    assert TrainConfig({"updates": 7, "span": 3}, objective="tb").updates == 7  # of psi alone is a span
    assert TrainConfig({}, domain="letters").updates == TrainConfig().updates != LettersDomain.defaults["updates"]
    assert changed(made.config, seed=1).updates == made.config.updates


def test_a_domain_that_is_made_is_checked_as_an_installed_one():
    class Wrong(LettersDomain):
        name = "wrong"
        defaults = {"temprature": 0.1}  # noqa: RUF012

    with pytest.raises(UserError, match=r"(?s)defaults.*temprature.*did you mean 'temperature'"):
        tune(Wrong(), prior="./prior", **TINY)


def test_an_unknown_weight_is_said_to_be_of_the_reward_not_of_a_file():
    tune("letters", prior="./prior", terms={"long": len_of}, folder="run", **TINY)
    run = load_run("run", terms={"long": {"function": len_of, "weight": 7.0}})
    with pytest.raises(UserError, match=r"the reward is another one than when .*run ran: the weight of 'long' was 1"):
        generate(run, 2, draws=2)


def len_of(texts):
    return [float(len(text)) for text in texts]


def test_a_model_that_is_named_twice_has_two_columns():
    tune("letters", prior="./prior", folder="run", **TINY)
    result = CliRunner().invoke(main, ["evaluate", "./run", "--against", "./run", "-n", "5", "--json"])
    assert list(json.loads(result.stdout)) == ["./run", "./run (2)"]
    assert len(evaluate("./run", "./run", n=5)) == 2
