"""How many threads suit the machine as it is now, and in which precision it can learn."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from test_tuning import tuner_of

from seqtutor import hardware
from seqtutor.config import TrainConfig
from seqtutor.errors import UserError
from seqtutor.hardware import give_back


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine of four cores whose ticks are told by a file, which the wait between two looks moves on."""
    file = tmp_path / "stat"
    monkeypatch.setattr(hardware, "TICKS", file)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(os, "getloadavg", lambda: (3.0, 0.0, 0.0))

    def spend(busy, idle):
        file.write_text("cpu 100 0 0 500 0 0 0 0 0 0\ncpu0 1 2 3 4\n")
        later = f"cpu {100 + busy} 0 0 {500 + idle} 0 0 0 0 0 0\n"
        monkeypatch.setattr(hardware.time, "sleep", lambda _: file.write_text(later))

    return spend


@pytest.mark.parametrize(("busy", "idle", "threads"), [(0, 40, 4), (10, 30, 3), (20, 20, 2), (39, 1, 1), (40, 0, 1)])
def test_the_cores_that_are_idle_now_are_taken_whatever_the_last_minute_was(machine, busy, idle, threads):
    machine(busy, idle)
    assert hardware.idle_threads() == threads


def test_a_system_that_tells_no_ticks_is_asked_for_its_load(tmp_path, monkeypatch):
    monkeypatch.setattr(hardware, "TICKS", tmp_path / "none")
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(os, "getloadavg", lambda: (2.6, 0.0, 0.0))
    assert hardware.idle_threads() == 1
    monkeypatch.setattr(os, "getloadavg", lambda: (0.2, 0.0, 0.0))
    assert hardware.idle_threads() == 4


def test_whether_a_machine_learns_in_bfloat16_is_tried():
    """Processors without AVX-512 have no such LSTM: a run that asked for it ended in a traceback there."""
    before = torch.get_rng_state()
    able = hardware.learns_narrow("cpu")
    assert torch.equal(torch.get_rng_state(), before)
    tuner = tuner_of("reinforce", updates=1, precision="bfloat16")
    with nullcontext() if able else pytest.raises(RuntimeError):
        tuner.step()


def test_where_it_cannot_a_run_says_what_to_type_and_auto_does_not_choose_it(monkeypatch, tmp_path):
    monkeypatch.setattr(hardware, "learns_narrow", lambda device: False)
    with pytest.raises(UserError, match="cannot learn in it: give --precision float32"):
        hardware.computing(TrainConfig(precision="bfloat16"))
    monkeypatch.setattr(hardware, "FLAGS", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text("flags : sse avx512_bf16\n")
    for able, precision in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(hardware, "learns_narrow", lambda device, able=able: able)
        assert hardware.quicker_precision("cpu") == precision


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="the system does not tell what a process holds")
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_what_was_freed_between_what_is_still_held_is_given_back():
    def held() -> int:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")

    blocks = [b"x" * 100_000 for _ in range(1000)]
    del blocks[:-1]  # the last one lies above what the others leave
    before = held()
    give_back()
    assert before - held() > 50_000_000


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the system does not tell what threads block")
def test_ctrl_c_goes_to_the_main_thread_alone():
    code = """
import os, signal
from pathlib import Path
from seqtutor.hardware import compute_with
from seqtutor.signals import undisturbed
with undisturbed():
    import numpy
compute_with(2)
blocked = {}
for task in Path("/proc/self/task").iterdir():
    status = dict(line.split(":", 1) for line in (task / "status").read_text().splitlines() if ":" in line)
    blocked[int(task.name)] = bool(int(status["SigBlk"], 16) >> (signal.SIGINT - 1) & 1)
print(blocked.pop(os.getpid()), len(blocked), all(blocked.values()))
"""
    env = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    main, others, blocked = told.stdout.split()
    assert (main, blocked) == ("False", "True")
    assert int(others) >= 1
