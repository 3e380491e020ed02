"""The kit that checks a domain: `seqtutor check rna`, or in a plugin's own tests

    @pytest.mark.parametrize("check", CHECKS)
    def test_domain(check):
        check_domain("rna", check)

Each check yields one line a problem, with its remedy. Pre-training and training run the QUICK ones before they begin.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from seqtutor.domain import Domain, available, domain_class, load
from seqtutor.errors import UserError
from seqtutor.plugin.contract import PluginError
from seqtutor.testing import hooks, items, pages, scores
from seqtutor.testing.subject import Subject, evenly, new_subject, said

__all__ = ["CHECKS", "check_domain", "problems", "rehearse"]

CHECKS: Mapping[str, Callable[[Subject], Iterator[str]]] = {
    "names": items.names,
    "corpus": items.corpus,
    "round_trip": items.round_trip,
    "random_tokens": items.random_tokens,
    "garbage": items.garbage,
    "terms": scores.terms,
    "figures": scores.figures,
    "pictures": pages.pictures,
    "files": pages.files,
    "prior": pages.prior,
    "template": hooks.template,
    "excerpts": hooks.excerpts,
    "lessons": hooks.lessons,
    "detached": hooks.detached,
    "prepared": hooks.prepared,
    "vary": hooks.vary,
    "rewrite": hooks.rewrite,
    "family": hooks.family,
    "in_corpus": hooks.in_corpus,
    "commonest": hooks.commonest,
    "another_process": items.another_process,
}
OPTIONAL = (  # hooks of these names
    *("corpus", "template", "excerpts", "lessons", "detached", "prepared"),
    *("vary", "rewrite", "in_corpus", "commonest"),
)
FEW = 12  # items of a corpus that are tried before they are learnt from
QUICK = ("round_trip", "template", "terms", "figures", "pictures", "files", "vary", "rewrite", "family")


def problems(name: str, texts: Sequence[str] | None = None, checks: Sequence[str] = tuple(CHECKS)) -> Iterator[str]:
    """What is wrong with an installed domain, a line each. `texts`: items to try, in place of the corpus's."""
    try:
        domain = load(name)
        domain.terms()
    except UserError as error:
        yield said(error)
        return
    with tempfile.TemporaryDirectory() as folder:
        subject = new_subject(domain, texts, Path(folder))
        if not subject.texts:
            yield "decode: no item is at hand to try; write a corpus, or give some: seqtutor check --data FILE"
        for check in checks:
            yield from problems_of(subject, check)


def problems_of(subject: Subject, check: str) -> Iterator[str]:
    """The problems that one check finds; an error that stops it is one of them. Of a hook that is not offered, none."""
    if check in OPTIONAL and not subject.domain.offers(check):
        return
    try:
        for line in CHECKS[check](subject):
            yield " ".join(line.split())
    except UserError as error:
        place = "" if isinstance(error, PluginError) else f"{check}: an item is refused: "
        yield " ".join((place + said(error)).split())


def check_domain(name: str, check: str | None = None) -> None:
    """Raise AssertionError with the problems of an installed domain: of one of CHECKS, or of all."""
    lines = _found(domain_class(name), name, check)
    if lines:
        raise AssertionError("\n".join(f"domain '{name}', {line}" for line in lines))


@functools.lru_cache(maxsize=64)
def _found(cls: type[Domain], name: str, check: str | None) -> list[str]:
    return list(problems(name, checks=(check,) if check else tuple(CHECKS)))


def rehearse(domain: Domain, texts: Sequence[str], *, corpus: bool = False) -> None:
    """Try on a few of `texts` what a run will ask for. Raises UserError with the first problem.

    `corpus`: they are the domain's own, and must come back as they are, too.
    """
    with tempfile.TemporaryDirectory() as folder:
        subject = new_subject(domain, texts, Path(folder), quick=True)
        if corpus:
            subject = replace(subject, corpus=tuple(evenly(texts, FEW)))
        lines = [line for check in QUICK for line in problems_of(subject, check)]
    if lines:
        more = f", and {len(lines) - 1} more" if len(lines) > 1 else ""
        see = f"; see all: seqtutor check {domain.name}" if domain.name in available() else ""
        raise UserError(f"domain '{domain.name}', {lines[0]}{more}{see}")
