"""What a chemist asks of a set of samples: are they molecules, new, different from one another, and any good?"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator
from rdkit.DataStructs import BulkTanimotoSimilarity
from rdkit.rdBase import BlockLogs

from seqtutor import Measure
from seqtutor.arrays import Values
from seqtutor.measure import Better
from seqtutor_molecules import filters, properties
from seqtutor_molecules.corpus import known
from seqtutor_molecules.structures import molecule, scaffold

# Diversity compares all pairs: of this many molecules, spread evenly over the valid ones.
DIVERSITY_SAMPLE = 1000

REAL = Path(__file__).with_name("real.json")  # what ZINC250k has; `python -m seqtutor_molecules.real` makes it anew

# What should be near is what a reward changes though nobody asked for it.
PROPERTIES: Sequence[tuple[str, properties.Property, Better, str]] = (
    ("QED", properties.qed, "higher", "drug-likeness of the valid, 0 to 1; in the term qed an invalid sample counts 0"),
    ("SA", properties.sa, "lower", "synthetic accessibility, 1 easy to 10 hard"),
    ("logP", properties.logp, "neither", "lipophilicity (Crippen)"),
    ("molecular weight", properties.molecular_weight, "neither", "daltons"),
    ("rings", properties.ring_count, "neither", "rings a molecule"),
    ("largest ring", properties.largest_ring, "neither", "atoms; 0 without a ring"),
    ("Fsp3", properties.fsp3, "near", "share of sp3 carbons: falls where molecules turn flat to look easy"),
    ("charged", lambda text: properties.charge(text) != 0, "near", "with a net charge, as written"),
    ("with stereocentres", lambda text: properties.stereocentres(text) > 0, "near", "one or more, assigned or not"),
    ("TPSA", properties.tpsa, "near", "polar surface, square angstroms"),
    ("H-bond donors", properties.donors, "near", "by RDKit's definition"),
    ("H-bond acceptors", properties.acceptors, "near", "by RDKit's definition"),
    ("rotatable bonds", properties.rotors, "near", "amides not among them"),
    ("amide bonds", properties.amides, "near", "lactams, ureas and carbamates among them"),
    (
        "rare ring systems",
        lambda text: properties.rare_rings(text) > 0,
        "near",
        "molecules with a ring system that at most one of ZINC250k has",
    ),
    (
        "odd atoms",
        lambda text: properties.odd_atoms(text) > 0,
        "lower",
        "molecules with an atom bonded as in at most one of ZINC250k",
    ),
    ("PAINS passed", filters.passes_pains, "higher", "free of assay interference patterns"),
    ("BRENK passed", filters.passes_brenk, "higher", "free of unwanted groups"),
)
_SHARES = ("charged", "with stereocentres", "rare ring systems", "odd atoms", "PAINS passed", "BRENK passed")

_morgan = GetMorganGenerator(radius=2, fpSize=2048)


def measure(texts: Sequence[str | None]) -> list[Measure]:
    """The figures of N samples, None for one that was no molecule."""
    with BlockLogs():
        return [*_variety(texts), *averages(texts)]


def _variety(texts: Sequence[str | None]) -> list[Measure]:
    valid = np.array([text is not None for text in texts], dtype=np.float64)
    first = _first(texts)
    new = valid * ~known([text or "" for text in texts])
    scaffolds = _first([None if text is None else scaffold(text) for text in texts])
    return [
        Measure("valid", valid, np.ones(len(texts)), "higher", True, "molecules, by RDKit's sanitisation"),
        Measure("unique", first, valid, "higher", True, "different molecules among the valid", of_set=True),
        Measure("novel", first * new, first, "higher", True, "not in ZINC250k, whatever prior; of the different ones"),
        _diversity(texts),
        Measure(
            "scaffolds", scaffolds, valid, "higher", True, "different Murcko scaffolds among the valid", of_set=True
        ),
    ]


def averages(texts: Sequence[str | None]) -> list[Measure]:
    """Means over the valid molecules for which the property could be computed."""
    found = figures(texts)
    there = np.isfinite(found)
    values, weights = np.where(there, found, 0.0), there.astype(np.float64)
    return [
        Measure(name, values[:, i], weights[:, i], better, name in _SHARES, summary, reference=real().get(name))
        for i, (name, _, better, summary) in enumerate(PROPERTIES)
    ]


@cache
def real() -> dict[str, float]:
    """What ZINC250k has of the figures that should be near it."""
    found: dict[str, float] = json.loads(REAL.read_text(encoding="utf-8"))
    return found


def figures(texts: Sequence[str | None]) -> Values:
    """(N, properties), NaN for None; a molecule is done with before the next one, and computed once."""
    rows: dict[str | None, list[float]] = {None: [float("nan")] * len(PROPERTIES)}
    for text in texts:
        if text is not None and text not in rows:
            rows[text] = [properties.attempt(function, text) for _, function, _, _ in PROPERTIES]
    return np.array([rows[text] for text in texts], dtype=np.float64).reshape(len(texts), len(PROPERTIES))


def _first(keys: Iterable[str | None]) -> Values:
    """1 where a key stands for the first time, 0 where it is repeated or None."""
    seen: set[str | None] = {None}
    first = []
    for key in keys:
        first.append(key not in seen)
        seen.add(key)
    return np.array(first, dtype=np.float64)


def _diversity(texts: Sequence[str | None]) -> Measure:
    """1 - the mean Tanimoto similarity (Morgan, radius 2, 2048 bits) over all pairs of two samples.

    An item's value is 2 d - mean(d) with d its mean distance to the others: the same mean, and, since every item is
    in the pairs of all others too, the jackknife's variance, so that the interval is right.
    """
    valid = [i for i, text in enumerate(texts) if text is not None]
    count = min(len(valid), DIVERSITY_SAMPLE)
    chosen = [valid[i * len(valid) // count] for i in range(count)]  # evenly spread
    distances = _distances([text for i in chosen if (text := texts[i]) is not None])
    values, weights = np.zeros(len(texts)), np.zeros(len(texts))
    if len(distances) > 1:
        values[chosen] = 2 * distances - distances.mean()
        weights[chosen] = 1.0
    summary = f"1 - mean Tanimoto similarity (Morgan r2, 2048 bits) of pairs among {len(chosen):,} valid samples"
    return Measure("diversity", values, weights, "higher", False, summary)


def _distances(texts: Sequence[str]) -> Values:
    """Mean Tanimoto distance of each molecule to the others."""
    prints = [_morgan.GetFingerprint(molecule(text)) for text in texts]
    others = max(1, len(prints) - 1)
    similar = [np.sum(BulkTanimotoSimilarity(one, prints)) - 1.0 for one in prints]
    return 1.0 - np.array(similar, dtype=np.float64) / others
