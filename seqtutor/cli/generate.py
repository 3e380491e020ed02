"""`seqtutor generate`: items from a run's policy or from a prior."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seqtutor.cli.console import say
from seqtutor.cli.options import SEED, ModelCommand, arguments_of
from seqtutor.cli.outside import OF_SESSION, left_out, of_session, paid_from_outside, unseen
from seqtutor.errors import UserError

if TYPE_CHECKING:
    from seqtutor.domain import Domain
    from seqtutor.priors.script import Fixed
    from seqtutor.rewards.reward import Scores
    from seqtutor.runs.drawing import Source


@click.command(cls=ModelCommand)
@click.argument("model")
@click.option("-n", "count", type=click.IntRange(1), default=32, show_default=True, help="Items to write.")
@click.option("--output", default="", help="Folder to write to.  [default: outputs/<domain>-samples-<time>]")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed: the same one writes the same items.")
@click.option(
    "--temperature", type=float, default=1.0, show_default=True, help="Of the softmax: below 1 safer, above 1 wilder."
)
@click.option("--primer", default="", help="Beginning of every item: a text, or a file that holds one item.")
@click.option(
    "--without-primer", is_flag=True, help="Write files without the parts, such as bars, that the primer fills."
)
@click.option("--revise", default="", help="An item, text or file, to write anew but for what --keep names.")
@click.option("--keep", default="", help="What stays of it, counted from 1: bars of music, such as 1-2,7-8.")
@click.option(
    "--draws",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Draw so many, half of a run's from its prior, for each that is kept by the law of prior * exp(R/c).",
)
@click.option("--reward-temperature", type=float, help="The c of --draws.  [default: the run's own]")
@click.option("--trust", is_flag=True, help="Run the functions and programs that the run was scored by.")
def generate(model: str, **given: Any) -> None:
    """Write items from MODEL: a run folder, or a prior's name or folder.

    \b
    seqtutor generate music -n 8
    seqtutor generate outputs/music-reinforce-20260101-120000 -n 32 --primer "C4 - E4 -"
    seqtutor generate music --revise tune.mid --keep 1-2,4 --draws 64
    seqtutor generate molecules -n 1000 --output mine --seed 7
    seqtutor generate molecules -n 100 --draws 64 --reward-temperature 0.05
    """
    args, options = arguments_of(GenerateArguments, given)
    if args.without_primer and not args.primer:
        raise UserError("--without-primer leaves out what --primer gives: give --primer too")
    import numpy as np

    from seqtutor.priors.given import behind, given_steps
    from seqtutor.runs.drawing import check_drawing, open_model
    from seqtutor.runs.folder import new_folder, write_samples

    check_drawing(args.count, args.draws, args.temperature, args.reward_temperature)
    source = open_model(model, options, args.primer or args.revise)
    script = given_steps(source.domain, args.primer, args.revise, args.keep)
    folder = new_folder(args.output, f"{source.domain.name}-samples")
    with _claimed(folder, named=bool(args.output)) as table:
        scores, said = _scored(source, script, args)
    write_samples(table, {model: scores}, np.flatnonzero(scores.valid))
    items = scores.items(args.count)
    texts, writer = [text or "" for text in items.texts], source.domain
    if args.without_primer and script is not None:
        texts = [behind(writer, text, len(script.ids)) for text in texts]
        writer = writer.following(len(script.ids))
    writer.write(texts, folder, items.figures)
    say(f"{said}{len(texts)} of {args.count} samples are valid; written to {folder}")
    if args.draws == 1 and _other_rules(source.domain, source.config.options):
        say("the model wrote them as ever; what these options ask of the rules is chosen with --draws 30, say")


@dataclass(frozen=True)
class GenerateArguments:
    """What was typed beside the model and the options of its domain."""

    count: int
    output: str
    seed: int
    temperature: float
    primer: str
    without_primer: bool
    revise: str
    keep: str
    draws: int
    reward_temperature: float | None
    trust: bool


@contextmanager
def _claimed(folder: Path, *, named: bool) -> Iterator[Path]:
    """A place for the table of samples, which goes again where the block fails, and with it a folder that is ours."""
    from seqtutor.runs.folder import claimed

    table = claimed(folder / "samples.csv")
    try:
        yield table
    except BaseException:  # Ctrl-C too
        table.unlink()
        if not named:
            folder.rmdir()
        raise


def _other_rules(domain: Domain, before: Mapping[str, Any]) -> bool:
    """Whether the domain's options ask for other terms, or weights, than those `before`, which a run was tuned by."""
    from seqtutor.domain import load

    usual, now = load(domain.name, before).terms(), domain.terms()
    return [(term.name, term.weight) for term in now] != [(term.name, term.weight) for term in usual]


def _scored(source: Source, script: Fixed | None, args: GenerateArguments) -> tuple[Scores, str]:
    """What the model writes, and a sentence where it is chosen among several draws of each."""
    from seqtutor.runs.drawing import choose, sequences_of

    n, draws, seed = args.count, args.draws, args.seed
    paid = paid_from_outside(source.config)
    if draws > 1 and (gone := [name for name in paid if name in of_session(source.config)]):
        raise UserError(f"--draws keeps by reward, of which '{gone[0]}' is a part, {OF_SESSION}")
    if draws > 1 and paid and not args.trust:
        raise UserError(f"--draws keeps by reward, of which '{paid[0]}' is a part: --trust runs it")
    aside = left_out(source.config, args.trust) + (unseen(source.config, source.folder) if draws == 1 else [])
    with closing(source.scorer(aside)) as scorer:
        if draws == 1:
            return scorer.score(*sequences_of(source.model, source.domain, n, seed, args.temperature, script)), ""
        scores, kept = choose(source, scorer, n, draws, seed=seed, temperature=args.reward_temperature, script=script)
        return scores, f"{kept.sentence}\n"
