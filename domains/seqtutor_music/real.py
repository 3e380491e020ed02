"""What real phrases have of every figure, made anew, and they as a file: python -m seqtutor_music.real [METRE] [FILE]

The metre is 4/4 where none is given. `seqtutor infer --domain music --examples FILE` finds the weights under which the
prior becomes these phrases.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from seqtutor import Measure
from seqtutor_music import measures
from seqtutor_music.domain import MusicDomain, MusicOptions
from seqtutor_music.events import VOCABULARY, join, stack
from seqtutor_music.metre import COMMON, METRES, Metre


def phrases(domain: MusicDomain) -> list[list[str]]:
    """Every phrase that the prior is measured on, shuffled: neighbours share their tune."""
    found = [excerpt for text in domain.corpus() for excerpt in domain.excerpts(text)]
    return [found[i] for i in np.random.default_rng(0).permutation(len(found))]


def _row(figure: Measure) -> dict[str, float]:
    """The mean, and between what 98 of 100 melodies lie."""
    concerned = figure.weights > 0
    low, high = np.quantile(figure.values[concerned] / figure.weights[concerned], [0.01, 0.99])
    return {"mean": round(figure.mean, 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def figures(found: list[list[str]], metre: Metre = COMMON) -> dict[str, dict[str, float]]:
    """What phrases have of each measure."""
    rows = measures.measure(stack([VOCABULARY.encode(phrase) for phrase in found]), metre)
    return {m.name: _row(m) for m in rows if m.name not in measures.COPIES}


def main(arguments: list[str]) -> None:
    """Write `real.json` of the metre, and the phrases of four bars to the file that is named."""
    named = [name for name in arguments[:1] if name in METRES]
    metre = METRES[named[0]] if named else COMMON
    found = {bars: phrases(MusicDomain(MusicOptions(bars=bars, metre=metre.name))) for bars in measures.BARS}
    known = {str(bars): figures(these, metre) for bars, these in found.items()}
    measures.kept(metre).write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    for path in arguments[len(named) :]:
        Path(path).write_text("".join(f"{join(phrase)}\n" for phrase in found[4]), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
