"""The reward terms on offer: each names a property of a finished molecule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from seqtutor import SequenceTerm
from seqtutor.arrays import Values
from seqtutor_molecules import contributions, properties
from seqtutor_molecules.properties import Property, each


def terms(weights: Mapping[str, float]) -> list[SequenceTerm]:
    """All terms, with `weights` by name and 0 for the others."""
    return [replace(term, weight=weights.get(term.name, 0.0)) for term in _TERMS]


def _valid(texts: Sequence[str]) -> Values:
    return np.ones(len(texts))


def _term(function: Property, summary: str, source: str = "RDKit", *, costly: bool = False) -> SequenceTerm:
    name, values = function.__name__, partial(each, function)
    return SequenceTerm(name, 0.0, summary, source, values, costly=costly, parts=getattr(contributions, name, None))


_COUNTED: Sequence[tuple[Property, str]] = (
    (properties.tpsa, "polar surface area in square angstroms, some 20 to 140"),
    (properties.donors, "hydrogen-bond donors, some 0 to 5"),
    (properties.acceptors, "hydrogen-bond acceptors, some 1 to 10"),
    (properties.rotors, "rotatable bonds, some 0 to 10"),
    (properties.amides, "amide bonds, lactams, ureas and carbamates among them, some 0 to 4"),
    (properties.rare_rings, "ring systems that at most one molecule of ZINC250k has, mostly 0"),
    (properties.odd_atoms, "atoms bonded as in at most one molecule of ZINC250k, mostly 0"),
    (properties.heavy_atoms, "atoms but hydrogens, some 10 to 40"),
    (properties.ring_count, "rings, some 0 to 6"),
    (properties.largest_ring, "atoms of the largest ring"),
    (properties.aromatic_rings, "aromatic rings, some 0 to 4"),
    (properties.fsp3, "share of the carbons that are sp3, 0 (flat) to 1"),
    (properties.charge, "net formal charge"),
    (properties.stereocentres, "stereocentres, assigned or not"),
    (properties.unassigned_stereocentres, "stereocentres that the SMILES leaves open"),
    (properties.complexity, "Bertz' index of complexity, some 100 to 1,500"),
)
_PAPER = "Jaques et al., ICML 2017, released code"

_TERMS = (
    SequenceTerm("validity", 0.0, "1 for every molecule, 0 for what is none", "RDKit sanitisation", _valid),
    _term(properties.qed, "drug-likeness QED as it is, 0 to 1", "Bickerton et al., Nature Chemistry 4 (2012) 90"),
    _term(
        properties.makeability,
        "ease of synthesis (10 - SA) / 9: 1 where the SA score is 1 (easy), 0 where it is 10 (hard)",
        "Ertl and Schuffenhauer, J. Cheminformatics 1 (2009) 8",
    ),
    _term(
        properties.saturation,
        "how little of it is flat: the share of sp3 carbons divided by .4, at most 1",
        "after Lovering et al., J. Med. Chem. 52 (2009) 6752",
    ),
    _term(
        properties.logp,
        "lipophilicity logP as it is, some -3 to 7; a positive weight asks for greasy molecules without end",
        "Wildman and Crippen, J. Chem. Inf. Comput. Sci. 39 (1999) 868",
    ),
    _term(
        properties.molecular_weight,
        "molecular weight in daltons as it is, some 200 to 500: its own weight should be small",
    ),
    *(_term(*counted, costly=True) for counted in _COUNTED),  # only where a run names it: tables stay short
    _term(
        properties.np_likeness,
        "likeness to natural products, -5 to 5; drugs lie about 0",
        "Ertl et al., J. Chem. Inf. Model. 48 (2008) 68",
        costly=True,
    ),
    _term(properties.ring_penalty, "minus the atoms by which the largest ring exceeds six", _PAPER),
    _term(properties.carbon_chain, "minus the carbons beyond eleven in a row", _PAPER),
    _term(properties.shortness, "-1 for a SMILES under 19 characters, -1/8 under 27", _PAPER),
)
