"""Who answers for sequence-level terms: memory, disk, this process, or worker processes, behind one interface."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from multiprocessing.connection import wait
from typing import Any

import numpy as np

from seqtutor.arrays import Values
from seqtutor.domain import Domain, SequenceTerm
from seqtutor.errors import UserError
from seqtutor.rewards.outcomes import Outcome, Shifted, WrongNumber, ask
from seqtutor.rewards.outside import Oracle, Own
from seqtutor.rewards.pool import Pool, PoolAnswers, Worker
from seqtutor.rewards.programs import Program
from seqtutor.rewards.store import Store
from seqtutor.rewards.terms import TermSettings
from seqtutor.rewards.versions import version_of
from seqtutor.signals import waiting


@dataclass
class Answers:
    """What each sequence-level term says of each text. No text is asked of a term twice.

    `submit` some texts, `poll` as often as there is time, `finish` to wait for the rest; then `known` has them all.
    `workers`: processes for the domain's own terms; 0: this process.
    """

    domain: Domain
    terms: Sequence[SequenceTerm]
    settings: Mapping[str, TermSettings] = field(default_factory=dict)
    workers: int = 0
    known: dict[str, dict[str, float]] = field(default_factory=dict)  # by term and text; NaN: a failure
    reasons: dict[tuple[str, str], Outcome] = field(default_factory=dict)  # of each failure, by term and text
    stores: list[Store] = field(default_factory=list)  # the run's own file first, then one that runs share
    versions: dict[str, str] = field(default_factory=dict)
    here: dict[str, Any] = field(default_factory=dict)
    dear: set[str] = field(default_factory=set)  # the user's own terms, and those with processes for them alone
    pools: dict[str, Pool] = field(default_factory=dict)
    kept: dict[str, Sequence[str]] = field(default_factory=dict)  # open questions for this process
    absent: dict[str, set[str]] = field(default_factory=dict)  # by term, texts that were recalled already
    recent: list[tuple[str, str]] = field(default_factory=list)  # terms and texts of the answers since the last batch
    before: list[tuple[str, str]] = field(default_factory=list)  # and of those of the batch before it

    def __post_init__(self) -> None:
        own: dict[str, Oracle] = {}
        for term in self.terms:
            self.versions[term.name] = version_of(self.domain, term, self.settings)
            self.known.setdefault(term.name, {})
            table = self.settings.get(term.name)
            alone = table is not None and bool(table.kind) and (term.costly or table.alone)
            if table is not None and (table.outside or table.call or alone):
                self.dear.add(term.name)
            if table is not None and table.outside is not None:
                self.pools[term.name] = Pool({term.name: table.outside}, **table.limits)
            elif table is not None and alone:
                self.pools[term.name] = Pool({term.name: self._own(term.name, table)}, **table.limits)
            elif self.workers and (table is None or not (table.call or table.taste or table.surrogate)):
                own[term.name] = self._own(term.name, table)
            else:
                self.here[term.name] = term.values
        shared = Pool(own, self.workers)
        self.pools.update(dict.fromkeys(own, shared))
        self.distinct = list({id(pool): pool for pool in self.pools.values()}.values())

    def _own(self, name: str, table: TermSettings | None) -> Own:
        """A term of the domain, or of one of its kinds, for a worker."""
        kind, told = ("", {}) if table is None else (table.kind, dict(table.own))
        return Own(self.domain.place, asdict(self.domain.options), name, kind, told)

    def submit(self, texts: Sequence[str], refused: Collection[str] = ()) -> None:
        """Look up what is on disk of `texts`, and give the workers what is open; older questions are forgotten.

        `refused`: those of them about which what is dear is not asked.
        """
        self.drop()
        self.before, self.recent = self.recent, []
        wanted = [text for text in texts if text not in refused]
        for term in self.terms:
            self._open(term.name, wanted if term.name in self.dear else texts)
        for pool in self.distinct:
            pool.feed()

    def settle(self, names: Sequence[str], texts: Sequence[str]) -> None:
        """Ask the terms called `names` alone, and wait for what they say. Raises UserError as `poll` does."""
        self.drop()
        for name in names:
            self._open(name, texts)
        self.finish()

    def table(self, names: Sequence[str], texts: Sequence[str]) -> Values:
        """What the terms called `names` said of each text (N, K); NaN where that failed or was not asked."""
        known = [self.known[name] for name in names]
        rows = [[of.get(text, math.nan) for of in known] for text in texts]
        return np.array(rows, np.float64).reshape(len(texts), len(names))

    def _open(self, name: str, texts: Sequence[str]) -> None:
        """Look up what is on disk of `texts`, and put what is open where it will be answered."""
        unheard = list(dict.fromkeys(text for text in texts if text not in self.known[name]))
        self._stored(name, unheard)
        open_questions = [text for text in unheard if text not in self.known[name]]
        if open_questions and name in self.here:
            self.kept[name] = open_questions
        elif open_questions:
            self.pools[name].add(name, open_questions)

    def recall(self, texts: Sequence[str]) -> None:
        """Look up what is on disk of texts that were scored before, as after a resume; each is looked up once."""
        for term in self.terms:
            known, absent = self.known[term.name], self.absent.setdefault(term.name, set())
            missing = [text for text in texts if text not in known and text not in absent]
            self._stored(term.name, missing)
            absent.update(missing)

    def poll(self) -> None:
        """Take the answers that have come, without waiting, and give the workers more to do.

        Raises UserError, with the term's name, where a function gives a wrong number of answers or cannot be started.
        """
        self._take(_turn(self.distinct, 0.0))

    def finish(self) -> None:
        """Wait for all other answers. Raises UserError as `poll` does."""
        try:
            for name, texts in self.kept.items():
                self.poll()  # so that the workers work meanwhile
                self._take([(name, self._here(name, texts))])
            self.poll()  # what has come is taken even where the wait is not begun
            while any(pool.busy for pool in self.distinct):
                self._take(_turn(self.distinct, math.inf))
        finally:
            self.drop()

    def drop(self) -> None:
        """Forget every open question."""
        self.kept = {}
        for pool in self.distinct:
            pool.drop()

    def start(self, text: str = "") -> None:
        """Start one worker of each pool and see that it can be used. Raises UserError with the term's name.

        `text`: an item to ask programs about, so that one that will never answer is found out now.
        """
        for name, pool in self.pools.items():
            oracle = pool.functions[name]
            if text and isinstance(oracle, Program):
                try:
                    replace(oracle).probe(text, pool.timeout)
                except UserError as error:
                    raise UserError(f"term '{name}': the program {error}") from error
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

    def _here(self, name: str, texts: Sequence[str]) -> dict[str, Outcome]:
        try:
            outcomes, _ = ask(self.here[name], texts)
        except WrongNumber as error:
            raise UserError(f"term '{name}' {error}") from error
        return dict(zip(texts, outcomes, strict=True))

    def _take(self, more: Any) -> None:
        """Put outcomes on disk, one call after the other as they come, and remember them."""
        try:
            for name, outcomes in more:
                self.recent += [(name, text) for text in outcomes]
                for store in self.stores:
                    store.put(name, self.versions[name], outcomes)
                self._remember(name, outcomes)
        except Shifted as error:  # whose answers those of this batch and of the one before are is not certain
            term = error.term
            doubtful = [text for name, text in self.before + self.recent if name == term]
            for store in self.stores:
                store.forget(term, self.versions[term], doubtful)
            for text in doubtful:
                self.known[term].pop(text, None)
                self.reasons.pop((term, text), None)
            raise

    def _stored(self, name: str, texts: Sequence[str]) -> None:
        found: dict[str, Outcome] = {}
        for i, store in enumerate(self.stores):
            more = store.get(name, self.versions[name], [text for text in texts if text not in found])
            if i and more:  # from the file that runs share into the run's own
                self.stores[0].put(name, self.versions[name], more)
            found |= more
        self._remember(name, found)

    def _remember(self, name: str, outcomes: Mapping[str, Outcome]) -> None:
        for text, outcome in outcomes.items():
            self.known[name][text] = outcome.value
            if outcome.kind != "value":
                self.reasons[name, text] = outcome


def _turn(pools: Sequence[Pool], patience: float) -> Iterator[PoolAnswers]:
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
