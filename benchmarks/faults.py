"""Every file that a command reads replaced by every odd thing; every write of a run killed, or the disk full.

    python benchmarks/faults.py               all of it: some hours on one core
    python benchmarks/faults.py --share 0.05  a part of it, drawn at random

Prints what went wrong, then a table: combinations, done, refused in a line, and what else. Exits with 1 where anything
but these two came out. The rows are the functions of tests/faults/table.py.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "tests"), str(Path(__file__).parents[1] / "tests" / "faults")]

import table  # type: ignore[import-not-found]  # noqa: E402

WRITES = 80  # more than a run of two updates has
STEP = 500  # combinations between two lines of progress


def main() -> int:
    """Try all, or a share -> the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    table.install_letters()
    rng, tally = random.Random(args.seed), dict[str, Counter[str]]()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        table.prepare(work)
        rows = table.rows(work)
        rows = rng.sample(rows, round(args.share * len(rows)))
        for i, (place, fault, command) in enumerate(rows):
            note(tally, fault.__name__, f"{place}, {command}", table.attempt(work, place, fault, command))
            if i % STEP == STEP - 1:
                print(f"{i + 1:,} of {len(rows):,}", file=sys.stderr, flush=True)
        for name in ("kill", "full"):
            for n in range(1, WRITES):
                if rng.random() < args.share:
                    for found in table.interrupted(work, n, name):
                        note(tally, name, f"write {n}", found)
    for name, counts in tally.items():
        print(f"{name:<15}" + "  ".join(f"{found} {count}" for found, count in counts.items()))
    total = sum(tally.values(), Counter[str]())
    print(f"{'all':<15}{total.total():,} combinations: {total['done']:,} done, {total['refused']:,} refused")
    return 0 if total.total() == total["done"] + total["refused"] else 1


def note(tally: dict[str, Counter[str]], name: str, where: str, found: str) -> None:
    """Count what came out, and print it where it is a fault."""
    kind = found if found in ("done", "refused") else "fault"
    tally.setdefault(name, Counter())[kind] += 1
    if kind == "fault":
        print(f"{name}, {where}: {found}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
