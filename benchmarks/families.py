"""What a limit on families buys at equal calls: examples/few_calls.toml (QED alone), three seeds.

    python benchmarks/families.py                    # 2,500 calls, no more than 5 of a family
    python benchmarks/families.py --calls 5000 --size 10 --page docs/recipes.md

Counted is what was asked and found good, QED above .9: how many, of how many scaffolds, most of one scaffold, and how
far two of them are from each other, 1 - Tanimoto (Morgan, radius 2).
"""

from __future__ import annotations

import csv
import statistics
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import click
from pages import put

from seqtutor import tune
from seqtutor.files import read_toml
from seqtutor_molecules.measures import measure
from seqtutor_molecules.structures import scaffold

SETTING = Path(__file__).parents[1] / "examples" / "few_calls.toml"
GOOD = 0.9
HEADER = "| | good | their scaffolds | most of one | how far apart | mean QED asked |\n" + "|---" * 6 + "|"


def found(seed: int, calls: int, size: int, family: str, penalty: str) -> list[float]:
    """The figures of one run."""
    settings: dict[str, Any] = read_toml(SETTING)
    settings |= {"seed": seed, "oracle_calls": calls, "updates": 10**6, "samples": 64}
    settings |= {"family_size": size, "family_penalty": penalty}
    with tempfile.TemporaryDirectory() as folder:
        run = tune(folder=Path(folder) / "run", options={"family": family}, **settings)
        with (run.folder / "scored.csv").open(newline="", encoding="utf-8") as file:
            rows = [(row["text"], float(row["term.qed"])) for row in csv.DictReader(file)]
    good = [text for text, qed in rows if qed > GOOD]
    counts = Counter(scaffold(text) for text in good)
    (diversity,) = (row.mean for row in measure(good[:2000]) if row.name == "diversity")
    return [len(good), len(counts), max(counts.values()), diversity, statistics.fmean(qed for _, qed in rows)]


def row(name: str, runs: list[list[float]]) -> str:
    """A row of all seeds."""
    columns = zip(*runs, strict=True)
    told = [", ".join(f"{value:.3f}".lstrip("0") if value < 1 else f"{value:.0f}" for value in one) for one in columns]
    return f"| {name} | " + " | ".join(told) + " |"


@click.command()
@click.option("--calls", default=2500)
@click.option("--size", default=5)
@click.option("--seeds", default=3)
@click.option("--page", type=click.Path(exists=True, path_type=Path))
def main(calls: int, size: int, seeds: int, page: Path | None) -> None:
    """Print a row for each kind of family, and put them into a page."""
    asked = [("no limit", 0, "scaffold", "step")]
    asked += [(f"`--family-size {size}`", size, "scaffold", "step")]
    asked += [(f"... `--family-penalty {penalty}`", size, "scaffold", penalty) for penalty in ("linear", "tanh")]
    asked += [(f"... `--family {family}`", size, family, "step") for family in ("topology", "similar")]
    lines = [HEADER]
    print(HEADER, flush=True)
    for name, *setting in asked:
        lines.append(row(name, [found(seed, calls, *setting) for seed in range(seeds)]))  # type: ignore[arg-type]
        print(lines[-1], flush=True)
    if page:
        put(page, "families", "\n".join(lines))


if __name__ == "__main__":
    main()
