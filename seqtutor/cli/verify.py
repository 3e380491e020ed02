"""`seqtutor verify`: does every installed objective do what it claims, on this machine?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from seqtutor.cli.console import console, progress
from seqtutor.cli.options import SEED
from seqtutor.errors import UserError, unknown
from seqtutor.plugin.installed import installed


@click.command()
@click.argument("names", nargs=-1, metavar="[OBJECTIVE]...")
@click.option(
    "--seed", type=SEED, default=0, show_default=True, help="Seed of the world: its prior, its rewards, its training."
)
def verify(names: tuple[str, ...], seed: int) -> None:
    """Prove the installed objectives, or those named, on a world whose every sequence is listed.

    \b
    seqtutor verify
    seqtutor verify psi tb --seed 1
    """
    import torch

    from seqtutor.cli.tables import proof_table
    from seqtutor.config import TrainConfig
    from seqtutor.objectives import load_objective
    from seqtutor.testing.trial import tried
    from seqtutor.training.verification import TEMPERATURE, Proof, new_world, prove

    there = installed("objective")
    if strange := [name for name in names if name not in there]:
        raise unknown("objective", strange[0], there)
    chosen = list(dict.fromkeys(names or there))
    torch.set_num_threads(1)  # tensors this small only wait for a second one
    world = new_world(seed)
    proofs: list[Proof] = []
    broken: list[str] = []
    for name in chosen:  # what is wrong is said before the first minute is spent
        with noted(name, broken):
            tried(load_objective(name), TrainConfig(objective=name), world.domain)
    usable = [name for name in chosen if name not in broken]
    with progress("verifying") as bar:
        for done, name in enumerate(usable):
            bar(done, len(usable), name)
            with noted(name, broken):
                proofs.append(prove(world, name))
    if proofs:
        console.print(f"{len(world.tokens)} words, temperature {TEMPERATURE:g}; pi* found by listing them all")
        console.print(proof_table(proofs))
    if not all(proof.exact for proof in proofs):
        console.print("an objective that claims less has another fixed point: see docs/objectives.md")
    if failed := [*broken, *(proof.name for proof in proofs if not proof.holds)]:
        raise UserError(f"not proven: {', '.join(failed)}")


@contextmanager
def noted(name: str, broken: list[str]) -> Iterator[None]:
    """Say what is wrong with an objective and note its name, so that the others are still proven."""
    try:
        yield
    except UserError as error:
        click.echo(str(error), err=True)
        broken.append(name)
