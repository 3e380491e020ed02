"""The three objectives on both domains, several seeds: reward, KL and time, with best of n from the prior beside them.

Every run has the same prior, reward, number of rollouts and of gradient steps; only the objective differs.

    python benchmarks/objectives.py music molecules --seeds 3 --output outputs/objectives
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import click

from seqtutor.conclusion import conclude
from seqtutor.config import TrainConfig, build
from seqtutor.domain import load
from seqtutor.plugins import installed
from seqtutor.run import Run
from seqtutor.tuning import Tuner, tune
from seqtutor.weights import load_prior


def one(domain_name: str, objective: str, seed: int, folder: Path, changes: dict[str, Any]) -> dict[str, Any]:
    """One run -> its summary; a run that is already there is read, not made again."""
    path = folder / f"{domain_name}-{objective}-{seed}"
    if (path / "summary.json").exists():
        return dict(json.loads((path / "summary.json").read_text()))
    path.mkdir(parents=True, exist_ok=True)
    config = build(TrainConfig, {"domain": domain_name, "objective": objective, "seed": seed, **changes})
    domain = load(domain_name, config.options)
    tuner, run = Tuner(domain, config, load_prior(config.prior or domain_name, domain)), Run(path)
    run.save_config(config)
    (path / "metrics.csv").unlink(missing_ok=True)
    tune(tuner, run, lambda row: None)
    return conclude(tuner, run, config.samples, interrupted=False)[0]


def spread(values: list[float]) -> str:
    """Mean and the range over seeds."""
    return f"{statistics.mean(values):.3f} ({min(values):.3f} .. {max(values):.3f})"


@click.command()
@click.argument("domains", nargs=-1, required=True)
@click.option("--seeds", default=3, show_default=True)
@click.option("--updates", type=int, help="Instead of the domain's default.")
@click.option("--output", type=click.Path(path_type=Path), default="outputs/objectives", show_default=True)
def main(domains: tuple[str, ...], seeds: int, updates: int | None, output: Path) -> None:
    """Train every objective on DOMAINS and print a table in Markdown."""
    changes = {"updates": updates} if updates else {}
    for name in domains:
        results = {kind: [one(name, kind, s, output, changes) for s in range(seeds)] for kind in installed("objective")}
        print_table(name, results)


def print_table(name: str, results: dict[str, list[dict[str, Any]]]) -> None:
    """One row an objective: mean (range over seeds) of reward, KL, every term and measure with a direction."""
    first = next(iter(results.values()))[0]
    seeds = len(next(iter(results.values())))
    print(f"\n## {name}: {first['updates']} updates, {seeds} seeds, mean (lowest .. highest)\n")
    print("| | prior | best of " + str(first["best_of"]) + " | " + " | ".join(results) + " |")
    print("|---|---|---|" + "---|" * len(results))
    for label, key in (("KL, nats per token", "token"), ("KL, nats per sequence", "sequence")):
        cells = [spread([s["kl"][key] for s in summaries]) for summaries in results.values()]
        baseline = f"<= {first['best_of_kl']:.2f}" if key == "sequence" else ""
        print(f"| {label} | 0 | {baseline} | " + " | ".join(cells) + " |")
    for i, row in enumerate(_rows(first)):
        columns = [spread([_value(_rows(s)[i], "policy") for s in summaries]) for summaries in results.values()]
        base = [spread([_value(_rows(s)[i], k) for s in results[next(iter(results))]]) for k in ("prior", "best_of_n")]
        print(f"| {row['name']} | " + " | ".join([*base, *columns]) + " |")
    print("| seconds of tuning | | | " + " | ".join(spread([s["seconds"] for s in r]) for r in results.values()) + " |")


def _rows(summary: dict[str, Any]) -> list[dict[str, Any]]:
    return [summary["reward"], *(t for t in summary["terms"] if t["weight"]), *summary["measures"]]


def _value(row: dict[str, Any], key: str) -> float:
    mean = row[key]["mean"]
    return float("nan") if mean is None else float(mean)


if __name__ == "__main__":
    main()
