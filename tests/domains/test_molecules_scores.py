"""What molecules are worth, alone and as a set: against known values, other routes to them, and invariants."""

import json
import math
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem, RDConfig, rdBase
from rdkit.Chem import AllChem, Crippen, Descriptors, FilterCatalog

from seqtutor import SequenceTerm
from seqtutor_molecules import MoleculesDomain, Options, measures, properties
from seqtutor_molecules import real as remake
from seqtutor_molecules.corpus import corpus, known
from seqtutor_molecules.filters import passes_brenk, passes_pains
from seqtutor_molecules.structures import neighbourhoods, ring_systems

DOMAIN = MoleculesDomain()
TERMS = {term.name: term for term in DOMAIN.terms()}
ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
CAFFEINE = "Cn1c(=O)c2c(ncn2C)n(C)c1=O"
IBUPROFEN = "CC(C)Cc1ccc([C@H](C)C(=O)O)cc1"
MORPHINE = "CN1CC[C@]23c4c5ccc(O)c4O[C@H]2[C@@H](O)C=C[C@H]3[C@H]1C5"


@pytest.fixture(scope="module")
def some():
    return DOMAIN.corpus()[::2500]


def figures(texts):
    return {measure.name: measure for measure in DOMAIN.measure(texts)}


def value(name, text):
    return float(TERMS[name].values([text])[0])


# --- terms


def test_every_term_is_of_whole_molecules_and_says_what_it_is():
    for term in TERMS.values():
        assert isinstance(term, SequenceTerm)
        assert term.summary
        assert term.source
        assert term.invalid == 0.0


def test_known_values_of_aspirin():
    """QED .55 and SA 1.58 are RDKit's much quoted ones, the weight is that of C9H8O4, logP from Crippen's table."""
    assert value("qed", ASPIRIN) == pytest.approx(0.550, abs=5e-4)
    assert properties.sa(ASPIRIN) == pytest.approx(1.58, abs=5e-3)
    assert value("makeability", ASPIRIN) == pytest.approx((10 - 1.58) / 9, abs=1e-3)
    assert value("molecular_weight", ASPIRIN) == pytest.approx(9 * 12.011 + 8 * 1.008 + 4 * 15.999, abs=2e-2)
    assert value("logp", ASPIRIN) == pytest.approx(1.31, abs=5e-3)


def test_qed_by_its_published_formula():
    """Bickerton's desirability functions, coefficients from the paper's table, on properties counted by hand."""
    table = [  # a, b, c, d, e, f, dmax and the weight of each property
        (2.817065973, 392.5754953, 290.7489764, 2.419764353, 49.22325677, 65.37051707, 104.9805561, 0.66),
        (3.172690585, 137.8624751, 2.534937431, 4.581497897, 0.822739154, 0.576295591, 131.3186604, 0.46),
        (2.948620388, 160.4605972, 3.615294657, 4.435986202, 0.290141953, 1.300669958, 148.7763046, 0.05),
        (1.618662227, 1010.051101, 0.985094388, 0.000000001, 0.713820843, 0.920922555, 258.1632616, 0.61),
        (1.876861559, 125.2232657, 62.90773554, 87.83366614, 12.01999824, 28.51324732, 104.5686167, 0.06),
        (0.010000000, 272.4121427, 2.558379970, 1.565547684, 1.271567166, 2.758063707, 105.4420403, 0.65),
        (3.217788970, 957.7374108, 2.274627939, 0.000000001, 1.317690384, 0.375760881, 312.3372610, 0.48),
        (0.010000000, 1199.094025, -0.09002883, 0.000000001, 0.185904477, 0.875193782, 417.7253140, 0.95),
    ]
    # Ibuprofen: weight, Crippen logP, acceptors, donors, polar surface, rotatable bonds, aromatic rings, alerts
    counted = (206.285, 3.0732, 2, 1, 37.3, 4, 1, 0)
    total = 0.0
    for x, (a, b, c, d, e, f, most, weight) in zip(counted, table, strict=True):
        rise = 1 + math.exp(-(x - c + d / 2) / e)
        fall = 1 + math.exp(-(x - c - d / 2) / f)
        total += weight * math.log((a + b / rise * (1 - 1 / fall)) / most)
    assert value("qed", IBUPROFEN) == pytest.approx(math.exp(total / sum(row[-1] for row in table)), abs=1e-3)


def test_properties_agree_with_rdkits_other_routes(some):
    for text in some:
        mol = Chem.MolFromSmiles(text)
        assert properties.molecular_weight(text) == pytest.approx(Descriptors.MolWt(mol))
        assert properties.logp(text) == pytest.approx(Crippen.MolLogP(mol))


def test_rings_are_counted():
    assert [properties.ring_count(text) for text in ("CCO", ASPIRIN, CAFFEINE, MORPHINE)] == [0, 1, 2, 5]


def test_sa_ranks_as_chemists_do():
    """Benzene, aspirin, morphine: ever harder to make."""
    scores = [properties.sa(text) for text in ("c1ccccc1", ASPIRIN, MORPHINE)]
    assert all(1 <= a < b <= 10 for a, b in pairwise(scores))


@pytest.mark.parametrize(
    ("text", "largest", "penalty"), [("CCO", 0, 0), ("c1ccccc1", 6, 0), ("C1CCCCCC1", 7, -1), ("C1CCCCCCCCC1", 10, -4)]
)
def test_rings_beyond_six_atoms_are_charged(text, largest, penalty):
    assert properties.largest_ring(text) == largest
    assert value("ring_penalty", text) == penalty


@pytest.mark.parametrize(("text", "charge"), [("C" * 11, 0), ("C" * 12, -1), ("C" * 14 + "O" + "C" * 13, -5)])
def test_long_carbon_chains_are_charged(text, charge):
    assert value("carbon_chain", text) == charge


@pytest.mark.parametrize(("length", "charge"), [(18, -1), (19, -0.125), (26, -0.125), (27, 0)])
def test_short_smiles_are_charged(length, charge):
    assert value("shortness", "C" * length) == charge


def test_the_default_reward_lies_between_0_and_1(some):
    assert sum(term.weight for term in TERMS.values()) == pytest.approx(1)
    reward = sum(term.weight * term.values(some) for term in TERMS.values())
    assert reward.min() > 0
    assert reward.max() < 1


def test_the_paper_preset_is_the_papers_reward_of_a_finished_molecule():
    text = "CC" * 8 + "C1CCCCCCC1"
    assert len(text) == 26
    d = -2 * properties.sa(text) + 3 * properties.logp(text) + 5 * -2 + 50 * properties.qed(text)
    expected = 5 + 600 + 10 * d - 25 - 150 * (17 - 11)
    terms = MoleculesDomain(Options(preset="paper")).terms()
    assert sum(term.weight * term.values([text])[0] for term in terms) == pytest.approx(expected)


def test_order_and_company_change_no_value(some):
    order = np.random.default_rng(0).permutation(len(some))
    for term in TERMS.values():
        together = term.values(some)
        assert together.shape == (len(some),)
        assert together.dtype == np.float64
        np.testing.assert_array_equal(term.values([some[i] for i in order]), together[order])
        np.testing.assert_array_equal(term.values(some[:1] * 3), together[[0, 0, 0]])
        assert term.values([]).shape == (0,)


def test_what_cannot_be_computed_is_nan_and_spoils_no_other(capfd):
    values = TERMS["qed"].values([ASPIRIN, "not a molecule", CAFFEINE])
    np.testing.assert_array_equal(np.isnan(values), [False, True, False])
    assert capfd.readouterr() == ("", "")


# --- measures


def test_counts_of_a_set_of_known_molecules():
    known = DOMAIN.corpus()[0]
    found = figures([ASPIRIN, None, ASPIRIN, CAFFEINE, known])
    assert found["valid"].mean == pytest.approx(4 / 5)
    assert found["unique"].mean == pytest.approx(3 / 4)
    assert found["novel"].mean == pytest.approx(2 / 3)
    assert found["scaffolds"].mean == pytest.approx(3 / 4)
    assert found["molecular weight"].mean == pytest.approx(
        np.mean([properties.molecular_weight(text) for text in (ASPIRIN, ASPIRIN, CAFFEINE, known)])
    )
    assert found["largest ring"].mean == 6


def test_the_corpus_is_not_novel(some):
    assert figures(some[:20])["novel"].mean == 0


def test_what_nobody_asked_for_stands_beside_what_the_corpus_has_of_it(some):
    found = {name: m for name, m in figures(some).items() if m.better == "near"}
    assert list(found) == [
        "Fsp3", "charged", "with stereocentres", "TPSA", "H-bond donors", "H-bond acceptors",
        "rotatable bonds", "amide bonds", "rare ring systems",
    ]  # fmt: skip
    assert set(found) == set(measures.real())
    assert not set(figures(some[:2])) & set(TERMS)  # a figure and a term of one name would share a row
    for name, measure in found.items():
        assert measure.reference == measures.real()[name]
        assert abs(measure.mean - measure.reference) < 2.5 * measure.halfwidth, name
    two = figures([ASPIRIN, "C[C@H](N)C(=O)[O-]", None])
    assert (two["charged"].mean, two["with stereocentres"].mean, two["H-bond donors"].mean) == (0.5, 0.5, 1.0)


def test_what_the_corpus_has_can_be_made_anew(some, monkeypatch, tmp_path):
    monkeypatch.setattr(remake, "REAL", tmp_path / "real.json")
    monkeypatch.setattr(remake, "RINGS", tmp_path / "rings.txt")
    monkeypatch.setattr(remake, "NEIGHBOURHOODS", tmp_path / "neighbourhoods.txt")
    once = "C1CC2(C1)OC21CCCCC1"
    monkeypatch.setattr(remake, "corpus", lambda: [*(text for text in some for _ in range(10)), once])
    remake.main()
    made = json.loads((tmp_path / "real.json").read_text())
    assert made == {name: round(figures([*some, once])[name].mean, 4) for name in measures.real()}
    written = (tmp_path / "rings.txt").read_text().split()
    assert written[0] == "c1ccccc1"  # benzene is the commonest
    assert set(written) == {system for text in some for system in ring_systems(text)}  # not what stands there once
    written = (tmp_path / "neighbourhoods.txt").read_text().split()
    assert written[0] == "cH1@(:c)(:c)"
    assert set(written) == {atom for text in some for atom in neighbourhoods(text)}


def test_rare_is_a_ring_system_that_hardly_any_molecule_of_the_corpus_has(some):
    assert figures(some)["rare ring systems"].mean < 0.03
    odd = "C1CC2(C1)OC21CCCCC1"
    assert ring_systems(odd) == ["C1CCC2(CC1)OC21CCC1"]
    two = figures([odd, ASPIRIN, odd + "C", None])
    assert two["rare ring systems"].mean == pytest.approx(2 / 3)
    assert ring_systems("CCO") == []


def test_odd_is_an_atom_that_hardly_any_molecule_of_the_corpus_has_so_bonded(some):
    drugs = Path("examples/molecules.smi").read_text().split()
    assert np.mean([properties.odd_atoms(text) > 0 for text in some]) < 0.01
    assert np.mean([properties.odd_atoms(text) > 0 for text in drugs]) < 0.05
    for odd, bonded in {
        "C=S": "CH2(=S)",
        "CC(C)=C=C=N": "C(=C)(=C)",
        "CN(F)S(C)(=O)=O": "F(-N)",
        "NS(=O)(=O)Sc1ccccc1": "S(-N)(-S)(=O)(=O)",
        "CO->[Fe]": "OH1(-C)(~Fe)",
    }.items():
        assert properties.odd_atoms(odd) > 0
        assert bonded in neighbourhoods(odd)
    two = figures(["C=S", ASPIRIN, CAFFEINE, None])
    assert two["odd atoms"].mean == pytest.approx(1 / 3)


def test_measures_do_not_care_for_the_order(some):
    texts = [*some[:30], None, *some[:5], None]
    shuffled = [texts[i] for i in np.random.default_rng(1).permutation(len(texts))]
    for one, other in zip(DOMAIN.measure(texts), DOMAIN.measure(shuffled), strict=True):
        assert other.name == one.name
        assert other.mean == pytest.approx(one.mean)


def test_every_measure_has_one_entry_an_item(some):
    for texts in ([*some[:5], None], [None, None], [ASPIRIN], []):
        for measure in DOMAIN.measure(texts):
            assert measure.values.shape == measure.weights.shape == (len(texts),), measure.name
            assert np.isfinite(measure.values).all()
            assert (measure.values[[text is None for text in texts]] == 0).all()


def test_nothing_valid_is_no_figure_but_the_share_of_valid():
    found = figures([None, None])
    assert found.pop("valid").mean == 0
    assert all(math.isnan(measure.mean) for measure in found.values())


def test_a_molecule_that_defeats_a_property_is_left_out_of_its_mean(monkeypatch):
    def failing(text):
        if text == CAFFEINE:
            raise ValueError
        return 1.0

    monkeypatch.setattr(measures, "PROPERTIES", (("QED", failing, "higher", ""),))
    assert figures([ASPIRIN, CAFFEINE, None])["QED"].mean == 1


def test_diversity_is_the_mean_distance_of_all_pairs(some):
    texts = some[:25]
    with rdBase.BlockLogs():
        bits = [set(AllChem.GetMorganFingerprintAsBitVect(Chem.MolFromSmiles(t), 2, 2048).GetOnBits()) for t in texts]
    expected = 1 - np.mean([len(a & b) / len(a | b) for a, b in combinations(bits, 2)])
    assert figures(texts)["diversity"].mean == pytest.approx(expected)
    assert figures([ASPIRIN] * 3)["diversity"].mean == 0


def test_the_interval_of_diversity_is_the_jackknifes(some):
    leave_one_out = [measures._diversity(some[:i] + some[i + 1 : 40]).mean for i in range(40)]
    spread = np.sqrt(39 / 40 * np.sum((leave_one_out - np.mean(leave_one_out)) ** 2))
    assert measures._diversity(some[:40]).halfwidth == pytest.approx(1.96 * spread, rel=0.05)


def test_diversity_of_many_is_that_of_a_stated_sample(some, monkeypatch):
    monkeypatch.setattr(measures, "DIVERSITY_SAMPLE", 10)
    whole = figures([*some[:50], None])["diversity"]
    assert whole.weights.sum() == 10
    assert "10 valid samples" in whole.summary
    assert whole.mean == pytest.approx(figures(some[:50:5])["diversity"].mean)


@pytest.mark.parametrize(("name", "passes"), [("PAINS", passes_pains), ("BRENK", passes_brenk)])
def test_filters_agree_with_rdkits_catalogue(name, passes):
    """On molecules that were screened for interference, a tenth of which hit."""
    catalogues = FilterCatalog.FilterCatalogParams.FilterCatalogs
    catalogue = FilterCatalog.FilterCatalog(FilterCatalog.FilterCatalogParams(getattr(catalogues, name)))
    lines = Path(RDConfig.RDDataDir, "Pains", "test_data", "wehi_mols.csv").read_text().splitlines()[:2000:10]
    texts = [line.split(",")[0].strip('"') for line in lines]
    with rdBase.BlockLogs():
        expected = [not catalogue.HasMatch(Chem.MolFromSmiles(text)) for text in texts]
    assert 5 < expected.count(False) < len(expected) - 5
    assert [passes(text) for text in texts] == expected


def test_natural_products_score_above_synthetic_drugs_and_nothing_is_printed(capfd):
    natural = [
        "CC12CCC3c4ccc(O)cc4CCC3C1CCC2O",
        "OC[C@H]1OC(O)[C@H](O)[C@@H](O)[C@@H]1O",
        "O=c1cc(-c2ccc(O)cc2)oc2cc(O)cc(O)c12",
    ]
    drugs = ["Cc1ccc(-c2cc(C(F)(F)F)nn2-c2ccc(S(N)(=O)=O)cc2)cc1", "CN1CCN(c2ccc(Cl)cc2)CC1"]
    (term,) = [t for t in MoleculesDomain().terms() if t.name == "np_likeness"]
    assert term.values(natural).min() > 0.5 > 0 > term.values(drugs).max()
    assert capfd.readouterr() == ("", "")


def test_the_fragments_of_sa_are_found_as_in_rdkits_own_dictionary():
    """We keep them in a sixth of the memory; what RDKit's code asks of them must still be answered."""
    scorer = properties._contributed("SA_Score", "sascorer")
    scorer.readFragmentScores()
    ours = vars(properties._sascorer())["_fscores"]
    some = [*list(scorer._fscores)[::5000], 0, 1, 2**32 - 1]
    assert [ours.get(key, -4) for key in some] == [scorer._fscores.get(key, -4) for key in some]
    for smiles in ("CC(=O)Oc1ccccc1C(=O)O", "C1CC2CCC1C2", "FC(F)(F)S(=O)(=O)N=C1C=CN1"):
        assert properties.sa(smiles) == scorer.calculateScore(Chem.MolFromSmiles(smiles))


def test_molecules_are_found_in_the_corpus_by_their_hashes():
    lines = corpus()
    others = [line[::-1] for line in lines[:300]]
    asked = [*lines[::2000], lines[-1], *others, ""]
    whole = set(lines)
    assert known(asked).tolist() == [text in whole for text in asked]
    assert known([]).tolist() == []
