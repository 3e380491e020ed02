"""All that is needed to go on as if never stopped: tensors as safetensors, the rest as JSON; replaced whole."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from seqtutor.errors import UserError
from seqtutor.weights import write_atomically


class Restorable(Protocol):
    """Anything of ours that gives its tensors and takes them back."""

    def state(self) -> dict[str, Tensor]:
        """All its tensors, by name."""

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` gave."""


Stateful = nn.Module | torch.optim.Optimizer | torch.Generator | Restorable


def save_checkpoint(folder: Path, parts: Mapping[str, Stateful], state: Mapping[str, Any]) -> None:
    """Write `parts` and the JSON-able `state` into one file, `folder/checkpoint.safetensors`, atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"{name}/{key}": tensor.detach().cpu().contiguous()
        for name, part in parts.items()
        for key, tensor in _tensors(part).items()
    }
    write_atomically(folder / "checkpoint.safetensors", save(tensors, {"state": json.dumps(dict(state))}))


def load_checkpoint(folder: Path, parts: Mapping[str, Stateful]) -> dict[str, Any]:
    """Put a saved checkpoint back into `parts` and return its state; {} where there is none."""
    path = folder / "checkpoint.safetensors"
    if not path.exists():
        return {}
    try:
        content = path.read_bytes()
        tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        for name, part in parts.items():
            own = {k.removeprefix(f"{name}/"): t for k, t in tensors.items() if k.startswith(f"{name}/")}
            _restore(part, own)
        return dict(json.loads(header["__metadata__"]["state"]))
    except (OSError, SafetensorError, ValueError, KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0].rstrip(":")
        raise UserError(f"the checkpoint {path} does not fit this run: {reason}") from error


@contextmanager
def whole() -> Iterator[None]:
    """Hold Ctrl-C back until the block ends, so that no checkpoint holds half an update; a second one is obeyed."""
    pressed: list[int] = []

    def note(number: int, frame: object) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)

    if threading.current_thread() is not threading.main_thread():  # only there can signals be handled
        yield
        return
    previous = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
    if pressed:
        raise KeyboardInterrupt


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
