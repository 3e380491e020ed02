"""What a molecule is worth: pure functions from a canonical SMILES to a number, remembered for the next who asks."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr
from functools import cache, lru_cache, partial
from importlib.util import module_from_spec, spec_from_file_location
from io import StringIO
from itertools import groupby
from pathlib import Path
from types import ModuleType

import numpy as np
from rdkit import RDConfig
from rdkit.Chem import QED, Mol
from rdkit.Chem.GraphDescriptors import BertzCT
from rdkit.Chem.rdMolDescriptors import (
    CalcCrippenDescriptors,
    CalcFractionCSP3,
    CalcNumAmideBonds,
    CalcNumAromaticRings,
    CalcNumAtomStereoCenters,
    CalcNumHBA,
    CalcNumHBD,
    CalcNumRotatableBonds,
    CalcNumUnspecifiedAtomStereoCenters,
    CalcTPSA,
    Properties,
)
from rdkit.Chem.rdmolops import GetFormalCharge
from rdkit.rdBase import BlockLogs

from seqtutor.arrays import Values
from seqtutor.signals import undisturbed
from seqtutor_molecules.smiles import tokenise
from seqtutor_molecules.structures import molecule, neighbourhoods, ring_systems

RINGS = Path(__file__).with_name("rings.txt")  # `python -m seqtutor_molecules.real` makes it anew, and
NEIGHBOURHOODS = Path(__file__).with_name("neighbourhoods.txt")

Property = Callable[[str], float]

_remembered = partial(lru_cache, maxsize=1 << 16)
FSP3_ENOUGH = 0.4  # where `saturation` is full
_rdkit_qed: Callable[[Mol], float] = QED.qed
_average_weight = Properties(["amw"])


def each(function: Property, texts: Sequence[str]) -> Values:
    """(B,) float64: `function` of each text, NaN where RDKit cannot compute it."""
    with BlockLogs():
        return np.array([attempt(function, text) for text in texts], dtype=np.float64)


def attempt(function: Property, text: str) -> float:
    """`function` of a text, NaN where RDKit cannot compute it."""
    try:
        with undisturbed():
            return float(function(text))
    except (ValueError, RuntimeError, ArithmeticError):  # what RDKit's C++, and a logarithm of nothing, raise
        return float("nan")


@_remembered()
def qed(smiles: str) -> float:
    """Quantitative estimate of drug-likeness, 0 to 1 (Bickerton et al., Nature Chemistry 2012).

    >>> round(qed("CC(=O)Oc1ccccc1C(=O)O"), 2)  # aspirin
    0.55
    """
    return _rdkit_qed(molecule(smiles))


@_remembered()
def sa(smiles: str) -> float:
    """Synthetic accessibility, 1 easy to 10 hard (Ertl and Schuffenhauer, J. Cheminformatics 2009).

    >>> round(sa("CC(=O)Oc1ccccc1C(=O)O"), 1)
    1.6
    """
    return float(_sascorer().calculateScore(molecule(smiles)))


def fragment_score(fragment: int) -> float:
    """What SA has of a fragment, a circle of radius 0 to 2: above 0 where it is common, -4 where it is unknown."""
    return float(vars(_sascorer())["_fscores"].get(fragment, -4))


@_remembered()
def np_likeness(smiles: str) -> float:
    """Likeness to natural products, -5 to 5 (Ertl, Roggo and Schuffenhauer, J. Chem. Inf. Model. 2008).

    Nicotine and oestradiol:

    >>> round(np_likeness("CN1CCC[C@H]1c1cccnc1"), 1), round(np_likeness("CC12CCC3c4ccc(O)cc4CCC3C1CCC2O"), 1)
    (-0.4, 2.2)
    """
    scorer, model = _npscorer()
    return float(scorer.scoreMol(molecule(smiles), model))


def makeability(smiles: str) -> float:
    """SA turned round and scaled: 1 where SA is 1 (easy), 0 where SA is 10 (hard)."""
    return (10.0 - sa(smiles)) / 9.0


@_remembered()
def logp(smiles: str) -> float:
    """Octanol-water partition coefficient, logarithm to base 10 (Wildman and Crippen, 1999)."""
    return float(CalcCrippenDescriptors(molecule(smiles))[0])


def molecular_weight(smiles: str) -> float:
    """Average molecular weight in daltons."""
    return float(_average_weight.ComputeProperties(molecule(smiles))[0])


def ring_count(smiles: str) -> int:
    """Rings, as RDKit counts them (the symmetrised smallest set: a cage has one more than it needs)."""
    return int(molecule(smiles).GetRingInfo().NumRings())


def largest_ring(smiles: str) -> int:
    """Atoms in the largest of these rings; 0 without one."""
    return max((len(ring) for ring in molecule(smiles).GetRingInfo().AtomRings()), default=0)


def fsp3(smiles: str) -> float:
    """Share of the carbons that are sp3: how little of it is flat (Lovering et al., J. Med. Chem. 2009).

    >>> fsp3("Cc1ccccc1O"), fsp3("CCO")  # one of seven, two of two
    (0.14285714285714285, 1.0)
    """
    return float(CalcFractionCSP3(molecule(smiles)))


def saturation(smiles: str) -> float:
    """Fsp3 as far as it is wanted: 0 where a molecule is flat, 1 from `FSP3_ENOUGH` on.

    >>> saturation("Cc1ccccc1O"), saturation("CCO")
    (0.3571428571428571, 1.0)
    """
    return min(1.0, fsp3(smiles) / FSP3_ENOUGH)


def aromatic_rings(smiles: str) -> int:
    """Rings all of whose bonds are aromatic."""
    return int(CalcNumAromaticRings(molecule(smiles)))


def tpsa(smiles: str) -> float:
    """Topological polar surface area in square angstroms (Ertl et al., J. Med. Chem. 2000).

    >>> round(tpsa("CC(=O)Oc1ccccc1C(=O)O"), 1)  # aspirin
    63.6
    """
    return float(CalcTPSA(molecule(smiles)))


def donors(smiles: str) -> int:
    """Hydrogen-bond donors."""
    return int(CalcNumHBD(molecule(smiles)))


def acceptors(smiles: str) -> int:
    """Hydrogen-bond acceptors."""
    return int(CalcNumHBA(molecule(smiles)))


def rotors(smiles: str) -> int:
    """Rotatable bonds, amides not among them."""
    return int(CalcNumRotatableBonds(molecule(smiles)))


def amides(smiles: str) -> int:
    """Amide bonds, of lactams, ureas and carbamates too.

    >>> amides("CC(=O)Nc1ccccc1"), amides("CC(=O)Oc1ccccc1")
    (1, 0)
    """
    return int(CalcNumAmideBonds(molecule(smiles)))


def rare_rings(smiles: str) -> int:
    """Ring systems that at most one molecule of ZINC250k has: what is seldom made.

    >>> rare_rings("O=C1CCCN1C"), rare_rings("C1CC2(C1)OC21CCCCC1")
    (0, 1)
    """
    return sum(system not in _common(RINGS) for system in ring_systems(smiles))


def odd_atoms(smiles: str) -> int:
    """Atoms with bonds as at most one molecule of ZINC250k has: what is seldom stable, or seldom made.

    >>> odd_atoms("CC(=O)Oc1ccccc1C(=O)O"), odd_atoms("CSS(=S)CC")  # aspirin has none
    (0, 2)
    """
    return sum(atom not in _common(NEIGHBOURHOODS) for atom in neighbourhoods(smiles))


@cache
def _common(file: Path) -> frozenset[str]:
    return frozenset(file.read_text(encoding="ascii").split())


def heavy_atoms(smiles: str) -> int:
    """Atoms but hydrogens."""
    return int(molecule(smiles).GetNumHeavyAtoms())


def charge(smiles: str) -> int:
    """Net formal charge, as the SMILES is written.

    >>> charge("C[NH3+]"), charge("C[NH2+]CC(=O)[O-]")
    (1, 0)
    """
    return int(GetFormalCharge(molecule(smiles)))


def stereocentres(smiles: str) -> int:
    """Tetrahedral stereocentres, assigned or not.

    >>> stereocentres("C[C@H](N)C(=O)O"), stereocentres("CC(N)C(=O)O"), stereocentres("CCO")
    (1, 1, 0)
    """
    return int(CalcNumAtomStereoCenters(molecule(smiles)))


def unassigned_stereocentres(smiles: str) -> int:
    """Stereocentres whose configuration the SMILES leaves open."""
    return int(CalcNumUnspecifiedAtomStereoCenters(molecule(smiles)))


def complexity(smiles: str) -> float:
    """Bertz' index of molecular complexity, some 100 to 1,500 (J. Am. Chem. Soc. 1981)."""
    return float(BertzCT(molecule(smiles)))


def ring_penalty(smiles: str) -> float:
    """Minus the atoms by which the largest ring exceeds six.

    >>> ring_penalty("C1CCCCCCC1"), ring_penalty("C1CCCCC1")
    (-2.0, 0.0)
    """
    return float(min(0, 6 - largest_ring(smiles)))


def carbon_chain(smiles: str) -> float:
    """Minus the carbons beyond eleven written in a row.

    >>> carbon_chain("C" * 13 + "O"), carbon_chain("CCCCCCCCCCCCl")
    (-2.0, 0.0)
    """
    runs = (len(list(run)) for token, run in groupby(tokenise(smiles)) if token == "C")  # noqa: S105
    return float(sum(min(0, 11 - run) for run in runs))


def shortness(smiles: str) -> float:
    """-1 for fewer than 19 characters, -1/8 for fewer than 27, else 0 (the paper's -200 and -25)."""
    return -1.0 if len(smiles) < 19 else -0.125 if len(smiles) < 27 else 0.0


@lru_cache(maxsize=1)
def _sascorer() -> ModuleType:
    """The SA scorer of RDKit's Contrib folder, its 700,000 fragments in less memory than it keeps them in."""
    scorer = _contributed("SA_Score", "sascorer")
    scorer.readFragmentScores()
    if isinstance(found := getattr(scorer, "_fscores", None), dict):
        vars(scorer)["_fscores"] = _Sorted(found)
    return scorer


class _Sorted:
    """Numbers by their keys as two arrays, 11 MB for the 67 of a dictionary."""

    def __init__(self, found: Mapping[int, float]) -> None:
        self._keys = array("Q", sorted(found))
        self._values = array("d", map(found.__getitem__, self._keys))

    def get(self, key: int, default: float) -> float:
        """As that of a dictionary."""
        place = bisect_left(self._keys, key)
        there = place < len(self._keys) and self._keys[place] == key
        return self._values[place] if there else default


@lru_cache(maxsize=1)
def _npscorer() -> tuple[ModuleType, object]:
    """The NP scorer of RDKit's Contrib folder, and its model, which it announces on the error stream."""
    scorer = _contributed("NP_Score", "npscorer")
    with redirect_stderr(StringIO()):
        return scorer, scorer.readNPModel()


def _contributed(folder: str, name: str) -> ModuleType:
    """A module of RDKit's Contrib folder, which is no package everywhere: loaded from its file."""
    spec = spec_from_file_location(name, Path(RDConfig.RDContribDir, folder, f"{name}.py"))
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"RDKit's Contrib folder has no {folder}/{name}.py", name="rdkit")
    scorer = module_from_spec(spec)
    spec.loader.exec_module(scorer)
    return scorer
