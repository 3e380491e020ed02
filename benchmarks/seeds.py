"""What runs that differ in their seed came to, as tables for a page: python benchmarks/seeds.py RUN RUN ...

A row is a measure: real items, with half of their 95 % interval; the mean of the priors, the tuned models and what is
kept as mean (lowest .. highest). *nearer*: in how many runs it is at least as near to real items as the prior of that
run. *as real*: in how many the 95 % interval of its distance from real items holds 0: other real items would be as far.
Below the table: how far half of the figures are from the real ones, at most, as shares of these; in how many rows every
run is as real items are; and what each run has left to the optimum.

    python benchmarks/seeds.py strains-0 strains-1 strains-2 --page docs/music-figures.md --part strains
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from pages import put

COLUMNS = {"prior": "prior", "policy": "tuned", "kept": "kept"}
RARE = 1e-3  # a share of less than this says nothing of how far a figure is


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--page", type=click.Path(path_type=Path, exists=True), help="Page to write the tables into.")
@click.option("--part", default="", help="Its part that they replace: between <!-- PART --> and <!-- end -->.")
@click.option("--only", multiple=True, help="A row of the table, by the end of its name; all, if none is named.")
def main(folders: tuple[Path, ...], page: Path | None, part: str, only: tuple[str, ...]) -> None:
    """Print the tables of the runs in FOLDERS."""
    runs = [json.loads((folder / "summary.json").read_text(encoding="utf-8")) for folder in folders]
    if any("optimum" not in run for run in runs):
        raise click.UsageError("a run on a record has no distance to the optimum: name others")
    text = "\n".join([*measures(runs, only), "", in_words(runs), "", *distances(runs)])
    print(text)
    if page:
        put(page, part, text)


def measures(runs: Sequence[dict[str, Any]], only: tuple[str, ...] = ()) -> Iterator[str]:
    """The table of the figures, or of some of them."""
    heads = ["", "real", "prior", "as real", "tuned", "nearer", "as real", "kept", "nearer", "as real"]
    yield from head(heads)
    for rows in zip(*(run["measures"] for run in runs), strict=True):
        if not rows[0]["name"].endswith(only or ("",)):
            continue
        halfwidth = rows[0].get("reference_halfwidth")
        real = shown(rows[0]["reference"]) + (f" ± {shown(halfwidth)}" if halfwidth else "")
        cells = [rows[0]["name"], real, _spread(rows, "prior").split(" (")[0], _as_real(rows, "prior")]
        for column in ("policy", "kept"):
            cells += [_spread(rows, column), _nearer(rows, column), _as_real(rows, column)]
        yield row(cells)


def in_words(runs: Sequence[dict[str, Any]]) -> str:
    """How far half of the figures are, and how many are as real in every run."""
    away = ", ".join(f"{_away(runs, column):.1%} ({name})" for column, name in COLUMNS.items())
    every = list(zip(*(run["measures"] for run in runs), strict=True))
    whole = {name: sum(_as_real(rows, column) == str(len(runs)) for rows in every) for column, name in COLUMNS.items()}
    known = sum(bool(_as_real(rows, "prior")) for rows in every)
    counts = ", ".join(f"{count} ({name})" for name, count in whole.items())
    return f"Half of the figures are no further from the real ones than {away}. As real in all, of {known}: {counts}."


def distances(runs: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The table of what each run earns, how far that is from the prior, and what it has left to the optimum."""
    best = runs[0]["best_of"]
    yield from head(
        ["reward: prior", "tuned", "kept", f"best of {best}", "nats: tuned", "kept", "left", "share", "draws", "worth"]
    )
    for run in runs:
        reward, gap, share = run["reward"], run["optimum"]["gap"], run["optimum"]["share"]
        kept = run.get("kept", {"reward": None, "kl": None, "draws": 0, "effective": 0})
        left = "unknown" if gap["mean"] is None else f"{shown(gap['mean'])} ± {shown(gap['halfwidth'])}"
        earned = [reward["prior"]["mean"], reward["policy"]["mean"], kept["reward"], reward["best_of_n"]["mean"]]
        cells = [*(f"{x:.2f}" if x is not None else "" for x in [*earned, run["kl"]["sequence"], kept["kl"]]), left]
        yield row([*cells, "" if share is None else f"{share:.2f}", f"{kept['draws']:,}", f"{kept['effective']:,.0f}"])


def head(cells: Sequence[str]) -> list[str]:
    """The first two lines of a table."""
    return [row(cells), "|---" * len(cells) + "|"]


def row(cells: Sequence[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def _away(runs: Sequence[dict[str, Any]], column: str) -> float:
    """The median distance of a column's figures from the real ones, as a share of these, over figures and runs."""
    rows = [row for run in runs for row in run["measures"] if abs(row["reference"] or 0) > RARE and _known(row, column)]
    return float(np.median([abs(row[column]["mean"] / row["reference"] - 1) for row in rows])) if rows else np.nan


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
