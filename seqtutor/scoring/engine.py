"""Who answers which term: this process for cheap terms of a domain, worker processes for all others."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from multiprocessing.connection import wait
from typing import Any

from seqtutor.domain import Domain, SequenceTerm
from seqtutor.errors import UserError
from seqtutor.outside.answers import WrongNumber, ask
from seqtutor.outside.oracles import Oracle, Own
from seqtutor.scoring.pool import Answers, Pool, Worker
from seqtutor.scoring.terms import TermSettings
from seqtutor.signals import waiting


class Engine:
    """Answers for sequence-level terms. `workers`: processes for the domain's own terms; 0: this process."""

    def __init__(
        self,
        domain: Domain,
        terms: Sequence[SequenceTerm],
        settings: Mapping[str, TermSettings] | None = None,
        workers: int = 0,
    ) -> None:
        self.here: dict[str, Any] = {}
        self.pools: dict[str, Pool] = {}
        own: dict[str, Oracle] = {}
        place = f"{type(domain).__module__}:{type(domain).__qualname__}"
        for term in terms:
            table = (settings or {}).get(term.name)
            if table is not None and table.outside is not None:
                limits = {key: getattr(table, key) for key in ("workers", "timeout", "chunk", "retries", "memory")}
                self.pools[term.name] = Pool({term.name: table.outside}, **limits)
            elif workers:
                own[term.name] = Own(place, asdict(domain.options), term.name)
            else:
                self.here[term.name] = term.values
        shared = Pool(own, workers)
        self.pools.update(dict.fromkeys(own, shared))

    def ask(self, questions: Mapping[str, Sequence[str]]) -> Iterator[Answers]:
        """A term's name and outcomes by text, as they come; in the end one outcome for every text of every term.

        Raises UserError, with the term's name, where a function gives a wrong number of answers or cannot be started.
        """
        pools = list({id(pool): pool for name in questions if (pool := self.pools.get(name))}.values())
        try:
            for name, texts in questions.items():
                if name in self.pools:
                    self.pools[name].add(name, texts)
            for pool in pools:
                pool.feed()
            for name, texts in questions.items():  # while the workers work
                if name in self.here and texts:
                    yield name, self._here(name, texts)
            while any(pool.busy for pool in pools):
                yield from _turn(pools)
        finally:
            for pool in pools:
                pool.drop()

    def _here(self, name: str, texts: Sequence[str]) -> Any:
        try:
            outcomes, _ = ask(self.here[name], texts)
        except WrongNumber as error:
            raise UserError(f"term '{name}' {error}") from error
        return dict(zip(texts, outcomes, strict=True))

    def start(self) -> None:
        """Start one worker of each pool and see that it can be used. Raises UserError with the term's name."""
        for pool in {id(pool): pool for pool in self.pools.values()}.values():
            while not any(worker.ready for worker in pool.running):
                if not pool.running:
                    pool.running.append(pool.new_worker())
                for _ in _turn([pool]):
                    pass

    def close(self) -> None:
        """End all worker processes."""
        for pool in self.pools.values():
            pool.close()


def _turn(pools: Sequence[Pool]) -> Iterator[Answers]:
    """Give out work, wait for the next thing to happen, and take what it brings."""
    for pool in pools:
        pool.feed()
    watched: dict[Any, tuple[Pool, Worker]] = {}
    for pool in pools:
        for worker in pool.running:
            watched[worker.pipe] = (pool, worker)
            if not worker.silent:
                watched[worker.errors] = (pool, worker)
    deadlines = [worker.deadline for _, worker in watched.values() if worker.job or not worker.ready]
    pause = max(0.0, min(deadlines, default=time.monotonic() + 1.0) - time.monotonic())
    with waiting():
        ready = wait(list(watched), pause + 0.001)
    heard = {id(watched[source][1]): watched[source] for source in ready}
    for pool, worker in heard.values():
        yield from pool.hear(worker)
    for pool in pools:
        yield from pool.overdue(time.monotonic())
