"""What every command prints with: one console, progress bars with the time left, tables."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

PARTS = 10  # of a long work: where no terminal shows a bar, a line is printed after each


class _Console(Console):
    """rich's own, but for a reader who goes away: that is said in a line, and not passed over in silence."""

    def on_broken_pipe(self) -> None:
        """Write to nowhere from now on, so that nothing fails twice, and let the command end in its own way."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise BrokenPipeError


console = _Console(highlight=False, markup=False, emoji=False)  # a name may hold brackets


def say(line: str) -> None:
    """Print a line of any length unbroken, so that a path or a command in it can be copied."""
    console.print(line, soft_wrap=True)


def new_table(title: str | None, *figures: str, last: str | None = None, whole: bool = False) -> Table:
    """A table whose first column names the rows, then columns of `figures`, and one of words if it has a name.

    `whole`: figures are not broken into lines where the screen is narrow.
    """
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("", no_wrap=whole)
    for heading in figures:
        table.add_column(heading, justify="right", no_wrap=whole)
    if last is not None:
        table.add_column(last, overflow="fold")
    return table


class _Progress(Progress):
    """rich's own bar; into a file or a pipe, plain lines instead."""

    printed = 0  # parts

    def update(self, task_id: TaskID, **fields: Any) -> None:
        """As Progress.update."""
        super().update(task_id, **fields)
        task = self.tasks[task_id]
        done = int(PARTS * task.completed / task.total) if task.total else 0
        if self.disable and done > self.printed:
            self.printed = done
            line = f"{task.description}: {task.completed:,.0f} of {task.total:,.0f}  {task.fields['figures']}"
            say(line.rstrip())


@contextmanager
def progress(label: str) -> Iterator[Callable[..., None]]:
    """A progress bar with the time left, as a function (done, total, figures behind it); see `_Progress`."""
    columns = (
        TextColumn(label),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    with _Progress(*columns, console=console, refresh_per_second=4, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=None, figures="")
        yield lambda done, total, figures="": bar.update(task, completed=done, total=total, figures=figures)
