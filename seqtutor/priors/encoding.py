"""Items as rows of ids: with their end, whether they fit, padded to one width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from seqtutor.arrays import Ids
from seqtutor.errors import UserError, refused
from seqtutor.vocabulary import EOS, PAD

if TYPE_CHECKING:
    from seqtutor.domain import Domain


def with_end(domain: Domain, tokens: Sequence[str]) -> list[int]:
    """The ids of an item's tokens, and EOS where items have an end. Raises UnknownToken."""
    ids = domain.vocabulary.encode(tokens)
    return ids if domain.fixed_length else [*ids, EOS]


def misfit(domain: Domain, text: str) -> str:
    """Why the domain's vocabulary cannot spell a text; empty where it can."""
    return str(refused(lambda: domain.vocabulary.encode(domain.encode(text))) or "")


def family_of(domain: Domain, text: str, otherwise: str = "") -> str:
    """The family of an item; what stands for it where the domain refuses the text."""
    try:
        return domain.family(text)
    except UserError:
        return otherwise


def fits(domain: Domain, length: int) -> bool:
    """Whether an item of so many ids, its end among them, is one that a model of the domain can write."""
    return length == domain.max_length if domain.fixed_length else length <= domain.max_length


def ids_of(domain: Domain, text: str) -> list[int]:
    """The ids of an item with its end. Raises UserError for one that no model of the domain can write."""
    ids = with_end(domain, domain.encode(text))
    if not fits(domain, len(ids)):
        most = f"{'' if domain.fixed_length else 'at most '}{domain.max_length}"
        raise UserError(f"it has {len(ids):,} tokens, and items of this domain have {most}")
    return ids


def rows_of(domain: Domain, texts: Sequence[str], width: int = 0) -> Ids:
    """Items as ids (B, T) with their end, then PAD; T is `width`, or as long as the longest."""
    return padded([with_end(domain, domain.encode(text)) for text in texts], width)


def padded(sequences: Sequence[Sequence[int]], width: int = 0) -> Ids:
    """Sequences of ids -> (B, T) int64 with PAD behind; T is `width`, or as long as the longest."""
    import numpy as np  # not at the top: a command's help must not wait for it

    rows = np.full((len(sequences), width or max(map(len, sequences), default=0)), PAD, np.int64)
    for row, ids in zip(rows, sequences, strict=True):
        row[: len(ids)] = ids
    return rows
