"""What is installed: domains and objectives are found through entry points, listed without being imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seqtutor.errors import UserError, unknown

if TYPE_CHECKING:  # a command's help must not wait for it
    from importlib.metadata import EntryPoint


def installed(kind: str) -> dict[str, EntryPoint]:
    """The entry points of `kind` ('domain' or 'objective') by name, in the group `seqtutor.<kind>s`; none is loaded."""
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=f"seqtutor.{kind}s")}


def find(kind: str, name: str) -> Any:
    """What the entry point `name` of `kind` names. Raises UserError with the nearest name, or the package missing."""
    entries = installed(kind)
    if name not in entries:
        raise unknown(kind, name, entries)
    try:
        return entries[name].load()
    except ModuleNotFoundError as error:
        raise UserError(
            f"the {kind} '{name}' needs the package '{error.name}', which is not installed; "
            f"type: pip install '{error.name}'"
        ) from error
