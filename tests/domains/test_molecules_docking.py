"""Docking: an extra. Here a package of the same face stands in for dockstring; where dockstring is, it docks too."""

import os
import sys
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from seqtutor import UserError, load
from seqtutor.config import TrainConfig, build, changed
from seqtutor.files import read_toml
from seqtutor.priors.files import load_prior
from seqtutor.rewards.scorer import Scorer
from seqtutor.rewards.terms import settings_of, weighted_terms
from seqtutor.training.tuner import Tuner

DOMAIN = load("molecules")
FAKE = """
import os
import time
from pathlib import Path

class DockstringError(Exception):
    pass

def list_all_target_names():
    return ["DRD2", "ABL1"]

class Target:
    def __init__(self, name, working_dir, targets_dir):
        self.folder, targets = Path(working_dir or ""), Path(targets_dir or Path(__file__).parent)
        self.pdbqt_path, self.conf_path = targets / f"{name}_target.pdbqt", targets / f"{name}_conf.txt"

    def dock(self, smiles, num_cpus=None, seed=0):
        assert not list(self.folder.iterdir()), "what the molecule before left behind"
        (self.folder / "ligand.mol").write_text(smiles)
        with open(Path(__file__).with_name("asked.txt"), "a") as file:
            file.write(f"{os.getpid()} {smiles} {self.folder}\\n")
        if smiles == "C":
            raise DockstringError("Generation of ligand conformation failed")
        if smiles == "CC":
            return None, {}
        if smiles == "CCC":
            time.sleep(60)
        if smiles == "CCCC":
            os.abort()
        assert self.pdbqt_path.read_text() == "ATOM"
        assert self.conf_path.read_text().startswith("center_x = 9.25\\n")
        searches = int(self.conf_path.read_text().rpartition("exhaustiveness = ")[2])
        return -float(len(smiles)) - num_cpus / 10 - seed / 100 - searches / 1000, {}

def load_target(name, working_dir=None, targets_dir=None):
    return Target(name, working_dir, targets_dir)
"""
TABLE = {
    "kind": "docking",
    "target": "DRD2",
    "seed": 1,
    "transform": {"kind": "reverse_sigmoid", "low": -9, "high": -5},
}


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A dockstring and an Open Babel that are none, where a worker finds them; the folder that tells what was asked."""
    package = tmp_path / "packages" / "dockstring"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(FAKE)
    (package / "DRD2_target.pdbqt").write_text("ATOM")
    (package / "DRD2_conf.txt").write_text("center_x = 9.25\n")
    babel = tmp_path / "bin" / "obabel"
    babel.parent.mkdir()
    babel.write_text("#!/bin/sh\n")
    babel.chmod(0o755)
    monkeypatch.setenv("PATH", str(babel.parent), prepend=":")
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.delitem(sys.modules, "dockstring", raising=False)
    yield package
    sys.modules.pop("dockstring", None)


def scored(texts, **table):
    """The scorer and rows of texts, docked as a config says."""
    settings = settings_of({"dock": {**TABLE, **table}})
    with closing(Scorer(DOMAIN, weighted_terms(DOMAIN, {}, settings), settings=settings)) as scorer:
        answers = scorer.answers
        answers.submit(texts)
        answers.finish()
        return dict(answers.known["dock"]), {text: answers.reasons.get(("dock", text)) for text in texts}


def test_a_score_is_kcal_per_mol_and_no_failure_is_one(fake):
    known, reasons = scored(["CCO", "C", "CC", "CCCC", "CCN"], retries=0)
    assert (known["CCO"], known["CCN"]) == pytest.approx((-3.118, -3.118))
    assert all(np.isnan(known[text]) for text in ("C", "CC", "CCCC"))
    assert reasons["C"].reason == "DockstringError: Generation of ligand conformation failed"
    assert "no pose" in reasons["CC"].reason
    assert "SIGABRT" in reasons["CCCC"].reason
    assert reasons["CCO"] is None


def test_it_runs_in_processes_of_its_own_each_molecule_in_a_folder_of_its_own(fake):
    scored(["CCO", "CCN", "CCF"])
    asked = [line.split() for line in (fake / "asked.txt").read_text().splitlines()]
    assert {smiles for _, smiles, _ in asked} == {"CCO", "CCN", "CCF"}
    assert str(os.getpid()) not in {number for number, _, _ in asked}
    assert len({folder for _, _, folder in asked}) == 3


def test_what_takes_longer_than_its_time_is_a_failure(fake):
    known, reasons = scored(["CCC", "CCO"], timeout=2.0, retries=0)
    assert np.isnan(known["CCC"])
    assert "no answer within 2 s" in reasons["CCC"].reason
    assert known["CCO"] == pytest.approx(-3.118)


def test_fewer_searches_are_told_to_vina_and_are_another_score(fake):
    assert scored(["CCO"], exhaustiveness=1)[0]["CCO"] == pytest.approx(-3.111)


def test_the_seed_is_told(fake):
    assert scored(["CCO"], seed=5)[0]["CCO"] == pytest.approx(-3.158)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"target": ""}, "unknown target of .terms.dock. '' .there are: ABL1, DRD2."),
        ({"target": "DRD3"}, "did you mean 'DRD2'"),
        ({"pH": 7}, "pH"),
        ({"exhaustiveness": 0}, "exhaustiveness .*must lie between 1 and 100, not 0"),
        ({"timeout": -1}, "timeout in .terms.dock. must be at least"),
    ],
)
def test_settings_are_checked(fake, table, said):
    with pytest.raises(UserError, match=said):
        scored([], **table)


def test_lower_is_better_so_a_config_says_how_it_is_paid(fake):
    plain = {"dock": {"kind": "docking", "target": "DRD2"}}
    with pytest.raises(UserError, match=r"\[terms.dock\]: lower is better .* transform = {kind = \"reverse_sigmoid\""):
        weighted_terms(DOMAIN, {}, settings_of(plain))
    plain["dock"] |= {"better": "lower", "invalid": 0.0}
    assert weighted_terms(DOMAIN, {}, settings_of(plain))[-1].costly


def test_without_the_extra_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "dockstring", None)
    with pytest.raises(UserError, match=r"^docking needs dockstring: pip install 'seqtutor\[docking\]'$"):
        weighted_terms(DOMAIN, {}, settings_of({"dock": TABLE}))


def test_without_open_babel_it_says_so(fake, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(UserError, match=r"docking needs Open Babel: pip install 'seqtutor\[docking\]'"):
        weighted_terms(DOMAIN, {}, settings_of({"dock": TABLE}))


def test_another_release_is_asked_anew(fake, monkeypatch):
    from seqtutor.rewards.versions import version_of
    from seqtutor_molecules import docking

    settings = settings_of({"dock": TABLE})
    versions = []
    for release in ("0.3.4", "0.3.5"):
        monkeypatch.setattr(docking, "release", lambda release=release: release)
        (term,) = (term for term in weighted_terms(DOMAIN, {}, settings) if term.name == "dock")
        versions.append(version_of(DOMAIN, term, settings))
    assert versions[0] != versions[1]


def test_the_example_tunes(fake):
    path = Path(__file__).parents[2] / "examples" / "docking.toml"
    config = changed(build(TrainConfig, read_toml(path)), rollouts=16, batch=16, replay=32)
    tuner = Tuner(DOMAIN, config, load_prior("molecules", DOMAIN))
    with closing(tuner.scorer):
        row = tuner.step()
        docked = tuner.scorer.answers.known["dock"]
    assert 0 < row["reward"] < 1
    assert len(docked) > 10
    assert all(value < -5 for value in docked.values())


def test_any_kind_takes_limits_and_then_has_a_process_of_its_own():
    settings = settings_of({"like": {"kind": "similarity", "smiles": ["CCO"], "timeout": 50.0, "workers": 1}})
    with closing(Scorer(DOMAIN, weighted_terms(DOMAIN, {}, settings), settings=settings)) as scorer:
        assert scorer.answers.pools["like"].timeout == 50.0
        scorer.answers.submit(["CCO"])
        scorer.answers.finish()
        assert scorer.answers.known["like"] == {"CCO": 1.0}


@pytest.mark.skipif(find_spec("dockstring") is None, reason="an extra")
def test_dockstring_docks():
    known, reasons = scored(["CO"], timeout=300.0, seed=974528263)
    assert -4 < known["CO"] < 0, reasons
