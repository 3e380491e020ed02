"""What this machine computes with: how many threads, and in which precision it learns quickest."""

from __future__ import annotations

import os
from pathlib import Path

# Flags of processors that multiply matrices in bfloat16 themselves, as Linux names them (x86, x86, ARM). On one with
# avx512_bf16 a gradient step takes .6 of the time; others emulate it and are slower than in float32.
NARROW = {"avx512_bf16", "amx_bf16", "bf16"}
FLAGS = Path("/proc/cpuinfo")


def idle_threads() -> int:
    """The cores that nobody uses now: two threads that wait for one core are slower than one.

    At least 1; all of them where the system does not tell its load.
    """
    cores = os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return max(1, cores - round(load))


def quicker_precision(device: str) -> str:
    """bfloat16 where the device multiplies in it natively, else float32: known, not timed, so always the same."""
    import torch

    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    told = FLAGS.read_text(encoding="utf-8", errors="replace").split() if FLAGS.is_file() else []
    return "bfloat16" if NARROW & set(told) else "float32"
