"""Terms that a profile makes for itself: similarity, substructures, alerts, formulas; and terms as filters."""

import math
import os
from contextlib import closing

import numpy as np
import pytest

from seqtutor import UserError, load
from seqtutor.rewards.scorer import Scorer
from seqtutor.rewards.terms import settings_of, weighted_terms

DOMAIN = load("molecules")
ASPIRIN, BENZENE, PHENOL, ETHANOL = "CC(=O)Oc1ccccc1C(=O)O", "c1ccccc1", "Oc1ccccc1", "CCO"
AMIDE = "CC(=O)Nc1ccc(O)cc1"


def said(texts, **settings):
    """What a term of a kind says of texts."""
    kind = settings.pop("kind")
    return DOMAIN.made("mine", kind, settings).values(texts)


@pytest.mark.parametrize("fingerprint", ["ecfp4", "ecfp6", "fcfp4", "atom_pairs", "path", "pharmacophore"])
def test_similarity_is_the_highest_to_any_of_those_given(fingerprint):
    both = said([ASPIRIN, AMIDE, ETHANOL], kind="similarity", smiles=[ASPIRIN, AMIDE], fingerprint=fingerprint)
    one = said([ASPIRIN, AMIDE, ETHANOL], kind="similarity", smiles=[ASPIRIN], fingerprint=fingerprint)
    assert both[:2].tolist() == [1.0, 1.0]
    assert one[0] == 1.0
    assert 0 <= one[2] < one[1] < 1
    assert both[2] >= one[2]


def test_counts_see_what_bits_do_not():
    long, longer = "C" * 6 + "O", "C" * 12 + "O"
    assert said([longer], kind="similarity", smiles=[long], counts=False)[0] == 1.0
    assert said([longer], kind="similarity", smiles=[long])[0] < 0.8


@pytest.mark.parametrize(("wanted", "values"), [("all", [1, 0, 0]), ("any", [1, 1, 0]), ("none", [0, 0, 1])])
def test_parts_are_asked_for_and_forbidden(wanted, values):
    found = said([ASPIRIN, PHENOL, ETHANOL], kind="substructure", smarts=["c1ccccc1", "C(=O)O"], wanted=wanted)
    assert found.tolist() == values


def test_alerts_of_a_catalogue_and_of_a_file(tmp_path):
    assert said([ASPIRIN, "C=CC(=O)Cl"], kind="alerts", catalogue="BRENK").tolist() == [0.0, 0.0]
    assert said([PHENOL], kind="alerts", catalogue="PAINS").tolist() == [1.0]
    (tmp_path / "mine.csv").write_text("[OH]c,phenol\n\n[Cl],chloride\n")
    assert said([PHENOL, ETHANOL], kind="alerts", catalogue="file", file=str(tmp_path / "mine.csv")).tolist() == [0, 1]


def test_alerts_of_what_is_no_file_hang_nobody(tmp_path):
    os.mkfifo(tmp_path / "mine.csv")
    with pytest.raises(UserError, match="is no file"):
        said([PHENOL], kind="alerts", catalogue="file", file=str(tmp_path / "mine.csv"))


def test_an_isomer_is_one_and_each_atom_too_many_costs():
    values = said(["CCO", "COC", "CCCO", "CCN"], kind="formula", formula="C2H6O")
    assert values[:2].tolist() == [1.0, 1.0]
    # CCCO has one C and two H more, three atoms in all: exp(-(1/2 + 4/2 + 0 + 9/8) / 4)
    assert values[2] == pytest.approx(math.exp(-(0.5 + 2 + 9 / 8) / 4))
    assert values[3] < 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "similar"}, r"kind of term in \[terms\.mine\] 'similar'; did you mean 'similarity'"),
        ({"kind": "similarity"}, r"\[terms\.mine\] needs smiles, a list of at least one"),
        ({"kind": "similarity", "smiles": [ASPIRIN, "C1CC"]}, r"\[terms\.mine\]: SMILES 2 cannot be read: 'C1CC'"),
        ({"kind": "similarity", "smiles": ASPIRIN}, r"smiles in \[terms\.mine\] must be a list of texts"),
        ({"kind": "similarity", "smiles": [ASPIRIN], "fingerprint": "ecfp5"}, "'ecfp5'; did you mean 'ecfp"),
        ({"kind": "similarity", "smile": [ASPIRIN]}, r"key in \[terms\.mine\] 'smile'; did you mean 'smiles'"),
        ({"kind": "substructure", "smarts": ["[C"]}, r"\[terms\.mine\]: SMARTS cannot be read: '\[C'"),
        ({"kind": "similarity", "smiles": ["C" * 5001]}, "SMILES 1: it has 5,001 characters; 5,000 is the most"),
        ({"kind": "substructure", "smarts": ["C" * 5001]}, "SMARTS: it has 5,001 characters; 5,000 is the most"),
        ({"kind": "substructure", "smarts": ["C(" * 2000]}, r"SMARTS cannot be read: '[C(]{57}\.\.\.'$"),
        ({"kind": "alerts", "catalogue": "file"}, 'your own need catalogue = "file" and file'),
        ({"kind": "alerts", "catalogue": "file", "file": "none.csv"}, "cannot read none.csv"),
        ({"kind": "substructure", "smarts": ["[H]"]}, r"SMARTS '\[H\]' has a hydrogen that stands by itself"),
        (
            {"kind": "similarity", "smiles": ["Cc1ccccc1"], "fingerprint": "pharmacophore"},
            "Cc1ccccc1 has no feature of pharmacophore: nothing can be like it",
        ),
        ({"kind": "formula", "formula": "c2h6"}, "must be a sum formula such as"),
        ({"kind": "formula", "formula": "C" + "9" * 400}, "must be a sum formula such as"),
        ({"kind": "formula", "formula": "C" + "9" * 5000}, r"must be a sum formula such as C7H8N2O2, not 'C999.{,60}$"),
    ],
)
def test_a_profile_that_makes_no_term_says_why(settings, message):
    with pytest.raises(UserError, match=message):
        said([ETHANOL], **settings)


def test_a_hydrogen_of_a_pattern_is_one_of_the_atom_beside_it(tmp_path):
    """As atoms they never matched, so that a filter of alerts let everything pass."""
    acid = {"kind": "substructure", "smarts": ["C(=O)O[H]"]}
    assert list(said(["CC(=O)O", "CC(=O)OC"], **acid)) == [1, 0]
    (tmp_path / "mine.csv").write_text("c1ccc(O[H])c(O[#1])c1,catechol\n")
    mine = {"kind": "alerts", "catalogue": "file", "file": str(tmp_path / "mine.csv")}
    assert list(said(["Oc1ccccc1O", "Oc1ccccc1OC"], **mine)) == [0, 1]
    assert list(said(["CCO"], kind="substructure", smarts=["[#6,#1]O"])) == [1]


def test_a_pattern_that_states_a_configuration_asks_for_it():
    alanines = ["C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", "CC(N)C(=O)O"]
    assert list(said(alanines, kind="substructure", smarts=["N[C@@H](C)C(=O)O"])) == [1, 0, 0]
    assert list(said(["C/C=C/C", "C/C=C\\C", "CC=CC"], kind="substructure", smarts=["C/C=C/C"])) == [1, 0, 0]
    assert list(said(alanines, kind="substructure", smarts=["NC(C)C(=O)O"])) == [1, 1, 1]


# --- filters


def scored(texts, tables, weights):
    settings = settings_of(tables)
    terms = [
        term
        for term in weighted_terms(DOMAIN, {"makeability": 0.0, "saturation": 0.0, **weights}, settings)
        if term.counts
    ]
    rows = [DOMAIN.vocabulary.encode(DOMAIN.encode(text)) for text in texts]
    tokens = np.zeros((len(rows), 40), np.int64)
    for row, ids in zip(tokens, rows, strict=True):
        row[: len(ids) + 1] = [*ids, 2]
    with closing(Scorer(DOMAIN, terms, settings=settings)) as scorer:
        return scorer.score(tokens, np.zeros(len(rows), bool))


def test_a_filter_multiplies_the_reward():
    phenol = {"kind": "substructure", "smarts": ["[OH]c"], "filter": True}
    plain = scored([PHENOL, BENZENE], {}, {"qed": 1.0}).totals
    found = scored([PHENOL, BENZENE], {"phenol": phenol}, {"qed": 1.0})
    assert found.totals.tolist() == pytest.approx([plain[0], 0.0])
    assert found.terms["phenol"].tolist() == [1.0, 0.0]


def test_any_term_can_be_a_filter_with_a_transform():
    light = {"transform": {"kind": "step", "high": 90.0}, "filter": True}
    plain = scored([PHENOL, BENZENE], {}, {"qed": 1.0}).totals
    found = scored([PHENOL, BENZENE], {"molecular_weight": light}, {"qed": 1.0}).totals
    assert found.tolist() == pytest.approx([0.0, plain[1]])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"filter": True, "weight": 1.0}, "is a filter and has a weight"),
        ({"filter": "yes"}, "filter in .* must be true or false"),
    ],
)
def test_a_filter_that_is_none_is_refused(table, message):
    with pytest.raises(UserError, match=message):
        settings_of({"molecular_weight": table})


def test_a_filter_needs_a_share():
    with pytest.raises(UserError, match="a filter needs scores from 0 to 1; term 'molecular_weight' gave 94"):
        scored([PHENOL], {"molecular_weight": {"filter": True}}, {"qed": 1.0})
