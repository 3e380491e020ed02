"""What every command prints with: one console, progress bars with the time left, tables."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


class _Console(Console):
    """rich's own, but for a reader who goes away: that is said in a line, and not passed over in silence."""

    def on_broken_pipe(self) -> None:
        """Write to nowhere from now on, so that nothing fails twice, and let the command end in its own way."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise BrokenPipeError


console = _Console(highlight=False)


@contextmanager
def progress(label: str) -> Iterator[Progress]:
    """A progress bar with the time left and, behind it, the live figures (the field `figures`)."""
    columns = (
        TextColumn(label),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    with Progress(*columns, console=console, refresh_per_second=4) as bar:
        bar.add_task(label, total=None, figures="")
        yield bar


@contextmanager
def counting(label: str) -> Iterator[object]:
    """A progress bar as the function (done, total) that a domain reports to."""
    with progress(label) as bar:
        yield lambda done, total: bar.update(bar.task_ids[0], completed=done, total=total)
