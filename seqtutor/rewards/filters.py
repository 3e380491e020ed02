"""Filters first: an item that one of them refuses earns nothing, so nothing dear is asked about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from seqtutor.rewards.answers import Answers
from seqtutor.rewards.reward import Reward


def refused(answers: Answers, reward: Reward, texts: Sequence[str]) -> set[str]:
    """Those of `texts` of which a filter that is not dear says 0; these filters are asked at once, and waited for.

    Raises UserError where one of them cannot be asked.
    """
    first = [term for term in answers.terms if term.filter and term.name not in answers.dear]
    if not first or not texts:
        return set()
    names = [term.name for term in first]
    answers.settle(names, texts)
    alone, real = replace(reward, terms=first), np.ones((len(texts), 1), bool)
    values = answers.table(names, texts)[:, None]
    nothing = alone.scored(values, real, real[:, 0]) & (alone.passed(values, real[:, 0]) == 0)
    return {texts[i] for i in np.flatnonzero(nothing).tolist()}
