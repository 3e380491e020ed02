"""How many threads suit the machine as it is now."""

from __future__ import annotations

import os

import pytest

from seqtutor import hardware


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
