"""Every installed objective on a domain, several seeds: reward against KL, and reward against oracle calls.

All runs have the same prior, reward, number of rollouts and so of oracle calls at most; only the objective differs. The
free curve is best of n from the prior, whose KL is at most log n - (n-1)/n nats a sequence; the bound is that of the
optimum prior * exp(R/c) at falling c. Both are told from 8,192 samples of the prior; `gap` is unknown where these are
worth fewer than 50 of the optimum.

    python benchmarks/objectives.py music --updates 100
    python benchmarks/objectives.py molecules tb --goal qed=.9 \
        --weight qed=1 --weight makeability=0 --weight saturation=0 \
        --set temperature=.006 --set learning_steps=8 --set repeats=unpaid --updates 110
"""

from __future__ import annotations

import csv
import math
import statistics
import tomllib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from itertools import cycle
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from seqtutor.config import TrainConfig, build, to_toml
from seqtutor.domain import load
from seqtutor.objectives.optimum import Optimum, Point, Written, best_of
from seqtutor.plugin.installed import installed
from seqtutor.priors.files import load_prior
from seqtutor.priors.sampling import draw
from seqtutor.rewards.scorer import Scorer
from seqtutor.rewards.terms import weighted_terms
from seqtutor.runs.folder import RunFolder, whole_rows
from seqtutor.training.tuner import Tuner
from seqtutor.training.tuning import tune

LAST = 10  # updates that a final figure is averaged over
SPENT = ("update", "seconds", "oracle_calls")
Columns = dict[str, np.ndarray]


def one(config: dict[str, Any], folder: Path) -> Path:
    """One run in `folder`; one that is already there, whole and with these settings, is not made again."""
    torch.set_num_threads(1)
    settings = build(TrainConfig, config)
    file, saved = folder / "config.toml", to_toml(settings)
    if file.is_file():
        if tomllib.loads(file.read_text()) != tomllib.loads(saved):
            raise click.UsageError(f"{folder} was made with other settings; name another folder with --output")
        if len(whole_rows(folder / "metrics.csv")) >= settings.updates:
            return folder
    folder.mkdir(parents=True, exist_ok=True)
    domain = load(settings.domain, settings.options)
    tuner, run = Tuner(domain, settings, load_prior(settings.prior or settings.domain, domain)), RunFolder(folder)
    (folder / "metrics.csv").unlink(missing_ok=True)
    run.save_config(settings)
    tune(tuner, run, lambda row: None)
    return folder


def columns(folder: Path) -> Columns:
    """The figures of a run, by column, each a running mean of the last LAST updates; what was spent as it stood."""
    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = {name: np.array([float(row[name] or "nan") for row in rows]) for name in rows[0]}
    return {name: values if name in SPENT else running(values) for name, values in found.items()}


def running(values: np.ndarray) -> np.ndarray:
    """Mean of each value and the LAST - 1 before it, of those that are known."""
    places = np.arange(1, len(values) + 1)
    known = np.isfinite(values)
    total, count = (np.cumsum(np.concatenate([np.zeros(1), of])) for of in (np.where(known, values, 0.0), known))
    first = np.maximum(0, places - LAST)
    with np.errstate(invalid="ignore"):
        return np.asarray((total[places] - total[first]) / (count[places] - count[first]))


def of_prior(config: dict[str, Any], samples: int = 8192) -> Optimum:
    """What samples of the prior tell of best of n, of the frontier and of the optimum."""
    settings = build(TrainConfig, config)
    domain = load(settings.domain, settings.options)
    scorer = Scorer(domain, [term for term in weighted_terms(domain, settings.weights) if term.weight])
    prior = load_prior(settings.prior or settings.domain, domain)
    totals = scorer.score(*draw(prior, domain, samples, torch.Generator().manual_seed(0))).totals
    nothing, none = np.zeros(samples), np.zeros(0)
    return Optimum(Written(none, none, none), Written(totals, nothing, nothing), settings.temperature)


def spread(values: Sequence[float], digits: int = 3, none: str = "not reached") -> str:
    """Mean and the range over seeds; `none` where no seed has a figure."""
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return none
    ends = f"{min(known):.{digits}f} .. {max(known):.{digits}f}"
    missing = f", {len(values) - len(known)} not" if len(known) < len(values) else ""
    return f"{statistics.mean(known):.{digits}f} ({ends}{missing})"


def at_kl(run: Columns, kl: float) -> float:
    """The reward where a run first reaches that KL (nats a sequence); NaN where it never does."""
    past = np.flatnonzero(run["kl"] >= kl)
    return float(run["reward"][past[0]]) if len(past) else math.nan


def calls_to(run: Columns, term: str, value: float) -> float:
    """Oracle calls until the items' running mean of a term reaches `value`; NaN where it never does.

    The column counts 0 for a sequence that is no item; the share of items stands beside it.
    """
    past = np.flatnonzero((run[f"term.{term}"] / run["valid"])[LAST:] >= value)
    return float(run["oracle_calls"][LAST:][past[0]]) if len(past) else math.nan


def table(runs: dict[str, list[Columns]], optimum: Optimum, goal: tuple[str, float] | None) -> str:
    """One row an objective, in Markdown: mean (lowest .. highest seed)."""
    levels = [(point.kl, point.reward) for n, point in best_of(optimum.prior.reward) if n in (4, 16, 64)]
    temperature, log_z = optimum.temperature, optimum.log_z.mean
    heads = ["objective", "reward", "KL, nats/sequence", "gap, nats", "of the frontier", "valid", "distinct"]
    heads += [f"reward at KL {kl:.2f} (free: {reward:.3f})" for kl, reward in levels]
    heads += [f"calls to {goal[0]} {goal[1]:g}"] if goal else []
    lines = ["| " + " | ".join([*heads, "seconds"]) + " |", "|" + "---|" * (len(heads) + 1)]
    for name, seeds in runs.items():
        last = {key: [float(run[key][-1]) for run in seeds] for key in seeds[0]}
        ends = [Point(kl, reward) for reward, kl in zip(last["reward"], last["kl"], strict=True)]
        gaps = [log_z - (end.reward / temperature - end.kl) for end in ends]
        cells = [spread(last["reward"]), spread(last["kl"], 2), spread(gaps, 2, "unknown")]
        cells += [spread([optimum.share(end) for end in ends], 2, "unknown")]
        cells += [spread(last["valid"]), spread(last["distinct"])]
        cells += [spread([at_kl(run, kl) for run in seeds]) for kl, _ in levels]
        cells += [spread([calls_to(run, *goal) for run in seeds], 0)] if goal else []
        seconds = [float(run["seconds"][-1]) for run in seeds]
        lines.append("| " + " | ".join([f"`{name}`", *cells, spread(seconds, 0)]) + " |")
    return "\n".join(lines)


COLOURS = (
    *("#1b6ca8", "#c8553d", "#2a9d8f", "#8e5ea2", "#b8860b", "#5a6b7b", "#d1478c", "#3f7d20", "#7a4a21", "#4fb3d9"),
    "#e39a2d",
)
DASHES = {"best of n": "5 4", "optimum": "2 3"}  # of what is no run: in black
WIDTH, HEIGHT, EDGE = 640, 400, 50


def picture(curves: dict[str, tuple[np.ndarray, np.ndarray]], x_label: str, y_label: str) -> str:
    """Curves y over x as an SVG, those of DASHES in black and dashed."""
    xs, ys = (np.concatenate([curve[i] for curve in curves.values()]) for i in (0, 1))
    low, high, right = np.nanmin(ys), np.nanmax(ys), np.nanmax(xs)

    def place(x: float, y: float) -> str:
        across = EDGE + x / right * (WIDTH - 2 * EDGE - 60)
        return f"{across:.1f},{HEIGHT - EDGE - (y - low) / (high - low) * (HEIGHT - 2 * EDGE):.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" style="font: 12px sans-serif">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<path d="M{place(0, high)} L{place(0, low)} L{place(right, low)}" fill="none" stroke="#999"/>',
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 15}" text-anchor="middle">{x_label}, 0 to {right:.4g}</text>',
        f'<text x="{EDGE}" y="30">{y_label}, {low:.3g} to {high:.3g}</text>',
    ]
    colours = cycle(COLOURS)
    for i, (name, (x, y)) in enumerate(curves.items()):
        line = " ".join(place(float(a), float(b)) for a, b in zip(x, y, strict=True) if math.isfinite(b))
        dash = f' stroke-dasharray="{DASHES[name]}"' if name in DASHES else ""
        colour = "#000000" if dash else next(colours)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        parts.append(f'<text x="{WIDTH - 95}" y="{EDGE + 16 * i}" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def mean_over_seeds(seeds: Sequence[Columns], key: str) -> np.ndarray:
    """A column, averaged over runs of equal length."""
    return np.asarray(np.mean([run[key] for run in seeds], axis=0))


def across(points: Sequence[Point]) -> tuple[np.ndarray, np.ndarray]:
    """KL and reward of points, for a curve."""
    return np.array([point.kl for point in points]), np.array([point.reward for point in points])


def pair(text: str) -> tuple[str, float]:
    """'qed=.9' as a name and a number."""
    name, _, value = text.partition("=")
    return name, float(value)


def setting(text: str) -> tuple[str, Any]:
    """'span=8' or 'repeats=unpaid' as a name and a value."""
    name, _, value = text.partition("=")
    for kind in (int, float):
        with suppress(ValueError):
            return name, kind(value)
    return name, value


@click.command()
@click.argument("domain")
@click.argument("objectives", nargs=-1)
@click.option("--seeds", default=3, show_default=True)
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="A setting of all runs, as in a config.")
@click.option("--updates", type=int, help="Instead of the domain's default.")
@click.option("--weight", "weights", multiple=True, metavar="TERM=VALUE")
@click.option("--goal", metavar="TERM=VALUE", help="Also count the calls until the items' mean of a term reaches this.")
@click.option("--workers", default=2, show_default=True, help="Runs at once, one thread each.")
@click.option("--output", type=click.Path(path_type=Path), default="outputs/objectives", show_default=True)
def main(
    domain: str,
    objectives: tuple[str, ...],
    seeds: int,
    changes: tuple[str, ...],
    updates: int | None,
    weights: tuple[str, ...],
    goal: str | None,
    workers: int,
    output: Path,
) -> None:
    """Train OBJECTIVES (all that are installed, if none is named) on DOMAIN, print a table, draw two pictures."""
    common: dict[str, Any] = {"domain": domain, "weights": dict(pair(text) for text in weights)}
    common |= {"updates": updates} if updates else {}
    common |= dict(map(setting, changes))
    names = objectives or tuple(installed("objective"))
    jobs = [
        ({**common, "objective": name, "seed": seed}, output / f"{domain}-{name}-{seed}")
        for seed in range(seeds)
        for name in names
    ]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        list(pool.map(one, *zip(*jobs, strict=True)))
    runs = {name: [columns(output / f"{domain}-{name}-{seed}") for seed in range(seeds)] for name in names}
    optimum = of_prior(common)
    count = len(next(iter(runs.values()))[0]["reward"])
    print(f"\n## {domain}: {count} updates, {seeds} seeds, temperature {optimum.temperature:g}")
    print("mean (lowest .. highest seed)\n")
    print(table(runs, optimum, pair(goal) if goal else None))
    frontier = {n: (mean_over_seeds(r, "kl"), mean_over_seeds(r, "reward")) for n, r in runs.items()}
    frontier["best of n"] = across([point for _, point in best_of(optimum.prior.reward)])
    frontier["optimum"] = across(optimum.frontier())
    calls = {n: (mean_over_seeds(r, "oracle_calls"), mean_over_seeds(r, "reward")) for n, r in runs.items()}
    (output / f"{domain}-frontier.svg").write_text(picture(frontier, "KL, nats a sequence", "reward"))
    if any(side[0].any() for side in calls.values()):
        (output / f"{domain}-calls.svg").write_text(picture(calls, "oracle calls", "reward"))


if __name__ == "__main__":
    main()
