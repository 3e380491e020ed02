"""The terms in use: the domain's and those from outside, with their weights, transforms and limits."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from seqtutor.arrays import Values
from seqtutor.config import HEAVIEST, place_of
from seqtutor.domain import Domain, RewardTerm, SequenceTerm, TokenTerm
from seqtutor.errors import UserError, unknown
from seqtutor.files import found_from, prior_from, read_toml
from seqtutor.option import check_type
from seqtutor.plugin.contract import TERM
from seqtutor.rewards.distilled import Distilled
from seqtutor.rewards.outside import Function
from seqtutor.rewards.programs import Program
from seqtutor.rewards.surrogate import Surrogate
from seqtutor.rewards.taste import INVALID, Tasted
from seqtutor.rewards.transforms import Transform, transform_of


@dataclass(frozen=True)
class TermSettings:
    """One table `[terms.NAME]`: a term from outside, or a transform for a term that the domain has."""

    outside: Function | Program | None = None
    call: Callable[[Sequence[str]], Any] | None = None  # a function of this very process
    transform: Transform | None = None
    record: str = ""  # column of a record that says it of the texts that stand there; of others nobody says it
    run: str = ""  # folder of a run whose log pi - log p it is
    taste: str = ""  # file of votes, whose taste it is
    surrogate: str = ""  # table of measured texts, by which it is foreseen
    column: str = ""  # of that table; empty: the term's name
    prior: str = ""  # of a taste or surrogate: the prior whose hidden states it reads; empty: the domain's own
    caution: float = 1.0  # of these: how many standard deviations are taken from the mean
    digest: str = ""  # of the votes, table or policy that a run was tuned by, and how many bytes of the votes those are
    bytes: int = 0
    found_by: Path | None = None  # the folder of the run whose config it stands in, by which those files are found
    kind: str = ""  # of the domain's kinds, of which the config makes a term
    own: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # what the kind is told
    filter: bool = False  # the score multiplies the reward
    weight: float = math.nan  # not stated: 0 for a filter, 1 for a term that the domain does not have, else its own
    invalid: float = math.nan  # score of a sequence that is no item; not stated: see `invalid_score`
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

    @property
    def direction(self) -> int:
        """1 where more of its raw value is better, -1 where less is, 0 where neither is."""
        return {"higher": 1, "lower": -1, "": 0}[self.transform.better] if self.transform else 1

    @property
    def limits(self) -> dict[str, Any]:
        """What holds for the processes that answer for this term alone."""
        return {key: getattr(self, key) for key in LIMITS}

    @property
    def alone(self) -> bool:
        """Whether it states such limits."""
        return any(value != PLAIN[key] for key, value in self.limits.items())

    @property
    def foreign(self) -> bool:
        """Whether it is a term that the domain does not have by itself."""
        named = self.kind or self.record or self.run or self.taste or self.surrogate
        return bool(named) or self.outside is not None or self.call is not None

    def place(self, name: str) -> Path:
        """Where a file or folder lies that it names."""
        return Path(found_from(name, self.found_by))

    def invalid_score(self, usual: float) -> float:
        """What an invalid sequence scores: as stated, else the worst of the transform, else `usual`."""
        if not math.isnan(self.invalid):
            return self.invalid
        return self.transform.worst if self.transform else usual


PLAIN: dict[str, Any] = {  # key -> default
    f.name: f.default
    for f in dataclasses.fields(TermSettings)
    if f.name not in ("outside", "call", "transform", "found_by", "kind", "own")
}
OF_ALL = ("transform", "better", "filter", "weight", "invalid")
LIMITS = ("workers", "timeout", "chunk", "retries", "memory")  # of processes that answer for one term alone
LIMITED = (*LIMITS, "caution", "bytes")
SOURCES = ("function", "program", "record", "run", "taste", "surrogate")  # what a term from outside comes from
KEYS = ("function", "program", "kind", "transform", "better", *PLAIN)


def settings_of(tables: Mapping[str, Any], run: Path | None = None) -> dict[str, TermSettings]:
    """The settings of each table `[terms.NAME]`, as in the config of a `run`.

    Raises UserError that names the table and the key.
    """
    check_names([name for name in tables if not isinstance(name, str)])
    return {name: replace(_settings(name, table), found_by=run) for name, table in tables.items()}


def check_names(names: Iterable[object]) -> None:
    """Raise UserError for what no term of a new run may be called."""
    for name in names:
        if not isinstance(name, str) or not TERM.fullmatch(name):
            raise UserError(f"a term cannot be called {name!r}: letters, digits, - and _ are possible, a letter first")


def _settings(name: str, table: Any) -> TermSettings:
    table = _as_table(name, table)
    of_kind = {key: value for key, value in table.items() if key not in (*OF_ALL, *LIMITS)} if "kind" in table else {}
    kind = of_kind.pop("kind", "")
    if not isinstance(kind, str):
        raise UserError(f"kind in [terms.{name}] must be text, not {kind!r}")
    if "kind" in table and not kind:
        raise UserError(f"kind in [terms.{name}] is empty: name one, or leave it out")
    table = {key: value for key, value in table.items() if key != "kind" and key not in of_kind}
    for key in table:
        if key not in KEYS:
            raise unknown(f"key in [terms.{name}]", key, KEYS)
    call = table["function"] if callable(table.get("function")) else None
    if call and (idle := [key for key in LIMITS if key in table]):
        raise UserError(
            f"{idle[0]} in [terms.{name}] is for a worker process, and a callable is asked in this one: "
            "name it as 'module:function', or leave that out"
        )
    outside = None if call else _outside(name, table)
    _check_together(name, table, (*OF_ALL, *LIMITS) if kind else OF_ALL)
    transform = transform_of(name, table["transform"]) if "transform" in table else None
    if table.get("better") == "lower" and transform is None and "invalid" not in table:
        raise UserError(
            f"[terms.{name}] says lower is better and has no transform: state what a sequence scores that is no item, "
            "such as invalid = -100, or it beats all those that are worse than 0"
        )
    return TermSettings(
        outside=outside,
        call=call,
        transform=_directed(name, table.get("better"), transform),
        kind=kind,
        own=of_kind,
        **{key: _plain(name, key, table[key]) for key in PLAIN if key in table},
    )


def _as_table(name: str, table: Any) -> Mapping[str, Any]:
    """What a config or a script says of a term: a function alone is a table, too."""
    if callable(table):
        return {"function": table}
    if not isinstance(table, Mapping):
        raise UserError(f"terms.{name} must be a table, not {table!r}")
    if "session" in table:
        raise UserError(
            f"term '{name}' was the function {table['session']!r} of the Python session that made this run; "
            f"pass it again, seqtutor.tune(resume=..., terms={{'{name}': ...}}) or load_run(RUN, terms=...), or "
            "name it with --function"
        )
    return table


def _check_together(name: str, table: Mapping[str, Any], of_domain: Sequence[str]) -> None:
    """Raise UserError for keys that do not go together; `of_domain`: those that need nothing from outside."""
    if table.get("filter") and table.get("weight"):
        raise UserError(f"[terms.{name}] is a filter and has a weight: a filter multiplies the reward and has none")
    if len(sources := [key for key in SOURCES if key in table]) > 1:
        raise UserError(f"[terms.{name}] has {' and '.join(sources)}; a term comes from one of {', '.join(SOURCES)}")
    if "caution" in table and not {"taste", "surrogate"} & set(table):
        raise UserError(f"caution in [terms.{name}] is about a taste or a surrogate, and it is neither: leave it out")
    if not sources and (idle := [key for key in table if key not in of_domain]):
        raise UserError(
            f"{idle[0]} in [terms.{name}] is for a term from outside, and it names no function and no program; "
            f"a term of the domain takes {', '.join(OF_ALL)}"
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
    if better and better != transform.better:
        raise UserError(
            f"[terms.{name}] says {better} is better, its transform {transform.kind} "
            f"that {transform.better or 'neither'} is"
        )
    return transform


def _plain(name: str, key: str, value: Any) -> Any:
    wanted = type(PLAIN[key])
    check_type(key, value, wanted, f"[terms.{name}]")
    least: float = {"workers": 1, "timeout": 0.001}.get(key, 0)
    if key in LIMITED and not least <= value < math.inf:
        raise UserError(f"{key} in [terms.{name}] must be at least {least}, not {value}")
    if key in ("weight", "invalid") and not abs(value) <= HEAVIEST:
        raise UserError(f"{key} in [terms.{name}] must lie between {-HEAVIEST:g} and {HEAVIEST:g}, not {value:g}")
    return wanted(value)


def weighted_terms(
    domain: Domain, weights: Mapping[str, float], settings: Mapping[str, TermSettings] | None = None
) -> list[RewardTerm]:
    """The domain's terms and those from outside, with `weights` in place of their defaults; costly ones if named.

    Raises UserError for a weight or a table of a term that is none.
    """
    settings = settings or {}
    recorded = {name for name, table in settings.items() if table.record}
    alone = recorded or any(table.taste or table.surrogate for table in settings.values())
    own = {term.name: term for term in domain.terms() if term.name not in recorded}
    terms = [*own.values(), *(_term(domain, name, table) for name, table in settings.items() if table.foreign)]
    names = {term.name for term in terms}
    for name, table in settings.items():
        if table.foreign and name in own:
            raise UserError(f"domain '{domain.name}' has a term '{name}' already; give yours another name")
    stated = {name: table.weight for name, table in settings.items() if not math.isnan(table.weight)}
    named = {*stated, *weights}
    unasked = dict.fromkeys(own, 0.0) if alone else {}  # beside what was learnt only what is named is paid
    weights = {**unasked, **stated, **weights}
    for name, weight in [*weights.items(), *((name, 1.0) for name in settings)]:
        if name not in names:
            raise unknown(f"term of domain '{domain.name}'", name, names)
        if not math.isfinite(weight):
            raise UserError(f"the weight of term '{name}' must be a number, not {weight}")
    idle = {name for name, term in own.items() if term.costly}
    wanted = [term for term in terms if term.name not in idle - {*named, *settings}]
    filters = {name for name, table in settings.items() if table.filter}
    return [_weighed(term, weights, filters) for term in wanted]


def check_kept(domain: Domain, run: Path) -> None:
    """Raise UserError where a plugin has lost terms that the config of a `run`, which names every weight, has."""
    read = read_toml(run / "config.toml")
    tables, named = (part if isinstance(part, Mapping) else {} for part in (read.get("terms"), read.get("weights")))
    outside, own = {*SOURCES, "kind", "session"}, domain.terms()
    known = {name for name, table in tables.items() if isinstance(table, Mapping) and outside & table.keys()}
    known |= {term.name for term in own}
    if gone := [name for name in named if name not in known]:
        idle = {term.name for term in own if term.costly}
        new = [term.name for term in own if term.name not in {*named, *idle}]
        raise UserError(
            f"domain '{domain.name}' has lost terms that the run {run} has: {', '.join(gone)} (new since: "
            f"{', '.join(new) or 'none'}); leave out the options that change them, install the plugin as it was then, "
            f"or start another run, from this one's policy if you like: --prior {run}/"
        )


def _weighed(term: RewardTerm, weights: Mapping[str, float], filters: Collection[str]) -> RewardTerm:
    if term.name not in filters:
        weight = float(weights.get(term.name, term.weight))
        values = term.values
        if isinstance(values, Tasted | Surrogate) and weight < 0:  # R falls with it: its doubt must not be paid for
            values = replace(values, caution=-values.caution)
        return replace(term, weight=weight, values=values)  # type: ignore[arg-type]  # of the same kind
    if isinstance(term, TokenTerm):
        raise UserError(f"term '{term.name}' is paid step by step: only what is said of whole items can be a filter")
    if weights.get(term.name):
        raise UserError(f"term '{term.name}' is a filter and has a weight: a filter multiplies the reward and has none")
    return replace(term, weight=0.0, filter=True)


def _term(domain: Domain, name: str, table: TermSettings) -> RewardTerm:
    weight = 1.0 if math.isnan(table.weight) and not table.filter else table.weight
    summary, usual = table.summary or table.sentence, table.invalid_score(0.0)
    if table.kind:
        made = domain.made(name, table.kind, table.own)
        if getattr(domain.kinds().get(table.kind), "lower", False) and table.transform is None:
            raise UserError(
                f"[terms.{name}]: lower is better of kind '{table.kind}'; say how it is paid, such as "
                'transform = {kind = "reverse_sigmoid", low = -11, high = -6}'
            )
        return replace(made, weight=weight)
    if table.call is not None:
        return SequenceTerm(name, weight, summary, place_of(table.call), table.call, usual)
    if table.run:
        summary = table.summary or f"log pi - log p of the run {table.run}, nats"
        return TokenTerm(name, weight, summary, table.run, Distilled(table.place(table.run), domain, table.digest))
    if table.taste:
        summary = table.summary or f"how much the votes of {table.taste} say that it is liked, nats, less the doubt"
        prior, votes = prior_from(table.prior, table.found_by) or domain.own_prior, table.place(table.taste)
        tasted = Tasted(votes, domain, prior, table.caution * table.direction, table.digest, table.bytes)
        return SequenceTerm(name, weight, summary, table.taste, tasted, table.invalid_score(INVALID))
    if table.surrogate:
        column, prior = table.column or name, prior_from(table.prior, table.found_by) or domain.own_prior
        summary = table.summary or f"{column} as the table {table.surrogate} foresees it, less the doubt"
        caution, file = table.caution * table.direction, table.place(table.surrogate)
        foreseen = Surrogate(file, column, domain, prior, caution, table.digest)
        return SequenceTerm(name, weight, summary, table.surrogate, foreseen, usual)
    if table.record:
        return SequenceTerm(name, weight, summary, f"column '{table.record}' of the record", not_here, usual)
    if table.outside is None:
        raise ValueError("a term from outside has a function, a program or a record")
    table.outside.check()
    source = table.outside.place if isinstance(table.outside, Function) else " ".join(table.outside.arguments)
    return SequenceTerm(name, weight, summary, source, not_here, usual)


def not_here(texts: Sequence[str]) -> Values:
    """What this process says of texts that a worker, or a record, is asked about: nothing."""
    return np.full(len(texts), math.nan)
