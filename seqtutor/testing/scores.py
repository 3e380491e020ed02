"""Checks of what a domain computes: terms and figures are pure, finite, and belong to the item they are given for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from seqtutor.arrays import Ids
from seqtutor.domain import RewardTerm, SequenceTerm, TokenTerm
from seqtutor.errors import UserError
from seqtutor.rewards.outcomes import LARGEST, Outcome, WrongNumber, ask
from seqtutor.testing.subject import Subject, differs, said, same
from seqtutor.vocabulary import PAD

SOME = 12  # texts that a sequence-level term is asked about
FEW = 3  # before a run
MOVED = 0.25  # of a figure: more, where every text stands there twice, and it is one of the set


def terms(subject: Subject) -> Iterator[str]:
    """Each term of the domain, one after the other."""
    if not subject.quick and not subject.domain.terms():
        yield "terms: there is none, so that nothing can be tuned by; write one"
    for term in subject.domain.terms():
        try:
            yield from (f"term '{term.name}': {problem}" for problem in _of_term(subject, term))
        except UserError as error:
            yield said(error)


def _of_term(subject: Subject, term: RewardTerm) -> Iterator[str]:
    if isinstance(term, TokenTerm):
        yield from _of_steps(term.values, subject.rows, subject.domain.fixed_length)
    elif not (subject.quick and term.costly):
        yield from _of_texts(subject, term)


def _of_steps(values: Callable[[Ids], Any], rows: Ids, fixed: bool) -> Iterator[str]:
    """Finite; the same twice; row by row what it is in a batch; the same with less padding."""
    batch, real = values(rows), rows != PAD
    if not (np.abs(batch[real]) <= LARGEST).all():
        yield f"it gives NaN or inf, or beyond {LARGEST:g}; every sequence earns a number at each step, also no item"
        return
    if differs(lambda: values(rows)[real]):
        yield "it gives something else the second time; leave chance and memory out of it"
        return
    for row, value, here in zip(rows, batch, real, strict=True):
        alone = values(row[None])[0]
        if not same(alone[here], value[here]):
            yield "a sequence earns something else alone than in a batch; compute each row (axis 0) by itself"
            return
        short = values(row[None, here])[0]
        if not fixed and not same(short, value[here]):
            yield "padding changes what a sequence earns; ids are 0 (PAD) behind the end: leave them out"
            return


def _of_texts(subject: Subject, term: SequenceTerm) -> Iterator[str]:
    texts = subject.texts[: FEW if subject.quick else SOME]
    if not texts:
        return
    outcomes = _asked(term, texts)
    if all(outcome.kind != "value" for outcome in outcomes):
        yield f"it scores none of {len(texts)} items ({outcomes[0].reason}){_where(subject, term, texts[0])}"
        return
    batch = np.array([outcome.value for outcome in outcomes])
    if term.filter and (wrong := batch[(batch < 0) | (batch > 1)]).size:
        yield f"it is a filter and gives {wrong[0]:g}; a filter gives shares from 0 to 1, which multiply the reward"
    if subject.quick:
        return
    if differs(lambda: np.array([outcome.value for outcome in _asked(term, texts)])):
        yield "it gives something else the second time; leave chance and memory out of it"
    elif not same(batch, np.array([_asked(term, (text,))[0].value for text in texts])):
        yield "an item earns something else alone than in a batch; give the values in the order of the texts"


def _asked(term: SequenceTerm, texts: tuple[str, ...]) -> list[Outcome]:
    try:
        return ask(term.values, texts)[0]
    except WrongNumber as error:
        raise UserError(f"term '{term.name}' {error}") from error


def _where(subject: Subject, term: SequenceTerm, text: str) -> str:
    """Where a term fails on a text, with the remedy."""
    try:
        term.values((text,))
    except (Exception, SystemExit) as error:  # what a term raises is listed as a failure, and here its place is wanted
        from seqtutor.plugin.installed import place

        return place(error, subject.domain.cls.__module__)
    return "; give a number for each text, NaN only where it cannot be computed"


def figures(subject: Subject) -> Iterator[str]:
    """Figures for any mix of items and of samples that are none: finite, the same twice, shares as shares."""
    domain = subject.domain
    texts = [text for pair in zip(subject.texts, [None] * len(subject.texts), strict=True) for text in pair]
    domain.measure([None, None])
    taken = {"reward", *(term.name for term in domain.terms())}
    for measure in domain.measure([None, *texts]):
        if measure.name in taken:
            yield f"measure: '{measure.name}' is the name of a term, or the reward; give the figure another"
    if subject.quick:
        return
    for text in subject.texts[:2]:
        domain.measure([text])
    means = np.array([measure.mean for measure in domain.measure(texts)])
    for measure in domain.measure(texts):
        if measure.percent and abs(measure.mean) > 1 + 1e-9:
            yield f"measure: '{measure.name}' is {measure.mean:.3g}, and percent prints .012 as 1.2 %; give shares of 1"
    for once, twice in zip(domain.measure(texts), domain.measure([*texts, *texts]), strict=True):
        if not once.of_set and abs(twice.mean - once.mean) > MOVED * abs(once.mean):
            yield (
                f"measure: '{once.name}' is {once.mean:.3g} of {len(texts)} texts, and {twice.mean:.3g} where each "
                "stands there twice; say of_set=True: it cannot be compared between samples of two sizes"
            )
    if differs(lambda: np.array([measure.mean for measure in domain.measure(texts)])):
        yield "measure: it gives other figures the second time; leave chance and memory out of it"
    elif not same(np.array([measure.mean for measure in domain.measure(texts[::-1])]), means):
        yield "measure: the figures hang on the order of the texts; give each item's value at its own place"
