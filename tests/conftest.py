"""Fixtures that the tests of the core share."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

import seqtutor.domain

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
    monkeypatch.setattr(seqtutor.domain, "_entries", lambda: entries)
    return entries
