"""`seqtutor report`: the page of a run, again."""

from __future__ import annotations

from pathlib import Path

import click

from seqtutor.cli.console import say


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
def report(folder: Path) -> None:
    """Write the page of RUN again, from what the run folder holds; a run that still goes on included.

    \b
    seqtutor report outputs/music-reinforce-20260101-120000
    """
    from seqtutor.runs.folder import RunFolder, open_run
    from seqtutor.runs.report import render

    _, domain = open_run(folder)
    page = RunFolder(folder).save_page(render(folder, domain))
    say(f"the page: {page}")
