"""The run folder: the only module that writes to one, and the one that opens it again."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from seqtutor.arrays import Ids
from seqtutor.config import PretrainConfig, TrainConfig, build, changed, to_toml
from seqtutor.domain import Domain, available, load
from seqtutor.errors import UserError, differences, unknown
from seqtutor.files import (
    NO_LINK,
    append,
    check_tree,
    csv_text,
    from_home,
    opened,
    read_table,
    read_toml,
    write_atomically,
    write_csv,
)
from seqtutor.plugin.complaints import written
from seqtutor.priors.files import save_model
from seqtutor.priors.model import Model
from seqtutor.rewards.reward import Scores
from seqtutor.rewards.scorer import News
from seqtutor.runs.alarms import Alarm


class RunFolder:
    """One folder of a training run, open for writing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.columns: tuple[str, ...] = ()  # of metrics.csv

    @property
    def answers(self) -> Path:
        """The file that keeps what every term said of every text, so that nothing is asked twice."""
        return self.folder / "answers.sqlite"

    def save_config(self, config: PretrainConfig | TrainConfig, resolved: Mapping[str, Any] | None = None) -> None:
        """Write `config.toml`, complete, with what is `resolved` in place of what was left open."""
        write_atomically(self.folder / "config.toml", to_toml(config, resolved).encode())

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from writing here while the block runs. The system frees the lock of a dead process."""
        import fcntl  # not on every system

        check_tree(self.folder)
        try:
            number = opened(self.folder / "lock", os.O_RDWR | os.O_CREAT | NO_LINK)
        except OSError as error:
            raise cannot_write(self.folder, error, "go on with a copy of it elsewhere") from error
        with os.fdopen(number, "r+b", buffering=0) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UserError(
                    f"{self.folder} is in use by process {owner(self.folder)}; wait for it, or stop it first"
                ) from None
            file.truncate(0)
            file.write(f"{os.getpid()}\n".encode())
            for part in self.folder.rglob("*.part"):  # of files that a killed process was writing
                if not part.name.startswith("report.html"):  # a page may be in the making by another one
                    part.unlink(missing_ok=True)
            yield

    def log(self, row: Mapping[str, float]) -> None:
        """Append one update to `metrics.csv`; the first row names the columns, newer code may add some."""
        if not row.keys() <= set(self.columns):
            path = self.folder / "metrics.csv"
            header, *rows = read_table(path) or [[]]
            new = [column for column in row if column not in header]
            if header and new:  # what was logged before has empty cells there
                widened = [[*before, *[""] * len(new)] for before in rows if len(before) == len(header)]
                write_csv(path, [[*header, *new], *widened])
            self.columns = (*header, *new)
        self._append("metrics.csv", self.columns, [[figure_text(row.get(name, math.nan)) for name in self.columns]])

    def note(self, update: int, news: News) -> None:
        """Append what the scoring of an update brought to `ledger.csv`, `failures.csv` and `quarantine.csv`."""
        calls = [(number, update, text, figure_text(reward)) for number, text, reward in news.calls]
        self._append("ledger.csv", LEDGER, calls)
        for name, rows in (("failures.csv", news.failures), ("quarantine.csv", news.quarantined)):
            self._append(name, ("update", "term", "text", "reason"), [(update, *row) for row in rows])

    @property
    def ledger(self) -> list[dict[str, str]]:
        """The rows of `ledger.csv`: every text that the oracle was asked about; none where it never was."""
        return whole_rows(self.folder / "ledger.csv", LEDGER)

    def _append(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Add rows in one go, so that who reads meanwhile sees whole ones; a new file begins with the columns."""
        if rows:
            append(self.folder / name, csv_text([columns]), csv_text(rows))

    def keep(self, updates: int) -> None:
        """Drop the rows of every table after the first `updates`: those that a resumed run will make again."""
        for name in TABLES:
            path = self.folder / name
            if path.exists():
                write_csv(path, _until(read_table(path), updates))

    def sync(self) -> None:
        """Let every table survive a power cut as it stands now."""
        for path in (self.folder / name for name in TABLES):
            if path.exists():
                with os.fdopen(opened(path, os.O_RDONLY), "rb") as file:
                    os.fsync(file.fileno())

    def save_policy(self, policy: Model, config: TrainConfig) -> None:
        """Write `policy.safetensors` and `policy.json`."""
        save_model(policy, self.folder, "policy", domain=config.domain, options=dict(config.options))

    def save_samples(self, domain: Domain, policy: Scores, prior: Scores, rows: Ids) -> None:
        """Write `samples.csv` (both models, every term) and the files of the field, of those `rows` of the table."""
        shutil.rmtree(self.folder / "samples", ignore_errors=True)  # of a table before a resume
        write_samples(self.folder / "samples.csv", {"policy": policy, "prior": prior}, rows)
        texts, others = [*policy.texts, *prior.texts], prior.figures
        figures = {name: [*own, *others[name]] for name, own in policy.figures.items()}
        picked = {name: [values[row] for row in rows] for name, values in figures.items()}
        written(domain, [texts[row] or "" for row in rows], self.folder / "samples", picked)

    def save_best(self, domain: Domain, policy: Scores, count: int) -> None:
        """Write the files of the policy's `count` best by reward, each text once, as the page shows them."""
        shutil.rmtree(self.folder / "best", ignore_errors=True)
        if not count:
            return
        rows = best_of(policy, count)
        picked = {name: [values[row] for row in rows] for name, values in policy.figures.items()}
        written(domain, [policy.texts[row] or "" for row in rows], self.folder / "best", picked)

    def save_credit(self, credit: Mapping[str, Any]) -> None:
        """Write `credit.json`: of each text that the page shows, what each of its tokens was worth to whom."""
        write_atomically(self.folder / "credit.json", json.dumps(jsonable(credit)).encode())

    def save_alarms(self, alarms: Sequence[Alarm]) -> None:
        """Write `alarms.csv`: what the run warned of; no file where it never did."""
        if alarms:
            write_csv(self.folder / "alarms.csv", [ALARM_COLUMNS, *map(dataclasses.astuple, alarms)])

    def save_summary(self, summary: Mapping[str, Any]) -> None:
        """Write `summary.json`."""
        write_atomically(self.folder / "summary.json", (json.dumps(jsonable(summary), indent=1) + "\n").encode())

    def save_page(self, html: str) -> Path:
        """Write `report.html`."""
        page, content = self.folder / "report.html", html.encode(errors="replace")  # a path may hold what is no text
        try:
            write_atomically(page, content)
        except OSError as error:
            raise cannot_write(self.folder, error, "copy the run to where there is room") from error
        return page


LEDGER = ("call", "update", "text", "reward")  # columns of ledger.csv
ALARM_COLUMNS = tuple(f.name for f in dataclasses.fields(Alarm))
FILES = 100  # items that a run writes as files of the field
BEST = 6  # of the policy's samples, by reward, that a page shows
TABLES = ("metrics.csv", "ledger.csv", "failures.csv", "quarantine.csv")  # rows are added while a run goes on


def best_of(scores: Scores, count: int) -> list[int]:
    """The rows of the items of highest reward, as the table has it, which a page reads."""
    return best_rows(scores.texts, [figure_of(figure_text(total)) for total in scores.totals], count)


def best_rows(texts: Sequence[str | None], reward: Sequence[float], count: int) -> list[int]:
    """The items of highest reward, each text once: at most `count`."""
    best: dict[str, int] = {}
    for i in sorted((i for i, value in enumerate(reward) if math.isfinite(value)), key=lambda i: -reward[i]):
        if text := texts[i]:
            best.setdefault(text, i)
    return list(best.values())[:count]


def owner(folder: Path) -> int | None:
    """The id of the process that is working on a run folder now; None where none is."""
    import fcntl  # not on every system

    try:
        with os.fdopen(opened(folder / "lock", os.O_RDONLY), "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                said = file.read(20).strip()
                return int(said) if said.isdigit() else 0
    except FileNotFoundError:
        pass
    return None


def whole_rows(path: Path, needed: Sequence[str] = ()) -> list[dict[str, str]]:
    """The rows of a table by column; a row of another length than the first is left out.

    Raises UserError where a `needed` column is missing.
    """
    rows = read_table(path)
    if rows and (missing := [name for name in needed if name not in rows[0]]):
        raise UserError(f"{path} has no column '{missing[0]}': it is not the table that a run wrote")
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:] if len(row) == len(rows[0])]


def _until(rows: list[list[str]], updates: int) -> list[list[str]]:
    """The header of a table and its whole rows whose column `update` is at most `updates`."""
    place = rows[0].index("update") if rows and "update" in rows[0] else 0
    whole = [row for row in rows[1:] if len(row) == len(rows[0]) and row[place].isdecimal() and len(row[place]) < 19]
    return [*rows[:1], *(row for row in whole if int(row[place]) <= updates)]


def new_folder(output: str, kind: str) -> Path:
    """Make the folder `output`, or by default `outputs/<kind>-<time>`. Raises UserError where it cannot be made."""
    folder = from_home(output or f"outputs/{kind}-{datetime.now():%Y%m%d-%H%M%S}")
    try:
        folder = folder if output else _free(folder)
        check_vacant(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".writable").touch()
        (folder / ".writable").unlink()
    except OSError as error:
        raise cannot_write(folder, error, "name another folder with --output") from error
    return folder


def check_vacant(folder: Path) -> None:
    """Raise UserError where a folder has something in it, or is none."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        is_there = "exists and is not empty" if folder.is_dir() else "is a file, and a folder is needed"
        raise UserError(f"{folder} {is_there}; name another with --output, or remove it")


def claimed(path: Path) -> Path:
    """An empty file there, which keeps others out of its folder. Raises UserError where one came first."""
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        raise UserError(f"{path.parent} has just been taken by another command; name another with --output") from None
    return path


def _free(folder: Path) -> Path:
    """Make a folder of that name, or with -2, -3, ... behind it where another run has it already."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for number in range(1, 10_000):
        place = folder if number == 1 else folder.with_name(f"{folder.name}-{number}")
        with suppress(FileExistsError):
            place.mkdir()
            return place
    raise UserError(f"{folder} and {number:,} names like it are taken; name another folder with --output")


def cannot_write(folder: Path, error: OSError, remedy: str) -> UserError:
    """The error for a folder that is read-only, full or gone."""
    return UserError(f"cannot write to {folder}: {error.strerror}; {remedy}")


def as_it_ran(config: TrainConfig, domain: Domain) -> TrainConfig:
    """The config of a run, which names every weight, with 0 for what the domain pays for only since."""
    since = {term.name: 0.0 for term in domain.terms() if term.weight and term.name not in config.term_weights}
    return changed(config, weights={**since, **config.weights}) if since else config


def checked_run(folder: Path) -> Path:
    """The config of a run folder. Raises UserError where it is none, or holds what no run leaves there."""
    path = folder / "config.toml"
    if (folder / "model.safetensors").is_file() and not (folder / "policy.safetensors").is_file():
        raise UserError(f"{folder} is a prior, and no run: a run begins with it, seqtutor train --prior {folder}/")
    if not path.is_file():
        raise UserError(f"{folder} is no run folder: it has no config.toml; give a folder that 'seqtutor train' made")
    check_tree(folder)
    return path


def open_run(folder: Path, domain: Domain | None = None) -> tuple[TrainConfig, Domain]:
    """The config and the domain of a run folder; `domain`: the one of a script, where it is not installed."""
    path = checked_run(folder)
    config = build(TrainConfig, read_toml(path), str(path))
    if domain is None:
        return as_it_ran(config, found := named_in(folder, config.domain, config.options)), found
    ours = {"domain": domain.name, **dataclasses.asdict(domain.options)}
    if (kept := {**ours, "domain": config.domain, **config.options}) != ours:
        old, new = differences(kept, ours)
        raise UserError(f"a run keeps its domain and options: {folder} has {old}, not {new}")
    return as_it_ran(config, domain), domain


def named_in(folder: Path, name: str, options: Mapping[str, Any] | None) -> Domain:
    """The domain that a folder names. Raises UserError where it is not installed."""
    if name not in available():
        raise UserError(f"{folder}: {unknown('domain', name, available())}; a script may give one: domain=MyDomain()")
    return load(name, options)


def write_samples(path: Path, groups: Mapping[str, Scores], files: Ids) -> None:
    """One row a sample: its number, its model, its text (empty: no item), its reward, every term's figures, its file.

    `files`: the rows, of all groups one after the other, that became the files 1, 2, ... in this order.
    """
    names = list(next(iter(groups.values())).columns)
    rows: list[Sequence[Any]] = [["number", "model", "text", "reward", *names, "file"]]
    places = {int(row): place for place, row in enumerate(files, start=1)}
    for model, scores in groups.items():
        totals, columns, before = scores.totals, scores.columns, len(rows) - 1
        for i, text in enumerate(scores.texts):
            values = [figure_text(columns[name][i]) for name in names]
            rows.append([i + 1, model, text or "", figure_text(totals[i]), *values, places.get(before + i, "")])
    write_csv(path, rows)


def figure_of(cell: str | None) -> float:
    """The figure of a cell as `figure_text` wrote it; NaN for any other."""
    try:
        return float(cell or "nan")
    except ValueError:
        return math.nan


def figure_text(value: float) -> str:
    """A figure as a table has it: empty where there is none."""
    if isinstance(value, int):
        return str(value)
    return "" if math.isnan(value) else f"{value:.6g}"


def jsonable(value: Any) -> Any:
    """The same with null for every number that JSON has not."""
    if isinstance(value, Mapping):
        return {key: jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
