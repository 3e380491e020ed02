"""`seqtutor verify`: does every installed objective do what it claims, on this machine?"""

from __future__ import annotations

import sys

import click

from seqtutor.cli.options import SEED


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

    from seqtutor.cli.console import console, progress
    from seqtutor.cli.tables import proof_table
    from seqtutor.config import TrainConfig
    from seqtutor.objectives import load_objective
    from seqtutor.objectives.trial import tried
    from seqtutor.plugins import installed
    from seqtutor.verification import TEMPERATURE, Proof, new_world, prove

    chosen = names or tuple(installed("objective"))
    torch.set_num_threads(1)  # tensors this small only wait for a second one
    world = new_world(seed)
    for name in chosen:  # what is wrong is said before the first minute is spent
        tried(load_objective(name), TrainConfig(objective=name), world.domain)
    proofs: list[Proof] = []
    with progress("verifying") as bar:
        for name in chosen:
            bar(len(proofs), len(chosen), name)
            proofs.append(prove(world, name))
    console.print(f"{len(world.tokens)} words, temperature {TEMPERATURE:g}; pi* found by listing them all")
    console.print(proof_table(proofs))
    if not all(proof.exact for proof in proofs):
        console.print("an objective that claims less has another fixed point: see docs/objectives.md")
    sys.exit(0 if all(proof.holds for proof in proofs) else 1)
