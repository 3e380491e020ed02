"""The weights of `likeness`, made anew after a prior, a rule or a weight has changed: python -m seqtutor_music.fit

    python -m seqtutor_music.fit [METRE] [triplets]

Of 24,000 melodies of the prior, each worth exp(R) of what the rules lead to, 4/4 where no metre is named.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import torch

from seqtutor.inference import tilt
from seqtutor.priors.files import load_prior
from seqtutor.priors.sampling import draw
from seqtutor.rewards.scorer import Scorer
from seqtutor_music import likeness, measures
from seqtutor_music.domain import MusicDomain, MusicOptions
from seqtutor_music.metre import COMMON, METRES, Metre
from seqtutor_music.real import TRIPLETS

DRAWS, RIDGE = 24_000, 2e-3  # the ridge is of a weight in nats a standard deviation


def fitted(bars: int, metre: Metre) -> dict[str, float]:
    """The weights, nats a unit, at which every figure that is held has the mean of real phrases."""
    domain = MusicDomain(MusicOptions(bars=bars, metre=metre.name, triplets=metre.triplets))
    prior = load_prior(domain.own_prior, domain)
    tokens, truncated = draw(prior, domain, DRAWS, torch.Generator().manual_seed(0))
    rules = [term for term in domain.terms() if term.name != "likeness"]
    reward = Scorer(domain, rules).score(tokens, truncated).totals
    worth = np.exp(reward - reward.max())
    found = likeness.parts(tokens, metre)
    held = np.stack(list(found.values()), axis=1)
    scale = held.std(axis=0)
    weights = tilt(np.zeros(len(found)), held / scale, worth / worth.sum(), RIDGE).weights / scale
    return {name: float(f"{weight:.4g}") for name, weight in zip(found, weights, strict=True)}


def main(arguments: list[str]) -> None:
    """Write them."""
    metre = next((METRES[name] for name in arguments if name in METRES), COMMON)
    metre = replace(metre, triplets=TRIPLETS in arguments)
    found = {str(bars): fitted(bars, metre) for bars in measures.BARS}
    likeness.kept(metre).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
