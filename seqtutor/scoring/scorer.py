"""From sampled sequences to rewards: what each text earned, what was asked, and what could not be scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqtutor.domain import Domain, RewardTerm, SequenceTerm, TokenTerm
from seqtutor.errors import Undecodable, UserError
from seqtutor.outside.answers import Outcome
from seqtutor.scoring.engine import Engine
from seqtutor.scoring.scores import Answers, Asked, Flags, News, Scores, geometric_mean, on_last_step
from seqtutor.scoring.store import Store
from seqtutor.scoring.terms import TermSettings, version_of
from seqtutor.scoring.transforms import Transform
from seqtutor.vocabulary import PAD

if TYPE_CHECKING:
    from seqtutor.domain import Ids, Values

PATIENCE = 3  # batches in a row with too many failures before a run stops
SHOWN = 3  # reasons of a tally
NO_NUMBER = "gave no number for a step"


@dataclass
class Scorer:
    """Scores batches; remembers what each text earned, so that no text is asked of a term twice.

    A batch either is scored whole or, where an error stops it, leaves the scorer as it was but for the answers on disk.
    """

    domain: Domain
    terms: Sequence[RewardTerm]
    failures: float = 1.0  # share of a batch that a term may fail on, see `check`
    unpaid_repeats: bool = False
    calls: int = 0  # oracle calls: texts not seen before that the sequence-level terms were asked about
    cache: dict[str, dict[str, float]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    failed: list[tuple[str, str, str]] = field(default_factory=list)  # term, text, reason
    settings: Mapping[str, TermSettings] = field(default_factory=dict)
    geometric: bool = False  # R is the weighted geometric mean of the scores, not their weighted sum
    budget: int = 0  # most oracle calls; 0: no limit
    workers: int = 0  # processes for the domain's own terms; 0: this one
    shared: str = ""  # file of answers that runs share
    news: News = field(default_factory=News)
    streaks: dict[str, list[tuple[int, list[str]]]] = field(default_factory=dict)  # bad batches running: texts, reasons
    stores: list[Store] = field(default_factory=list)

    @cached_property
    def engine(self) -> Engine:
        """Who answers; started when first asked."""
        terms = [term for term in self.terms if isinstance(term, SequenceTerm)]
        return Engine(self.domain, terms, self.settings, self.workers)

    @cached_property
    def versions(self) -> dict[str, str]:
        """The version of each term, for answers on disk."""
        return {term.name: version_of(self.domain, term.name, self.settings) for term in self.terms}

    @property
    def spent(self) -> bool:
        """Whether the budget is."""
        return 0 < self.budget <= self.calls

    def score(self, tokens: Ids, truncated: Flags) -> Scores:
        """`tokens` (B, T) and `truncated` (B,) as in a Rollout. Raises UserError where a term cannot be asked."""
        return self.finish(self.begin(tokens, truncated))

    def begin(self, tokens: Ids, truncated: Flags) -> Asked:
        """Give the workers what is new in a batch, and do not wait; one batch at a time."""
        texts = [None if cut else self.text(row) for row, cut in zip(tokens, truncated, strict=True)]
        repeated = self._repeats(texts)
        new = self._affordable([i for i, text in enumerate(texts) if text is not None and not repeated[i]])
        asked = {texts[i] for i in new}
        answers = self._ask([text for text in texts if text is not None and (text in asked or text in self.seen)])
        return Asked(tokens, texts, repeated, new, answers)

    def poll(self, asked: Asked) -> None:
        """Take the answers that have come, without waiting, and give the workers more to do.

        A problem is kept for `finish`, so that whoever polls can end what it is doing.
        """
        if asked.problem is None:
            try:
                self._take(asked.answers, self.engine.poll())
            except UserError as problem:
                asked.problem = problem
                self.engine.drop()

    def finish(self, asked: Asked) -> Scores:
        """Wait for the other answers. Raises UserError where a term cannot be asked."""
        if asked.problem:
            raise asked.problem
        self._take(asked.answers, self.engine.finish())
        scores = self._scores(asked.tokens, asked.texts, asked.repeated, asked.answers)
        self.seen |= {text for i in asked.new if (text := asked.texts[i]) is not None}  # from here nothing can fail
        self._note(scores, asked.new, asked.answers)
        return scores

    def _scores(self, tokens: Ids, texts: list[str | None], repeated: Flags, answers: Answers) -> Scores:
        real, reward = tokens != PAD, np.zeros(tokens.shape)
        raw: dict[str, Values] = {}
        transformed: dict[str, Values] = {}
        for term in self.terms:
            raw[term.name], steps = self._raw(term, tokens, texts, answers)
            if transform := self._transform(term):
                none = np.array([text is None for text in texts]) & isinstance(term, SequenceTerm)
                transformed[term.name] = np.where(none, self.settings[term.name].invalid, transform(raw[term.name]))
                raw[term.name] = np.where(none, np.nan, raw[term.name])
                steps = on_last_step(transformed[term.name], real)
            reward += term.weight * np.nan_to_num(steps)
        used = [term for term in self.terms if term.weight]
        earned = {**raw, **transformed}
        scored: Flags = np.all([real.any(-1), *(np.isfinite(earned[term.name]) for term in used)], axis=0)
        if self.geometric and used:
            reward = on_last_step(geometric_mean(used, earned, scored), real)
        if self.unpaid_repeats:
            reward[repeated] = 0.0
        return Scores(texts, reward * real, raw, scored, repeated, transformed)

    def text(self, row: Ids) -> str | None:
        """The text of one row of tokens; None where it is no item of the domain."""
        try:
            return self.domain.decode(self.domain.vocabulary.decode(row.tolist()))
        except Undecodable:
            return None

    def _repeats(self, texts: Sequence[str | None]) -> Flags:
        repeated, here = np.zeros(len(texts), bool), set[str]()
        for i, text in enumerate(texts):
            if text is not None:
                repeated[i] = text in self.seen or text in here
                here.add(text)
        return repeated

    def _ask(self, texts: Sequence[str]) -> Answers:
        """Ask about those texts that this run has not heard of yet -> the outcomes that are on disk."""
        found: Answers = {}
        open_questions = {}
        for term in self.terms:
            if isinstance(term, SequenceTerm):
                known = self.cache.setdefault(term.name, {})
                unheard = list(dict.fromkeys(text for text in texts if text not in known))
                found[term.name] = self._stored(term.name, unheard)
                open_questions[term.name] = [text for text in unheard if text not in found[term.name]]
        self.engine.begin(open_questions)
        return found

    def _take(self, found: Answers, more: Iterable[tuple[str, dict[str, Outcome]]]) -> None:
        """Put outcomes on disk, one after the other as they come, and then among those that were found."""
        for name, outcomes in more:
            for store in self.stores:
                store.put(name, self.versions[name], outcomes)
            found[name].update(outcomes)

    def _stored(self, name: str, texts: Sequence[str]) -> dict[str, Outcome]:
        found: dict[str, Outcome] = {}
        for i, store in enumerate(self.stores):
            more = store.get(name, self.versions[name], [text for text in texts if text not in found])
            if i and more:  # from the file that runs share into the run's own
                self.stores[0].put(name, self.versions[name], more)
            found |= more
        return found

    def _raw(
        self, term: RewardTerm, tokens: Ids, texts: Sequence[str | None], answers: Answers
    ) -> tuple[Values, Values]:
        """The raw value of each sequence (B,) and where it lands (B, T)."""
        if isinstance(term, TokenTerm):
            steps = np.asarray(term.values(tokens), np.float64)
            if steps.shape != tokens.shape:
                raise UserError(f"term '{term.name}' answered with shape {steps.shape} for tokens of {tokens.shape}")
            steps = np.where(tokens != PAD, steps, 0.0)
            return steps.sum(-1), steps
        new, known = answers[term.name], self.cache[term.name]
        values = [
            term.invalid if text is None else new[text].value if text in new else known.get(text, np.nan)
            for text in texts
        ]
        return np.array(values), on_last_step(np.array(values), tokens != PAD)

    def _transform(self, term: RewardTerm) -> Transform | None:
        table = self.settings.get(term.name)
        return table.transform if table else None

    def _affordable(self, new: list[int]) -> list[int]:
        """As many of the new texts as the budget has calls left."""
        return new[: max(0, self.budget - self.calls)] if self.budget and self._oracles else new

    @property
    def _oracles(self) -> bool:
        return any(isinstance(term, SequenceTerm) for term in self.terms)

    def _note(self, scores: Scores, new: Sequence[int], answers: Answers) -> None:
        """Take the batch into the memory: calls, answers, failures and their share."""
        failures, quarantined = self._failures_of_steps(scores), []
        for name, found in answers.items():
            outcomes = {text: found[text] for text in scores.texts if text in found}  # in no order of the workers
            self.cache[name].update((text, outcome.value) for text, outcome in outcomes.items())
            bad = [(name, text, outcome.reason) for text, outcome in outcomes.items() if outcome.kind != "value"]
            failures += bad
            quarantined += [row for row in bad if outcomes[row[1]].kind == "quarantine"]
        totals, first = scores.totals, self.calls + 1
        calls = (
            [(first + k, scores.texts[i] or "", float(totals[i])) for k, i in enumerate(new)] if self._oracles else []
        )
        self.calls += len(calls)
        self.failed += failures
        self.news = News(calls, failures, quarantined)
        self._count_failures(scores)

    def _failures_of_steps(self, scores: Scores) -> list[tuple[str, str, str]]:
        """The sequences for which a token-level term gave no number."""
        names = [term.name for term in self.terms if isinstance(term, TokenTerm)]
        return [
            (name, scores.texts[i] or "", NO_NUMBER)
            for name in names
            for i in np.flatnonzero(~np.isfinite(scores.terms[name]))
        ]

    def _count_failures(self, scores: Scores) -> None:
        """Note for each term whether it failed on too large a share of this batch; texts beyond the budget aside."""
        reasons = {(name, text): reason for name, text, reason in self.news.failures}
        asked = [i for i, text in enumerate(scores.texts) if text is None or text in self.seen]
        for term in self.terms:
            values = scores.transformed.get(term.name, scores.terms[term.name])
            bad = [scores.texts[i] or "" for i in asked if not np.isfinite(values[i])]
            over = bool(term.weight) and len(bad) > self.failures * len(asked)
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
        """A scorer of `terms` that knows the answers of this one and counts on its own, for a final table."""
        known = {name: dict(values) for name, values in self.cache.items()}
        fresh: dict[str, Any] = {"calls": 0, "cache": known, "seen": set(), "failed": [], "news": News(), "streaks": {}}
        return replace(self, terms=terms, failures=1.0, unpaid_repeats=False, budget=0, **fresh)

    @contextmanager
    def remembering(self, own: Path) -> Iterator[None]:
        """Keep every answer in the file `own`, and values in the shared one, while the block runs."""
        with ExitStack() as stack:
            self.stores = [stack.enter_context(Store(own, failures=True))]
            if self.shared:
                self.stores.append(stack.enter_context(Store(Path(self.shared), failures=False)))
            try:
                yield
            finally:
                self.stores = []

    def described(self) -> list[dict[str, Any]]:
        """Of every column that `Scores.columns` has, in its order: name, weight in R, summary and source."""
        raw = [
            {
                "name": term.name,
                "weight": 0.0 if self._transform(term) else term.weight,
                "summary": f"raw value: {term.summary}" if self._transform(term) else term.summary,
                "source": term.source,
            }
            for term in self.terms
        ]
        return raw + [
            {"name": f"score.{term.name}", "weight": term.weight, "summary": transform.sentence, "source": term.source}
            for term in self.terms
            if (transform := self._transform(term))
        ]

    def state(self) -> dict[str, Any]:
        """All that a checkpoint needs, as JSON can hold it."""
        return {
            "calls": self.calls,
            "cache": self.cache,
            "seen": sorted(self.seen),
            "failed": self.failed,
            "streaks": self.streaks,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put back what `state` gave."""
        self.calls, self.cache, self.seen = state["calls"], state["cache"], set(state["seen"])
        self.failed = [(term, text, reason) for term, text, reason in state["failed"]]
        self.streaks = state["streaks"]

    def start(self) -> None:
        """See that every function and program can be used. Raises UserError."""
        self.engine.start()

    def close(self) -> None:
        """End all worker processes."""
        self.engine.close()
