"""The reward terms on offer: each names a property of a finished molecule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from seqtutor import SequenceTerm
from seqtutor_molecules import properties
from seqtutor_molecules.properties import Property, Values, each


def terms(weights: Mapping[str, float]) -> list[SequenceTerm]:
    """All terms, with `weights` by name and 0 for the others."""
    return [replace(term, weight=weights.get(term.name, 0.0)) for term in _TERMS]


def _valid(texts: Sequence[str]) -> Values:
    return np.ones(len(texts))


def _term(function: Property, summary: str, source: str) -> SequenceTerm:
    return SequenceTerm(function.__name__, 0.0, summary, source, partial(each, function))


_PAPER = "Jaques et al., ICML 2017, released code"

_TERMS = (
    SequenceTerm("validity", 0.0, "1 for every molecule, 0 for what is none", "RDKit sanitisation", _valid),
    _term(
        properties.qed,
        "drug-likeness QED as it is, 0 to 1",
        "Bickerton et al., Nature Chemistry 4 (2012) 90",
    ),
    _term(
        properties.makeability,
        "ease of synthesis (10 - SA) / 9: 1 where the SA score is 1 (easy), 0 where it is 10 (hard)",
        "Ertl and Schuffenhauer, J. Cheminformatics 1 (2009) 8",
    ),
    _term(
        properties.logp,
        "lipophilicity logP as it is, some -3 to 7; a positive weight asks for greasy molecules without end",
        "Wildman and Crippen, J. Chem. Inf. Comput. Sci. 39 (1999) 868",
    ),
    _term(
        properties.molecular_weight,
        "molecular weight in daltons as it is, some 200 to 500: its own weight should be small",
        "RDKit",
    ),
    _term(properties.ring_penalty, "minus the atoms by which the largest ring exceeds six", _PAPER),
    _term(properties.carbon_chain, "minus the carbons beyond eleven in a row", _PAPER),
    _term(properties.shortness, "-1 for a SMILES under 19 characters, -1/8 under 27", _PAPER),
)
