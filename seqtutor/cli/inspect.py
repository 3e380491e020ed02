"""`seqtutor inspect`: what a domain understands of a user's files, before anything is learnt from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from seqtutor.cli.options import DomainCommand, typed
from seqtutor.domain import DataLine, Domain, load
from seqtutor.errors import UserError, plain
from seqtutor.files import from_home
from seqtutor.priors.encoding import misfit


@click.command(cls=DomainCommand)
@click.argument("data")
@click.option("--domain", required=True, help="Domain that reads them, as listed by 'seqtutor domains'.")
def inspect(data: str, domain: str, **options: Any) -> None:
    """List every item of a file or folder with what was understood of it, or why it cannot be used.

    \b
    seqtutor inspect my_tunes/ --domain music
    seqtutor inspect my_jigs/ --domain music --metre 6/8
    seqtutor inspect mine.smi --domain molecules
    """
    reader = load(domain, typed(options))
    good = bad = 0
    for line in read_lines(reader, data):
        click.echo(plain(outcome(reader, line)))
        good, bad = good + (not line.problem), bad + bool(line.problem)
    if not good + bad:
        raise UserError(f"{data} is empty: it holds no item of domain '{domain}'")
    click.echo(f"{good:,} of {good + bad:,} items can be used")


def read_lines(domain: Domain, path: str | Path, wrong: Callable[[Domain, str], str] = misfit) -> Iterator[DataLine]:
    """The items of a user's file or folder; why one cannot be used is its problem, by `wrong` or as the domain says."""
    for line in domain.read(from_home(path)):
        problem = line.problem or wrong(domain, line.text or "")
        yield replace(line, text=None if problem else line.text, problem=problem)


def outcome(domain: Domain, line: DataLine) -> str:
    """One line: where an item stands, and what was understood of it or why not."""
    return f"{line.where}: {f'left out: {line.problem}' if line.text is None else domain.caption(line.text)}"
