"""Which share of its reward a sequence is paid: less of what the run has had before, so that a policy moves on.

n members of its family have earned enough so far, and the family has room for `size` of them:

    step      1 while n < size, then 0
    linear    1 - n / size, then 0
    sigmoid   1 / (1 + exp((2 n / size - 1) / .15)): .999 at first, .5 when half full, .001 when full
    tanh      1 - tanh(3 n / size): falls at once, .095 when half full, .005 when full
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from seqtutor.arrays import Values
from seqtutor.domain import Domain
from seqtutor.priors.encoding import family_of
from seqtutor.rewards.reward import Scores

STEEP = 0.15  # of the sigmoid
PENALTIES: Mapping[str, Callable[[float], float]] = {  # of how full a family is
    "step": lambda full: float(full < 1),
    "linear": lambda full: max(0.0, 1 - full),
    "sigmoid": lambda full: 1 / (1 + math.exp((2 * min(full, 1.0) - 1) / STEEP)),
    "tanh": lambda full: 1 - math.tanh(3 * full),
}


@dataclass
class Payment:
    """What is paid of repeats and of full families; `members` is all that it remembers."""

    repeats: bool = True  # False: a text that was seen before earns nothing; what costs, costs the same again
    size: int = 0  # texts of one family that are rewarded before it is full; 0: it never is
    least: float = 0.4  # reward from which on a text counts as a member, and a full family costs it something
    penalty: str = "step"
    members: Counter[str] = field(default_factory=Counter)  # by family

    def shares(self, domain: Domain, scores: Scores) -> Values:
        """(B,) of a batch in its order; its new members are remembered."""
        shares: Values = np.ones(len(scores.texts))
        if not self.repeats:
            shares[scores.repeated & ~(scores.totals < 0)] = 0.0
        if self.size:
            rewarded = np.flatnonzero(scores.valid & (scores.totals >= self.least)).tolist()
            families = [domain.family(scores.texts[i] or "") for i in rewarded]  # a plugin may fail: all of them first
            for i, family in zip(rewarded, families, strict=True):
                if not family:  # as a molecule without a ring: alike in nothing
                    continue
                family = domain.akin(family, list(self.members))
                if scores.totals[i] > 0:  # less of what costs would be a gain
                    shares[i] *= PENALTIES[self.penalty](self.members[family] / self.size)
                self.members[family] += not scores.repeated[i]
        return shares

    def left(self, domain: Domain, text: str) -> float:
        """The share of its reward that a new text would be paid now, if it earned enough to be a member."""
        family = family_of(domain, text) if self.size else ""
        if not family:
            return 1.0
        return PENALTIES[self.penalty](self.members[domain.akin(family, list(self.members))] / self.size)
