"""All that is needed to go on as if never stopped: tensors as safetensors, the rest as JSON; replaced whole."""

from __future__ import annotations

import errno
import json
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import isfinite
from numbers import Real
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from seqtutor.errors import UserError
from seqtutor.files import read_bytes, sync_folder, write_atomically
from seqtutor.priors.files import check_alike
from seqtutor.records.replay import Replay

CURRENT, PREVIOUS = "checkpoint.safetensors", "previous.safetensors"
# Parts whose numbers must be finite: those of the replay may hold infinities.
NETWORKS = ("policy", "target", "healthy", "model", "best", "optimiser")
MOST = 1 << 36  # bytes of one
SECONDS = 10.0  # from one checkpoint to the next
SHARE = 0.02  # of a run that its checkpoints may take: one that is slow is written more rarely


Stateful = nn.Module | torch.optim.Optimizer | torch.Generator | Replay


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
    folder: Path,
    parts: Mapping[str, Stateful],
    check: Callable[[dict[str, Any]], None] = lambda state: None,
    take: Callable[[dict[str, Any]], None] = lambda state: None,
) -> dict[str, Any]:
    """Put the newest readable checkpoint back into `parts` and return its state; {} where there is none.

    `check` sees the state before anything is put back, and `take` puts the state itself back. What either raises of a
    state that no run wrote becomes a UserError; so do tensors that are not those of `parts`.
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
        if odd := next((key for key in tensors if "/" not in key or key.partition("/")[0] not in parts), None):
            raise ValueError(f"{odd} is no part of it")
        found = {
            name: {k.removeprefix(f"{name}/"): t for k, t in tensors.items() if k.startswith(f"{name}/")}
            for name in parts
        }
        for name, part in parts.items():
            _check_tensors(name, part, found[name])
        for name, part in parts.items():
            _restore(part, found[name])
        take(state)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RuntimeError, ArithmeticError) as error:
        raise _unfit(candidate, error) from error
    return state


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    content = read_bytes(path, MOST)
    tensors = load(content)
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    if header["digest"] != _digest(header["state"], tensors):
        raise ValueError("its content is damaged")
    for key, tensor in tensors.items():
        if key.partition("/")[0] in NETWORKS and not tensor.isfinite().all():
            raise ValueError(f"{key} holds a number that is not finite")
    return tensors, dict(json.loads(header["state"]))


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
    if not isinstance(part, torch.optim.Optimizer):
        return dict(part.state_dict())
    moments = part.state_dict()["state"]
    return {f"{i}.{key}": torch.as_tensor(value) for i, entry in moments.items() for key, value in entry.items()}


def check_state(state: Mapping[str, Any], form: Mapping[str, Any]) -> None:
    """See that every entry of a state has its `form`. Raises ValueError, which names the first that has not."""
    for key in sorted(state.keys() | form.keys()):
        if key not in state or key not in form or not has_form(state[key], form[key]):
            raise ValueError(f"its '{key}' is not what a run writes")


def has_form(found: Any, form: Any) -> bool:
    """Whether JSON has a form.

    A form is a type (`int` a count from 0 on, `float` a finite number, `Real` any), a list with the form of each entry,
    a dictionary with the form of each key (`str`: of all values), or a tuple of forms of which one must fit.

    >>> has_form({"a": [1, 2]}, {str: [int]}), has_form({"a": [1, "b"]}, {"a": [(int, None)]})
    (True, False)
    """
    if isinstance(form, tuple):
        return any(has_form(found, one) for one in form)
    if isinstance(form, list):
        return isinstance(found, list) and all(has_form(entry, form[0]) for entry in found)
    if isinstance(form, dict):
        if not isinstance(found, dict) or (str not in form and found.keys() != form.keys()):
            return False
        return all(has_form(value, form[str] if str in form else form[key]) for key, value in found.items())
    whole = type(found) is int and abs(found) < 1 << 53
    if form is int:
        return whole and found >= 0
    if form in (float, Real):
        return whole or (type(found) is float and (form is Real or isfinite(found)))
    return found is None if form is None else type(found) is form


def _check_tensors(name: str, part: Stateful, found: Mapping[str, Tensor]) -> None:
    """See that the tensors `found` are those of `part`, in their shapes and types; a replay checks its own."""
    if isinstance(part, torch.optim.Optimizer):
        parameters = [p for group in part.param_groups for p in group["params"]]
        indices = {int(key.partition(".")[0]) for key in found}
        if odd := next((i for i in indices if not 0 <= i < len(parameters)), None):
            raise ValueError(f"{name}/{odd} is of no parameter")
        moments = {"exp_avg": None, "exp_avg_sq": None, "step": torch.zeros(())}
        wanted = {f"{i}.{key}": parameters[i] if m is None else m for i in indices for key, m in moments.items()}
    elif isinstance(part, torch.Generator | nn.Module):
        wanted = _tensors(part)
    else:
        return
    check_alike(name, found, {key: (tensor.shape, tensor.dtype) for key, tensor in wanted.items()})
    squares = found if isinstance(part, torch.optim.Optimizer) else {}
    if negative := [key for key, tensor in squares.items() if not key.endswith("exp_avg") and tensor.lt(0).any()]:
        raise ValueError(f"{name}/{negative[0]} holds a number below 0")


def _restore(part: Stateful, tensors: Mapping[str, Tensor]) -> None:
    if isinstance(part, torch.Generator):
        part.set_state(tensors["state"])
    elif not isinstance(part, torch.optim.Optimizer):
        part.load_state_dict(dict(tensors))
    else:
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            index, name = key.split(".")
            moments.setdefault(int(index), {})[name] = value
        part.load_state_dict({"state": moments, "param_groups": part.state_dict()["param_groups"]})
