"""What worker processes answer for: a Python function of the user's, a program in any language, a domain's own term.

They are handed over as descriptions, and opened there.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib.machinery import PathFinder
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

from seqtutor.errors import UserError
from seqtutor.files import digest
from seqtutor.rewards.programs import Program

TextFunction = Callable[[Sequence[str]], Any]  # texts -> what is said of them, whatever that is


@dataclass
class Function:
    """`module:function`: a list of texts in, a list of numbers or None out. Imported in the worker, never here."""

    place: str

    def check(self) -> None:
        """Raise UserError where there is no such module; it is looked for without being run."""
        module, _, name = self.place.partition(":")
        if not module or not name.isidentifier():
            raise UserError(f"a function is named module:function, such as my_oracles:dock, not '{self.place}'")
        if _source(module) is None:
            raise UserError(
                f"there is no module '{module}' for the function '{self.place}'; "
                f"looked in {Path.cwd()} and among the installed modules"
            )

    def version(self) -> str:
        """Changes with the file that holds the function."""
        source = _source(self.place.partition(":")[0])
        return f"function {self.place} {digest(source) if source else ''}"

    def open(self) -> TextFunction:
        """The function, imported. Raises UserError where that fails."""
        module, _, name = self.place.partition(":")
        found: TextFunction | None = getattr(_imported(module), name, None)
        if not callable(found):
            raise UserError(f"the module '{module}' has no function '{name}'")
        return found


def _imported(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except Exception as error:  # whatever somebody's module raises while it is imported, the line shall name it
        raise UserError(f"cannot import '{module}': {type(error).__name__}: {error}") from error


def _source(module: str) -> Path | None:
    """The file of a module; nothing is run, not even the packages that it lies in. The current folder comes last."""
    here = str(Path.cwd())
    places: Sequence[str] | None = sys.path if here in sys.path else [*sys.path, here]
    importlib.invalidate_caches()
    found = None
    for depth in range(1, len(names := module.split(".")) + 1):
        found = PathFinder.find_spec(".".join(names[:depth]), places) if places is not None else None
        places = found.submodule_search_locations if found else None
    return Path(found.origin) if found and found.origin else None


@dataclass
class Own:
    """A term of a domain, which is found by its class and made anew from its options."""

    place: str  # module:Class
    options: Mapping[str, Any]
    name: str
    kind: str = ""  # of the domain's kinds, of which a config made it
    settings: Mapping[str, Any] = field(default_factory=dict)

    def open(self) -> TextFunction:
        """The term's function, of the domain, loaded. Raises UserError where that fails."""
        module, _, name = self.place.partition(":")
        try:
            made = attrgetter(name)(_imported(module))
            domain = made(made.Options(**self.options))
            terms = [domain.made(self.name, self.kind, self.settings)] if self.kind else domain.terms()
            (values,) = (term.values for term in terms if term.name == self.name)
        except (AttributeError, TypeError, ValueError) as error:
            raise UserError(f"cannot be loaded in a worker process from {self.place}: {error}") from error
        return lambda texts: values(tuple(texts))


Oracle = Function | Program | Own


def lies_here(oracle: Oracle) -> bool:
    """Whether a function, or the class of a domain, is found in the current folder alone. Nothing is run."""
    if isinstance(oracle, Program):
        return False
    top = oracle.place.partition(":")[0].partition(".")[0]
    elsewhere, here = (PathFinder.find_spec(top, places) for places in (path_elsewhere(), [str(Path.cwd())]))
    return elsewhere is None and here is not None


def path_elsewhere() -> list[str]:
    """Where modules are found, the current folder aside; where that is a checkout of ours that is used, it stays."""
    here, ours = Path.cwd(), Path(__file__).parents[2]
    return [place for place in map(str, sys.path) if place and (here != Path(place).absolute() or here == ours)]


KINDS: dict[str, Callable[..., Oracle]] = {"Function": Function, "Program": Program, "Own": Own}


def described(oracle: Oracle) -> list[Any]:
    """Its kind, one of KINDS, and what it is made from, as JSON can hold it."""
    return [type(oracle).__name__, {f.name: getattr(oracle, f.name) for f in fields(oracle) if f.compare}]
