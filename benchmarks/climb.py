"""Where does the music reward lead without a prior? python benchmarks/climb.py [PROPOSALS] [SEED]

Hill climbs from absurd starts: of the proposals (an event changed, two swapped, a beat, half bar or bar copied, a motif
moved or inverted) the best of sixteen is kept if it is worth no less. Prints each end, what it is worth, and which of
its figures lie outside of what 98 of 100 real tunes have. A reward that can be cheated ends in something absurd.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seqtutor_music import rules, variation
from seqtutor_music.events import FIRST_PITCH, HOLD, OFF, VOCABULARY, Ids, batch
from seqtutor_music.measures import measure, real

STEPS, BAR = 64, 16
ROUNDED = 1e-4  # the figures of real tunes are
TOGETHER = 16  # proposals of which the best is kept
STARTS = {
    "silence": "- " * 64,
    "one note held": "C4 " + "- " * 63,
    "one note struck": "C4 - - - " * 16,
    "tritones": "F4 - - - B4 - - - " * 8,
    "Alberti bass": "C4 - G4 - E4 - G4 - " * 8,
    "dotted triads": "C4 - - E4 G4 - - C5 " * 8,
    "a scale for ever": "C4 D4 E4 F4 G4 A4 B4 C5 " * 8,
}


def worth(ids: Ids) -> NDArray[np.float64]:
    """(B,): the default reward."""
    return np.asarray(sum(rule.weight * rule.values(ids).sum(axis=1) for rule in rules.OURS))


def propose(ids: Ids, rng: np.random.Generator) -> Ids:
    """A melody near `ids` (T,)."""
    new = ids.copy()
    kind = rng.integers(4)
    if kind == 0:
        pitch = int(rng.integers(FIRST_PITCH, len(VOCABULARY)))
        new[rng.integers(len(ids))] = rng.choice([HOLD, OFF, pitch], p=[0.4, 0.1, 0.5])
    elif kind == 1:
        a, b = rng.integers(len(ids), size=2)
        new[[a, b]] = new[[b, a]]
    elif kind == 2:
        length = int(rng.choice([4, 8, 16]))
        source, place = rng.integers(len(ids) // length, size=2) * length
        new[place : place + length] = ids[source : source + length]
    else:
        new[:] = variation.vary(ids.tolist(), rng) or ids
    return new


def climb(start: Ids, proposals: int, rng: np.random.Generator) -> Ids:
    """Where a hill climb from `start` (T,) ends."""
    best = start
    for _ in range(proposals // TOGETHER):
        candidates = np.stack([best, *(propose(best, rng) for _ in range(TOGETHER))])
        values = worth(candidates)
        leader = 1 + int(values[1:].argmax())
        best = candidates[leader] if values[leader] >= values[0] else best
    return best


def unlike_real(ids: Ids) -> list[str]:
    """The figures of one melody (T,) that should be near those of real tunes, and lie outside of 98 of 100 of these."""
    said = []
    for figure in measure(ids[None]):
        if figure.better == "near" and figure.weights[0] > 0 and figure.name != "commonest half bars":  # of a set
            low, high = real(STEPS // BAR)[figure.name]["low"], real(STEPS // BAR)[figure.name]["high"]
            if not low - ROUNDED <= figure.mean <= high + ROUNDED:
                said.append(f"{figure.name} {figure.mean:.2f} ({low:.2f} .. {high:.2f})")
    return said


def main(arguments: Sequence[str]) -> None:
    proposals, seed = (int(value) for value in (*arguments, *("20000", "0")[len(arguments) :]))
    rng = np.random.default_rng(seed)
    noise = " ".join(rng.choice(VOCABULARY.own, STEPS))
    for name, text in {"random events": noise, **STARTS}.items():
        end = climb(batch(text)[0], proposals, rng)
        verdict = "; ".join(unlike_real(end)) or "like real tunes"
        print(f"{name}: {worth(batch(text))[0]:.1f} -> {worth(end[None])[0]:.1f}; {verdict}")
        bars = (VOCABULARY.decode(end[i : i + BAR].tolist()) for i in range(0, STEPS, BAR))
        print("    " + " | ".join(" ".join(bar) for bar in bars))


if __name__ == "__main__":
    main(sys.argv[1:])
