"""How near a prior comes to 50 actives, and what it forgets: python benchmarks/actives.py [SEEDS]

The actives are the 50 molecules of ZINC250k nearest to a pyrazole sulfonamide (Morgan r2, 2048 bits). Prints, of 1,000
samples of the shipped prior and of what goes on from it: the share that is valid; that is nearer than .4 Tanimoto to an
active and none of them; that is one of them; the held-out loss.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rdkit.Chem import MolFromSmarts
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator
from rdkit.DataStructs import BulkTanimotoSimilarity

from seqtutor import api
from seqtutor.runs.drawing import open_model, texts_of
from seqtutor_molecules.corpus import corpus
from seqtutor_molecules.structures import molecule

SEED = "CCOC(=O)[C@@H]1CCCN(S(=O)(=O)c2cnn(C)c2)C1"
PARTS = [MolFromSmarts(smarts) for smarts in ("S(=O)(=O)[NX3]", "[#6]1:[#6]:[#7]:[#7]:[#6]1")]
ACTIVES, SAMPLES, NEAR = 50, 1000, 0.4
WAYS: dict[str, dict[str, Any] | None] = {
    "last": {},
    "best": {"keep": "best"},
    "last, half in other spellings": {"rewrite": 0.5},
    "from nothing": None,
}

_morgan = GetMorganGenerator(radius=2, fpSize=2048)


def series() -> list[str]:
    """The pyrazole sulfonamides of ZINC250k that are nearest to SEED."""
    likely = [text for text in corpus() if "S(=O)(=O)" in text and "n" in text]
    kin = [text for text in likely if all(molecule(text).HasSubstructMatch(part) for part in PARTS)]
    nearness = similarities(SEED, kin)
    return [text for _, text in sorted(zip(nearness, kin, strict=True), reverse=True)[:ACTIVES]]


def similarities(text: str, others: Sequence[str]) -> list[float]:
    """The Tanimoto similarity of a molecule to each of others."""
    prints = [_morgan.GetFingerprint(molecule(other)) for other in others]
    return list(BulkTanimotoSimilarity(_morgan.GetFingerprint(molecule(text)), prints))


def shares(prior: str, actives: Sequence[str], seed: int) -> tuple[float, float, float]:
    """Of samples: valid, near an active and none of them, one of them."""
    source = open_model(prior)
    texts = [text for text in texts_of(source.model, source.domain, SAMPLES, seed) if text is not None]
    near = [text not in actives and max(similarities(text, actives)) > NEAR for text in texts]
    return len(texts) / SAMPLES, sum(near) / SAMPLES, sum(text in actives for text in texts) / SAMPLES


def main(seeds: int) -> None:
    """Print the table."""
    actives = series()
    print(f"{'what is kept':30} {'seed':>4} {'valid':>7} {'near':>7} {'copies':>7} {'held-out loss':>14}")
    print(f"{'the shipped prior':30} {'':4}" + "".join(f" {share:7.1%}" for share in shares("molecules", actives, 0)))
    for name, settings in WAYS.items():
        for seed in range(seeds):
            with tempfile.TemporaryDirectory() as folder:
                further = {"epochs": 40.0, "held_out": 0.2} if settings is None else {"prior": "molecules", **settings}
                path = api.pretrain("molecules", actives, folder=f"{folder}/prior", seed=seed, **further)
                loss = json.loads((Path(path) / "config.json").read_text())["figures"]["held_out_nll"]
                row = "".join(f" {share:7.1%}" for share in shares(str(path), actives, seed))
            print(f"{name:30} {seed:4}{row} {loss:14.3f}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
