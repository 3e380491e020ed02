"""What is asked next: pairs of items, blind, chosen by what an answer would tell; a session of one rater."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqtutor.errors import UserError, shortened
from seqtutor.people.taste import Taste, evidence, information, learn
from seqtutor.people.votes import Vote, append, read

if TYPE_CHECKING:
    from seqtutor.domain import Domain
    from seqtutor.people.lens import Lens

POOL = 200  # items of each writer
FIRST = 20  # votes that are asked at random: before, what is known does not pay for choosing
CANDIDATES, AMONG = 600, 60  # pairs that are compared, and the most informative of them that one is drawn from
REPEATED = 10  # every so many pairs an old one comes back with its sides swapped
LONGEST = 200  # characters of a name, which every line of the file repeats
AGO = 5  # votes that lie between a pair and its repetition, at least
SWAPPED = {"a": "b", "b": "a", "same": "same", "bad": "bad"}
SHAKY, SURE = 0.6, 50  # agreement with oneself below which a page warns, after so many votes


Drawn = tuple[tuple[str, str], tuple[str, str]]  # of either side who wrote it, and the text


@dataclass
class Session:
    """One rater before one file of votes. Whoever answers, chooses or refits holds the lock."""

    domain: Domain
    writers: Mapping[str, Sequence[str]]  # who wrote which texts; of two models against each other, one each
    path: Path
    rater: str
    rng: np.random.Generator
    against: bool = False  # a pair has one item of each writer
    votes: list[Vote] = field(default_factory=list)  # the rater's, that stand
    mine: list[str] = field(default_factory=list)  # ids of those that were given in this session
    passed_over: Sequence[str] = ()  # lines of the file that are no votes, with their number
    current: Vote | None = None
    lens: Lens | None = None
    taste: Taste | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)
    news: threading.Event = field(default_factory=threading.Event)  # there is something to refit for
    problem: str = ""  # why no taste could be learnt; pairs are then chosen at random

    def __post_init__(self) -> None:
        if not self.rater.strip():
            raise UserError("a rater needs a name: --rater anna, say")
        shown = self.rater.encode(errors="backslashreplace").decode()
        if shown != self.rater or len(shown) > LONGEST:
            raise UserError(
                f"a rater's name is text in UTF-8 of at most {LONGEST} characters, not '{shortened(shown)}': "
                "--rater anna, say"
            )
        items = sum(len(set(texts)) for texts in self.writers.values())
        if items < 2 or not all(self.writers.values()):
            none = [repr(writer) for writer, texts in self.writers.items() if not texts]
            why = f"{none[0]} writes no valid item" if none else "the model writes no more"
            raise UserError(f"there are {items} items to compare, and it takes two of each side: {why}")
        if not self.path.parent.is_dir():
            raise UserError(f"there is no folder {self.path.parent} for the votes; name another file with --votes")
        if not os.access(self.path if self.path.exists() else self.path.parent, os.W_OK):
            raise UserError(f"cannot write the votes to {self.path}: no permission; name another file with --votes")
        if self.path.exists():
            found = read(self.path, self.domain.name)
            if found.problems and not found.rows:
                raise UserError(f"{self.path} is no file of votes: {found.problems[0]}; name another with --votes")
            self.votes = [vote for vote in found.rows if vote.rater == self.rater]
            self.passed_over = found.problems

    def pair(self) -> Vote:
        """The pair to be answered now, a vote without its answer: the one that is open, else a new one."""
        with self.lock:
            if self.current is None:
                self.current = self._repetition() or self._new()
            return self.current

    def answer(self, name: str, answer: str, ms: int) -> bool:
        """Write the answer to the open pair down -> whether it was that pair; it is on disk when this returns."""
        with self.lock:
            pair = self.current
            if pair is None or pair.id != name:
                return False
            vote = append(self.path, replace(pair, answer=answer, ms=ms))
            self.votes.append(vote)
            self.mine.append(vote.id)
            self.current = None
            self.news.set()
            return True

    def undo(self) -> bool:
        """Take back the last vote of this session and ask the same pair again -> whether there was one."""
        with self.lock:
            if not self.mine:
                return False
            last = next(vote for vote in reversed(self.votes) if vote.id == self.mine[-1])
            append(self.path, Vote(last.domain, self.rater, last.a, last.b, "undo", of=last.id))
            self.votes.remove(last)
            self.mine.pop()
            self.current = replace(last, id=secrets.token_hex(8), answer="", time="")
            self.news.set()
            return True

    def warning(self) -> str:
        """What the rater should know of the answers so far; empty where there is nothing."""
        same, asked = consistency(self.votes)
        if len(self.votes) >= SURE and asked >= 3 and same < SHAKY * asked:
            return (
                f"Of {asked} pairs that came back swapped you chose alike in {same}: they may be a coin toss for you."
            )
        return ""

    def follow(self, lens: Callable[[], Lens], ended: Callable[[], bool]) -> None:
        """Learn the taste anew after each vote, until the session has ended: for a thread beside the server."""
        try:
            self.lens = lens()
            self.lens([text for texts in self.writers.values() for text in texts])
            self.news.set()
            while not ended():
                if self.news.wait(0.5):
                    self.news.clear()
                    self.refit()
        except UserError as error:
            self.problem = str(error)

    def refit(self) -> None:
        """The taste after the votes so far; votes on what is no item here are left out."""
        lens = self.lens
        with self.lock:
            votes = list(self.votes)
        if lens is None or not votes:
            return
        first, second = lens([vote.a for vote in votes]), lens([vote.b for vote in votes])
        known = np.flatnonzero(np.isfinite(first + second).all(1))
        if len(known):
            data = evidence([votes[i] for i in known], first[known], second[known], lens.beliefs)
            self.taste = learn(data, seed=len(votes))

    def _repetition(self) -> Vote | None:
        """Every tenth time an old pair, the other way round."""
        if (len(self.votes) + 1) % REPEATED:
            return None
        again = {vote.of for vote in self.votes}
        old = [vote for vote in self.votes[:-AGO] if not vote.of and vote.id not in again]
        if not old:
            return None
        vote = old[int(self.rng.integers(len(old)))]
        swapped = {"a": vote.b, "b": vote.a, "source_a": vote.source_b, "source_b": vote.source_a}
        return self._asked(**swapped, why="repeat", of=vote.id)

    def _new(self) -> Vote:
        """A pair that was not asked yet, where there is one: at random, or among those that would tell most."""
        asked = {frozenset((vote.a, vote.b)) for vote in self.votes}
        drawn = [(x, y) for x, y in self._drawn(CANDIDATES) if x[1] != y[1]]
        fresh = [(x, y) for x, y in drawn if frozenset((x[1], y[1])) not in asked] or drawn
        if not fresh:
            raise UserError("the models write one and the same item: there is nothing to compare")
        why = "random"
        taste, lens = self.taste, self.lens
        if taste is not None and lens is not None and len(self.votes) >= FIRST:
            first, second = (taste.members(lens([pair[side][1] for pair in fresh])) for side in (0, 1))
            told = np.nan_to_num(information(first, second), nan=-1.0)
            fresh, why = [fresh[i] for i in np.argsort(-told)[:AMONG]], "information"
        (source_a, a), (source_b, b) = fresh[int(self.rng.integers(len(fresh)))]
        return self._asked(a=a, b=b, source_a=source_a, source_b=source_b, why=why)

    def _asked(self, **said: Any) -> Vote:
        return Vote(self.domain.name, self.rater, answer="", id=secrets.token_hex(8), **said)

    def _drawn(self, count: int) -> list[Drawn]:
        """Pairs of (writer, text): of each writer alike, or one of either where they stand against each other."""
        names, found = list(self.writers), []
        for _ in range(count):
            who = self.rng.permutation(names) if self.against else self.rng.choice(names, 2)
            one, two = ((str(w), str(self.rng.choice(np.array(self.writers[str(w)], object)))) for w in who)
            found.append((one, two))
        return found


def consistency(votes: Sequence[Vote]) -> tuple[int, int]:
    """Of the pairs that came back swapped, how many were answered alike, and how many there are.

    >>> first = Vote("d", "r", "x", "y", "a", id="1")
    >>> consistency([first, Vote("d", "r", "y", "x", "b", of="1"), Vote("d", "r", "y", "x", "a", of="1")])
    (1, 2)
    """
    known = {vote.id: vote for vote in votes}
    pairs = [(known[vote.of], vote) for vote in votes if vote.of and vote.of in known]
    return sum(SWAPPED[first.answer] == second.answer for first, second in pairs), len(pairs)
