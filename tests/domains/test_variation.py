"""Optional hooks of the shipped domains: variations, other spellings, families."""

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import rdBase
from scipy.stats import chi2_contingency

from seqtutor import Domain, Undecodable, load
from seqtutor_molecules import variation as molecules_variation
from seqtutor_molecules.smiles import MAX_LENGTH
from seqtutor_music import MusicDomain
from seqtutor_music.domain import MusicOptions
from seqtutor_music.events import VOCABULARY, batch
from seqtutor_music.paper import key
from seqtutor_music.variation import copy_bar, invert, move_note, transpose

MUSIC, MOLECULES = MusicDomain(), load("molecules")
SMILES = tuple(
    MOLECULES.decode(MOLECULES.encode(text))
    for text in (
        "CC(=O)Oc1ccccc1C(=O)O",
        "C[C@H]1C[C@@H](C)CN(C(=O)/C=C/c2ccc3[nH]c(=O)n(C)c3c2)C1",
        "CCCCCCO",
        "C[NH+]1CC[C@]2(CC1)N=c1cc(S(=O)(=O)[N-]C(F)(F)F)ccc1=[NH+]2",
        "Cn1c(=O)c2c(ncn2C)n(C)c1=O",
        "C",
    )
)
seeds = st.integers(0, 2**32)
melodies = st.lists(st.sampled_from(VOCABULARY.own), min_size=1, max_size=64).map(MUSIC.decode)
molecules = st.lists(st.sampled_from(SMILES), min_size=1, max_size=4)


def rng(seed):
    return np.random.default_rng(seed)


def check_variations(domain, texts, seed):
    varied = domain.vary(texts, rng(seed))
    assert varied == domain.vary(texts, rng(seed))
    assert len(set(varied) - set(texts)) == len(varied) <= len(texts)
    for text in varied:
        tokens = domain.encode(text)
        assert domain.decode(tokens) == text
        assert domain.vocabulary.encode(tokens)
    return varied


@settings(max_examples=60, deadline=None)
@given(st.lists(melodies, max_size=4), seeds)
def test_variations_of_melodies_are_other_melodies_as_long(texts, seed):
    lengths = {len(text.split()) for text in texts}
    for text in check_variations(MUSIC, texts, seed):
        assert len(text.split()) in lengths


@settings(max_examples=30, deadline=None)
@given(molecules, seeds)
def test_variations_of_molecules_are_other_molecules_that_the_model_could_write(texts, seed):
    for text in check_variations(MOLECULES, texts, seed):
        assert len(MOLECULES.encode(text)) < MAX_LENGTH


def test_most_attempts_succeed():
    texts = MOLECULES.corpus()[:60:2]
    assert len(MOLECULES.vary(texts, rng(0))) > 0.8 * len(texts)
    melody = MUSIC.decode(["C4", "-", "E4", "-", "G4", "E4", "D4", "-"] * 8)
    assert len(MUSIC.vary([melody] * 40, rng(0))) > 20


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SMILES), seeds)
def test_a_molecule_in_other_words_is_the_same_molecule(text, seed):
    tokens = MOLECULES.rewrite(text, rng(seed))
    assert tokens == MOLECULES.rewrite(text, rng(seed))
    assert MOLECULES.decode(tokens) == text
    assert MOLECULES.vocabulary.encode(tokens)


def test_other_words_differ():
    text = SMILES[1]
    spellings = {"".join(MOLECULES.rewrite(text, rng(seed))) for seed in range(20)}
    assert len(spellings) > 15


def test_without_another_spelling_there_is_the_canonical_one(monkeypatch):
    monkeypatch.setattr(molecules_variation, "_fits", lambda smiles, known: False)
    assert MOLECULES.rewrite(SMILES[0], rng(0)) == MOLECULES.encode(SMILES[0])
    assert MUSIC.rewrite("C4 - Eb4", rng(0)) == ["C4", "-", "D#4"]


@pytest.mark.parametrize("error", [RuntimeError("an RDKit invariant"), ValueError("a valence"), Undecodable("two")])
def test_an_operator_that_fails_gives_no_child(monkeypatch, error):
    def fail(*args):
        raise error

    monkeypatch.setattr(molecules_variation, "_mutated", fail)
    monkeypatch.setattr("mol_ga.graph_ga.gen_candidates.reproduce", fail)
    assert MOLECULES.vary(list(SMILES), rng(0)) == []


def test_half_are_mutated_only_and_the_others_crossed(monkeypatch):
    made = []
    monkeypatch.setattr(molecules_variation, "_mutated", lambda *args: made.append("mutated"))
    monkeypatch.setattr("mol_ga.graph_ga.gen_candidates.reproduce", lambda *args: made.append("crossed"))
    assert MOLECULES.vary(["CO", "CN"] * 200, rng(0)) == []
    assert len(made) == 400
    assert made.count("mutated") == pytest.approx(200, abs=40)


def test_a_mutation_is_mol_gas_in_law():
    """Of the products that both make often enough to be counted, each comes about as often."""
    from mol_ga.graph_ga.gen_candidates import mutate

    made = []
    with rdBase.BlockLogs():
        for make in (molecules_variation._mutated, mutate):
            chance = random.Random(7)
            made.append(Counter(make("CC(N)=O", chance) for _ in range(3000)))
    ours, theirs = made
    both = [(ours[child], theirs[child]) for child in ours | theirs if ours[child] + theirs[child] >= 20]
    assert len(both) > 15
    assert chi2_contingency(np.array(both).T).pvalue > 0.001


def test_a_child_that_the_model_could_not_write_is_left_out(monkeypatch):
    children = iter(["C[Si](C)C", "C" * MAX_LENGTH, "C" * (MAX_LENGTH - 1), "C1CC", "CC.C", None])
    monkeypatch.setattr(molecules_variation, "MUTANTS", 1.0)
    monkeypatch.setattr(molecules_variation, "_mutated", lambda text, chance: next(children))
    assert MOLECULES.vary(["CO"] * 6, rng(0)) == ["C" * (MAX_LENGTH - 1)]


def test_chance_outside_is_left_alone(capfd):
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    before = random.getstate(), np.random.get_state()[1].tolist(), rdBase.LogStatus()  # noqa: NPY002
    MOLECULES.vary(list(SMILES), rng(1))
    MOLECULES.rewrite(SMILES[0], rng(1))
    assert (random.getstate(), np.random.get_state()[1].tolist(), rdBase.LogStatus()) == before  # noqa: NPY002
    assert capfd.readouterr() == ("", "")


MELODY = batch("C4 - E4 - G4 - . -  A4 B4 C5 - - - - -  F4 - F#4 - - - - -  C4 - - - - - - -")[0].tolist()


def test_a_moved_note_is_one_note_a_step_away():
    for seed in range(20):
        moved = move_note(MELODY, rng(seed))
        ((old, new),) = [(a, b) for a, b in zip(MELODY, moved, strict=True) if a != b]
        assert abs(old - new) in (1, 2)
    assert move_note(batch("- . -")[0].tolist(), rng(0)) is None


def test_a_motif_moves_along_the_scale_and_keeps_its_rhythm_and_shape():
    in_key = [event if event != 23 else 22 for event in MELODY]
    for seed in range(30):
        moved = transpose(in_key, rng(seed))
        assert (key(np.array([moved])) == 0).all()
        changed = [i for i, (a, b) in enumerate(zip(in_key, moved, strict=True)) if a != b]
        assert changed
        assert changed[-1] // 8 == changed[0] // 8
        assert len({moved[i] > in_key[i] for i in changed}) == 1
    assert transpose(batch("B5 C3")[0].tolist(), rng(0)) is None


def test_an_inverted_motif_falls_where_it_rose():
    motif = batch("C4 - E4 - G4 - . -")[0].tolist()
    assert invert(motif, rng(0)) == batch("C4 - A3 - F3 - . -")[0].tolist()
    assert invert(batch("- .")[0].tolist(), rng(0)) is None
    assert invert(batch("C3 E3")[0].tolist(), rng(0)) is None


def test_a_copied_bar_stands_in_another_place():
    copied = copy_bar(MELODY, rng(0))
    assert copied in (MELODY[:16] * 2, MELODY[16:] * 2)
    assert copy_bar(MELODY[:16], rng(0)) is None


def test_variations_stay_in_the_key_of_the_options():
    domain = MusicDomain(MusicOptions(tonic="D"))
    melody = domain.decode(["C4", "-", "E4", "-", "G4", "E4", "D4", "-"] * 8)
    assert "C#4" in " ".join(domain.vary([melody] * 20, rng(0)))


def test_families_are_scaffolds_and_opening_bars():
    assert MOLECULES.family("CC(=O)Oc1ccccc1C(=O)O") == "c1ccccc1"
    assert MOLECULES.family("CCO") == ""
    assert MUSIC.family(" ".join(["C4"] * 16 + ["D4"] * 16)) == " ".join(["C4"] * 16)
    assert Domain.family(MUSIC, "C4 -") == "C4 -"


def test_molecules_know_their_corpus():
    assert MOLECULES.in_corpus([MOLECULES.corpus()[5], "CCO"]) == [True, False]
    assert MUSIC.in_corpus(["C4 -"]) == [False]


def test_a_domain_is_asked_what_it_offers():
    assert [MUSIC.offers(hook) for hook in ("vary", "rewrite", "family")] == [True, False, True]
    assert [MOLECULES.offers(hook) for hook in ("vary", "rewrite", "family")] == [True, True, True]


def test_tokens_of_ones_own_are_kept_in_other_spellings_and_in_offspring():
    """What had one was never respelt, and its offspring had lost it."""
    domain = load("molecules", {"more_tokens": "B"})
    acids = ["OB(O)c1ccc(CN2CCOCC2)cc1", "CC(=O)Nc1ccc(B(O)O)cc1", "COc1cc(B(O)O)ccc1F"]
    spelt = {"".join(domain.rewrite(acids[0], np.random.default_rng(seed))) for seed in range(10)}
    assert len(spelt) > 5
    assert all("B" in text for text in spelt)
    children = [child for seed in range(8) for child in domain.vary(acids, np.random.default_rng(seed))]
    assert sum("B" in child.replace("Br", "") for child in children) > len(children) / 3
