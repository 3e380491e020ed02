"""What the corpus has of every figure, made anew, and its endings as a file: python -m seqtutor_music.real [FILE]

`seqtutor infer --domain music --examples FILE` finds the weights under which the prior becomes these endings.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from seqtutor import Measure
from seqtutor_music import measures
from seqtutor_music.domain import MusicDomain
from seqtutor_music.events import VOCABULARY, Ids, join, stack


def windows(domain: MusicDomain) -> Ids:
    """Every excerpt that a prior learns from, shuffled: neighbours share bars."""
    rows = [excerpt for text in domain.corpus() for excerpt in domain.excerpts(domain.encode(text))]
    return np.random.default_rng(0).permutation(stack([VOCABULARY.encode(row) for row in rows]))


def endings(domain: MusicDomain) -> list[str]:
    """The last bars of each tune, as many as a melody has."""
    tunes = (domain.encode(text) for text in domain.corpus())
    return [join(tune[-domain.max_length :]) for tune in tunes if len(tune) >= domain.max_length]


def _row(figure: Measure) -> dict[str, float]:
    """The mean, and between what 98 of 100 melodies lie."""
    concerned = figure.weights > 0
    low, high = np.quantile(figure.values[concerned] / figure.weights[concerned], [0.01, 0.99])
    return {"mean": round(figure.mean, 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def main() -> None:
    """Write `real.json`, and the endings to the file that is named."""
    domain = MusicDomain()
    texts = endings(domain)
    last = stack([VOCABULARY.encode(domain.encode(text)) for text in texts])
    found = {m.name: _row(m) for m in measures.measure(windows(domain)) if m.name not in measures.COPIES}
    found |= {m.name: _row(m) for m in measures.measure(last) if m.name in measures.ENDINGS}
    measures.REAL.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for path in sys.argv[1:]:
        Path(path).write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")


if __name__ == "__main__":
    main()
