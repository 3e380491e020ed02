"""Where does the music reward lead without a prior? python benchmarks/climb.py [PROPOSALS] [SEED] [METRE]

Hill climbs from absurd starts: of the proposals (an event changed, two swapped, a beat, half bar or bar copied, a motif
moved or inverted) the best of sixteen is kept if it is worth no less. Prints each end, what it is worth, and which of
its figures lie outside of what 98 of 100 real tunes have. A reward that can be cheated ends in something absurd.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from seqtutor.arrays import Values
from seqtutor_music import rules, variation
from seqtutor_music.events import FIRST_PITCH, HOLD, OFF, VOCABULARY, Ids, batch
from seqtutor_music.measures import measure, real
from seqtutor_music.metre import COMMON, METRES, Metre

BARS = 4
ROUNDED = 1e-4  # the figures of real tunes are
TOGETHER = 16  # proposals of which the best is kept
STARTS = {  # of 4/4; of a shorter bar their beginning
    "silence": "- " * 64,
    "one note held": "C4 " + "- " * 63,
    "one note struck": "C4 - - - " * 16,
    "tritones": "F4 - - - B4 - - - " * 8,
    "Alberti bass": "C4 - G4 - E4 - G4 - " * 8,
    "dotted triads": "C4 - - E4 G4 - - C5 " * 8,
    "a scale for ever": "C4 D4 E4 F4 G4 A4 B4 C5 " * 8,
}


def worth(ids: Ids, metre: Metre = COMMON) -> Values:
    """(B,): the default reward."""
    terms = [term for term in rules.terms("default", metre=metre) if term.name != "quoting"]
    return np.asarray(sum(term.weight * term.values(ids).sum(axis=1) for term in terms))


def propose(ids: Ids, rng: np.random.Generator, metre: Metre = COMMON) -> Ids:
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
        length = int(rng.choice([metre.beat, metre.strong, metre.bar]))
        source, place = rng.integers(len(ids) // length, size=2) * length
        new[place : place + length] = ids[source : source + length]
    else:
        new[:] = variation.vary(ids.tolist(), rng, metre) or ids
    return new


def climb(start: Ids, proposals: int, rng: np.random.Generator, metre: Metre = COMMON) -> Ids:
    """Where a hill climb from `start` (T,) ends."""
    best = start
    for _ in range(proposals // TOGETHER):
        candidates = np.stack([best, *(propose(best, rng, metre) for _ in range(TOGETHER))])
        values = worth(candidates, metre)
        leader = 1 + int(values[1:].argmax())
        best = candidates[leader] if values[leader] >= values[0] else best
    return best


def unlike_real(ids: Ids, metre: Metre = COMMON) -> list[str]:
    """The figures of one melody (T,) that should be near those of real tunes, and lie outside of 98 of 100 of these."""
    said, known = [], real(len(ids) // metre.bar, metre)
    for figure in measure(ids[None], metre):
        if figure.better == "near" and figure.weights[0] > 0 and not figure.name.startswith("commonest"):  # of a set
            low, high = known[figure.name]["low"], known[figure.name]["high"]
            if not low - ROUNDED <= figure.mean <= high + ROUNDED:
                said.append(f"{figure.name} {figure.mean:.2f} ({low:.2f} .. {high:.2f})")
    return said


def main(arguments: Sequence[str]) -> None:
    proposals, seed, name = (*arguments, *("20000", "0", COMMON.name)[len(arguments) :])
    rng, metre = np.random.default_rng(int(seed)), METRES[name]
    steps = BARS * metre.bar
    noise = " ".join(rng.choice(VOCABULARY.own, steps))
    for name, text in {"random events": noise, **STARTS}.items():
        start = batch(text)[:, :steps]
        end = climb(start[0], int(proposals), rng, metre)
        verdict = "; ".join(unlike_real(end, metre)) or "like real tunes"
        print(f"{name}: {worth(start, metre)[0]:.1f} -> {worth(end[None], metre)[0]:.1f}; {verdict}")
        bars = (VOCABULARY.decode(end[i : i + metre.bar].tolist()) for i in range(0, steps, metre.bar))
        print("    " + " | ".join(" ".join(bar) for bar in bars))


if __name__ == "__main__":
    main(sys.argv[1:])
