"""The kit that checks a plugin: a good one passes, and each of many bad ones is told what is wrong with it."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from broken_beads import LOADING, TRYING
from conftest import replace_installed

import seqtutor
from seqtutor.testing import CHECKS, check_domain, problems
from seqtutor.testing.subject import new_subject

SOURCE = (Path(__file__).parent / "beads.py").read_text(encoding="utf-8")


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Install the plugin with one line changed, in a file of its own."""

    def install(found="", instead=""):
        assert not found or SOURCE.count(found) == 1, f"{SOURCE.count(found)} times: {found}"
        (tmp_path / "beads.py").write_text(SOURCE.replace(found, instead) if found else SOURCE, encoding="utf-8")
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "beads", raising=False)
        replace_installed(
            monkeypatch, "domain", {"beads": EntryPoint("beads", "beads:BeadsDomain", "seqtutor.domains")}
        )

    yield install
    sys.modules.pop("beads", None)


def test_the_good_plugin_passes_every_check(plugin):
    plugin()
    for check in CHECKS:
        check_domain("beads", check)
    assert list(problems("beads")) == []


@pytest.mark.parametrize("name", ["music", "molecules"])
def test_our_own_domains_pass_every_check(name):
    assert list(problems(name)) == []


@pytest.mark.parametrize(("found", "instead", "wanted"), LOADING)
def test_a_mistake_is_said_when_the_plugin_is_loaded(plugin, found, instead, wanted):
    plugin(found, instead)
    lines = list(problems("beads"))
    assert len(lines) == 1
    assert wanted in lines[0]
    assert "\n" not in lines[0]


@pytest.mark.parametrize(("check", "found", "instead", "wanted"), TRYING)
def test_a_mistake_is_found_by_trying(plugin, check, found, instead, wanted):
    plugin(found, instead)
    lines = list(problems("beads", checks=(check,)))
    assert any(all(part in line for part in wanted.split("|")) for line in lines), lines
    assert not any("\n" in line for line in lines)


def test_the_tables_are_long_enough():
    assert len(LOADING) + len(TRYING) >= 100
    assert {check for check, *_ in TRYING} == set(CHECKS)


def test_an_item_that_the_vocabulary_cannot_spell_back_is_no_fault_of_the_plugin(tmp_path):
    """A weak prior writes `[C]P`: an item, in a spelling that has a token nobody has; nothing is tried on it."""
    domain = seqtutor.load("molecules")
    subject = new_subject(domain, ["[C]P", "CCO"], tmp_path, quick=True)
    assert subject.texts == ("CCO",)
