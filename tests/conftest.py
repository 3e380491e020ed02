"""Fixtures that the tests of the core share."""

from __future__ import annotations

import importlib.metadata
from importlib.metadata import EntryPoint

import pytest

GROUP = "seqtutor.domains"
INSTALLED = {
    "letters": "letters:LettersDomain",
    "fixedletters": "letters:FixedLettersDomain",
    "broken": "seqtutor_tests_have_no_such_module:BrokenDomain",
}


@pytest.fixture
def installed(monkeypatch):
    """The domains of tests/letters.py as installed plugins, and one whose library is missing; no others."""
    entries = {name: EntryPoint(name, value, GROUP) for name, value in INSTALLED.items()}
    replace_installed(monkeypatch, "domain", entries)
    return entries


def replace_installed(monkeypatch, kind, entries):
    """Have `entries` (name to entry point) as the only plugins of `kind`; those of other kinds stay."""
    found = importlib.metadata.entry_points
    monkeypatch.setattr(
        importlib.metadata,
        "entry_points",
        lambda group: entries.values() if group == f"seqtutor.{kind}s" else found(group=group),
    )
