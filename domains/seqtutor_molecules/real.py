"""What ZINC250k has: its ring systems, its atoms with their bonds, and of figures: python -m seqtutor_molecules.real

The figures are of every tenth molecule, the others those of all, the commonest first. Some minutes.
"""

from __future__ import annotations

import json
from collections import Counter

import numpy as np

from seqtutor_molecules.corpus import corpus
from seqtutor_molecules.measures import PROPERTIES, REAL, figures
from seqtutor_molecules.properties import NEIGHBOURHOODS, RINGS
from seqtutor_molecules.structures import neighbourhoods, ring_systems


def main() -> None:
    """Write `rings.txt` and `neighbourhoods.txt`, then `real.json`, which counts rare rings."""
    for file, parts in ((RINGS, ring_systems), (NEIGHBOURHOODS, neighbourhoods)):
        counts = Counter(part for smiles in corpus() for part in set(parts(smiles)))
        file.write_text("\n".join(part for part, n in counts.most_common() if n > 1) + "\n", encoding="ascii")
    means = np.nanmean(figures(corpus()[::10]), axis=0).round(4)  # a molecule may defeat a property
    near = {
        name: mean for (name, _, better, _), mean in zip(PROPERTIES, means.tolist(), strict=True) if better == "near"
    }
    REAL.write_text(json.dumps(near, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
