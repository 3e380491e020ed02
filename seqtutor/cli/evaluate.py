"""`seqtutor evaluate`: measures of several models or files side by side, with intervals."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from seqtutor.cli.console import console
from seqtutor.cli.options import SEED
from seqtutor.config import NO_RECORD
from seqtutor.errors import UserError


@click.command()
@click.argument("model")
@click.option("--against", multiple=True, metavar="MODEL", help="Another run or prior to measure beside it.")
@click.option("-n", "count", type=click.IntRange(2), default=1000, show_default=True, help="Samples of each.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of the samples.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option("--log", multiple=True, metavar="FILE", help="Record to estimate MODEL's reward from, unsampled.")
@click.option("--log-reward", default="", metavar="COLUMN", help="Its column of rewards.  [default: the run's own]")
@click.option("--log-text", default="", metavar="COLUMN", help="Its column of texts.")
@click.option("--trust", is_flag=True, help="Run the functions and programs that the run was scored by.")
def evaluate(
    model: str,
    against: tuple[str, ...],
    count: int,
    seed: int,
    as_json: bool,
    log: tuple[str, ...],
    log_reward: str,
    log_text: str,
    trust: bool,
) -> None:
    """Measure MODEL (a run folder, or a prior) with 95 % intervals.

    \b
    seqtutor evaluate outputs/music-reinforce-20260101-120000 --against music
    seqtutor evaluate molecules -n 10000 --json
    seqtutor evaluate outputs/molecules-tb-20260101-120000 --log old/samples.csv
    """
    if log and against:
        raise UserError("--log estimates MODEL from a record, and --against samples: give one of them")
    if (log_reward or log_text) and not log:
        raise UserError(NO_RECORD)
    if log:
        if click.get_current_context().get_parameter_source("count") is ParameterSource.COMMANDLINE:
            raise UserError("--log draws no samples: leave out -n")
        _from_log(model, list(log), log_reward, log_text, seed, as_json, trust)
        return
    _side_by_side([model, *against], count, seed, as_json, trust)


def _side_by_side(names: list[str], count: int, seed: int, as_json: bool, trust: bool) -> None:
    """Print the measures of fresh samples of each."""
    import json

    from seqtutor import api
    from seqtutor.cli.outside import left_out
    from seqtutor.cli.tables import side_by_side
    from seqtutor.plugin.complaints import complaints
    from seqtutor.runs.drawing import open_model
    from seqtutor.runs.folder import jsonable

    leave_out = left_out(open_model(names[0]).config, trust)
    with console.status(f"sampling and measuring {count:,} of each"):
        evaluations = api.evaluate(*names, n=count, seed=seed, leave_out=leave_out)
        rows = list(zip(*(found.figures for found in evaluations), strict=True))
    if as_json:
        names = [name if name not in names[:i] else f"{name} ({i + 1})" for i, name in enumerate(names)]
        found = {name: {row[i].name: [row[i].mean, row[i].halfwidth] for row in rows} for i, name in enumerate(names)}
        click.echo(json.dumps(jsonable(found), indent=1))
    else:
        short = [Path(name).name for name in names]
        title = f"mean ± 95 % interval, up to {count:,} items each"
        console.print(side_by_side(title, short if len({*short}) == len(short) else names, rows))
    for name, one in zip(names, evaluations, strict=True):
        if one.unscored:
            said = f"{one.unscored:,} of {len(one.scores.texts):,} samples of {name} have no reward: a term failed"
            click.echo(f"{said}; reward and terms are of the others", err=True)
    for complaint in complaints(evaluations[0].domain):
        click.echo(f"missing: {complaint}", err=True)


def _from_log(model: str, log: list[str], column: str, text: str, seed: int, as_json: bool, trust: bool) -> None:
    """Print what a record tells of a model, without sampling an item that anybody would have to score."""
    import json

    from seqtutor.cli.outside import paid_from_outside
    from seqtutor.runs.drawing import open_model
    from seqtutor.runs.offpolicy import estimated_from

    source = open_model(model)
    if not (trust or column) and (paid := paid_from_outside(source.config)):
        raise UserError(
            f"the run's reward has '{paid[0]}', a function or a program, as a part: --trust runs it; "
            "or name a column of the record with --log-reward"
        )
    told = estimated_from(source, log, column, text, seed)
    if as_json:
        figures = {"reward": list(told.reward), "kl": list(told.kl), "effective": told.effective, "mean": told.own}
        click.echo(json.dumps(figures, indent=1))
    else:
        click.echo(told.sentence)
