"""`seqtutor generate`: items from a run's policy or from a prior."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import closing

import click

from seqtutor.config import TrainConfig, check_seed
from seqtutor.errors import UserError


@click.command()
@click.argument("model")
@click.option("-n", "count", type=click.IntRange(1), default=32, show_default=True, help="Items to write.")
@click.option("--output", default="", help="Folder to write to.  [default: outputs/<domain>-samples-<time>]")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed: the same one writes the same items.")
@click.option(
    "--temperature", type=float, default=1.0, show_default=True, help="Of the softmax: below 1 safer, above 1 wilder."
)
@click.option("--primer", default="", help="Beginning of every item, in the domain's notation.")
@click.option("--trust", is_flag=True, help="Run the functions and programs that the run was scored by.")
def generate(model: str, count: int, output: str, seed: int, temperature: float, primer: str, trust: bool) -> None:
    """Write items from MODEL: a run folder, or a prior's name or folder.

    \b
    seqtutor generate music -n 8
    seqtutor generate outputs/music-reinforce-20260101-120000 -n 32 --primer "C4 - E4 -"
    seqtutor generate molecules -n 1000 --output mine --seed 7
    """
    if not 0 < temperature < math.inf:
        raise UserError(f"temperature must be above 0, not {temperature}; 1 samples the model as it is")
    check_seed(seed)
    from seqtutor import api
    from seqtutor.cli.console import console
    from seqtutor.runs.folder import new_folder, write_samples

    policy, domain, config = api.open_model(model)
    tokens, truncated = api.drawn(policy, domain, count, seed, temperature, primer)
    with closing(api.scorer_of(domain, config, () if trust else strangers(config))) as scorer:
        scores = scorer.score(tokens, truncated)
    folder = new_folder(output, f"{domain.name}-samples")
    texts = [text for text in scores.texts if text is not None]
    write_samples(folder / "samples.csv", {model: scores})
    domain.write(texts, folder)
    console.print(f"{len(texts)} of {count} samples are valid; written to {folder}", markup=False, soft_wrap=True)


def strangers(config: TrainConfig) -> list[str]:
    """The terms that a run's config has from outside: they run only with --trust, and a line says so."""
    foreign = {"function", "program", "session"}
    names = [name for name, table in config.terms.items() if isinstance(table, Mapping) and foreign & set(table)]
    if names:
        shown = ", ".join(names)
        click.echo(f"left out: {shown}, scored by a function or a program; --trust runs them", err=True)
    return names
