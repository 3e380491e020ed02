"""Structural alerts that a medicinal chemist looks for: PAINS and BRENK."""

from __future__ import annotations

import csv
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rdkit import RDConfig
from rdkit.Chem import Mol, MolFromSmarts, PatternFingerprint
from rdkit.Chem.FilterCatalog import FilterCatalog, FilterCatalogParams
from rdkit.DataStructs import BitVectToBinaryText

from seqtutor_molecules.structures import molecule

Bits = NDArray[np.uint8]


def passes_pains(smiles: str) -> bool:
    """Holds none of the 480 pan-assay interference patterns (Baell and Holloway, J. Med. Chem. 2010).

    RDKit's FilterCatalog gives the same answer in five times the time: it does not rule out by fingerprint first.
    """
    mol = molecule(smiles)
    patterns, bits = _pains()
    possible = np.flatnonzero(~(bits & ~_bits(mol)).any(axis=1))
    return not any(mol.HasSubstructMatch(patterns[i]) for i in possible)


def passes_brenk(smiles: str) -> bool:
    """Holds none of the 105 unwanted groups of Brenk et al., ChemMedChem 2008."""
    return not _brenk().HasMatch(molecule(smiles))


@lru_cache(maxsize=1)
def _pains() -> tuple[list[Mol], Bits]:
    """The patterns, and the fingerprint bits (480, 256) that a molecule must have to hold them."""
    with Path(RDConfig.RDDataDir, "Pains", "wehi_pains.csv").open(newline="", encoding="utf-8") as file:
        patterns = [MolFromSmarts(smarts, mergeHs=True) for smarts, _ in csv.reader(file)]
    return patterns, np.stack([_bits(pattern) for pattern in patterns])


def _bits(mol: Mol) -> Bits:
    return np.frombuffer(BitVectToBinaryText(PatternFingerprint(mol)), dtype=np.uint8)


@lru_cache(maxsize=1)
def _brenk() -> FilterCatalog:
    return FilterCatalog(FilterCatalogParams(FilterCatalogParams.FilterCatalogs.BRENK))
