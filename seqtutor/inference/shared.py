"""What several sets of examples have in common: a mean of their fits, and whether they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc

from seqtutor.arrays import Values
from seqtutor.inference import NORMAL, Inference


@dataclass(frozen=True)
class Shared:
    """What several folders have in common: a mean of their weights, and whether they differ."""

    names: tuple[str, ...]
    mean: Values  # (K,) nats per standard deviation
    halfwidth: Values  # (K,) of the 95 % interval
    p_differ: Values  # (K,) the chance of weights so far apart if all folders had one


def share(found: Sequence[Inference]) -> Shared:
    """The mean of G inferences against one base, term by term, each weighed as DerSimonian and Laird weigh it.

    The interval is of the same mean of these G sets' own true weights, not of sets like them: of two or three of those
    no spread can be told. The error that comes from the base is the same in all: it does not average out, and tells
    none apart.
    """
    names = tuple(name for name in found[0].names if all(name in one.names for one in found))
    at = [[one.names.index(name) for name in names] for one in found]
    w = np.stack([one.mean[k] for one, k in zip(found, at, strict=True)])
    common = np.stack([np.diag(one.sampling)[k] for one, k in zip(found, at, strict=True)])
    own = np.stack([np.diag(one.covariance)[k] for one, k in zip(found, at, strict=True)]) - common
    precision = 1 / own
    total = precision.sum(axis=0)
    distance = (precision * (w - (precision * w).sum(axis=0) / total) ** 2).sum(axis=0)
    freedom = len(found) - 1
    between = np.maximum(0.0, (distance - freedom) / (total - (precision**2).sum(axis=0) / total))
    parts = 1 / (own + between)
    parts /= parts.sum(axis=0)
    halfwidth = NORMAL * np.sqrt((parts**2 * own).sum(axis=0) + common.mean(axis=0))
    return Shared(names, (parts * w).sum(axis=0), halfwidth, np.asarray(chdtrc(freedom, distance)))
