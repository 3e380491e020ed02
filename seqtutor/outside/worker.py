"""What runs in a worker process: it answers for its terms until its pipe closes. Started by `pool`, as a program."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection

from seqtutor.errors import UserError
from seqtutor.outside.answers import WrongNumber, ask


def serve(pipe: Connection) -> None:
    """Take the terms, say that all is well (None) or what is not, then answer questions one after the other."""
    memory, terms = pipe.recv()
    try:
        functions = pickle.loads(terms)  # noqa: S301 - from our own parent process
        for function in functions.values():
            getattr(function, "open", lambda: None)()
    except UserError as error:
        return pipe.send(str(error))
    except Exception as error:
        return pipe.send(f"cannot be handed to a worker process: {type(error).__name__}: {error}")
    if memory:
        limit_memory(memory)
    pipe.send(None)
    ours = os.getpid()
    while True:
        name, texts = pipe.recv()
        try:
            answer: object = ask(functions[name], texts)
        except (WrongNumber, UserError) as error:
            answer = str(error)
        if os.getpid() != ours:
            os._exit(0)  # a scorer forked and came back twice: only one of them may answer
        pipe.send(answer)


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
    try:
        serve(Connection(int(sys.argv[1])))
    except (EOFError, ConnectionError):
        os.killpg(0, signal.SIGKILL)  # what a scorer started goes with it


if __name__ == "__main__":
    main()
