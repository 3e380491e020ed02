"""`seqtutor domains`: what is installed."""

from __future__ import annotations

import click

from seqtutor.domain import available, domain_class
from seqtutor.errors import UserError


@click.command()
@click.argument("names", nargs=-1, metavar="[DOMAIN]...")
def domains(names: tuple[str, ...]) -> None:
    """List the installed domains with their reward terms and priors; or only those named.

    \b
    seqtutor domains
    seqtutor domains music
    """
    from seqtutor.priors.files import shipped_priors

    priors = shipped_priors()
    for name in names or available():
        try:
            _describe(name, name in priors)
        except UserError as error:
            if names:
                raise
            click.echo(f"{name}: {error}\n")


def _describe(name: str, prior: bool) -> None:
    cls = domain_class(name)
    click.echo(f"{name}: {cls.summary}")
    click.echo(f"  prior: {'shipped' if prior else 'none shipped; make one with: seqtutor pretrain --domain ' + name}")
    click.echo("  reward terms, with their default weights:")
    for term in cls().terms():
        click.echo(f"    {term.name:<18}{term.weight:>7g}  {term.summary}")
    click.echo("")
