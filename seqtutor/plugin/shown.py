"""A plugin's terms behind the border: they are shown what they cannot change, and what they give is checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from seqtutor.arrays import Ids, Values
from seqtutor.domain import Domain, SequenceTerm, TokenTerm
from seqtutor.plugin.border import border
from seqtutor.plugin.contract import wrong
from seqtutor.term import Parts


def of_steps(cls: type[Domain], term: TokenTerm) -> TokenTerm:
    """A term of each step, which gets ids that it cannot change and gives as many numbers."""

    def values(ids: Ids) -> Values:
        seen = np.asarray(ids).view()
        seen.flags.writeable = False
        with border(cls, f"term '{term.name}'"):
            found = np.asarray(term.values(seen))
        if found.shape != seen.shape or found.dtype.kind not in "biuf":
            said = f"gave {found.dtype} of shape {found.shape} for ids of shape {seen.shape}"
            raise wrong(cls, f"term '{term.name}'", f"{said}; a number for each is needed")
        return found.astype(np.float64, copy=False)

    return replace(term, values=values)


def of_texts(cls: type[Domain], term: SequenceTerm, encode: Callable[[str], Sequence[str]]) -> SequenceTerm:
    """A term of whole items, which gets texts as a tuple; its exceptions are the scorer's, as failures of the texts."""
    values, made = term.values, term.parts

    def parts(text: str) -> Parts:
        with border(cls, f"term '{term.name}', parts"):
            found: Any = made(text) if made else ()
            named = isinstance(found, Mapping)
            parts = {str(k): float(v) for k, v in found.items()} if named else [float(value) for value in found]
        numbers = list(parts.values()) if isinstance(parts, dict) else parts
        if not all(map(math.isfinite, numbers)) or not (named or len(numbers) == len(encode(text))):
            raise wrong(
                cls,
                f"term '{term.name}', parts",
                f"gave {found!r:.80}; a number for each token is needed, or a table of names and numbers",
            )
        return parts

    return replace(term, values=lambda texts: values(tuple(texts)), parts=parts if made else None)
