"""The files that a chemist opens: SMILES and SDF."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from rdkit.Chem import Mol, SDWriter
from rdkit.Chem.rdDepictor import Compute2DCoords
from rdkit.rdBase import BlockLogs

from seqtutor import UserError
from seqtutor_molecules import properties
from seqtutor_molecules.structures import molecule


def write(texts: Sequence[str], folder: Path) -> list[Path]:
    """`molecules.smi` (SMILES and number a line) and `molecules.sdf` (drawn flat, with its properties)."""
    smi, sdf = folder / "molecules.smi", folder / "molecules.sdf"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        smi.write_text("".join(f"{text} {i}\n" for i, text in enumerate(texts, start=1)), encoding="ascii")
        sdf.write_text(_sdf(texts), encoding="ascii")
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}") from error
    return [smi, sdf]


def _sdf(texts: Sequence[str]) -> str:
    stream = io.StringIO()
    with BlockLogs(), SDWriter(stream) as writer:
        for number, text in enumerate(texts, start=1):
            writer.write(_entry(text, number))
    return stream.getvalue()


def _entry(text: str, number: int) -> Mol:
    """A copy of the molecule, drawn flat, with its name and properties."""
    mol = Mol(molecule(text))
    Compute2DCoords(mol)
    mol.SetProp("_Name", str(number))
    mol.SetProp("SMILES", text)
    mol.SetProp("QED", f"{properties.qed(text):.3f}")
    mol.SetProp("SA", f"{properties.sa(text):.2f}")
    mol.SetProp("logP", f"{properties.logp(text):.2f}")
    mol.SetProp("MW", f"{properties.molecular_weight(text):.2f}")
    return mol
