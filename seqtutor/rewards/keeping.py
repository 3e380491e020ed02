"""What the final tables of all runs with one prior have in common, kept in the user's cache.

The prior's samples, the samples behind best of n, the domain's real items, what the domain's own terms say of them and
its measures of them are functions of what their keys hold. Nothing that comes from outside is kept: no answer of a
function, a program, votes, a record or another run. Rewards are not kept either: they are made anew of the terms.
Numbers are computed in float32 here whatever a run learns in, so that its precision is in no key.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import lru_cache
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from platformdirs import user_cache_dir

from seqtutor.arrays import Flags, Ids
from seqtutor.domain import Domain, Measure, domain_class
from seqtutor.errors import UserError
from seqtutor.files import read_bytes, write_atomically
from seqtutor.plugin import complaints
from seqtutor.plugin.guard import Guarded
from seqtutor.plugin.installed import installed
from seqtutor.priors import sampling
from seqtutor.priors.files import digest
from seqtutor.priors.model import Model
from seqtutor.rewards.scorer import Scorer
from seqtutor.rewards.versions import code_of
from seqtutor.vocabulary import EOS

if TYPE_CHECKING:
    from seqtutor.rewards.reward import Scores

T = TypeVar("T")
FILES = 300  # of these in the cache; beyond, those that were written first go
LARGEST = 1 << 28  # bytes that one may unpack to
DAMAGED = (OSError, UserError, ValueError, TypeError, KeyError, RuntimeError, RecursionError, zlib.error)


def draw(model: Model, domain: Domain, n: int, generator: torch.Generator) -> tuple[Ids, Flags]:
    """As `sampling.draw`; the generator too is afterwards as if it had drawn."""
    state, device = generator.get_state(), str(generator.device)
    about = [digest(model), list(domain.vocabulary.own), domain.max_length, n, device]
    about += [torch.get_num_threads(), torch.backends.cpu.get_cpu_capability(), _hash(state.numpy().tobytes())]

    def read(kept: Any) -> tuple[Ids, Flags]:
        tokens = np.array(kept["tokens"], np.int64)
        if tokens.shape != (n, domain.max_length) or not ((tokens >= 0) & (tokens < len(domain.vocabulary))).all():
            raise ValueError
        generator.set_state(torch.tensor(list(bytes.fromhex(kept["state"])), dtype=torch.uint8))
        return tokens, ~(tokens == EOS).any(-1) & (not domain.fixed_length)

    path = _path(domain, "draws", about) if device == "cpu" else None  # other devices do not repeat bit for bit
    if found := _read(path, read):
        return found
    tokens, truncated = sampling.draw(model, domain, n, generator)
    _write(path, {"tokens": tokens.tolist(), "state": generator.get_state().numpy().tobytes().hex()})
    return tokens, truncated


@contextmanager
def answers(scorer: Scorer, items: Ids | Sequence[str]) -> Iterator[list[str | None]]:
    """Within the block the scorer knows what the domain's own terms say of `items`; put their texts into what it gives.

    `items`: tokens (N, T), or texts.
    """
    own = [term.name for term in scorer.oracles if not ((table := scorer.settings.get(term.name)) and table.foreign)]
    about = [items.shape, _hash(items.tobytes())] if isinstance(items, np.ndarray) else list(items)
    path = _path(scorer.domain, "answers", [own, about]) if own else None

    def read(kept: Any) -> dict[str, dict[str, float]]:
        told = {name: zip(kept["texts"], kept[name], strict=True) for name in own}
        return {name: {text: float(value) for text, value in rows if value is not None} for name, rows in told.items()}

    known = _read(path, read)
    for name, values in (known or {}).items():
        scorer.answers.known[name].update(values)
    texts: list[str | None] = []
    yield texts
    if known is None:
        asked = list(dict.fromkeys(text for text in texts if text is not None))
        _write(path, {"texts": asked, **{name: _answered(scorer.answers.known[name], asked) for name in own}})


def _answered(known: Mapping[str, float], texts: Sequence[str]) -> list[float | None]:
    """What is known of each text; None, so that it is asked again, where that failed or was never asked."""
    values = [known.get(text, math.nan) for text in texts]
    return [value if math.isfinite(value) else None for value in values]


def score(scorer: Scorer, tokens: Ids, truncated: Flags) -> Scores:
    """As `scorer.score`."""
    with answers(scorer, tokens) as texts:
        scores = scorer.score(tokens, truncated)
        texts += scores.texts
    return scores


def measured(domain: Domain, texts: Sequence[str | None]) -> list[Measure]:
    """As `complaints.measured`."""

    def read(kept: Any) -> list[Measure]:
        found = [Measure(**row) for row in kept["measures"]]
        if any(len(measure.values) != len(texts) for measure in found):
            raise ValueError
        return found

    path = _path(domain, "measures", list(texts))
    found = _read(path, read)
    if found is None:
        before = complaints.complaints(domain)
        found = complaints.measured(domain, texts)
        if complaints.complaints(domain) == before:
            rows = [{**asdict(m), "values": m.values.tolist(), "weights": m.weights.tolist()} for m in found]
            _write(path, {"measures": rows})
    elif isinstance(domain, Guarded):
        domain.last_figures = list(found)
    return found


def _path(domain: Domain, kind: str, about: Sequence[Any]) -> Path | None:
    """Where an answer about a domain is kept; None where nothing is.

    That is so for a domain that is not an installed one: nobody knows all that its answers depend on.
    """
    cls = domain_class(domain.name) if domain.name in installed("domain") else None
    if cls is None or domain.place != f"{cls.__module__}:{cls.__qualname__}":
        return None
    code = [code_of(module.partition(".")[0]) for module in ("seqtutor", domain.place.partition(":")[0])]
    key = json.dumps([kind, domain.place, asdict(domain.options), code, _packages(), *about], sort_keys=True)
    return Path(user_cache_dir("seqtutor")) / f"table-{kind}-{_hash(key.encode())[:32]}"


@lru_cache
def _packages() -> list[str]:
    """Every installed package with its version: a domain may compute with any of them."""
    return sorted({f"{found.name} {found.version}" for found in distributions()} | {platform.platform()})


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read(path: Path | None, read: Callable[[Any], T]) -> T | None:
    """What a file keeps; None where there is none, or one that is damaged: it is written anew."""
    if path is None:
        return None
    try:
        return read(json.loads(zlib.decompressobj().decompress(read_bytes(path), LARGEST)))
    except DAMAGED:
        return None


def _write(path: Path | None, content: Any) -> None:
    """Keep `content`, whole or not at all: where nothing can be written, it is made anew each time."""
    if path is None:
        return
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, zlib.compress(json.dumps(content).encode(), 1))
        for old in sorted(path.parent.glob("table-*"), key=lambda file: file.stat().st_mtime)[:-FILES]:
            old.unlink()
