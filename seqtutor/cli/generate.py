"""`seqtutor generate`: items from a run's policy or from a prior."""

from __future__ import annotations

import math
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seqtutor.config import TrainConfig, check_seed
from seqtutor.errors import UserError

if TYPE_CHECKING:
    from seqtutor.domain import Domain
    from seqtutor.model import Model
    from seqtutor.scoring import Scorer


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
    import torch

    from seqtutor.cli.console import console
    from seqtutor.evaluation import draw
    from seqtutor.run import new_folder, write_samples

    policy, domain, config = open_model(model)
    scorer = scorer_of(domain, config, trust)
    folder = new_folder(output, f"{domain.name}-samples")
    generator = torch.Generator().manual_seed(seed)
    start = torch.tensor(domain.vocabulary.encode(domain.encode(primer)), dtype=torch.int64) if primer else None
    if start is not None and len(start) >= domain.max_length:
        raise UserError(f"the primer has {len(start)} tokens; an item has at most {domain.max_length}")
    drawn = draw(policy, domain, count, generator, temperature=temperature, primer=start)
    with closing(scorer):
        scores = scorer.score(*drawn)
    texts = [text for text in scores.texts if text is not None]
    write_samples(folder / "samples.csv", {model: scores})
    domain.write(texts, folder)
    console.print(f"{len(texts)} of {count} samples are valid; written to {folder}", markup=False, soft_wrap=True)


def scorer_of(domain: Domain, config: TrainConfig, trust: bool) -> Scorer:
    """Every term of the domain, scored as in the run; those from outside only with `trust`, and a line says so."""
    from seqtutor.scoring import Scorer, settings_of, weighted_terms

    settings = settings_of(config.terms)
    strange = [] if trust else [name for name, table in settings.items() if table.outside]
    if strange:
        names = ", ".join(strange)
        click.echo(f"left out: {names}, scored by a function or a program; --trust runs them", err=True)
    known = {name: table for name, table in settings.items() if name not in strange}
    weights = {name: weight for name, weight in config.term_weights.items() if name not in strange}
    terms = weighted_terms(domain, weights, known)
    return Scorer(domain, terms, settings=known, geometric=config.combine == "geometric")


def open_model(name: str, device: str = "cpu") -> tuple[Model, Domain, TrainConfig]:
    """A run's policy or a prior -> the model, its domain, and how it is scored."""
    from seqtutor.domain import load
    from seqtutor.run import load_policy, open_run
    from seqtutor.weights import check_fit, load_model, prior_folder, read_about

    folder = Path(name)
    if (folder / "policy.safetensors").is_file():
        config, domain = open_run(folder)
        policy = load_policy(folder, device=device)
        check_fit(policy, domain, name)
        return policy, domain, config
    folder = prior_folder(name)
    about = read_about(folder, "model")
    domain = load(str(about.get("domain", name)), about.get("training", {}).get("options"))
    model = load_model(folder, "model", device=device)
    check_fit(model, domain, name)
    return model, domain, TrainConfig(domain=domain.name)
