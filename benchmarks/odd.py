"""How many hits of runs have an atom as no real molecule has it: python benchmarks/odd.py RUN ...

An atom is odd where its neighbourhood, a bond around it (Morgan, radius 1), stands in at most one of 41,576 molecules
of ZINC250k, every sixth. Of each run: its hits, their mean reward, their scaffolds, the share with an odd atom, the
share without an alert of BRENK or of PAINS, their mean Fsp3.
"""

from __future__ import annotations

import csv
import statistics
import sys
from collections import Counter
from pathlib import Path

from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

import seqtutor
from seqtutor_molecules.filters import passes_brenk, passes_pains
from seqtutor_molecules.properties import fsp3
from seqtutor_molecules.structures import molecule

NEIGHBOURHOODS = GetMorganGenerator(radius=1)
EVERY = 6  # molecule of the corpus is looked at


def neighbourhoods(smiles: str) -> set[int]:
    """The neighbourhoods of all atoms."""
    return set(NEIGHBOURHOODS.GetSparseFingerprint(molecule(smiles)).GetOnBits())


def main(runs: list[str]) -> None:
    """Print a row a run."""
    corpus = seqtutor.load("molecules").corpus()[::EVERY]
    counts = Counter(found for smiles in corpus for found in neighbourhoods(smiles))
    usual = {found for found, count in counts.items() if count > 1}
    print("| run | hits | reward | scaffolds | with an odd atom | without an alert | Fsp3 |")
    print("|---" * 7 + "|")
    for run in runs:
        with (Path(run) / "hits" / "hits.csv").open(newline="", encoding="utf-8") as file:
            hits = list(csv.DictReader(file))
        odd = statistics.fmean(not neighbourhoods(hit["text"]) <= usual for hit in hits)
        reward, scaffolds = statistics.fmean(float(hit["reward"]) for hit in hits), len({hit["family"] for hit in hits})
        clean = statistics.fmean(passes_brenk(hit["text"]) and passes_pains(hit["text"]) for hit in hits)
        flat = statistics.fmean(fsp3(hit["text"]) for hit in hits)
        print(
            f"| {run} | {len(hits)} | {reward:.3f} | {scaffolds} | {odd:.0%} | {clean:.0%} | {flat:.2f} |", flush=True
        )


if __name__ == "__main__":
    main(sys.argv[1:])
