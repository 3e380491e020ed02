"""Runs that older code began: other columns, weights that are new since, a prior that is another one."""

import csv
import dataclasses

import numpy as np
import pytest
from letters import LettersDomain, new_model

from seqtutor import SequenceTerm, UserError, evaluate, generate, tune
from seqtutor.config import MADE_BY, TrainConfig
from seqtutor.plugin.guard import Guarded
from seqtutor.priors.files import digest, save_model
from seqtutor.priors.model import LstmModel
from seqtutor.runs.alarms import Watch
from seqtutor.runs.folder import RunFolder, as_it_ran, whole_rows
from seqtutor.runs.metrics import shares
from seqtutor.training.tuning import OF_PRIOR, check_lasting


def test_a_column_that_is_new_since_is_added_with_empty_cells(tmp_path):
    run = RunFolder(tmp_path)
    run.log({"update": 1, "reward": 0.5})
    run.log({"update": 2, "reward": 0.75})
    later = RunFolder(tmp_path)
    later.log({"update": 3, "share": 0.25, "reward": 1.0})
    later.log({"update": 4, "share": 0.5, "reward": 1.5})
    later.keep(3)
    with (tmp_path / "metrics.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["update", "reward", "share"],
            ["1", "0.5", ""],
            ["2", "0.75", ""],
            ["3", "1", "0.25"],
        ]
    assert len(whole_rows(tmp_path / "metrics.csv")) == 3
    RunFolder(tmp_path).log({"update": 4, "reward": 2.0})  # and a column that is no more
    assert whole_rows(tmp_path / "metrics.csv")[-1] == {"update": "4", "reward": "2", "share": ""}


def test_alarms_go_on_with_a_figure_that_is_new_since():
    watch = Watch(LettersDomain())
    old = {"reward": 1.0, "spread.reward": 0.5, "valid": 1.0}
    watch.restore({"rows": [old] * 6, "ranges": {}, "raised": []})
    watch.rows += [{**old, "commonest": 0.5}] * 6
    again = Watch(LettersDomain())
    again.restore(watch.state())
    assert again.rows == watch.rows
    assert again.strains(6)["valid"] == 0
    with pytest.raises(ValueError, match="not all there"):
        again.restore({"rows": [old, {"reward": 1.0}], "ranges": {}, "raised": []})


def test_what_is_paid_only_since_is_not_paid_in_a_run_of_before():
    class Paying(LettersDomain):
        def terms(self):
            worth = SequenceTerm("later", 0.5, "", "", lambda texts: np.ones(len(texts)))
            return [*super().terms(), worth, dataclasses.replace(worth, name="idle", weight=0.0)]

    before = TrainConfig(domain="letters", weights={"rises": 2.0})
    assert as_it_ran(before, Paying()).weights["later"] == 0
    assert as_it_ran(before, Paying()).weights["rises"] == 2
    assert "idle" not in as_it_ran(before, Paying()).weights
    named = TrainConfig(domain="letters", weights={"rises": 2.0, "later": 0.25, "variety": 0.0})
    assert as_it_ran(named, Paying()) == named


def test_a_resumed_run_keeps_the_weights_of_its_prior():
    domain = LettersDomain()
    prior, other = (LstmModel(domain.vocabulary, embedding=4, hidden=4) for _ in range(2))
    config = TrainConfig(domain="letters")
    check_lasting({}, domain, config, prior)
    check_lasting({MADE_BY: "somebody"}, domain, config, prior)
    made_by = {MADE_BY: {OF_PRIOR: digest(prior)}}
    check_lasting(made_by, domain, config, prior)
    with pytest.raises(UserError, match="the prior 'letters' has changed since this run began"):
        check_lasting(made_by, domain, config, other)


@pytest.mark.parametrize("said", [[None, None], ["x", "y"], [5.0, 0.1], [-0.5, 0.5], [float("nan"), 0.5]])
def test_a_plugin_that_says_no_share_of_what_is_commonest_ends_no_run(said):
    class Odd(LettersDomain):
        def commonest(self, texts):
            return said

    assert np.isnan(shares(Guarded(Odd()), ["ab", "b"])["commonest"])


def test_the_terms_that_a_plugin_has_lost_and_won_since_are_named(installed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prior").mkdir()
    save_model(new_model(spread=1.0, hidden=8), tmp_path / "prior", "model", domain="letters")
    halves = {"halves": lambda texts: [0.5] * len(texts)}
    run = tune("letters", prior="./prior", terms=halves, objective="tb", updates=1, rollouts=8, batch=8, samples=20,
               folder="run")  # fmt: skip
    rises, variety = LettersDomain().terms()
    dear = SequenceTerm("dear", 0.0, "costly", "", lambda texts: np.ones(len(texts)), costly=True)
    monkeypatch.setattr(LettersDomain, "terms", lambda self: [dear, dataclasses.replace(variety, name="kinds"), rises])
    said = r"has lost terms that the run run has: variety \(new since: kinds\); leave out the options that change them"
    for ask in (
        lambda: tune(resume="run", terms=halves, updates=2),
        lambda: generate("./run", 3, draws=2),
        lambda: evaluate("./run", n=3, leave_out=["halves"]),
    ):
        with pytest.raises(UserError, match=said):
            ask()
    monkeypatch.setattr(LettersDomain, "terms", lambda self: [dear, variety, rises])
    assert generate("./run", 3) == run.sample(3)
    assert evaluate("./run", n=3, leave_out=["halves"])
