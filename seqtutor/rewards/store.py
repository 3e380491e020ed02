"""Answers on disk: what a term, in this version, said of a text. One file a run, or one that several runs share."""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from seqtutor.errors import UserError
from seqtutor.files import check_file
from seqtutor.rewards.outcomes import Outcome, failure, outcome_of
from seqtutor.signals import waiting

SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    term TEXT, version TEXT, text TEXT, value REAL, reason TEXT, kind TEXT,
    PRIMARY KEY (term, version, text)
) WITHOUT ROWID
"""
WAIT = 60.0  # seconds for another process that is writing, and for what a file makes us do
STEP = 0.2  # of them at a time: between two steps a signal is heard
WORK = 10_000  # instructions of SQLite between two looks at the clock


class Store:
    """A table of answers in an SQLite file. Several processes may use one file at once.

    `failures`: keep these too. A run keeps its own, so that what failed once stays failed in it; in a file that runs
    share only values are kept, since a time-out in one says nothing of another. The file may be a stranger's: one that
    holds anything but this table, such as a trigger, is refused before it can do anything.
    """

    def __init__(self, path: Path, *, failures: bool) -> None:
        self.path, self.failures, self.until = path, failures, math.inf
        with self._readable():
            if path.exists():
                check_file(path)
            self.connection = sqlite3.connect(path, timeout=STEP, isolation_level=None)
            try:
                self.connection.set_progress_handler(lambda: time.monotonic() > self.until, WORK)
                self._run("PRAGMA trusted_schema = OFF")
                for name, sql in self._run("SELECT name, sql FROM sqlite_master").fetchall():
                    if str(sql).split() != SCHEMA.replace("IF NOT EXISTS ", "").split():
                        raise UserError(f"cannot use the answers in {self.path}: it holds {name!r}, which is not ours")
                for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", SCHEMA):
                    self._run(statement)
            except BaseException:
                self.connection.close()
                raise

    def _run(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Execute a statement, as soon as no other process has locked the file; a signal is heard meanwhile."""
        while True:
            try:
                return self.connection.execute(statement, values)
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > self.until:
                    raise
            with waiting():
                time.sleep(STEP / 10)

    def get(self, term: str, version: str, texts: Iterable[str]) -> dict[str, Outcome]:
        """The outcomes that are known, by text."""
        found = {}
        query = "SELECT value, reason, kind FROM answers WHERE term = ? AND version = ? AND text = ?"
        with self._readable():
            for text in texts:
                row = self._run(query, (term, version, text)).fetchone()
                if row is not None:
                    found[text] = _outcome(*row)
        return found

    def put(self, term: str, version: str, answers: Mapping[str, Outcome]) -> None:
        """Keep answers; when this returns, a kill of this process cannot lose them."""
        rows = [
            (term, version, text, None if math.isnan(answer.value) else answer.value, answer.reason, answer.kind)
            for text, answer in answers.items()
            if self.failures or answer.kind == "value"
        ]
        with self._readable():
            self._run("BEGIN IMMEDIATE")
            self.connection.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?)", rows)
            self._run("COMMIT")

    def forget(self, term: str, version: str, texts: Iterable[str]) -> None:
        """Drop answers, so that these texts are asked again."""
        with self._readable():
            for text in texts:
                self._run("DELETE FROM answers WHERE term = ? AND version = ? AND text = ?", (term, version, text))

    @contextmanager
    def _readable(self) -> Iterator[None]:
        self.until = time.monotonic() + WAIT
        try:
            yield
        except (sqlite3.Error, OverflowError, UnicodeError) as error:
            raise UserError(f"cannot use the answers in {self.path}: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.connection.close()


def _outcome(value: Any, reason: Any, kind: Any) -> Outcome:
    """What a row says; a failure where it says nothing that this program can have written."""
    if kind in ("failure", "quarantine"):
        return failure(str(reason), kind)
    return outcome_of(value) if kind == "value" else failure("its answer on disk is damaged")
