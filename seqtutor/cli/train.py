"""`seqtutor train`: tune a prior towards a reward, and leave a run folder with a page."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from seqtutor.cli.console import console, progress, say
from seqtutor.cli.options import DomainCommand, arguments_of, config_file, config_options, gather, one_taste
from seqtutor.cli.outside import next_stage, refuse_strangers, typed_terms, with_learnt, with_terms
from seqtutor.config import TrainConfig, build, check_same_domain, fitting, layered
from seqtutor.domain import with_options
from seqtutor.errors import UserError
from seqtutor.files import read_toml, write_csv

if TYPE_CHECKING:
    from seqtutor.records import Record
    from seqtutor.runs.folder import RunFolder
    from seqtutor.runs.metrics import Row
    from seqtutor.training.tuner import Tuner

SHOWN = 3  # lines of a record left out that are said one by one
FEWER = 200  # samples of the final table after Ctrl-C: the person is waiting


class TrainCommand(DomainCommand):
    """The command whose options are so many that they are told in sections."""

    settings = TrainConfig
    sections: ClassVar[Mapping[str, Sequence[str]]] = {
        "Where it begins": ("domain", "prior", "config", "trust", "resume", "output", "seed"),
        "What is paid": (
            *("weight", "transform", "function", "program", "surrogate", "taste", "caution", "combine", "hold_out"),
            *("failures", "repeats", "family_size", "family_least", "family_penalty"),
        ),
        "A record in place of an oracle": ("log", "log_reward", "log_text", "unseen", "unseen_share"),
        "How far, and how long": (
            *("temperature", "temperature_end", "kl_budget"),
            *("updates", "minutes", "oracle_calls", "stop_on_collapse"),
        ),
        "How it learns": (),
        "What stands at the end": ("samples", "best_of"),
        "The machine": ("device", "precision", "threads", "workers", "cache"),
    }


@click.command(cls=TrainCommand)
@config_options(TrainConfig)
@click.option("--weight", multiple=True, metavar="TERM=VALUE", help="Weight of a reward term; may be repeated.")
@click.option("--transform", multiple=True, metavar="TERM=KIND,...", help="Transform: logp=sigmoid,low=1,high=3, say.")
@click.option("--function", multiple=True, metavar="NAME=MODULE:FUNCTION", help="Python function as a term.")
@click.option("--program", multiple=True, metavar="NAME=COMMAND", help="Program with its arguments as a term.")
@click.option("--trust", is_flag=True, help="Run the functions and programs that a config names.")
@click.option("--config", type=click.Path(), help="TOML file with any of these settings.")
@click.option(
    "--taste",
    multiple=True,
    callback=one_taste,
    metavar="FILE",
    help="Votes of 'seqtutor rate', whose taste is a term.",
)
@click.option("--surrogate", multiple=True, metavar="NAME=FILE", help="Table with a column NAME; it foresees a term.")
@click.option("--caution", type=float, help="Standard deviations of these two that are not paid.  [default: 1]")
@click.option("--resume", metavar="RUN", help="Go on with a run that was stopped.")
@click.option("--output", default="", help="Run folder.  [default: outputs/<domain>-<objective>-<time>]")
@click.pass_context
def train(ctx: click.Context, /, **given: Any) -> None:
    """Tune a prior towards a reward without letting go of it.

    \b
    seqtutor train --domain music
    seqtutor train --domain molecules --objective g --temperature 0.05
    seqtutor train --domain molecules --weight qed=1 --weight logp=0.2
    seqtutor train --domain molecules --hold-out makeability --stop-on-collapse
    seqtutor train --domain molecules --function dock=my_oracles:dock --oracle-calls 10000
    seqtutor train --domain molecules --program "dock=sh dock.sh" --transform dock=reverse_sigmoid,low=-12,high=-6
    seqtutor train --domain molecules --log assay.csv --log-reward pIC50 --transform pIC50=sigmoid,low=6,high=8
    seqtutor train --domain molecules --surrogate pIC50=assay.csv --transform pIC50=sigmoid,low=6,high=8
    seqtutor train --domain music --taste music-votes.jsonl
    seqtutor train --config run.toml --seed 1
    seqtutor train --resume outputs/molecules-tb-20260101-120000
    """
    args, others = arguments_of(TrainArguments, given)
    settings = _settings(args, gather(others, ctx.meta["seqtutor.domain"]))
    sys.exit(_train(settings, Path(args.resume) if args.resume else None, args.output))


@dataclass(frozen=True)
class TrainArguments:
    """What was typed beside the settings of the run and the options of its domain."""

    weight: tuple[str, ...]
    transform: tuple[str, ...]
    function: tuple[str, ...]
    program: tuple[str, ...]
    trust: bool
    taste: str
    surrogate: tuple[str, ...]
    caution: float | None
    config: str | None
    resume: str | None
    output: str


def _settings(args: TrainArguments, typed: dict[str, Any]) -> TrainConfig:
    """The settings that were typed, over those of a config, over those of a run that goes on."""
    from seqtutor.rewards.taste import within_budget

    if args.weight:
        typed = {**typed, "weights": dict(_weight(text) for text in args.weight)}
    terms = typed_terms(args.function, args.program, args.transform)
    terms = with_learnt(terms, args.taste, args.surrogate, args.caution, args.resume or "")
    file = config_file(args.config, args.resume)
    read = _read(file, terms, typed, args.trust)
    if args.resume:
        check_same_domain(args.resume, read, typed.get("domain", read.get("domain")))
    else:
        read = with_options(read, typed.get("options", {}))
    if args.resume and args.config:
        stage = _read(Path(args.config), terms, typed, args.trust)
        check_same_domain(args.resume, read, stage.get("domain", read.get("domain")))
        read = next_stage(read, stage)
    settings = build(TrainConfig, layered(read, typed), str(file or "the command line"))
    return within_budget(settings, {*read, *typed})


def _read(file: Path | None, terms: dict[str, Any], typed: dict[str, Any], trust: bool) -> dict[str, Any]:
    """The settings of a file with the terms that were typed, without numbers that only another objective has."""
    read = read_toml(file) if file else {}
    if not trust:
        refuse_strangers(read, terms, typed.get("cache"), str(file))
    return fitting(with_terms(read, terms), typed.get("objective"))


def _weight(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise UserError(f"--weight takes TERM=VALUE, such as --weight qed=1, not '{text}'") from None


def _train(settings: TrainConfig, resume: Path | None, output: str) -> int:
    from seqtutor.cli.tables import weight_of
    from seqtutor.cli.tasting import say_passed_over
    from seqtutor.rewards.surrogate import sentences
    from seqtutor.rewards.taste import problems_of
    from seqtutor.runs.budget import sentence
    from seqtutor.training.opening import opened

    programs = {name: t for name, t in settings.terms.items() if isinstance(t, Mapping) and "program" in t}
    for name in [name for name, table in programs.items() if settings.weights.get(name, table.get("weight", 1.0))]:
        say(f"trying '{name}' on one text: it answers, or its time is over, before anything else is said")
    with opened(None, settings, output, resume or "") as (tuner, run):
        held_out = dict.fromkeys(settings.hold_out, "held out")
        weights = {term.name: weight_of(term) for term in tuner.scorer.terms} | held_out
        terms = ", ".join(f"{name} {weight}" for name, weight in weights.items())
        console.print(
            f"{settings.domain}, objective {settings.objective}, temperature {settings.temperature:g}: {terms}"
        )
        threads = f"{tuner.config.threads} thread{'s' if tuner.config.threads > 1 else ''}"
        console.print(f"computing with {threads}, tuning in {tuner.config.precision}")
        console.print(sentence(tuner.config, tuner.scorer))
        for name, table in tuner.scorer.settings.items():
            unpaid = "; its weight is 0: it is not paid" if weights.get(name, "0") == "0" else ""
            console.print(f"  {name}: {table.sentence}{unpaid}")
        for line in sentences(tuner.scorer.terms):
            say(f"  {line}")
        say_passed_over(problems_of(tuner.scorer.terms))
        if resume and tuner.done:
            say(f"{_reached(tuner)}: nothing more is learnt, the table and the page are made anew")
        if tuner.forgotten:
            now = "which is new, or another function now"
            console.print(f"the stored sequences do not know {tuner.forgotten}, {now}: they are forgotten")
        if tuner.offline:
            _print_record(tuner.offline.record, run.folder / "left_out.csv")
        return _run(tuner, run)


def _reached(tuner: Tuner) -> str:
    """Which limit a run that goes on has reached already, and what would let it go on."""
    config = tuner.config
    if tuner.went_back:
        return "an alarm ended it (--no-stop-on-collapse goes on)"
    if tuner.scorer.spent:
        return f"its {tuner.scorer.budget:,} oracle calls are spent (--oracle-calls N goes on to N)"
    if 0 < 60 * config.minutes <= tuner.seconds:
        return f"its {config.minutes:g} minutes are spent (--minutes N goes on to N)"
    if tuner.update >= config.updates:
        return f"its {tuner.update:,} updates are done (--updates N goes on to N)"
    return f"its last {tuner.scorer.idle:,} updates wrote nothing new to ask about"


def _print_record(record: Record, left_out: Path) -> None:
    """What was read, and the first lines that could not be; all of those go to a file."""
    say(f"  the record: {record.sentence}")
    for line in record.problems[:SHOWN]:
        say(f"  left out: {line.where}: {line.problem}")
    if record.problems:
        write_csv(left_out, [["where", "problem"], *([line.where, line.problem] for line in record.problems)])
    if len(record.problems) > SHOWN:
        say(f"  left out: {len(record.problems):,} lines in all, each with its reason in {left_out}")


def _run(tuner: Tuner, run: RunFolder) -> int:
    """Tune, and write the table and the page -> the exit status. A signal but Ctrl-C may leave no time for those."""
    from seqtutor.rewards.scorer import IDLE
    from seqtutor.signals import INTERRUPTED, Stopped, stoppable

    try:
        with stoppable():
            interrupted = _tune_with_progress(tuner, run)
            if tuner.scorer.spent:
                console.print(f"the budget of {tuner.scorer.budget:,} oracle calls is spent")
            elif tuner.scorer.budget and tuner.scorer.idle >= IDLE:
                spent = f"{tuner.scorer.calls:,} of {tuner.scorer.budget:,} oracle calls"
                say(
                    f"{IDLE} updates running wrote nothing new to ask about: {spent} were spent; "
                    "a larger --temperature, --repeats unpaid or --vary may find more"
                )
            _conclude(tuner, run, interrupted)
    except Stopped as stopped:
        stopped.add_note(f"go on with: seqtutor train --resume {shlex.quote(str(run.folder))}")
        raise
    return INTERRUPTED if interrupted else 0


def _tune_with_progress(tuner: Tuner, run: RunFolder) -> bool:
    """Tune to the end, or to Ctrl-C -> whether it was that. Another signal is raised."""
    from seqtutor.runs.alarms import Alarm
    from seqtutor.runs.budget import goals
    from seqtutor.signals import INTERRUPTED, Stopped
    from seqtutor.training.tuning import tune

    with progress("tuning") as bar:
        (column, whole), *_ = goals(tuner.config, tuner.scorer)

        def report(row: Row) -> None:
            learnt, explained = "", row.get("explained", math.nan)  # of held-out lines of a record
            if math.isfinite(row["reward"]):
                learnt = f"reward {row['reward']:.3f}"
            elif math.isfinite(explained):
                learnt = f"held-out variance explained {explained:.1%}"
            figures = f"{learnt}  KL {row['kl_per_token']:z.3f} nats/token  valid {row['valid']:.0%}"
            bar(row[column], whole, figures)

        def warn(alarm: Alarm) -> None:
            say(f"alarm: {alarm.message}")

        try:
            tune(tuner, run, report, warn)
        except KeyboardInterrupt as stopped:
            if isinstance(stopped, Stopped) and stopped.status != INTERRUPTED:
                raise
            return True
    return False


def _conclude(tuner: Tuner, run: RunFolder, interrupted: bool) -> None:
    from seqtutor.cli.tables import comparison_table
    from seqtutor.plugin.complaints import complaints
    from seqtutor.runs.report.reading import parse
    from seqtutor.training.conclusion import conclude

    count = min(FEWER, tuner.config.samples) if interrupted else tuner.config.samples
    if interrupted:
        say("the final table comes, and asks every term; Ctrl-C once more leaves it out")
    with console.status(f"sampling and measuring {count:,} of the prior and of the policy"):
        summary, page = conclude(tuner, run, count, interrupted=interrupted)
    console.print(comparison_table(parse(summary)))
    for complaint in complaints(tuner.domain):
        say(f"missing from the table or the folder: {complaint}")
    _print_distance(summary, run.folder)
    if tuner.went_back:
        console.print(f"ended by an alarm; the policy is that of update {tuner.healthy_update}, the last healthy one")
    if tuner.dial.verdict:
        console.print(tuner.dial.verdict)
    if tuner.scorer.failed:
        say(f"{len(tuner.scorer.failed):,} failures to score a text: {run.folder}/failures.csv")
    say(f"{'stopped early; ' if interrupted else ''}the page: {page}")


def _print_distance(summary: Mapping[str, Any], run: Path) -> None:
    """How far the policy went from the prior, how far the optimum still is, and what is the best so far."""
    from seqtutor.cli.tables import kept_line, optimum_line
    from seqtutor.records.recorded import sentences

    kl, bound = summary["kl"], summary["best_of_kl"]
    console.print(
        f"KL(policy || prior): {kl['token']:z.3f} nats per token, {kl['sequence']:z.1f} per sequence; "
        f"best of {summary['best_of']} from the prior: at most {bound:.1f} per sequence"
    )
    if "record" in summary:
        for line in sentences(summary["record"]):
            say(line)
    else:
        console.print(optimum_line(summary["optimum"]))
    for line in summary.get("foreseen", ()):
        say(line)
    if "kept" in summary:
        say(kept_line(summary["kept"], summary["optimum"]["temperature"], run))
    if (best := summary["best_scored"])["items"]:
        other = f"best of {summary['best_of']} from the prior, at as many calls, "
        other += f"{summary['reward']['best_of_n']['mean']:.4g}"
        console.print(
            f"by calls: the best {best['items']:,} of the {summary['oracle_calls']:,} texts scored have reward "
            f"{best['reward']:.4g}{f'; {other}' if best['per_call'] else ''}"
        )
