"""Who answers which term: this process for cheap terms of a domain, worker processes for all others."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
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
        for term in terms:
            table = (settings or {}).get(term.name)
            if table is not None and table.outside is not None:
                limits = {key: getattr(table, key) for key in ("workers", "timeout", "chunk", "retries", "memory")}
                self.pools[term.name] = Pool({term.name: table.outside}, **limits)
            elif workers:
                own[term.name] = Own(domain.place, asdict(domain.options), term.name)
            else:
                self.here[term.name] = term.values
        shared = Pool(own, workers)
        self.pools.update(dict.fromkeys(own, shared))
        self.distinct = list({id(pool): pool for pool in self.pools.values()}.values())
        self.kept: dict[str, Sequence[str]] = {}  # open questions for this process

    def begin(self, questions: Mapping[str, Sequence[str]]) -> None:
        """Give the workers their questions, by term, and keep those for this process; older ones are forgotten."""
        self.drop()
        self.kept = {name: texts for name, texts in questions.items() if texts and name in self.here}
        for name, texts in questions.items():
            if name in self.pools:
                self.pools[name].add(name, texts)
        for pool in self.distinct:
            pool.feed()

    def poll(self) -> Iterator[Answers]:
        """What the workers have answered by now: a term's name and outcomes by text. They get more to do.

        Raises UserError, with the term's name, where a function gives a wrong number of answers or cannot be started.
        """
        return _turn(self.distinct, 0.0)

    def finish(self) -> Iterator[Answers]:
        """All other answers, as they come: with those of `poll`, one outcome for every text of every term.

        Raises UserError as `poll` does.
        """
        try:
            for name, texts in self.kept.items():
                yield from self.poll()  # so that the workers work meanwhile
                yield name, self._here(name, texts)
            yield from self.poll()  # what has come is taken even where the wait is not begun
            while any(pool.busy for pool in self.distinct):
                yield from _turn(self.distinct, math.inf)
        finally:
            self.drop()

    def drop(self) -> None:
        """Forget every open question."""
        self.kept = {}
        for pool in self.distinct:
            pool.drop()

    def _here(self, name: str, texts: Sequence[str]) -> Any:
        try:
            outcomes, _ = ask(self.here[name], texts)
        except WrongNumber as error:
            raise UserError(f"term '{name}' {error}") from error
        return dict(zip(texts, outcomes, strict=True))

    def start(self) -> None:
        """Start one worker of each pool and see that it can be used. Raises UserError with the term's name."""
        for pool in self.distinct:
            while not any(worker.ready for worker in pool.running):
                if not pool.running:
                    pool.running.append(pool.new_worker())
                for _ in _turn([pool], math.inf):
                    pass

    def close(self) -> None:
        """End all worker processes."""
        for pool in self.distinct:
            pool.close()


def _turn(pools: Sequence[Pool], patience: float) -> Iterator[Answers]:
    """Wait at most `patience` seconds for the next thing to happen, take what it brings, and give out work."""
    watched: dict[Any, tuple[Pool, Worker]] = {}
    for pool in pools:
        for worker in pool.running:
            watched[worker.pipe] = (pool, worker)
            if not worker.silent:
                watched[worker.errors] = (pool, worker)
    deadlines = [worker.deadline for _, worker in watched.values() if worker.job or not worker.ready]
    pause = max(0.0, min(deadlines, default=time.monotonic() + 1.0) - time.monotonic()) + 0.001
    with waiting() if patience else nullcontext():
        ready = wait(list(watched), min(pause, patience))
    heard = {id(watched[source][1]): watched[source] for source in ready}
    problem: UserError | None = None
    for pool, worker in heard.values():
        try:
            yield from pool.hear(worker)
        except UserError as error:  # the answers of the others are taken first: they are paid
            problem = problem or error
    if problem:
        raise problem
    for pool in pools:
        yield from pool.overdue(time.monotonic())
    for pool in pools:
        pool.feed()
