"""`seqtutor score`: anybody's items, or all that a run has scored, with every figure, and the best of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seqtutor.cli.console import progress, say
from seqtutor.cli.inspect import read_lines
from seqtutor.cli.options import DomainCommand, arguments_of
from seqtutor.config import TrainConfig, build, layered
from seqtutor.domain import DataLine, load, with_options
from seqtutor.errors import UserError
from seqtutor.files import read_toml, write_csv

if TYPE_CHECKING:
    from seqtutor.rewards.scorer import Scorer
    from seqtutor.runs.hits import Origins, ScoredText

SHOWN = 3  # lines left out that are said one by one


@click.command(cls=DomainCommand)
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--config", type=click.Path(path_type=Path), help="Profile, or run config: its terms are the reward.")
@click.option("--domain", "domain_name", default="", help="Domain whose default reward is used, without a config.")
@click.option("-n", "count", type=click.IntRange(1), default=100, show_default=True, help="Hits to keep.")
@click.option("--per-family", type=click.IntRange(0), default=2, show_default=True, help="Most of one family; 0: all.")
@click.option("--workers", type=click.IntRange(0), default=0, show_default=True, help="Processes that score.")
@click.option("--output", default="", help="Folder to write to.  [default: outputs/<domain>-scored-<time>]")
@click.option("--trust", is_flag=True, help="Run the functions and programs that the config names.")
def score(source: Path, **given: Any) -> None:
    """Score SOURCE, a file or folder of items, or all that the run in a run folder has scored.

    \b
    seqtutor score library.smi --config profile.toml
    seqtutor score my_tunes/ --domain music --preset paper
    seqtutor score outputs/molecules-tb-20260101-120000 -n 50 --per-family 1
    """
    from seqtutor.cli.outside import left_out
    from seqtutor.runs import hits
    from seqtutor.runs.drawing import as_stated, scorer_of
    from seqtutor.runs.folder import new_folder

    args, options = arguments_of(ScoreArguments, given)
    run = source if (source / "config.toml").is_file() else None
    settings = _settings(args, run, options)
    domain = as_stated(load(settings.domain, settings.options), str(source), settings.options)
    lines = _of_run(run) if run else list(read_lines(domain, source, hits.problem))
    texts = [line.text for line in lines if line.text is not None]
    if not texts:
        raise UserError(
            f"{source} holds nothing to score" + (f": {lines[0].where}: {lines[0].problem}" if lines else "")
        )
    folder = new_folder(args.output, f"{domain.name}-scored")
    _write_left_out(lines, folder)
    # Where each text stands in the file; of one that stands there twice, the first place.
    origins = {one.text: (one.where, one.name) for one in reversed(lines) if one.text is not None and one.where}
    with closing(scorer_of(domain, settings, left_out(settings, args.trust), args.workers, run)) as scorer:
        rows = _rows(scorer, texts, folder, run / "answers.sqlite" if run else None, origins)
        _write_failures(scorer, rows, folder)
    kept = hits.best(domain, rows, args.count, args.per_family)
    hits.write_hits(domain, kept, folder / "hits", origins)
    passed = sum(not row.failed and math.isfinite(row.reward) for row in rows)
    full = len(kept) < min(args.count, passed)
    limit = f", at most {args.per_family} of one family (--per-family 0: all)" if full else ""
    say(f"{len(rows):,} different items scored, {passed:,} pass; the best {len(kept)}{limit} in {folder}/hits")


@dataclass(frozen=True)
class ScoreArguments:
    """What was typed beside the items and the options of their domain."""

    config: Path | None
    domain_name: str
    count: int
    per_family: int
    workers: int
    output: str
    trust: bool


def _rows(scorer: Scorer, texts: list[str], folder: Path, answers: Path | None, origins: Origins) -> list[ScoredText]:
    """Every text scored, with the answers that a run has had, and written down."""
    from seqtutor.runs import hits

    with scorer.remembering(answers) if answers else nullcontext(), progress("scoring") as report:
        scorer.start(texts[0])
        return hits.write_table(hits.scored(scorer, texts, report), folder / "scored.csv", origins)


def _write_failures(scorer: Scorer, rows: Sequence[ScoredText], folder: Path) -> None:
    """Write down which term failed on which text, and why; and say how many have no reward."""
    places = {row.text: place for place, row in enumerate(rows)}
    found = [(text, name, outcome.reason) for (name, text), outcome in scorer.answers.reasons.items() if text in places]
    path, without = folder / "failures.csv", sum(not math.isfinite(row.reward) for row in rows)
    if found:
        write_csv(path, [["text", "term", "reason"], *sorted(found, key=lambda failure: places[failure[0]])])
    if without:
        why = f", why is in {path}" if found else ""
        click.echo(f"{without:,} of {len(rows):,} have no reward: a term failed{why}", err=True)


def _write_left_out(lines: Sequence[DataLine], folder: Path) -> None:
    """Say the first few lines that cannot be scored, and write all down."""
    bad = [line for line in lines if line.text is None]
    for line in bad[:SHOWN]:
        click.echo(f"left out: {line.where}: {line.problem}", err=True)
    if bad:
        path = folder / "left_out.csv"
        write_csv(path, [["where", "name", "problem"], *([line.where, line.name, line.problem] for line in bad)])
        click.echo(f"left out: {len(bad):,} of {len(lines):,} in all, each with its reason in {path}", err=True)


def _settings(args: ScoreArguments, run: Path | None, options: dict[str, Any]) -> TrainConfig:
    """Those of a config, or of a run, with what was typed."""
    file = args.config or (run / "config.toml" if run else None)
    read = read_toml(file) if file else {}
    if args.domain_name and (of := read.get("domain", args.domain_name)) != args.domain_name:
        raise UserError(f"--domain {args.domain_name} was given, and {file} is of domain '{of}'")
    settings = build(TrainConfig, layered({"domain": args.domain_name}, with_options(read, options)), str(file))
    if not settings.domain:
        raise UserError("name what to score by: --config profile.toml, or --domain molecules")
    return settings


def _of_run(run: Path) -> list[DataLine]:
    """All that a run has scored."""
    from seqtutor.runs.folder import RunFolder

    lines = [DataLine("", row["text"]) for row in RunFolder(run).ledger]
    if not lines:
        raise UserError(f"{run} has no ledger.csv: its reward asks no oracle about whole items")
    return lines
