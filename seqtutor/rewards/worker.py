"""What runs in a worker process: it answers for its terms until its pipe closes. Started by `pool`, as a program.

Messages are JSON, one a line. To the worker: {"memory": ..., "path": ..., "terms": {name: description}}, then
[name, texts] again and again. From it: {} once it is ready, then {"seconds": ..., "answers": [...]}, a number each or
[reason, kind] where there is none; {"error": ..., "shifted": ...} where the run must stop.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from seqtutor.errors import UserError
from seqtutor.rewards.outcomes import Shifted, WrongNumber, ask
from seqtutor.rewards.outside import KINDS

SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of Linux's <sys/prctl.h>


def serve(questions: BinaryIO, answers: BinaryIO) -> None:
    """Take the terms, say that all is well or what is not, then answer questions one after the other."""
    first = json.loads(questions.readline())
    sys.path += first["path"]  # only now: nothing that lies in the current folder was imported by the start
    try:
        functions = {name: KINDS[kind](**made_from).open() for name, (kind, made_from) in first["terms"].items()}
    except UserError as error:
        tell(answers, {"error": str(error)})
        return
    if first["memory"]:  # megabytes of address space, above which no allocation takes this process
        import resource  # not on every system

        resource.setrlimit(resource.RLIMIT_AS, (first["memory"] << 20, first["memory"] << 20))
    tell(answers, {})
    ours, singly = os.getpid(), set[str]()
    for line in questions:
        name, texts = json.loads(line)
        began = time.perf_counter()
        try:
            outcomes, raised = ask(functions[name], texts, singly=name in singly)
        except (WrongNumber, UserError) as error:
            answer: object = {"error": str(error), "shifted": isinstance(error, Shifted)}
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


def leave_with(leash: int) -> None:
    """Fork a watcher that ends this process, and all that it started, once the other end of `leash` is closed.

    The kernel closes it with the parent, however that ends. A thread could not do it while a scorer holds the lock of
    the interpreter, and the kernel's own signal would reach this process alone.
    """
    if sys.platform == "linux":  # what a scorer's own children leave behind becomes ours, is found and ended with us
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    worker = os.getpid()
    if os.fork():
        os.close(leash)
        return
    os.dup2(leash, 0)
    os.closerange(1, 1024)  # its copy of the pipe would hide that the worker has died
    while os.read(0, 1):
        pass
    kill_all(worker)
    os._exit(0)


def kill_all(worker: int) -> None:
    """Kill a worker with its group, and, where the system lists processes, what it started in sessions of its own."""
    started = descendants(worker)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(worker, signal.SIGKILL)
    for number in started:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(number, signal.SIGKILL)


def descendants(ancestor: int) -> list[int]:
    """The processes that a process has started, and those that these have; none where the system does not list them."""
    children: dict[int, list[int]] = {}
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):  # it has ended meanwhile
            parent = int((place / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(place.name))
    found = list(children.get(ancestor, []))
    for number in found:  # which grows meanwhile
        found += children.get(number, [])
    return found


def main() -> None:
    """The process: its arguments are the numbers of its end of the pipe and of the leash."""
    sys.dont_write_bytecode = True  # it knows a file by its second and its size: an edit within one would be missed
    leave_with(int(sys.argv[2]))
    number = int(sys.argv[1])
    with suppress(ConnectionError), open(number, "rb", closefd=False) as questions, open(number, "wb") as answers:
        serve(questions, answers)
    for started in descendants(os.getpid()):  # what a scorer started goes with it
        with suppress(ProcessLookupError, PermissionError):
            os.kill(started, signal.SIGKILL)
    os.killpg(0, signal.SIGKILL)
