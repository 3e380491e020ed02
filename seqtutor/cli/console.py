"""What every command prints with: one console, progress bars with the time left, tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

console = Console(highlight=False)


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
