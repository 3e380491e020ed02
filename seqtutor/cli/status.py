"""`seqtutor status`: what a run is doing, how far it is, what failed last."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
def status(folder: Path) -> None:
    """Say what RUN is doing, how far it is, how long it will take, and what failed last; while it runs, and after.

    \b
    seqtutor status outputs/music-reinforce-20260101-120000
    """
    from seqtutor.runs.status import status_of

    for label, text in status_of(folder):
        click.echo(f"{label:<14}{text}")
