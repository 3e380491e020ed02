"""What a run folder says of its run, while it goes on and after."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from seqtutor.config import NO_LIMIT
from seqtutor.errors import UserError, plain
from seqtutor.files import read_json, read_toml
from seqtutor.runs.budget import limits
from seqtutor.runs.folder import checked_run, owner, whole_rows
from seqtutor.runs.report.figures import duration

RECENT = 20  # updates that the time left is reckoned from
Lines = list[tuple[str, str]]


def status_of(folder: Path) -> Lines:
    """Labels and texts, one a line, without what would steer a terminal. Raises UserError where there is no run."""
    config = read_toml(checked_run(folder))
    rows, process = whole_rows(folder / "metrics.csv"), owner(folder)
    done = int(_number(rows[-1].get("update", "0"))) if rows else 0
    updates = int(_number(str(config.get("updates", 0))))
    path = folder / "summary.json"
    summary = read_json(path) if path.is_file() and not process else None
    lines = [
        ("doing", _doing(process, summary, done, updates)),
        ("update", f"{done:,} of {updates:,}" if updates < NO_LIMIT else f"{done:,}"),
        ("since", _since(folder / "config.toml")),
    ]
    if rows:
        lines.append(("last update", _since(folder / "metrics.csv")))
        lines.append(("reward", f"{rows[-1].get('reward', '')}, KL {rows[-1].get('kl_per_token', '')} nats per token"))
        calls, budget = rows[-1].get("oracle_calls", "0"), config.get("oracle_calls")
        lines.append(("oracle calls", f"{calls} of {budget}" if budget else calls))
    if process:
        lines.append(("time left", _left(rows, config)))
    failures = whole_rows(folder / "failures.csv")
    if failures:
        term, text, reason = (failures[-1].get(key, "") for key in ("term", "text", "reason"))
        lines.append(("failures", f"{len(failures):,}; the last: {term} of '{text}': {reason}"))
    return [(label, plain(text)) for label, text in lines]


def _doing(process: int | None, summary: Mapping[str, object] | None, done: int, updates: int) -> str:
    if process:
        return f"process {process} {'writes the final table' if done >= updates else 'is tuning'}"
    if summary is None:
        return "stopped before its end; go on with --resume"
    if (told := summary.get("updates", done)) != done:  # it was resumed, and stopped once more
        return f"stopped before its end; go on with --resume; report.html is of update {told}"
    if summary.get("interrupted") is True:
        ended = "stopped early; go on with --resume"
    else:
        ended = "finished" if summary.get("went_back") is None else "ended by an alarm"
    return f"{ended}: the page is report.html"


def _since(path: Path) -> str:
    then = path.stat().st_mtime
    return f"{datetime.fromtimestamp(then):%Y-%m-%d %H:%M:%S}, {duration(max(0.0, time.time() - then))} ago"


def _left(rows: list[dict[str, str]], config: Mapping[str, object]) -> str:
    """The time to the first of the limits, at the pace of the last updates."""
    first, last = rows[-RECENT - 1 :][0] if rows else {}, rows[-1] if rows else {}
    wholes = limits(*(_number(str(config.get(key, 0))) for key in ("updates", "minutes", "oracle_calls")))
    left = []
    for column, whole in wholes.items():
        took, came = (_number(last.get(name, "0")) - _number(first.get(name, "0")) for name in ("seconds", column))
        if came > 0:
            left.append(max(0.0, whole - _number(last.get(column, "0"))) * took / came)
    return f"about {duration(min(left))}, and the final table" if left else "not known yet"


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"'{text[:40]}' stands where a number belongs")
    return number
