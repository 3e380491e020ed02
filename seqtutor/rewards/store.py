"""Answers on disk: what a term, in this version, said of a text. One file a run, or one that several runs share."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from seqtutor.errors import UserError
from seqtutor.rewards.outcomes import Outcome

SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    term TEXT, version TEXT, text TEXT, value REAL, reason TEXT, kind TEXT,
    PRIMARY KEY (term, version, text)
) WITHOUT ROWID
"""


class Store:
    """A table of answers in an SQLite file. Several processes may use one file at once.

    `failures`: keep these too. A run keeps its own, so that what failed once stays failed in it; in a file that runs
    share only values are kept, since a time-out in one says nothing of another.
    """

    def __init__(self, path: Path, *, failures: bool) -> None:
        self.path, self.failures = path, failures
        with self._readable():
            self.connection = sqlite3.connect(path, timeout=60.0, isolation_level=None)
            try:
                self.connection.execute("PRAGMA journal_mode = WAL")
                self.connection.execute("PRAGMA synchronous = NORMAL")
                self.connection.execute(SCHEMA)
            except sqlite3.Error:
                self.connection.close()
                raise

    def get(self, term: str, version: str, texts: Iterable[str]) -> dict[str, Outcome]:
        """The outcomes that are known, by text."""
        found = {}
        query = "SELECT value, reason, kind FROM answers WHERE term = ? AND version = ? AND text = ?"
        with self._readable():
            for text in texts:
                row = self.connection.execute(query, (term, version, text)).fetchone()
                if row is not None:
                    found[text] = Outcome(math.nan if row[0] is None else float(row[0]), row[1], row[2])
        return found

    def put(self, term: str, version: str, answers: Mapping[str, Outcome]) -> None:
        """Keep answers; when this returns, a kill of this process cannot lose them."""
        rows = [
            (term, version, text, None if math.isnan(answer.value) else answer.value, answer.reason, answer.kind)
            for text, answer in answers.items()
            if self.failures or answer.kind == "value"
        ]
        with self._readable():
            self.connection.execute("BEGIN IMMEDIATE")
            self.connection.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?)", rows)
            self.connection.execute("COMMIT")

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OverflowError, UnicodeError) as error:
            raise UserError(f"cannot use the answers in {self.path}: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.connection.close()
