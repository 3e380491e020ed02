"""Ctrl-C, SIGTERM and a closed terminal: what they may interrupt, and what they may not."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

INTERRUPTED = 128 + signal.SIGINT  # the exit status after Ctrl-C
STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Stopped(KeyboardInterrupt):
    """A signal asked the run to stop. `status`: what the program shall end with, 128 and the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.name, self.status = signal.Signals(number).name, 128 + number


@dataclass
class _Hold:
    pressed: list[int] = field(default_factory=list)
    waiting: bool = False


_holds: list[_Hold] = []  # handlers are the process's, so this is too


@contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the block as Ctrl-C does: with an exception, so that everything is saved."""

    def stop(number: int, frame: object) -> None:
        raise Stopped(number)

    with _handled(stop):
        yield


@contextmanager
def whole() -> Iterator[None]:
    """Hold signals back until the block ends, so that no checkpoint holds half an update; a second one is obeyed."""
    hold = _Hold()

    def note(number: int, frame: object) -> None:
        if hold.pressed or hold.waiting:
            raise Stopped(number)
        hold.pressed.append(number)

    _holds.append(hold)
    try:
        with _handled(note):
            yield
    finally:
        _holds.remove(hold)
    if hold.pressed:
        raise Stopped(hold.pressed[0])


@contextmanager
def waiting() -> Iterator[None]:
    """Within `whole`: a wait that changes nothing and may be interrupted at once."""
    if not _holds:
        yield
        return
    hold = _holds[-1]
    hold.waiting = True
    try:
        if hold.pressed:
            raise Stopped(hold.pressed[0])
        yield
    finally:
        hold.waiting = False


@contextmanager
def undisturbed() -> Iterator[None]:
    """Within the block Ctrl-C waits, for this thread and for those that begin here: these never take it.

    RDKit's substructure searches take it for themselves: they end early, with fewer matches, and nobody hears of it.
    The system gives it to any thread that does not block it.
    """
    if not hasattr(signal, "pthread_sigmask"):  # on Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _handled(handler: object) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # only there can signals be handled
        yield
        return
    heeded = [number for number in STOPPING if signal.getsignal(number) is not signal.SIG_IGN]  # nohup has it ignored
    previous = {number: signal.signal(number, handler) for number in heeded}  # type: ignore[arg-type]
    try:
        yield
    finally:
        for number, old in previous.items():
            signal.signal(number, old)
