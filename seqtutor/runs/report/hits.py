"""The best of all that a run scored: the rows that the page sorts, filters and hands over, and their families."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from seqtutor.domain import Domain
from seqtutor.errors import UserError
from seqtutor.files import read_text
from seqtutor.runs.folder import figure_of, whole_rows
from seqtutor.runs.report.figures import number
from seqtutor.runs.report.reading import SCORE, TERM, RunContents
from seqtutor.runs.report.svg import picture_of

MOST = 2000  # rows that a page carries
PICTURES = 100  # of them that are drawn
FAMILIES = 12  # that are named

Row = dict[str, str | None]


@dataclass(frozen=True)
class Hit:
    """One item of the chosen."""

    place: int  # in the rows of the page
    text: str
    reward: str
    picture: Markup  # empty where it could not be drawn


@dataclass(frozen=True)
class Hits:
    """What a run chose from all that it scored, and, for the page's script, that and the best of the others."""

    chosen: list[Hit]
    scored: int
    failed: int  # of these could not be scored
    filtered: bool  # there is a filter
    passed: int
    families: list[tuple[str, int]]  # of all that passed, the largest first
    different: int  # families of all that passed
    data: dict[str, object]  # columns, those of which less is better, rows of text, family and values, entries of files
    files: list[str]  # in `hits/`


def read_hits(run: RunContents, domain: Domain) -> Hits | None:
    """The hits of a run; None where it has none. Raises UserError where its tables are not those of a run."""
    folder, terms, tables = run.folder, run.summary.terms if run.summary else (), run.config.get("terms")
    outside = tables.values() if isinstance(tables, Mapping) else ()
    filtered = any(isinstance(table, Mapping) and table.get("filter") is True for table in outside)
    try:
        return _read_hits(folder, domain, {term.name for term in terms if term.better == "lower"}, filtered=filtered)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"cannot read the hits of '{folder}': its tables lack {error}") from error


def _read_hits(folder: Path, domain: Domain, lower: Collection[str], *, filtered: bool) -> Hits | None:
    chosen = whole_rows(folder / "hits" / "hits.csv")
    if not chosen:
        return None
    scored = whole_rows(folder / "scored.csv")
    rewarded = [row for row in scored if math.isfinite(figure_of(row["reward"]))]
    passed = [row for row in rewarded if not row["failed_filter"]]
    taken = {row["text"] for row in chosen}
    others = sorted((row for row in passed if row["text"] not in taken), key=lambda row: -figure_of(row["reward"]))
    raw = {key: key.removeprefix(TERM) for key in chosen[0] if key.startswith(TERM)}
    scores = {key: f"{key.removeprefix(SCORE)} (score)" for key in chosen[0] if key.startswith(SCORE)}
    columns = {"reward": "reward", **raw, **scores}  # those of figures, and what they are called
    data: list[list[str | float | None]] = []
    for row in [*chosen, *others][:MOST]:
        values = [figure_of(row[key]) for key in columns]
        data.append([row["text"], row["family"], *(v if math.isfinite(v) else None for v in values)])
    families = Counter(row["family"] for row in passed if row["family"])
    return Hits(
        chosen=[
            Hit(place, row["text"], number(figure_of(row["reward"])), picture_of(row["text"], domain)[0])
            for place, row in enumerate(chosen[:PICTURES])
        ],
        scored=len(scored),
        failed=len(scored) - len(rewarded),
        filtered=filtered or len(passed) < len(rewarded),
        passed=len(passed),
        families=families.most_common(FAMILIES),
        different=len(families),
        data={
            "columns": list(columns.values()),
            "lower": [name for key, name in columns.items() if key.removeprefix(TERM) in lower],
            "rows": data,
            "entries": _entries(folder / "hits", domain, len(chosen)),
        },
        files=sorted(path.name for path in (folder / "hits").iterdir() if path.is_file()),
    )


def _entries(folder: Path, domain: Domain, count: int) -> dict[str, list[str]]:
    """What each of `count` chosen items is in a file that holds one after another, by suffix; not where none fits."""
    found = {}
    for suffix, end in domain.joined.items():
        for path in sorted(folder.glob(f"*{suffix}")):
            parts = [part + end for part in read_text(path).split(end)[:-1]]
            if len(parts) == count:
                found[suffix] = parts
    return found
