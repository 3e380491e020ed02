"""What worker processes answer for: a Python function of the user's, a program in any language, a domain's own term.

They are handed over as descriptions, and load themselves there.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from importlib.machinery import PathFinder
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from seqtutor.errors import UserError
from seqtutor.files import digest
from seqtutor.rewards.outcomes import Outcome, Shifted, WrongNumber, failure, outcome_of

GRACE = 2.0  # seconds for a program whose pipes have closed to end by itself
SETTLE = 0.02  # seconds that a program must be silent after a call whose answers do not name their texts
LONGEST_LINE = 1 << 16  # bytes of an answer
LONGEST_SHOWN = 80  # of one in a message
KEPT = 2000  # bytes of a program's error output that are kept
NO_NUMBER = ("na", "n/a", "#n/a", "<na>", "none", "null", "nan(ind)", "-nan(ind)", "1.#qnan")  # where there is none


@dataclass
class Function:
    """`module:function`: a list of texts in, a list of numbers or None out. Imported in the worker, never here."""

    place: str
    function: Callable[[list[str]], Any] | None = field(default=None, compare=False)

    def check(self) -> None:
        """Raise UserError where there is no such module; it is looked for without being run."""
        module, _, name = self.place.partition(":")
        if not module or not name.isidentifier():
            raise UserError(f"a function is named module:function, such as my_oracles:dock, not '{self.place}'")
        if _source(module) is None:
            raise UserError(
                f"there is no module '{module}' for the function '{self.place}'; "
                f"looked in {Path.cwd()} and among the installed modules"
            )

    def version(self) -> str:
        """Changes with the file that holds the function."""
        source = _source(self.place.partition(":")[0])
        return f"function {self.place} {digest(source) if source else ''}"

    def open(self) -> None:
        """Import the function. Raises UserError where that fails."""
        module, _, name = self.place.partition(":")
        found = getattr(_imported(module), name, None)
        if not callable(found):
            raise UserError(f"the module '{module}' has no function '{name}'")
        self.function = found

    def __call__(self, texts: Sequence[str]) -> Any:
        """What the function says, whatever that is."""
        if self.function is None:
            self.open()
        return self.function(list(texts)) if self.function else None


def _imported(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except Exception as error:  # whatever somebody's module raises while it is imported, the line shall name it
        raise UserError(f"cannot import '{module}': {type(error).__name__}: {error}") from error


def _source(module: str) -> Path | None:
    """The file of a module; nothing is run, not even the packages that it lies in. The current folder comes last."""
    here = str(Path.cwd())
    places: Sequence[str] | None = sys.path if here in sys.path else [*sys.path, here]
    importlib.invalidate_caches()
    found = None
    for depth in range(1, len(names := module.split(".")) + 1):
        found = PathFinder.find_spec(".".join(names[:depth]), places) if places is not None else None
        places = found.submodule_search_locations if found else None
    return Path(found.origin) if found and found.origin else None


class Errors:
    """The end of what a program writes to its error output, read by a thread so that it never waits for a reader."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        self.said = b""
        self.thread = threading.Thread(target=self._listen, args=(pipe,), daemon=True)
        self.thread.start()

    def _listen(self, pipe: IO[bytes] | None) -> None:
        if pipe is not None:
            with pipe, suppress(OSError):
                while more := os.read(pipe.fileno(), 1 << 16):
                    self.said = (self.said + more)[-KEPT:]

    @property
    def last(self) -> str:
        """The last line, once the program has ended; what it has started may go on writing."""
        self.thread.join(SETTLE)
        lines = self.said.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


@dataclass
class Program:
    """A program and its arguments: a text a line in, a number or JSON object a line out. Started once and kept."""

    arguments: tuple[str, ...]
    process: subprocess.Popen[bytes] | None = field(default=None, compare=False)
    unread: bytes = field(default=b"", compare=False)
    named: bool = field(default=False, compare=False)  # its last answer said which text it is for
    errors: Errors | None = field(default=None, compare=False)

    def check(self) -> None:
        """Raise UserError where there is no such program."""
        if not self.arguments or shutil.which(self.arguments[0]) is None:
            raise UserError(f"there is no program '{self.arguments[0] if self.arguments else ''}' to run")

    def version(self) -> str:
        """Changes with the arguments, and with each file that they name."""
        files = [Path(argument) for argument in self.arguments if Path(argument).is_file()]
        return " ".join(["program", *self.arguments, *map(digest, files)])

    def open(self) -> None:
        """Start the program, or start it again. Raises UserError where that fails."""
        self.close()
        self.unread, pipe = b"", subprocess.PIPE
        try:
            self.process = subprocess.Popen(self.arguments, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0)  # noqa: S603
        except OSError as error:
            raise UserError(f"cannot start '{self.arguments[0]}': {error.strerror}") from error
        self.errors = Errors(self.process.stderr)

    def close(self) -> None:
        """End the program if it runs."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    pipe.close()

    def __call__(self, texts: Sequence[str]) -> Any:
        """One Outcome a text. A program that dies is started again; a text it dies of twice is quarantined."""
        outcomes = [self._ask(text) or self._ask(text, anew=True) or self._died() for text in texts]
        output = self.process.stdout if self.process else None
        if output is not None and not self.named:
            self._expect_silence(output.fileno(), SETTLE)
        return outcomes

    def probe(self, text: str, seconds: float) -> None:
        """Ask about one text. Raises UserError where what the program prints in that time is no answer.

        One that is silent, or ends of this text, may have its reasons: they are told when it fails in earnest. One that
        ends with an error before it is given any text will never answer.
        """
        self.open()
        process = self.process
        if process is None or process.stdin is None or process.stdout is None:
            return
        with suppress(OSError):
            process.stdin.write(text.encode() + b"\n")
        try:
            answered, lines = _lines(process.stdout.fileno(), seconds)
            if answered:
                return
            with suppress(OSError):
                process.stdin.close()
            at_last, late = _lines(process.stdout.fileno(), GRACE)
            with suppress(subprocess.TimeoutExpired):  # its pipes close a little before it has ended
                process.wait(GRACE / 4)
            dead = not (at_last or late or lines) and process.returncode
        finally:
            self.close()
        if dead and (why := self._ends_by_itself()):
            raise UserError(f"cannot be used: it ended before it was given a text, with {why}")
        if (at_last or late) and not lines:
            raise UserError(
                f"was silent for {seconds:g} s when it was given a text, and answered at the end of its input: it must "
                "answer each line at once, and flush its output"
            )
        if lines:
            shown = lines[-1][:LONGEST_SHOWN].decode(errors="replace")
            raise UserError(
                f"printed '{shown}', which is no answer: a number is one, or a JSON object with a value, such as "
                '{"value": 1.5}'
            )

    def _ends_by_itself(self) -> str:
        """How the program ends, in error, without a text; empty where it waits for one."""
        self.open()
        try:
            status = self.process.wait(GRACE) if self.process else 0
        except subprocess.TimeoutExpired:
            return ""
        finally:
            self.close()
        return self._ended(status) if status else ""

    def _ended(self, status: int) -> str:
        said = self.errors.last if self.errors else ""
        return ended(status) + (f": {said}" if said else "")

    def _ask(self, text: str, *, anew: bool = False) -> Outcome | None:
        """The outcome of a text; None where the program died of it. `anew`: of a new process; the old may linger."""
        if "\n" in text or "\r" in text:
            return failure("holds a line break, and a program reads one text a line")
        if anew or self.process is None or self.process.poll() is not None:
            self.open()
        process = self.process
        if process is None or process.stdin is None or process.stdout is None:
            return None
        self._expect_silence(process.stdout.fileno())
        try:
            process.stdin.write(text.encode() + b"\n")
            outcome = self._read(process.stdout.fileno(), text)
        except OSError:
            outcome = None
        if outcome:
            self._expect_silence(process.stdout.fileno())
        else:  # its pipes close before it has ended: asked again now, it would seem to have died of this text twice
            with suppress(subprocess.TimeoutExpired):
                process.wait(GRACE)
        return outcome

    def _read(self, output: int, text: str) -> Outcome | None:
        """The next line that is an answer; other lines are not for us. None at the end."""
        while True:
            while b"\n" in self.unread:
                line, self.unread = self.unread.split(b"\n", 1)
                if (found := _answer_of(line, words=True)) is not None:
                    self.named = "text" in found
                    return _answer(found, text)
            more = os.read(output, 1 << 16)
            if not more:
                return None
            self.unread = (self.unread + more)[-LONGEST_LINE:]

    def _expect_silence(self, output: int, seconds: float = 0.0) -> None:
        """Raise Shifted where an answer comes within some seconds that nobody asked for: the next text would get it."""
        if select.select([output], [], [], seconds)[0]:
            self.unread += os.read(output, 1 << 16)
        if any(_answer_of(line) is not None for line in self.unread.split(b"\n")):
            raise Shifted("gave more than one answer for one text; one line each is needed")
        self.unread = self.unread.split(b"\n")[-1]  # what was printed before a question answers none

    def _died(self) -> Outcome:
        status = self.process.wait() if self.process else 0
        return failure(f"the program ended twice, with {self._ended(status)}", "quarantine")


@dataclass
class Own:
    """A term of a domain, which is found by its class and made anew from its options."""

    domain: str  # module:Class
    options: Mapping[str, Any]
    name: str
    kind: str = ""  # of the domain's kinds, of which a config made it
    settings: Mapping[str, Any] = field(default_factory=dict)
    function: Callable[[Sequence[str]], Any] | None = field(default=None, compare=False)

    def open(self) -> None:
        """Load the domain. Raises UserError where that fails."""
        module, _, place = self.domain.partition(":")
        try:
            made = attrgetter(place)(_imported(module))
            domain = made(made.Options(**self.options))
            terms = [domain.made(self.name, self.kind, self.settings)] if self.kind else domain.terms()
            (self.function,) = (term.values for term in terms if term.name == self.name)
        except (AttributeError, TypeError, ValueError) as error:
            raise UserError(f"cannot be loaded in a worker process from {self.domain}: {error}") from error

    def __call__(self, texts: Sequence[str]) -> Any:
        """What the term says."""
        if self.function is None:
            self.open()
        return self.function(tuple(texts)) if self.function else None


Oracle = Function | Program | Own


def lies_here(oracle: Oracle) -> bool:
    """Whether a function, or the class of a domain, is found in the current folder alone. Nothing is run."""
    if isinstance(oracle, Program):
        return False
    place = oracle.place if isinstance(oracle, Function) else oracle.domain
    top = place.partition(":")[0].partition(".")[0]
    elsewhere, here = (PathFinder.find_spec(top, places) for places in (path_elsewhere(), [str(Path.cwd())]))
    return elsewhere is None and here is not None


def path_elsewhere() -> list[str]:
    """Where modules are found, the current folder aside; where that is a checkout of ours that is used, it stays."""
    here, ours = Path.cwd(), Path(__file__).parents[2]
    return [place for place in map(str, sys.path) if place and (here != Path(place).absolute() or here == ours)]


KINDS: dict[str, Callable[..., Oracle]] = {"Function": Function, "Program": Program, "Own": Own}


def described(oracle: Oracle) -> list[Any]:
    """Its kind and what it is made from, as JSON can hold it."""
    return [type(oracle).__name__, {f.name: getattr(oracle, f.name) for f in fields(oracle) if f.compare}]


def oracle_of(description: Sequence[Any]) -> Oracle:
    """The oracle that was `described`, not opened yet."""
    kind, made_from = description
    return KINDS[kind](**made_from)


def _lines(output: int, seconds: float) -> tuple[bool, list[bytes]]:
    """Whether an answer comes within some seconds, and the lines before it; at the end of the output no more come."""
    read, deadline = b"", time.monotonic() + seconds
    while select.select([output], [], [], max(0.0, deadline - time.monotonic()))[0]:
        more = os.read(output, 1 << 16)
        read = (read + more)[-LONGEST_LINE:]
        if any(_answer_of(line, words=True) is not None for line in read.split(b"\n")[:-1]):
            return True, []
        if not more:
            break
    return False, [line for line in read.split(b"\n") if line.strip()]


def _answer_of(line: bytes, *, words: bool = False) -> dict[str, Any] | None:
    """What a line answers, a JSON object or a bare number; None for any other: a banner, a note.

    `words`: once a text was given, a word for no number is an answer, too.
    """
    word = line.decode(errors="replace").strip()
    if words and _no_number(word):
        return {"value": None, "reason": f"answered '{word}'"}
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if isinstance(found, int | float) and not isinstance(found, bool):
        return {"value": found}
    return found if isinstance(found, dict) and "value" in found else None


def _no_number(word: str) -> bool:
    try:
        return not math.isfinite(float(word))
    except ValueError:
        return word.lower() in NO_NUMBER


def ended(status: int) -> str:
    """How a process ended, in words: 'status 3', or the signal's name."""
    try:
        return signal.Signals(-status).name if status < 0 else f"status {status}"
    except ValueError:
        return f"signal {-status}"


def _answer(found: dict[str, Any], text: str) -> Outcome:
    if found.get("text", text) != text:
        raise WrongNumber(f"answered for '{found['text']}' when it was asked about '{text}'")
    if found["value"] is None:
        return failure(str(found.get("reason", "gave no value")))
    return outcome_of(found["value"])
