"""The page a run leaves behind: one HTML file that opens offline."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import math
import re
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

import jinja2
from markupsafe import Markup

from seqtutor.config import MADE_BY, STAGES
from seqtutor.domain import Domain
from seqtutor.errors import UserError, shortened
from seqtutor.plugin.complaints import complaints
from seqtutor.rewards.terms import SOURCES
from seqtutor.runs.explaining import PAID, WANTED
from seqtutor.runs.folder import BEST, best_rows, whole_rows
from seqtutor.runs.report import charts, figures
from seqtutor.runs.report.charts import Chart
from seqtutor.runs.report.histograms import drifts, histograms, holding
from seqtutor.runs.report.hits import read_hits
from seqtutor.runs.report.reading import HELD_OUT, TERM, RunContents, Sample, read
from seqtutor.runs.report.svg import clean, picture_of
from seqtutor.term import Parts

__all__ = ["render"]

SAMPLES = 6  # of each model
WRITERS = {"prior": "prior", "policy": "tuned"}  # what a sample is called by who wrote it
TOLD = {
    PAID: "Blue: paid; orange: charged; grey: neither.",
    WANTED: "What the tuned model wants beyond the prior: blue more, orange less.",
}
CARDS = 4  # figures in the headline, better and worse alike
# Logged columns that explain a run to its maker.
FURTHER = ("valid", "distinct", "entropy", "largest_family", "in_corpus", "commonest", "length", "loss", "temperature")
TASTED = ("sd.", "agreement.")  # of each term that is a taste: its doubt, and how far its members agree


@dataclass(frozen=True)
class ShownSample:
    """One sample to look at; `picture` is empty for one that was no item of the domain, or could not be drawn."""

    title: str
    text: str
    caption: str
    picture: Markup
    notation: Markup  # a second picture, where the domain writes its items down
    problem: str  # why an item has no picture or notation, "" where it has them or is none
    notes: str  # JSON for the player, "" where nothing sounds
    reward: str
    terms: list[tuple[str, str]]
    drawings: list[tuple[str, Markup]]  # by what each part was worth to whom, and a line on each
    made_of: list[tuple[str, list[tuple[str, str]]]]  # of a term: the names of its parts, and their figures
    files: list[str]  # its own, from the run's folder


def render(folder: Path, domain: Domain) -> str:
    """The page of a run folder, complete in itself. Raises UserError where the folder holds no run."""
    run = read(folder)
    made_by = run.config.get(MADE_BY)
    return _template().render(
        run=run,
        summary=run.summary,
        domain=domain,
        samples=_samples(run, domain),
        hits=read_hits(run, domain),
        drifts=drifts(run.summary) if run.summary else [],
        holding=holding(run.summary, folder / "config.toml") if run.summary and not run.summary.record else "",
        histograms=histograms(run.summary) if run.summary else {"first": []},
        complaints=complaints(domain),
        failures=_failures(folder),
        command=f"seqtutor train --config {shlex.quote(str(folder / 'config.toml'))}",
        resume=f"seqtutor train --resume {shlex.quote(str(folder))}",
        stages=str(made_by.get(STAGES, "")) if isinstance(made_by, Mapping) else "",  # what resumes have changed
        more=f"seqtutor generate {shlex.quote(str(folder))}/ --draws {run.summary.best_of if run.summary else 0}",
        **_story(run),
        **_charts(run, domain),
    )


def _failures(folder: Path) -> str:
    """How often a text could not be scored, and why the last one could not; empty where all could."""
    rows = whole_rows(folder / "failures.csv")
    if not rows:
        return ""
    last = " ".join(shortened(str(rows[-1].get(key)), 120) for key in ("term", "reason"))
    return f"{len(rows):,} time{'s' if len(rows) > 1 else ''}, the last: {last}"


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("seqtutor.runs.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {f.__name__: f for f in (figures.number, figures.duration, figures.estimate, figures.real)}
    environment.filters |= {f.__name__: f for f in (figures.before_after, figures.verdict, figures.words)}
    environment.filters["heading"] = _title
    script = _asset("page.js") + _asset("hits.js")
    environment.globals |= {"style": _asset("page.css"), "script": script, "policy": _policy(script), "exp": math.exp}
    return environment.get_template("page.html.jinja")


def _asset(name: str) -> Markup:
    """A file of this package, put into the page as it stands."""
    return Markup(files("seqtutor.runs.report").joinpath(name).read_text(encoding="utf-8"))  # noqa: S704


def _policy(script: str) -> Markup:
    """What a browser may do for the page: run its own script, known by its digest, and fetch nothing."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return Markup(  # noqa: S704 (a constant and a digest)
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"script-src 'sha256-{digest}'"
    )


def _story(run: RunContents) -> dict[str, object]:
    """The headline and the table. Terms that the user's profile has made, and not only turned, are judged, too."""
    summary, tables = run.summary, run.config.get("terms")
    if summary is None:
        nothing: dict[str, object] = {"better": [], "worse": [], "hidden": 0, "table": [], "real": False}
        return {"headline": "This run did not reach its end", "astray": "", "behind": "", **nothing}
    made = {"kind", "session", *SOURCES}
    own = {name for name, table in tables.items() if made & set(table)} if isinstance(tables, Mapping) else set()
    asked = tuple(term for term in summary.terms if term.name in own and term.better != "neither")
    # A domain without measures is judged by its reward and its terms.
    judged = (*asked, *summary.measures) if summary.measures else (summary.reward, *summary.terms)
    verdicts = figures.judge(judged)
    return {
        "headline": figures.headline(verdicts),
        "astray": figures.astray(judged),
        "behind": figures.behind(summary),
        "better": verdicts.better[:CARDS],
        "worse": verdicts.worse[:CARDS],
        "hidden": max(len(verdicts.worse) - CARDS, 0),
        "real": any(figure.reference is not None for figure in summary.measures),
        "table": [
            ("What the model is paid for", [summary.reward]),
            ("Measures of the field", summary.measures),
            ("Terms of the reward", summary.terms),
        ],
    }


def _title(name: str) -> str:
    return (name[:1].upper() + name[1:]).replace("_", " ") if name.islower() else name  # pIC50 is called so


def _samples(run: RunContents, domain: Domain) -> dict[str, object]:
    """What stands side by side: the prior's first, the first of the run's files, then the tuned model's best."""
    ordered = sorted(run.samples, key=lambda sample: sample.number)
    prior = [s for s in ordered if s.model == "prior"]
    policy = [s for s in ordered if s.model == "policy"]
    filed = sorted((s for s in [*policy, *prior] if s.file), key=lambda s: s.file)
    names, best = _files(run.folder / "samples"), _files(run.folder / "best")
    before = [_shown(s, domain, "prior", run, names) for s in prior[:SAMPLES]]
    first = filed if run.summary and run.summary.kept else policy
    after = [_shown(s, domain, WRITERS[s.model], run, names) for s in first[:SAMPLES]]
    best_of = [s.text for s in policy], [s.reward for s in policy]
    chosen = [
        replace(_shown(s, domain, "best", run, {}), files=best.get(place, names.get(s.file, [])))
        for place, s in enumerate((policy[i] for i in best_rows(*best_of, BEST)), start=1)
    ]
    shown = [*before, *after, *chosen]
    return {
        "before": before,
        "after": after,
        "best": chosen,
        "wide": any(_aspect(item.picture) > 1.8 for item in shown if item.picture),  # it needs a whole column
        "playable": any(item.notes for item in shown),
    }


def _files(folder: Path) -> dict[int, list[str]]:
    """The files of a folder, from that of the run, by their number, which is their place."""
    found: dict[int, list[str]] = {}
    for path in sorted(folder.glob("*")):
        if path.stem.isdecimal():
            found.setdefault(int(path.stem), []).append(f"{folder.name}/{path.name}")
    return found


def _shown(sample: Sample, domain: Domain, model: str, run: RunContents, files: Mapping[int, list[str]]) -> ShownSample:
    text = sample.text
    picture, problem = picture_of(text, domain)
    notation, unwritten = picture_of(text, domain, "notation") if picture else (Markup(), "")
    caption, sounds = _told(text, domain)
    credit = run.credit.get(text, {})
    notes = [[round(start, 3), round(length, 3), pitch] for start, length, pitch in sounds]
    return ShownSample(
        title=f"{model} {sample.number}",
        text=text,
        caption=caption,
        picture=picture,
        notation=notation,
        problem=problem or unwritten,
        notes=json.dumps(notes, separators=(",", ":")) if notes else "",
        reward=figures.number(sample.reward),
        terms=[(name, figures.number(value)) for name, value in sample.terms.items()],
        drawings=_drawings(text, domain, credit) if picture else [],
        made_of=[(name, _listed(parts)) for name, parts in credit.items() if isinstance(parts, Mapping)],
        files=files.get(sample.file, []),
    )


def _listed(parts: Mapping[str, float]) -> list[tuple[str, str]]:
    return [(name, figures.number(value)) for name, value in parts.items()]


def _drawings(text: str, domain: Domain, credit: Mapping[str, Parts]) -> list[tuple[str, Markup]]:
    """The picture by what each token was worth to whom, with a line on each, where the domain colours it."""
    found = []
    for name, worth in credit.items():
        if isinstance(worth, Mapping) or not domain.offers("coloured"):
            continue
        with suppress(UserError, ValueError):  # as `picture_of`, or somebody else's credit.json
            picture = clean(domain.coloured(text, worth))[0] if len(worth) == len(domain.encode(text)) else ""
            told = TOLD.get(name, f"What {name} is made of: blue adds, orange takes away.")
            found += [(told, Markup(picture))] if picture else []  # noqa: S704 (cleaned)
    return found


def _told(text: str, domain: Domain) -> tuple[str, list[tuple[float, float, int]]]:
    """Caption and notes; the text and silence where the domain has none for it."""
    try:
        return (domain.caption(text), domain.notes(text)) if text else ("", [])
    except (UserError, ValueError):
        return text, []


def _aspect(picture: str) -> float:
    """Width by height of an SVG, from its viewBox; 1 where it has none."""
    box = re.search(r"""viewBox=["']\s*[-\d.]+[\s,]+[-\d.]+[\s,]+([\d.]+)[\s,]+([\d.]+)""", picture)
    return float(box[1]) / float(box[2]) if box else 1.0


def _charts(run: RunContents, domain: Domain) -> dict[str, object]:
    metrics = run.metrics
    further = [*(name for name in FURTHER if name in metrics), *(name for name in metrics if name.startswith(TASTED))]
    return {
        "main": [_main_chart(run), _column(run, "kl_per_token", "KL per token, in nats")] if metrics else [],
        "terms": [_term_chart(run, name, domain) for name in metrics if name.startswith((TERM, HELD_OUT))],
        "further": [_column(run, name, _title(name), charts.SMALL) for name in further],
        "frontier": charts.frontier(metrics, run.summary),
        "window": charts.window(len(metrics["update"])) if metrics else 0,
    }


def _main_chart(run: RunContents) -> Chart:
    """The reward; for a run that learnt from a record what its held-out lines say."""
    if "explained" in run.metrics:
        return _column(run, "explained", "Share of the held-out reward's variance that is explained")
    reward = run.summary.reward if run.summary else None
    levels = {"prior": reward.prior.mean, "best": reward.best_of_n.mean} if reward else {}
    return charts.curve("Reward", run.metrics["reward"], run.metrics["update"], levels, size=charts.WIDE)


def _column(run: RunContents, name: str, title: str, size: charts.Size = charts.WIDE) -> Chart:
    return charts.curve(title, run.metrics[name], run.metrics["update"], {}, size=size)


def _term_chart(run: RunContents, column: str, domain: Domain) -> Chart:
    held_out = column.startswith(HELD_OUT)
    name = column.removeprefix(HELD_OUT if held_out else TERM)
    figure = next((f for f in run.summary.terms if f.name == name), None) if run.summary else None
    note = next((term.summary for term in domain.terms() if term.name == name), "")
    levels = {"prior": figure.prior.mean if figure else math.nan}
    title = f"{name} (held out)" if held_out else name
    return charts.curve(title, run.metrics[column], run.metrics["update"], levels, note)
