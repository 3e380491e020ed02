"""Files that a stranger may have put there, configs too: only regular ones are opened; and ours, written whole."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import secrets
import stat
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from seqtutor.errors import UserError

LARGEST = 1 << 30  # bytes of a file that is read whole
CAREFUL = os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0)  # so that no FIFO is waited for
# Lines above a header: of blank cells, or a comment; "#smiles,name" is a header itself.
ABOVE = re.compile(r"\A(?:(?:[ \t,;|]*|#(?!\w+[,;\t|])[^\r\n]*)(?:\r\n?|\n))+")
NO_LINK = getattr(os, "O_NOFOLLOW", 0)


def opened(path: Path, flags: int, mode: int = 0o666) -> int:
    """The descriptor of a regular file. Raises UserError for anything else: a folder, a FIFO, a device."""
    number = os.open(path, flags | CAREFUL, mode)
    kind = os.fstat(number).st_mode
    if not stat.S_ISREG(kind):
        os.close(number)
        raise UserError(f"{path} is {'a folder' if stat.S_ISDIR(kind) else 'no file'}, and a file is needed")
    return number


def check_file(path: Path) -> None:
    """Raise UserError where a library would open something else than a regular file; OSError where nothing is there."""
    os.close(opened(path, os.O_RDONLY))


def read_bytes(path: Path, most: int = LARGEST) -> bytes:
    """What a regular file of at most `most` bytes holds. Raises UserError for any other, OSError as `open` does."""
    with os.fdopen(opened(path, os.O_RDONLY), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise UserError(f"{path} has {size:,} bytes; what is read here has at most {most:,}")
        return file.read(size)


def digest(path: Path) -> str:
    """What tells the content of a file from any other, in 16 characters."""
    return hashlib.sha256(read_bytes(path)).hexdigest()[:16]


def read_text(path: Path) -> str:
    """The text of a file. Raises UserError where it is none, or not in UTF-8."""
    try:
        return read_bytes(path).decode("utf-8-sig")  # some editors mark a file so
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file in UTF-8: {error.reason} at byte {error.start}") from error


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises UserError where it holds none."""
    try:
        found = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:  # int's own of a number of some thousand digits too
        raise UserError(f"'{path}' is not valid JSON: {error}") from error
    if not isinstance(found, dict):
        raise UserError(f"'{path}' holds no JSON object")
    return found


@contextmanager
def readable(path: str | Path) -> Iterator[None]:
    """Turn what the system says of a user's file, read in the block, into a UserError of one line."""
    try:
        yield
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text file"
        raise UserError(f"cannot read {path}: {reason}") from error


def read_toml(path: Path) -> dict[str, Any]:
    """The keys of a config file. Raises UserError with the place of a syntax error, or a number beyond 64 bits."""
    try:
        read = tomllib.loads(read_text(path))
    except FileNotFoundError:
        raise UserError(f"there is no config file {path}") from None
    except (OSError, UserError, ValueError, RecursionError) as error:  # tomllib's and int's are ValueErrors
        raise UserError(f"cannot read the config {path}: {error}") from error
    for key, value in read.items():
        if any(not -(2**63) <= number < 2**63 for number in _integers(value)):
            raise UserError(f"cannot read the config {path}: a whole number in {key} has more than 64 bits")
    return read


def _integers(value: Any) -> Iterator[int]:
    """Every whole number in a value of a TOML file."""
    if isinstance(value, int):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _integers(item)


def below_comments(text: str) -> str:
    r"""A table whose blank lines and comments (`# ...`) above the header are empty: each line keeps its number.

    >>> below_comments("# of 2024\n,,\nword,score\nab,1\n")
    '\n\nword,score\nab,1\n'
    """
    return ABOVE.sub(lambda found: "\n" * len(found[0].splitlines()), text, count=1)


def read_table(path: Path) -> list[list[str]]:
    """The rows of a CSV file, header first; none where there is no file. A last row without an end is left out.

    It may be growing, or have been cut anywhere, within a character too.
    """
    try:
        content = read_bytes(path)
    except FileNotFoundError:
        return []
    text = content[: content.rfind(b"\n") + 1].decode(errors="replace")
    try:
        return [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    except csv.Error as error:
        raise UserError(f"{path} is no table: {error}") from error


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as CSV."""
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def write_csv(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Write a table whole."""
    write_atomically(path, csv_text(rows).encode())


def write_json(path: Path, content: Any) -> None:
    """Write JSON whole, an entry a line, every letter as itself, and a byte of a path that is no text as "?"."""
    write_atomically(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode(errors="replace"))


def check_new(path: Path) -> None:
    """Raise UserError where a file that a user named exists, or cannot be written."""
    if path.exists():
        raise UserError(f"{path} exists; name another file with --output, or remove it")
    if not os.access(path.absolute().parent, os.W_OK):
        raise UserError(f"cannot write {path}: its folder is missing, or may not be written to")


def write_new(path: Path, text: str) -> None:
    """Write a file that a user named. Raises UserError where that fails."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error


def append(path: Path, head: str, text: str) -> None:
    """Add to a file, after `head` where it is new or empty; where that fails it is as it was. No link is followed."""
    with os.fdopen(opened(path, os.O_RDWR | os.O_CREAT | NO_LINK), "r+b", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        left = memoryview((text if size else head + text).encode(errors="replace"))
        try:
            while left:
                left = left[file.write(left) :]
        except OSError:
            file.truncate(size)
            raise


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` by `content` whole, or leave it as it was. The part has a name that nobody can have foreseen."""
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | CAREFUL, 0o666), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        with suppress(OSError):  # what went wrong first is what is told
            part.unlink()  # half a file helps nobody, and takes room on a full disk
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Let the names in `folder` survive a power cut, as the files' contents do."""
    if os.name == "posix":
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def check_tree(folder: Path) -> None:
    """Raise UserError for a run folder that leads out of itself, by a link, or holds what is no file: it is named."""
    for parent, folders, names in os.walk(folder):
        for path in (Path(parent, name) for name in sorted(folders + names)):
            try:
                mode = path.lstat().st_mode
            except FileNotFoundError:  # a run that writes there renames its files
                continue
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                what = f"a link to {path.readlink()}" if stat.S_ISLNK(mode) else "neither a file nor a folder"
                raise UserError(
                    f"the run folder {folder} holds '{path.relative_to(folder).as_posix()}', which is {what}: "
                    "a run has files of its own and nothing else; remove it if the rest can be trusted"
                )


def as_in_a_file(value: Any) -> Any:
    """What a script gives, as a config would hold it: a path as text that nobody takes for a name, numpy's numbers.

    >>> as_in_a_file("music"), as_in_a_file(Path("music")), as_in_a_file([Path("priors/own"), "other"])
    ('music', './music', ['priors/own', 'other'])
    """
    if isinstance(value, Mapping):
        return {key: as_in_a_file(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_in_a_file(item) for item in value]
    if isinstance(value, Path):
        plain = value.is_absolute() or len(value.parts) > 1 or str(value).startswith("~")
        return str(value) if plain else f".{os.sep}{value}"
    if isinstance(value, Real) and not isinstance(value, int | float):
        return int(value) if isinstance(value, Integral) else float(value)
    return value


def found_from(name: str, run: Path | None) -> str:
    """A path that the config of a run has; where that leads nowhere from here, the same from a folder above the run."""
    if run is None or from_home(name).exists():
        return name
    return next((str(above / name) for above in run.absolute().parents if (above / name).exists()), name)


def prior_from(name: str, run: Path | None) -> str:
    """The prior that a run's config names; a path is looked for as `found_from` does."""
    return found_from(name, run) if written_as_path(name) else name


def written_as_path(name: str) -> bool:
    """Whether a name says that it is a path: it holds a separator, or begins with a dot or a tilde."""
    return "/" in name or os.sep in name or name.startswith((".", "~"))


def from_home(path: str | Path) -> Path:
    """A path whose `~` is the home it names; as it stands where nobody of that name has one."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)
