"""From SMILES to RDKit molecules and back: the one module that parses, and that keeps RDKit's log off the screen."""

from __future__ import annotations

from functools import lru_cache

from rdkit.Chem import Mol, MolFromSmiles, MolToSmiles, SanitizeMol
from rdkit.rdBase import BlockLogs

from seqtutor import Undecodable

_ROUNDS = 4


@lru_cache(maxsize=4096)
def molecule(smiles: str) -> Mol:
    """The molecule of a valid SMILES; shared by all who ask, so never change it. Raises ValueError where it is none."""
    with BlockLogs():
        found = MolFromSmiles(smiles)
    if found is None:
        raise ValueError(f"not a molecule: {smiles!r}")
    return found


def canonical(smiles: str) -> str:
    """The one canonical form of a SMILES, a fixed point of this function. Raises Undecodable with the reason.

    Valid is what RDKit's sanitisation accepts, as in MOSES and GuacaMol, in one piece of at least one atom.
    """
    if not smiles:
        raise Undecodable("no atoms")
    if "." in smiles:
        raise Undecodable("more than one molecule ('.')")
    if any(character.isspace() for character in smiles):  # RDKit would read a name after it
        raise Undecodable("a SMILES holds no spaces")
    with BlockLogs():
        return _settled(smiles)


def _settled(smiles: str) -> str:
    """Written and read until nothing changes: RDKit's canonical form of its canonical form is at times another."""
    for _ in range(_ROUNDS):
        parsed = MolFromSmiles(smiles)
        if parsed is None:
            raise Undecodable(_problem(smiles))
        written = str(MolToSmiles(parsed))
        if written == smiles:
            return written
        smiles = written
    raise Undecodable("RDKit finds no stable canonical form")


def _problem(smiles: str) -> str:
    """Why RDKit refuses it, in its own words where it has some."""
    parsed = MolFromSmiles(smiles, sanitize=False)
    if parsed is None:
        return "not well-formed SMILES"
    try:
        SanitizeMol(parsed)
    except ValueError as error:
        return str(error).strip()
    return "RDKit refuses it"
