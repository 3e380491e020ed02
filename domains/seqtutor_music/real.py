"""What real phrases have of every figure, made anew, and they as a file.

    python -m seqtutor_music.real [METRE] [triplets] [FILE]

The metre is 4/4 where none is given. `seqtutor infer --domain music --examples FILE` finds the weights under which the
prior becomes these phrases.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from seqtutor import Measure
from seqtutor.priors.encoding import padded
from seqtutor_music import measures
from seqtutor_music.domain import MusicDomain, MusicOptions
from seqtutor_music.events import WITH_TRIPLETS, Ids, join
from seqtutor_music.metre import COMMON, METRES, Metre

TRIPLETS = "triplets"  # as it is typed


def phrases(domain: MusicDomain) -> list[list[str]]:
    """Every phrase that the prior is measured on, shuffled: neighbours share their tune."""
    return [phrase for _, phrase in _of_tunes(domain)]


def _of_tunes(domain: MusicDomain) -> list[tuple[int, list[str]]]:
    """The same, each with the number of its tune."""
    found = [(tune, excerpt) for tune, text in enumerate(domain.corpus()) for excerpt in domain.excerpts(text)]
    return [found[i] for i in np.random.default_rng(0).permutation(len(found))]


def _row(figure: Measure, tunes: Ids) -> dict[str, float]:
    """The mean, half the width of its 95 % interval over other tunes of the kind, and between what 98 of 100 melodies
    lie. `tunes`: which one each melody is of; those of one tune are not independent of each other.
    """
    values, weights = (np.bincount(tunes, part).astype(float) for part in (figure.values, figure.weights))
    some = replace(figure, values=values[weights > 0], weights=weights[weights > 0])
    concerned = figure.weights > 0
    low, high = np.quantile(figure.values[concerned] / figure.weights[concerned], [0.01, 0.99])
    row = {"mean": figure.mean, "halfwidth": some.halfwidth, "low": float(low), "high": float(high)}
    return {key: _rounded(value) for key, value in row.items() if np.isfinite(value)}  # one tune alone has no spread


def _rounded(value: float) -> float:
    """To four decimals, or two digits where those would say less.

    >>> _rounded(0.123456), _rounded(0.0000345), _rounded(0.0)
    (0.1235, 3.4e-05, 0.0)
    """
    return round(value, max(4, 1 - math.floor(math.log10(abs(value))))) if value else 0.0


def figures(found: list[tuple[int, list[str]]], metre: Metre = COMMON) -> dict[str, dict[str, float]]:
    """What phrases, each with the number of its tune, have of each measure."""
    rows = measures.measure(padded([WITH_TRIPLETS.encode(phrase) for _, phrase in found]), metre)
    tunes = np.array([tune for tune, _ in found])
    return {m.name: _row(m, tunes) for m in rows if m.name not in measures.COPIES}


def main(arguments: list[str]) -> None:
    """Write `real.json` of the metre, and the phrases of four bars to the file that is named."""
    metre = next((METRES[name] for name in arguments if name in METRES), COMMON)
    triplets = TRIPLETS in arguments
    options = [MusicOptions(bars=bars, metre=metre.name, triplets=triplets) for bars in measures.BARS]
    found = {one.bars: _of_tunes(MusicDomain(one)) for one in options}
    known = {str(bars): figures(these, options[0].bar) for bars, these in found.items()}
    measures.kept(options[0].bar).write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    for path in [argument for argument in arguments if argument not in (*METRES, TRIPLETS)]:
        Path(path).write_text("".join(f"{join(phrase)}\n" for _, phrase in found[4]), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
