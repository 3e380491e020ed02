"""What a plugin raises becomes one line that names the domain, the method and the place.

Whatever it is, it is caught: a stranger's code may raise anything, and whoever reads the line must see whose it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from seqtutor.domain import Domain
from seqtutor.errors import UserError
from seqtutor.plugin.contract import wrong
from seqtutor.plugin.installed import line_of, place

PASSED = (UserError, MemoryError)  # said already, or the machine's
OF_FILES = (*PASSED, OSError, UnicodeDecodeError)  # the command names the file


@contextmanager
def border(cls: type[Domain], method: str, passed: tuple[type[Exception], ...] = PASSED) -> Iterator[None]:
    """Turn what the block raises into a UserError that names the domain, the method and the place."""
    try:
        yield
    except passed:
        raise
    except (Exception, SystemExit) as error:
        raise wrong(cls, method, line_of(error) + place(error, cls.__module__)) from error
