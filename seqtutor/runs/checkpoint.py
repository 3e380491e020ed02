"""All that is needed to go on as if never stopped: tensors as safetensors, the rest as JSON; replaced whole."""

from __future__ import annotations

import errno
import json
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from seqtutor.errors import UserError
from seqtutor.files import read_bytes, sync_folder, write_atomically

CURRENT, PREVIOUS = "checkpoint.safetensors", "previous.safetensors"
NETWORKS = ("policy", "target", "healthy", "model", "best", "optimiser")  # parts whose numbers must be finite
MOST = 1 << 36  # bytes of one
SECONDS = 10.0  # from one checkpoint to the next
SHARE = 0.02  # of a run that its checkpoints may take: one that is slow is written more rarely


class Restorable(Protocol):
    """Anything of ours that gives its tensors and takes them back."""

    def state(self) -> dict[str, Tensor]:
        """All its tensors, by name."""

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` gave."""


Stateful = nn.Module | torch.optim.Optimizer | torch.Generator | Restorable


class Pace:
    """When the next checkpoint is due: every SECONDS, or as much later as keeps their cost under SHARE of the run."""

    def __init__(self) -> None:
        self.saved, self.cost = time.monotonic(), 0.0

    @property
    def due(self) -> bool:
        """Whether enough time has passed since the last one."""
        return time.monotonic() - self.saved > max(SECONDS, self.cost / SHARE)

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Measure what the checkpoint that is written in the block costs."""
        began = time.monotonic()
        yield
        self.saved = time.monotonic()
        self.cost = self.saved - began


def save_checkpoint(folder: Path, parts: Mapping[str, Stateful], state: Mapping[str, Any]) -> None:
    """Write `parts` and the JSON-able `state` into one file, `folder/checkpoint.safetensors`.

    The one before stays as `previous.safetensors`, and gives way only to a new one that has been read back from disk.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"{name}/{key}": tensor.detach().cpu().contiguous()
        for name, part in parts.items()
        for key, tensor in _tensors(part).items()
    }
    text = json.dumps(dict(state))
    content = save(tensors, {"state": text, "digest": _digest(text, tensors)})
    current, new = folder / CURRENT, folder / "new.safetensors"
    write_atomically(new, content)
    if new.read_bytes() != content:
        raise OSError(errno.EIO, "what was written cannot be read back", str(new))
    if current.exists():
        current.replace(folder / PREVIOUS)
    new.replace(current)
    sync_folder(folder)


def load_checkpoint(
    folder: Path, parts: Mapping[str, Stateful], check: Callable[[dict[str, Any]], None] = lambda state: None
) -> dict[str, Any]:
    """Put the newest readable checkpoint back into `parts` and return its state; {} where there is none.

    `check` sees the state before anything is put back, and may refuse it with a UserError.
    """
    path, problem = folder / CURRENT, None
    for candidate in (path, folder / PREVIOUS):
        try:
            tensors, state = _read(candidate)
            break
        except FileNotFoundError:
            continue
        except (OSError, UserError, SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
            problem = problem or error
    else:
        if problem is None:
            return {}
        raise _unfit(path, problem) from problem
    try:
        check(state)
        for name, part in parts.items():
            _restore(part, {k.removeprefix(f"{name}/"): t for k, t in tensors.items() if k.startswith(f"{name}/")})
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RuntimeError) as error:
        raise _unfit(candidate, error) from error
    return state


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    content = read_bytes(path, MOST)
    tensors = load(content)
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    if header["digest"] != _digest(header["state"], tensors):
        raise ValueError("its content is damaged")
    if odd := next((key for key, tensor in tensors.items() if _of_model(key) and not tensor.isfinite().all()), None):
        raise ValueError(f"{odd} holds a number that is not finite")
    return tensors, dict(json.loads(header["state"]))


def _of_model(key: str) -> bool:
    """Whether a tensor is a network's, or Adam's of it: those of the replay may hold infinities."""
    return key.partition("/")[0] in NETWORKS


def _digest(state: str, tensors: Mapping[str, Tensor]) -> str:
    total = zlib.crc32(state.encode())
    for name in sorted(tensors):
        total = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, zlib.crc32(name.encode(), total))
    return f"{total:08x}"


def _unfit(path: Path, error: Exception) -> UserError:
    return UserError(f"the checkpoint {path} does not fit this run: {str(error).splitlines()[0].rstrip(':')}")


def _tensors(part: Stateful) -> dict[str, Tensor]:
    if isinstance(part, torch.Generator):
        return {"state": part.get_state()}
    if isinstance(part, nn.Module):
        return dict(part.state_dict())
    if not isinstance(part, torch.optim.Optimizer):
        return part.state()
    moments = part.state_dict()["state"]
    return {f"{i}.{key}": torch.as_tensor(value) for i, entry in moments.items() for key, value in entry.items()}


def _restore(part: Stateful, tensors: Mapping[str, Tensor]) -> None:
    if isinstance(part, torch.Generator):
        part.set_state(tensors["state"])
    elif isinstance(part, nn.Module):
        part.load_state_dict(dict(tensors))
    elif not isinstance(part, torch.optim.Optimizer):
        part.restore(dict(tensors))
    else:
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            index, name = key.split(".")
            moments.setdefault(int(index), {})[name] = value
        part.load_state_dict({"state": moments, "param_groups": part.state_dict()["param_groups"]})
