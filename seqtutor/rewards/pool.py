"""Worker processes that are started once, watched, and replaced when they hang or die."""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple

from seqtutor.errors import UserError
from seqtutor.rewards.outcomes import Outcome, Shifted, failure
from seqtutor.rewards.outside import Oracle, described, lies_here, path_elsewhere
from seqtutor.rewards.programs import ended
from seqtutor.rewards.worker import kill_all

START = 120.0  # seconds that a worker may take to import its functions
GRACE = 2.0  # seconds for a process whose pipe has closed to end by itself
CALL = 0.1  # seconds that a call shall take: long beside what it costs to send, short beside a wait
LATE = 0.25  # share of its time after which a call is suspected to hang
BEGIN = "import json, sys; sys.path[:] = json.loads(sys.argv[3]); from seqtutor.rewards.worker import main; main()"
KEPT = 2000  # bytes of a worker's error output that are kept
PoolAnswers = tuple[str, dict[str, Outcome]]  # a term's name, and an outcome for each text


class Question(NamedTuple):
    """A text to ask a term about. `alone`: in a call of its own; `deaths`: how often a worker hung or died over it."""

    name: str
    text: str
    alone: bool = False
    deaths: int = 0


@dataclass
class Worker:
    """One process: the pipe to it, what it is busy with (questions of one term), and until when it may be."""

    process: subprocess.Popen[bytes]
    pipe: socket.socket
    answers: BinaryIO  # the pipe's other direction, line by line
    errors: IO[bytes]
    leash: int  # a pipe that the kernel closes with us
    deadline: float
    ready: bool = False
    job: list[Question] = field(default_factory=list)
    late: bool = False  # its call has taken LATE
    said: bytes = b""
    silent: bool = False  # its error output is closed

    def tell(self, message: object) -> None:
        """Send a message. Where the process has died, `hear` will learn it from its pipe."""
        with suppress(OSError):
            self.pipe.sendall(json.dumps(message).encode() + b"\n")

    def heard(self) -> Any:
        """The next message; None at the end, and where it is none."""
        try:
            return json.loads(self.answers.readline())
        except (OSError, ValueError):
            return None

    def listen(self) -> None:
        """Take what the worker wrote to its error output, so that it never waits for a reader; keep the end."""
        with suppress(BlockingIOError):
            while more := os.read(self.errors.fileno(), 1 << 16):
                self.said = (self.said + more)[-KEPT:]
            self.silent = True

    def end(self) -> str:
        """Kill the process and all that it started -> how it ended, with the last line that it wrote."""
        with suppress(subprocess.TimeoutExpired):  # a process that is ending by itself: its own status shall be seen
            self.process.wait(GRACE)
        self.kill()
        lines = self.said.decode(errors="replace").strip().splitlines()
        return ended(self.process.returncode) + (f": {lines[-1]}" if lines else "")

    def kill(self) -> None:
        """Kill the process and all that it started."""
        if self.errors.closed:
            return
        kill_all(self.process.pid)
        os.close(self.leash)
        self.process.wait()
        self.listen()
        self.answers.close()
        self.pipe.close()
        self.errors.close()


@dataclass
class Pool:
    """Up to `workers` processes that answer for the same `functions` (by term name).

    `timeout`: seconds that a call may take. A call that takes longer, or kills its worker, is asked again item by item;
    an item that alone does it more than `retries` times is a failure, and quarantined where it killed. `chunk`: texts
    of one call; 0: as many as take CALL by the last call's pace, few enough to keep all workers busy, and one before
    a pace is known or as soon as a call of several went wrong. `memory`: megabytes that a worker may use; 0: no limit.
    """

    functions: Mapping[str, Oracle]
    workers: int = 1
    timeout: float = 60.0
    chunk: int = 0
    retries: int = 1
    memory: int = 0
    running: list[Worker] = field(default_factory=list)
    queue: deque[Question] = field(default_factory=deque)
    pace: dict[str, float] = field(default_factory=dict)  # seconds an item that the last call of a term took
    singly: bool = False
    spares: list[Worker] = field(default_factory=list)  # without functions, which may want all memory that there is

    def add(self, name: str, texts: Sequence[str]) -> None:
        """Put texts in the queue."""
        self.queue.extend(Question(name, text) for text in texts)

    def _next(self) -> list[Question]:
        """The questions of the next call, off the queue."""
        job = [self.queue.popleft()]
        size = 1 if job[0].alone else self._size(job[0].name)
        while self.queue and len(job) < size and self.queue[0].name == job[0].name and not self.queue[0].alone:
            job.append(self.queue.popleft())
        return job

    def _size(self, name: str) -> int:
        if self.chunk or self.singly or name not in self.pace:
            return self.chunk or 1
        share = len(self.queue) if self.workers == 1 else len(self.queue) // (2 * self.workers)
        return min(share + 1, int(min(CALL, self.timeout / 10) / self.pace[name]))

    @property
    def busy(self) -> bool:
        """Whether a question is open."""
        return bool(self.queue) or any(worker.job for worker in self.running)

    def feed(self) -> None:
        """Give a job to every worker that has none; start workers while there are more questions than workers."""
        while len(self.running) < min(self.workers, len(self.queue)):
            self.running.append(self.new_worker())
        for worker in self.running:
            if self.queue and worker.ready and not worker.job:
                worker.job, worker.late = self._next(), False
                worker.deadline = time.monotonic() + LATE * self.timeout
                worker.tell([worker.job[0].name, [question.text for question in worker.job]])
        late = sum(worker.late and bool(worker.job) for worker in self.running)
        while len(self.spares) < late:
            self.spares.append(_process())  # the processor has time for it while one hangs

    def new_worker(self) -> Worker:
        """Start a process, or take a spare one, and hand it the functions; it is ready once it says so."""
        worker = self.spares.pop() if self.spares else _process()
        worker.deadline = time.monotonic() + START
        terms = {name: described(oracle) for name, oracle in self.functions.items()}
        here = [str(Path.cwd())] if any(map(lies_here, self.functions.values())) else []
        worker.tell({"memory": self.memory, "path": here, "terms": terms})
        return worker

    def hear(self, worker: Worker) -> Iterator[PoolAnswers]:
        """Take what a worker has to say: that it is ready, its answers, or nothing any more."""
        worker.listen()
        if not wait([worker.pipe], 0):
            return
        said = worker.heard()
        if said is None:
            yield from self._lost(worker, f"its scorer ended: {worker.end()}", "quarantine")
        elif "error" in said:
            name = worker.job[0].name if worker.job else ", ".join(self.functions)
            line = f"term '{name}' {said['error']}"
            raise Shifted(line, name) if said.get("shifted") else UserError(line)
        elif not worker.ready:
            worker.ready = True
        elif job := worker.job:
            worker.job = []
            self.pace[job[0].name] = max(said["seconds"] / len(job), 1e-9)
            outcomes = (Outcome(x) if isinstance(x, float) else failure(*x) for x in said["answers"])
            yield job[0].name, dict(zip((question.text for question in job), outcomes, strict=True))

    def overdue(self, now: float) -> Iterator[PoolAnswers]:
        """Suspect workers that take long, and give up on those whose time is over."""
        for worker in [w for w in self.running if now > w.deadline and (w.job or not w.ready)]:
            if worker.job and not worker.late:
                worker.late, worker.deadline = True, worker.deadline + (1 - LATE) * self.timeout
            else:
                yield from self._lost(worker, f"no answer within {self.timeout:g} s", "failure")

    def _lost(self, worker: Worker, reason: str, kind: Any) -> Iterator[PoolAnswers]:
        """A worker hung or died: replace it, and ask again, one by one, what it was asked."""
        self.running.remove(worker)
        worker.kill()
        job = worker.job
        if not worker.ready:
            raise UserError(f"term '{', '.join(self.functions)}': its worker process did not start: {reason}")
        if len(job) > 1:
            self.singly = True
            self.queue.extendleft(question._replace(alone=True) for question in reversed(job))
        elif job and job[0].deaths < self.retries:
            self.queue.appendleft(job[0]._replace(alone=True, deaths=job[0].deaths + 1))
        elif job:
            yield job[0].name, {job[0].text: failure(reason, kind)}

    def drop(self) -> None:
        """Forget every open question, and the workers that are busy with one."""
        self.queue.clear()
        for worker in [w for w in self.running if w.job]:
            self.running.remove(worker)
            worker.kill()

    def close(self) -> None:
        """End all workers."""
        self.queue.clear()
        for worker in self.running + self.spares:
            worker.kill()
        self.running, self.spares = [], []


def _process() -> Worker:
    """Start a process, which then waits for its functions.

    It is isolated (-I): nothing of the current folder, and no variable of the environment, says what it imports.
    """
    ours, theirs = socket.socketpair()
    watched, leash = os.pipe()
    given = (str(theirs.fileno()), str(watched), json.dumps(path_elsewhere()))
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-I", "-c", BEGIN, *given],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,  # what a scorer prints is not an answer
        stderr=subprocess.PIPE,
        pass_fds=[theirs.fileno(), watched],
        start_new_session=True,  # Ctrl-C is ours to handle, and a kill reaches all that a scorer started
    )
    theirs.close()
    os.close(watched)
    if process.stderr is None:
        raise RuntimeError("a worker's error output is a pipe")
    os.set_blocking(process.stderr.fileno(), False)
    return Worker(process, ours, ours.makefile("rb"), process.stderr, leash, deadline=math.inf)
