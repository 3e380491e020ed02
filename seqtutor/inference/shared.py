"""What several sets of examples have in common: the fits of each, as random effects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc

from seqtutor.arrays import Values
from seqtutor.inference import NORMAL, Inference


@dataclass(frozen=True)
class Shared:
    """What several folders have in common: the mean of their weights as random effects, and whether they differ."""

    names: tuple[str, ...]
    mean: Values  # (K,) nats per standard deviation
    halfwidth: Values  # (K,) of the 95 % interval
    p_differ: Values  # (K,) the chance of weights so far apart if all folders had one


def share(found: Sequence[Inference]) -> Shared:
    """The common part of G inferences against one base (DerSimonian and Laird), term by term.

    The error that comes from the base is the same in all of them: it does not average out, and tells none apart.
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
    precision = 1 / (own + between)
    total = precision.sum(axis=0)
    halfwidth = NORMAL * np.sqrt(1 / total + common.mean(axis=0))
    return Shared(names, (precision * w).sum(axis=0) / total, halfwidth, np.asarray(chdtrc(freedom, distance)))
