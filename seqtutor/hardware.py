"""What this machine computes with: its threads, the precision in which it tunes quickest, its memory."""

from __future__ import annotations

import ctypes
import os
import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqtutor.errors import UserError
from seqtutor.signals import undisturbed

if TYPE_CHECKING:
    from seqtutor.config import TrainConfig

# Flags of processors that multiply matrices in bfloat16 themselves, as Linux names them (x86, x86, ARM). On one with
# avx512_bf16 a gradient step takes .6 of the time; others emulate it and are slower than in float32.
NARROW = {"avx512_bf16", "amx_bf16", "bf16"}
FLAGS = Path("/proc/cpuinfo")
TICKS = Path("/proc/stat")  # its first line: user, nice, system, idle, waiting, interrupts (2), stolen, ...
GLANCE = 0.1  # seconds that are looked at
PARALLEL = 1 << 20  # numbers of which torch gives each of its threads some


def idle_threads() -> int:
    """The cores that nobody uses now: two threads that wait for one core are slower than one.

    At least 1. The load of the last minute would count an installation that has just ended.
    """
    cores = os.cpu_count() or 1
    before = _spent()
    time.sleep(GLANCE)
    total, idle = (after - then for after, then in zip(_spent(), before, strict=True))
    if total <= 0:  # the system does not tell
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
        return max(1, cores - round(load))
    return max(1, round(cores * idle / total))


def _spent() -> tuple[int, int]:
    """Ticks that all cores have spent since the system started, in all and idle; 0 where it does not tell."""
    try:
        user, nice, system, idle, waiting, *rest = map(
            int, TICKS.read_text(encoding="ascii").split("\n")[0].split()[1:]
        )
    except (OSError, ValueError):
        return 0, 0
    return user + nice + system + idle + waiting + sum(rest[:3]), idle + waiting


def give_back() -> None:
    """Return to the system what was freed, where its allocator can be told to (glibc).

    Batches are of ever other lengths, and what one of them leaves between others is too small for the next: half a
    gigabyte in 240 updates of molecules.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim:
        trim(0)


def compute_with(threads: int) -> None:
    """Let torch compute with so many threads; 0: as many as it does now. They begin here, and leave signals alone."""
    import torch

    with undisturbed():
        if threads:
            torch.set_num_threads(threads)
        torch.zeros(PARALLEL).add_(1)  # large enough to be shared out


def quicker_precision(device: str) -> str:
    """bfloat16 where the device multiplies in it natively, else float32: known, not timed, so always the same."""
    import torch

    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    told = FLAGS.read_text(encoding="utf-8", errors="replace").split() if FLAGS.is_file() else []
    return "bfloat16" if NARROW & set(told) and learns_narrow(device) else "float32"


@lru_cache
def learns_narrow(device: str) -> bool:
    """Whether an LSTM can learn in bfloat16 on the device: a processor without AVX-512, say, has none. It is tried."""
    import torch

    with torch.random.fork_rng([]):  # so that nobody's random numbers depend on whether it was asked
        lstm = torch.nn.LSTM(2, 2, batch_first=True, device=device)
    try:
        with torch.autocast(device, torch.bfloat16):
            output, _ = lstm(torch.zeros(1, 2, 2, device=device))
        output.sum().backward()
    except RuntimeError:
        return False
    return True


def computing(config: TrainConfig) -> dict[str, Any]:
    """The threads, which are set, and the precision of a run: a resume and a repetition keep them."""
    import torch

    compute_with(config.threads)
    precision = quicker_precision(config.device) if config.precision == "auto" else config.precision
    if precision == "bfloat16" and not learns_narrow(config.device):
        raise UserError(
            f"precision is bfloat16, and this machine's {config.device} cannot learn in it: give --precision float32; "
            "a run that has learnt in it goes on elsewhere, or here as another run from its policy: --prior RUN/"
        )
    return {"threads": torch.get_num_threads(), "precision": precision}


def check_memory(what: str, needed: float) -> None:
    """Raise UserError where `what` needs more bytes than there are: the system would end the process without a word."""
    if not hasattr(os, "sysconf"):  # not on every system
        return
    have = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > have:
        raise UserError(f"{what} needs {needed / 1e9:,.0f} GB of memory, and there are {have / 1e9:,.0f} GB")
