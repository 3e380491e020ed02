"""Practical molecular optimisation: what 10,000 oracle calls buy, AUC top-10 on twenty tasks, beside published figures.

A call is a new, valid, canonical SMILES; invalid and repeated ones are free. After each 100 calls the mean of the ten
best so far is taken; the AUC is the area under these by trapezoids from 0, over the calls; a run that ends early is
extended flat. `filtered`: the same where a molecule that fails a chemist's filter counts 0. Every run is an ordinary
run of `seqtutor.tune`, from the shipped prior (ZINC250k alone, nothing scored beforehand) and one setting,
examples/pmo.toml, for all tasks.

    python benchmarks/pmo.py                                # all tasks, goes on where it was stopped
    python benchmarks/pmo.py median1 qed --seed 1 --calls 3000 --set temperature=.02
    python benchmarks/pmo.py --table --page docs/pmo.md     # from what is finished, without running anything
"""

from __future__ import annotations

import csv
import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import torch
from objectives import setting
from pages import put
from pmo_tasks import TASKS, oracle

from seqtutor import tune
from seqtutor.files import read_toml
from seqtutor_molecules.filters import passes_brenk, passes_pains
from seqtutor_molecules.measures import measure
from seqtutor_molecules.properties import largest_ring, logp, molecular_weight

SETTING = Path(__file__).parents[1] / "examples" / "pmo.toml"
OWN = {"qed": 0.0, "makeability": 0.0, "saturation": 0.0}  # the domain's own terms are not paid
TOP, EVERY, BEST = 10, 100, 100
SAMPLES = 64  # of the final table of a run, which nobody reads here
DEVELOPED_ON = (  # the setting was chosen on these
    "albuterol_similarity",
    "isomers_c7h8n2o2",
    "isomers_c9h10n2o2pf2cl",
    "median1",
    "osimertinib_mpo",
    "perindopril_mpo",  # since its result stands in the table: on it the next setting was tried
    "sitagliptin_mpo",  # since its calls were looked at when screening was made
)

# AUC top-10 of others: REINVENT and Graph GA of Gao et al., NeurIPS 2022; Genetic GFN of Kim et al., 2024; InVirtuoGen
# without its prescreening of ZINC250k.
PUBLISHED = ("REINVENT", "Graph GA", "Genetic GFN", "InVirtuoGen")
OTHERS: dict[str, tuple[float, float, float, float]] = {
    "albuterol_similarity": (0.882, 0.838, 0.949, 0.950),
    "amlodipine_mpo": (0.635, 0.661, 0.761, 0.733),
    "celecoxib_rediscovery": (0.713, 0.630, 0.802, 0.798),
    "deco_hop": (0.666, 0.619, 0.733, 0.748),
    "fexofenadine_mpo": (0.784, 0.760, 0.856, 0.845),
    "isomers_c7h8n2o2": (0.852, 0.862, 0.969, 0.968),
    "isomers_c9h10n2o2pf2cl": (0.642, 0.719, 0.897, 0.874),
    "median1": (0.356, 0.294, 0.379, 0.342),
    "median2": (0.276, 0.273, 0.294, 0.288),
    "mestranol_similarity": (0.618, 0.579, 0.708, 0.797),
    "osimertinib_mpo": (0.837, 0.831, 0.860, 0.870),
    "perindopril_mpo": (0.537, 0.538, 0.595, 0.645),
    "qed": (0.941, 0.940, 0.942, 0.942),
    "ranolazine_mpo": (0.760, 0.728, 0.819, 0.848),
    "scaffold_hop": (0.560, 0.517, 0.615, 0.589),
    "sitagliptin_mpo": (0.021, 0.433, 0.634, 0.709),
    "thiothixene_rediscovery": (0.534, 0.479, 0.583, 0.625),
    "troglitazone_rediscovery": (0.441, 0.390, 0.511, 0.595),
    "valsartan_smarts": (0.178, 0.000, 0.135, 0.210),
    "zaleplon_mpo": (0.358, 0.346, 0.552, 0.536),
}


@dataclass(frozen=True)
class Result:
    """What one run came to."""

    task: str
    seed: int
    budget: int
    settings: dict[str, Any]
    calls: int  # that were spent
    auc: float
    filtered: float
    top: float  # mean of the ten best at the end
    passing: float  # share of the hundred best that pass the filter
    sa: float  # mean over the hundred best
    diversity: float  # of the hundred best
    seconds: float


def auc_top(scores: Sequence[float], budget: int, top: int = TOP, every: int = EVERY) -> float:
    """The area under the mean of the `top` best so far, over `budget` calls; `scores` in the order of the calls.

    The last stretch of a run that ends between two marks counts as far as it goes, then flat to the budget.

    >>> round(auc_top([1.0] * 200, 200), 3)  # the first trapezoid rises from 0
    0.75
    """
    best: list[float] = []
    area, before, place = 0.0, 0.0, 0
    for mark in [*range(every, min(len(scores), budget), every), min(len(scores), budget)]:
        best = sorted([*best, *scores[place:mark]], reverse=True)[:top]
        now = sum(best) / len(best) if best else 0.0
        area += (mark - place) * (before + now) / 2
        before, place = now, mark
    return (area + (budget - place) * before) / budget


def passes(smiles: str) -> bool:
    """Whether a chemist would look at it: no alert of BRENK or PAINS, 100 to 600 Da, logP -2 to 6, no ring above 7."""
    plain = 100 <= molecular_weight(smiles) <= 600 and -2 <= logp(smiles) <= 6 and largest_ring(smiles) <= 7
    return plain and passes_brenk(smiles) and passes_pains(smiles)


def run_one(task: str, seed: int, budget: int, settings: dict[str, Any], folder: Path) -> Result:
    """One run in `folder`, or the rest of one that was stopped there."""
    resume = folder if (folder / "config.toml").exists() else ""
    run = tune(
        "molecules",
        terms={task: oracle(task)} if task != "qed" else None,
        weights=OWN | ({"qed": 1.0} if task == "qed" else {}),
        folder="" if resume else folder,
        resume=resume,
        **{"seed": seed, "oracle_calls": budget, "samples": SAMPLES, "threads": torch.get_num_threads(), **settings},
    )
    with (folder / "ledger.csv").open(newline="", encoding="utf-8") as file:
        calls = [(row["text"], float(row["reward"] or 0)) for row in csv.DictReader(file)]
    return result_of(task, seed, budget, settings, calls, run.summary["seconds"])


def result_of(
    task: str, seed: int, budget: int, settings: dict[str, Any], calls: Sequence[tuple[str, float]], seconds: float
) -> Result:
    """The figures of a run from its calls, text and score each, in order."""
    scores = [score for _, score in calls]
    clean = [score if passes(text) else 0.0 for text, score in calls]
    ranked = [text for text, _ in sorted(calls, key=lambda call: -call[1])[:BEST]]
    figures = {figure.name: figure.mean for figure in measure(ranked)}
    return Result(
        task=task,
        seed=seed,
        budget=budget,
        settings=settings,
        calls=len(calls),
        auc=auc_top(scores, budget),
        filtered=auc_top(clean, budget),
        top=statistics.fmean(sorted(scores, reverse=True)[:TOP]),
        passing=statistics.fmean(map(passes, ranked)),
        sa=figures["SA"],
        diversity=figures["diversity"],
        seconds=round(seconds, 1),
    )


def finished(folder: Path) -> list[Result]:
    """Every result that stands in a folder."""
    return [Result(**json.loads(path.read_text(encoding="utf-8"))) for path in sorted(folder.glob("*.json"))]


def table(results: Sequence[Result]) -> str:
    """Markdown: a task a row, the mean over its seeds, as others report; the sums over the tasks that are there."""
    heads = ("task", "seeds", "AUC", "filtered", *PUBLISHED, "top 10", "pass", "SA", "diversity", "calls", "s")
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    runs = {task: [r for r in results if r.task == task] for task in TASKS if any(r.task == task for r in results)}
    lines += [_row(task, mine) for task, mine in runs.items()]
    test = {task: mine for task, mine in runs.items() if task not in DEVELOPED_ON}
    for name, some in (("all of these", runs), ("test tasks", test)):
        sums = [sum(statistics.fmean(getattr(r, key) for r in mine) for mine in some.values()) for key in SUMMED]
        sums += [sum(OTHERS[task][k] for task in some) for k in range(len(PUBLISHED))]
        lines.append(f"| **sum of {len(some)}, {name}** | | " + " | ".join(f"{value:.3f}" for value in sums) + " |" * 7)
    return "\n".join(lines)


SUMMED = ("auc", "filtered")


def _row(task: str, runs: Sequence[Result]) -> str:
    auc, filtered, top, sa, diversity, passing, calls, seconds = (
        statistics.fmean(getattr(run, key) for run in runs)
        for key in (*SUMMED, "top", "sa", "diversity", "passing", "calls", "seconds")
    )
    others = [f"{value:.3f}" for value in OTHERS[task]]
    best = f"**{auc:.3f}**" if auc > max(OTHERS[task]) else f"{auc:.3f}"
    if len(runs) > 1:
        best += f" ({', '.join(f'{run.auc:.3f}' for run in sorted(runs, key=lambda run: run.seed))})"
    figures = (f"{top:.3f}", f"{passing:.0%}", f"{sa:.1f}", f"{diversity:.2f}", f"{calls:,.0f}", f"{seconds:.0f}")
    name = f"{task} (development)" if task in DEVELOPED_ON else task
    return "| " + " | ".join([name, str(len(runs)), best, f"{filtered:.3f}", *others, *figures]) + " |"


@click.command()
@click.argument("tasks", nargs=-1, type=click.Choice(list(TASKS)), metavar="[TASK]...")
@click.option("--seed", "seeds", default=(0,), multiple=True, show_default=True, help="May be repeated.")
@click.option("--calls", default=10_000, show_default=True, help="Budget of a run.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="A setting of all runs, as in a config.")
@click.option("--threads", default=1, show_default=True, help="To compute with.")
@click.option("--table", "only_table", is_flag=True, help="Print the table of what is finished, and run nothing.")
@click.option("--page", type=click.Path(path_type=Path, exists=True), help="Page to put the table into.")
@click.option("--part", default="screened", show_default=True, help="Between <!-- PART --> and <!-- end --> there.")
@click.option("--output", type=click.Path(path_type=Path), default="outputs/pmo", show_default=True)
def main(
    tasks: tuple[str, ...],
    seeds: tuple[int, ...],
    calls: int,
    changes: tuple[str, ...],
    threads: int,
    only_table: bool,
    page: Path | None,
    part: str,
    output: Path,
) -> None:
    """Run TASKS (all twenty, if none is named), keep each result in a file of OUTPUT, and print a table."""
    torch.set_num_threads(threads)
    settings = {key: value for key, value in read_toml(SETTING).items() if key not in KEPT} | dict(
        map(setting, changes)
    )
    for seed in seeds:
        for task in () if only_table else tasks or TASKS:
            path = output / f"{task}-{seed}.json"
            if path.exists():
                check_same(path, calls, settings)
                continue
            output.mkdir(parents=True, exist_ok=True)
            result = run_one(task, seed, calls, settings, output / f"{task}-{seed}")
            path.write_text(json.dumps(asdict(result), indent=1) + "\n", encoding="utf-8")
            print(f"{task}, seed {seed}: AUC {result.auc:.3f}, filtered {result.filtered:.3f}", flush=True)
    results = finished(output)
    if len(budgets := {result.budget for result in results}) > 1:
        raise click.UsageError(f"{output} has runs of {budgets} calls, of which one table would say nothing")
    if results:
        print(table(results))
        if page:
            put(page, part, table(results))


KEPT = ("domain", "weights", "oracle_calls", "terms", "seed")  # of the setting's file: the benchmark has its own


def check_same(path: Path, calls: int, settings: dict[str, Any]) -> None:
    """Raise UsageError where a finished result was made with another budget or other settings."""
    before = json.loads(path.read_text(encoding="utf-8"))
    if (before["budget"], before["settings"]) != (calls, settings):
        raise click.UsageError(
            f"{path} has {before['budget']} calls and {before['settings']}, not {calls} and {settings}; "
            "name another folder with --output, or remove it"
        )


if __name__ == "__main__":
    main()
