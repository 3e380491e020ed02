"""Votes on disk: one JSON object a line, appended and never changed, keyed by the texts that were compared.

Files of several raters may be put behind each other: a vote that stands there twice counts once. An undo is a line too.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from seqtutor.errors import UserError
from seqtutor.files import opened, read_bytes

ANSWERS = ("a", "b", "same", "bad", "undo")  # the first, the second, no difference, both bad; the vote `of` is undone
LARGEST = 1 << 16  # bytes of a line
SHOWN = 40  # characters of what is wrong in a message


@dataclass(frozen=True)
class Vote:
    """One answer of one person to one pair, in the order in which it was shown: `a` first, or left."""

    domain: str
    rater: str
    a: str
    b: str
    answer: str
    id: str = ""
    time: str = ""
    ms: int = 0  # from showing to answering
    source_a: str = ""  # the model that wrote it
    source_b: str = ""
    why: str = ""  # random, information, repeat
    of: str = ""  # the vote that is undone, or repeated with its sides swapped


KEYS = tuple(f.name for f in fields(Vote))
NEEDED = ("id", "domain", "rater", "a", "b", "answer")


@dataclass(frozen=True)
class Votes:
    """The votes of a file that stand, and what was passed over."""

    rows: tuple[Vote, ...]
    problems: tuple[str, ...]  # a line each, with its number
    digest: str  # of the bytes that were read
    size: int  # how many those are


def append(path: Path, vote: Vote) -> Vote:
    """Add a vote, with an id of its own and the time, to a file; it is on disk when this returns.

    A new file is readable by its owner alone.

    A last line that a dying process left without its end stays where it is, and the vote gets a line of its own.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    vote = replace(vote, id=vote.id or secrets.token_hex(8), time=vote.time or now)
    line = (json.dumps(asdict(vote), ensure_ascii=False) + "\n").encode()
    try:
        number = opened(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = os.fstat(number).st_size
            cut = size > 0 and os.pread(number, 1, size - 1) != b"\n"
            line = b"\n" + line if cut else line
            while line:
                line = line[os.write(number, line) :]
            os.fsync(number)
        finally:
            os.close(number)
    except OSError as error:
        raise UserError(f"cannot write the vote to {path}: {error.strerror}; name another file with --votes") from error
    return vote


def read(path: Path, domain: str, *, size: int = 0, digest: str = "") -> Votes:
    """The votes of a file on items of `domain`; lines that cannot be read are passed over and listed.

    `size`, `digest`: read so many bytes, which must be those that a run was tuned by; the file may have grown since.
    Raises UserError where there is no file, where it has other votes than the run's, or votes of another domain.
    """
    try:
        content = read_bytes(path)
    except OSError as error:
        raise UserError(f"cannot read the votes {path}: {error.strerror}; 'seqtutor rate' writes them") from error
    content = content[:size] if size else content
    found = hashlib.sha256(content).hexdigest()
    if digest and digest != found:
        raise UserError(
            f"{path} no longer begins with the votes that the run was tuned by (sha256 {digest[:12]}, now "
            f"{found[:12]}): put that file back, or start another run with this one"
        )
    rows, problems = _rows(path, content)
    for number, vote in rows.items():
        if vote.domain != domain:
            raise UserError(f"{path}:{number} is a vote on items of domain '{vote.domain}', not of '{domain}'")
    undone = {vote.of for vote in rows.values() if vote.answer == "undo"}
    once: dict[str, Vote] = {}
    for vote in rows.values():
        once.setdefault(vote.id, vote)
    standing = [vote for vote in once.values() if vote.answer != "undo" and vote.id not in undone]
    return Votes(tuple(standing), tuple(problems), found, len(content))


def _rows(path: Path, content: bytes) -> tuple[dict[int, Vote], list[str]]:
    rows: dict[int, Vote] = {}
    problems: list[str] = []
    lines = content.split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            rows[number] = _vote(line)
        except ValueError as error:
            cut = number == len(lines) and isinstance(error, _NoJson)
            reason = "the last line is cut off" if cut else str(error)
            problems.append(f"{path}:{number}: {reason}; passed over")
    return rows, problems


class _NoJson(ValueError):
    """A line that is no JSON object."""


def _vote(line: bytes) -> Vote:
    """The vote of one line. Raises ValueError with what is wrong, what was given and what is possible."""
    try:
        row: Any = json.loads(line) if len(line) <= LARGEST else None
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, Mapping):
        raise _NoJson(f"no JSON object of at most {LARGEST:,} bytes: {line[:SHOWN].decode(errors='replace')!r}")
    for key in row:
        if key not in KEYS:
            raise ValueError(f"no key of a vote is called {str(key)[:SHOWN]!r} (there are: {', '.join(KEYS)})")
    for key in NEEDED:
        if key not in row or row[key] == "":
            raise ValueError(f"a vote needs {', '.join(NEEDED)}; {key} is missing")
    for key, value in row.items():
        wanted = int if key == "ms" else str
        if type(value) is not wanted:
            raise ValueError(f"{key} must be {'a whole number' if wanted is int else 'text'}, not {value!r:.{SHOWN}}")
    if row["answer"] not in ANSWERS:
        raise ValueError(f"answer must be one of {', '.join(ANSWERS)}, not {row['answer'][:SHOWN]!r}")
    return Vote(**row)
