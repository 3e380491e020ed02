"""What a chemist asks of a set of samples: are they molecules, new, different from one another, and any good?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from rdkit.Chem import MolToSmiles
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator
from rdkit.Chem.Scaffolds.MurckoScaffold import GetScaffoldForMol
from rdkit.DataStructs import BulkTanimotoSimilarity
from rdkit.rdBase import BlockLogs

from seqtutor import Measure
from seqtutor.domain import Values
from seqtutor_molecules import filters, properties
from seqtutor_molecules.corpus import known
from seqtutor_molecules.structures import molecule

# Diversity compares all pairs: of this many molecules, spread evenly over the valid ones.
DIVERSITY_SAMPLE = 1000

_morgan = GetMorganGenerator(radius=2, fpSize=2048)


def measure(texts: Sequence[str | None]) -> list[Measure]:
    """The figures of N samples, None for one that was no molecule."""
    with BlockLogs():
        return [*_variety(texts), *_averages(texts)]


def scaffold(smiles: str) -> str:
    """The Bemis-Murcko scaffold as SMILES: rings and what links them; empty where there is no ring.

    >>> scaffold("CC(=O)Oc1ccccc1C(=O)O")
    'c1ccccc1'
    """
    return str(MolToSmiles(GetScaffoldForMol(molecule(smiles))))


def _variety(texts: Sequence[str | None]) -> list[Measure]:
    valid = np.array([text is not None for text in texts], dtype=np.float64)
    first = _first(texts)
    new = np.array([text is not None and text not in known() for text in texts], dtype=np.float64)
    scaffolds = _first([None if text is None else scaffold(text) for text in texts])
    return [
        Measure("valid", valid, np.ones(len(texts)), "higher", True, "molecules, by RDKit's sanitisation"),
        Measure("unique", first, valid, "higher", True, "different molecules among the valid"),
        Measure("novel", first * new, first, "higher", True, "not in ZINC250k, among the different ones"),
        _diversity(texts),
        Measure("scaffolds", scaffolds, valid, "higher", True, "different Murcko scaffolds among the valid"),
    ]


def _averages(texts: Sequence[str | None]) -> list[Measure]:
    return [
        _average("QED", properties.qed, texts, "higher", "drug-likeness, 0 to 1"),
        _average("SA", properties.sa, texts, "lower", "synthetic accessibility, 1 easy to 10 hard"),
        _average("logP", properties.logp, texts, "neither", "lipophilicity (Crippen)"),
        _average("molecular weight", properties.molecular_weight, texts, "neither", "daltons"),
        _average("rings", properties.rings, texts, "neither", "rings a molecule"),
        _average("largest ring", properties.largest_ring, texts, "neither", "atoms; 0 without a ring"),
        _average("PAINS passed", filters.passes_pains, texts, "higher", "free of assay interference patterns", True),
        _average("BRENK passed", filters.passes_brenk, texts, "higher", "free of unwanted groups", True),
    ]


def _average(
    name: str,
    function: Callable[[str], float],
    texts: Sequence[str | None],
    better: Literal["higher", "lower", "neither"],
    summary: str,
    percent: bool = False,
) -> Measure:
    """The mean of a property over the valid molecules for which it could be computed; equal ones are computed once."""
    distinct = sorted({text for text in texts if text is not None})
    value = dict(zip(distinct, properties.each(function, distinct), strict=True))
    values = np.array([np.nan if text is None else value[text] for text in texts], dtype=np.float64)
    there = np.isfinite(values)
    return Measure(name, np.where(there, values, 0.0), there.astype(np.float64), better, percent, summary)


def _first(keys: Iterable[str | None]) -> Values:
    """1 where a key stands for the first time, 0 where it is repeated or None."""
    seen: set[str | None] = {None}
    return np.array([not (key in seen or seen.add(key)) for key in keys], dtype=np.float64)


def _diversity(texts: Sequence[str | None]) -> Measure:
    """1 - the mean Tanimoto similarity (Morgan, radius 2, 2048 bits) over all pairs of two samples.

    An item's value is 2 d - mean(d) with d its mean distance to the others: the same mean, and, since every item is
    in the pairs of all others too, the jackknife's variance, so that the interval is right.
    """
    chosen = _spread([i for i, text in enumerate(texts) if text is not None])
    distances = _distances([text for i in chosen if (text := texts[i]) is not None])
    values, weights = np.zeros(len(texts)), np.zeros(len(texts))
    if len(distances) > 1:
        values[chosen] = 2 * distances - distances.mean()
        weights[chosen] = 1.0
    summary = f"1 - mean Tanimoto similarity (Morgan r2, 2048 bits) of pairs among {len(chosen):,} valid samples"
    return Measure("diversity", values, weights, "higher", False, summary)


def _spread(places: list[int]) -> NDArray[np.int64]:
    """At most DIVERSITY_SAMPLE of `places`, evenly spread."""
    count = min(len(places), DIVERSITY_SAMPLE)
    return np.array([places[i * len(places) // count] for i in range(count)], dtype=np.int64)


def _distances(texts: Sequence[str]) -> Values:
    """Mean Tanimoto distance of each molecule to the others."""
    prints = [_morgan.GetFingerprint(molecule(text)) for text in texts]
    others = max(1, len(prints) - 1)
    similar = [np.sum(BulkTanimotoSimilarity(one, prints)) - 1.0 for one in prints]
    return 1.0 - np.array(similar, dtype=np.float64) / others
