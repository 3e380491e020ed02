"""What a docking costs, and whether it says what dockstring's authors got.

    python benchmarks/docking.py [COUNT [EXHAUSTIVENESS]]

Of the pairs of protein and molecule whose published scores lie in dockstring's wheel, the COUNT (10) with the shortest
SMILES: seconds of one core, Vina's and Open Babel's included, and kcal/mol here and there. Needs the extra `docking`.
"""

from __future__ import annotations

import resource
import sys

from dockstring.dataset import random_dataset_tuples

from seqtutor_molecules.docking import SEED, affinities
from seqtutor_molecules.structures import canonical, molecule


def seconds() -> float:
    """Of processor time that this process, and those that it waited for, have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main(count: int = 10, exhaustiveness: int = 8) -> None:
    """Print a row a molecule, and the sums."""
    pairs = sorted(random_dataset_tuples, key=lambda pair: len(pair[1]))[:count]
    print("| protein | molecule | heavy atoms | seconds | kcal/mol | published |")
    print("|---" * 6 + "|")
    spent, apart = [], []
    for target, smiles, published in pairs:
        text, began = canonical(smiles), seconds()
        (score,) = affinities(target, SEED, [text], exhaustiveness)
        spent.append(seconds() - began)
        apart.append(abs(float(score) - published))
        atoms = molecule(text).GetNumHeavyAtoms()
        print(f"| {target} | `{text}` | {atoms} | {spent[-1]:.0f} | {score:.1f} | {published:.1f} |", flush=True)
    same = sum(one < 0.05 for one in apart)
    print(f"\n{sum(spent) / count:.0f} s a molecule, {min(spent):.0f} to {max(spent):.0f}")
    print(f"the published score in {same} of {count}; at most {max(apart):.1f} kcal/mol from it")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
