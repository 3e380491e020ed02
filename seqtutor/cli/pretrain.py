"""`seqtutor pretrain`: a prior from data."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seqtutor.cli.console import console, progress, say
from seqtutor.cli.inspect import outcome, read_lines
from seqtutor.cli.options import DomainCommand, config_file, config_options, gather
from seqtutor.config import MADE_BY, PretrainConfig, build, layered
from seqtutor.domain import DataLine, Domain
from seqtutor.errors import UserError
from seqtutor.files import read_toml

if TYPE_CHECKING:
    from seqtutor.priors.model import LstmModel
    from seqtutor.training import pretraining

SHOWN = 3  # bad lines that are shown
TRIED = 200  # samples by which it is said how many are valid
LOW = 0.5  # share of valid samples below which a new prior is of little use


@click.command(cls=DomainCommand)
@config_options(PretrainConfig)
@click.option("--config", type=click.Path(), help="TOML file with any of these settings.")
@click.option("--resume", metavar="FOLDER", help="Go on with a pre-training that was stopped.")
@click.option("--output", default="", help="Folder of the prior.  [default: outputs/<domain>-prior-<time>]")
@click.pass_context
def pretrain(ctx: click.Context, /, config: str | None, resume: str | None, output: str, **given: Any) -> None:
    """Learn a prior from data, or go on with one, with a held-out loss and an early stop.

    \b
    seqtutor pretrain --domain music --data my_midis/
    seqtutor pretrain --domain molecules --data mine.smi --output priors/mine
    seqtutor pretrain --domain molecules --data actives.smi --prior molecules --output priors/actives
    seqtutor pretrain --resume priors/mine
    seqtutor train --domain molecules --prior priors/mine
    """
    typed = gather(given, ctx.meta["seqtutor.domain"])
    file = config_file(config, resume)
    read = read_toml(file) if file else {}
    settings = build(PretrainConfig, layered(read, typed), str(file or "the command line"))
    if not resume:
        from seqtutor.training.lessons import check_shape

        check_shape(typed if MADE_BY in read else layered(read, typed), settings.prior)  # a saved config states all
    _pretrain(settings, Path(resume) if resume else None, output)


def _pretrain(settings: PretrainConfig, resume: Path | None, output: str) -> None:
    from seqtutor.files import from_home
    from seqtutor.priors.files import check_device, made_to_learn
    from seqtutor.runs.folder import RunFolder, check_vacant, new_folder
    from seqtutor.signals import INTERRUPTED, Stopped, stoppable
    from seqtutor.training import pretraining

    check_device(settings.device)
    if output:
        check_vacant(from_home(output))  # before an hour of reading
    domain = made_to_learn(settings.domain, settings.prior, settings.options)
    settings = replace(settings, options=asdict(domain.options))
    lines = list(read_lines(domain, settings.data)) if settings.data else []
    data = _examples(domain, lines, settings)
    run = RunFolder(folder := resume or new_folder(output, f"{settings.domain}-prior"))
    with run.lock(), stoppable(), progress("learning") as bar:
        if lines:
            (folder / "items.txt").write_text("".join(f"{outcome(domain, line)}\n" for line in lines), encoding="utf-8")

        def report(state: pretraining.Progress, updates: int) -> None:
            held = f"held-out {state.history[-1][2]:.4f} nats/token  " if state.history else ""
            bar(state.update, updates, f"{held}{state.tokens / state.seconds:,.0f} tokens/s")

        try:
            model, figures = pretraining.into(run, domain, data, settings, report)
        except KeyboardInterrupt as stopped:
            onwards = f"go on with: seqtutor pretrain --resume {shlex.quote(str(folder))}"
            if isinstance(stopped, Stopped) and stopped.status != INTERRUPTED:
                stopped.add_note(onwards)
                raise
            say(f"stopped; {onwards}")
            sys.exit(INTERRUPTED)
    say(
        f"held-out loss {figures['held_out_nll']:.4f} nats per token, accuracy {figures['held_out_accuracy']:.1%}; "
        f"prior written to {folder}"
    )
    _say_validity(domain, model, settings)
    _examine(domain, data, folder)


def _say_validity(domain: Domain, model: LstmModel, settings: PretrainConfig) -> None:
    """Print which share of samples is valid, with a warning where it has fallen by more than chance, or is low."""
    from seqtutor.measure import verdict
    from seqtutor.priors.files import load_prior

    share, noise = _valid(domain, model, settings.seed)
    said, warning = f"valid: {share:.1%} of {TRIED} samples", ""
    if settings.prior:
        before = _valid(domain, load_prior(settings.prior, domain, grow=True), settings.seed)
        said += f"; of {settings.prior}, from which it went on, {before[0]:.1%}"
        if verdict("higher", before, (share, noise)) == "worse":
            warning = f"fewer samples are valid than before: try fewer --epochs than {settings.epochs:g}, or a lower "
            warning += f"--learning-rate than {settings.learning_rate:g}"
    elif share < LOW:
        warning = "few samples are valid: go on from a prior that knows the field, with --prior, or learn from more"
    say(said)
    if warning:
        say(f"warning: {warning}")


def _valid(domain: Domain, model: LstmModel, seed: int) -> tuple[float, float]:
    """The share of samples that are items, and half the width of its interval."""
    import numpy as np

    from seqtutor.domain import Measure
    from seqtutor.runs.drawing import texts_of

    items = [float(text is not None) for text in texts_of(model, domain, TRIED, seed)]
    valid = Measure("valid", np.array(items), np.ones(TRIED), percent=True)
    return valid.mean, valid.halfwidth


def _examples(domain: Domain, lines: Sequence[DataLine], settings: PretrainConfig) -> pretraining.Examples:
    """What to learn from, of the user's items or the corpus, with a word on how much it is."""
    from seqtutor.testing import rehearse
    from seqtutor.training import pretraining
    from seqtutor.training.lessons import enough

    bad = [line for line in lines if line.problem]
    if settings.data and not lines:
        raise UserError(f"{settings.data} is empty: it holds no item of domain '{domain.name}'")
    if bad:
        console.print(f"{len(bad):,} of {len(lines):,} items left out; the first {min(SHOWN, len(bad))}:")
        for line in bad[:SHOWN]:
            console.print(f"  {line.where}: {line.problem}")
    good = [line.text for line in lines if line.text is not None]
    texts = enough(good, settings.data, settings.prior) if settings.data else corpus_of(domain)
    rehearse(domain, texts, corpus=not settings.data)
    data = pretraining.examples(domain, texts, settings)
    if data.unused:
        console.print(f"{data.unused:,} of {len(texts):,} items left out: too short, or too long, for {domain.name}")
    by = f"; families held out as a whole: {data.families:,}" if data.families else ""
    by += f"; {data.copies:,} of these stand among those to learn, too" if data.copies else ""
    console.print(f"{len(texts):,} items: {len(data.train):,} sequences to learn, {len(data.held_out):,} held out{by}")
    return data


def _examine(domain: Domain, data: pretraining.Examples, folder: Path) -> None:
    """Print which terms the prior did not learn from its data, and write the table beside it."""
    from rich.console import Console

    from seqtutor.cli.inferred import notes, table
    from seqtutor.inference.examination import examine

    try:
        with console.status("what it did not learn: its own texts beside the held-out items"):
            found = examine(domain, data, folder)
    except UserError as error:
        say(f"what it did not learn is not known: {error}")
        return
    with (folder / "unlearnt.txt").open("w", encoding="utf-8") as file:
        for out in (console, Console(file=file, width=100, markup=False)):
            out.print("what the prior did not learn (w of 0: learnt)")
            out.print(table(found, f"{found.base:,} texts of the prior"))
            for line in notes(found):
                out.print(line, markup=False, soft_wrap=True)


def corpus_of(domain: Domain) -> list[str]:
    """The domain's corpus, with a bar while it is read."""
    with progress(f"corpus of {domain.name}") as report:
        return domain.corpus(report)
