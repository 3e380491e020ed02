"""The table of faults in short: a handful of its combinations, drawn anew by no one; benchmarks/faults.py takes all."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import random
import sys
from pathlib import Path

import pytest
import torch

SHORT = 12  # combinations


@pytest.fixture(scope="module")
def faults(tmp_path_factory):
    """The module of the table, and a folder with a run that the letters of tests/ have left."""
    spec = importlib.util.spec_from_file_location("fault_table", Path(__file__).parent / "faults" / "table.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["fault_table"] = module
    spec.loader.exec_module(module)
    work = tmp_path_factory.mktemp("work")
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work)
        patch.setenv("XDG_CACHE_HOME", "cache")  # as `prepare` does, which nobody takes back
        patch.setattr("importlib.metadata.entry_points", importlib.metadata.entry_points)
        module.install_letters()
        module.prepare(work)
        yield module, work
    torch.set_num_threads(threads)


def test_whatever_lies_in_a_run_folder_is_used_or_refused_in_a_line(faults):
    module, work = faults
    for place, fault, command in random.Random(0).sample(module.rows(work), SHORT):
        found = module.attempt(work, place, fault, command)
        assert found in ("done", "refused"), (place, fault.__name__, command)


@pytest.mark.parametrize("fault", ["kill", "full"])
@pytest.mark.parametrize("n", [4, 30])
def test_a_death_or_a_full_disk_at_a_write_leaves_a_folder_that_opens(faults, fault, n):
    module, work = faults
    assert set(module.interrupted(work, n, fault)) <= {"done", "refused"}
