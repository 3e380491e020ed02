"""The figures of an update, one column each of `metrics.csv`; docs/metrics.md says what each is."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from seqtutor.alarms import shares
from seqtutor.domain import Domain
from seqtutor.rollout import Rollout
from seqtutor.scoring import Scores

if TYPE_CHECKING:
    from seqtutor.domain import Values

Row = dict[str, float]


def row_of(
    domain: Domain,
    rollout: Rollout,
    scores: Scores,
    held_out: Collection[str],
    *,
    update: int,
    seconds: float,
    temperature: float,
    loss: float,
    oracle_calls: int,
) -> Row:
    """Of the B sequences of `rollout` with their `scores`, and of the run so far; NaN where there is no figure."""
    lengths, texts = rollout.mask.sum(-1), scores.texts
    return {
        "update": update,
        "seconds": round(seconds, 3),
        "reward": known_mean(scores.totals),
        "kl": float(rollout.kl.sum(-1).mean()),
        "kl_per_token": float(rollout.kl.sum() / lengths.sum()),
        "entropy": -float(rollout.logp.sum() / lengths.sum()),
        "temperature": temperature,
        "loss": loss,
        "valid": sum(text is not None for text in texts) / len(texts),
        "distinct": len({text for text in texts if text is not None}) / len(texts),
        **shares(domain, texts),
        "length": float(lengths.float().mean()),
        "oracle_calls": oracle_calls,
        **{
            (name.replace("term.", "held_out.", 1) if name[5:] in held_out else name): known_mean(values)
            for name, values in scores.columns.items()
        },
    }


def known_mean(values: Values) -> float:
    """The mean of the finite ones; NaN where there is none."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
