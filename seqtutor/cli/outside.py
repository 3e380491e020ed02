"""Functions, programs and transforms on the command line, and those in a config that somebody else may have written."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from seqtutor.config import TrainConfig, layered
from seqtutor.errors import UserError
from seqtutor.files import found_from

Tables = dict[str, dict[str, Any]]  # as `[terms.NAME]` in a config
OF_SESSION = "of the Python session that made the run: seqtutor.load_run(RUN, terms=...) takes it again"


def typed_terms(functions: Sequence[str], programs: Sequence[str], transforms: Sequence[str]) -> Tables:
    """What was typed, as tables of a config. A program's words are split as a shell would, and no shell sees them."""
    tables: Tables = {}
    for name, place in _named("--function", functions, "dock=my_oracles:dock"):
        tables.setdefault(name, {})["function"] = place
    for name, command in _named("--program", programs, '"dock=sh dock.sh"'):
        try:
            tables.setdefault(name, {})["program"] = shlex.split(command)
        except ValueError as error:
            raise UserError(f"--program {name}={command}: {error}") from error
    for name, rest in _named("--transform", transforms, "logp=sigmoid,low=1,high=3"):
        kind, *numbers = rest.split(",")
        try:
            pairs = {key: float(value) for key, value in (item.split("=") for item in numbers)}
        except ValueError:
            raise UserError(
                "--transform takes NAME=KIND,low=NUMBER,high=NUMBER, such as logp=sigmoid,low=1,high=3, "
                f"not '{name}={rest}'"
            ) from None
        tables.setdefault(name, {})["transform"] = {"kind": kind, **pairs}
    return tables


def _named(option: str, texts: Sequence[str], example: str) -> Iterator[tuple[str, str]]:
    """The NAME and the rest of each NAME=... that was typed. Raises UserError for another text, and a second NAME."""
    names: set[str] = set()
    for text in texts:
        name, _, rest = text.partition("=")
        if not name or not rest:
            raise UserError(f"{option} takes NAME=..., such as {option} {example}, not '{text}'")
        if name in names:
            raise UserError(f"{option} names '{name}' twice, the second time as '{rest}': give each a name of its own")
        names.add(name)
        yield name, rest


def with_learnt(tables: Tables, votes: str, measured: Sequence[str], caution: float | None, resume: str) -> Tables:
    """The tables with a term `taste` if a file of votes was typed, and one for each table of measured texts.

    The files are sealed by a digest when the run begins.
    """
    given = {"--taste": votes, "--surrogate": measured, "--caution": caution is not None}
    typed = [option for option, value in given.items() if value]
    if resume and typed:
        raise UserError(
            f"a resumed run keeps what it learnt its reward from: go on without {typed[0]}, or start another run with "
            f"the new file, from this one's policy if you like: --prior {Path(resume)}/"
        )
    if typed == ["--caution"]:
        raise UserError(f"--caution {caution:g} is about a learnt reward: name --taste FILE or --surrogate NAME=FILE")
    new: Tables = {"taste": {"taste": votes, "digest": "", "bytes": 0}} if votes else {}
    for name, file in _named("--surrogate", measured, "pIC50=assay.csv"):
        new[name] = {"surrogate": file, "digest": ""}
    doubt = {} if caution is None else {"caution": caution}
    return {**tables, **{name: {**tables.get(name, {}), **table, **doubt} for name, table in new.items()}}


def refuse_strangers(read: Mapping[str, Any], typed: Tables, typed_cache: Any, origin: str) -> None:
    """Raise UserError where a config names a function, a program or a file elsewhere that was not typed here."""
    cache = Path(str(read.get("cache", "")))
    if str(cache) != str(typed_cache) and (cache.is_absolute() or ".." in cache.parts):
        raise UserError(f"{origin} names the file of answers '{cache}', which lies elsewhere; say --trust")
    tables = read.get("terms")
    for name, table in tables.items() if isinstance(tables, Mapping) else ():
        for kind in ("function", "program"):
            named = table.get(kind) if isinstance(table, Mapping) else None
            if named is not None and named != typed.get(name, {}).get(kind):
                raise UserError(
                    f"{origin} names the {kind} {named!r} (term '{name}'), which would run on this machine; "
                    f"say --trust if you know it"
                )


def with_terms(read: dict[str, Any], typed: Tables) -> dict[str, Any]:
    """The keys of a config with what was typed put into its tables of terms."""
    tables = read.get("terms", {})
    if not typed or not isinstance(tables, dict):
        return read
    return {**read, "terms": {**tables, **{name: {**tables.get(name, {}), **table} for name, table in typed.items()}}}


def next_stage(before: Mapping[str, Any], stage: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a run's config with those of a `stage` over them; a weight that its terms state is one of them."""
    tables, weights = stage.get("terms", {}), before.get("weights", {})
    own = before.get("terms", {})
    whole = all(isinstance(table, Mapping) for table in (tables, weights, own))
    if not whole or not all(isinstance(table, Mapping) for table in (*tables.values(), *own.values())):
        return layered(before, stage)  # whoever reads the settings says what is wrong with them
    stated = {name for name, table in tables.items() if "weight" in table or table.get("filter") is True}
    kept = {name: weight for name, weight in weights.items() if name not in stated}
    others = {key: value for key, value in stage.items() if key != "terms"}
    return layered(with_terms({**before, "weights": kept}, tables), others)


def foreign(config: TrainConfig) -> list[str]:
    """The terms that a config has from outside."""
    outside = {"function", "program", "session"}
    return [name for name, table in config.terms.items() if isinstance(table, Mapping) and outside & set(table)]


def paid_from_outside(config: TrainConfig) -> list[str]:
    """Those of them that the reward is made of."""
    filters = {name for name, table in config.terms.items() if isinstance(table, Mapping) and table.get("filter")}
    return [name for name in foreign(config) if config.term_weights.get(name) or name in filters]


def left_out(config: TrainConfig, trust: bool) -> list[str]:
    """The terms from outside that must not run: with --trust none, without it all, and a line says which."""
    gone = of_session(config)
    names = [] if trust else [name for name in foreign(config) if name not in gone]
    if names:
        shown = ", ".join(names)
        click.echo(f"left out: {shown}, scored by a function or a program; --trust runs them", err=True)
    if gone:
        click.echo(f"left out: {', '.join(gone)}, {OF_SESSION}", err=True)
    return names + gone


def of_session(config: TrainConfig) -> list[str]:
    """The terms of a config that were functions of the Python session which made the run."""
    return [name for name, table in config.terms.items() if isinstance(table, Mapping) and "session" in table]


def unseen(config: TrainConfig, run: Path) -> list[str]:
    """The terms whose table of measured texts is gone, or another one now, with a line on each: nobody knows them."""
    from seqtutor.rewards.surrogate import check_table

    names = []
    for name, table in config.terms.items():
        if isinstance(table, Mapping) and "surrogate" in table:
            try:
                check_table(
                    Path(found_from(table["surrogate"], run)), table.get("column", name), table.get("digest", "")
                )
            except UserError as error:
                click.echo(f"left out: {name}: {error}", err=True)
                names.append(name)
    return names
