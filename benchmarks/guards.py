"""Do the guards leave real phrases alone? python benchmarks/guards.py [METRE]

Of the corpus' phrases of four bars and of eight, the share that each rule charges in all, and what it pays on average.
A guard charges at most one in five.
"""

from __future__ import annotations

import sys

from seqtutor.priors.encoding import padded
from seqtutor_music import MusicDomain
from seqtutor_music.domain import MusicOptions
from seqtutor_music.events import VOCABULARY
from seqtutor_music.measures import BARS
from seqtutor_music.metre import COMMON, METRES
from seqtutor_music.real import phrases
from seqtutor_music.rules import PRESETS


def main(arguments: list[str]) -> None:
    """Print a row a rule."""
    metre = METRES[arguments[0]] if arguments else COMMON
    found = [phrases(MusicDomain(MusicOptions(bars=bars, metre=metre.name))) for bars in BARS]
    ids = [padded([VOCABULARY.encode(phrase) for phrase in these]) for these in found]
    print(
        f"| {metre.name} |"
        + "".join(f" {len(these)} of {bars} bars |" for these, bars in zip(found, BARS, strict=True))
    )
    print("|---" * 3 + "|")
    for rule in PRESETS["default"]:
        worth = [rule.of(metre)(these).sum(axis=1) for these in ids]
        print(f"| `{rule.values.__name__}` |" + "".join(f" {(w < -1e-9).mean():.1%}, {w.mean():+.2f} |" for w in worth))


if __name__ == "__main__":
    main(sys.argv[1:])
