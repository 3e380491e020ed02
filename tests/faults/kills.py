"""The long form of the kill test: SIGKILL at random moments of one run, checkpoint writes among them.

    python tests/faults/kills.py              30 kills
    python tests/faults/kills.py --kills 100 --seed 7

A run of the letters of tests/ is killed again and again, resumed each time, and compared with one that was not: same
metrics and ledger, the same weights bit for bit, no call paid twice but one that a kill fell into. Prints one line a
kill, and exits with 1 at the first difference.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from letters import new_model
from test_cli_runs import BASE, ORACLE, finish, start, table, updates, wait_for

from seqtutor.priors.files import save_model

AHEAD = 8  # updates between two kills, on average half of it
SETTINGS = (ORACLE, "--vary", 0.25)


def comparable(folder: str) -> tuple[object, ...]:
    """What must not differ: both tables without the clock, and the weights."""
    metrics = [{**row, "seconds": ""} for row in table(f"{folder}/metrics.csv")]
    return metrics, table(f"{folder}/ledger.csv"), Path(folder, "policy.safetensors").read_bytes()


def main() -> int:
    """Kill, resume, compare -> the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng, total = random.Random(args.seed), args.kills * AHEAD
    os.chdir(tempfile.mkdtemp())
    Path("prior").mkdir()
    save_model(new_model(spread=1.0, hidden=8), Path("prior"), "model", domain="letters")
    finish(start(*BASE, *SETTINGS, "--updates", total, "--output", "whole"), 3600)
    Path("calls.txt").unlink()
    process = start(*BASE, *SETTINGS, "--updates", total, "--output", "run")
    for kill in range(1, args.kills + 1):
        goal = min(total - 1, updates() + rng.randrange(1, AHEAD))
        wait_for(lambda goal=goal, process=process: updates() >= goal or process.poll() is not None)
        time.sleep(rng.uniform(0, 0.05))
        process.kill()
        finish(process)
        print(f"kill {kill:>3}: {updates():>4} of {total} updates", flush=True)
        process = start("train", "--resume", "run", ORACLE)
        before = updates()
        wait_for(lambda before=before, process=process: updates() > before or process.poll() is not None)
    status, _, err = finish(process, 3600)
    paid = Path("calls.txt").read_text().splitlines()
    tuned = {row["text"] for row in table("run/ledger.csv")}
    twice = [text for text in set(paid) & tuned if paid.count(text) > 1]
    same = comparable("run") == comparable("whole")
    print(f"status {status} {err}same figures, calls and weights: {same}; calls paid twice: {len(twice)}")
    return 0 if same and status == 0 and len(twice) <= args.kills else 1


if __name__ == "__main__":
    sys.exit(main())
