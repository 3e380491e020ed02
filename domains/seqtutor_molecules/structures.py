"""From SMILES to RDKit molecules and back: the one module that parses, and that keeps RDKit's log off the screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from rdkit.Chem import Atom, BondType, Mol, MolFragmentToSmiles, MolFromSmiles, MolToSmiles, SanitizeMol
from rdkit.Chem.rdFingerprintGenerator import GetAtomPairGenerator
from rdkit.Chem.Scaffolds.MurckoScaffold import GetScaffoldForMol, MakeScaffoldGeneric
from rdkit.DataStructs import BulkTanimotoSimilarity, ExplicitBitVect
from rdkit.rdBase import BlockLogs

from seqtutor import Undecodable

LONGEST = 5000  # characters of a SMILES; a protein of 100 amino acids has fewer, and RDKit takes seconds over more

_BONDS = {BondType.SINGLE: "-", BondType.DOUBLE: "=", BondType.TRIPLE: "#", BondType.AROMATIC: ":"}
_murcko: Callable[[Mol], Mol] = GetScaffoldForMol
_generic: Callable[[Mol], Mol] = MakeScaffoldGeneric


@lru_cache(maxsize=1024)  # a final table's; each takes 30 kB
def molecule(smiles: str) -> Mol:
    """The molecule of a valid SMILES; shared by all who ask, so never change it. Raises ValueError where it is none."""
    with BlockLogs():
        found = MolFromSmiles(smiles)
    if found is None:
        raise ValueError(f"not a molecule: {smiles!r}")
    return found


@lru_cache(maxsize=1 << 14)
def scaffold(smiles: str) -> str:
    """The Bemis-Murcko scaffold as SMILES: rings and what links them, of all stereoisomers; empty without a ring.

    >>> scaffold("CC(=O)Oc1ccccc1C(=O)O"), scaffold("O=C(N[C@H]1CCNC1)c1ccccc1")
    ('c1ccccc1', 'O=C(NC1CCNC1)c1ccccc1')
    """
    return str(MolToSmiles(_murcko(molecule(smiles)), isomericSmiles=False))


@lru_cache(maxsize=1 << 14)
def topology(smiles: str) -> str:
    """The scaffold with every atom a carbon and every bond a single one; what hung on it by a double bond is gone.

    >>> topology("CC(=O)Oc1ccccc1C(=O)O"), topology("O=C(Nc1ccncc1)c1ccco1")
    ('C1CCCCC1', 'C1CCC(CCC2CCCC2)CC1')
    """
    return str(MolToSmiles(_murcko(_generic(_murcko(molecule(smiles))))))


def nearest(scaffold: str, scaffolds: Sequence[str], least: float) -> str:
    """The most similar of `scaffolds` if it is at least so similar, by the Tanimoto of atom pairs; else `scaffold`."""
    known = BulkTanimotoSimilarity(_pairs(scaffold), [_pairs(one) for one in scaffolds])
    similarity, found = max(zip(known, scaffolds, strict=True), default=(0.0, scaffold))
    return found if similarity >= least else scaffold


@lru_cache(maxsize=1 << 16)
def _pairs(scaffold: str) -> ExplicitBitVect:
    print_: ExplicitBitVect = GetAtomPairGenerator(fpSize=1024).GetFingerprint(molecule(scaffold))
    return print_


def ring_systems(smiles: str) -> list[str]:
    """The ring systems of a molecule, sorted: rings that share an atom, and what is double-bonded to them.

    RDKit writes some fragments in two ways, by what is around them: five of the 3,236 common systems have two names.

    >>> ring_systems("CC1CCN(c2ccc3[nH]ccc3c2)CC1"), ring_systems("O=C1CCCN1C")
    (['C1CCNCC1', 'c1ccc2[nH]ccc2c1'], ['O=C1CCCN1'])
    """
    found = molecule(smiles)
    systems: list[set[int]] = []
    for ring in map(set, found.GetRingInfo().AtomRings()):
        apart = [system for system in systems if not system & ring]
        systems = [*apart, ring.union(*(system for system in systems if system & ring))]
    return sorted(MolFragmentToSmiles(found, sorted(_drawn(found, one)), isomericSmiles=False) for one in systems)


def _drawn(found: Mol, system: set[int]) -> set[int]:
    """A ring system and the atoms that are double-bonded to it."""
    bonds = [bond for place in system for bond in found.GetAtomWithIdx(place).GetBonds()]
    return system.union(*({b.GetBeginAtomIdx(), b.GetEndAtomIdx()} for b in bonds if b.GetBondTypeAsDouble() == 2.0))


def neighbourhoods(smiles: str) -> list[str]:
    """What each atom is, with the bonds that it has: hydrogens, charge, `@` in a ring, then its neighbours, sorted.

    >>> neighbourhoods("CC(=O)[O-]"), neighbourhoods("O=C1CC1")[1]
    (['CH3(-C)', 'C(-C)(-O)(=O)', 'O(=C)', 'O-1(-C)'], 'C@(-C)(-C)(=O)')
    """
    return [_neighbourhood(atom) for atom in molecule(smiles).GetAtoms()]


def _neighbourhood(atom: Atom) -> str:
    hydrogens, charge = atom.GetTotalNumHs(), atom.GetFormalCharge()
    bonds = [(_BONDS.get(bond.GetBondType(), "~"), bond.GetOtherAtom(atom)) for bond in atom.GetBonds()]
    around = sorted(f"({bond}{_element(other)})" for bond, other in bonds)
    own = f"H{hydrogens}" if hydrogens else ""
    return f"{_element(atom)}{own}{f'{charge:+}' if charge else ''}{'@' * atom.IsInRing()}{''.join(around)}"


def _element(atom: Atom) -> str:
    symbol: str = atom.GetSymbol()
    return symbol.lower() if atom.GetIsAromatic() else symbol


def canonical(smiles: str) -> str:
    """The one canonical form of a SMILES, a fixed point of this function. Raises Undecodable with the reason.

    Valid is what RDKit's sanitisation accepts, as in MOSES and GuacaMol, in one piece of at least one atom.
    """
    check_length(smiles)
    if not smiles:
        raise Undecodable("no atoms")
    if "." in smiles:
        raise Undecodable("more than one molecule ('.')")
    if any(character.isspace() for character in smiles):  # RDKit would read a name after it
        raise Undecodable("a SMILES holds no spaces")
    with BlockLogs():
        written = _written(smiles)
        if written != smiles and _written(written) != written:
            raise Undecodable("RDKit has no stable canonical form of it")
    return written


def check_length(smiles: str) -> None:
    """Raise Undecodable for a text that is too long to be parsed."""
    if len(smiles) > LONGEST:
        raise Undecodable(f"it has {len(smiles):,} characters; {LONGEST:,} is the most that is read")


def _written(smiles: str) -> str:
    """RDKit's canonical form; one in some 10,000 odd molecules has one that RDKit itself cannot read."""
    parsed = MolFromSmiles(smiles)
    if parsed is None:
        raise Undecodable(_problem(smiles))
    return str(MolToSmiles(parsed))


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
