"""Exact resume: a run that was stopped at a random update is the run that was not, bit for bit, in both domains."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

import pytest
import torch

import seqtutor
from seqtutor import EOS
from seqtutor.config import TrainConfig
from seqtutor.objectives import load_objective
from seqtutor.plugin.installed import installed
from seqtutor.priors.model import LstmModel
from seqtutor.records.replay import Replay
from seqtutor.rewards.scorer import Scorer
from seqtutor.runs.folder import RunFolder
from seqtutor.training.tuner import Tuner
from seqtutor.training.tuning import resume, tune
from seqtutor_molecules import MoleculesDomain

UPDATES = 5
DOMAINS = {"music": {"bars": 1}, "molecules": {}}


def tuner_of(name: str, objective: str, **more: Any) -> Tuner:
    domain = seqtutor.load(name, DOMAINS[name])
    torch.manual_seed(0)
    prior = LstmModel(domain.vocabulary, embedding=8, hidden=16, fixed_length=domain.fixed_length)
    if name == "molecules":  # chains of carbon, so that some are molecules, which can be scored and varied
        with torch.no_grad():
            prior.head.bias[domain.vocabulary.encode(["C"])] += 6.0
            prior.head.bias[EOS] += 4.0
    config = TrainConfig(
        domain=name,
        objective=objective,
        updates=UPDATES,
        rollouts=4,
        **({} if load_objective(objective).on_policy else {"batch": 4, "replay": 12}),
        **more,
        weights={"carbon_chain": 1.0, "shortness": 1.0, "validity": 1.0} if name == "molecules" else {},
    )
    return Tuner(domain, config, prior)


def rows(run: RunFolder) -> list[dict[str, str]]:
    with (run.folder / "metrics.csv").open(newline="") as file:
        return [{**row, "seconds": ""} for row in csv.DictReader(file)]


def ledger(run: RunFolder) -> str:
    """Empty where no term is sequence-level, or an untrained prior wrote no molecule."""
    path = run.folder / "ledger.csv"
    return path.read_text() if path.exists() else ""


def new_run(folder: Path) -> RunFolder:
    folder.mkdir()
    return RunFolder(folder)


@pytest.mark.parametrize("objective", sorted(installed("objective")))
@pytest.mark.parametrize("name", sorted(DOMAINS))
def test_a_stop_at_a_random_update_changes_no_bit(name, objective, tmp_path):
    compare(tmp_path, random.Random(f"{name} {objective}").randrange(1, UPDATES), name, objective)


SCREENED = {"vary": 0.5, "screen": 4, "priority": "reward"}


@pytest.mark.parametrize(
    "more", [{"vary": 0.25, "priority": "reward"}, {"kl_budget": 0.05}, {"vary": 0.5, "oracle_calls": 6}, SCREENED]
)
def test_variations_a_budget_of_kl_and_one_of_calls_resume_as_well(more, tmp_path, monkeypatch):
    for name, count in (("LEAST", 5), ("BEST", 3), ("OTHERS", 2)):
        monkeypatch.setattr(f"seqtutor.training.screening.{name}", count)
    whole, again = compare(tmp_path, 2, "molecules", "psi", **more)
    assert again.scorer.calls == len(ledger(RunFolder(tmp_path / "whole")).splitlines()) - 1 > 0
    assert whole.scorer.spent == ("oracle_calls" in more)
    if whole.scorer.spent:
        assert whole.scorer.calls == more["oracle_calls"]


@pytest.mark.parametrize("objective", ["psi", "reinforce"])
def test_families_fill_across_a_stop_as_without_it(objective, tmp_path, monkeypatch):
    monkeypatch.setattr(MoleculesDomain, "family", lambda self, text: "chain")  # they have no scaffold
    more = {"family_size": 3, "family_least": -10.0, "family_penalty": "linear"}
    straight, again = compare(tmp_path, 3, "molecules", objective, **more)
    assert straight.scorer.payment.members == again.scorer.payment.members
    assert straight.scorer.payment.members["chain"] >= 3
    assert min(float(row["paid"]) for row in rows(RunFolder(tmp_path / "whole"))) < 0.5


def compare(tmp_path: Path, last: int, name: str, objective: str, **more: Any) -> tuple[Tuner, Tuner]:
    """Tune straight, and with a stop after the update `last`: the same tables and weights -> both tuners."""
    whole, parts = new_run(tmp_path / "whole"), new_run(tmp_path / "parts")
    straight = tuner_of(name, objective, **more)
    tune(straight, whole, lambda row: None)

    def stop(row):
        if row["update"] == last:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(tuner_of(name, objective, **more), parts, stop)
    again = tuner_of(name, objective, **more)
    resume(again, parts)
    assert again.update == last
    tune(again, parts, lambda row: None)
    assert len(rows(whole)) == UPDATES or straight.scorer.spent
    assert rows(parts) == rows(whole)
    assert (parts.folder / "policy.safetensors").read_bytes() == (whole.folder / "policy.safetensors").read_bytes()
    assert ledger(parts) == ledger(whole)
    return straight, again


@pytest.mark.parametrize(
    ("moment", "objective"),
    [*((m, o) for m in ("sample", "score", "learn", "log") for o in ("psi", "reinforce")), ("store", "psi")],
)
def test_an_update_that_breaks_off_is_repeated_from_the_checkpoint(moment, objective, tmp_path, monkeypatch):
    """Wherever an error strikes, figures, ledger and weights are those of the run that was not broken."""
    whole, parts = new_run(tmp_path / "whole"), new_run(tmp_path / "parts")
    straight = tuner_of("molecules", objective)
    tune(straight, whole, lambda row: None)
    monkeypatch.setattr("seqtutor.runs.checkpoint.Pace.due", True)
    breaking = tuner_of("molecules", objective)
    places = {
        "sample": (seqtutor.training.tuner, "sample"),
        "score": (Scorer, "scores"),
        "learn": (Tuner, "descend"),
        "store": (Replay, "add"),
        "log": (RunFolder, "note"),
    }
    owner, name = places[moment]
    original = getattr(owner, name)

    def broken(*args, **kwargs):
        if breaking.update == (4 if moment == "log" else 3):
            raise MemoryError
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, broken)
    with pytest.raises(MemoryError):
        tune(breaking, parts, lambda row: None)
    monkeypatch.undo()
    again = tuner_of("molecules", objective)
    resume(again, parts)
    assert again.update == 3
    tune(again, parts, lambda row: None)
    assert rows(parts) == rows(whole)
    assert (parts.folder / "policy.safetensors").read_bytes() == (whole.folder / "policy.safetensors").read_bytes()
