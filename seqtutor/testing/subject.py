"""What the checks of a domain look at: some of its items, rows of ids, and how answers are compared."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from seqtutor.arrays import Ids
from seqtutor.domain import Domain
from seqtutor.errors import UserError, refused, shortened
from seqtutor.plugin.contract import PluginError
from seqtutor.plugin.guard import Guarded, guarded
from seqtutor.priors.encoding import fits, padded, rows_of, with_end
from seqtutor.vocabulary import EOS, UnknownToken

CORPUS = 200  # items of the corpus that are looked at
ITEMS = 40  # items that terms, figures and pictures are tried on
RANDOM = 64  # sequences of random tokens


@dataclass(frozen=True)
class Subject:
    """A domain with what its checks need: canonical items that fit, and the whole ones of its corpus if it has one."""

    domain: Guarded
    texts: tuple[str, ...]
    corpus: tuple[str, ...] | None = None
    seconds: float = 0.0  # that the corpus took
    quick: bool = False
    folder: Path = field(default_factory=Path)  # where checks may write

    def fits(self, tokens: Sequence[str]) -> bool:
        """Whether an item's tokens are as many as the domain allows."""
        return fits(self.domain, len(tokens) + (not self.domain.fixed_length))

    @property
    def rows(self) -> Ids:
        """Ids (N, max_length) of some items, of the same with a token changed, of random tokens, cut and ended."""
        domain, rng = self.domain, np.random.default_rng(0)
        rows = [with_end(domain, domain.encode(text)) for text in self.texts[:12]]
        rows += [with_end(domain, tokens) for tokens in sequences(domain, rng, 12)]
        if not domain.fixed_length:
            full = rng.integers(EOS + 1, len(domain.vocabulary), domain.max_length).tolist()
            rows += [[EOS], full]  # nothing at all; cut at the length
        return padded([row[: domain.max_length] for row in rows], domain.max_length)


def sequences(domain: Domain, rng: np.random.Generator, count: int) -> list[list[str]]:
    """`count` sequences of random tokens, of all lengths that the domain allows."""
    most = domain.max_length if domain.fixed_length else domain.max_length - 1
    lengths = [most] * count if domain.fixed_length else rng.integers(0, most + 1, count)
    return [rng.choice(domain.vocabulary.own, length).tolist() for length in lengths]


def new_subject(domain: Domain, texts: Sequence[str] | None, folder: Path, *, quick: bool = False) -> Subject:
    """The subject of a domain. `texts`: items that are at hand; without them, those of the corpus."""
    behind = guarded(domain)
    began, corpus = time.monotonic(), None
    if texts is None and behind.offers("corpus"):
        try:
            corpus = tuple(behind.corpus())
        except UserError:  # the check of the corpus says it
            corpus = None
    bare = Subject(behind, (), corpus, time.monotonic() - began, quick, folder)
    items = dict.fromkeys(_items(bare, evenly(corpus or texts or (), 4 * ITEMS)))
    if not corpus:  # a model, or chance, may write what reads back in a token that nobody has: an item, and none to try
        spelt = (not isinstance(refused(partial(rows_of, behind, [text])), UnknownToken) for text in items)
        items = dict.fromkeys(compress(items, spelt))
    return Subject(behind, tuple(items)[: 8 if quick else ITEMS], corpus, bare.seconds, quick, folder)


def evenly(texts: Sequence[str], count: int) -> Sequence[str]:
    """At most `count` of `texts`, from all over."""
    return texts[:: max(1, len(texts) // count)][:count]


def _items(subject: Subject, texts: Sequence[str]) -> Iterator[str]:
    """Canonical items that fit: the first excerpts of `texts`; where these give none, of random tokens."""
    domain, found = subject.domain, 0
    for text in texts:
        try:
            for excerpt in [e for e in domain.excerpts(text) if subject.fits(e)][:1]:
                yield domain.decode(excerpt)
                found += 1
        except UserError:  # a check of its own says it
            continue
    for tokens in () if found else sequences(domain, np.random.default_rng(1), 20 * RANDOM):
        try:
            if subject.fits(tokens):
                yield domain.decode(tokens)
        except UserError:
            continue


def differs(ask: Callable[[], Any]) -> bool:
    """Whether the answer changes from one call to the next; the global random states are others in between."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002 (the old generators are what is checked)
    try:
        answers = []
        for seed in (1, 2):
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            answers.append(ask())
        return not same(*answers)
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002


def said(error: UserError) -> str:
    """What an error says, without the domain's name."""
    return str(error).partition(", ")[2] if isinstance(error, PluginError) else str(error)


def same(one: Any, other: Any) -> bool:
    """Whether two answers are the same: numbers up to rounding, NaN with NaN."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.shape(one) == np.shape(other) and np.allclose(one, other, rtol=1e-6, atol=1e-9, equal_nan=True)
    return bool(one == other)


def shown(text: str) -> str:
    """At most 40 characters of a text, in quotes."""
    return repr(shortened(text, 40))
