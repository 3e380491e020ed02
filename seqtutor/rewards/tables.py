"""The tables `[terms.NAME]` as a config has them: what a repetition needs beside them, each weight once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqtutor.domain import Domain
from seqtutor.files import found_from
from seqtutor.rewards import distilled, surrogate, taste


def pinned_terms(
    tables: Mapping[str, Any],
    domain: Domain,
    prior: str,
    temperature: float,
    weights: Mapping[str, float],
    run: Path | None,
) -> dict[str, Any]:
    """The tables of terms, those that are learnt from a file with what a repetition needs.

    `run`: one that goes on, by which the files are found; they keep the names that they have.
    """
    full = dict(tables)
    for name, table in tables.items():
        if not isinstance(table, Mapping):
            continue
        names = {key: table[key] for key in ("run", "taste", "surrogate") if isinstance(table.get(key), str)}
        table = {**table, **{key: found_from(path, run) for key, path in names.items()}}
        if "taste" in table:
            table = taste.pinned_votes(table, domain, prior, temperature)
        elif "surrogate" in table:
            table = surrogate.pinned_table(table, name, domain, prior, weights)
        elif "run" in table:
            table = distilled.pinned_run(table)
        full[name] = {**table, **names}
    return full


def weighted_once(tables: Mapping[str, Any], weights: Mapping[str, float]) -> tuple[dict[str, Any], dict[str, float]]:
    """The tables of terms without their weights, and these among the others, which win: a config has each once.

    A filter has none, which is 0.
    """
    own = {name: table for name, table in tables.items() if isinstance(table, Mapping)}
    filters = {name: 0.0 for name, table in own.items() if table.get("filter") is True}
    stated = {**filters, **{name: table["weight"] for name, table in own.items() if "weight" in table}}
    plain = {name: {key: part for key, part in tables[name].items() if key != "weight"} for name in stated}
    return {**tables, **plain}, {**stated, **weights}


def given_again(
    saved: Any, terms: Mapping[str, Any], weights: Mapping[str, float]
) -> tuple[dict[str, Any], dict[str, float]]:
    """The terms, a function that is given again with all that the run had stated of it, and the weights."""
    tables = saved if isinstance(saved, Mapping) else {}
    stated = {name: table for name, table in tables.items() if isinstance(table, Mapping)}
    again = {
        name: {**{key: value for key, value in stated.get(name, {}).items() if key != "session"}, "function": term}
        if callable(term)
        else term
        for name, term in terms.items()
    }
    return weighted_once(again, weights)
