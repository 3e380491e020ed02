"""Checks of the optional hooks: what is learnt from, new items, other spellings, families, what the corpus has."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from seqtutor.errors import UserError, about, refused
from seqtutor.testing.subject import Subject, differs, said, shown
from seqtutor.vocabulary import UnknownToken

QUICK = 0.005  # seconds that `family` may take for an item
ITEMS = 40  # whole ones, of which the excerpts are compared


def lessons(subject: Subject) -> Iterator[str]:
    """Some, of tokens of the vocabulary; they fit where items end anywhere."""
    domain, texts = subject.domain, subject.corpus or subject.texts
    if not texts:
        return
    found = {}
    for text in texts:
        with about(text, texts):
            found[text] = domain.lessons(text)
    if not any(found.values()):
        yield f"lessons: it gives none of {len(texts)} items; leave the method out if it cannot"
    for text, given in found.items():
        for tokens in given:
            domain.vocabulary.encode(tokens)
            if not (domain.fixed_length or subject.fits(tokens)):
                yield f"lessons: {len(tokens)} tokens of {shown(text)}, too long for max_length {domain.max_length}"
                return


def excerpts(subject: Subject) -> Iterator[str]:
    """The same for the same item: a prior is learnt from them."""
    domain, texts = subject.domain, (subject.corpus or subject.texts)[:ITEMS]
    if differs(lambda: [domain.excerpts(text) for text in texts]):
        yield "excerpts: they are others the second time; leave chance and memory out of it"


def detached(subject: Subject) -> Iterator[str]:
    """As many tokens; most of those that are kept as they were, all of them where nothing comes before."""
    domain = subject.domain
    for text in subject.texts if domain.fixed_length else ():
        tokens = domain.encode(text)
        for start in range(0, len(tokens), domain.unit):
            found = domain.detached(tokens, start)
            others = sum(one != other for one, other in zip(found[start:], tokens[start:], strict=True))
            if 2 * others > len(tokens) - start or (others and not start):
                yield f"detached: of {shown(text)} it changes {others} tokens from {start} on, which are to be kept"
                return


def template(subject: Subject) -> Iterator[str]:
    """None, or one of this vocabulary."""
    subject.domain.template()
    yield from ()


def prepared(subject: Subject) -> Iterator[str]:
    """An item that is prepared already stays as it is."""
    domain = subject.domain
    for text in subject.texts:
        once = domain.prepared(text)
        if (twice := domain.prepared(once)) != once:
            yield f"prepared: {shown(text)} becomes {shown(once)}, and that {shown(twice)}; it may not change again"
            return
        domain.vocabulary.encode(domain.encode(once))


def vary(subject: Subject) -> Iterator[str]:
    """New canonical items that fit; all chance from the generator that is given. A run may give one item twice."""
    domain = subject.domain
    if not subject.texts:
        return
    given, seeds = [*subject.texts, subject.texts[0]], range(1 if subject.quick else 3)
    found = [text for seed in seeds for text in domain.vary(given, np.random.default_rng(seed))]
    for text in found:
        try:
            tokens = domain.encode(text)
            domain.vocabulary.encode(tokens)
            back = domain.decode(tokens)
        except UserError as error:
            yield f"vary: it gives {shown(text)}, which is no item ({said(error)}); leave such out"
            return
        if back != text:
            yield f"vary: it gives {shown(text)}, which is {shown(back)} in canonical form; give decode(tokens)"
            return
        if not subject.fits(tokens):
            yield f"vary: it gives {shown(text)}, too long for max_length {domain.max_length}; leave such out"
            return
    if not found and not subject.quick:
        yield f"vary: it gives nothing new for {len(subject.texts)} items; leave the method out if it cannot"
    if differs(lambda: domain.vary(subject.texts, np.random.default_rng(0))):
        yield "vary: the same generator gives other items the second time; take all chance from rng"
    if problem := refused(lambda: domain.vary((), np.random.default_rng(0))):
        yield f"{said(problem)} (given no items); a young run has none stored"


def rewrite(subject: Subject) -> Iterator[str]:
    """Other tokens of the same item; all chance from the generator that is given."""
    domain = subject.domain
    for seed, text in enumerate(subject.texts):
        tokens = domain.rewrite(text, np.random.default_rng(seed))
        try:
            domain.vocabulary.encode(tokens)
            back = domain.decode(tokens)
        except UnknownToken:
            continue  # such a spelling is not used
        except UserError as error:
            yield f"rewrite: {shown(text)} becomes no item ({said(error)}); its tokens must decode to the same text"
            return
        if back != text:
            yield f"rewrite: {shown(text)} becomes {shown(back)}, another item; it would earn what it has not earned"
            return
    if subject.texts and differs(lambda: domain.rewrite(subject.texts[0], np.random.default_rng(0))):
        yield "rewrite: the same generator gives other tokens the second time; take all chance from rng"


def family(subject: Subject) -> Iterator[str]:
    """The same for the same item, and quick."""
    domain, texts = subject.domain, subject.texts
    if not texts:
        return
    if differs(lambda: [domain.family(text) for text in texts]):
        yield "family: it gives another one the second time; leave chance and memory out of it"
    began = time.perf_counter()
    for text in texts:
        domain.family(text)
    each = (time.perf_counter() - began) / len(texts)
    if each > QUICK:
        yield f"family: it takes {1000 * each:.0f} ms an item and is asked of every sample; remember what it says"


def in_corpus(subject: Subject) -> Iterator[str]:
    """True or False for each text; items of the corpus are known to be in it."""
    domain, texts = subject.domain, subject.texts
    known = domain.in_corpus(texts)
    domain.in_corpus(())
    if [domain.in_corpus([text])[0] for text in texts] != known:
        yield "in_corpus: it says something else of a text alone than among others; compare each with the corpus"
    if subject.corpus and texts and not any(known):
        yield f"in_corpus: it knows none of {len(texts)} items of the corpus; compare canonical texts"


def commonest(subject: Subject) -> Iterator[str]:
    """A share for each text, whatever their order."""
    domain, texts = subject.domain, subject.texts
    shares = domain.commonest(texts)
    domain.commonest(())
    if not np.allclose(domain.commonest(texts[::-1]), shares[::-1]):
        yield "commonest: the shares hang on the order of the texts; leave chance and memory out of it"
