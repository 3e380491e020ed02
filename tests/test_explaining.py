"""An item explained: every figure adds up to what the scorer and the models say of the whole."""

from __future__ import annotations

import csv
import json
import re
from contextlib import closing

import numpy as np
import pytest
import torch
from beads import BeadsDomain
from click.testing import CliRunner
from letters import new_model

from seqtutor import SequenceTerm, UserError, load, tune
from seqtutor.cli import main
from seqtutor.plugin.guard import Guarded
from seqtutor.priors.sampling import logp_of
from seqtutor.rewards.reward import Reward
from seqtutor.runs.drawing import open_model
from seqtutor.runs.explaining import credit, explain
from seqtutor.runs.report import render
from seqtutor_music.rules import PRESETS

WEIGHTS = {rule.values.__name__: rule.weight for rule in PRESETS["default"]}
TUNE = "C4 - - - E4 - - - G4 - - . - F#4 C5 - | B4 - - - - - - - C5 - - - - - - -"


@pytest.fixture(scope="module")
def explained():
    source = open_model("music", {"bars": 2})
    scorer = source.scorer()
    return source, scorer, explain(source, scorer, TUNE)


def test_the_parts_add_up_to_the_whole(explained):
    source, scorer, found = explained
    ids = torch.tensor([source.domain.vocabulary.encode(source.domain.encode(TUNE))])
    scores = scorer.of_texts([found.text], ids.numpy())
    assert sum(part.total for part in found.parts) == pytest.approx(found.reward)
    assert sum(found.steps) == pytest.approx(found.reward)
    assert found.reward == pytest.approx(scores.totals[0])
    assert found.prior_logp == pytest.approx(float(logp_of(source.prior, ids).sum()), abs=1e-4)
    assert found.logp is None
    for term in scorer.terms:
        if term.counts:
            paid = sum(part.paid[term.name] for part in found.parts)
            assert paid == pytest.approx(term.weight * scores.terms[term.name][0], abs=1e-9), term.name


def test_a_rule_charges_the_note_that_breaks_it(explained):
    _, _, found = explained
    assert [part.name for part in found.parts] == [
        "1:1 C4", "1:2 E4", "1:3 G4", "1:3.75 rest", "1:4.25 F#4", "1:4.5 C5", "2:1 B4", "2:3 C5",
    ]  # fmt: skip
    assert {part.name: part.paid["key"] for part in found.parts if part.paid["key"]} == {"1:4.25 F#4": -WEIGHTS["key"]}
    assert {part.name for part in found.parts if part.paid["cadence"] > 0} == {"2:3 C5"}


def test_where_all_terms_are_of_the_whole_a_token_is_worth_what_the_model_makes_of_it(tmp_path):
    """The sum over an item and its end is c log(pi/p): R - c log Z for a policy that is the optimum."""
    run = tune("molecules", updates=2, rollouts=16, samples=4, temperature=0.05, folder=str(tmp_path / "run"))
    source = open_model(run.folder)
    with closing(source.scorer()) as scorer:
        found = explain(source, scorer, "CC(=O)Nc1ccc(Br)cc1")
    end = found.parts[-1]
    whole = 0.05 * (found.logp - found.prior_logp)
    assert sum(found.steps) == pytest.approx(whole - 0.05 * (end.logp - end.prior_logp), abs=1e-6)
    assert "".join(part.name for part in found.parts[:-1]) == found.text
    picture = source.domain.coloured(found.text, [0.0, 0.2, -0.1, *[0.0] * (len(found.steps) - 3)])
    assert picture.count("<ellipse") == 1  # what stands behind an atom counts for it
    assert picture.count("fill:#3B7DD8") == 1


def test_the_picture_shows_what_each_note_earned(explained):
    source, _, found = explained
    svg = source.domain.coloured(found.text, found.steps)
    told = [float(value) for value in re.findall(r"<title>([-+]\d+\.\d\d)</title>", svg)]
    notes = [part.total for part in found.parts if "rest" not in part.name]
    rest = found.parts[3].total  # what a rest earns is shown by the note before it
    notes[2] += rest
    assert told == pytest.approx(notes, abs=0.005)


def test_a_molecule_is_explained_token_by_token_with_its_end_and_its_scores():
    source = open_model("molecules")
    with closing(source.scorer()) as scorer:
        found = explain(source, scorer, "OCC")
    assert found.text == "CCO"
    assert [part.name for part in found.parts] == ["C", "C", "O", "end"]
    assert "qed" in found.whole
    assert all(part.prior_logp < 0 for part in found.parts)


def test_the_command_prints_a_table_and_writes_the_rest_beside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two.txt").write_text("G4 - - -\nD4 - F4 -\n")
    result = CliRunner().invoke(main, ["explain", "music", "two.txt", "--tonic", "G", "--output", "out"])
    assert result.exit_code == 0, result.output
    assert "1:1 G4" in result.output
    cadence, repose = WEIGHTS["cadence"], 1.5 * WEIGHTS["repose"]  # G is the tonic
    assert f"cadence +{cadence:.2f}" in result.output
    assert f"repose +{repose:.2f}" in result.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0001.svg", "0002.svg", "explained.csv"]
    rows = list(csv.DictReader((tmp_path / "out" / "explained.csv").read_text().splitlines()))
    assert [(row["item"], row["part"]) for row in rows] == [
        ("1", "1:1 G4"), ("1", "G4 - - -"), ("2", "1:1 D4"), ("2", "1:1.5 F4"), ("2", "D4 - F4 -"),
    ]  # fmt: skip
    assert float(rows[3]["term.key"]) == -WEIGHTS["key"]


def test_an_option_of_another_domain_is_told_as_such():
    result = CliRunner().invoke(main, ["explain", "molecules", "CCO", "--bars", "4"])
    assert result.exit_code == 2
    assert "No such option '--bars': it is one of domain music." in result.output


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["music", "C4 - X9"], "event 3 is 'X9'"),
        (["molecules", "missing.smi"], "nor is there a file of that name"),
        (["nothing", "C4"], "no prior is called 'nothing'"),
        (["music", "C4", "--tonic", "H"], "unknown tonic 'H'"),
    ],
)
def test_a_mistake_is_one_line(args, said):
    result = CliRunner().invoke(main, ["explain", *args])
    assert result.exit_code == 1
    assert said in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_a_page_draws_each_sample_as_explain_does(tmp_path):
    """By what was paid, what each term is made of, and what the tuned model wants: the same figures in both."""
    run = tune("music", updates=2, rollouts=8, samples=12, options={"bars": 1}, folder=tmp_path / "run")
    credit, page = json.loads((run.folder / "credit.json").read_text()), (run.folder / "report.html").read_text()
    source = open_model(run.folder)
    with closing(source.scorer()) as scorer:
        for text, told in credit.items():
            found = explain(source, scorer, text)
            assert told["paid"] == pytest.approx(found.steps, abs=1e-4)
            gap = [source.temperature * (part.logp - part.prior_logp) for part in found.parts]
            assert sum(told["wanted"]) == pytest.approx(sum(gap), abs=2e-3)
            coloured = source.domain.coloured(text, told["paid"])
            assert re.findall(r"<title>.*?</title>", coloured)[0] in page
    assert page.count("Blue: paid; orange: charged") == page.count("What the tuned model wants beyond") > 6


def test_molecules_say_what_their_terms_are_made_of(tmp_path):
    tune("molecules", updates=1, rollouts=8, samples=8, folder=tmp_path / "run", weights={"logp": 0.01})
    page = (tmp_path / "run" / "report.html").read_text()
    assert "<p>qed: molecular weight " in page
    assert "What makeability is made of: blue adds, orange takes away." in page
    result = CliRunner().invoke(main, ["explain", str(tmp_path / "run"), "COc1ccccc1", "--output", str(tmp_path / "x")])
    assert result.exit_code == 0, result.output
    assert "qed: molecular weight " in result.output
    names = sorted(path.name for path in (tmp_path / "x").glob("*.svg"))
    assert names == [f"0001{name}.svg" for name in ("-logp", "-makeability", "-saturation", "")]
    rows = list(csv.DictReader((tmp_path / "x" / "explained.csv").read_text().splitlines()))
    assert sum(float(row["adds.logp"] or 0) for row in rows) == pytest.approx(float(rows[-1]["term.logp"]), abs=1e-4)


@pytest.mark.parametrize("wrong", ["nothing", [1.0], {"a": "b"}, [float("nan")] * 6])
def test_what_a_term_says_that_it_is_made_of_is_looked_at(wrong):
    term = SequenceTerm("length", 1.0, "its length", "", lambda texts: np.ones(len(texts)), parts=lambda text: wrong)
    domain = Guarded(type("Made", (BeadsDomain,), {"terms": lambda self: [term]})())
    with pytest.raises(UserError, match="domain 'beads', term 'length', parts: "):
        domain.terms()[0].parts("rgbrgb")


@pytest.mark.parametrize("odd", ['{"a": 1}', "[]", '{"C4 - - -": {"wanted": "x"}}', "{"])
def test_somebody_elses_file_of_credits_is_refused_in_a_line(tmp_path, odd):
    with pytest.raises(UserError):
        page_with(tmp_path, odd)


@pytest.mark.parametrize("odd", ["[1e999, 2, 3, 4]", "[1]", "[1, null, 3, 4]"])
def test_what_is_no_number_for_each_token_is_not_drawn(tmp_path, odd):
    assert "Blue" not in page_with(tmp_path, f'{{"C4 - - -": {{"paid": {odd}}}}}')
    assert "Blue" in page_with(tmp_path, '{"C4 - - -": {"paid": [1, 2, 3, 4]}}')


def page_with(folder, text):
    (folder / "config.toml").write_text('domain = "music"\n')
    (folder / "samples.csv").write_text("number,model,text,reward,file\n1,policy,C4 - - -,1.0,1\n")
    (folder / "credit.json").write_text(text)
    return render(folder, load("music", {"bars": 1}))


def test_a_plugin_that_cannot_say_what_a_term_is_made_of_costs_that_and_not_the_runs_end():
    def fails(text):
        raise KeyError(text)

    term = SequenceTerm("length", 1.0, "its length", "", lambda texts: np.ones(len(texts)), parts=fails)
    domain = Guarded(type("Made", (BeadsDomain,), {"terms": lambda self: [term]})())
    model = new_model(vocabulary=domain.vocabulary)
    found = credit(domain, Reward(domain.terms()), model, model, 1.0, ["rgbrgb"])
    assert found == {"rgbrgb": {"wanted": [0.0] * 6}}
    assert domain.complaints[0].startswith("domain 'beads', term 'length', parts: KeyError: 'rgbrgb'")
