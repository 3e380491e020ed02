"""Molecules near others, and the same molecule in other words: Graph-GA operators and random SMILES."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import numpy as np
from rdkit.Chem import Kekulize, Mol, MolFromSmiles, MolToRandomSmilesVect, MolToSmiles
from rdkit.Chem.rdChemReactions import ReactionFromSmarts
from rdkit.rdBase import BlockLogs

from seqtutor import Undecodable, UserError
from seqtutor.signals import undisturbed
from seqtutor_molecules.smiles import MAX_LENGTH, TOKENS, tokenise
from seqtutor_molecules.structures import canonical, molecule

MUTANTS = 0.5  # share of molecules that are mutated only; the others are crossed
MUTATION_RATE = 0.01  # of the crossed: mol_ga's own default
REACTIONS = 10  # tried on a molecule; the same
SPELLINGS = 8  # random SMILES tried before the canonical one is taken


def vary(texts: Sequence[str], rng: np.random.Generator, known: Sequence[str] = TOKENS) -> list[str]:
    """Graph-GA offspring of canonical SMILES, canonical and new, in order; at most one of each text.

    (Jensen, Chemical Science 10 (2019) 3567, as in mol_ga.) Every loop of its operators is bounded, so that none hangs;
    they draw from one generator of their own. `known`: the tokens of the vocabulary.
    """
    chance = Random(int(rng.integers(2**63)))  # noqa: S311
    offspring: dict[str, None] = {}
    with BlockLogs():
        for text in texts:
            child = _offspring(text, texts, chance, frozenset(known))
            if child is not None and child not in texts:
                offspring[child] = None
    return list(offspring)


def rewrite(text: str, rng: np.random.Generator, known: Sequence[str] = TOKENS) -> list[str]:
    """Tokens of a random SMILES of the same molecule; of the canonical one where none is found that fits."""
    seeds = rng.integers(1, 2**31 - 1, SPELLINGS)
    for seed in seeds.tolist():
        (other,) = MolToRandomSmilesVect(molecule(text), 1, randomSeed=seed)
        if _fits(other, frozenset(known)) and _means(other, text):
            return tokenise(other)
    return tokenise(text)


def _offspring(text: str, texts: Sequence[str], chance: Random, known: frozenset[str]) -> str | None:
    """A child as canonical SMILES; None where there is none, or where it does not fit the model."""
    from mol_ga.graph_ga.gen_candidates import reproduce  # here: it takes a second to import

    try:
        with undisturbed():
            if chance.random() < MUTANTS:
                child = _mutated(text, chance)
            else:
                child = reproduce(text, chance.choice(texts), MUTATION_RATE, chance)
        found = None if child is None else canonical(child)
    except (ValueError, RuntimeError, Undecodable):  # RDKit, in the midst of an operator; then: no one molecule
        return None
    return found if found is not None and _fits(found, known) else None


def _mutated(text: str, chance: Random) -> str | None:
    """A product of a random reaction; as `mutate` of mol_ga in law, which checks all products and then takes one."""
    from mol_ga.graph_ga.crossover import mol_ok, ring_OK

    parent = MolFromSmiles(text)
    Kekulize(parent, clearAromaticFlags=True)
    for _ in range(REACTIONS):
        products = [product for product, *_ in ReactionFromSmarts(_reaction(parent, chance)).RunReactants((parent,))]
        chance.shuffle(products)
        if found := next((product for product in products if mol_ok(product, chance) and ring_OK(product)), None):
            return str(MolToSmiles(found))
    return None


def _reaction(parent: Mol, chance: Random) -> str:
    """One of mol_ga's seven kinds of reaction, as SMARTS."""
    from mol_ga.graph_ga import mutate

    makers: Sequence[tuple[float, Callable[[], str]]] = (
        (0.15, lambda: mutate.insert_atom(chance)),
        (0.14, lambda: mutate.change_bond_order(chance)),
        (0.14, mutate.delete_cyclic_bond),
        (0.14, lambda: mutate.add_ring(chance)),
        (0.14, lambda: mutate.delete_atom(chance)),
        (0.14, lambda: mutate.change_atom(parent, chance)),
        (0.15, lambda: mutate.append_atom(chance)),
    )
    weights, reactions = zip(*makers, strict=True)
    return str(chance.choices(reactions, weights)[0]())


def _fits(smiles: str, known: frozenset[str]) -> bool:
    """Whether the model could write it: tokens of the vocabulary, and room for them and the EOS."""
    try:
        tokens = tokenise(smiles)
    except UserError:
        return False
    return len(tokens) < MAX_LENGTH and known.issuperset(tokens)


def _means(smiles: str, text: str) -> bool:
    """Whether a spelling is read as `text`; RDKit loses a stereo centre of some on the way."""
    try:
        return canonical(smiles) == text
    except Undecodable:
        return False
