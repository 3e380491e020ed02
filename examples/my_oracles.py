"""Reward terms of one's own: a list of texts in, a list of numbers out, None where there is no number.

seqtutor train --domain molecules --function halogens=my_oracles:halogens      (from this folder)
"""

from collections.abc import Sequence


def halogens(texts: Sequence[str]) -> list[float | None]:
    """How many atoms of F, Cl, Br and I a SMILES has; None where it says nothing."""
    return [count(text) if text else None for text in texts]


def count(smiles: str) -> float:
    """The halogens of one SMILES.

    >>> count("ClCCBr")
    2.0
    """
    return float(sum(smiles.count(symbol) for symbol in ("F", "Cl", "Br", "I")))
