"""The files that a chemist opens: SMILES and SDF."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

from rdkit.Chem import Mol, MolToInchiKey, SDWriter
from rdkit.Chem.rdDepictor import Compute2DCoords
from rdkit.rdBase import BlockLogs

from seqtutor import Figures, UserError
from seqtutor_molecules import properties
from seqtutor_molecules.structures import molecule


def write(texts: Sequence[str], folder: Path, figures: Figures | None = None) -> list[Path]:
    """`molecules.smi` (SMILES and name a line) and `molecules.sdf` (drawn flat, with properties and `figures`).

    A name is the one that `figures` has, or that of the folder's run and a number.
    """
    smi, sdf = folder / "molecules.smi", folder / "molecules.sdf"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        told = {column: values for column, values in (figures or {}).items() if column != "name"}
        names = [" ".join(str(name).split()) for name in (figures or {}).get("name", [""] * len(texts))]
        names = [name or f"{_run(folder)}-{number}" for number, name in enumerate(names, start=1)]
        smi.write_text("".join(f"{text} {name}\n" for text, name in zip(texts, names, strict=True)), encoding="utf-8")
        sdf.write_text(_sdf(texts, names, told), encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}") from error
    return [smi, sdf]


def _run(folder: Path) -> str:
    """The name of the run that a folder of it belongs to, in one word."""
    own = folder.resolve()
    return (own.parent if own.name in ("samples", "hits") else own).name.replace(" ", "_")


def _sdf(texts: Sequence[str], names: Sequence[str], figures: Figures) -> str:
    stream = io.StringIO()
    with BlockLogs(), SDWriter(stream) as writer:
        for i, (text, name) in enumerate(zip(texts, names, strict=True)):
            mol = _entry(text, name)
            for column, values in figures.items():
                if math.isfinite(value := float(values[i])):
                    mol.SetProp(column, f"{value:.6g}")
            writer.write(mol)
    return stream.getvalue()


def _entry(text: str, name: str) -> Mol:
    """A copy of the molecule, drawn flat, with its name and properties."""
    mol = Mol(molecule(text))
    Compute2DCoords(mol)
    mol.SetProp("_Name", name)
    mol.SetProp("InChIKey", str(MolToInchiKey(molecule(text))))  # of a drawing it would state what nobody has stated
    mol.SetProp("SMILES", text)
    mol.SetProp("QED", f"{properties.qed(text):.3f}")
    mol.SetProp("SA", f"{properties.sa(text):.2f}")
    mol.SetProp("logP", f"{properties.logp(text):.2f}")
    mol.SetProp("MW", f"{properties.molecular_weight(text):.2f}")
    return mol
