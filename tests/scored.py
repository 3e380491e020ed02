"""Words with values, files of them, and a tuner that learns from one."""

from __future__ import annotations

import csv
from itertools import product
from pathlib import Path

import numpy as np
from letters import LettersDomain, log_probabilities, new_model

from seqtutor import EOS
from seqtutor.config import TrainConfig
from seqtutor.rewards.scorer import Scorer
from seqtutor.training.tuner import Tuner

MANY = sorted({"".join(w) for n in (1, 2, 3) for w in product("abc", repeat=n) if "cc" not in "".join(w)})
WORDS = ["a", "ab", "abc", "ba", "bab", "ca", "cab", "bca", "acb", "b"]


def record_file(path, words=WORDS, values=None, **columns):
    """A CSV of words and values; `columns` beside."""
    rng = np.random.default_rng(5)
    values = rng.normal(size=len(words)) if values is None else values
    with Path(path).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["word", "score", *columns])
        writer.writerows(zip(words, values, *columns.values(), strict=True))
    return str(path), dict(zip(words, values, strict=False))


def tuner_of(path, objective="tb", prior=None, **settings):
    given = {"domain": "letters", "log": (path,), "log_reward": ("score",), "temperature": 0.5, "learning_rate": 5e-3}
    more = {"batch": 64, "replay": 256, "rollouts": 64, "learning_steps": 2, **settings}
    config = TrainConfig(**{**given, "objective": objective, **more})
    return Tuner(LettersDomain(), config, prior or new_model(spread=1.0))


def completed(known, prior, tokens, c, unseen, invalid):
    """Pi~ over `tokens` by enumeration, and log Z~."""
    read = Scorer(LettersDomain(), ()).text
    texts = [read(row) if EOS in row else None for row in tokens.numpy()]
    rewards = np.array([invalid if text is None else known.get(text, unseen) for text in texts])
    logits = log_probabilities(prior, tokens).numpy() + rewards / c
    log_z = np.logaddexp.reduce(logits)
    return np.exp(logits - log_z), log_z
