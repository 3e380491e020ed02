"""What the final tables of runs with one prior have in common: kept, and never where it could be another."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import letters
import numpy as np
import pytest
import torch
from letters import LettersDomain, new_model

from seqtutor import UserError, tune
from seqtutor.domain import load
from seqtutor.priors import sampling
from seqtutor.priors.files import save_model
from seqtutor.rewards import keeping
from seqtutor.rewards.scorer import Scorer
from seqtutor.rewards.terms import settings_of, weighted_terms

TINY = {"updates": 2, "samples": 30, "rollouts": 8, "best_of": 2}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch, installed):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def prior(tmp_path):
    (tmp_path / "prior").mkdir()
    save_model(new_model(spread=1.0, hidden=8), tmp_path / "prior", "model", domain="letters")
    return str(tmp_path / "prior")


@pytest.fixture
def drawn(monkeypatch):
    """How many sequences were sampled, draw by draw."""
    counts, draw = [], sampling.draw

    def counting(model, domain, n, generator, **more):
        counts.append(n)
        return draw(model, domain, n, generator, **more)

    monkeypatch.setattr(sampling, "draw", counting)
    return counts


def left_by(run):
    """The figures and samples of a run, without its clock."""
    summary = {key: value for key, value in run.summary.items() if key != "seconds"}
    return json.dumps(summary), (run.folder / "samples.csv").read_bytes()


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_figures_are_the_same_bit_by_bit_with_it_and_without(prior, drawn, kept_here, monkeypatch):
    cold = left_by(tune("letters", prior=prior, folder="cold", **TINY))
    assert drawn == [30, 60]  # of the prior, and for best of n; the policy's are not asked of it
    assert len(list(kept_here.iterdir())) == 7
    warm = left_by(tune("letters", prior=prior, folder="warm", **TINY))
    assert drawn == [30, 60]
    monkeypatch.setattr(keeping, "_path", lambda *about: None)
    without = left_by(tune("letters", prior=prior, folder="without", **TINY))
    assert drawn == [30, 60, 30, 60]
    assert cold == warm == without


def test_another_weight_or_transform_takes_what_is_kept_and_makes_its_own_reward(prior, drawn, monkeypatch):
    more = {"weights": {"variety": 2.0}, "terms": {"variety": {"transform": {"kind": "sigmoid", "low": 0, "high": 3}}}}
    tune("letters", prior=prior, folder="first", **TINY)
    found = left_by(tune("letters", prior=prior, folder="kept", **TINY, **more))
    assert drawn == [30, 60]
    monkeypatch.setattr(keeping, "_path", lambda *about: None)
    assert found == left_by(tune("letters", prior=prior, folder="without", **TINY, **more))


def test_what_comes_from_outside_is_asked_again_and_never_kept(prior, drawn, kept_here):
    asked = []

    def secret(texts):
        asked.extend(texts)
        return [float(len(text)) for text in texts]

    counts = []
    for name in ("first", "second"):
        asked.clear()
        tune("letters", prior=prior, folder=name, terms={"secret": secret}, **TINY)
        counts.append(len(asked))
    assert counts[0] == counts[1] > 0
    assert drawn == [30, 60]
    for file in kept_here.glob("table-answers-*"):
        assert set(json.loads(zlib.decompress(file.read_bytes()))) == {"texts", "variety"}


@pytest.mark.parametrize("damage", ["empty", "cut", "a bit", "another form", "a folder", "a number"])
def test_a_damaged_file_is_made_again(damage, prior, kept_here):
    first = left_by(tune("letters", prior=prior, folder="first", **TINY))
    for file in kept_here.iterdir():
        whole = file.read_bytes()
        middle = len(whole) // 2
        if damage == "a folder":
            file.unlink()
            file.mkdir()
        else:
            file.write_bytes(
                {
                    "empty": b"",
                    "cut": whole[:-9],
                    "a bit": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
                    "another form": zlib.compress(b'{"tokens": [["a"], 3], "texts": 1, "measures": [{"name": 3}]}'),
                    "a number": zlib.compress(b"3"),
                }[damage]
            )
    assert first == left_by(tune("letters", prior=prior, folder="again", **TINY))
    assert first == left_by(tune("letters", prior=prior, folder="once more", **TINY))


def test_where_nothing_can_be_written_it_is_made_each_time(prior, drawn, kept_here):
    kept_here.write_text("a file where the folder should be")
    first = left_by(tune("letters", prior=prior, folder="first", **TINY))
    assert first == left_by(tune("letters", prior=prior, folder="second", **TINY))
    assert drawn == [30, 60] * 2


@pytest.mark.parametrize("change", ["weights", "count", "seed", "options", "code", "packages", "threads"])
def test_draws_are_of_what_they_depend_on(change, drawn, monkeypatch):
    def draw(model, domain, n, generator):
        tokens, truncated = keeping.draw(model, domain, n, generator)
        return tokens.tolist(), truncated.tolist(), torch.rand(3, generator=generator).tolist()

    asked = {"model": new_model(seed=1), "domain": load("letters"), "n": 20, "generator": 0}
    first = draw(**{**asked, "generator": seeded()})
    assert draw(**{**asked, "generator": seeded()}) == first
    assert drawn == [20]
    other = {
        "weights": {"model": new_model(seed=2)},
        "count": {"n": 21},
        "seed": {"generator": 1},
        "options": {"domain": load("letters", {"longest": 3})},
    }.get(change, {})
    if change == "code":
        monkeypatch.setattr(keeping, "code_of", lambda module: "another")
    elif change == "packages":
        monkeypatch.setattr(keeping, "_packages", lambda: ["numpy 9"])
    elif change == "threads":
        monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    asked |= other
    draw(**{**asked, "generator": seeded(asked["generator"])})
    assert len(drawn) == 2


@pytest.mark.parametrize("kind", ["draws", "answers", "measures"])
def test_every_kind_is_of_the_domains_options_and_of_its_question(kind):
    domains = (load("letters"), load("letters", {"longest": 3}))
    paths = {keeping._path(domain, kind, [about]) for domain in domains for about in ("one", "other")}
    assert len(paths) == 4
    assert keeping._path(domains[0], "another kind", ["one"]) not in paths


def test_answers_are_told_to_a_scorer_and_failures_are_asked_again(monkeypatch):
    """They were kept as failures for all runs to come, though a term may fail once alone."""
    broken = [True]

    def fickle(texts):
        return np.array([np.nan if broken and "b" in text else float(len(text)) for text in texts])

    monkeypatch.setattr(letters, "variety", fickle)
    domain = load("letters")
    tokens, truncated = sampling.draw(new_model(seed=1), domain, 40, seeded())
    scorers = [Scorer(domain, weighted_terms(domain, {}), settings=settings_of({})) for _ in range(3)]
    first, second = (keeping.score(scorer, tokens, truncated) for scorer in scorers[:2])
    assert 0 < np.isnan(first.terms["variety"]).sum() < 40
    np.testing.assert_array_equal(first.terms["variety"], second.terms["variety"])
    np.testing.assert_array_equal(first.scored, second.scored)
    assert scorers[0].failed == scorers[1].failed != []
    broken.clear()
    third = keeping.score(scorers[2], tokens, truncated)
    assert not np.isnan(third.terms["variety"][third.valid]).any()
    known = ~np.isnan(first.terms["variety"])
    np.testing.assert_array_equal(first.terms["variety"][known], third.terms["variety"][known])


def test_nothing_is_kept_of_a_domain_that_is_not_an_installed_one(prior, kept_here):
    class Mine(LettersDomain):
        pass

    tune(Mine(), prior=prior, folder="run", **TINY)
    assert not kept_here.exists()


def test_a_measure_that_fails_is_not_kept_and_is_unknown_by_its_names(prior, kept_here, monkeypatch):
    domain, texts = load("letters"), ["ab", "a", None]
    first = keeping.measured(domain, texts)
    (file,) = kept_here.iterdir()

    def broken(self, texts):
        raise ValueError("no")

    monkeypatch.setattr(LettersDomain, "measure", broken)
    again = load("letters")
    assert [m.name for m in keeping.measured(again, texts)] == [m.name for m in first]
    assert [m.name for m in keeping.measured(again, ["a"])] == [m.name for m in first]  # unknown, by name
    assert len(again.complaints) == 1
    assert list(kept_here.iterdir()) == [file]


def test_a_failure_of_a_term_keeps_nothing(kept_here):
    domain = load("letters")
    scorer = Scorer(domain, weighted_terms(domain, {}))
    with pytest.raises(UserError), keeping.answers(scorer, ["a"]):
        raise UserError("stopped")
    assert not kept_here.exists()


def test_the_oldest_files_go(kept_here, monkeypatch):
    monkeypatch.setattr(keeping, "FILES", 3)
    domain = load("letters")
    for n in range(1, 6):
        keeping.draw(new_model(seed=1), domain, n, seeded())
    assert len(list(kept_here.glob("table-*"))) == 3
    other = Path(kept_here) / "base-of-another-kind"
    other.write_text("")
    keeping.draw(new_model(seed=1), domain, 9, seeded())
    assert other.exists()
