"""Terms from outside, good and bad, for the tests: each takes a list of texts."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

CALLS = Path("calls.txt")


def length(texts):
    return [len(text) for text in texts]


def noted(texts):
    """The length; notes in a file what it was asked, as an oracle that costs would on its bill."""
    with CALLS.open("a") as file:
        file.writelines(f"{text}\n" for text in texts)
    return length(texts)


def raises(texts):
    if "ab" in texts:
        raise ValueError("I do not like ab")
    return length(texts)


def none(texts):
    return [None if text == "ab" else len(text) for text in texts]


def strings(texts):
    return ["much" if text == "ab" else len(text) for text in texts]


def infinite(texts):
    return [float("inf") if text == "ab" else len(text) for text in texts]


def huge(texts):
    return [10**400 if text == "ab" else len(text) for text in texts]


def hangs(texts):
    if "ab" in texts:
        time.sleep(600)
    return length(texts)


def takes_long(texts):
    noted(texts)
    time.sleep(600)


def after_learning(texts):
    """Once `second` is there: no answer before `learnt` is."""
    until = time.monotonic() + 60
    while Path("second").exists() and not Path("learnt").exists():
        if time.monotonic() > until:
            raise TimeoutError("nobody learns while I work")
        time.sleep(0.01)
    return length(texts)


def breaks(texts):
    """Too few answers as long as `broken` is there."""
    return noted(texts)[1:] if Path("broken").exists() else noted(texts)


def exits(texts):
    if "ab" in texts:
        sys.exit(3)
    return length(texts)


def leaves(texts):
    if "ab" in texts:
        os._exit(0)
    return length(texts)


def segfaults(texts):
    if "ab" in texts:
        ctypes.string_at(0)
    return length(texts)


def killed(texts):
    if "ab" in texts:
        print("out of luck", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    return length(texts)


def killed_once(texts):
    if "ab" in texts and not Path("killed").exists():
        Path("killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return length(texts)


def prints(texts):
    print("x" * 100_000, flush=True)
    os.write(1, b"\x00\x01garbage")
    os.write(2, b"\xff" * 200_000)
    return length(texts)


def forks(texts):
    os.fork()  # the child comes back here too
    return length(texts)


def closes(texts):
    if "ab" in texts:
        os.closerange(0, 200)
    return length(texts)


def leaks(texts):
    if "ab" in texts:
        return [len(bytearray(1 << 33))]
    return length(texts)


def too_few(texts):
    return length(texts)[1:]


def too_many(texts):
    return [*length(texts), 1.0]


def one_number(texts):
    return 1.0


not_a_function = 3


def rare(texts):
    """1 for a text that holds a c."""
    return [float("c" in text) for text in texts]
