"""Figures as a reward: exact on a world whose words are all listed, and from the corpus to a tuned model."""

from __future__ import annotations

import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import replace_installed
from letters import LettersDomain, Options, every, log_probabilities, new_model

from seqtutor import Measure, UserError, load, load_run
from seqtutor.cli import main
from seqtutor.cli.inferred import FIGURES
from seqtutor.inference.features import score
from seqtutor.inference.matching import matched
from seqtutor.priors.files import save_model
from seqtutor.rewards.figures import made, parts, single

SHARE, LENGTH = 0.4267, 5.177  # of the corpus' different words of at most six letters


class FiguredDomain(LettersDomain):
    """Letters with what real words have of them: a share of letters, and a mean of those words that begin with a."""

    name = "figured"

    def measure(self, texts):
        words = [text or "" for text in texts]
        lengths = np.array([len(word) for word in words], float)
        begun = np.array([word.startswith("a") for word in words], float)
        return [
            Measure("a", np.array([word.count("a") for word in words], float), lengths, "near", reference=SHARE),
            Measure("length after a", begun * lengths, begun, "near", reference=LENGTH),
            Measure("distinct", np.ones(len(words)), np.ones(len(words)), of_set=True, reference=1.0),
            *super().measure(texts),
        ]


@pytest.fixture
def figured(monkeypatch, tmp_path):
    """The domain, installed, and the name of a prior of it."""
    entry = EntryPoint("figured", "test_figures:FiguredDomain", "seqtutor.domains")
    replace_installed(monkeypatch, "domain", {"figured": entry})
    monkeypatch.chdir(tmp_path)
    Path("prior").mkdir()
    save_model(new_model(spread=1.0, hidden=16), Path("prior"), "model", domain="figured")
    return "./prior"


def run(*args):
    result = CliRunner().invoke(main, [str(arg) for arg in args])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_part_has_mean_0_where_the_figure_is_that_of_real_items():
    found = parts(FiguredDomain().measure(["ab", "ba", "bb", "aa"]))
    assert list(found) == ["a", "length after a"]  # neither of the set nor without a reference
    assert found["a"] == pytest.approx(np.array([1, 1, 0, 2]) - 2 * SHARE)
    assert found["length after a"] == pytest.approx(np.array([2 - LENGTH, 0, 0, 2 - LENGTH]))


def test_the_weights_that_make_every_mean_0_make_the_figures_those_of_real_items():
    """All words listed: p exp(w . f) / Z has the references, and no nearer model has."""
    domain = FiguredDomain(Options(longest=7))
    tokens = every(7)
    p = np.exp(log_probabilities(new_model(spread=1.0), tokens).numpy())
    terms = single(domain)
    f, valid = score(domain, terms, tokens.numpy(), ~(tokens.numpy() == 2).any(-1))
    p, f = p[valid] / p[valid].sum(), f[valid]
    found = matched(np.zeros(2), f, p)
    texts = [domain.decode(domain.vocabulary.decode([i for i in row if i > 2])) for row in tokens.numpy()[valid]]
    for measure in domain.measure(texts)[:2]:
        before = (p @ measure.values) / (p @ measure.weights)
        after = (found.q @ measure.values) / (found.q @ measure.weights)
        assert abs(before - measure.reference) > 0.05
        assert after == pytest.approx(measure.reference, abs=1e-8)
    paid = made(domain, "likeness", dict(zip(["a", "length after a"], found.weights, strict=True))).values(texts)
    assert paid == pytest.approx(f @ found.weights)
    assert p * np.exp(paid) / (p @ np.exp(paid)) == pytest.approx(found.q)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"b": 1.0}, "unknown figure in [terms.x] 'b' (there are: a, length after a)"),
        ({"a": "much"}, "'a' in [terms.x] must be a number, not 'much'"),
        ({"a": 1e30}, "'a' in [terms.x] must lie between -1e+18 and 1e+18, not 1e+30"),
    ],
)
def test_a_table_that_makes_no_term_is_one_line(table, said):
    with pytest.raises(UserError) as error:
        made(FiguredDomain(), "x", table)
    assert str(error.value).replace("'; did you mean 'a'", "'") == said


def test_from_the_corpus_to_a_model_whose_figures_are_nearer(figured):
    """Two commands, without examples: those of the domain's own corpus, whose different words have the references."""
    longer = ("--domain", "figured", "--longest", 7, "--prior", figured, "-n", 4000)
    said = run("infer", *longer, "--figures", "--output", "alike.toml")
    assert "the corpus: " in said
    config = tomllib.loads(Path("alike.toml").read_text(encoding="utf-8"))
    assert config["weights"] == {"figures": 1.0, "rises": 0.0, "variety": 0.0}
    assert set(config["terms"]["figures"]) == {"kind", "transform", "a", "length after a"}
    ((low, _), (high, _)) = config["terms"]["figures"]["transform"]["points"]
    assert low < 0 < high
    run("train", "--config", "alike.toml", "--objective", "reinforce", "--updates", 200, "--rollouts", 128,
        "--learning-rate", 0.01, "--learning-rate-end", 0.001, "--samples", 2000, "--output", "run")  # fmt: skip
    rows = {row["name"]: row for row in load_run("run").summary["measures"]}
    for name in ("a", "length after a"):
        before, after = (abs(rows[name][model]["mean"] - rows[name]["reference"]) for model in ("prior", "policy"))
        assert after < before / 2, (name, before, after)


@pytest.mark.parametrize("domain", ["music", "molecules"])
def test_no_term_of_ours_has_the_name_of_the_configs_term(domain):
    """Music's `likeness` had it, and `train` refused what `infer` had written."""
    assert FIGURES not in {term.name for term in load(domain).terms()}


def test_a_domain_without_such_figures_is_told_so(installed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["infer", "--domain", "letters", "--figures"])
    assert result.exit_code == 1
    assert "domain 'letters' has no figures of real items to fit" in result.stderr


def test_of_a_large_corpus_so_many_are_looked_at(figured, monkeypatch):
    monkeypatch.setattr("seqtutor.cli.infer.CORPUS", 60)
    said = run("infer", "--domain", "figured", "--longest", 7, "--prior", figured, "-n", 500, "--figures")
    assert int(said.split("the corpus: ")[1].split(" items")[0]) <= 60
