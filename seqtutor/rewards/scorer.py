"""From sampled sequences to what they earned: what was asked, what it cost, and what could not be scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from seqtutor.arrays import Flags, Ids, Values
from seqtutor.config import TrainConfig
from seqtutor.domain import Domain, RewardTerm, SequenceTerm, TokenTerm
from seqtutor.errors import Undecodable, UserError
from seqtutor.rewards import filters
from seqtutor.rewards.answers import Answers
from seqtutor.rewards.distilled import open_runs
from seqtutor.rewards.outcomes import LARGEST
from seqtutor.rewards.payment import Payment
from seqtutor.rewards.reward import Reward, Scores, on_last_step
from seqtutor.rewards.store import Store
from seqtutor.rewards.terms import TermSettings, settings_of, weighted_terms
from seqtutor.vocabulary import PAD

IDLE = 100  # batches in a row without a call, after which a budget of calls counts as one that cannot be spent
PATIENCE = 3  # batches in a row with too many failures before a run stops
SHOWN = 3  # reasons of a tally


@dataclass
class Asked:
    """B sequences of up to T tokens whose terms have been asked."""

    tokens: Ids  # (B, T)
    texts: list[str | None]
    repeated: Flags  # (B,)
    new: list[int]  # which of them count as oracle calls
    refused: set[str] = field(default_factory=set)  # the texts that a filter lets earn nothing, see `filters`
    problem: UserError | None = None  # what will be raised when it is finished


@dataclass(frozen=True)
class News:
    """What the last batch brought: rows for the files of a run."""

    calls: list[tuple[int, str, float]] = field(default_factory=list)  # number, text, R (NaN: not scored)
    failures: list[tuple[str, str, str]] = field(default_factory=list)  # term, text, reason
    quarantined: list[tuple[str, str, str]] = field(default_factory=list)  # those that killed their worker


@dataclass
class Scorer:
    """Scores batches, and counts what that cost.

    A batch is scored whole, or leaves the counts as they were; what was answered meanwhile is kept.
    """

    domain: Domain
    terms: Sequence[RewardTerm]
    failures: float = 1.0  # share of a batch that a term may fail on, see `check`
    calls: int = 0  # oracle calls: texts not seen before that the sequence-level terms were asked about
    seen: set[str] = field(default_factory=set)
    refused: dict[str, None] = field(default_factory=dict)  # texts, in order, that a filter saved a call for
    idle: int = 0  # batches in a row without a call
    failed: list[tuple[str, str, str]] = field(default_factory=list)  # term, text, reason
    settings: Mapping[str, TermSettings] = field(default_factory=dict)
    geometric: bool = False  # R is the weighted geometric mean of the scores, not their weighted sum
    budget: int = 0  # most oracle calls; 0: no limit
    workers: int = 0  # processes for the domain's own terms; 0: this one
    shared: str = ""  # file of answers that runs share
    news: News = field(default_factory=News)
    payment: Payment = field(default_factory=Payment)
    recorded: dict[str, Mapping[str, float]] = field(default_factory=dict)  # by term, what a record says of its texts
    streaks: dict[str, list[tuple[int, list[str]]]] = field(default_factory=dict)  # bad batches running: texts, reasons

    @cached_property
    def reward(self) -> Reward:
        """How the terms become one R."""
        return Reward(self.terms, self.settings, self.geometric)

    @cached_property
    def answers(self) -> Answers:
        """Who answers for the sequence-level terms; workers are started when first asked."""
        return Answers(self.domain, self.oracles, self.settings, self.workers)

    @property
    def oracles(self) -> list[SequenceTerm]:
        """The sequence-level terms that can be asked; a record cannot."""
        return [term for term in self.terms if isinstance(term, SequenceTerm) and term.name not in self.recorded]

    @property
    def outside(self) -> list[str]:
        """Those of them that are functions and programs of the user's."""
        tables = {term.name: self.settings.get(term.name) for term in self.oracles}
        return [name for name, table in tables.items() if table and (table.outside or table.call)]

    @property
    def partial(self) -> set[str]:
        """The terms that are asked of items that pass the filters alone; none where there is no filter."""
        return self.answers.dear if any(term.filter for term in self.oracles) else set()

    @property
    def directions(self) -> dict[str, int]:
        """By term that a config speaks of: 1 where more of its raw value is better, -1 where less is, 0 for neither."""
        return {name: table.direction for name, table in self.settings.items()}

    @property
    def spent(self) -> bool:
        """Whether the budget is."""
        return 0 < self.budget <= self.calls

    def score(self, tokens: Ids, truncated: Flags) -> Scores:
        """`tokens` (B, T) and `truncated` (B,) as in a Rollout. Raises UserError where a term cannot be asked."""
        return self.finish(self.submit(tokens, truncated))

    def submit(self, tokens: Ids, truncated: Flags) -> Asked:
        """Ask about what is new in a batch, and do not wait, but for the filters; one batch at a time."""
        texts = [None if cut else self.text(row) for row, cut in zip(tokens, truncated, strict=True)]
        items = list(dict.fromkeys(text for text in texts if text is not None))
        refused = filters.refused(self.answers, self.reward, items)
        repeated, here, new = np.zeros(len(texts), bool), set[str](), list[int]()
        for i, text in enumerate(texts):
            if text is not None:
                repeated[i] = text in here or text in self.seen or (text in refused and text in self.refused)
                if not repeated[i] and text not in refused:
                    new.append(i)
                here.add(text)
        if self.budget and self.oracles:  # as many of them as it has calls left
            new = new[: max(0, self.budget - self.calls)]
        asked = {texts[i] for i in new}
        self.answers.submit([t for t in items if t in asked or t in self.seen or t in refused], refused)
        return Asked(tokens, texts, repeated, new, refused)

    def poll(self, asked: Asked) -> None:
        """Take the answers that have come, without waiting, and give the workers more to do.

        A problem is kept for `finish`, so that whoever polls can end what it is doing.
        """
        if asked.problem is None:
            try:
                self.answers.poll()
            except UserError as problem:
                asked.problem = problem
                self.answers.drop()

    def finish(self, asked: Asked) -> Scores:
        """Wait for the other answers. Raises UserError where a term cannot be asked."""
        if asked.problem:
            raise asked.problem
        self.answers.finish()
        scores = self.scores(asked.tokens, asked.texts, asked.repeated)
        paid = self.payment.shares(self.domain, scores)
        self.idle = 0 if asked.new else self.idle + 1
        self.seen |= {text for i in asked.new if (text := asked.texts[i]) is not None}  # from here nothing can fail
        self.refused |= dict.fromkeys(t for t in asked.texts if t in asked.refused and t not in self.seen)
        self._note(scores, asked.new)
        return replace(scores, reward=scores.reward * paid[:, None], paid=paid)

    def of_texts(self, texts: Sequence[str], tokens: Ids) -> Scores:
        """What B items that nobody sampled are worth; `tokens` (B, T) for the terms that read them. No call counts."""
        self.answers.submit(texts, filters.refused(self.answers, self.reward, texts))
        self.answers.finish()
        return self.scores(tokens, texts, np.zeros(len(texts), bool))

    def scores(self, tokens: Ids, texts: Sequence[str | None], repeated: Flags) -> Scores:
        """What B sequences are worth, by the answers that are known."""
        real, valid = tokens != PAD, np.array([text is not None for text in texts], bool)
        values = self.values(tokens, texts)
        apart = self.partial  # of what is no item these would say the more, the rarer an item passes

        def said(name: str, figures: Values) -> Values:
            return np.where(valid, figures, np.nan) if name in apart else figures

        terms = {t.name: said(t.name, self.reward.raw(k, values, valid)) for k, t in enumerate(self.terms)}
        transformed = [(k, t.name) for k, t in enumerate(self.terms) if self.reward.transform(t)]
        return Scores(
            texts=list(texts),
            values=values,
            reward=self.reward(values, real, valid),
            scored=self.reward.scored(values, real, valid) & (not self.recorded),
            repeated=repeated,
            paid=np.ones(len(tokens)),
            terms={n: np.where(valid, v, np.nan) if n in self.recorded else v for n, v in terms.items()},
            transformed={name: said(name, self.reward.score(k, values, valid)) for k, name in transformed},
        )

    def values(self, tokens: Ids, texts: Sequence[str | None]) -> Values:
        """What each term says of each step (B, T, K); sequence-level values lie on the last step, 0 for no item."""
        of_texts = np.zeros((len(tokens), len(self.terms)))
        for k, term in enumerate(self.terms):
            if isinstance(term, SequenceTerm):
                known = self.recorded[term.name] if term.name in self.recorded else self.answers.known[term.name]
                of_texts[:, k] = [0.0 if text is None else known.get(text, np.nan) for text in texts]
        return self.respelt(tokens, of_texts)

    def respelt(self, tokens: Ids, of_texts: Values) -> Values:
        """Values (B, T, K) of `tokens` (B, T) where the sequence-level ones (B, K) are known already."""
        values, real = np.zeros((*tokens.shape, len(self.terms))), tokens != PAD
        for k, term in enumerate(self.terms):
            if isinstance(term, TokenTerm):
                values[..., k] = self._steps(term, tokens)
            else:
                values[..., k] = on_last_step(of_texts[:, k], real)
        return values

    def _steps(self, term: TokenTerm, tokens: Ids) -> Values:
        steps = np.asarray(term.values(tokens), np.float64)
        if steps.shape != tokens.shape:
            raise UserError(f"term '{term.name}' answered with shape {steps.shape} for tokens of {tokens.shape}")
        return np.where(tokens == PAD, 0.0, np.where(np.abs(steps) <= LARGEST, steps, np.nan))

    def text(self, row: Ids) -> str | None:
        """The text of one row of tokens; None where it is no item of the domain."""
        try:
            return self.domain.decode(self.domain.vocabulary.decode(row.tolist()))
        except Undecodable:
            return None

    def _note(self, scores: Scores, new: Sequence[int]) -> None:
        """Count the batch: calls, failures and their share."""
        failures, quarantined, totals = [], [], scores.totals
        for term in self.terms:
            if isinstance(term, TokenTerm):
                odd = np.flatnonzero(~np.isfinite(scores.terms[term.name])).tolist()
                failures += [(term.name, scores.texts[i] or "", "gave no number for a step") for i in odd]
        for term in self.oracles:
            for i in new:  # in the order of the batch, not of the workers
                text = scores.texts[i] or ""
                if outcome := self.answers.reasons.get((term.name, text)):
                    failures.append((term.name, text, outcome.reason))
                    quarantined += failures[-1:] if outcome.kind == "quarantine" else []
        counted = enumerate(new if self.oracles else (), self.calls + 1)
        calls = [(k, scores.texts[i] or "", float(totals[i])) for k, i in counted]
        self.calls += len(calls)
        self.failed += failures
        self.news = News(calls, failures, quarantined)
        self._count_failures(scores)

    def _count_failures(self, scores: Scores) -> None:
        """Note for each term whether it failed on too large a share of this batch; texts beyond the budget aside."""
        reasons = {(name, text): reason for name, text, reason in self.news.failures}
        some = [i for i, text in enumerate(scores.texts) if text is None or text in self.seen or text in self.refused]
        for term in self.terms:
            values = scores.transformed.get(term.name, scores.terms[term.name])
            asked = [i for i in some if np.isfinite(values[i]) or not scores.scored[i]]  # but for what was refused
            bad = [scores.texts[i] or "" for i in asked if not np.isfinite(values[i])]
            over = term.counts and term.name not in self.recorded and len(bad) > self.failures * len(asked)
            batch = (len(asked), [reasons.get((term.name, text), "failed before") for text in bad])
            self.streaks[term.name] = [*self.streaks.get(term.name, []), batch] if over else []

    def check(self) -> None:
        """Raise UserError with the tally where a term failed on too large a share of PATIENCE batches running."""
        for name, streak in self.streaks.items():
            if len(streak) >= PATIENCE:
                said = [reason for _, reasons in streak for reason in reasons]
                tally = "; ".join(f"{count} x {reason}" for reason, count in Counter(said).most_common(SHOWN))
                text = next((text for term, text, _ in reversed(self.failed) if term == name), "")
                asked = sum(count for count, _ in streak)
                raise UserError(
                    f"term '{name}' could not score {len(said)} of {asked} texts of the last "
                    f"{len(streak)} batches, '{text}' among them ({tally}); "
                    f"more than the share of {self.failures:g} of each that is let pass"
                )

    def aside(self, terms: Sequence[RewardTerm]) -> Scorer:
        """A scorer of `terms` that has the answers of this one, those on disk too, and counts on its own."""
        nobody: dict[str, Mapping[str, float]] = {name: {} for name in self.recorded}
        other = Scorer(self.domain, terms, settings=self.settings, recorded=nobody)
        other.geometric, other.workers = self.geometric, self.workers
        other.answers.known |= {name: dict(values) for name, values in self.answers.known.items()}
        other.answers.reasons.update(self.answers.reasons)
        other.answers.stores = self.answers.stores
        return other

    @contextmanager
    def remembering(self, own: Path) -> Iterator[None]:
        """Keep every answer in the file `own`, and values in the shared one, while the block runs."""
        with ExitStack() as stack:
            stores = [stack.enter_context(Store(own, failures=True))]
            if self.shared:
                stores.append(stack.enter_context(Store(Path(self.shared), failures=False)))
            self.answers.stores = stores
            try:
                yield
            finally:
                self.answers.stores = []

    def state(self) -> dict[str, Any]:
        """All that a checkpoint needs beside the answers on disk, as JSON can hold it."""
        return {
            "calls": self.calls,
            "seen": sorted(self.seen),
            "refused": list(self.refused),
            "idle": self.idle,
            "failed": self.failed,
            "streaks": self.streaks,
            "members": dict(self.payment.members),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put back what `state` gave."""
        self.calls, self.seen, self.idle = state["calls"], set(state["seen"]), state["idle"]
        self.refused = dict.fromkeys(state["refused"])
        self.failed = [(term, text, reason) for term, text, reason in state["failed"]]
        self.streaks = {}
        for name, bad in state["streaks"].items():
            self.streaks[name] = [(int(asked), [str(reason) for reason in reasons]) for asked, reasons in bad]
        self.payment.members = Counter(state["members"])

    def start(self, text: str = "") -> None:
        """See that every function, program and run can be used, programs by asking about `text`. Raises UserError."""
        open_runs(self.terms)
        self.answers.start(text)

    def close(self) -> None:
        """End all worker processes."""
        self.answers.close()


def new_scorer(domain: Domain, config: TrainConfig, run: Path | None = None) -> Scorer:
    """The scorer of a run: only terms with a weight are evaluated, and those that are held out."""
    settings = settings_of(config.terms, run)
    terms = weighted_terms(domain, config.term_weights, settings)
    used = [term for term in terms if term.counts or term.name in config.hold_out]
    if not any(term.weight for term in terms):
        listed = ", ".join(term.name for term in terms) or "the domain has none: give one with --function"
        raise UserError(f"every term has weight 0: nothing to tune towards; give one with --weight TERM=1 ({listed})")
    found = scorer_with(domain, config, used, settings)
    if config.oracle_calls and not found.oracles:
        raise UserError(
            f"oracle_calls is {config.oracle_calls}, but no term of this reward asks an oracle: "
            "it limits sequence-level terms; use --updates or --minutes"
        )
    if (screen := getattr(config.settings, "screen", 1)) > 1 and not found.oracles:
        raise UserError(f"screen is {screen}, but no term of this reward asks an oracle: no call is saved; set it to 1")
    payment = Payment(config.repeats == "paid", config.family_size, config.family_least, config.family_penalty)
    return replace(found, failures=config.failures, payment=payment, budget=config.oracle_calls, shared=config.cache)


def scorer_with(
    domain: Domain, config: TrainConfig, terms: Sequence[RewardTerm], settings: Mapping[str, TermSettings]
) -> Scorer:
    """A scorer of `terms` that combines them as a config says."""
    geometric = config.combine == "geometric"
    recorded: dict[str, Mapping[str, float]] = {name: {} for name, table in settings.items() if table.record}
    return Scorer(domain, terms, settings=settings, geometric=geometric, workers=config.workers, recorded=recorded)
