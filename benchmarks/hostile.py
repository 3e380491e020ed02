"""Scorers for benchmarks/scoring.py: one that works, and one that fails, hangs and dies. Free of all but the core."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Sequence

ROUNDS = 6000  # of a hash: some milliseconds a text


def fate(text: str) -> str:
    """What becomes of a text, by its hash: of a thousand, 1 dies, 10 hang, 100 fail."""
    draw = int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) % 1000
    return "dies" if draw < 1 else "hangs" if draw < 11 else "fails" if draw < 111 else "works"


def healthy(texts: Sequence[str]) -> list[float]:
    """A number for each text, after some work."""
    return [hashlib.pbkdf2_hmac("sha256", text.encode(), b"salt", ROUNDS)[0] / 255 for text in texts]


def hostile(texts: Sequence[str]) -> list[float]:
    """The same, but for those whose fate it is not to be scored."""
    found = []
    for text in texts:
        if fate(text) == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if fate(text) == "hangs":
            time.sleep(3600)
        found += healthy([text])
        if fate(text) == "fails":
            raise ValueError("one in ten")
    return found
