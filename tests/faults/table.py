"""The table of faults: what is done to a run folder, where, and what every command makes of it.

A row is a function that takes the path of a file and leaves something odd there. `attempt` tries one row with one
command in a process of its own; `interrupted` lets a run die, or its disk be full, at its n-th write. The suite takes a
handful (tests/test_fault_table.py), `python benchmarks/faults.py` takes all.
"""

from __future__ import annotations

import errno
import importlib.metadata
import json
import os
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import torch
from click.testing import CliRunner

from seqtutor import files
from seqtutor.cli import main

WAIT = 30  # seconds that a command may take; a quiet machine needs less than one
WORK = 5  # seconds of work that it may take
TRAIN = ("train", "--domain", "letters", "--prior", "./prior", "--rollouts", "8", "--batch", "8", "--samples", "10")
COMMANDS: dict[str, tuple[str, ...]] = {
    "status": ("status", "run"),
    "report": ("report", "run"),
    "resume": ("train", "--resume", "run", "--updates", "3", "--trust"),
    "generate": ("generate", "./run", "-n", "2"),
    "evaluate": ("evaluate", "./run", "-n", "4"),
    "score": ("score", "run/", "--trust", "--output", "out"),
    "explain": ("explain", "./run", "abc"),
    "prior": (*TRAIN[:3], "--prior", "./run", "--updates", "1", "--samples", "10", "--output", "out"),
    "config": ("train", "--config", "run/config.toml", "--updates", "1", "--trust", "--output", "out"),
    "record": (*TRAIN, "--updates", "1", "--log", "run", "--log-reward", "reward", "--output", "out"),
}


# What may lie where a file of a run was


def link(path: Path) -> None:
    """A link to a file outside."""
    path.symlink_to(path.parents[len(path.parts) - path.parts.index("run") - 1] / "precious.txt")


def loop(path: Path) -> None:
    """A link to itself."""
    path.symlink_to(path.name)


def fifo(path: Path) -> None:
    """A pipe that nobody writes to."""
    os.mkfifo(path)


def folder(path: Path) -> None:
    """A folder with a file in it."""
    path.mkdir()
    (path / "file").write_text("x")


def missing(path: Path) -> None:
    """Nothing at all."""


def empty(path: Path) -> None:
    """A file of no bytes."""
    path.touch()


def half(path: Path) -> None:
    """The first half."""
    path.write_bytes(BEFORE[0][: len(BEFORE[0]) // 2])


def character(path: Path) -> None:
    """All of it, and the first byte of a character."""
    path.write_bytes(BEFORE[0] + "é".encode()[:1])


def vast(path: Path) -> None:
    """A terabyte, most of it a hole."""
    path.write_bytes(BEFORE[0])
    os.truncate(path, 1 << 40)


def cell(path: Path) -> None:
    """A cell, a key or a string of 200,000 characters in the middle."""
    path.write_bytes(BEFORE[0][:60] + b"x" * 200_000 + BEFORE[0][60:])


def list_of_lists(path: Path) -> None:
    """Well-formed, and of another shape."""
    path.write_text("[" * 5000 + "]" * 5000)


def number(path: Path) -> None:
    """Well-formed JSON and TOML's opposite."""
    path.write_text("3\n")


def utf16(path: Path) -> None:
    """The same in another encoding."""
    path.write_bytes(BEFORE[0].decode(errors="replace").encode("utf-16"))


def noise(path: Path) -> None:
    """Bytes that mean nothing."""
    path.write_bytes(bytes(range(256)) * 9)


def escapes(path: Path) -> None:
    """Every letter e gives way to an escape sequence."""
    path.write_bytes(BEFORE[0].replace(b"e", b"\x1b[2Je"))


def digits(path: Path) -> None:
    """Every 1 is a number beyond all bounds."""
    path.write_bytes(BEFORE[0].replace(b"1", b"1" + b"9" * 400))


BEFORE: list[bytes] = [b""]  # what the file held
FAULTS: tuple[Callable[[Path], None], ...] = (
    *(link, loop, fifo, folder, missing, empty, half, character),
    *(vast, cell, list_of_lists, number, utf16, noise, escapes, digits),
)


# Attempts, each in a process of its own


def prepare(work: Path) -> None:
    """A prior, a finished run, and a file that nobody may touch, in the folder `work`."""
    torch.set_num_threads(1)  # a forked process has no threads to share its work with, and would wait for them
    from letters import new_model

    from seqtutor.priors.files import save_model

    os.chdir(work)
    Path("prior").mkdir()
    save_model(new_model(spread=1.0, hidden=8), Path("prior"), "model", domain="letters")
    Path("precious.txt").write_text("precious")
    oracle = f"--function=rare={'oracles'}:rare"
    result = CliRunner().invoke(main, [*TRAIN, oracle, "--updates", "2", "--output", "run"])
    if result.exit_code:
        raise RuntimeError(result.output) from result.exception


def install_letters() -> None:
    """Have the letters of tests/ as the only domain of this process."""
    found, entry = importlib.metadata.entry_points, EntryPoint("letters", "letters:LettersDomain", "seqtutor.domains")
    importlib.metadata.entry_points = lambda **given: (  # type: ignore[assignment]
        [entry] if given == {"group": "seqtutor.domains"} else found(**given)
    )


def places(work: Path) -> list[str]:
    """The files of a run, by their path in it."""
    return sorted(path.relative_to(work / "run").as_posix() for path in (work / "run").rglob("*") if path.is_file())


def attempt(work: Path, place: str, fault: Callable[[Path], None], command: str) -> str:
    """'done' or 'refused', or what went wrong: a traceback, a hang, lines too many, a file touched outside."""
    with tempfile.TemporaryDirectory() as copy:
        here = Path(copy, "work")
        shutil.copytree(work, here)
        path = here / "run" / place
        BEFORE[0] = path.read_bytes()
        path.unlink()
        fault(path)
        return _outside(here, lambda: apart(here, lambda: called(*COMMANDS[command])))


def called(*args: str) -> str:
    """What a command comes to in this process."""
    result = CliRunner().invoke(main, list(args))
    if result.exit_code == 0:
        return "escape sequence printed" if "\x1b" in result.output else "done"
    if not isinstance(result.exception, SystemExit):
        error = result.exception or RuntimeError("no exception")
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}: {str(error)[:80]}"
    lines = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    return "refused" if len(lines) == 1 else f"said {result.stderr[:200]!r}"


def _outside(here: Path, action: Callable[[], str]) -> str:
    """What an action comes to; files beside the run that it touched are named instead."""

    def others() -> dict[str, bytes]:
        mine = (path for path in here.rglob("*") if path.is_file() and not path.is_symlink())
        tops = {path: path.relative_to(here).parts[0] for path in mine}
        return {str(path): path.read_bytes() for path, top in tops.items() if top not in ("run", "out", "outputs")}

    before = others()
    found = action()
    return found if others() == before else "a file outside was touched"


def apart(here: Path, action: Callable[[], str]) -> str:
    """What an action returns in a forked process that works in the folder `here`; 'died' or 'hung' otherwise."""
    report = here.parent / "report.json"
    child = os.fork()
    if child == 0:
        try:
            os.chdir(here)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(WAIT)
            signal.setitimer(signal.ITIMER_PROF, WORK)
            report.write_text(json.dumps(action()))
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    if report.exists():
        return str(json.loads(report.read_text()))
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    return "hung" if number in (signal.SIGALRM, signal.SIGPROF) else "died"


# Deaths and full disks at the n-th write


class Writes:
    """The system as `seqtutor.files` sees it, which counts what may go wrong and lets the n-th call do so."""

    def __init__(self, n: int, fault: str) -> None:
        self.left, self.fault = n, fault

    def __getattr__(self, name: str) -> Any:
        found = getattr(os, name)
        if name not in ("open", "fdopen", "fsync", "replace"):
            return found

        def counted(*args: Any, **options: Any) -> Any:
            self.count(args)
            return found(*args, **options)

        return counted

    def count(self, args: tuple[Any, ...]) -> None:
        """Die, or say that the disk is full, once it is time."""
        self.left -= 1
        if self.left < 0 and self.fault == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(args[0]))
        if self.left == 0 and self.fault == "kill":
            os._exit(9)


def interrupted(work: Path, n: int, fault: str) -> Iterator[str]:
    """A run to whose n-th write something happens, then what the commands make of its folder, and of a resume."""
    with tempfile.TemporaryDirectory() as copy:
        here = Path(copy, "work")
        shutil.copytree(work, here, ignore=shutil.ignore_patterns("run"))

        def run() -> str:
            files.os = Writes(n, fault)  # type: ignore[assignment]
            return called(*TRAIN, "--updates", "2", "--output", "run")

        found = apart(here, run)
        yield "done" if found == "died" and fault == "kill" else found
        for command in ("status", "report", "resume"):
            (here.parent / "report.json").unlink(missing_ok=True)
            yield _outside(here, lambda command=command: apart(here, lambda: called(*COMMANDS[command])))  # type: ignore[misc]
        table = here / "run" / "metrics.csv"
        rows = [row.split(",")[0] for row in table.read_text().splitlines()[1:]] if table.exists() else []
        yield "done" if rows in ([], ["1", "2", "3"]) else f"updates {rows} after a resume"


sys.path[:0] = [str(Path(__file__).parents[1])] * (str(Path(__file__).parents[1]) not in sys.path)
