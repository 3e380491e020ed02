"""Docking: AutoDock Vina with the proteins and the preparation of molecules that dockstring has, an extra.

`pip install 'seqtutor[docking]'`. dockstring and Vina are Apache-2.0; Open Babel, which dockstring runs as a program,
is GPL-2.0: it is called by nothing else here, and no part of what is installed without the extra.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from seqtutor import SequenceTerm, TermKind, UserError, option, unknown
from seqtutor.arrays import Values

INSTALL = "pip install 'seqtutor[docking]'"
SEED = 974528263  # dockstring's own, with which the published scores were made
SOURCE = "Garcia-Ortegon et al., DOCKSTRING, J. Chem. Inf. Model. 62 (2022) 3486; AutoDock Vina"


@dataclass(frozen=True)
class Docking(TermKind):
    """How well a molecule fits into a protein: AutoDock Vina's score, kcal/mol, about -14 to -3; lower is better."""

    target: str = option("", "Protein: one of the 58 of dockstring, such as DRD2.")
    seed: int = option(SEED, "Seed of the molecule's shape and of the search.")
    exhaustiveness: int = option(
        8, "Searches a molecule, as Vina counts them: 1 takes a sixth of the time.", between=(1, 100)
    )
    lower = True

    def term(self, name: str) -> SequenceTerm:
        targets = known_targets()
        if self.target not in targets:
            raise unknown(f"target of [terms.{name}]", self.target, targets)
        summary = f"AutoDock Vina's score in {self.target}, kcal/mol: lower is better"
        dock = partial(affinities, self.target, self.seed, exhaustiveness=self.exhaustiveness)
        return SequenceTerm(name, 0.0, summary, f"{SOURCE}; dockstring {release()}", dock, costly=True)


def affinities(target: str, seed: int, texts: Sequence[str], exhaustiveness: int = 8) -> Values:
    """(B,) kcal/mol, one thread a molecule. Raises what dockstring raises of a molecule that it cannot dock."""
    return np.array([_affinity(target, seed, exhaustiveness, text) for text in texts])


def _affinity(target: str, seed: int, exhaustiveness: int, smiles: str) -> float:
    """Of one molecule, in a folder of its own: no file of the one before can be taken for its own."""
    from dockstring import load_target

    os.environ["PATH"] = _path()
    shipped = load_target(target)
    with TemporaryDirectory() as working, TemporaryDirectory() as folder:
        shutil.copy(shipped.pdbqt_path, folder)
        box = Path(folder, shipped.conf_path.name)  # Vina's settings, of which dockstring states the place to search
        box.write_text(f"{shipped.conf_path.read_text()}\nexhaustiveness = {exhaustiveness}\n")
        score, _ = load_target(target, working, folder).dock(smiles, num_cpus=1, seed=seed)
    if score is None:
        raise ValueError("AutoDock Vina found no pose")
    return float(score)


def known_targets() -> list[str]:
    """The proteins that dockstring has. Raises UserError where it, or the program that it runs, is missing."""
    try:
        from dockstring import list_all_target_names
    except ImportError:
        raise UserError(f"docking needs dockstring: {INSTALL}") from None
    if shutil.which("obabel", path=_path()) is None:
        raise UserError(f"docking needs Open Babel: {INSTALL}")
    return sorted(list_all_target_names())


def _path() -> str:
    """Where programs are looked for: Open Babel's lies beside this Python, which need not be activated."""
    return os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])


def release() -> str:
    """The version of dockstring."""
    try:
        return version("dockstring")
    except PackageNotFoundError:
        return "unknown"
