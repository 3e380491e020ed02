"""What fits into memory: a size that cannot is said in a line, before the system ends the process without a word."""

from __future__ import annotations

import os

from seqtutor.errors import UserError


def check_memory(what: str, needed: float) -> None:
    """Raise UserError where `what` needs more bytes than there are, those in use included."""
    if not hasattr(os, "sysconf"):  # not on every system
        return
    have = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > have:
        raise UserError(f"{what} needs {needed / 1e9:,.0f} GB of memory, and there are {have / 1e9:,.0f} GB")
