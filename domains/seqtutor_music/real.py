"""What real phrases have of every figure, made anew, and they as a file.

    python -m seqtutor_music.real [METRE] [triplets] [FILE]
    python -m seqtutor_music.real MODE [METRE] [FILE]

The metre is 4/4 where none is given. `seqtutor infer --domain music --examples FILE` finds the weights under which the
prior becomes these phrases. Of a mode those figures are made that speak of its tonic, and the file has its whole tunes,
from which a prior of the mode learns.
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
from seqtutor_music import corpus, measures
from seqtutor_music.domain import MusicDomain, MusicOptions
from seqtutor_music.events import WITH_TRIPLETS, Ids, join
from seqtutor_music.keys import FIFTHS, HOME, Key, text_of
from seqtutor_music.metre import COMMON, METRES, Metre

TRIPLETS = "triplets"  # as it is typed


def phrases(domain: MusicDomain) -> list[list[str]]:
    """Every phrase that the prior is measured on, shuffled: neighbours share their tune."""
    return [phrase for _, phrase in of_tunes(domain, domain.corpus())]


def of_tunes(domain: MusicDomain, tunes: list[str]) -> list[tuple[int, list[str]]]:
    """The same of some tunes, each with the number of its tune."""
    found = [(number, excerpt) for number, tune in enumerate(tunes) for excerpt in domain.excerpts(tune)]
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


def figures(found: list[tuple[int, list[str]]], metre: Metre = COMMON, key: Key = HOME) -> dict[str, dict[str, float]]:
    """What phrases, each with the number of its tune, have of each measure; of a mode, of those of its tonic."""
    rows = measures.measure(padded([WITH_TRIPLETS.encode(phrase) for _, phrase in found]), metre, key.tonics)
    tunes = np.array([tune for tune, _ in found])
    of_mode = measures.of_the_tonic(key.tonics)
    return {
        m.name: _row(m, tunes)
        for m in rows
        if m.name not in measures.COPIES and (key.tonics == HOME.tonics or m.name in of_mode)
    }


def main(arguments: list[str]) -> None:
    """Write the figures of the metre and the mode, and the file that is named."""
    metre = next((METRES[name] for name in arguments if name in METRES), COMMON)
    key = Key(0, next((mode for mode in FIFTHS if mode in arguments), HOME.mode))
    triplets, tonic = TRIPLETS in arguments, text_of(key)
    options = [MusicOptions(bars=n, metre=metre.name, triplets=triplets, tonic=tonic) for n in measures.BARS]
    four, eight = (MusicDomain(one) for one in options)
    tunes = four.corpus() if key == HOME else corpus.in_mode(key.mode, metre)
    found = [of_tunes(domain, tunes) for domain in (four, eight)]
    known = {str(n): figures(these, four.metre, key) for n, these in zip(measures.BARS, found, strict=True)}
    kept = measures.kept(four.metre, key.tonics)
    kept.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    lines = [join(phrase) for _, phrase in found[0]] if key == HOME else tunes
    for path in [argument for argument in arguments if argument not in (*METRES, *FIFTHS, TRIPLETS)]:
        Path(path).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
