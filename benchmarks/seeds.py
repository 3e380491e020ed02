"""What runs that differ in their seed came to, as a table for a page: python benchmarks/seeds.py RUN RUN ...

A row is a measure: real items, the mean of the priors, the tuned models and what is kept as mean (lowest ..
highest), and in how many runs each is at least as near to real items as the prior of that run. Below it: how far half
of the figures are from the real ones, at most, as shares of these; and what each run has left to the optimum.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    """Print the table of the runs on the command line."""
    runs = [json.loads((Path(folder) / "summary.json").read_text(encoding="utf-8")) for folder in sys.argv[1:]]
    if not runs:
        sys.exit(__doc__)
    if any("optimum" not in run for run in runs):
        sys.exit("a run on a record has no distance to the optimum: name others")
    print("| | real | prior | tuned | nearer | kept | nearer |\n|---|---|---|---|---|---|---|")
    for rows in zip(*(run["measures"] for run in runs), strict=True):
        print(
            f"| {rows[0]['name']} | {shown(rows[0]['reference'])} | {_spread(rows, 'prior').split(' (')[0]} |", end=""
        )
        for column in ("policy", "kept"):
            print(f" {_spread(rows, column)} | {_nearer(rows, column)} |", end="")
        print()
    away = [f"{column} {_away(runs, column):.3f}" for column in ("prior", "policy", "kept")]
    print(f"half of the figures are no further from the real ones, as shares of these: {', '.join(away)}")
    for run in runs:
        print(_left(run))


def _away(runs: Sequence[dict[str, Any]], column: str) -> float:
    """The median distance of a column's figures from the real ones, as a share of these, over figures and runs."""
    rows = [row for run in runs for row in run["measures"] if row["reference"] and _known(row, column)]
    return float(np.median([abs(row[column]["mean"] / row["reference"] - 1) for row in rows])) if rows else np.nan


def _left(run: dict[str, Any]) -> str:
    """What a run has left to the optimum, and what its draws are worth of it."""
    gap, reward, best, kept = run["optimum"]["gap"], run["reward"], run["best_of"], run.get("kept")
    means = [f"{reward[key]['mean']:.2f}" for key in ("prior", "policy", "best_of_n")]
    told = (
        f"{run['updates']} updates: reward {means[0]} -> {means[1]} (best of {best} {means[2]}) at "
        f"{run['kl']['sequence']:.2f} nats; left {gap['mean']:.2f} +- {gap['halfwidth']:.2f}, "
        f"share {run['optimum']['share']:.2f}"
    )
    if not kept:
        return told
    return told + f"; {kept['draws']:,} draws worth {kept['effective']:.0f}: {kept['reward']:.2f} at {kept['kl']:.2f}"


def _spread(rows: Sequence[dict[str, Any]], column: str) -> str:
    """Mean (lowest .. highest) of a column; empty where no run has it."""
    found = [row[column]["mean"] for row in rows if _known(row, column)]
    return f"{shown(float(np.mean(found)))} ({shown(min(found))} .. {shown(max(found))})" if found else ""


def _nearer(rows: Sequence[dict[str, Any]], column: str) -> str:
    """In how many runs the figure is at least as near to real items as the prior's; empty where nobody knows those."""
    known = [row for row in rows if row["reference"] is not None and _known(row, column) and _known(row, "prior")]
    away = [[abs(row[key]["mean"] - row["reference"]) for key in (column, "prior")] for row in known]
    return str(sum(one <= other for one, other in away)) if known else ""


def _known(row: dict[str, Any], column: str) -> bool:
    return column in row and row[column]["mean"] is not None


def shown(value: float | None) -> str:
    """A figure as the pages print it: three decimals without the zero before them, one above 2; empty for none."""
    if value is None:
        return ""
    return f"{value:.1f}" if abs(value) >= 2 else f"{value:.3f}".replace("0.", ".", 1)


if __name__ == "__main__":
    main()
