"""The figures of an update, one column each of `metrics.csv`; docs/metrics.md says what each is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from seqtutor.arrays import Values
from seqtutor.domain import Domain, RewardTerm
from seqtutor.errors import UserError
from seqtutor.objectives.optimum import Written, log_mean
from seqtutor.priors.sampling import Rollout, array_of, sequence_mask
from seqtutor.rewards.reward import Scores
from seqtutor.rewards.surrogate import Surrogate
from seqtutor.rewards.taste import Tasted

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
    steps, texts = float(rollout.mask.sum()), scores.texts
    means = {name: known_mean(values) for name, values in scores.columns.items()}
    return {
        "update": update,
        "seconds": round(seconds, 3),
        "reward": known_mean(scores.totals),
        "kl": float(rollout.kl.sum(-1).mean()),
        "kl_per_token": float(rollout.kl.sum()) / steps,
        "entropy": -float(rollout.logp.sum()) / steps,
        "temperature": temperature,
        "gap": gap_of(rollout, scores, temperature),
        "loss": loss,
        "valid": float(scores.valid.mean()),
        "paid": float(scores.paid[scores.scored].mean()) if scores.scored.any() else float("nan"),
        "distinct": len(set(items_of(texts))) / len(texts),
        **shares(domain, texts),
        "length": float(sequence_mask(rollout.tokens).sum(-1).float().mean()),
        "oracle_calls": oracle_calls,
        **{(n.replace("term.", "held_out.", 1) if n[5:] in held_out else n): mean for n, mean in means.items()},
    }


def doubts(terms: Sequence[RewardTerm], scores: Scores) -> Row:
    """What each term that is learnt from votes or from a table says of a batch beside its values: its own doubt."""
    row: Row = {}
    for term in terms:
        if isinstance(term.values, Tasted | Surrogate):
            found = term.values.figures(list(dict.fromkeys(items_of(scores.texts))))
            row |= {f"{name}.{term.name}": figure for name, figure in found.items()}
    return row


def gap_of(rollout: Rollout, scores: Scores, temperature: float) -> float:
    """KL(pi || pi*) as the batch alone tells it, nats a sequence: log mean exp(net) - mean net; too low while large."""
    parts = (scores.totals, *(array_of(part.sum(-1)) for part in (rollout.logp, rollout.prior_logp)))
    reward, logp, prior_logp = (part[scores.scored] for part in parts)
    net = Written(reward, logp, prior_logp).net(temperature)
    return log_mean(net) - float(net.mean()) if len(net) else float("nan")


def known_mean(values: Values) -> float:
    """The mean of the finite ones; NaN where there is none."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def shares(domain: Domain, texts: Sequence[str | None]) -> Mapping[str, float]:
    """Shares of the items among B texts: of the largest family, and, where the domain knows them, of copies of its
    corpus and of the commonest passages. NaN where a plugin fails: a figure that is missing must not end a run.
    """
    items = items_of(texts)
    counts = {"largest_family": _counted(lambda: len(largest_family(domain, items)))}
    if domain.offers("in_corpus"):
        counts["in_corpus"] = _counted(lambda: sum(domain.in_corpus(items)))
    if domain.offers("commonest"):
        counts["commonest"] = _counted(lambda: sum(domain.commonest(items)))
    return {column: count / max(len(items), 1) for column, count in counts.items()}


def _counted(count: Callable[[], float]) -> float:
    try:
        return float(count())
    except UserError:
        return float("nan")


def largest_family(domain: Domain, items: Sequence[str]) -> list[str]:
    """The items of the family that has most of them."""
    families: dict[str, list[str]] = {}
    for text in items:
        families.setdefault(domain.family(text), []).append(text)
    return max(families.values(), key=len, default=[])


def items_of(texts: Sequence[str | None]) -> list[str]:
    """The texts that are items."""
    return [text for text in texts if text is not None]
