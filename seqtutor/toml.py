"""Config files, read."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seqtutor.errors import UserError
from seqtutor.files import read_text


def read_toml(path: Path) -> dict[str, Any]:
    """The keys of a config file. Raises UserError with the place of a syntax error, or a number beyond 64 bits."""
    try:
        read = tomllib.loads(read_text(path))
    except FileNotFoundError:
        raise UserError(f"there is no config file {path}") from None
    except (
        OSError,
        UserError,
        ValueError,
        RecursionError,
    ) as error:  # tomllib's and int's are ValueErrors
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
