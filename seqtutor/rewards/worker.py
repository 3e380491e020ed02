"""What runs in a worker process: it answers for its terms until its pipe closes. Started by `pool`, as a program.

Messages are JSON, one a line. To the worker: {"memory": ..., "terms": {name: description}}, then [name, texts] again
and again. From it: {} once it is ready, then {"seconds": ..., "answers": [...]}, a number each or [reason, kind] where
there is none; {"error": ...} where the run must stop.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import BinaryIO

from seqtutor.errors import UserError
from seqtutor.rewards.outcomes import WrongNumber, ask
from seqtutor.rewards.outside import oracle_of


def serve(questions: BinaryIO, answers: BinaryIO) -> None:
    """Take the terms, say that all is well or what is not, then answer questions one after the other."""
    first = json.loads(questions.readline())
    oracles = {name: oracle_of(about) for name, about in first["terms"].items()}
    try:
        for oracle in oracles.values():
            oracle.open()
    except UserError as error:
        tell(answers, {"error": str(error)})
        return
    if first["memory"]:
        limit_memory(first["memory"])
    tell(answers, {})
    ours, singly = os.getpid(), set[str]()
    for line in questions:
        name, texts = json.loads(line)
        began = time.perf_counter()
        try:
            outcomes, raised = ask(oracles[name], texts, singly=name in singly)
        except (WrongNumber, UserError) as error:
            answer: object = {"error": str(error)}
        else:
            if raised:  # it will again: what it had done of the call's other texts was lost
                singly.add(name)
            answer = {
                "seconds": time.perf_counter() - began,
                "answers": [o.value if o.kind == "value" else [o.reason, o.kind] for o in outcomes],
            }
        if os.getpid() != ours:
            os._exit(0)  # a scorer forked and came back twice: only one of them may answer
        tell(answers, answer)


def tell(answers: BinaryIO, message: object) -> None:
    """Send a message."""
    answers.write(json.dumps(message).encode() + b"\n")
    answers.flush()


def limit_memory(megabytes: int) -> None:
    """Let no allocation take this process above `megabytes` of address space."""
    import resource  # not on every system

    resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))


def leave_with(parent: int) -> None:
    """End this process and its children once `parent` is gone, even while a scorer hangs."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    """The process: its first argument is the number of its end of the pipe, its second its parent's id."""
    sys.dont_write_bytecode = True  # it knows a file by its second and its size: an edit within one would be missed
    threading.Thread(target=leave_with, args=(int(sys.argv[2]),), daemon=True).start()
    number = int(sys.argv[1])
    with (
        suppress(ConnectionError),
        open(number, "rb", closefd=False) as questions,
        open(number, "wb") as answers,
    ):
        serve(questions, answers)
    os.killpg(0, signal.SIGKILL)  # what a scorer started goes with it


if __name__ == "__main__":
    main()
