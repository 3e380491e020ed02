"""The weights of `likeness`, made anew after a prior, a rule or a weight has changed: python -m seqtutor_music.fit

    python -m seqtutor_music.fit [METRE] [triplets] [MODE]

Of melodies of the prior, each worth exp(R) of what the rules lead to; 4/4 and major where nothing else is named.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import torch

from seqtutor.inference.matching import matched
from seqtutor.priors.files import load_prior
from seqtutor.priors.sampling import draw
from seqtutor.rewards.scorer import Scorer
from seqtutor_music import keys, likeness, measures
from seqtutor_music.domain import MusicDomain, MusicOptions
from seqtutor_music.keys import FIFTHS, Key
from seqtutor_music.metre import COMMON, METRES, Metre
from seqtutor_music.real import TRIPLETS

DRAWS, UNTOLD = 24_000, 4  # four times as many in a mode without a prior of its own, on whose tonic it seldom ends
RIDGE = 2e-3  # of a weight in nats a standard deviation


def fitted(bars: int, metre: Metre, key: Key) -> dict[str, float]:
    """The weights, nats a unit, at which every figure that is held has the mean of real phrases."""
    options = MusicOptions(bars=bars, metre=metre.name, triplets=metre.triplets, tonic=keys.text_of(key))
    domain = MusicDomain(options)
    prior, generator = load_prior(domain.own_prior, domain), torch.Generator().manual_seed(0)
    scorer = Scorer(domain, [term for term in domain.terms() if term.name != "likeness"])
    rewards, parts = [], []
    for _ in range(1 if measures.knows(metre, key.tonics) else UNTOLD):
        tokens, truncated = draw(prior, domain, DRAWS, generator)
        rewards.append(scorer.score(tokens, truncated).totals)
        found = likeness.parts(tokens, metre, key.tonics)
        parts.append(np.stack(list(found.values()), axis=1))
    reward, held = np.concatenate(rewards), np.concatenate(parts)
    worth, scale = np.exp(reward - reward.max()), held.std(axis=0)
    weights = matched(np.zeros(len(found)), held / scale, worth / worth.sum(), RIDGE).weights / scale
    return {name: float(f"{weight:.4g}") for name, weight in zip(found, weights, strict=True)}


def main(arguments: list[str]) -> None:
    """Write them."""
    metre = next((METRES[name] for name in arguments if name in METRES), COMMON)
    metre = replace(metre, triplets=TRIPLETS in arguments)
    key = Key(0, next((mode for mode in FIFTHS if mode in arguments), "major"))
    found = {str(bars): fitted(bars, metre, key) for bars in measures.BARS}
    likeness.kept(metre, key.tonics).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
