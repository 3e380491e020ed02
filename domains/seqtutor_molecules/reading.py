"""The files that a chemist has: SMILES, CSV, TSV and SDF, packed or not, read row by row."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import dropwhile, islice
from pathlib import Path

from rdkit.Chem import Mol, MolFromSmiles, MolToSmiles, RemoveHs, SDMolSupplier
from rdkit.Chem.MolStandardize.rdMolStandardize import LargestFragmentChooser, Uncharger
from rdkit.rdBase import BlockLogs

from seqtutor import DataLine, Undecodable, UserError
from seqtutor.errors import shortened
from seqtutor.files import below_comments, read_bytes
from seqtutor_molecules.structures import LONGEST, canonical, check_length

SUFFIXES = (".smi", ".smiles", ".txt", ".csv", ".tsv", ".sdf")
EXTENSION = re.compile(r"^\|[^|]*\|\s*")  # of CXSMILES, which stands where a name does; RDKit's SMILES alone is read
EXTENDED = re.compile(r"\s+\|[^|]*\|$")  # the same in one cell with the SMILES
SEPARATOR = re.compile(r"\Asep=.\r?\n", re.IGNORECASE)  # the first line of some spreadsheets' CSV
DELIMITERS = (",", ";", "\t", "|", " ")  # " ": words, whatever lies between them
UNPACKED = 500_000_000  # bytes of a packed file
DENSEST, SMALL = 100, 10_000_000  # times its own size that a packed file may have unpacked; so many bytes in any case
LOOKED_AT = 50  # rows by which the column of SMILES is found where no header names it
OF_SMILES = re.compile(r"(\w+[_ ]?)?smiles", re.IGNORECASE)  # a header that leaves no doubt: CanonicalSMILES, too
HEADER = re.compile(r"[A-Za-z][A-Za-z_ \-]{2,40}")  # one that is known by no word of its own
NAMES = {"id", "name", "title", "identifier", "compound", "molecule", "nsc", "cas", "code"}  # words of a header
Row = tuple[str, str, str, str]  # where it stands, SMILES, problem, name
UNREADABLE = "\ufffd"  # stands for a byte that is no UTF-8


@dataclass(frozen=True)
class Preparation:
    """What is done to a molecule that is read, before it is an item."""

    largest_fragment: bool = False
    neutralise: bool = False
    strip_isotopes: bool = False

    def __call__(self, smiles: str) -> str:
        """The SMILES of what is left. Raises Undecodable where RDKit reads no molecule."""
        if not (self.largest_fragment or self.neutralise or self.strip_isotopes):
            return smiles
        check_length(smiles)
        with BlockLogs():
            mol = MolFromSmiles(smiles)
            if mol is None:
                raise Undecodable("RDKit reads no molecule")
            if self.largest_fragment:
                mol = LargestFragmentChooser().choose(mol)
            if self.neutralise:
                mol = Uncharger().uncharge(mol)
            if self.strip_isotopes:
                mol = _without_isotopes(mol)
            return str(MolToSmiles(mol))


def _without_isotopes(mol: Mol) -> Mol:
    for atom in mol.GetAtoms():
        atom.SetIsotope(0)
    return RemoveHs(mol)  # what was deuterium is a hydrogen like any other


@dataclass(frozen=True)
class Table:
    """How a file of rows is laid out: its delimiter, the column of SMILES, and what that is called."""

    delimiter: str
    column: int
    header: str = ""  # empty: the file has no header
    named: int = -1  # the column of a name, -1 if there is none

    @property
    def label(self) -> str:
        """Which column was taken, for a person."""
        return f"column {self.header or self.column + 1}"


def read(path: Path, prepare: Preparation) -> Iterator[DataLine]:
    """The molecules of a file, or of each file of these kinds in a folder, as canonical SMILES, each once.

    A file of a folder that cannot be read is left out, with the reason.
    """
    places: dict[str, str] = {}
    for line in _folder(path, prepare) if path.is_dir() else _read_file(path, prepare):
        if line.text is None:
            yield line
        elif line.text in places:
            yield replace(line, text=None, problem=f"the same molecule as {places[line.text]}")
        else:
            places[line.text] = line.where
            yield line


def _folder(path: Path, prepare: Preparation) -> Iterator[DataLine]:
    for file in _files(path):
        try:
            yield from _read_file(file, prepare)
        except UserError as error:
            yield DataLine(file.name, None, str(error))


def _files(folder: Path) -> list[Path]:
    try:
        files = sorted(file for file in folder.iterdir() if kind_of(file) in SUFFIXES)
    except OSError as error:
        raise UserError(f"cannot read {folder}: {error.strerror}") from error
    if not files:
        raise UserError(f"no molecules in the folder {folder} (looked for: {', '.join(SUFFIXES)}, and these with .gz)")
    return files


def kind_of(path: Path) -> str:
    """The suffix that says what a file holds, whether it is packed or not.

    >>> kind_of(Path("actives.SDF.gz"))
    '.sdf'
    """
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()


def _read_file(path: Path, prepare: Preparation) -> Iterator[DataLine]:
    kind = kind_of(path)
    if kind not in SUFFIXES:
        raise UserError(
            f"cannot read {path}: the name of a file of molecules ends in one of {', '.join(SUFFIXES)}, "
            "or in one of these and .gz"
        )
    text = _text(path)
    listed = kind not in (".csv", ".tsv")
    found = _records(path.name, text) if kind == ".sdf" else _rows(path.name, text, listed=listed)
    for where, smiles, problem, called in found:
        line = DataLine(where, None, problem) if problem else _line(where, smiles, prepare)
        yield replace(line, name=called)


def _text(path: Path) -> str:
    """The text of a file; a byte that is no UTF-8, as in a name of another time, is replaced."""
    try:
        data = read_bytes(path)
        if path.suffix.lower() == ".gz":
            most = min(UNPACKED, max(SMALL, DENSEST * len(data)))
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
                data = file.read(most + 1)
            if len(data) > most:
                raise UserError(f"unpacked {path} has more than {most:,} bytes, too many for what it is")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"cannot unpack {path}: {error}") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):  # as a spreadsheet's "Unicode text"
        return data.decode("utf-16", errors="replace")
    if b"\0" in data:
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        raise UserError(f"{path} is not a text file (byte 0x00 in line {line})")
    return data.decode("utf-8-sig", errors="replace")


def _rows(name: str, text: str, *, listed: bool) -> Iterator[Row]:
    """Where, SMILES, problem and name of each row.

    `listed`: a .smi, whose first word is taken where no column stands out.
    """
    text = SEPARATOR.sub("\n", below_comments(text))
    table = _layout(name, text, listed)
    rows = _split(name, text, table.delimiter, listed=listed, whole=True)
    for number, row in islice(rows, 1 if table.header else 0, None):
        cell = EXTENDED.sub("", row[table.column].strip()) if table.column < len(row) else ""
        where = f"{name}:{number}" if listed and not table.column else f"{name}:{number}, {table.label}"
        called = row[table.named].strip() if 0 <= table.named < len(row) else ""
        if table.delimiter == " " and not table.header and table.named > table.column:
            called = " ".join(row[table.named :])
        called = EXTENSION.sub("", called)
        yield where, cell, "" if cell else "no SMILES on this line", called


def _layout(name: str, text: str, listed: bool) -> Table:
    """The delimiter and column by a header that names SMILES, else those under which most of the first rows parse."""
    best, most, richest, headed = Table(DELIMITERS[0], 0), 0, (0, 0, 0), None
    order = tuple(reversed(DELIMITERS)) if listed else DELIMITERS
    if listed and "\t" in text.lstrip("\r\n").partition("\n")[0]:  # names may have spaces
        order = ("\t", *order)
    for delimiter in order:
        rows = [row for _, row in islice(_split(name, text, delimiter, listed=listed), LOOKED_AT)]
        heads = rows[0] if rows else []
        for place in sorted(range(len(heads)), key=lambda place: heads[place].strip().lower() != "smiles"):
            header = heads[place]
            if _names_smiles(header):
                named = Table(delimiter, place, header.strip(), _named(rows[0], place))
                if OF_SMILES.fullmatch(header.strip()) or 2 * _parsing(rows[1:], place) > len(rows) - 1:
                    return named
                headed = headed or named  # it names a column of which hardly a row parses: another may, or none
        for place in range(max(map(len, rows), default=0)):
            if (rich := _richness(rows, place)) > richest:
                best, most, richest = Table(delimiter, place), rich[0], rich
    if headed and not most:
        return headed
    if not most and not listed:
        header = ", ".join(next(iter(_split(name, text, best.delimiter)), (1, []))[1])
        raise UserError(f"{name} has no column of SMILES, by name or by content (its first row: {header or 'nothing'})")
    if not most:
        return Table(" ", 0, named=1)
    rows = [row for _, row in islice(_split(name, text, best.delimiter, listed=listed), LOOKED_AT)]
    first = rows[0][best.column].strip() if best.column < len(rows[0]) else ""
    if 1 < most == len(rows) - 1 and HEADER.fullmatch(first) and not first.isupper() and not _parses(first):
        return Table(best.delimiter, best.column, first, _named(rows[0], best.column))
    others = [row[1 - best.column] for row in rows if best.column < 2 == len(row)]
    called = listed or (len(others) == len(rows) and not all(map(_is_number, others)))
    beside = 1 - best.column if called and best.column < 2 else -1  # SMILES and a name, or a name and SMILES
    return Table(best.delimiter, best.column, named=beside)


def _parsing(rows: Sequence[Sequence[str]], place: int) -> int:
    """In how many of the rows that cell parses."""
    return sum(place < len(row) and _parses(row[place].strip()) for row in rows)


def _richness(rows: Sequence[Sequence[str]], place: int) -> tuple[int, int, int]:
    """The same, how many of these cells differ, and their characters: a column of flags parses as well as molecules."""
    cells = [cell for row in rows if place < len(row) and _parses(cell := row[place].strip())]
    return len(cells), len(set(cells)), sum(map(len, cells))


def _named(heads: Sequence[str], column: int) -> int:
    """The first column but that of SMILES which is called a name or an identifier; -1 if there is none."""
    words = [set(re.findall("[a-z]+", head.lower())) for head in heads]
    return next((place for place, of in enumerate(words) if of & NAMES and place != column), -1)


def _names_smiles(header: str) -> bool:
    """Whether a cell has the word, and is one cell by every delimiter but a space."""
    known = "smiles" in re.findall("[a-z]+", header.lower()) or OF_SMILES.fullmatch(header.strip()) is not None
    return known and not any(map(header.count, DELIMITERS[:-1]))


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"\s*[+-]?[\d.,]+([eE][+-]?\d+)?\s*", cell) is not None


def _parses(cell: str) -> bool:
    cell = EXTENDED.sub("", cell)
    if not 0 < len(cell) <= LONGEST or any(map(str.isspace, cell)):  # RDKit would take what follows for a name
        return False
    with BlockLogs():
        return MolFromSmiles(cell, sanitize=False) is not None


def _split(
    name: str, text: str, delimiter: str, *, listed: bool = False, whole: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """The number of its first line and the cells of each row, from the first that is not empty.

    Quotes may hold line breaks, but not between words. In a .smi with tabs, which is `listed`, a quote is a letter.
    `whole`: raise UserError for one that is never closed.
    """
    quotes = None if listed and delimiter == "\t" else '"'
    if delimiter == " ":
        words = ((number, line.split()) for number, line in enumerate(text.splitlines(), start=1))
        yield from dropwhile(lambda row: not row[1], words)
        return
    rows, number, last = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quotes), 1, 1
    begun = False
    try:
        for row in rows:
            if begun := begun or bool(row):
                yield number, row
            last, number = number, rows.line_num + 1
    except csv.Error as error:
        said = (
            f"is longer than {csv.field_size_limit():,} characters"
            if "field limit" in str(error)
            else f"is not CSV: {error}"
        )
        raise UserError(f"{name}:{rows.line_num} {said}") from error
    if whole and last < rows.line_num and _is_open(text.splitlines()[last - 1 :], delimiter):
        raise UserError(f"{name}:{last} has a quote that is never closed: it would swallow all lines behind it")


def _is_open(lines: Sequence[str], delimiter: str) -> bool:
    """Whether a row that takes these lines ends within its quotes."""
    try:
        next(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error as error:
        return "unexpected end of data" in str(error)
    return False


def _records(name: str, text: str) -> Iterator[Row]:
    """Where, SMILES, problem and name of each record of an SDF."""
    supplier = SDMolSupplier()
    supplier.SetData(text)
    for i in range(len(supplier)):
        where = f"{name}:record {i + 1}"
        if supplier.GetItemText(i).count("\nM  V30 ") > 2 * LONGEST:  # a line an atom, and one a bond
            yield where, "", f"it has more than {LONGEST:,} atoms, the most that is read", ""
            continue
        with BlockLogs():
            mol = supplier[i]
        if mol is None:
            yield where, "", "RDKit cannot read this record", ""
        else:
            called = mol.GetProp("_Name").strip() if mol.HasProp("_Name") else ""
            yield where, str(MolToSmiles(mol)), "", called


def _line(where: str, smiles: str, prepare: Preparation) -> DataLine:
    if UNREADABLE in smiles:
        return DataLine(where, None, "a byte of its SMILES is no UTF-8")
    try:
        return DataLine(where, canonical(prepare(smiles)))
    except Undecodable as error:
        return DataLine(where, None, f"'{shortened(smiles, 200)}' is no molecule: {error}")
