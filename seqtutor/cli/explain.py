"""`seqtutor explain`: which term paid which part of an item, and what the models thought of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seqtutor.cli.console import console, say
from seqtutor.cli.options import ModelCommand, one_taste, typed
from seqtutor.errors import UserError

if TYPE_CHECKING:
    from seqtutor.domain import Domain
    from seqtutor.runs.explaining import Explanation

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
    from seqtutor.cli.outside import left_out
    from seqtutor.cli.tables import explanation_table, named_parts
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
            _draw(domain, explanation, folder, f"{number:04}")
    for explanation in found[:SHOWN]:
        console.print(explanation_table(explanation))
        for line in named_parts(explanation):
            say(line)
    say(f"{len(found)} explained; written to {folder}")


def _draw(domain: Domain, found: Explanation, folder: Path, stem: str) -> None:
    """The item by what each part was worth, and by what it adds to each term."""
    adds = {f"-{name}": parts for name, parts in found.made_of.items() if not isinstance(parts, Mapping)}
    for behind, worth in {"": found.steps, **adds}.items():
        name = stem + re.sub(r"\W", "-", behind)  # a profile may call a term as it likes
        (folder / f"{name}.svg").write_text(domain.coloured(found.text, worth), encoding="utf-8")
