"""A program in any language that scores: a text a line in, a number or a JSON object a line out."""

from __future__ import annotations

import json
import math
import os
import re
import select
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from seqtutor.errors import UserError
from seqtutor.files import digest
from seqtutor.rewards.outcomes import Outcome, Shifted, WrongNumber, failure, outcome_of

GRACE = 2.0  # seconds for a program whose pipes have closed to end by itself
SETTLE = 0.02  # seconds that a program must be silent after a call whose answers do not name their texts
LONGEST_LINE = 1 << 16  # bytes of an answer
LONGEST_SHOWN = 80  # of one in a message
KEPT = 2000  # bytes of a program's error output that are kept
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")  # .5 and +2. too, which are no JSON
NO_NUMBER = ("na", "n/a", "#n/a", "<na>", "none", "null", "nan(ind)", "-nan(ind)", "1.#qnan")  # where there is none


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
        name = self.arguments[0] if self.arguments else ""
        if not name or shutil.which(name) is None:
            why = ""
            if name and Path(name).exists():
                why = ": it is a folder" if Path(name).is_dir() else f": it may not be executed, chmod +x {name}"
            raise UserError(f"there is no program '{name}' to run{why}")

    def version(self) -> str:
        """Changes with the arguments, and with each file that they name."""
        files = [Path(argument) for argument in self.arguments if Path(argument).is_file()]
        return " ".join(["program", *self.arguments, *map(digest, files)])

    def open(self) -> Program:
        """Start the program, or start it again. Raises UserError where that fails."""
        self.close()
        self.unread, pipe = b"", subprocess.PIPE
        try:
            self.process = subprocess.Popen(self.arguments, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0)  # noqa: S603
        except OSError as error:
            raise UserError(f"cannot start '{self.arguments[0]}': {error.strerror}") from error
        self.errors = Errors(self.process.stderr)
        return self

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
        if lines and _answer_of(lines[-1]) is not None:
            raise UserError("answered without a line break at the end, and so it is not known when it has answered")
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


def _lines(output: int, seconds: float) -> tuple[bool, list[bytes]]:
    """Whether an answer comes within some seconds, and the lines before it; at the end of the output no more come."""
    read, deadline = b"", time.monotonic() + seconds
    while select.select([output], [], [], max(0.0, deadline - time.monotonic()))[0]:
        more = os.read(output, 1 << 16)
        read = (read + more)[-LONGEST_LINE:]
        if any(_answer_of(line, words=True) is not None for line in read.split(b"\n")[:-1]):
            return True, []
        if not more or time.monotonic() > deadline:  # one that prints without end is always ready to be read
            break
    return False, [line for line in read.split(b"\n") if line.strip()]


def _answer_of(line: bytes, *, words: bool = False) -> dict[str, Any] | None:
    """What a line answers, a JSON object or a bare number; None for any other: a banner, a note.

    `words`: once a text was given, a word for no number is an answer, too.
    """
    word = line.decode(errors="replace").strip()
    if words and _no_number(word):
        return {"value": None, "reason": f"answered '{word}'"}
    if NUMBER.fullmatch(word):
        return {"value": float(word)}
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
