"""What a chemist met: lists that change, filters turned round, files with odd quotes and names."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from rdkit import Chem

from seqtutor import SequenceTerm, UserError, load, tune
from seqtutor.cli import main
from seqtutor.files import read_toml
from seqtutor.rewards.terms import settings_of, weighted_terms
from seqtutor.rewards.versions import version_of
from seqtutor.runs.hits import ScoredText, best
from seqtutor_molecules import MoleculesDomain

DOMAIN = MoleculesDomain()
TINY = {"updates": 1, "rollouts": 16, "samples": 10, "best_of": 2}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def read(path, text):
    path.write_text(text, encoding="utf-8")
    return [(line.text or line.problem, line.name) for line in DOMAIN.read(path)]


def alerts(tmp_path, text):
    """A term with alerts of a file, and its version."""
    (tmp_path / "al.csv").write_text(text, encoding="utf-8")
    settings = settings_of({"mine": {"kind": "alerts", "catalogue": "file", "file": "al.csv"}})
    domain = load("molecules")
    term = next(term for term in weighted_terms(domain, {}, settings) if term.name == "mine")
    return term, version_of(domain, term, settings)


def test_another_list_of_alerts_is_another_term(tmp_path):
    amide, before = alerts(tmp_path, "C(=O)N,amide\n")
    ring, after = alerts(tmp_path, "c1ccccc1,phenyl\n")
    assert before != after
    assert amide.values(["CC(=O)N", "c1ccccc1"]).tolist() == [0, 1]
    assert ring.values(["CC(=O)N", "c1ccccc1"]).tolist() == [1, 0]
    assert alerts(tmp_path, "c1ccccc1,phenyl\n")[1] == after


def test_a_list_without_alerts_and_one_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"\[terms.mine\]: al.csv holds no alert; a line is a SMARTS"):
        alerts(tmp_path, "\n")
    (tmp_path / "al.csv").unlink()
    settings = settings_of({"mine": {"kind": "alerts", "catalogue": "file", "file": "al.csv"}})
    with pytest.raises(UserError, match=f"cannot read al.csv in {tmp_path}: No such file"):
        weighted_terms(load("molecules"), {}, settings)


@pytest.mark.parametrize(("formula", "element"), [("C6H5CL", "L"), ("Xx3", "Xx"), ("C2A", "A")])
def test_a_formula_has_elements(formula, element):
    settings = settings_of({"f": {"kind": "formula", "formula": formula}})
    with pytest.raises(UserError, match=f"{formula} has '{element}', which is no element"):
        weighted_terms(load("molecules"), {}, settings)


def test_a_filter_that_pays_for_failing_is_refused():
    """Charged molecules rose from a third to nine in ten: they failed the filter, and 0 is more than -0.4."""
    terms = {
        "molecular_weight": {"weight": -0.002, "invalid": 1000.0},
        "charge": {"filter": True, "transform": {"kind": "step", "low": 0, "high": 0}},
    }
    own = {"qed": 0.0, "makeability": 0.0, "saturation": 0.0}
    with pytest.raises(UserError, match="that pass the filters earns less than 0, and one that fails a filter 0"):
        tune("molecules", terms=terms, weights=own, folder="run", **TINY)


def test_what_is_no_item_and_the_sign_of_a_weight():
    with pytest.raises(UserError, match=r"of weight -0.002, gives a sequence that is no item 0, less .* state more"):
        tune("molecules", weights={"molecular_weight": -0.002, "qed": 0.0}, folder="run", **TINY)


def test_a_negative_weight_of_validity_is_no_fault_where_items_earn_more_in_all():
    """As `infer` writes it, to keep what is no item as rare as the prior writes it."""
    weights = {"validity": -1.0, "qed": -0.9, "makeability": 1.8, "saturation": 0.7}
    assert tune("molecules", weights=weights, folder="run", **TINY).folder.is_dir()


def test_a_stage_begins_with_the_update_behind_the_last():
    run = tune("molecules", folder="run", **(TINY | {"updates": 2}))
    tune(resume=run.folder, updates=3, weights={"qed": 1.0})
    assert "from update 3 on other" in json.dumps(read_toml(run.folder / "config.toml")["made_by"])


def test_the_best_for_as_many_calls_where_some_could_not_be_scored():
    def fussy(texts):
        return [None if "F" in text or "Cl" in text else float(len(text)) / 100 for text in texts]

    with pytest.warns(UserWarning, match="failures to score a text stand in .*run"):
        run = tune("molecules", terms={"mine": fussy}, failures=0.9, folder="run", **(TINY | {"rollouts": 32}))
    with (run.folder / "scored.csv").open(encoding="utf-8") as file:
        known = sorted((float(row["reward"]) for row in csv.DictReader(file) if row["reward"]), reverse=True)
    best_scored, calls = run.summary["best_scored"], run.summary["oracle_calls"]
    assert len(known) < calls
    assert best_scored["items"] == min(round(calls / 2), len(known))
    assert best_scored["reward"] == pytest.approx(sum(known[: best_scored["items"]]) / best_scored["items"], abs=1e-5)


def test_what_is_possible_is_what_can_be_written(tmp_path):
    settings = settings_of({"s": {"kind": "similarity", "smiles": ["CCO"], "radius": 2}})
    with pytest.raises(UserError, match=r"'radius'.* \(there are: counts, fingerprint, smiles\)"):
        weighted_terms(load("molecules"), {}, settings)


def test_a_quote_that_is_never_closed_is_told(tmp_path):
    path = tmp_path / "a.csv"
    with pytest.raises(UserError, match=r"a.csv:3 has a quote that is never closed"):
        read(path, 'smiles,name\nCCO,a\nCCN,"5-inch\nCCC,b\nCCCC,c\n')
    assert read(path, 'smiles,name\nCCO,"a\nb"\nCCN,"c"\n') == [("CCO", "a\nb"), ("CCN", "c")]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("SMILES\tName\nCCO\tacetic acid ethyl\n", [("CCO", "acetic acid ethyl")]),
        ("CCO\tacetic acid ethyl\n", [("CCO", "acetic acid ethyl")]),
        ("CCO acetic acid ethyl\nCCN\n", [("CCO", "acetic acid ethyl"), ("CCN", "")]),
        ("C[C@H](N)O |o1:1| nicotine\n", [("C[C@H](N)O", "nicotine")]),
    ],
)
def test_a_name_keeps_its_words(tmp_path, text, found):
    assert read(tmp_path / "a.smi", text) == found


def test_the_column_that_is_called_smiles_is_taken(tmp_path):
    text = "idx,smiles_canonical,reference smiles,smiles\n1,C,CC,CCO\n2,C,CC,CCN\n"
    assert [item for item, _ in read(tmp_path / "a.csv", text)] == ["CCO", "CCN"]


def test_what_has_no_scaffold_is_no_family():
    found = [
        ScoredText(text, "" if text[0] == "C" else "ring", 1.0, "", {}) for text in ("CC", "CCC", "CCCC", "x", "y", "z")
    ]
    assert [item.text for item in best(load("molecules"), found, 10, 2)] == ["CC", "CCC", "CCCC", "x", "y"]


def test_families_are_of_one_scaffold_one_topology_or_near_scaffolds():
    """Aspirin and a pyridine share six rings of one; of three amides two are nearer to each other than a half."""
    amides = ["O=C(Nc1ccccc1)c1ccccc1", "O=C(Nc1ccccc1)c1ccccn1", "O=C(NC1CCNC1)C1CC1"]
    of = {family: load("molecules", {"family": family}).family for family in ("scaffold", "topology", "similar")}
    assert of["scaffold"]("CC(=O)Oc1ccccc1C(=O)O") == "c1ccccc1" != of["scaffold"]("Cc1ccncc1")
    assert of["topology"]("CC(=O)Oc1ccccc1C(=O)O") == "C1CCCCC1" == of["topology"]("Cc1ccncc1")
    assert [of["topology"](smiles) for smiles in amides[:2]] == ["C1CCC(CCC2CCCCC2)CC1"] * 2
    assert {of[family]("CCO") for family in of} == {""}
    near = load("molecules", {"family": "similar", "similar": 0.5})
    assert [near.akin(of["similar"](smiles), amides[:1]) for smiles in amides] == [*amides[:1] * 2, amides[2]]
    assert near.akin(amides[1], []) == amides[1] == load("molecules").akin(amides[1], amides[:1])
    assert near.akin(amides[1], amides) == amides[1]  # its own is the nearest


def test_hits_of_a_library_are_called_what_they_are_called_there(tmp_path, monkeypatch):
    """They are to be ordered by that name; one without a name is called by the folder and its number."""
    monkeypatch.chdir(tmp_path)
    Path("a.smi").write_text("CC(=O)Oc1ccccc1C(=O)O Z1 aspirin\nc1ccc2[nH]ccc2c1\n")
    result = CliRunner().invoke(main, ["score", "a.smi", "--domain", "molecules", "--output", "scored"])
    assert result.exit_code == 0, result.output
    lines = Path("scored/hits/molecules.smi").read_text().splitlines()
    assert sorted(line.partition(" ")[2] for line in lines) == ["Z1 aspirin", "scored-2"]
    with Chem.SDMolSupplier("scored/hits/molecules.sdf") as found:
        assert {mol.GetProp("_Name"): mol.HasProp("reward") for mol in found} == {"Z1 aspirin": 1, "scored-2": 1}


def test_a_long_line_of_a_list_says_so(tmp_path):
    (tmp_path / "a.csv").write_text("smiles\n" + "C" * 200_000, encoding="utf-8")
    result = CliRunner().invoke(main, ["score", "a.csv", "--domain", "molecules"])
    assert result.exit_code == 1
    assert "a.csv:2 is longer than 131,072 characters" in result.output


def test_a_config_says_each_weight_once_and_a_stage_may_make_a_term_a_filter():
    """A weight that was edited in [terms.NAME] did nothing: the same stood under [weights]."""
    run = tune("molecules", terms={"logp": {"weight": 0.5}}, folder="run", **TINY)
    config = read_toml(run.folder / "config.toml")
    assert config["weights"]["logp"] == 0.5
    assert "weight" not in config["terms"].get("logp", {})
    Path("stage.toml").write_text(
        "[terms.logp]\nfilter = true\ntransform = {kind = 'step', low = 0, high = 5}\n", encoding="utf-8"
    )
    result = CliRunner().invoke(main, ["train", "--resume", "run", "--config", "stage.toml", "--updates", "2"])
    assert result.exit_code == 0, result.output
    assert read_toml(run.folder / "config.toml")["terms"]["logp"]["filter"] is True


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.smi", 'CCO a,"b\nCCC c\nCCN d\n'),
        ("a.smi", 'CCO\t"open\nCCC\tc\nCCN\td\n'),
    ],
)
def test_a_quote_in_a_name_of_a_list_is_a_letter(tmp_path, name, text):
    assert [item for item, _ in read(tmp_path / name, text)] == ["CCO", "CCC", "CCN"]


def test_a_filter_is_not_judged_by_a_few_that_pass():
    from seqtutor.rewards.reward import Reward, Scores

    pay = SequenceTerm("pay", 1.0, "", "", lambda texts: np.ones(len(texts)))
    reward = Reward([pay, SequenceTerm("x", 0.0, "", "", lambda texts: np.ones(len(texts)), filter=True)])

    def check(paid, passed):
        values, real = np.stack([paid, passed], -1)[:, None], np.ones((128, 1), bool)
        flags = np.ones(128, bool), np.zeros(128, bool)
        reward.check(Scores(["CCO"] * 128, values, reward(values, real, real[:, 0]), *flags, np.ones(128), {}))

    first = np.arange(128) < 64
    check(np.array([0.0] * 127 + [-0.1]), np.array([0.0] * 127 + [1.0]))
    check(np.array([-1.0] * 60 + [0.0] * 68), np.ones(128))
    with pytest.raises(UserError, match="each of the first 64 items"):
        check(np.where(first, -1.0, 0.0), first.astype(float))
