"""Does --kl-budget keep its word? Each domain's default run at several budgets: where the last fifth of it sat.

KL in nats per token, of running means over ten updates: their mean (lowest .. highest); "within": all of them lie
within a tenth of the budget.

    python benchmarks/dial.py music molecules
    python benchmarks/dial.py molecules --objective psi --budget .2
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
from objectives import LAST, columns, one

from seqtutor.training.temperature import WITHIN

ENDS = ("temperature", "reward", "kl", "valid", "distinct", "seconds")


def row(domain: str, budget: float, folder: Path) -> str:
    """A line of the table, in Markdown."""
    run = columns(folder)
    kl = run["kl_per_token"]
    fifth = kl[-(len(kl) // 5) + LAST - 1 :]  # running means: the first one of the fifth alone stands LAST - 1 behind
    low, mean, high = fifth.min(), fifth.mean(), fifth.max()
    within = low >= budget * (1 - WITHIN) and high <= budget * (1 + WITHIN)
    figures = [f"{mean:.4f} ({low:.4f} .. {high:.4f})", f"{mean / budget:.2f}", "yes" if within else "**no**"]
    figures += [f"{run[key][-1]:.3g}" for key in ENDS]
    return "| " + " | ".join([domain, f"{budget:g}", *figures]) + " |"


@click.command()
@click.argument("domains", nargs=-1, required=True)
@click.option("--budget", "budgets", multiple=True, type=float, default=(0.05, 0.1, 0.2, 0.4), show_default=True)
@click.option("--objective", help="Instead of the domain's default.")
@click.option("--seed", default=0, show_default=True)
@click.option("--workers", default=2, show_default=True, help="Runs at once, one thread each.")
@click.option("--output", type=click.Path(path_type=Path), default="outputs/dial", show_default=True)
def main(
    domains: tuple[str, ...], budgets: tuple[float, ...], objective: str | None, seed: int, workers: int, output: Path
) -> None:
    """Tune in DOMAINS at each budget, nats per token, and print a table; the last columns are the run's end."""
    common: dict[str, Any] = {"seed": seed} | ({"objective": objective} if objective else {})
    named = [(domain, budget) for domain in domains for budget in budgets]
    folders = [output / "-".join(map(str, (domain, objective or "default", budget, seed))) for domain, budget in named]
    configs = [{**common, "domain": domain, "kl_budget": budget} for domain, budget in named]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        list(pool.map(one, configs, folders))
    heads = ("domain", "budget", "last fifth", "of the budget", "within", *ENDS)
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for (domain, budget), folder in zip(named, folders, strict=True):
        print(row(domain, budget, folder))


if __name__ == "__main__":
    main()
