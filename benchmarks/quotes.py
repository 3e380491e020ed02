"""How much of a tradition is common property? python benchmarks/quotes.py [METRE] [triplets] [PRIOR ...]

Of the phrases of tunes that were held out, the share that has so many events in a row, with 4 notes or more, in common
with the other tunes; beside it the same of 3,000 melodies of each prior, with all tunes of its books. A prior that
knew its books by heart would be above the phrases; one that knows the style is not.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import torch

import seqtutor
from seqtutor.priors.encoding import padded
from seqtutor.priors.files import load_prior
from seqtutor.priors.sampling import draw
from seqtutor_music.copies import copied, stretches
from seqtutor_music.events import Ids, parse
from seqtutor_music.metre import COMMON, METRES

LENGTHS = (20, 24, 28, 32, 40, 48)
MELODIES = 3000
TRIPLETS = "triplets"


def shares(ids: Ids, tunes: Ids) -> list[float]:
    """The share of the melodies that quote the tunes, for each length."""
    return [float(copied(ids, stretches(tunes, length), length).mean()) for length in LENGTHS]


def main(arguments: Sequence[str]) -> None:
    """Print a row for the phrases held out and one for each prior."""
    metre = next((name for name in arguments[:1] if name in METRES), COMMON.name)
    domain = seqtutor.load("music", {"metre": metre, "triplets": TRIPLETS in arguments})
    order = np.random.default_rng([0, 0]).permutation(len(texts := domain.corpus()))  # as `pretrain` splits them
    aside, rest = np.split(order, [round(0.1 * len(order))])
    phrases = padded([domain.vocabulary.encode(tokens) for i in aside for tokens in domain.excerpts(texts[i])])
    tunes = [domain.vocabulary.encode(parse(text)) for text in texts]
    print("| events in a row | " + " | ".join(map(str, LENGTHS)) + " |\n|" + "---|" * (len(LENGTHS) + 1))

    def row(name: str, found: list[float]) -> None:
        print(f"| {name} | " + " | ".join(f"{share:.1%}" for share in found) + " |", flush=True)

    row(f"{len(phrases)} phrases held out, of the other tunes", shares(phrases, padded([tunes[i] for i in rest])))
    for prior in [name for name in arguments if name not in (metre, TRIPLETS)] or [domain.own_prior]:
        tokens, _ = draw(load_prior(prior, domain), domain, MELODIES, torch.Generator().manual_seed(0))
        row(prior, shares(tokens, padded(tunes)))


if __name__ == "__main__":
    main(sys.argv[1:])
