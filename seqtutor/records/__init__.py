"""Records: texts that somebody has scored before, read from CSV, JSONL or a run folder, line by line."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from seqtutor.domain import DataLine, Domain
from seqtutor.errors import UserError
from seqtutor.files import below_comments, check_tree, digest, found_from, read_bytes
from seqtutor.plugin.contract import TERM
from seqtutor.priors.encoding import family_of, ids_of
from seqtutor.rewards.outcomes import LARGEST

SUFFIXES = (".csv", ".tsv", ".jsonl")
DELIMITERS = ",;\t|"
TEXT = "text"  # the column of texts, unless another is named
LOOKED_AT = 50  # rows by which the column of texts is found where there is none of that name
FEWEST = 8  # different texts: of fewer nothing is learnt but their names
BOUNDS = ("<", ">", "\u2264", "\u2265")  # with which a value begins that was not measured to its end
LEAST_GROUPS = 15  # groups below which none is held out: a fifth of them would say nothing
HELD_OUT = 0.2  # of the groups

Cells = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """One value that was measured: a text that stands twice has two."""

    where: str
    text: str
    ids: Sequence[int]  # with EOS where an item has one
    values: Sequence[float]  # what each term of the record says
    group: str  # what is learnt from or held out as a whole
    logp: float  # log-probability of the text under the model that wrote it, nats; NaN: not known


@dataclass(frozen=True)
class Record:
    """All that could be read, and what could not."""

    names: Sequence[str]  # of the terms
    lines: Sequence[Line]
    problems: Sequence[DataLine]
    columns: Sequence[str]  # of the texts, one a file

    @property
    def texts(self) -> list[str]:
        """The different texts, in their order."""
        return list(dict.fromkeys(line.text for line in self.lines))

    def means(self) -> dict[str, dict[str, float]]:
        """What each term says of each text: the mean of its values."""
        values: dict[str, list[Sequence[float]]] = {}
        for line in self.lines:
            values.setdefault(line.text, []).append(line.values)
        mean = {text: np.mean(rows, axis=0).tolist() for text, rows in values.items()}
        return {name: {text: row[k] for text, row in mean.items()} for k, name in enumerate(self.names)}

    def held_out(self, seed: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """(N,) of the lines: those of a fifth of the groups, never learnt from. None of fewer than fifteen groups."""
        groups = sorted({line.group for line in self.lines})
        count = round(HELD_OUT * len(groups)) if len(groups) >= LEAST_GROUPS else 0
        chosen = {groups[i] for i in np.random.default_rng([seed, 4]).permutation(len(groups))[:count]}
        return np.array([line.group in chosen for line in self.lines], bool)

    @property
    def sentence(self) -> str:
        """What was read, for a person."""
        again = len(self.lines) - len(self.texts)
        twice = f" ({again:,} of them values of a text that has one already: all are kept)" if again else ""
        chosen = ", ".join(dict.fromkeys(column for column in self.columns if column != TEXT))
        column = f", which stand in column {chosen}" if chosen else ""
        return f"{len(self.lines):,} lines of {len(self.texts):,} texts{column}{twice}"


def recorded_terms(tables: Mapping[str, Any], said: Sequence[str]) -> dict[str, Any]:
    """The tables of terms with one for each COLUMN or NAME=COLUMN that is said of a record.

    >>> recorded_terms({}, ["pIC50=pIC50 (nM)", "stars"])
    {'pIC50': {'record': 'pIC50 (nM)'}, 'stars': {'record': 'stars'}}
    """
    known = {table.get("record") for table in tables.values() if isinstance(table, Mapping)} - {None}
    new: dict[str, Any] = {}
    for text in said or (() if known else ("reward",)):
        name, _, column = text.partition("=")
        if name in new:
            raise UserError(
                f"log_reward names '{name}' twice, the second time as '{text}': give each a name of its own"
            )
        if not column and text in known:
            continue
        if not TERM.fullmatch(name):
            raise UserError(f"column '{text}' has no name that a term can have: give one, --log-reward 'NAME={text}'")
        new[name] = {**dict(tables.get(name, {})), "record": column or text}
    return {**tables, **new}


def read_record(domain: Domain, paths: Sequence[str], columns: Mapping[str, str], text: str = "") -> Record:
    """The lines of all files; `columns`: by the name of a term, the column that says it.

    Raises UserError where a file cannot be read or lacks a column, and where nothing can be learnt from all of it.
    """
    files = [file for given in paths for file in files_of(Path(given), columns)]
    read = [_lines(domain, file, columns, text) for file in files]
    seen: dict[str, Path] = {}
    for file in files:
        if (first := seen.setdefault(digest(file), file)) is not file:
            raise UserError(
                f"the record {file} holds the same as {first}: its lines would count twice; give one of them"
            )
    found = [one for _, some in read for one in some]
    lines = _regrouped([one for one in found if isinstance(one, Line)])
    problems = [one for one in found if isinstance(one, DataLine)]
    record = Record(list(columns), lines, problems, [column for column, _ in read])
    if len(record.texts) < FEWEST:
        bad = f"; {problems[0].where}: {problems[0].problem}" if problems else ""
        raise UserError(
            f"the record {', '.join(paths)} has {len(record.texts)} different texts that can be learnt from, and "
            f"{FEWEST} are needed ({len(problems)} lines could not be read{bad})"
        )
    if len({tuple(line.values) for line in lines}) == 1:
        said = ", ".join(f"{name} is {value:g}" for name, value in zip(columns, record.lines[0].values, strict=True))
        raise UserError(f"the record {', '.join(paths)} says the same of every text ({said}): nothing can be learnt")
    return record


def _regrouped(lines: Sequence[Line]) -> list[Line]:
    """The lines with one group for all in which a text stands, as of several plates: else it would be held out, too."""
    if not lines:
        return []
    groups, group = np.unique([line.group for line in lines], return_inverse=True)
    texts, text = np.unique([line.text for line in lines], return_inverse=True)
    n = len(groups) + len(texts)
    pairs = coo_array((np.ones(len(lines)), (group, len(groups) + text)), shape=(n, n))
    joined = connected_components(pairs, directed=False)[1][group]
    first = {number: line.group for number, line in reversed(list(zip(joined.tolist(), lines, strict=True)))}
    return [replace(line, group=first[number]) for line, number in zip(lines, joined.tolist(), strict=True)]


def files_of(path: Path, columns: Mapping[str, str]) -> list[Path]:
    """The files of a record: the path itself, what a run has scored, or every table in a folder."""
    if not path.exists():
        raise UserError(f"there is no record {path}")
    if not path.is_dir():
        return [path]
    if (path / "config.toml").is_file():
        check_tree(path)
        table = path / ("ledger.csv" if set(columns.values()) == {"reward"} else "scored.csv")
        if not table.is_file():
            raise UserError(f"the run {path} has no {table.name}: it asked no oracle; its samples.csv has its terms")
        return [table]
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    if not files:
        raise UserError(f"the folder {path} holds no record (looked for: {', '.join(SUFFIXES)}, and a run's tables)")
    return files


def check_digests(
    paths: Sequence[str], columns: Mapping[str, str], before: Mapping[str, Any], run: Path | None
) -> dict[str, str]:
    """The digest of each file by its path, as the config of the `run` that goes on has it.

    Raises UserError for a file that has changed since the config was written.
    """
    now = {}
    for given in paths:
        place = Path(found_from(given, run))
        for file in files_of(place, columns):
            now[(Path(given) / file.relative_to(place)).as_posix()] = digest(file)
    for path, found in now.items():
        if before.get(path, found) != found:
            raise UserError(
                f"the record {path} has changed since this run began: put it back as it was, or start another run "
                "with it, by a config without [log_digests]"
            )
    return now


def _lines(domain: Domain, path: Path, columns: Mapping[str, str], text: str) -> tuple[str, list[Line | DataLine]]:
    """The column of the texts, and what each line of the file says."""
    rows = list(_rows(path))
    cells = [row for _, row in rows if isinstance(row, Mapping)]
    heads = list(dict.fromkeys(key for row in cells for key in row))
    if not rows:
        raise UserError(f"the record {path} is empty: it needs a column of texts and one of numbers")
    if not cells:
        raise UserError(f"the record {path} has no line that can be read: {rows[0][0]}: {rows[0][1]}")
    taken = [_column(path, heads, name, column) for name, column in columns.items()]
    place = _text_column(domain, path, heads, cells, text, taken)
    return place, [
        DataLine(where, None, row) if isinstance(row, str) else _line(domain, where, row, place, taken)
        for where, row in rows
    ]


def _column(path: Path, heads: Sequence[str], name: str, column: str) -> str:
    """The head of the column of the term `name`; one that is itself 'name=column' is meant, too."""
    for candidate in (column, f"term.{column}", f"{name}={column}"):
        if candidate in heads:
            return candidate
    raise UserError(
        f"the record {path} has no column '{column}' (it has: {', '.join(heads) or 'none'}); name one with "
        "--log-reward COLUMN or NAME=COLUMN, or as the NAME of --surrogate NAME=FILE"
    )


def _text_column(
    domain: Domain, path: Path, heads: Sequence[str], rows: Sequence[Cells], text: str, taken: Sequence[str]
) -> str:
    """The column that was named, that is called 'text', or under which the first rows have the most different items."""
    if text or TEXT in heads:
        if (text or TEXT) not in heads:
            raise UserError(f"the record {path} has no column '{text}' of texts (it has: {', '.join(heads)})")
        return text or TEXT
    items = {
        head: {found[0] for row in rows[:LOOKED_AT] if not isinstance(found := _item(domain, row.get(head)), str)}
        for head in heads
        if head not in taken
    }
    best = max(items, key=lambda head: len(items[head]), default="")
    if not best or not items[best]:
        raise UserError(
            f"the record {path} has no column of items of domain '{domain.name}' (it has: {', '.join(heads)}); "
            "call it 'text', or name it with --log-text"
        )
    return best


def _line(domain: Domain, where: str, row: Cells, place: str, taken: Sequence[str]) -> Line | DataLine:
    values = [_number(row.get(column)) for column in taken]
    for column, value in zip(taken, values, strict=True):
        if not abs(value) < LARGEST:
            said = "empty" if (cell := row.get(column)) in (None, "") else repr(cell)
            beyond = f" that is not beyond {LARGEST:g}" if math.isfinite(value) else ""
            beyond = ": a bound; without such lines the record lacks its extremes" if said[1:2] in BOUNDS else beyond
            return DataLine(where, None, f"{column} is {said:.60}, and a number is needed{beyond}")
    found = _item(domain, row.get(place))
    if isinstance(found, str):
        return DataLine(where, None, found or f"no text in column {place}")
    text, ids = found
    logp = _number(row.get("logp"))
    group = family_of(domain, text, text) if row.get("group") in (None, "") else str(row["group"])
    return Line(where, text, ids, values, group, logp if -LARGEST < logp <= 0 else math.nan)


def _item(domain: Domain, found: Any) -> tuple[str, list[int]] | str:
    """The item that a cell stands for and its ids; what is wrong with it where it is none that the model can write.

    Nothing is wrong with an empty cell, which is no item either.
    """
    if not (cell := str("" if found is None else found).strip()):
        return ""
    try:
        text = domain.prepared(cell)
        return text, ids_of(domain, text)
    except UserError as error:
        return f"{cell!r:.60}: {error}"


def _number(cell: Any) -> float:
    """The number in a cell; NaN where it is none."""
    try:
        return math.nan if isinstance(cell, bool) else float(cell)
    except (TypeError, ValueError):
        return math.nan


def _rows(path: Path) -> Iterator[tuple[str, Cells | str]]:
    """The place of each line and its cells by their column, or what is wrong with it."""
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"cannot read the record {path}: its name must end in one of {', '.join(SUFFIXES)}")
    try:
        text = read_bytes(path).decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise UserError(f"cannot read the record {path}: {error.strerror}") from error
    if "\0" in text:
        raise UserError(f"the record {path} is not a text file")
    yield from _json_rows(path.name, text) if path.suffix.lower() == ".jsonl" else _csv_rows(path.name, text)


def _json_rows(name: str, text: str) -> Iterator[tuple[str, Cells | str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                found = json.loads(line)
            except (ValueError, RecursionError):
                found = None
            yield f"{name}:{number}", found if isinstance(found, dict) else "no JSON object"


def _csv_rows(name: str, text: str) -> Iterator[tuple[str, Cells | str]]:
    text = below_comments(text.replace("\r\n", "\n").replace("\r", "\n"))  # old spreadsheets end a line in CR alone
    rows, header = csv.reader(()), text.lstrip("\n").partition("\n")[0]
    try:
        cells = {delimiter: len(next(csv.reader([header], delimiter=delimiter), [])) for delimiter in DELIMITERS}
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=max(DELIMITERS, key=cells.__getitem__))
        named = [head.strip() for head in next(filter(None, rows), [])]
        # Of those that share a name, each has its place behind it, so that none is taken for another.
        heads = [f"{head} (column {k})" if named.count(head) > 1 else head for k, head in enumerate(named, start=1)]
        number = rows.line_num + 1
        for row in rows:
            if any(cell.strip() for cell in row):
                whole = len(row) <= len(heads)
                cut = f"{len(row)} cells, and the header has {len(heads)}"
                yield f"{name}:{number}", dict(zip(heads, row, strict=False)) if whole else cut
            number = rows.line_num + 1
    except csv.Error as error:
        raise UserError(f"{name}:{rows.line_num} is not CSV: {error}") from error
