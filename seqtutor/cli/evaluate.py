"""`seqtutor evaluate`: measures of several models or files side by side, with intervals."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import click

from seqtutor.config import check_seed
from seqtutor.errors import UserError


@click.command()
@click.argument("model")
@click.option("--against", multiple=True, metavar="MODEL", help="Another run or prior to measure beside it.")
@click.option("-n", "count", type=click.IntRange(2), default=1000, show_default=True, help="Samples of each.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the samples.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option("--trust", is_flag=True, help="Run the functions and programs that the run was scored by.")
def evaluate(model: str, against: tuple[str, ...], count: int, seed: int, as_json: bool, trust: bool) -> None:
    """Measure MODEL (a run folder, or a prior) with 95 % intervals.

    \b
    seqtutor evaluate outputs/music-reinforce-20260101-120000 --against music
    seqtutor evaluate molecules -n 10000 --json
    """
    check_seed(seed)
    import json

    from seqtutor.cli.console import console
    from seqtutor.cli.tables import side_by_side
    from seqtutor.evaluation import figures

    names = [model, *against]
    with console.status(f"sampling and measuring {count:,} of each"):
        evaluations, problems = _evaluations(names, count, seed, trust)
        rows = figures(evaluations)
    if as_json:
        found = {n: {row[i].name: [row[i].mean, row[i].halfwidth] for row in rows} for i, n in enumerate(names)}
        click.echo(json.dumps(found, indent=1))
    else:
        console.print(side_by_side([Path(name).name for name in names], rows, count))
    for complaint in problems:
        click.echo(f"missing: {complaint}", err=True)


def _evaluations(names: list[str], count: int, seed: int, trust: bool) -> tuple[list[Any], list[str]]:
    import torch

    from seqtutor.cli.generate import open_model, scorer_of
    from seqtutor.evaluation import evaluate
    from seqtutor.guard import complaints

    models = [open_model(name) for name in names]
    _, domain, config = models[0]
    for name, (_, other, _) in zip(names, models, strict=True):
        if other.name != domain.name or other.options != domain.options:
            raise UserError(f"'{name}' is of domain '{other.name}' {other.options}; '{names[0]}' of {domain.options}")
    with closing(scorer_of(domain, config, trust)) as scorer:
        seeds = [torch.Generator().manual_seed(seed) for _ in models]
        found = [evaluate(m, domain, scorer, count, one) for (m, _, _), one in zip(models, seeds, strict=True)]
    return found, complaints(domain)
