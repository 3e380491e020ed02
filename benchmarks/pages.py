"""Tables on pages: what stands between <!-- NAME --> and <!-- end --> is replaced."""

from __future__ import annotations

from pathlib import Path

import click

END = "<!-- end -->"


def put(page: Path, name: str, text: str) -> None:
    """Write `text` into the part of a page that is called so. Raises UsageError where it has none."""
    begin = f"<!-- {name} -->"
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, ends, after = rest.partition(END)
    if not (found and ends):
        raise click.UsageError(f"{page} has no part between {begin} and {END}")
    page.write_text(f"{before}{begin}\n{text}\n{END}{after}", encoding="utf-8")
