"""Terms that a profile makes for itself, as many as it likes, under names of their own: [terms.NAME] kind = "..."."""

from __future__ import annotations

import csv
import hashlib
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rdkit.Chem import AddHs, GetPeriodicTable, Mol, MolFromSmarts, MolFromSmiles
from rdkit.Chem.FilterCatalog import FilterCatalog, FilterCatalogParams
from rdkit.Chem.Pharm2D import Generate, Gobbi_Pharm2D
from rdkit.Chem.rdFingerprintGenerator import (
    GetAtomPairGenerator,
    GetMorganFeatureAtomInvGen,
    GetMorganGenerator,
    GetRDKitFPGenerator,
)
from rdkit.DataStructs import BulkTanimotoSimilarity
from rdkit.rdBase import BlockLogs

from seqtutor import SequenceTerm, TermKind, UserError, option
from seqtutor.errors import shortened
from seqtutor.files import from_home, read_text
from seqtutor_molecules.contributions import alerted, matched
from seqtutor_molecules.docking import Docking
from seqtutor_molecules.properties import Property, each
from seqtutor_molecules.structures import check_length, molecule

Print = Callable[[Mol], Any]

FINGERPRINTS: dict[str, Callable[[], Any]] = {
    "ecfp4": partial(GetMorganGenerator, radius=2),
    "ecfp6": partial(GetMorganGenerator, radius=3),
    "fcfp4": lambda: GetMorganGenerator(radius=2, atomInvariantsGenerator=GetMorganFeatureAtomInvGen()),
    "atom_pairs": partial(GetAtomPairGenerator, maxDistance=10),
    "path": GetRDKitFPGenerator,
}
PHARMACOPHORE = "pharmacophore"


def _term(
    name: str, function: Property, summary: str, source: str, made_of: Callable[[str], Sequence[float]] | None = None
) -> SequenceTerm:
    return SequenceTerm(name, 0.0, summary, source, partial(each, function), parts=made_of)


@dataclass(frozen=True)
class Similarity(TermKind):
    """Nearness to molecules that one has: the highest Tanimoto similarity to any of them, 0 to 1."""

    smiles: Sequence[str] = option((), "Molecules to be like.")
    fingerprint: str = option("ecfp4", "What is compared.", (*FINGERPRINTS, PHARMACOPHORE))
    counts: bool = option(True, "Compare how often a feature occurs, not only whether; not for pharmacophores.")

    def term(self, name: str) -> SequenceTerm:
        texts = enumerate(_some(name, "smiles", self.smiles), 1)
        wanted = [_parsed(f"[terms.{name}]: SMILES {n}", text, MolFromSmiles) for n, text in texts]
        if self.fingerprint == PHARMACOPHORE:
            made: Print = partial(Generate.Gen2DFingerprint, sigFactory=Gobbi_Pharm2D.factory)
            source = "Gobbi and Poppinger, Biotechnol. Bioeng. 61 (1998) 47; RDKit"
        else:
            generator = FINGERPRINTS[self.fingerprint]()
            made = generator.GetSparseCountFingerprint if self.counts else generator.GetSparseFingerprint
            source = f"RDKit, {self.fingerprint}, {'counts' if self.counts else 'bits'}"
        known = [made(mol) for mol in wanted]
        for text, print_ in zip(self.smiles, known, strict=True):
            if max(BulkTanimotoSimilarity(print_, [print_])) < 1:
                raise UserError(
                    f"[terms.{name}]: {shortened(text)} has no feature of {self.fingerprint}: nothing can be like it"
                )

        def similarity(smiles: str) -> float:
            return float(max(BulkTanimotoSimilarity(made(molecule(smiles)), known)))

        shown = ", ".join(self.smiles[:2]) + (f" and {len(known) - 2} more" if len(known) > 2 else "")
        return _term(name, similarity, f"highest {self.fingerprint} similarity, 0 to 1, to {shown}", source)


@dataclass(frozen=True)
class Substructure(TermKind):
    """Whether parts stand in the molecule: 1 or 0."""

    smarts: Sequence[str] = option((), "Parts to look for, as SMARTS.")
    wanted: str = option("all", "How many of them must be there.", ("all", "any", "none"))

    def term(self, name: str) -> SequenceTerm:
        patterns = [_pattern(name, text) for text in _some(name, "smarts", self.smarts)]

        def substructure(smiles: str) -> float:
            found = [_holds(molecule(smiles), pattern) for pattern in patterns]
            return float(all(found) if self.wanted == "all" else any(found) == (self.wanted == "any"))

        summary = f"1 where {self.wanted} of {', '.join(self.smarts)} stand in it, else 0"
        sign = -1.0 if self.wanted == "none" else 1.0
        return _term(name, substructure, summary, "RDKit", partial(matched, patterns=patterns, sign=sign))


@dataclass(frozen=True)
class Alerts(TermKind):
    """Freedom from groups that medicinal chemists avoid: 1 without any, else 0."""

    catalogue: str = option("BRENK", "The list of alerts.", ("PAINS", "BRENK", "NIH", "ZINC", "file"))
    file: str = option("", "CSV of your own alerts: SMARTS, name; for catalogue = file.")

    def term(self, name: str) -> SequenceTerm:
        if (self.catalogue == "file") != bool(self.file):
            raise UserError(
                f'[terms.{name}]: alerts of your own need catalogue = "file" and file = "FILE.csv" together'
            )
        summary = f"1 without an alert of {self.file or self.catalogue}, else 0"
        if not self.file:
            alerts = FilterCatalog(FilterCatalogParams(getattr(FilterCatalogParams.FilterCatalogs, self.catalogue)))
            free: Property = lambda smiles: float(not alerts.HasMatch(molecule(smiles)))  # noqa: E731
            return _term(name, free, summary, "RDKit, FilterCatalog", partial(alerted, catalogue=alerts))
        text = self._text(name)
        patterns = self._of_file(name, text)
        free = lambda smiles: float(not any(_holds(molecule(smiles), pattern) for pattern in patterns))  # noqa: E731
        source = f"RDKit; sha256 of the file {hashlib.sha256(text.encode()).hexdigest()[:16]}"
        return _term(name, free, summary, source, partial(matched, patterns=patterns, sign=-1.0))

    def _text(self, name: str) -> str:
        try:
            return read_text(from_home(self.file))
        except OSError as error:
            raise UserError(f"[terms.{name}]: cannot read {self.file} in {Path.cwd()}: {error.strerror}") from error
        except UserError as error:
            raise UserError(f"[terms.{name}]: cannot read {self.file}: {error}") from error

    def _of_file(self, name: str, text: str) -> list[Mol]:
        try:
            rows = list(csv.reader(text.splitlines()))
        except csv.Error as error:
            raise UserError(f"[terms.{name}]: cannot read {self.file}: {error}") from error
        patterns = [_pattern(f"{name}, {self.file}:{number}", row[0]) for number, row in enumerate(rows, 1) if row]
        if not patterns:
            raise UserError(
                f"[terms.{name}]: {self.file} holds no alert; a line is a SMARTS, or a SMARTS, a comma, a name"
            )
        return patterns


@dataclass(frozen=True)
class Formula(TermKind):
    """Nearness to a sum formula: 1 for an isomer, falling with each atom too many or missing."""

    formula: str = option("", "Sum formula, such as C9H10N2O2PF2Cl.")

    def term(self, name: str) -> SequenceTerm:
        """As TermKind.term: the geometric mean over elements, and of the total, of Gaussians (GuacaMol's isomers)."""
        if not re.fullmatch(r"([A-Z][a-z]?\d{,3})+", self.formula):
            given = shortened(self.formula)
            raise UserError(f"[terms.{name}]: formula must be a sum formula such as C7H8N2O2, not {given!r}")
        wanted: Counter[str] = Counter()
        for element in re.findall(r"[A-Z][a-z]?", self.formula):
            if element not in ELEMENTS:
                raise UserError(f"[terms.{name}]: {self.formula} has '{element}', which is no element (Cl, not CL)")
        for element, count in re.findall(r"([A-Z][a-z]?)(\d{,3})", self.formula):
            wanted[element] += int(count or 1)

        def isomer(smiles: str) -> float:
            counts = Counter(atom.GetSymbol() for atom in AddHs(molecule(smiles)).GetAtoms())
            gaps = [(counts[element] - count, 1.0) for element, count in wanted.items()]
            gaps.append((counts.total() - wanted.total(), 2.0))
            return math.exp(float(np.mean([-0.5 * (gap / width) ** 2 for gap, width in gaps])))

        return _term(
            name, isomer, f"1 for an isomer of {self.formula}, less the farther", "Brown et al., GuacaMol, 2019"
        )


ELEMENTS = frozenset(GetPeriodicTable().GetElementSymbol(number) for number in range(1, 119))
KINDS: dict[str, type[TermKind]] = {
    "similarity": Similarity,
    "substructure": Substructure,
    "alerts": Alerts,
    "formula": Formula,
    "docking": Docking,
}


def _some(name: str, key: str, texts: Sequence[str]) -> Sequence[str]:
    if not texts:
        raise UserError(f"[terms.{name}] needs {key}, a list of at least one")
    return texts


def _pattern(where: str, text: str) -> Mol:
    """A SMARTS; a hydrogen that it writes as an atom is one of the atom beside it, as molecules here have them."""
    pattern = _parsed(f"[terms.{where}]: SMARTS", text, partial(MolFromSmarts, mergeHs=True))
    if any(atom.GetSmarts() == "[#1]" for atom in pattern.GetAtoms()):
        raise UserError(
            f"[terms.{where}]: SMARTS '{shortened(text)}' has a hydrogen that stands by itself, which nothing here has"
        )
    return pattern


def _holds(mol: Mol, pattern: Mol) -> bool:
    """Whether a pattern stands in a molecule, in the configuration that it states, if it states one."""
    return bool(mol.HasSubstructMatch(pattern, useChirality=True))


def _parsed(where: str, text: str, parse: Callable[[str], Mol | None]) -> Mol:
    try:
        check_length(text)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    with BlockLogs():
        mol = parse(text)
    if mol is None or not mol.GetNumAtoms():
        raise UserError(f"{where} cannot be read: '{shortened(text)}'")
    return mol
