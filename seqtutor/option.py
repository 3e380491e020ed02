"""Settings as fields of a dataclass: a default, a help text, what is allowed, and the check of all that."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import field
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import Any, get_type_hints

from seqtutor.errors import UserError, shortened, unknown

TYPES = (int, float, str, bool)  # what an option of a domain may be


def option(
    default: Any,
    help: str,  # noqa: A002
    choices: Sequence[str] | None = None,
    *,
    above: float | None = None,
    between: tuple[float, float] | None = None,
    lasting: bool = False,
    beside: str = "",
) -> Any:
    """A field of a domain's `Options`, of an objective's `Settings` or of a config: its default and its help.

    `choices`: what a text may be. `above`: a number must be finite and larger. `between`: it must lie there, the ends
    included. `lasting`: a resumed run must keep it. `beside`: another option, without which it means something else, so
    that it is not inherited where that one is another, as chords are in a key.
    """
    about = {"help": help, "choices": choices, "above": above, "between": between, "lasting": lasting}
    return field(default=default, metadata={**about, "beside": beside})


# The type of each field of a class. To tell takes .3 ms, and a domain that is loaded asks for those of all objectives.
types_of = functools.cache(get_type_hints)


def checked(record: Any) -> Any:
    """`record`, a dataclass made of `option` fields. Raises UserError for a value that its field does not allow."""
    for item in dataclasses.fields(record):
        value, about = getattr(record, item.name), item.metadata
        if about.get("choices") and value not in about["choices"]:
            raise unknown(f"value of {item.name}", str(value), about["choices"])
        if about.get("above") is not None and not about["above"] < value <= sys.float_info.max:
            raise UserError(f"{item.name} must be above {about['above']:g}, not {value}")
        low, high = about.get("between") or (None, None)
        if low is not None and not low <= value <= high:
            raise UserError(f"{item.name} must lie between {low:g} and {high:g}, not {value}")
    return record


def check_type(key: str, value: Any, hint: Any, origin: str) -> None:
    """Raise UserError where `value` is not of the type `hint`."""
    wanted, name = _KINDS.get(hint, (Mapping, "a table"))
    fits = isinstance(value, wanted) and isinstance(value, bool) == (hint is bool)
    if not fits or (hint == Sequence[str] and not all(isinstance(item, str) for item in value)):
        raise UserError(f"{key} in {origin} must be {name}, not {value!r}")
    _check_text(f"{key} in {origin}", value)


def _check_text(name: str, value: Any) -> None:
    """Raise UserError for a text or path that the system takes for no name."""
    if isinstance(value, str | PathLike) and "\0" in str(value):
        raise UserError(f"{name} holds a NUL character, which no name has: {shortened(repr(value), 60)}")


_KINDS: Mapping[Any, tuple[Any, str]] = {
    bool: (bool, "true or false"),
    int: (int, "a whole number"),
    float: ((int, float), "a number"),
    str: (str, "text"),
    Sequence[str]: ((list, tuple), "a list of texts"),
}


def check_arguments(**given: Any) -> None:
    """Raise UserError for an argument of a script that is of another kind than those of its name."""
    for name, value in given.items():
        kind, said = _ARGUMENTS[name]
        if not isinstance(value, kind):
            raise UserError(f"{name} must be {said}, not {shortened(repr(value), 60)}")
        _check_text(name, value)


_FILE = (str | Path, "text, or the path of a file")
_ARGUMENTS: Mapping[str, tuple[Any, str]] = {
    "folder": (str | PathLike, "the path of a folder"),
    "resume": (str | PathLike, "the folder of a run"),
    "terms": (Mapping | None, "a dict of functions or tables by name"),
    "weights": (Mapping | None, "a dict of numbers by name"),
    "options": (Mapping | None, "a dict of values by name"),
    "leave_out": ((list, tuple, Set), "a list of names"),
    "report": (Callable | None, "a function"),
    "primer": _FILE,
    "revise": _FILE,
    "keep": _FILE,
}


def check_seed(seed: int) -> None:
    """Raise UserError for a seed that no generator takes."""
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise UserError(f"seed must be a whole number, not {seed!r}")
    if not 0 <= seed < 2**63:
        raise UserError(f"seed must lie between 0 and 2^63 - 1, not {seed}")
