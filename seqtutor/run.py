"""The run folder: the only module that writes to one, and the one that opens it again."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from seqtutor.alarms import Alarm
from seqtutor.config import PretrainConfig, TrainConfig, build, read_toml, to_toml
from seqtutor.domain import Domain, load
from seqtutor.errors import UserError
from seqtutor.model import Model
from seqtutor.scoring import Scores
from seqtutor.weights import load_model, save_model, write_atomically


class Run:
    """One folder of a training run, open for writing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save_config(self, config: PretrainConfig | TrainConfig) -> None:
        """Write `config.toml`, complete: the run can be repeated from it alone."""
        write_atomically(self.folder / "config.toml", to_toml(config).encode())

    def log(self, row: Mapping[str, float]) -> None:
        """Append one update to `metrics.csv`; the first row names the columns."""
        path = self.folder / "metrics.csv"
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(row)
            writer.writerow([_figure(value) for value in row.values()])

    def keep_metrics(self, updates: int) -> None:
        """Drop the rows of `metrics.csv` after the first `updates`: those that a resumed run will make again."""
        path = self.folder / "metrics.csv"
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            write_atomically(path, "".join(lines[: updates + 1]).encode())

    def save_policy(self, policy: Model, config: TrainConfig) -> None:
        """Write `policy.safetensors` and `policy.json`."""
        save_model(policy, self.folder, "policy", domain=config.domain, options=dict(config.options))

    def save_samples(self, domain: Domain, policy: Scores, prior: Scores) -> None:
        """Write `samples.csv` (both models, every term) and the files of the field, of the policy's valid samples."""
        write_samples(self.folder / "samples.csv", {"policy": policy, "prior": prior})
        domain.write([text for text in policy.texts if text is not None][:FILES], self.folder / "samples")

    def save_failures(self, failures: Sequence[tuple[str, str]]) -> None:
        """Write `failures.csv`: each text that a term could not score."""
        if failures:
            with (self.folder / "failures.csv").open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([("term", "text"), *failures])

    def save_alarms(self, alarms: Sequence[Alarm]) -> None:
        """Write `alarms.csv`: what the run warned of; no file where it never did."""
        if alarms:
            with (self.folder / "alarms.csv").open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([ALARM_COLUMNS, *(dataclasses.astuple(alarm) for alarm in alarms)])

    def save_summary(self, summary: Mapping[str, Any]) -> None:
        """Write `summary.json`; what is not a number becomes null."""
        write_atomically(self.folder / "summary.json", (json.dumps(_jsonable(summary), indent=1) + "\n").encode())

    def save_page(self, html: str) -> Path:
        """Write `report.html`."""
        write_atomically(self.folder / "report.html", html.encode())
        return self.folder / "report.html"


ALARM_COLUMNS = tuple(f.name for f in dataclasses.fields(Alarm))
FILES = 100  # items that a run writes as files of the field


def new_folder(output: str, kind: str) -> Path:
    """Make the folder `output`, or by default `outputs/<kind>-<time>`. Raises UserError where it cannot be made."""
    folder = Path(output or f"outputs/{kind}-{datetime.now():%Y%m%d-%H%M%S}")
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"{folder} exists and is not empty; name another with --output, or remove it")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".writable").touch()
        (folder / ".writable").unlink()
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}; name another folder with --output") from error
    return folder


def open_run(folder: Path) -> tuple[TrainConfig, Domain]:
    """The config and the domain of a run folder."""
    path = folder / "config.toml"
    if not path.is_file():
        raise UserError(f"{folder} is no run folder: it has no config.toml")
    config = build(TrainConfig, read_toml(path), str(path))
    return config, load(config.domain, config.options)


def load_policy(folder: Path, *, device: str = "cpu") -> Model:
    """The tuned policy of a run folder."""
    return load_model(folder, "policy", device=device)


def write_samples(path: Path, groups: Mapping[str, Scores]) -> None:
    """One row a sample: its number, its model, its text (empty: no item), its reward, the raw value of every term."""
    names = list(next(iter(groups.values())).terms)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["number", "model", "text", "reward", *(f"term.{name}" for name in names)])
        for model, scores in groups.items():
            totals = scores.totals
            for i, text in enumerate(scores.texts):
                values = [_figure(scores.terms[name][i]) for name in names]
                writer.writerow([i + 1, model, text or "", _figure(totals[i]), *values])


def _figure(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
