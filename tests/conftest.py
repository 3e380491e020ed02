"""Fixtures that the tests of the core share."""

from __future__ import annotations

import gc
import importlib.metadata
import os
import random
import signal
from importlib.metadata import EntryPoint

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a process a core: with two threads each they wait for one another

os.fsync = lambda file: None  # no test pulls the plug, and the suite would wait five thousand times for a disk

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a script started this in its background; processes inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # and so does nohup
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

GROUP = "seqtutor.domains"
INSTALLED = {
    "letters": "letters:LettersDomain",
    "fixedletters": "letters:FixedLettersDomain",
    "broken": "seqtutor_tests_have_no_such_module:BrokenDomain",
}


def pytest_addoption(parser):
    parser.addoption(
        "--shuffle", type=int, metavar="SEED", help="run the files in another order, and the tests of each"
    )


def pytest_collection_modifyitems(config, items):
    """With --shuffle, no test comes after the one that it has always come after."""
    seed = config.getoption("--shuffle", default=None)
    if seed is not None:
        rng = random.Random(seed)
        place = {path: rng.random() for path in dict.fromkeys(item.path for item in items)}
        items.sort(key=lambda item: (place[item.path], rng.random()))


def pytest_collection_finish():
    """What was imported stays: looking through it again with every collection took a quarter of the suite's time."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def installed(monkeypatch):
    """The domains of tests/letters.py as installed plugins, and one whose library is missing; no others."""
    entries = {name: EntryPoint(name, value, GROUP) for name, value in INSTALLED.items()}
    replace_installed(monkeypatch, "domain", entries)
    return entries


@pytest.fixture(autouse=True)
def kept_here(tmp_path, monkeypatch):
    """What runs of one prior keep for one another (`rewards/keeping.py`): every test begins without any of it."""
    folder = tmp_path.with_name(f"{tmp_path.name}-kept")
    monkeypatch.setattr("seqtutor.rewards.keeping.user_cache_dir", lambda name: str(folder))
    return folder


def replace_installed(monkeypatch, kind, entries):
    """Have `entries` (name to entry point) as the only plugins of `kind`; those of other kinds stay.

    Others ask too, in ways of their own: some builds of torch look through all groups when they are imported.
    """
    found = importlib.metadata.entry_points

    def entry_points(**wanted):
        ours = wanted.get("group") == f"seqtutor.{kind}s"
        return entries.values() if ours else found(**wanted)

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
