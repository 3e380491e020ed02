"""The command line: a module for each command, which imports what is slow, such as torch, where it is needed."""

from __future__ import annotations

import importlib
import io
import os
import sys
from typing import Any

import click

from seqtutor import __version__
from seqtutor.errors import UserError, plain
from seqtutor.hardware import idle_threads
from seqtutor.signals import INTERRUPTED

COMMANDS = (
    *("domains", "train", "status", "generate", "explain", "evaluate", "score", "calibrate", "report"),
    *("rate", "inspect", "pretrain", "infer", "verify", "new", "check"),
)  # fmt: skip


class Commands(click.Group):
    """A group whose commands are loaded when typed, and whose users' mistakes print as one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order of a working day."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of the module `seqtutor.cli.<name>`."""
        if cmd_name not in COMMANDS:
            return None
        return getattr(importlib.import_module(f"seqtutor.cli.{cmd_name}"), cmd_name)  # type: ignore[no-any-return]

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what the user can mend is said in one line, with exit status 1."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            raise click.ClickException(plain(str(error))) from error  # a stranger's file may be quoted
        except KeyboardInterrupt as stopped:
            notes = getattr(stopped, "__notes__", ())  # how to go on, where a command knows
            line = "; ".join((f"stopped by {getattr(stopped, 'name', 'SIGINT')}", *notes))
            click.ClickException(line).show()
            raise SystemExit(getattr(stopped, "status", INTERRUPTED)) from stopped
        except PermissionError as error:
            raise click.ClickException(f"no permission to write or read {error.filename}") from error
        except BrokenPipeError as error:
            saved = "; what was learnt is saved" if ctx.invoked_subcommand in ("train", "pretrain") else ""
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that nothing fails once more at the end
            raise click.ClickException(f"the output was closed by its reader{saved}") from error
        except (MemoryError, RuntimeError) as error:  # what torch raises is a plain RuntimeError
            if isinstance(error, RuntimeError) and "memory" not in str(error):
                raise
            raise click.ClickException("not enough memory; try smaller batches, fewer rollouts or samples") from error
        except OSError as error:
            raise click.ClickException(f"{error.strerror or error}: {error.filename or 'while writing'}") from error


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, "-V", "--version", prog_name="seqtutor")
def main() -> None:
    """Tune a sequence model towards stated rewards without letting go of what it learnt from data.

    \b
    seqtutor train --domain music          tune melodies to the rules of music theory
    seqtutor train --domain molecules      tune SMILES to drug-like, makeable molecules
    """
    _open_standard_files()
    if "OMP_NUM_THREADS" not in os.environ:  # what torch computes with once it is imported
        os.environ["OMP_NUM_THREADS"] = str(idle_threads())


def _open_standard_files() -> None:
    """See that input and outputs are open, else a pipe to a worker would take their place, and that any text prints."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace" if stream is sys.stdout else "backslashreplace")
