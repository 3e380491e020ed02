"""What an answer on disk was made by, as text that changes where the answer might."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache, partial
from importlib.metadata import PackageNotFoundError, version
from inspect import getattr_static
from pathlib import Path, PurePath
from types import CellType, CodeType, FunctionType
from typing import Any

import numpy as np

from seqtutor.config import place_of
from seqtutor.domain import Domain, RewardTerm, domain_class
from seqtutor.plugin.installed import installed, released
from seqtutor.rewards.surrogate import Surrogate
from seqtutor.rewards.taste import Tasted
from seqtutor.rewards.terms import TermSettings

PLAIN = (bool, int, float, complex, str, bytes, bytearray, range, PurePath, np.generic, type(None), type(...))
DEEPEST = 8  # containers and functions within each other that are looked into


def version_of(domain: Domain, term: RewardTerm, settings: Mapping[str, TermSettings]) -> str:
    """The version of a term: a domain's own code and options, a function's code, a program's, votes, or a table."""
    table = settings.get(term.name)
    if table is not None and table.outside is not None:
        return f"{table.outside.version()} {table.version}".strip()
    if table is not None and table.call is not None:
        return f"call {place_of(table.call)} {_digest(table.call)} {table.version}".strip()
    if isinstance(term.values, Tasted | Surrogate):
        return term.values.version()
    if table is not None and table.run:
        return f"run {table.run} {table.digest}"
    if table is not None and table.record:
        return f"record {table.record}"
    known = domain.name in installed("domain") and domain_class(domain.name) is domain.__class__
    code = "" if known else f" {_digest(term.values)}"  # a notebook's has no file, or one that was read anew since
    made_by = f"{released(domain.name)} {code_of(domain.place.partition(':')[0])}{code} {_beside(domain.name)}"
    kind = f" {table.kind} {sorted(table.own.items())} {term.source}" if table is not None and table.kind else ""
    return f"{domain.name} {made_by} {dataclasses.asdict(domain.options)}{kind}"


Functions = dict[int, tuple[int, Any]]  # by identity: in which order they were told, and what holds that identity


@lru_cache
def code_of(module: str) -> str:
    """A digest of the code of the package that a module lies in."""
    package = module.partition(".")[0]
    file = getattr(sys.modules.get(package), "__file__", None)
    sources = sorted(Path(file).parent.glob("**/*.py")) if file and Path(file).name == "__init__.py" else []
    digest = hashlib.sha256()
    for path in sources or ([Path(file)] if file and Path(file).is_file() else []):  # a script on stdin is none
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@lru_cache
def _beside(domain: str) -> str:
    """The versions of the packages that the distribution of a domain asks for: its terms may be computed by them."""
    entry = installed("domain").get(domain)
    asked = (entry.dist.requires if entry is not None and entry.dist else None) or []
    found = []
    for name in sorted({re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in asked if "extra ==" not in line}):
        with suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return ", ".join(found)


_FIRST: dict[int, tuple[Any, dict[str, Any]]] = {}  # objects of this session, by identity, and what each first held


def _digest(call: Callable[..., Any]) -> str:
    """A digest of a function of this session: its code, its defaults, and what it has taken from around it."""
    return hashlib.sha256("\n".join(_told(call, DEEPEST, {})).encode()).hexdigest()[:16]


def _told(value: Any, depth: int, functions: Functions) -> Iterator[str]:
    """Lines that are the same in every process, and others for what would answer differently.

    Of a callable object, a domain and a dataclass is told what they hold of such things, and of the first two their
    code; of any other object its type alone: `version` is there for what changes within.
    `functions`: those that were told already, as where two call each other; of one its number is told again.
    """
    yield f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, PLAIN):
        yield repr(value)
    elif isinstance(value, np.ndarray) and value.dtype != object:
        yield f"{value.dtype} {value.shape} {hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()}"
    elif depth:
        for part in _parts(value, depth, functions):
            yield from _told(part, depth - 1, functions)


def _parts(value: Any, depth: int, functions: Functions) -> list[Any]:
    """What a container, a function or its code is made of, in an order that is the same in every process."""
    if isinstance(value, tuple | list):
        return [len(value), *value]
    if isinstance(value, set | frozenset):
        return [len(value), *sorted("\n".join(_told(part, depth - 1, functions)) for part in value)]
    if isinstance(value, np.ndarray):
        return [value.shape, *value.ravel().tolist()]
    if isinstance(value, Mapping):
        return [part for item in value.items() for part in item]
    if isinstance(value, CodeType):
        return [value.co_code, value.co_names, value.co_varnames, value.co_consts]
    if isinstance(value, partial):
        return [value.func, value.args, value.keywords]
    if isinstance(code := getattr(value, "__code__", None), CodeType):
        if id(value) in functions:
            return [functions[id(value)][0]]
        functions[id(value)] = len(functions), value
        around = list(map(_content, getattr(value, "__closure__", None) or ()))
        seen, module = getattr(value, "__globals__", {}), getattr(value, "__module__", None)
        known = {name: seen[name] for name in _names(code) if name in seen and _is_own(seen[name], module)}
        own = _inside(bound, functions) if (bound := getattr(value, "__self__", None)) is not None else None
        return [code, getattr(value, "__defaults__", None), getattr(value, "__kwdefaults__", None), around, known, own]
    if callable(inner := getattr(value, "__wrapped__", None)):
        return [inner]
    if isinstance(value, Domain) or isinstance(getattr_static(type(value), "__call__", None), FunctionType):
        return _inside(value, functions)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [_held(value)]
    if hasattr(value, "__array__"):
        with suppress(RuntimeError, TypeError, ValueError):  # a tensor with a gradient, say
            return [np.asarray(value.detach() if hasattr(value, "detach") else value)]
    return []


def _inside(value: Any, functions: Functions) -> list[Any]:
    """What an object, or a class, is made of: its code, and what it held when it was first seen in this session."""
    if id(value) in functions:
        return [functions[id(value)][0]]
    functions[id(value)] = len(functions), value
    cls = value if isinstance(value, type) else type(value)
    if cls.__module__.startswith("seqtutor."):  # the core's own, as the border round a domain
        return [repr(getattr(value, "options", None))]
    return [*_body(cls), None if cls is value else _held(value)]


def _body(cls: type) -> Iterator[Any]:
    """The functions and the plain data of a class, by name, and of those of its package that it derives from."""
    package = cls.__module__.partition(".")[0]
    for one in cls.__mro__:
        other = one.__module__.partition(".")[0]
        if other != package and other not in {*sys.stdlib_module_names, "torch", "numpy", "seqtutor"}:
            yield code_of(one.__module__)
        for name, part in vars(one).items() if other == package else ():
            inner = getattr(part, "__func__", None) or getattr(part, "fget", None) or part
            data = isinstance(part, (*PLAIN, tuple, list, set, frozenset, dict, np.ndarray))
            if isinstance(inner, FunctionType) or (data and name[:2] != "__"):
                yield name
                yield inner


def _held(value: Any) -> dict[str, Any]:
    """The attributes of an object by name, in slots or not, as they were first, so that one may count its calls."""
    if id(value) not in _FIRST:
        stated = [vars(cls).get("__slots__", ()) for cls in type(value).__mro__]
        slots = [
            name for names in stated for name in ([names] if isinstance(names, str) else names) if name[:2] != "__"
        ]
        held = {**getattr(value, "__dict__", {}), **{name: getattr(value, name, None) for name in slots}}
        copies = {name: copy.copy(part) if isinstance(part, list | dict | set) else part for name, part in held.items()}
        _FIRST[id(value)] = value, copies
    return _FIRST[id(value)][1]


def _names(code: CodeType) -> list[str]:
    """The names that a function reads, in it and in what is defined within it, such as a comprehension."""
    inner = [name for part in code.co_consts if isinstance(part, CodeType) for name in _names(part)]
    return list(dict.fromkeys([*code.co_names, *inner]))


def _is_own(value: Any, module: str | None) -> bool:
    """Whether a global of a `module` is looked into: plain data, and the module's own functions."""
    function = isinstance(getattr(value, "__code__", None), CodeType) and getattr(value, "__module__", None) == module
    return function or isinstance(value, (*PLAIN, tuple, list, set, frozenset, dict, np.ndarray))


def _content(cell: CellType) -> Any:
    """What a variable of an enclosing function holds; None where nothing was put there."""
    try:
        return cell.cell_contents
    except ValueError:
        return None
