"""`seqtutor domains`: what is installed."""

from __future__ import annotations

import click

from seqtutor.domain import available, load
from seqtutor.errors import UserError


@click.command()
@click.argument("names", nargs=-1, metavar="[DOMAIN]...")
def domains(names: tuple[str, ...]) -> None:
    """List the installed domains with their reward terms and priors; or only those named.

    A plugin that cannot be loaded is listed with the reason.

    \b
    seqtutor domains
    seqtutor domains music
    """
    for name in names or available():
        try:
            click.echo("\n".join(_described(name)) + "\n")
        except UserError as error:
            if names:
                raise
            click.echo(f"{name}: {error}\n")


def _described(name: str) -> list[str]:
    """The lines of a domain."""
    from seqtutor.priors.files import domain_of, shipped_priors

    domain = load(name)
    shipped = [prior for prior in shipped_priors() if domain_of(prior) == name]
    if domain.prior or shipped:
        prior = f"shipped ({', '.join(shipped)})" if len(shipped) > 1 else "shipped"
    else:
        prior = f"none shipped; make one with: seqtutor pretrain --domain {name}"
    terms = [f"    {term.name:<18}{term.weight:>7g}  {term.summary}" for term in domain.terms()]
    return [
        f"{name}: {domain.summary}",
        f"  prior: {prior}",
        "  reward terms, with their default weights:",
        *(terms or ["    none; a reward comes from outside then: see docs/scoring.md"]),
    ]
