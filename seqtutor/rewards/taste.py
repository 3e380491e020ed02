"""A person's votes as a reward: what the model of that taste expects of an item, less what it does not know.

u(x) is in nats: of two items that differ by 1, the better one wins 73 % of the votes. It is measured from the prior's
average item, and so is its standard deviation; the value is mean - caution * sd.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqtutor.arrays import Values
from seqtutor.config import TrainConfig, changed
from seqtutor.domain import Domain, RewardTerm
from seqtutor.errors import UserError

if TYPE_CHECKING:
    from seqtutor.people.lens import Lens
    from seqtutor.people.taste import Taste
    from seqtutor.people.votes import Votes

INVALID = -5.0  # nats: what is no item loses to the average one but for seven votes in a thousand
LEAST = 8  # votes below which nothing is learnt
FEW, AMPLE = 0.05, 0.1  # KL, nats per token, that is safe below and from MANY votes
MANY = 100
FORMAT = 3  # of the features and the model: a change makes other answers


@dataclass
class Tasted:
    """The values of a term `[terms.NAME] taste = "votes.jsonl"`: texts -> (B,). The votes are read when first used."""

    path: Path
    domain: Domain
    prior: str  # whose texts it is standardised by, and whose hidden states it reads
    caution: float = 1.0
    digest: str = ""  # of the votes, and their bytes: the file may have grown since
    size: int = 0
    lens: Lens | None = field(default=None, repr=False)
    taste: Taste | None = field(default=None, repr=False)
    problems: list[str] = field(default_factory=list, repr=False)  # votes that were passed over, a line each

    def open(self) -> None:
        """Read votes and prior, and learn the taste. Raises UserError where one cannot be read or tells too little."""
        from seqtutor.people.lens import lens_of

        votes = self.votes
        self.lens = lens_of(self.domain, self.prior)
        self.taste, left = learnt(votes, self.lens)
        self.problems = [*votes.problems, *left]

    @cached_property
    def votes(self) -> Votes:
        """Those that the run is tuned by, read once. Raises UserError where they are too few."""
        from seqtutor.people.votes import read

        votes = read(self.path, self.domain.name, size=self.size, digest=self.digest)
        if len(votes.rows) < LEAST:
            more = f"; passed over: {votes.problems[0]}" if votes.problems else ""
            raise UserError(
                f"{self.path} holds {len(votes.rows)} votes, and a taste needs {LEAST}, better 50: "
                f"give more with 'seqtutor rate'{more}"
            )
        return votes

    def members(self, texts: Sequence[str]) -> Values:
        """U(x) (B, D) by each draw of the taste."""
        if self.taste is None or self.lens is None:
            self.open()
        return self.taste.members(self.lens(texts)) if self.taste and self.lens else np.zeros((len(texts), 0))

    def __call__(self, texts: Sequence[str]) -> Values:
        """Mean - caution * sd of u(x); NaN where the prior cannot read a text."""
        found = self.members(texts)
        return np.asarray((found.mean(1) - self.caution * found.std(1)).round(6))

    def version(self) -> str:
        """It changes with the votes, the caution, the prior's weights and the domain's options."""
        from seqtutor.priors.files import weights_digest

        votes = self.votes.digest[:16]
        return f"taste {FORMAT} {votes} {self.caution:g} {weights_digest(self.prior)} {self.domain.options}"

    def figures(self, texts: Sequence[str]) -> dict[str, float]:
        """Of a batch: the mean sd of u(x), and how far the members agree in their ranks."""
        from seqtutor.people.taste import agreement

        found = self.members(texts)
        found = found[np.isfinite(found).all(1)]
        sd = round(float(found.std(1).mean()), 6) if len(found) else math.nan
        return {"sd": sd, "agreement": round(agreement(found), 6)}


def votes_of(terms: Sequence[RewardTerm]) -> list[str]:
    """What stands behind each term that is a taste, for a person."""
    tastes = [(term.name, term.values) for term in terms if isinstance(term.values, Tasted)]
    raters = {name: sorted({vote.rater for vote in taste.votes.rows}) for name, taste in tastes}
    return [
        f"{name}: what {len(taste.votes.rows):,} votes of {', '.join(raters[name])} tell, "
        f"less {abs(taste.caution):g} of its standard deviation for doubt"
        for name, taste in tastes
    ]


def learnt(votes: Votes, lens: Lens) -> tuple[Taste, list[str]]:
    """The taste that votes tell of, and which of them were left out since they name no item of the domain."""
    from seqtutor.people.lens import wrong
    from seqtutor.people.taste import evidence, learn

    reasons = {text: wrong(lens.domain, text) for vote in votes.rows for text in (vote.a, vote.b)}
    bad = [(vote.id, reason) for vote in votes.rows if (reason := reasons[vote.a] or reasons[vote.b])]
    left = [f"vote {name}: {reason}; left out" for name, reason in bad]
    rows = [vote for vote in votes.rows if not (reasons[vote.a] or reasons[vote.b])]
    if len(rows) < LEAST:
        why = f"; the first of the others, {left[0]}" if left else ""
        raise UserError(f"{len(rows)} votes compare items of domain '{lens.domain.name}'; {LEAST} are needed{why}")
    first, second = lens([vote.a for vote in rows]), lens([vote.b for vote in rows])
    return learn(evidence(rows, first, second, lens.beliefs)), left


def pinned_votes(table: Mapping[str, Any], domain: Domain, prior: str, temperature: float) -> dict[str, Any]:
    """A table `[terms.NAME]` with what a repetition needs: its prior, its weight, and which votes it was.

    The usual weight is the temperature: an item that is better by a nat becomes e times as likely.
    """
    votes = _votes(table, domain.name)
    if votes is None:
        return dict(table)
    usual = {"prior": prior} if table.get("filter") else {"prior": prior, "weight": float(temperature)}
    return {**usual, **table, "bytes": votes.size, "digest": votes.digest}


def _votes(table: Mapping[str, Any], domain: str) -> Votes | None:
    """The votes of a table `[terms.NAME]`; None where it has none, or keys that whoever reads the settings refuses."""
    from seqtutor.people.votes import read

    path, size, digest = table.get("taste"), table.get("bytes", 0), table.get("digest", "")
    if not (type(path) is str and type(size) is int and type(digest) is str):
        return None
    return read(Path(path), domain, size=size, digest=digest)


def within_budget(config: TrainConfig, stated: Collection[str]) -> TrainConfig:
    """The config with a KL budget where it has a taste, and nothing that is `stated` holds the policy.

    A model of few votes knows little beyond what was asked; of several tastes the one with the fewest counts.
    """
    if {"kl_budget", "temperature", "temperature_end"} & set(stated):
        return config
    tables = [table for table in config.terms.values() if isinstance(table, Mapping)]
    counts = [len(votes.rows) for table in tables if (votes := _votes(table, config.domain))]
    return changed(config, kl_budget=FEW if min(counts) < MANY else AMPLE) if counts else config


def problems_of(terms: Sequence[RewardTerm]) -> list[str]:
    """The votes that each taste among the terms has passed over, a line each."""
    return [line for term in terms if isinstance(term.values, Tasted) for line in term.values.problems]
