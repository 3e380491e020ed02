"""Alarms: the reward rises while something that it does not see falls, or the reward itself falls below the prior's.

Nothing here touches a model or a file: figures of one update after the other go in, warnings come out. What is watched,
and why the limits are where they are: docs/alarms.md.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from seqtutor.arrays import Values
from seqtutor.domain import Domain
from seqtutor.errors import UserError, shortened
from seqtutor.rewards.reward import Scores
from seqtutor.runs.metrics import items_of, largest_family

START = 5  # first updates, nearly the prior's: what the later ones are held against
EARLY = 3  # updates after which a reward that is the same of all is told
WINDOW = 10  # updates that a figure is averaged over
RISE = 0.2  # standard deviations, of single sequences at the start, from which on the reward counts as risen
LEAST = {"valid": 0.8, "distinct": 0.8, "entropy": 0.5}  # of what it was at the start
JOINING = 0.25  # of what is outside the largest family, the corpus or the commonest: the most that may join it
PARTED = 0.5  # of the agreement at the start, that the members of a taste may lose
FALL = 0.5  # standard deviations, of single sequences at the start, that a held-out term, or the reward, may fall
HEALTHY = 0.5  # of the way to a limit: up to here a policy is worth going back to

PAID = "reward."  # what sequences were paid: not the column, which has an alarm of its own
AGREED = "agreement."  # of a taste: how far its members rank the samples alike
HELD, SPREAD = "held_out.", "spread."  # prefixes of columns; the second, of standard deviations, is known here only
CHANGES = {  # column -> what it does when it alarms, and how its values are written
    "reward": ("the reward falls below the prior's,", ".3g"),
    "valid": ("the share of valid samples falls", ".0%"),
    "distinct": ("the share of distinct samples among the valid falls", ".0%"),
    "entropy": ("the entropy in nats per token falls", ".2f"),
    "largest_family": ("the share of the largest family grows", ".0%"),
    "in_corpus": ("the share of samples that copy the corpus grows", ".0%"),
    "commonest": ("the share of the commonest passages grows", ".0%"),
}


@dataclass(frozen=True)
class Alarm:
    """One warning: when, which column of `metrics.csv`, what it says in one line, and the sample that shows it."""

    update: int
    column: str
    message: str
    text: str


@dataclass
class Watch:
    """What has been seen of one run, and which alarms it has raised: each kind once."""

    domain: Domain
    oracles: Sequence[str] = ()  # terms of the user's own, which may be broken
    directions: Mapping[str, int] = field(default_factory=dict)  # by term: -1, less of it is better; 0, neither is
    rows: list[dict[str, float]] = field(default_factory=list)
    ranges: dict[str, list[float]] = field(default_factory=dict)  # lowest and highest that each of these has said
    raised: list[Alarm] = field(default_factory=list)

    def look(self, row: Mapping[str, float], scores: Scores) -> list[Alarm]:
        """Take in one update's figures and what its sequences earned -> the alarms that are new."""
        held = [column for column in row if column.startswith(HELD) and self._direction(column)]
        agreed = [column for column in row if column.startswith(AGREED)]
        watched = ["reward", "valid", "entropy", "largest_family", "in_corpus", "commonest", *held, *agreed]
        figures = {column: row[column] for column in watched if column in row}
        distinct = row["distinct"] / row["valid"] if row["valid"] else np.nan
        self.rows.append(figures | {"distinct": distinct} | _spreads(scores, held))
        new = self._constant(int(row["update"]), scores)
        self.raised += new
        if len(self.rows) < START + WINDOW:
            return new
        said = {alarm.column for alarm in self.raised}
        over = [column for column, strain in self.strains(WINDOW).items() if strain >= 1 and column not in said]
        over = over if self.risen else [column for column in over if column == "reward"]
        gone = [self._alarm(int(row["update"]), column, scores) for column in over]
        self.raised += gone
        return new + gone

    def _constant(self, update: int, scores: Scores) -> list[Alarm]:
        """An alarm, after WINDOW updates, for each oracle that has said the same of every item so far."""
        for name in self.oracles:
            values = scores.terms[name][scores.valid]
            known = [*self.ranges.get(name, []), *values[np.isfinite(values)].tolist()]
            self.ranges[name] = [min(known), max(known)] if known else []
        earned = scores.totals[np.isfinite(scores.totals) & scores.valid]  # what is no item earns the same anyway
        paid = [*self.ranges.get(PAID, []), *earned.tolist()]
        self.ranges[PAID] = [min(paid), max(paid)] if paid else []
        same = [name for name, ends in self.ranges.items() if ends and ends[0] == ends[1]]
        text = next(iter(items_of(scores.texts)), "")
        if PAID in same and len(self.rows) == EARLY:
            why = f"update {update}: the reward of every sequence so far is {paid[0]:g}: nothing can be learnt from it"
            return [Alarm(update, PAID, why + ("; no item passes the filters, perhaps" if not paid[0] else ""), text)]
        return [
            Alarm(
                update,
                f"term.{name}",
                f"update {update}: the term {name} has said {self.ranges[name][0]:g} of every item so far, "
                f"'{shortened(text)}' among them: nothing can be learnt from it",
                text,
            )
            for name in same
            if name != PAID and len(self.rows) == WINDOW
        ]

    @property
    def healthy(self) -> bool:
        """Whether every figure of the last update is less than half-way to its limit."""
        return not any(strain >= HEALTHY for strain in self.strains(1).values())

    @property
    def risen(self) -> bool:
        """Whether the reward has risen by more than chance could make it; where nobody knows it, perhaps."""
        before, now = self._before_and_now(WINDOW)
        if np.isnan(before["reward"]):
            return True
        return now["reward"] > before["reward"] + RISE * before[SPREAD + "reward"]

    def strains(self, window: int) -> dict[str, float]:
        """How far each figure, averaged over the last `window` updates, has gone: 0 at the start, 1 at its limit."""
        before, now = self._before_and_now(window)
        room = {column: self._room(column, before) for column in before if not column.startswith(SPREAD)}
        return {column: (now[column] - before[column]) / allowed for column, allowed in room.items() if allowed}

    def state(self) -> dict[str, Any]:
        """All that it remembers, as JSON takes it."""
        return {
            "rows": self.rows,
            "ranges": self.ranges,
            "raised": [dataclasses.asdict(alarm) for alarm in self.raised],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave. Raises ValueError for rows that no run writes."""
        rows = state["rows"]
        if not all({"reward", SPREAD + "reward", "valid"} <= row.keys() for row in rows):
            raise ValueError("the figures that its alarms watch are not all there")
        if not all(len(ends) in (0, 2) for ends in state["ranges"].values()):
            raise ValueError("the ranges that its alarms watch have two ends")
        self.ranges = dict(state["ranges"])
        self.rows, self.raised = list(state["rows"]), [Alarm(**alarm) for alarm in state["raised"]]

    def begin_anew(self) -> None:
        """Forget the figures, as where the reward is another one from here on; what was raised is not raised again."""
        self.rows, self.ranges = [], {}

    def _before_and_now(self, window: int) -> tuple[dict[str, float], dict[str, float]]:
        """Means over the first updates, and over the last ones."""
        return _means(self.rows[:START]), _means(self.rows[-window:])

    def _direction(self, column: str) -> int:
        """1 where more of a figure is better, -1 where less is, 0 where nobody says so."""
        return self.directions.get(column.removeprefix(HELD), 1) if column.startswith(HELD) else 1

    def _room(self, column: str, before: Mapping[str, float]) -> float:
        """How far a figure may go from where it was before: below 0 where it may fall, above where it may grow."""
        if column == "reward" or column.startswith(HELD):
            return -FALL * before[SPREAD + column] * self._direction(column)
        if column.startswith(AGREED):
            return -PARTED * max(0.0, before[column])  # where they never agreed there is nothing to lose
        if column in LEAST:
            return (LEAST[column] - 1) * before[column]
        return JOINING * (1 - before[column])

    def _alarm(self, update: int, column: str, scores: Scores) -> Alarm:
        before, now = self._before_and_now(WINDOW)
        text = self._sample(column, scores)
        moves = "falls" if self._direction(column) > 0 else "rises"
        held, taste = column.removeprefix(HELD), column.removeprefix(AGREED)
        parted = f"the model of the votes knows less and less what it pays: the agreement of {taste} falls"
        change, unit = CHANGES.get(column, (parted if taste != column else f"the held-out term {held} {moves}", ".3g"))
        message = f"update {update}: {change} from {before[column]:{unit}} to {now[column]:{unit}}"
        if np.isnan(before["reward"]):
            message += " (nobody knows the reward of these)"
        elif column != "reward":
            message += f" while the reward rises from {before['reward']:.3g} to {now['reward']:.3g}"
        return Alarm(update, column, message + (f", as in '{shortened(text)}'" if text else ""), text)

    def _sample(self, column: str, scores: Scores) -> str:
        """What shows it: the worst by reward or held-out term, a copy, the most common item."""
        if column == "reward":
            return _worst(scores, -scores.totals, scores.totals)
        if column.startswith(AGREED):
            return _worst(scores, scores.totals, -scores.totals)
        if column.startswith(HELD):
            return _worst(scores, scores.totals, self._direction(column) * scores.terms[column.removeprefix(HELD)])
        items = items_of(scores.texts)
        try:
            if column == "in_corpus":
                items = [text for text, copy in zip(items, self.domain.in_corpus(items), strict=True) if copy]
            if column == "commonest":
                return max(zip(self.domain.commonest(items), items, strict=True), default=(0.0, ""))[1]
            family = largest_family(self.domain, items)
        except UserError:  # a plugin that cannot say it now could a moment ago
            return ""
        return Counter(family).most_common(1)[0][0] if family else ""


def _worst(scores: Scores, merit: Values, values: Values) -> str:
    """Of the better half of the items by `merit` (B,), the text on which `values` (B,) is lowest."""
    known = [i for i, text in enumerate(scores.texts) if text is not None and np.isfinite(merit[i] + values[i])]
    better = sorted(known, key=lambda i: -merit[i])[: (len(known) + 1) // 2]
    return min(((values[i], scores.texts[i] or "") for i in better), default=(0.0, ""))[1]


def _spreads(scores: Scores, held: Sequence[str]) -> dict[str, float]:
    """The standard deviation of single sequences: of the reward, and of each held-out term."""
    terms = {column: scores.terms[column.removeprefix(HELD)] for column in held}
    values = {"reward": scores.totals} | terms
    return {SPREAD + name: float(np.nanstd(v)) if np.isfinite(v).any() else np.nan for name, v in values.items()}


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each column, over the rows where it is known."""
    columns = dict.fromkeys(column for row in rows for column in row)  # newer code may have more than it began with
    table = {column: np.array([row.get(column, np.nan) for row in rows]) for column in columns}
    return {name: float(np.nanmean(v)) if np.isfinite(v).any() else np.nan for name, v in table.items()}
