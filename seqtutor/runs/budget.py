"""What ends a run: updates, minutes of tuning, oracle calls; and the schedules, which follow what is spent of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqtutor.config import NO_LIMIT, TrainConfig

if TYPE_CHECKING:
    from seqtutor.rewards.scorer import Scorer

BY_TIME = ("seconds", "update", "oracle_calls")  # which limit is named first, and shown as the run goes on
BY_CALLS = ("oracle_calls", "seconds", "update")


def limits(updates: float, minutes: float, oracle_calls: float) -> dict[str, float]:
    """The limits that a run has, by the column of `metrics.csv` that counts them.

    >>> limits(240, 0, 5000)
    {'update': 240, 'oracle_calls': 5000}
    """
    found = {"update": updates if updates < NO_LIMIT else 0, "seconds": 60 * minutes, "oracle_calls": oracle_calls}
    return {column: whole for column, whole in found.items() if whole}


def share(config: TrainConfig, update: int, seconds: float, oracle_calls: int) -> float:
    """How much of its budget a run has spent before an update, the first being 0: of the limit that is nearest, 0 to 1.

    >>> [share(TrainConfig(updates=3), update, 0.0, 0) for update in range(4)]
    [0.0, 0.5, 1.0, 1.0]
    """
    done = {"update": update, "seconds": seconds, "oracle_calls": oracle_calls}
    found = limits(config.updates, config.minutes, config.oracle_calls)
    if "update" in found:
        found["update"] = max(1, found["update"] - 1)  # of several, the last one is at the end
    return min(1.0, max((done[column] / whole for column, whole in found.items()), default=0.0))


def rate(config: TrainConfig, spent: float) -> float:
    """The learning rate where a share of the budget is spent.

    >>> [round(rate(TrainConfig(learning_rate=0.3, learning_rate_end=0.1), spent), 3) for spent in (0, 0.5, 1)]
    [0.3, 0.2, 0.1]
    """
    end = config.learning_rate_end or config.learning_rate
    return config.learning_rate + spent * (end - config.learning_rate)


def dear(scorer: Scorer) -> bool:
    """Whether calls are what a reward costs, and not the time: so says its domain, a costly term, or one from outside.

    A reward that asks no oracle is cheap.
    """
    costly = any(term.costly for term in scorer.oracles)
    return bool(scorer.oracles) and (scorer.domain.oracle == "dear" or costly or bool(scorer.outside))


def goals(config: TrainConfig, scorer: Scorer) -> list[tuple[str, float]]:
    """The limits of a run, the one that counts most for its reward first."""
    found = limits(config.updates, config.minutes, config.oracle_calls)
    return [(column, found[column]) for column in (BY_CALLS if dear(scorer) else BY_TIME) if column in found]


def sentence(config: TrainConfig, scorer: Scorer) -> str:
    """Which budget ends a run, and what would set the one that suits its reward."""
    parts = [_words(*goal) for goal in goals(config, scorer)]
    said = "ends after " + " or ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
    said += ", whichever is first" if len(parts) > 1 else ""
    if not dear(scorer):
        return said + ("" if config.minutes or config.oracle_calls else "; --minutes sets a budget of time")
    if config.oracle_calls:
        domain, unscreened = scorer.domain, getattr(config.settings, "screen", 0) == 1
        further = unscreened and domain.offers("vary") and not domain.template()
        return said + ("; --vary 0.5 --screen 16 makes calls go further" if further else "")
    most = config.updates * config.rollouts
    said += f", at most {most:,} oracle calls" if config.updates < NO_LIMIT else ""
    return said + "; --oracle-calls sets a budget of calls"


def _words(column: str, whole: float) -> str:
    if column != "seconds":
        return f"{whole:,.0f} {'update' if column == 'update' else 'oracle call'}{'s' if whole != 1 else ''}"
    return f"{whole / 60:g} minute{'s' if whole != 60 else ''}"
