"""What can go wrong through no fault of the program: each prints as one line, without a traceback."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

MANY = 20  # names that are listed when one of them is near


class UserError(Exception):
    """A mistake that the person at the keyboard can mend: the message says what is wrong and what is possible."""


class Undecodable(UserError):
    """These tokens are no item of the domain (an invalid SMILES, say): not a failure, and never scored."""


def shortened(text: str, most: int = 60) -> str:
    """A text for a message: at most `most` characters of it."""
    return text if len(text) <= most else text[: most - 3] + "..."


@contextmanager
def about(text: str, among: Sequence[str] = ()) -> Iterator[None]:
    """Add to a UserError that the block raises which item it is about, and its place `among` the others.

    >>> with about("abc", ["ab", "abc"]):
    ...     raise UserError("it has a c")
    Traceback (most recent call last):
    seqtutor.errors.UserError: it has a c (item 2 of 2: 'abc')
    """
    try:
        yield
    except UserError as error:
        place = f"item {among.index(text) + 1:,} of {len(among):,}" if text in among else "item"
        error.args = (f"{error} ({place}: '{plain(shortened(text))}')",)
        raise


def plain(text: str) -> str:
    r"""A text of a stranger's on one line, every character that steers a terminal as its number.

    >>> print(plain("a\x1b[2Jb\nc"))
    a\x1b[2Jb\nc
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def differences(one: Any, other: Any) -> tuple[str, str]:
    """Two values for a message; of two tables what differs alone.

    >>> differences({"bars": 4, "metre": "4/4"}, {"bars": 8, "metre": "4/4"}), differences("tb", "g")
    (('bars 4', 'bars 8'), ("'tb'", "'g'"))
    """
    if not (isinstance(one, Mapping) and isinstance(other, Mapping)):
        return repr(one), repr(other)
    keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    old, new = (", ".join(f"{key} {table.get(key, 'unset')}" for key in keys) for table in (one, other))
    return old, new


def refused(ask: Callable[[], object]) -> UserError | None:
    """The UserError of a call; None where there is none."""
    try:
        ask()
    except UserError as error:
        return error
    return None


def unknown(kind: str, given: object, known: Iterable[str]) -> UserError:
    """The error for a name that does not exist: with the nearest one, and all there are, if they are not many.

    >>> print(unknown("domain", "musik", ["molecules", "music"]))
    unknown domain 'musik'; did you mean 'music'? (there are: molecules, music)
    """
    names = sorted(known)
    small = {name.lower(): name for name in names}
    near = get_close_matches(str(given).lower(), small, n=1, cutoff=0.5)
    if near and len(names) > MANY:
        return UserError(f"unknown {kind} '{given}'; did you mean '{small[near[0]]}'?")
    hint = f"; did you mean '{small[near[0]]}'?" if near else ""
    return UserError(f"unknown {kind} '{given}'{hint} (there are: {', '.join(names) or 'none'})")
