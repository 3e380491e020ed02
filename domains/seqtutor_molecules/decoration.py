"""A scaffold with places where it may grow, as the template that every molecule is written into."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rdkit import Chem
from rdkit.rdBase import BlockLogs

from seqtutor import Template, UserError
from seqtutor.errors import shortened
from seqtutor_molecules.smiles import MAX_LENGTH, TOKENS, is_atom, tokenise
from seqtutor_molecules.structures import LONGEST

PLACE = "*"
RING = re.compile(r"\d|%\d\d")


def template(scaffold: str, known: Sequence[str] = TOKENS) -> Template:
    """The template of a scaffold whose attachment points are dummy atoms, such as c1ccc([*:1])cc1.

    The scaffold is spelt so that a molecule may go on growing at its end, where it has a spelling with a place there.
    Every place gets a substituent, by the bond that the scaffold has there, and nothing else of the scaffold does: what
    grows begins with an atom, and has both ends of its rings, so that it closes none of the scaffold's, and none of
    another place around a part of the scaffold. `known`: the tokens of the vocabulary.

    >>> template("c1ccc([*:1])cc1").tokens
    ('c', '1', 'c', 'c', 'c', 'c', 'c', '1', None)
    >>> [sorted(tokens) for tokens in template("[*]c1ccc([*])cc1").barred]
    [['1'], []]
    """
    tokens = _spelt(_scaffold(scaffold))
    for token in tokens:
        if token != PLACE and token not in known:
            raise UserError(
                f"the scaffold {shortened(scaffold)} has '{shortened(token)}', which is no token that the model knows"
            )
    barred, here = [], set[str]()
    for token in tokens:
        if token == PLACE:
            barred.append(frozenset(here))
        elif RING.fullmatch(token):
            here ^= {token}
    spelt = tuple(None if token == PLACE else token for token in tokens)
    rings = frozenset(filter(RING.fullmatch, known))
    return Template(spelt, "(", ")", frozenset(filter(is_atom, known)), tuple(barred), rings)


def _scaffold(scaffold: str) -> Chem.Mol:
    shown = shortened(scaffold)
    if len(scaffold) > LONGEST:
        raise UserError(f"the scaffold {shown} has {len(scaffold):,} characters; {LONGEST:,} is the most that is read")
    with BlockLogs():
        molecule = Chem.MolFromSmiles(scaffold)
    if molecule is None:
        raise UserError(f"the scaffold {shown} is no SMILES that RDKit can read; one is c1ccc([*:1])cc1")
    dummies = [atom for atom in molecule.GetAtoms() if not atom.GetAtomicNum()]
    if not dummies or len(dummies) == molecule.GetNumAtoms():
        raise UserError(f"the scaffold {shown} has no place to grow at: write [*:1] where it may, c1ccc([*:1])cc1")
    if (count := molecule.GetNumAtoms()) > MAX_LENGTH:  # to look for the best spelling takes the cube of that
        raise UserError(f"the scaffold {shown} has {count} atoms; a molecule has at most {MAX_LENGTH} tokens")
    if len(Chem.GetMolFrags(molecule)) > 1:
        raise UserError(f"the scaffold {shown} is of {len(Chem.GetMolFrags(molecule))} parts; it must hang together")
    for atom in dummies:
        if atom.GetDegree() != 1:
            raise UserError(f"in the scaffold {shown} a [*] has {atom.GetDegree()} bonds; it must have one")
        atom.SetAtomMapNum(0)
        atom.SetIsotope(0)
    return molecule


def _spelt(molecule: Chem.Mol) -> list[str]:
    """Tokens of the spelling with the fewest branches, one that ends with a place first; never one that begins so."""
    roots = [atom.GetIdx() for atom in molecule.GetAtoms() if atom.GetAtomicNum()]
    spellings = {Chem.MolToSmiles(molecule, rootedAtAtom=root) for root in roots}
    best = min(spellings, key=lambda text: (not text.endswith(PLACE), text.count("("), len(text), text))
    return tokenise(best)
