"""What is installed: domains and objectives are found through entry points, listed without being imported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqtutor.errors import UserError, unknown

if TYPE_CHECKING:  # a command's help must not wait for it
    from importlib.metadata import EntryPoint


def installed(kind: str) -> dict[str, EntryPoint]:
    """The entry points of `kind` ('domain' or 'objective') by name, in the group `seqtutor.<kind>s`; none is loaded."""
    return {entry.name: entry for entry in _entries(kind)}


def released(domain: str) -> str:
    """The version of the distribution that a domain came with; empty where there is none."""
    entry = installed("domain").get(domain)
    return entry.dist.version if entry is not None and entry.dist else ""


def _entries(kind: str) -> Sequence[EntryPoint]:
    import importlib.metadata

    return _read(importlib.metadata.entry_points, f"seqtutor.{kind}s")


@lru_cache
def _read(entry_points: Callable[..., Iterable[EntryPoint]], group: str) -> Sequence[EntryPoint]:
    """Read once a process: it opens a file of every installed distribution."""
    return tuple(entry_points(group=group))


def find(kind: str, name: str) -> Any:
    """What the entry point `name` of `kind` names. Raises UserError with the nearest name, or why it cannot be loaded.

    Whatever a module raises while it is imported becomes one line here: a broken plugin must not stop the others.
    """
    entries = installed(kind)
    if name not in entries:
        raise unknown(kind, name, entries)
    entry = _only(kind, name)
    try:
        return entry.load()
    except ModuleNotFoundError as error:
        raise UserError(f"the {kind} '{name}' {_missing(entry, error.name or str(error))}") from error
    except (Exception, SystemExit) as error:  # a module may raise anything while it is imported
        where = place(error, entry.module)
        raise UserError(f"the {kind} '{name}' cannot be loaded: {line_of(error)}{where}") from error


def _only(kind: str, name: str) -> EntryPoint:
    """The entry point `name`. Raises UserError where two packages claim the name for different things."""
    found = {entry.value: entry for entry in _entries(kind) if entry.name == name}
    if len(found) > 1:
        both = " and ".join(f"{value} of {_package(entry)}" for value, entry in sorted(found.items()))
        raise UserError(f"two installed packages name a {kind} '{name}': {both}; uninstall one of them")
    return next(iter(found.values()))


def _package(entry: EntryPoint) -> str:
    return f"the package '{entry.dist.name}'" if entry.dist else "a package"


def _missing(entry: EntryPoint, module: str) -> str:
    """What is missing. A module may be in a package of another name, so that no command to install one is given."""
    if module == entry.module or entry.module.startswith(module + "."):
        return f"is named as '{entry.value}', and there is no module '{module}'; install {_package(entry)} again"
    return f"needs '{module}', which is not installed; see what {_package(entry)} requires"


def line_of(error: BaseException) -> str:
    """An exception as one line of at most 300 characters."""
    if isinstance(error, SyntaxError):
        return (
            f"{type(error).__name__}: {error.msg} ({error.filename and Path(error.filename).name}, line {error.lineno})"
        )
    said = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def place(error: BaseException, module: str) -> str:
    """Where in the package of `module` an exception came from: ' (rna/__init__.py, line 42)'; empty if nowhere."""
    package, found, trace = module.partition(".")[0], "", error.__traceback__
    while trace is not None:
        code, where = trace.tb_frame.f_code, str(trace.tb_frame.f_globals.get("__name__", ""))
        if where.partition(".")[0] == package:
            path = Path(code.co_filename)
            depth = where.count(".") + (1 if path.name != "__init__.py" else 2)
            found = f" ({'/'.join(path.parts[-depth:])}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return found
