"""`seqtutor new`: a package with a domain that works, to begin one's own from."""

from __future__ import annotations

import re
import shlex
from importlib.resources import files
from pathlib import Path
from string import Template

import click

from seqtutor.domain import available
from seqtutor.errors import UserError
from seqtutor.files import from_home
from seqtutor.plugin.contract import NAME


@click.command()
@click.argument("name")
@click.option("--output", default="", help="Folder to write to.  [default: NAME, here]")
def new(name: str, output: str) -> None:
    """Write a package with the domain NAME: it installs, passes its own tests, and has sixty lines to change.

    \b
    seqtutor new rna
    pip install --no-build-isolation -e ./rna
    seqtutor check rna
    """
    folder = from_home(output or name)
    paths = write_package(name, folder)
    click.echo(f"wrote {', '.join(str(path) for path in paths)}")
    click.echo("now type:")
    place = shlex.quote(str(folder) if folder.is_absolute() else f"./{folder}")
    for line in (
        f"pip install --no-build-isolation -e {place}",
        f"seqtutor check {name}",
        f"seqtutor pretrain --domain {name} --output {name}-prior",
        f"seqtutor train --domain {name} --prior ./{name}-prior",
    ):
        click.echo(f"  {line}")


def write_package(name: str, folder: Path) -> list[Path]:
    """The files of a new package. Raises UserError for a name that is taken or none, and for a folder that is there."""
    if not NAME.fullmatch(name):
        raise UserError(f"'{name}' cannot be a domain's name; lower-case letters, digits, - and _ can, a letter first")
    if name in available():
        raise UserError(f"there is a domain '{name}' already; give yours another name")
    if folder.exists():
        raise UserError(f"{folder} exists; name another with --output, or remove it")
    module = f"seqtutor_{name.replace('-', '_')}"
    words = {
        "name": name,
        "project": module.replace("_", "-"),
        "module": module,
        "cls": "".join(part.capitalize() for part in re.split("[-_]", name)) + "Domain",
    }
    sources = {
        "pyproject.toml": folder / "pyproject.toml",
        "domain.py": folder / module / "__init__.py",
        "test_domain.py": folder / "tests" / f"test_{module}.py",
    }
    for source, path in sources.items():
        template = files("seqtutor.plugin").joinpath("templates", f"{source}.txt").read_text(encoding="utf-8")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template(template).substitute(words), encoding="utf-8")
    return list(sources.values())
