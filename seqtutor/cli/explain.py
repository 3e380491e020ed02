"""`seqtutor explain`: which term paid which part of an item, and what the models thought of it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import click

from seqtutor.cli.options import ModelCommand, one_taste, typed
from seqtutor.errors import UserError

SHOWN = 3  # items of a file that are printed; the table on disk has all


@click.command(cls=ModelCommand)
@click.argument("model")
@click.argument("item", default="")
@click.option(
    "--taste",
    multiple=True,
    callback=one_taste,
    metavar="FILE",
    help="Votes of 'seqtutor rate': explain whose taste that is.",
)
@click.option("--output", default="", help="Folder to write to.  [default: outputs/<domain>-explained-<time>]")
@click.option("--trust", is_flag=True, help="Run the functions and programs that the run was scored by.")
def explain(model: str, item: str, taste: str, output: str, trust: bool, **options: Any) -> None:
    """Explain ITEM, a text or a file of items, by the terms and the model of MODEL; or the taste of votes.

    \b
    seqtutor explain music "C4 - - - E4 - - - G4 - - - C5 - - -"
    seqtutor explain outputs/music-reinforce-20260101-120000 tune.mid
    seqtutor explain music --taste music-votes.jsonl
    """
    from seqtutor.cli.console import console, say
    from seqtutor.cli.outside import left_out
    from seqtutor.cli.tables import explanation_table
    from seqtutor.cli.tasting import explain_taste
    from seqtutor.priors.given import items_of
    from seqtutor.runs.drawing import open_model
    from seqtutor.runs.explaining import explain as explained
    from seqtutor.runs.explaining import write_table
    from seqtutor.runs.folder import new_folder

    source = open_model(model, typed(options), item or "")
    domain = source.domain
    words = items_of(domain, item) if item else []
    if taste:
        if output:
            raise UserError("--taste prints what the votes say, and writes nothing: leave out --output")
        explain_taste(source, Path(taste), words)
        return
    if not item:
        raise UserError("name what to explain: an item, as text or file, or votes with --taste FILE")
    with closing(source.scorer(left_out(source.config, trust))) as scorer:
        found = [explained(source, scorer, word) for word in words]
    folder = new_folder(output, f"{domain.name}-explained")
    write_table(found, folder / "explained.csv")
    if domain.offers("coloured"):
        for number, explanation in enumerate(found, start=1):
            picture = domain.coloured(explanation.text, explanation.steps)
            (folder / f"{number:04}.svg").write_text(picture, encoding="utf-8")
    for explanation in found[:SHOWN]:
        console.print(explanation_table(explanation))
    say(f"{len(found)} explained; written to {folder}")
