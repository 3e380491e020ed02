"""The table of faults: what is done to a file that a command reads, and what the command makes of it.

A row is a function that takes the path of a file and leaves something odd there: in a run folder, in a prior's, or in
place of votes, a record or data. `attempt` tries one row with one command in a process of its own; `interrupted` lets a
run die, or its disk be full, at its n-th write. The suite takes a handful (tests/test_fault_table.py),
`python benchmarks/faults.py` takes all.
"""

from __future__ import annotations

import errno
import importlib.metadata
import json
import os
import re
import shutil
import signal
import stat
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

WAIT = 60  # seconds that a command may take; a quiet machine needs less than one
WORK = 5  # seconds of work that it may take
OF_MANY = 30  # where 100,000 lines are read, and learnt from if that is what the command does
LETTERS = ("--domain", "letters", "--longest", "7")
TRAIN = ("train", *LETTERS, "--prior", "./prior", "--rollouts", "16", "--batch", "8", "--samples", "60")
SHORT = ("--updates", "1", "--samples", "10", "--trust", "--output", "out")
GIVEN = ("run", "prior", "votes.jsonl", "record.csv", "words.txt", "reward.toml")  # what a stranger may have sent
COMMANDS: dict[str, tuple[str, ...]] = {
    "status": ("status", "run"),
    "report": ("report", "run"),
    "resume": ("train", "--resume", "run", "--updates", "3", "--trust"),
    "generate": ("generate", "./run", "-n", "2"),
    "best": ("generate", "./run", "-n", "2", "--draws", "16", "--trust"),
    "evaluate": ("evaluate", "./run", "-n", "4"),
    "against": ("evaluate", "./prior", "--against", "./run", "-n", "4"),
    "known": ("evaluate", "./run", "--log", "run/samples.csv"),
    "unknown": ("evaluate", "./run", "--log", "record.csv", "--log-reward", "reward"),
    "score": ("score", "run/", "--trust", "--output", "out"),
    "profile": ("score", "words.txt", "--config", "run/config.toml", "--trust", "--output", "out"),
    "calibrate": ("calibrate", "run/config.toml", "-n", "20", "--trust"),
    "explain": ("explain", "./run", "abc", "--trust"),
    "telling": ("explain", "./run", "abc", "--taste", "votes.jsonl", "--trust"),
    "prior": ("train", *LETTERS, "--prior", "./run", *SHORT),
    "config": ("train", "--config", "run/config.toml", *SHORT),
    "record": (*TRAIN, "--log", "run", "--log-reward", "reward", *SHORT),
    "table": (*TRAIN, "--log", "record.csv", "--log-reward", "reward", *SHORT),
    "taste": (*TRAIN, "--taste", "votes.jsonl", *SHORT),
    "reward": (*TRAIN, "--config", "reward.toml", *SHORT),  # whose term is the run
    "infer": ("infer", *LETTERS, "--prior", "./prior", "--examples", "words.txt", "-n", "1000"),
    "among": ("infer", *LETTERS, "--examples", "run/samples.csv", "--among", "words.txt"),
    "pretrain": ("pretrain", *LETTERS, "--data", "words.txt", "--epochs", "0.2", "--output", "out"),
    "onwards": ("pretrain", *LETTERS, "--prior", "./prior", "--data", "words.txt", "--output", "out"),
    "further": ("pretrain", "--resume", "prior"),
    "inspect": ("inspect", "words.txt", *LETTERS[:2]),
}


def reads(command: str, place: str) -> bool:
    """Whether a command is given the file, or the folder that it lies in; a run names its prior and its votes."""
    words = [word.removeprefix("./") for word in COMMANDS[command]]
    named = {word.partition("/")[0] for word in words} | ({"run"} if "reward.toml" in words else set())
    return place.partition("/")[0] in named | ({"prior", "votes.jsonl"} if "run" in named else set())


# What may lie where a file of a run was


def link(path: Path) -> None:
    """A link to a file outside."""
    path.symlink_to(next(folder / "precious.txt" for folder in path.parents if (folder / "precious.txt").exists()))


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


def thousands(path: Path) -> None:
    """Every 2 is a number of more digits than Python reads."""
    path.write_bytes(BEFORE[0].replace(b"2", b"2" * 5000))


def socket(path: Path) -> None:
    """A socket that nobody listens to."""
    os.mknod(path, stat.S_IFSOCK | 0o600)


def other(path: Path) -> None:
    """What another file beside it holds, or nothing."""
    files = sorted(file for file in path.parent.iterdir() if file.is_file())
    path.write_bytes(files[len(BEFORE[0]) % len(files)].read_bytes() if files else b"")


def zeros(path: Path) -> None:
    """As many bytes, all of them 0, as a power cut may leave them."""
    path.write_bytes(bytes(len(BEFORE[0])))


def twice(path: Path) -> None:
    """All of it, and all of it again."""
    path.write_bytes(BEFORE[0] * 2)


def many(path: Path) -> None:
    """All of it, and its last line 100,000 times."""
    path.write_bytes(BEFORE[0] + (BEFORE[0].splitlines(keepends=True) or [b""])[-1][-60:] * 100_000)


def flipped(path: Path) -> None:
    """A bit in the middle is another one."""
    middle = len(BEFORE[0]) // 2
    path.write_bytes(
        BEFORE[0][:middle] + bytes(b ^ 4 for b in BEFORE[0][middle : middle + 1]) + BEFORE[0][middle + 1 :]
    )


def windows(path: Path) -> None:
    """The same out of an editor that writes a byte order mark and other line ends."""
    path.write_bytes(b"\xef\xbb\xbf" + BEFORE[0].replace(b"\n", b"\r\n"))


def no_numbers(path: Path) -> None:
    """Every number is none."""
    path.write_bytes(re.sub(rb"\b\d+(\.\d+)?\b", b"nan", BEFORE[0]))


def negative(path: Path) -> None:
    """Every number is below 0."""
    path.write_bytes(re.sub(rb"(?<![\w.-])\d", rb"-\g<0>", BEFORE[0]))


def surrogate(path: Path) -> None:
    """Every letter a gives way to half a character, as JSON spells it."""
    path.write_bytes(BEFORE[0].replace(b"a", b"\\ud800"))


BEFORE: list[bytes] = [b""]  # what the file held
FAULTS: tuple[Callable[[Path], None], ...] = (
    *(link, loop, fifo, socket, folder, missing, empty, half, character, vast, cell, list_of_lists, number),
    *(utf16, noise, zeros, other, twice, many, flipped, windows, escapes, digits, thousands, no_numbers, negative),
    surrogate,
)


# Attempts, each in a process of its own


def prepare(work: Path) -> None:
    """In the folder `work`: a prior, votes, a record, words, a finished run, and a file that nobody may touch."""
    torch.set_num_threads(1)  # a forked process has no threads to share its work with, and would wait for them
    from letters import language

    from seqtutor.people.votes import Vote, append

    os.chdir(work)
    os.environ["XDG_CACHE_HOME"] = "cache"  # each attempt has a copy of its own
    Path("precious.txt").write_text("precious")
    words = language(300, 6)
    Path("words.txt").write_text("".join(f"{word}\n" for word in dict.fromkeys(words)))
    Path("record.csv").write_text(
        "".join(f"{row}\n" for row in ("text,reward,logp", *(f"{w},{len(w)},{-len(w)}" for w in words)))
    )
    Path("reward.toml").write_text('[terms.before]\nrun = "run"\n')
    for one, two in zip(words[:20], words[20:40], strict=True):
        append(Path("votes.jsonl"), Vote("letters", "anna", one, two, "a" if len(one) > len(two) else "b"))
    small = ("--hidden", "8", "--embedding", "4", "--epochs", "1", "--output", "prior")
    oracle = ("--function=rare=oracles:rare", "--taste", "votes.jsonl", "--updates", "2", "--output", "run")
    for args in (("pretrain", *LETTERS, *small), (*TRAIN, *oracle)):
        result = CliRunner().invoke(main, args)
        if result.exit_code:
            raise RuntimeError(result.output) from result.exception


def install_letters() -> None:
    """Have the letters of tests/ as the only domain of this process."""
    found, entry = importlib.metadata.entry_points, EntryPoint("letters", "letters:LettersDomain", "seqtutor.domains")
    importlib.metadata.entry_points = lambda **given: (  # type: ignore[assignment]
        [entry] if given == {"group": "seqtutor.domains"} else found(**given)
    )


def places(work: Path) -> list[str]:
    """The files that a stranger may have sent, by their path in `work`."""
    files = (path for name in GIVEN for path in ((work / name).rglob("*") if (work / name).is_dir() else [work / name]))
    return sorted(path.relative_to(work).as_posix() for path in files if path.is_file())


def rows(work: Path) -> list[tuple[str, Callable[[Path], None], str]]:
    """All combinations that can tell something: a file, what lies in its place, a command that is given it."""
    return [(p, f, c) for p in places(work) for f in FAULTS for c in COMMANDS if reads(c, p)]


def attempt(work: Path, place: str, fault: Callable[[Path], None], command: str) -> str:
    """'done' or 'refused', or what went wrong: a traceback, a hang, lines too many, a file touched outside."""
    with tempfile.TemporaryDirectory() as copy:
        here = Path(copy, "work")
        shutil.copytree(work, here)
        path = here / place
        BEFORE[0] = path.read_bytes()
        path.unlink()
        fault(path)
        own = "prior" if command == "further" else "run"
        seconds = OF_MANY if fault is many else WORK
        return _outside(here, lambda: apart(here, lambda: called(*COMMANDS[command]), seconds), own)


def called(*args: str) -> str:
    """What a command comes to in this process."""
    result = CliRunner().invoke(main, list(args))
    if "\x1b" in result.output:
        return "escape sequence printed"
    if result.exit_code == 0:
        return "done"
    if not isinstance(result.exception, SystemExit):
        error = result.exception or RuntimeError("no exception")
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}: {str(error)[:80]}"
    lines = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    return "refused" if len(lines) == 1 else f"said {result.stderr[:200]!r}"


def _outside(here: Path, action: Callable[[], str], own: str = "run") -> str:
    """What an action comes to; a file outside of its own folder that it touched is named instead."""

    def others() -> dict[str, tuple[int, int, int]]:
        found = {path.relative_to(here): path.lstat() for path in here.rglob("*") if not path.is_dir()}
        mine = {path: about for path, about in found.items() if path.parts[0] not in (own, "out", "outputs", "cache")}
        return {str(path): (about.st_ino, about.st_size, about.st_mtime_ns) for path, about in mine.items()}

    before = others()
    found, after = action(), others()
    touched = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    return f"touched {touched[0]}" if touched else found


def apart(here: Path, action: Callable[[], str], work: int = WORK) -> str:
    """What an action returns in a forked process that works in the folder `here`; 'died' or 'hung' otherwise."""
    report = here.parent / "report.json"
    child = os.fork()
    if child == 0:
        try:
            os.chdir(here)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(WAIT)
            signal.setitimer(signal.ITIMER_PROF, work)
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
