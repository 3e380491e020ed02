"""What ZINC250k has of the figures that should be near it, made anew: python -m seqtutor_molecules.real

Of every tenth molecule.
"""

from __future__ import annotations

import json

from seqtutor_molecules.corpus import corpus
from seqtutor_molecules.measures import REAL, averages


def main() -> None:
    """Write `real.json`."""
    figures = {m.name: round(m.mean, 4) for m in averages(corpus()[::10]) if m.better == "near"}
    REAL.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
