"""`seqtutor check`: what is wrong with a domain, a line a problem."""

from __future__ import annotations

import sys

import click

from seqtutor.domain import available, load
from seqtutor.errors import UserError
from seqtutor.files import from_home


@click.command()
@click.argument("names", nargs=-1, metavar="[DOMAIN]...")
@click.option("--data", default="", help="File or folder of items to try, for a domain without a corpus.")
def check(names: tuple[str, ...], data: str) -> None:
    """Try everything that a run will ask of the installed domains, or of those named.

    Each problem is one line with its remedy; exit status 1 if there is any.

    \b
    seqtutor check rna
    seqtutor check rna --data mine.txt
    """
    from seqtutor.testing import problems

    wrong = 0
    for name in names or available():
        count = 0
        for line in problems(name, _items(name, data) if data else None):
            click.echo(f"{name}: {line}")
            count += 1
        if not count:
            click.echo(f"{name}: all is well")
        wrong += count
    sys.exit(1 if wrong else 0)


def _items(name: str, data: str) -> list[str]:
    """The good items of a user's file."""
    texts = [line.text for line in load(name).read(from_home(data)) if line.text and not line.problem]
    if not texts:
        raise UserError(f"{data} holds no item of domain '{name}'")
    return texts
