"""What became of one text, and how a function is asked so that nothing it does is mistaken for a score."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from seqtutor.errors import UserError

Kind = Literal["value", "failure", "quarantine"]
LONGEST = 300  # characters of a reason
LARGEST = 1e18  # beyond it a square is no float32 any more, and a policy that learnt from it would be lost


class Outcome(NamedTuple):
    """A value, or the reason why there is none. `quarantine`: the text kills whoever scores it."""

    value: float
    reason: str = ""
    kind: Kind = "value"


class WrongNumber(UserError):
    """A function gave more or fewer answers than it was given texts: whose is whose is unknown, so the run stops."""


class Shifted(WrongNumber):
    """An answer came that nobody had asked for: those of `term` that came shortly before it may be other texts' too."""

    def __init__(self, message: str, term: str = "") -> None:
        super().__init__(message)
        self.term = term


def failure(reason: str, kind: Kind = "failure") -> Outcome:
    """No value, and why: one line of at most LONGEST characters."""
    shown = " ".join(reason.split()).encode(errors="replace").decode()  # a lone surrogate could not be written down
    return Outcome(math.nan, shown[:LONGEST] or "no reason given", kind)


def ask(
    function: Callable[[Sequence[str]], Any], texts: Sequence[str], singly: bool = False
) -> tuple[list[Outcome], bool]:
    """One outcome a text, in order -> the outcomes, and whether the function was asked one by one, `singly` or not.

    That is what becomes of several texts for which the function raised. Raises WrongNumber where it gives more or fewer
    answers than texts.
    """
    if singly:
        return [ask(function, [text])[0][0] for text in texts], True
    try:
        given = function(list(texts))  # its own list: what it does to that must not move values to other texts
    except WrongNumber:
        raise
    except (Exception, SystemExit) as error:  # what a scorer raises is a failure of these texts and of nothing else
        if len(texts) == 1:
            ended = f"it asked to end the process, with {error.code}" if isinstance(error, SystemExit) else ""
            return [failure(ended or f"{type(error).__name__}: {error}")], False
        return ask(function, texts, singly=True)
    return [outcome_of(value) for value in _counted(given, len(texts))], False


def _counted(given: Any, wanted: int) -> Sequence[Any]:
    shape = getattr(given, "shape", None)
    if shape is None and not (isinstance(given, Sequence) and not isinstance(given, str | bytes)):
        raise WrongNumber(f"gave {type(given).__name__} values for {wanted} texts; a list with one each is needed")
    if shape is None:
        shape = (len(given),)
    if shape != (wanted,):
        raise WrongNumber(
            f"gave {shape[0] if len(shape) == 1 else shape} values for {wanted} texts; one each is needed"
        )
    return given.tolist() if hasattr(given, "tolist") else list(given)


def outcome_of(value: Any) -> Outcome:
    """A finite number as a value; anything else as a failure that says what it was."""
    if type(value) is float and -LARGEST <= value <= LARGEST:  # nearly all are
        return Outcome(value)
    if isinstance(value, Outcome):
        return value
    if value is None:
        return failure("gave no value")
    if not isinstance(value, numbers.Real):
        return failure(f"gave {value!r}, which is no number")
    try:
        number = float(value)
    except OverflowError:
        return failure("gave a number too large for a float")
    return Outcome(number) if abs(number) <= LARGEST else failure(f"gave {number}")
