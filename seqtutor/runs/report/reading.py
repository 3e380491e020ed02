"""What a run folder holds, read back for the page: nothing here judges, nothing here draws."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from seqtutor.arrays import Values
from seqtutor.domain import Better
from seqtutor.errors import UserError
from seqtutor.files import read_json, read_text
from seqtutor.objectives.optimum import UNKNOWN, Estimate
from seqtutor.records.recorded import sentences
from seqtutor.runs.folder import checked_run, whole_rows
from seqtutor.term import Parts

TERM, SCORE = "term.", "score."  # columns of what a term said, and of that transformed
HELD_OUT = "held_out."
LARGEST = 1e100  # what lies beyond it is no figure that a run can have logged, and would overflow in a chart
SIDES = get_args(Better)
NEEDED = ("update", "reward", "kl", "kl_per_token")  # columns of `metrics.csv` that a page is made of
SAMPLE = ("number", "model", "text", "reward", "file")  # and of `samples.csv`


@dataclass(frozen=True)
class Figure:
    """One row of the before/after table: the reward, a term of it or a measure of the field."""

    name: str
    better: str  # one of SIDES
    prior: Estimate
    best_of_n: Estimate
    policy: Estimate
    percent: bool = False
    summary: str = ""
    weight: float | None = None  # of a term
    reference: float | None = None  # what real items have
    reference_halfwidth: float = math.nan  # NaN: that is not known
    kept: Estimate = UNKNOWN  # of all samples, each by what it is worth of the optimum

    @property
    def after(self) -> Estimate:
        """What is judged: what the run hands over, or the policy itself where nothing was kept."""
        return self.kept if math.isfinite(self.kept.mean) else self.policy

    @property
    def of_policy(self) -> Figure:
        """The same figure without what was kept, so that the policy itself is judged."""
        return replace(self, kept=UNKNOWN)


@dataclass(frozen=True)
class Against:
    """How far the policy is from the optimum; see `seqtutor.objectives.optimum`."""

    temperature: float
    gap: Estimate  # KL(pi || pi*), nats a sequence
    share: float  # of the reward that the frontier gains at the policy's KL
    frontier: tuple[tuple[float, float], ...]  # KL, reward of pi* at ever smaller c
    best_of: tuple[tuple[int, float, float], ...]  # n, KL at most, reward


@dataclass(frozen=True)
class Distribution:
    """The histograms of one figure of single items; see `seqtutor.runs.distributions`."""

    name: str
    of_term: bool  # of the reward or a term of it, not of a measure
    low: float
    width: float  # of a bin
    shares: dict[str, tuple[float, ...]]  # of "prior", "policy" and "real"
    means: dict[str, float]  # by group, of these values: those of items; empty where an older run did not say
    pull: tuple[str, float] | None  # the term whose pay goes with it in the prior's samples, and their correlation


@dataclass(frozen=True)
class Kept:
    """The items that were kept of both models' samples by the law of the optimum."""

    items: int
    of_prior: int | None  # of them, how many the prior wrote; None: the run is of a version that asked the policy alone
    draws: int
    effective: float  # samples of the optimum that the draws are worth
    kl: float  # of the optimum to the prior, nats a sequence
    reward: float  # of the optimum
    temperature: float  # c of that optimum; the run's, or a higher one where its samples can tell no more


@dataclass(frozen=True)
class Summary:
    """`summary.json`: what the run came to."""

    updates: int
    seconds: float
    oracle_calls: int
    samples: int
    best_of: int
    interrupted: bool
    kl_sequence: float  # KL(policy || prior), nats
    kl_token: float
    best_of_kl: float  # an upper bound, nats per sequence
    reward: Figure
    terms: tuple[Figure, ...]
    measures: tuple[Figure, ...]
    optimum: Against | None  # None: the run learnt from a record
    best_scored: tuple[int, float, bool]  # the best 1/n of the scored texts: how many, their reward, best of n as dear
    record: tuple[str, ...] = ()  # what is to be said of the record that a run learnt from, a line each
    foreseen: tuple[str, ...] = ()  # what stands behind each term that a table, or votes, foresee
    spread: tuple[Distribution, ...] = ()
    kept: Kept | None = None  # None: the files are of the policy as it writes
    went_back: int | None = None  # the update whose policy the run ended with, where an alarm ended it

    @property
    def rival(self) -> tuple[int, float, float] | None:
        """What choosing gives that goes about as far from the prior as what the run hands over: the best of how many
        draws, KL at most, reward. None where that is not known, or not fewer than the draws of the table.
        """
        reached = self.kept.kl if self.kept else self.kl_sequence
        known = [row for row in (self.optimum.best_of if self.optimum else ()) if row[1] > 0]
        if not (reached > 0 and known):
            return None
        nearest = min(known, key=lambda row: abs(math.log(row[1] / reached)))
        return nearest if nearest[0] < self.best_of else None


@dataclass(frozen=True)
class Sample:
    """One row of `samples.csv`; an empty text was no item of the domain."""

    number: int
    model: str
    text: str
    reward: float
    terms: dict[str, float]
    file: int  # its place among the files in `samples/`, counted from 1; 0: it has none


@dataclass(frozen=True)
class RunContents:
    """A run folder, read."""

    folder: Path
    config: dict[str, Any]
    config_text: str
    metrics: dict[str, Values]  # column -> (updates,) float64, NaN where a cell is empty
    summary: Summary | None  # None: the run was killed before it could write one
    samples: tuple[Sample, ...]
    alarms: tuple[str, ...] = ()  # what the run warned of, one line each
    credit: Mapping[str, Mapping[str, Parts]] = field(default_factory=dict)  # see `seqtutor.runs.explaining.credit`


def read(folder: Path) -> RunContents:
    """A run folder. Raises UserError where it is none, or where a file of it cannot be read."""
    try:
        run = _read(folder)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
        raise UserError(f"cannot read the run folder '{folder}': {type(error).__name__}: {error}") from error
    missing = [name for name in NEEDED if run.metrics and name not in run.metrics]
    if missing:
        raise UserError(f"'{folder / 'metrics.csv'}' has no column {missing[0]}")
    if run.metrics and not np.isfinite(run.metrics["update"]).all():
        raise UserError(f"'{folder / 'metrics.csv'}' has a row whose update is no number")
    return run


def _read(folder: Path) -> RunContents:
    config, path = checked_run(folder), folder / "metrics.csv"
    text, logged = read_text(config), whole_rows(path)
    summary, samples = folder / "summary.json", folder / "samples.csv"
    try:
        keys = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"'{config}' is not valid TOML: {error}") from error
    return RunContents(
        folder=folder,
        config=keys,
        config_text=text,
        metrics={name: np.array([_number(row[name], path) for row in logged]) for name in (logged or [{}])[0]},
        summary=read_summary(summary) if summary.is_file() else None,
        samples=tuple(_sample(row, samples) for row in whole_rows(samples, SAMPLE)),
        alarms=tuple(row["message"] for row in whole_rows(folder / "alarms.csv", ["message"])),
        credit=_credit(folder / "credit.json"),
    )


def _credit(path: Path) -> dict[str, dict[str, Parts]]:
    """What each text's tokens were worth; of a file that no run has written what can be a number."""
    raw: dict[str, dict[str, Any]] = read_json(path) if path.is_file() else {}
    return {text: {name: _parts(parts) for name, parts in told.items()} for text, told in raw.items()}


def _parts(raw: Any) -> Parts:
    if isinstance(raw, dict):
        return {name: _float(value) for name, value in raw.items()}
    numbers = [_float(value) for value in raw]
    return numbers if all(map(math.isfinite, numbers)) else []


def _number(cell: str, path: Path) -> float:
    try:
        return _float(float(cell)) if cell else math.nan
    except ValueError as error:
        raise UserError(f"'{path}' holds '{cell}' where a number belongs") from error


def _sample(row: dict[str, str], path: Path) -> Sample:
    return Sample(
        number=int(_number(row["number"], path)),
        model=row["model"],
        text=row["text"],
        reward=_number(row["reward"], path),
        terms={key.removeprefix(TERM): _number(row[key], path) for key in row if key.startswith(TERM)},
        file=_count(int(_number(row["file"] or "0", path))),
    )


def read_summary(path: Path) -> Summary:
    """A `summary.json`. Raises UserError where it lacks a key."""
    try:
        return parse(read_json(path))
    except KeyError as error:
        raise UserError(f"'{path}' lacks the key {error}") from error


def parse(raw: dict[str, Any]) -> Summary:
    """What `summary.json` holds."""
    return Summary(
        updates=_count(raw["updates"]),
        seconds=_float(raw["seconds"]),
        oracle_calls=_count(raw["oracle_calls"]),
        samples=_count(raw["samples"]),
        best_of=_count(raw["best_of"]),
        interrupted=bool(raw["interrupted"]),
        kl_sequence=_float(raw["kl"]["sequence"]),
        kl_token=_float(raw["kl"]["token"]),
        best_of_kl=_float(raw["best_of_kl"]),
        reward=_figure(raw["reward"] | {"name": "reward"}, "higher"),
        terms=tuple(_figure(term, term["better"]) for term in raw["terms"]),
        measures=tuple(_figure(measure, measure["better"]) for measure in raw["measures"]),
        optimum=_against(raw["optimum"]) if "optimum" in raw else None,
        best_scored=(
            _count(raw["best_scored"]["items"]),
            _float(raw["best_scored"]["reward"]),
            raw["best_scored"].get("per_call", True) is True,
        ),
        record=tuple(sentences(raw["record"])) if "record" in raw else (),
        foreseen=tuple(map(str, raw.get("foreseen", ()))),
        spread=tuple(_distribution(figure) for figure in raw.get("spread", ())),
        kept=_kept(raw["kept"]) if "kept" in raw else None,
        went_back=None if raw.get("went_back") is None else _count(raw["went_back"]),
    )


def _against(raw: dict[str, Any]) -> Against:
    return Against(
        temperature=_float(raw["temperature"]),
        gap=_estimate(raw["gap"]),
        share=_float(raw["share"]),
        frontier=tuple((_float(kl), _float(reward)) for kl, reward in raw["frontier"]),
        best_of=tuple((_count(n), _float(kl), _float(reward)) for n, kl, reward in raw["best_of"]),
    )


def _distribution(raw: dict[str, Any]) -> Distribution:
    pull = raw.get("pull")
    return Distribution(
        name=str(raw["name"]),
        of_term=raw["kind"] == "term",
        low=_float(raw["low"]),
        width=_float(raw["width"]),
        shares={str(group): tuple(_float(share) for share in shares) for group, shares in raw["shares"].items()},
        means={str(group): _float(mean) for group, mean in raw.get("means", {}).items()},
        pull=None if pull is None else (str(pull["term"]), _float(pull["correlation"])),
    )


def _kept(raw: dict[str, Any]) -> Kept:
    figures = (_float(raw.get(key)) for key in ("effective", "kl", "reward", "temperature"))
    of_prior = _count(raw["of_prior"]) if "of_prior" in raw else None
    return Kept(_count(raw["items"]), of_prior, _count(raw["draws"]), *figures)


def _figure(raw: dict[str, Any], better: str) -> Figure:
    if better not in SIDES:
        raise ValueError(f"{better!r} is none of {', '.join(SIDES)}")
    return Figure(
        name=str(raw["name"]),
        better=better,
        prior=_estimate(raw["prior"]),
        best_of_n=_estimate(raw["best_of_n"]),
        policy=_estimate(raw["policy"]),
        kept=_estimate(raw.get("kept", {})),
        percent=bool(raw.get("percent", False)),
        summary=str(raw.get("summary", "")),
        weight=None if raw.get("weight") is None else _float(raw["weight"]),
        reference=None if raw.get("reference") is None else _float(raw["reference"]),
        reference_halfwidth=_halfwidth(raw.get("reference_halfwidth")),
    )


def _estimate(raw: dict[str, Any]) -> Estimate:
    return Estimate(_float(raw.get("mean")), _halfwidth(raw.get("halfwidth")))


def _halfwidth(value: float | None) -> float:
    halfwidth = _float(value)
    return halfwidth if halfwidth >= 0 else math.nan


def _float(value: float | None) -> float:
    """A figure; NaN where it is none or impossibly large."""
    number = math.nan if value is None else float(value)
    return number if abs(number) < LARGEST else math.nan


def _count(value: int) -> int:
    if type(value) is not int or not 0 <= value < LARGEST:
        raise ValueError(f"{value!r} stands where a count belongs")
    return value
