"""Worker processes that are started once, watched, and replaced when they hang or die."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

from seqtutor.errors import UserError
from seqtutor.outside.answers import Outcome, failure
from seqtutor.outside.oracles import ended

START = 120.0  # seconds that a worker may take to import its functions
GRACE = 2.0  # seconds for a process whose pipe has closed to end by itself
KEPT = 2000  # bytes of a worker's error output that are kept
Answers = tuple[str, dict[str, Outcome]]  # a term's name, and an outcome for each text


@dataclass(frozen=True)
class Job:
    """Texts to ask a term about; `deaths`: how often a worker hung or died over them."""

    name: str
    texts: tuple[str, ...]
    deaths: int = 0


@dataclass
class Worker:
    """One process: the pipe to it, what it is busy with, and until when it may be."""

    process: subprocess.Popen[bytes]
    pipe: Connection
    errors: IO[bytes]
    deadline: float
    ready: bool = False
    job: Job | None = None
    said: bytes = b""
    silent: bool = False  # its error output is closed

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
        if self.pipe.closed:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.listen()
        self.pipe.close()
        self.errors.close()


@dataclass
class Pool:
    """Up to `workers` processes that answer for the same `functions` (by term name).

    `timeout`: seconds that a call may take. A call that takes longer, or kills its worker, is asked again item by item;
    an item that alone does it more than `retries` times is a failure, and quarantined where it killed. `chunk`: texts
    of one call; 0: few enough to keep all workers busy, and one as soon as a call of several went wrong. `memory`:
    megabytes that a worker may use; 0: no limit.
    """

    functions: Mapping[str, Any]
    workers: int = 1
    timeout: float = 60.0
    chunk: int = 0
    retries: int = 1
    memory: int = 0
    running: list[Worker] = field(default_factory=list)
    queue: deque[Job] = field(default_factory=deque)
    singly: bool = False

    def add(self, name: str, texts: Sequence[str]) -> None:
        """Put texts in the queue, in chunks."""
        size = self.chunk or (1 if self.singly else max(1, min(32, len(texts) // (4 * self.workers))))
        self.queue.extend(Job(name, tuple(texts[i : i + size])) for i in range(0, len(texts), size))

    @property
    def busy(self) -> bool:
        """Whether a question is open."""
        return bool(self.queue) or any(worker.job for worker in self.running)

    def feed(self) -> None:
        """Give a job to every worker that has none; start workers while there are more jobs than workers."""
        while len(self.running) < min(self.workers, len(self.queue)):
            self.running.append(self.new_worker())
        for worker in self.running:
            if self.queue and worker.ready and worker.job is None:
                worker.job = self.queue.popleft()
                worker.deadline = time.monotonic() + self.timeout
                with suppress(OSError):  # it died while idle: its pipe says so to `hear`
                    worker.pipe.send((worker.job.name, worker.job.texts))

    def new_worker(self) -> Worker:
        """Start a process and hand it the functions; it is ready once it says so."""
        ours, theirs = Pipe()
        here = str(Path.cwd())
        path = os.pathsep.join([*(place for place in sys.path if place and place != here), here])
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-m", "seqtutor.outside.worker", str(theirs.fileno()), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # what a scorer prints is not an answer
            stderr=subprocess.PIPE,
            pass_fds=[theirs.fileno()],
            start_new_session=True,  # Ctrl-C is ours to handle, and a kill reaches all that a scorer started
            env={**os.environ, "PYTHONPATH": path},
        )
        theirs.close()
        if process.stderr is None:
            raise RuntimeError("a worker's error output is a pipe")
        os.set_blocking(process.stderr.fileno(), False)
        with suppress(OSError):
            ours.send((self.memory, pickle.dumps(dict(self.functions))))
        return Worker(process, ours, process.stderr, time.monotonic() + START)

    def hear(self, worker: Worker) -> Iterator[Answers]:
        """Take what a worker has to say: that it is ready, its answers, or nothing any more."""
        worker.listen()
        if not worker.pipe.poll():
            return
        try:
            said = worker.pipe.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            yield from self._lost(worker, f"its scorer ended: {worker.end()}", "quarantine")
            return
        if isinstance(said, str):
            raise UserError(f"term '{worker.job.name if worker.job else ', '.join(self.functions)}' {said}")
        if not worker.ready:
            worker.ready = True
        elif worker.job is not None:
            job, worker.job = worker.job, None
            outcomes, one_by_one = said
            self.singly |= one_by_one
            yield job.name, dict(zip(job.texts, outcomes, strict=True))

    def overdue(self, now: float) -> Iterator[Answers]:
        """Give up on workers whose time is over."""
        for worker in [w for w in self.running if now > w.deadline and (w.job or not w.ready)]:
            yield from self._lost(worker, f"no answer within {self.timeout:g} s", "failure")

    def _lost(self, worker: Worker, reason: str, kind: Any) -> Iterator[Answers]:
        """A worker hung or died: replace it, and ask again, one by one, what it was asked."""
        self.running.remove(worker)
        worker.kill()
        job = worker.job
        if not worker.ready:
            raise UserError(f"term '{', '.join(self.functions)}': its worker process did not start: {reason}")
        if job is None:
            return
        if len(job.texts) > 1:
            self.singly = True
            self.queue.extendleft(Job(job.name, (text,)) for text in reversed(job.texts))
        elif job.deaths < self.retries:
            self.queue.appendleft(Job(job.name, job.texts, job.deaths + 1))
        else:
            yield job.name, {job.texts[0]: failure(reason, kind)}

    def drop(self) -> None:
        """Forget every open question, and the workers that are busy with one."""
        self.queue.clear()
        for worker in [w for w in self.running if w.job]:
            self.running.remove(worker)
            worker.kill()

    def close(self) -> None:
        """End all workers."""
        self.queue.clear()
        while self.running:
            self.running.pop().kill()
