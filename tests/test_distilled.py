"""A run as a reward: at its optimum it is R/c but for log Z, sums are products of runs, bad runs are one line."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from exact import LENGTH, VOCABULARY, kl, world
from letters import LettersDomain, ids, new_model

from seqtutor import PAD
from seqtutor.cli import main
from seqtutor.priors.files import save_model
from seqtutor.priors.sampling import array_of, logp_of
from seqtutor.rewards.distilled import Distilled, clip


def of_table(w, rows):
    """A model that reads its log-probabilities (B, T, V) in a table over prefixes."""
    index = {prefix: i for i, prefix in enumerate(w.prefixes)}

    def model(tokens):
        places = [[index.get(tuple(row[:t]), 0) for t in range(len(row))] for row in tokens.tolist()]
        return rows[torch.tensor(places)]

    return model


@pytest.mark.parametrize("seed", range(3))
def test_at_the_optimum_the_term_plus_log_z_is_the_reward_over_c(seed):
    w = world(seed)
    prior, optimum = w.rows(w.prior), w.rows(w.values("psi")).log_softmax(-1)
    tokens, reward = w.batch()["tokens"], np.array([w.score(w.reward, x) for x in w.sequences])
    found = array_of(logp_of(of_table(w, optimum), tokens) - logp_of(of_table(w, prior), tokens))
    assert found.shape == (len(tokens), LENGTH)
    assert (found[tokens.numpy() == PAD] == 0).all()
    np.testing.assert_allclose(found.sum(-1) + w.log_z(), reward / w.temperature, rtol=0, atol=1e-10)


def test_the_sum_of_two_runs_leads_to_their_product():
    first, second = world(1), world(2)
    prior = first.probabilities(first.prior)
    runs = []
    for other in (first, second):  # two rewards, one prior
        r = np.array([other.score(other.reward, x) for x in first.sequences]) / first.temperature
        runs.append(prior * np.exp(r) / (prior @ np.exp(r)))
    odds = [np.log(run / prior) for run in runs]
    summed = prior * np.exp(odds[0] + odds[1])  # pi* of the sum of both terms at temperature 1
    product = runs[0] * runs[1] / prior
    assert kl(summed / summed.sum(), product / product.sum()) < 1e-12


def test_what_a_sequence_has_beyond_the_cap_is_taken_from_its_last_step():
    steps = np.array([[1.0, 2.0, 0.0], [1.0, 2.0, 3.0]])
    real = np.array([[True, True, False], [True, True, True]])
    np.testing.assert_array_equal(clip(steps, real, 2.5), [[1.0, 1.5, 0.0], [1.0, 2.0, -0.5]])
    assert len(VOCABULARY) == 6


@pytest.fixture
def finished(installed, tmp_path, monkeypatch):
    """A folder with a small prior and a run that was tuned from it."""
    monkeypatch.chdir(tmp_path)
    Path("prior").mkdir()
    save_model(new_model(spread=1.0, hidden=8), Path("prior"), "model", domain="letters")
    assert train("--output", "first").exit_code == 0
    return tmp_path


def train(*args):
    base = ["train", "--domain", "letters", "--prior", "./prior", "--rollouts", "16", "--batch", "16"]
    return CliRunner().invoke(main, [*base, "--samples", "20", "--objective", "tb", *args])


def line(result):
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 1, result.output
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr.strip()


def test_a_run_is_learnt_from_without_a_call_and_the_share_clipped_is_logged(finished):
    Path("second.toml").write_text('[weights]\nrises = 0\nvariety = 0\n[terms.first]\nrun = "first"\n')
    result = train("--config", "second.toml", "--temperature", "1", "--output", "second")
    assert result.exit_code == 0, result.output
    with Path("second/metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(0 <= float(row["clipped.first"]) < 0.5 for row in rows)
    assert {row["oracle_calls"] for row in rows} == {"0"}
    again = CliRunner().invoke(main, ["train", "--resume", "second", "--updates", "5"])
    assert again.exit_code == 0, again.output


def test_the_cap_is_the_99_percent_quantile_of_the_runs_own_samples(finished):
    term = Distilled(Path("first"), LettersDomain())
    values = term(ids("ab", "abc"))
    assert values.shape == (2, 4)
    assert np.isfinite(term.cap)
    assert (values.sum(-1) <= term.cap + 1e-9).all()


def test_what_is_no_such_run_is_one_clear_line(finished):
    def with_run(folder):
        Path("c.toml").write_text(f'[terms.first]\nrun = "{folder}"\n')
        return line(train("--config", "c.toml", "--output", "x"))

    assert "nowhere is no run folder" in with_run("nowhere")
    assert "prior is a prior, and no run" in with_run("prior")
    text = Path("first/policy.json").read_text()
    Path("first/policy.json").write_text(text.replace('"a"', '"z"'))
    assert "does not fit domain 'letters'" in with_run("first")
    Path("first/policy.json").write_text(text)
    config = Path("first/config.toml").read_text()
    Path("first/config.toml").write_text(config.replace('domain = "letters"', 'domain = "fixedletters"'))
    assert "is of domain 'fixedletters', not of 'letters'" in with_run("first")
    Path("c.toml").write_text('[terms.first]\nrun = "first"\nfunction = "a:b"\n')
    assert "a term comes from one of function, program, record, run" in line(train("--config", "c.toml", "--trust"))
    assert not Path("x").exists()


def test_a_term_that_is_a_run_stands_beside_others_and_the_example_is_such_a_config(finished):
    example = (Path(__file__).parent.parent / "examples" / "recursive.toml").read_text()
    assert '[terms.dock]\nrun = "outputs/docking-run"' in example
    Path("c.toml").write_text('[weights]\nvariety = 5.0\nrises = 0.0\n[terms.dock]\nrun = "first"\n')
    result = train("--config", "c.toml", "--temperature", "1", "--output", "second")
    assert result.exit_code == 0, result.output
    with Path("second/metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    wanted = 5 * float(rows[-1]["term.variety"]) + float(rows[-1]["term.dock"])
    assert float(rows[-1]["reward"]) == pytest.approx(wanted, abs=1e-4)


def test_a_run_that_has_gone_on_since_is_refused(finished):
    """The run that was tuned by it went on with another reward, without a word."""
    Path("second.toml").write_text('[weights]\nrises = 0\nvariety = 0\n[terms.first]\nrun = "first"\n')
    assert train("--config", "second.toml", "--updates", "2", "--output", "second").exit_code == 0
    assert CliRunner().invoke(main, ["train", "--resume", "first", "--updates", "7"]).exit_code == 0
    assert "the run first has gone on since this run began" in line(
        CliRunner().invoke(main, ["train", "--resume", "second", "--updates", "4"])
    )
