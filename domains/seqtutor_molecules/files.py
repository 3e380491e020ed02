"""The files of a chemist: SMILES, CSV and SDF, read line by line and written."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from rdkit.Chem import Mol, MolToSmiles, SDMolSupplier, SDWriter
from rdkit.Chem.rdDepictor import Compute2DCoords
from rdkit.rdBase import BlockLogs

from seqtutor import DataLine, Undecodable, UserError
from seqtutor_molecules import properties
from seqtutor_molecules.structures import canonical, molecule

_SUFFIXES = (".smi", ".smiles", ".txt", ".csv", ".sdf")


def read(path: Path) -> Iterator[DataLine]:
    """The molecules of a file, or of each file of these kinds in a folder, as canonical SMILES."""
    if path.is_dir():
        for file in _files(path):
            yield from _read_file(file)
    else:
        yield from _read_file(path)


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


def _files(folder: Path) -> list[Path]:
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix.lower() in _SUFFIXES)
    except OSError as error:
        raise UserError(f"cannot read {folder}: {error.strerror}") from error
    if not files:
        raise UserError(f"no molecules in the folder {folder} (looked for: {', '.join(_SUFFIXES)})")
    return files


def _read_file(path: Path) -> Iterator[DataLine]:
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise UserError(f"cannot read {path}: the name of a file of molecules ends in one of {', '.join(_SUFFIXES)}")
    text = _text(path)
    if suffix == ".sdf":
        return _read_sdf(path.name, text)
    rows = _csv_rows(path.name, text) if suffix == ".csv" else _rows(text)
    return (_line(f"{path.name}:{number}", smiles) for number, smiles in rows)


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_text(path, data, error.start) from error
    if "\0" in text:
        raise _not_text(path, data, data.index(b"\0"))
    return text


def _not_text(path: Path, data: bytes, place: int) -> UserError:
    line = data.count(b"\n", 0, place) + 1
    return UserError(f"{path} is not a text file (byte 0x{data[place]:02x} in line {line})")


def _rows(text: str) -> Iterator[tuple[int, str]]:
    """Line number and first column of each line."""
    for number, line in enumerate(text.splitlines(), start=1):
        yield number, next(iter(line.split()), "")


def _csv_rows(name: str, text: str) -> Iterator[tuple[int, str]]:
    """Line number and the column `smiles`, in whatever case, of each row."""
    rows = csv.reader(io.StringIO(text, newline=""))
    try:
        header = next(rows, [])
        columns = [column.strip().lower() for column in header]
        if "smiles" not in columns:
            raise UserError(f"{name} has no column 'smiles' (it has: {', '.join(header) or 'nothing'})")
        place = columns.index("smiles")
        for row in rows:
            yield rows.line_num, row[place].strip() if place < len(row) else ""
    except csv.Error as error:
        raise UserError(f"{name}:{rows.line_num} is not CSV: {error}") from error


def _line(where: str, smiles: str) -> DataLine:
    if not smiles:
        return DataLine(where, None, "no SMILES on this line")
    try:
        return DataLine(where, canonical(smiles))
    except Undecodable as error:
        return DataLine(where, None, f"'{smiles}' is no molecule: {error}")


def _read_sdf(name: str, text: str) -> Iterator[DataLine]:
    supplier = SDMolSupplier()
    supplier.SetData(text)
    for i in range(len(supplier)):
        with BlockLogs():
            mol = supplier[i]
        where = f"{name}:record {i + 1}"
        yield DataLine(where, None, "RDKit cannot read this record") if mol is None else _line(where, MolToSmiles(mol))


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
