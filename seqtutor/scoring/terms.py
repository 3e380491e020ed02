"""The terms in use: the domain's and those from outside, with their weights, transforms and limits."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from seqtutor import __version__
from seqtutor.domain import TYPES, Domain, RewardTerm, SequenceTerm
from seqtutor.errors import UserError, unknown
from seqtutor.outside.oracles import Function, Program
from seqtutor.scoring.transforms import Transform, transform_of


@dataclass(frozen=True)
class TermSettings:
    """One table `[terms.NAME]`: a term from outside, or a transform for a term that the domain has."""

    outside: Function | Program | None = None
    transform: Transform | None = None
    weight: float = math.nan  # not stated: 1 for a term from outside, else the domain's
    invalid: float = 0.0  # score of a sequence that is no item
    summary: str = ""
    version: str = ""
    workers: int = 1
    timeout: float = 60.0
    chunk: int = 0
    retries: int = 1
    memory: int = 0

    @property
    def sentence(self) -> str:
        """Which direction is better."""
        return self.transform.sentence if self.transform else "higher is better"


PLAIN: dict[str, Any] = {  # key -> default
    f.name: f.default for f in dataclasses.fields(TermSettings) if f.name not in ("outside", "transform")
}
OF_ALL = ("transform", "better", "weight", "invalid")
KEYS = ("function", "program", "transform", "better", *PLAIN)


def settings_of(tables: Mapping[str, Any]) -> dict[str, TermSettings]:
    """The settings of each table `[terms.NAME]`. Raises UserError that names the table and the key."""
    return {name: _settings(name, table) for name, table in tables.items()}


def _settings(name: str, table: Any) -> TermSettings:
    if not isinstance(table, Mapping):
        raise UserError(f"terms.{name} must be a table, not {table!r}")
    for key in table:
        if key not in KEYS:
            raise unknown(f"key in [terms.{name}]", key, KEYS)
    outside = _outside(name, table)
    if outside is None and (idle := [key for key in table if key not in OF_ALL]):
        raise UserError(
            f"{idle[0]} in [terms.{name}] is for a term from outside, and it names no function and no program; "
            f"a term of the domain takes {', '.join(OF_ALL)}"
        )
    transform = transform_of(name, table["transform"]) if "transform" in table else None
    return TermSettings(
        outside=outside,
        transform=_directed(name, table.get("better"), transform),
        **{key: _plain(name, key, table[key]) for key in PLAIN if key in table},
    )


def _outside(name: str, table: Mapping[str, Any]) -> Function | Program | None:
    function, program = table.get("function"), table.get("program")
    if function is not None and program is not None:
        raise UserError(f"[terms.{name}] names a function and a program; a term is one of them")
    if isinstance(function, str):
        return Function(function)
    if isinstance(program, list) and program and all(isinstance(word, str) for word in program):
        return Program(tuple(program))
    if function is not None:
        raise UserError(f'function in [terms.{name}] must be text such as "my_oracles:dock", not {function!r}')
    if program is not None:
        raise UserError(f'program in [terms.{name}] must be a list such as ["sh", "dock.sh"], not {program!r}')
    return None


def _directed(name: str, better: Any, transform: Transform | None) -> Transform | None:
    """The transform, which must agree with `better`; the plain turn of the sign where less is better."""
    if better not in (None, "higher", "lower"):
        raise unknown(f"value of better in [terms.{name}]", str(better), ("higher", "lower"))
    if transform is None:
        return Transform("minus") if better == "lower" else None
    if better and transform.better and better != transform.better:
        raise UserError(
            f"[terms.{name}] says {better} is better, its transform {transform.kind} that {transform.better} is"
        )
    return transform


def _plain(name: str, key: str, value: Any) -> Any:
    wanted = type(PLAIN[key])
    if type(value) is not wanted and not (wanted is float and type(value) is int):
        raise UserError(f"{key} in [terms.{name}] must be {TYPES[wanted]}, not {value!r}")
    least: float = {"workers": 1, "timeout": 0.001}.get(key, 0)
    if key in ("workers", "timeout", "chunk", "retries", "memory") and not least <= value < math.inf:
        raise UserError(f"{key} in [terms.{name}] must be at least {least}, not {value}")
    return wanted(value)


def weighted_terms(
    domain: Domain, weights: Mapping[str, float], settings: Mapping[str, TermSettings] | None = None
) -> list[RewardTerm]:
    """The domain's terms and those from outside, with `weights` in place of their defaults; costly ones if named.

    Raises UserError for a weight or a table of a term that is none.
    """
    settings = settings or {}
    own = {term.name: term for term in domain.terms()}
    terms = [*own.values(), *(_term(name, table) for name, table in settings.items() if table.outside)]
    names = {term.name for term in terms}
    for name, table in settings.items():
        if table.outside and name in own:
            raise UserError(f"domain '{domain.name}' has a term '{name}' already; give yours another name")
    stated = {name: table.weight for name, table in settings.items() if not math.isnan(table.weight)}
    weights = {**stated, **weights}
    for name, weight in [*weights.items(), *((name, 1.0) for name in settings)]:
        if name not in names:
            raise unknown(f"term of domain '{domain.name}'", name, names)
        if not math.isfinite(weight):
            raise UserError(f"the weight of term '{name}' must be a number, not {weight}")
    idle = {name for name, term in own.items() if isinstance(term, SequenceTerm) and term.costly}
    wanted = [term for term in terms if term.name not in idle - {*weights, *settings}]
    return [replace(term, weight=float(weights.get(term.name, term.weight))) for term in wanted]


def _term(name: str, table: TermSettings) -> SequenceTerm:
    if table.outside is None:
        raise ValueError("a term from outside has a function or a program")
    table.outside.check()
    weight = 1.0 if math.isnan(table.weight) else table.weight
    source = table.outside.place if isinstance(table.outside, Function) else " ".join(table.outside.arguments)
    return SequenceTerm(name, weight, table.summary or table.sentence, source, table.outside, table.invalid)


def version_of(domain: Domain, name: str, settings: Mapping[str, TermSettings]) -> str:
    """What an answer on disk was made by: it changes where the answer might."""
    table = settings.get(name)
    if table is None or table.outside is None:
        return f"{domain.name} {__version__} {dataclasses.asdict(domain.options)}"
    return f"{table.outside.version()} {table.version}".strip()
