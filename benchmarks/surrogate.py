"""How good does a model get that knows 500 measurements and nothing else? Molecules whose hidden property is QED.

The table of a seed holds the first 500 different molecules of the prior with their QED in a column `measured`. A run
tunes to a surrogate of it, which may not read QED among its figures; the true QED of what is written is computed
afterwards, and no run sees it. Beside it, from the same table: best of 16 draws of the prior, by the surrogate.

    python benchmarks/surrogate.py --seed 0 --seed 1 --seed 2
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import click

import seqtutor
from seqtutor.domain import load
from seqtutor.rewards.surrogate import Surrogate
from seqtutor_molecules import properties

HIDDEN = ("QED", "qed")  # figures that would tell all
HEADS = ("seed", "foreseen of held-out groups", "QED: prior", "best of 16", "tuned", "KL, nats", "valid")


def table(path: Path, seed: int, count: int) -> None:
    """Write the measurements."""
    texts = list(dict.fromkeys(map(str, seqtutor.generate("molecules", round(1.2 * count), seed=1000 + seed))))[:count]
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "measured"])
        rows.writerows((text, properties.attempt(properties.qed, text)) for text in texts)


@click.command()
@click.option("--seed", "seeds", type=int, multiple=True, default=(0, 1, 2), show_default=True)
@click.option("--lines", default=500, show_default=True, help="Of the table.")
@click.option("--updates", default=240, show_default=True)
@click.option("--caution", default=1.0, show_default=True)
@click.option("--temperature", default=0.02, show_default=True)
@click.option("--samples", default=500, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), default="outputs/surrogate", show_default=True)
def main(
    seeds: tuple[int, ...], lines: int, updates: int, caution: float, temperature: float, samples: int, output: Path
) -> None:
    """Print a row a seed, in Markdown."""
    output.mkdir(parents=True, exist_ok=True)
    print("| " + " | ".join(HEADS) + " |\n|" + "---|" * len(HEADS))
    domain = load("molecules")
    off = dict.fromkeys([term.name for term in domain.terms()], 0.0)
    for seed in seeds:
        path = output / f"measured{seed}.csv"
        table(path, seed, lines)
        foreseen = Surrogate(path, "measured", domain, "molecules", caution, without=HIDDEN)
        run = seqtutor.tune(
            "molecules",
            terms={"measured": foreseen},
            weights=off,
            updates=updates,
            temperature=temperature,
            samples=samples,
            seed=seed,
            folder=output / f"run{seed}",
        )
        share, measures = foreseen.evidence, {row["name"]: row for row in run.summary["measures"]}
        cells = [f"{share.mean:.2f} ± {share.halfwidth:.2f}" if share else ""]
        cells += [cell(measures["QED"][model]) for model in ("prior", "best_of_n", "policy")]
        cells += [f"{run.summary['kl']['sequence']:.2f}", f"{measures['valid']['policy']['mean']:.1%}"]
        print("| " + " | ".join([str(seed), *cells]) + " |", flush=True)


def cell(estimate: Mapping[str, float]) -> str:
    """A mean with its 95 % interval."""
    return f"{estimate['mean']:.3f} ± {estimate['halfwidth']:.3f}"


if __name__ == "__main__":
    main()
