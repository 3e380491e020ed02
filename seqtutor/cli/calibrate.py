"""`seqtutor calibrate`: what a profile asks of real items, before it is run."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import tomli_w

from seqtutor.arrays import Values
from seqtutor.cli.console import console, new_table, progress, say
from seqtutor.cli.options import SEED, ProfileCommand, arguments_of
from seqtutor.cli.outside import refuse_strangers
from seqtutor.config import NO_LIMIT, TrainConfig, build, layered
from seqtutor.domain import available, with_options
from seqtutor.errors import UserError
from seqtutor.files import check_new, read_toml, write_new

if TYPE_CHECKING:
    from rich.table import Table

    from seqtutor.rewards.scorer import Scorer
    from seqtutor.runs.calibration import Calibrated, Held
    from seqtutor.runs.evaluation import Evaluation

HELD = "held"  # what the term that holds figures is called


@click.command(cls=ProfileCommand)
@click.argument("config", metavar="PROFILE")
@click.option("-n", "count", type=click.IntRange(20), default=1000, show_default=True, help="Items of the corpus.")
@click.option(
    "--draws",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Samples of the prior from which to tell what the optimum has, before anything is tuned. Each is scored.",
)
@click.option(
    "--hold",
    multiple=True,
    metavar="FIGURE",
    help="A figure that the optimum is to have as real items do, or 'all'; may be repeated.",
)
@click.option("--output", default="", help="Profile to write: this one, with a term that holds them.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed by which they are drawn.")
@click.option("--trust", is_flag=True, help="Run the functions and programs that the profile names.")
def calibrate(config: str, **given: Any) -> None:
    """Ask every term of PROFILE, a config or a domain, about items of the corpus.

    Shows for each what it says, the share of items that it pays nothing and in full, a transform that would tell them
    apart, and its time; with --draws every figure of the optimum that the profile asks for, prior * exp(R/c). With
    --hold also of the nearest one to it whose figures stay those of real items, and the term that leads there.

    \b
    seqtutor calibrate examples/cns.toml
    seqtutor calibrate mine.toml -n 200 --trust
    seqtutor calibrate music --draws 10000
    seqtutor calibrate music --metre 6/8 --draws 10000
    seqtutor calibrate mine.toml --draws 20000 --hold charged --hold TPSA --output held.toml
    """
    from seqtutor.priors.files import made_for
    from seqtutor.rewards.scorer import new_scorer
    from seqtutor.runs import calibration
    from seqtutor.runs.hits import tokens_of

    args, options = arguments_of(CalibrateArguments, given)
    read = _read(config, options, args.trust)
    settings = build(TrainConfig, read, config)
    _check_held(read, settings, args)
    if not settings.domain:
        raise UserError(f'{config} names no domain: domain = "molecules", say')
    domain = made_for(settings.domain, settings.prior, settings.options)
    texts = calibration.real_items(domain, args.count, args.seed)
    with ExitStack() as stack:
        run = stack.enter_context(closing(new_scorer(domain, settings)))
        # A run's budget of calls is no limit here, and real items are not judged by how they stand in their own corpus.
        fair = [term for term in run.terms if not term.of_corpus]
        judge, scorer = (stack.enter_context(closing(run.aside(terms))) for terms in (fair, run.terms))
        report = stack.enter_context(progress("calibrating"))
        found = list(calibration.calibrated(judge, texts, report))
        totals = judge.of_texts(texts, tokens_of(judge, texts)).totals
        of_prior = _drawn(scorer, settings, args) if args.draws else None
    _show(found, totals, settings, [term.name for term in run.terms if term.of_corpus])
    if of_prior:
        _tell_optimum(of_prior, scorer, settings, args, read)


@dataclass(frozen=True)
class CalibrateArguments:
    """What was typed beside the profile and the options of its domain."""

    count: int
    draws: int
    hold: tuple[str, ...]
    output: str
    seed: int
    trust: bool


def _read(config: str, options: dict[str, Any], trust: bool) -> dict[str, Any]:
    """The settings of a profile, or of a domain alone, with the options that were typed."""
    if config in available() or not (Path(config).suffix or Path(config).exists()):
        read: dict[str, Any] = {"domain": config}  # no file is meant, and `load` knows the domains
    else:
        read = read_toml(Path(config))
    if not trust:
        refuse_strangers(read, {}, None, config)
    return with_options(read, options)


def _check_held(read: Mapping[str, Any], settings: TrainConfig, args: CalibrateArguments) -> None:
    """Raise UserError where what was asked of --hold and --output does not go together."""
    if args.hold and not args.draws:
        raise UserError("--hold is told from samples of the prior: add --draws 20000")
    if args.draws and settings.kl_budget < math.inf:
        raise UserError(
            "a profile with a kl_budget finds its temperature while it is tuned, so nobody knows its optimum before: "
            "take that out, and state a temperature"
        )
    if args.output and not args.hold:
        raise UserError("--output writes what holds figures: name some with --hold, or --hold all")
    if args.hold and HELD in read.get("terms", {}):
        raise UserError(f"the profile has [terms.{HELD}] already: take it out, and hold all that is to be held at once")
    if args.output:
        check_new(Path(args.output))


def _tell_optimum(
    found: Evaluation, scorer: Scorer, settings: TrainConfig, args: CalibrateArguments, read: Mapping[str, Any]
) -> None:
    """Print what the optimum has, and write the profile that holds some of it where that was asked for."""
    passed = scorer.reward.passed(found.scores.values, found.scores.valid)
    kept = _show_optimum(found, settings.temperature_end or settings.temperature, args.hold, passed)
    if kept and (file := args.output):
        write_new(Path(file), tomli_w.dumps(layered(dict(read), {"terms": {HELD: kept.table}})))
        say(f"written: {file}, with [terms.{HELD}]; tune with: seqtutor train --config {shlex.quote(file)}")


def _drawn(scorer: Scorer, settings: TrainConfig, args: CalibrateArguments) -> Evaluation:
    """Samples of the prior that the profile would tune."""
    import torch

    from seqtutor.priors.files import load_prior
    from seqtutor.runs.evaluation import evaluate_prior

    prior = load_prior(settings.prior or scorer.domain.own_prior, scorer.domain)
    return evaluate_prior(prior, scorer.domain, scorer, args.draws, torch.Generator().manual_seed(args.seed))


def _show_optimum(found: Evaluation, temperature: float, hold: Sequence[str], passed: Values) -> Held | None:
    """Print what the optimum has of every figure, between what the prior and what real items have of it.

    And, where some are to be held, what the optimum has that holds them.
    """
    from seqtutor.cli.tables import side_by_side
    from seqtutor.objectives.optimum import LEAST, tilt
    from seqtutor.runs.calibration import held

    laws = {"optimum": tilt(found.scores.totals, temperature)}
    kept = held(found, temperature, hold, passed) if hold and laws["optimum"].effective >= LEAST else None
    laws |= {"held": kept.optimum} if kept else {}
    for name, law in laws.items():
        say(
            f"the optimum{' that holds them' * (name == 'held')} at c = {temperature:g} is {law.kl:.2f} nats from the "
            f"prior; {len(found.tokens):,} draws are worth {law.effective:,.0f} of it"
        )
        if law.effective < LEAST:
            say(f"too few to tell its figures: fewer than {LEAST:.0f}; draw more, or ask for a higher temperature")
            return None
    title = "what the prior has, the optimum, and real items; mean ± 95 % interval"
    items = [one for one in found.figures if not one.of_set]
    rows = [[one, *(one.weighted(law.weights) for law in laws.values())] for one in items]
    console.print(side_by_side(title, ["prior", *laws], rows))
    return kept


def _show(found: Sequence[Calibrated], totals: Values, settings: TrainConfig, aside: Sequence[str]) -> None:
    """Print the table, what is proposed, and what the items are worth and cost all in all. `aside`: terms left out."""
    import numpy as np

    from seqtutor.runs import calibration

    console.print(_table(found, len(totals)))
    for one in found:
        if one.failed:
            console.print(f"{one.term.name}: failed on {one.failed:.1%} of the items")
        if one.proposal:
            say(f"{one.term.name}: transform = {one.proposal}")
    low, half, high = calibration.percentiles(totals, 5, 50, 95)
    passing = f"{calibration.passing(found):.1%} of the items pass every filter"
    scored = int(np.isfinite(totals).sum())
    of = f" of the {scored:,} that could be scored" if scored < len(totals) else ""
    say(f"reward: {low:.3g} .. {half:.3g} .. {high:.3g} at 5, 50 and 95 %{of}; {passing}")
    each, run = sum(one.seconds for one in found) / len(totals), ""
    if settings.updates < NO_LIMIT:
        seconds = each * settings.rollouts * settings.updates
        run = f", {seconds:,.0f} s a run of {settings.updates:,} updates of {settings.rollouts:,}"
    say(f"scoring takes {each * 1e6:,.0f} us an item{run}")
    if aside:
        say(f"left out: {', '.join(aside)}, which compares with the corpus itself")


def _table(found: Sequence[Calibrated], count: int) -> Table:
    from seqtutor.cli.tables import weight_of

    title = f"{count:,} items of the corpus; us: microseconds an item"
    table = new_table(title, "weight", "low", "", "high", "never", "always", "us", whole=True)
    for one in found:
        ends = (f"{one.known.min():.3g}", f"{one.known.max():.3g}") if len(one.known) else ("-", "-")
        shares = (f"{one.never:.1%}", f"{one.always:.1%}") if one.of_share else ("-", "-")
        time = f"{one.seconds / count * 1e6:,.0f}"
        table.add_row(one.term.name, weight_of(one.term), ends[0], one.histogram, ends[1], *shares, time)
    return table
