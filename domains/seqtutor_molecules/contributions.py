"""What properties of a molecule are made of, atom by atom: as many numbers as its SMILES has tokens; QED's by name.

A function here has the name of the property that it is of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rdkit.Chem import QED, AddHs, Mol
from rdkit.Chem.FilterCatalog import FilterCatalog
from rdkit.Chem.rdFingerprintGenerator import AdditionalOutput, GetMorganGenerator
from rdkit.Chem.rdMolDescriptors import _CalcCrippenContribs, _CalcTPSAContribs

from seqtutor_molecules.properties import FSP3_ENOUGH, fragment_score
from seqtutor_molecules.smiles import is_atom, tokenise
from seqtutor_molecules.structures import molecule

SA_SPAN = 6.5  # between the raw scores of the hardest and of the easiest molecules
NAMES = {  # of the eight properties in QED
    "MW": "molecular weight", "ALOGP": "logP", "HBA": "acceptors", "HBD": "donors", "PSA": "TPSA",
    "ROTB": "rotatable bonds", "AROM": "aromatic rings", "ALERTS": "alerts",
}  # fmt: skip


def of_tokens(smiles: str, atoms: Sequence[float]) -> list[float]:
    """A number for each token: that of the atom it is, 0 for bonds, branches and rings.

    >>> of_tokens("CC(=O)N", [1, 2, 3, 4])
    [1, 2, 0.0, 0.0, 3, 0.0, 4]
    """
    rest = iter(atoms)
    return [next(rest) if is_atom(token) else 0.0 for token in tokenise(smiles)]


def qed(smiles: str) -> Mapping[str, float]:
    """How desirable each of the eight properties is, 0 to 1; QED is their weighted geometric mean.

    >>> {name: round(value, 2) for name, value in qed("CC(=O)Oc1ccccc1C(=O)O").items() if value < 0.6}
    {'molecular weight': 0.34, 'alerts': 0.24}
    """
    found = QED.properties(molecule(smiles))._asdict()
    return {NAMES[name]: float(QED.ads(value, QED.adsParameters[name])) for name, value in found.items()}


def makeability(smiles: str) -> list[float]:
    """What the fragments around each atom do: common ones add, rare ones take away; SA's penalties are of the whole."""
    mol, output = molecule(smiles), AdditionalOutput()
    output.AllocateBitInfoMap()
    GetMorganGenerator(radius=2).GetSparseCountFingerprint(mol, additionalOutput=output)
    places = [(fragment, atom) for fragment, around in output.GetBitInfoMap().items() for atom, _ in around]
    found = [0.0] * mol.GetNumAtoms()
    for fragment, atom in places:
        found[atom] += fragment_score(fragment) / len(places) / SA_SPAN
    return of_tokens(smiles, found)


def saturation(smiles: str) -> list[float]:
    """Each sp3 carbon's share; they add up to Fsp3 / .4, which counts up to 1.

    >>> round(saturation("Cc1ccccc1O")[0], 2)
    0.36
    """
    carbons = [atom.GetTotalDegree() if atom.GetSymbol() == "C" else 0 for atom in molecule(smiles).GetAtoms()]
    each = 1 / (FSP3_ENOUGH * max(1, sum(map(bool, carbons))))
    return of_tokens(smiles, [each * (degree == 4) for degree in carbons])


def logp(smiles: str) -> list[float]:
    """What each atom adds, with its hydrogens; together logP."""
    mol = molecule(smiles)
    whole, found = AddHs(mol), [0.0] * mol.GetNumAtoms()
    for atom, (worth, _) in zip(whole.GetAtoms(), _CalcCrippenContribs(whole), strict=True):
        at = atom.GetIdx()
        found[at if at < len(found) else atom.GetNeighbors()[0].GetIdx()] += worth
    return of_tokens(smiles, found)


def tpsa(smiles: str) -> list[float]:
    """Each atom's square angstroms; together the polar surface area."""
    return of_tokens(smiles, list(_CalcTPSAContribs(molecule(smiles))))


def charge(smiles: str) -> list[float]:
    """Each atom's formal charge."""
    return of_tokens(smiles, [float(atom.GetFormalCharge()) for atom in molecule(smiles).GetAtoms()])


def matched(smiles: str, patterns: Sequence[Mol], sign: float) -> list[float]:
    """`sign` for each atom of every place where one of the patterns stands."""
    mol = molecule(smiles)
    found = (match for pattern in patterns for match in mol.GetSubstructMatches(pattern, useChirality=True))
    return _those(smiles, {atom for match in found for atom in match}, sign)


def alerted(smiles: str, catalogue: FilterCatalog) -> list[float]:
    """-1 for each atom of an alert."""
    mol = molecule(smiles)
    found = (match for entry in catalogue.GetMatches(mol) for match in entry.GetFilterMatches(mol))
    return _those(smiles, {atom for match in found for _, atom in match.atomPairs}, -1.0)


def _those(smiles: str, atoms: set[int], worth: float) -> list[float]:
    return of_tokens(smiles, [worth if atom in atoms else 0.0 for atom in range(molecule(smiles).GetNumAtoms())])
