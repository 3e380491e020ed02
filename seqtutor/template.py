"""What every item has by the options of its domain: given tokens, and holes that a model fills."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Template:
    """What every item has: tokens, and holes that a model fills.

    A hole in the middle ends with the `closing` token that has no `opening` one in it, and the template goes on with
    that token; a hole at the end of the template ends with the item. `first`: tokens that a hole may begin with, so
    that none stays empty. `barred`: of each hole, tokens that it may not hold.
    """

    tokens: tuple[str | None, ...]  # None is a hole
    opening: str
    closing: str
    first: frozenset[str]
    barred: tuple[frozenset[str], ...]
