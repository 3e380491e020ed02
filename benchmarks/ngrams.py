"""Are tuned melodies nearer to real ones by what no rule pays for?

    python benchmarks/ngrams.py [METRE] [triplets] RUN ...

Jensen-Shannon divergence, nats, between 1,000 samples and the phrases of the corpus, of three kinds of neighbours: two
intervals in a row; a note's place in its bar with its distance to the next note; intervals and distances together. The
floor is what 1,000 of the phrases, or half of them, are from the others.
"""

from __future__ import annotations

import csv
import math
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from seqtutor_music import MusicDomain
from seqtutor_music.domain import MusicOptions
from seqtutor_music.events import WITH_TRIPLETS, parse, sounding
from seqtutor_music.metre import COMMON, METRES, Metre
from seqtutor_music.real import TRIPLETS, phrases
from seqtutor_music.triplets import timed

COUNT = 1000
Counts = tuple[Counter[object], Counter[object], Counter[object]]


def neighbours(melodies: Iterable[Sequence[str]], metre: Metre) -> Counts:
    """How often each pair of intervals, each place with a distance, and each pair of both occurs."""
    intervals: Counter[object] = Counter()
    places: Counter[object] = Counter()
    both: Counter[object] = Counter()
    for events in melodies:
        ids = WITH_TRIPLETS.encode(events)
        notes = timed(sounding(ids), ids)
        moves = [(b.midi - a.midi, b.start - a.start) for a, b in pairwise(notes)]
        intervals.update((a, b) for (a, _), (b, _) in pairwise(moves))
        places.update((note.start % metre.bar, after) for note, (_, after) in zip(notes, moves, strict=False))
        both.update(pairwise(moves))
    return intervals, places, both


def divergence(one: Counter[object], other: Counter[object]) -> float:
    """Jensen-Shannon divergence of two tables of counts, nats."""
    total = 0.0
    for key in one.keys() | other.keys():
        p, q = one[key] / one.total(), other[key] / other.total()
        total += sum(x / 2 * math.log(2 * x / (p + q)) for x in (p, q) if x)
    return total


def samples(run: Path, model: str) -> list[list[str]]:
    """The first texts that `model` ('prior' or 'policy') of a run wrote, as events."""
    return [parse(row["text"]) for row in rows_of(run) if row["model"] == model][:COUNT]


def rows_of(run: Path) -> list[dict[str, str]]:
    """What a run says of its samples."""
    with (run / "samples.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def main() -> None:
    """Print a row for the phrases themselves, and one for either model of each run."""
    arguments = sys.argv[1:]
    metre = METRES[arguments.pop(0)] if arguments[0] in METRES else COMMON
    triplets = bool(arguments) and arguments[0] == TRIPLETS
    arguments = arguments[triplets:]
    found = phrases(MusicDomain(MusicOptions(bars=4, metre=metre.name, triplets=triplets)))
    first = min(COUNT, len(found) // 2)
    others = neighbours(found[first:], metre)

    def row(name: str, counts: Counts) -> None:
        print(
            f"| {name} | " + " | ".join(f"{divergence(a, b):.4f}" for a, b in zip(counts, others, strict=True)) + " |"
        )

    print("| | two intervals | place and distance | both |\n|---|---|---|---|")
    row("phrases, the others", neighbours(found[:first], metre))
    for run in map(Path, arguments):
        for model in ("prior", "policy"):
            row(f"{run.name}, {model}", neighbours(samples(run, model), metre))
    runs = [Path(argument) for argument in arguments]
    # Of the files there are few in each run: all of them together, beside as many of the priors.
    kept = [[parse(row["text"]) for row in rows_of(run) if row["file"]] for run in runs]
    row("all, kept", neighbours([melody for some in kept for melody in some], metre))
    priors = [samples(run, "prior")[: len(some)] for run, some in zip(runs, kept, strict=True)]
    row("all, as many of the prior", neighbours([melody for some in priors for melody in some], metre))
    row("phrases, no more than these", neighbours(found[: min(first, sum(map(len, kept)))], metre))


if __name__ == "__main__":
    main()
