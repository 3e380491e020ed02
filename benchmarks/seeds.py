"""What runs that differ in their seed came to, as a table for a page: python benchmarks/seeds.py RUN RUN ...

A row is a measure: real items, with half of their 95 % interval; the mean of the priors, the tuned models and what is
kept as mean (lowest .. highest). *nearer*: in how many runs it is at least as near to real items as the prior of that
run. *as real*: in how many the 95 % interval of its distance from real items holds 0: other real items would be as far.
Below the table: how far half of the figures are from the real ones, at most, as shares of these; in how many rows every
run is as real items are; and what each run has left to the optimum.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

COLUMNS = ("prior", "policy", "kept")
RARE = 1e-3  # a share of less than this says nothing of how far a figure is


def main() -> None:
    """Print the table of the runs on the command line."""
    runs = [json.loads((Path(folder) / "summary.json").read_text(encoding="utf-8")) for folder in sys.argv[1:]]
    if not runs:
        sys.exit(__doc__)
    if any("optimum" not in run for run in runs):
        sys.exit("a run on a record has no distance to the optimum: name others")
    heads = ["", "real", "prior", "as real", "tuned", "nearer", "as real", "kept", "nearer", "as real"]
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    every = list(zip(*(run["measures"] for run in runs), strict=True))
    for rows in every:
        halfwidth = rows[0].get("reference_halfwidth")
        real = shown(rows[0]["reference"]) + (f" ± {shown(halfwidth)}" if halfwidth else "")
        cells = [rows[0]["name"], real, _spread(rows, "prior").split(" (")[0], _as_real(rows, "prior")]
        for column in ("policy", "kept"):
            cells += [_spread(rows, column), _nearer(rows, column), _as_real(rows, column)]
        print("| " + " | ".join(cells) + " |")
    away = [f"{column} {_away(runs, column):.3f}" for column in COLUMNS]
    print(f"half of the figures are no further from the real ones, as shares of these: {', '.join(away)}")
    all_real = [f"{column} {sum(_as_real(rows, column) == str(len(runs)) for rows in every)}" for column in COLUMNS]
    known = sum(bool(_as_real(rows, "prior")) for rows in every)
    print(f"rows, of {known}, as real in every run: {', '.join(all_real)}")
    for run in runs:
        print(_left(run))


def _away(runs: Sequence[dict[str, Any]], column: str) -> float:
    """The median distance of a column's figures from the real ones, as a share of these, over figures and runs."""
    rows = [row for run in runs for row in run["measures"] if abs(row["reference"] or 0) > RARE and _known(row, column)]
    return float(np.median([abs(row[column]["mean"] / row["reference"] - 1) for row in rows])) if rows else np.nan


def _left(run: dict[str, Any]) -> str:
    """What a run has left to the optimum, and what its draws are worth of it."""
    gap, reward, best, kept = run["optimum"]["gap"], run["reward"], run["best_of"], run.get("kept")
    share = run["optimum"]["share"]
    means = [f"{reward[key]['mean']:.2f}" for key in ("prior", "policy", "best_of_n")]
    told = (
        f"{run['updates']} updates: reward {means[0]} -> {means[1]} (best of {best} {means[2]}) at "
        f"{run['kl']['sequence']:.2f} nats; "
        + ("left unknown" if gap["mean"] is None else f"left {gap['mean']:.2f} +- {gap['halfwidth']:.2f}")
        + ("" if share is None else f", share {share:.2f}")
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


def _as_real(rows: Sequence[dict[str, Any]], column: str) -> str:
    """In how many runs the figure is no further from real items than chance explains; empty where that is not known."""
    known = [row for row in rows if row.get("reference_halfwidth") is not None and _known(row, column)]
    near = [
        abs(row[column]["mean"] - row["reference"]) <= math.hypot(row[column]["halfwidth"], row["reference_halfwidth"])
        for row in known
    ]
    return str(sum(near)) if known else ""


def _known(row: dict[str, Any], column: str) -> bool:
    return column in row and row[column]["mean"] is not None


def shown(value: float | None) -> str:
    """A figure as the pages print it: three decimals without the zero before them, one above 2; empty for none."""
    if value is None:
        return ""
    return f"{value:.1f}" if abs(value) >= 2 else f"{value:.3f}".replace("0.", ".", 1)


if __name__ == "__main__":
    main()
