"""Checks of a domain's items: its corpus, text and tokens, files that somebody else wrote."""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from seqtutor.domain import Domain, load
from seqtutor.errors import Undecodable, UserError, about, refused
from seqtutor.plugin.contract import PluginError
from seqtutor.testing.subject import CORPUS, RANDOM, Subject, differs, evenly, said, sequences, shown
from seqtutor.vocabulary import UnknownToken

HOOKS = tuple(name for name in vars(Domain) if not name.startswith("_"))
GARBAGE = ("", " ", "\0", "☃", "not an item of anything", "\n", "(((((((((", "a" * 5000)
FILES = {
    "lines": b'\xc2\xa7\xc2\xa7 no item\n\n,,,\n"\n',
    "binary": bytes(range(256)),
    "empty": b"",
    "latin": "fa\xe7ade\n".encode("latin-1"),
}
SCORED = 12  # items that another process scores
SLOW = 2.0  # seconds of a corpus beyond which other processes do not load it
PROBE = """
import hashlib, importlib, json, sys
from operator import attrgetter
sys.path[:] = json.loads(sys.argv[1])
module, _, name = sys.argv[2].partition(":")
domain = attrgetter(name)(importlib.import_module(module))()
torch, corpus = "torch" in sys.modules, domain.corpus() if sys.argv[3] else []
said = {}
for term in domain.terms():
    if hasattr(term, "invalid") and not term.costly:
        try:
            said[term.name] = [repr(value) for value in term.values(tuple(json.loads(sys.argv[4])))]
        except Exception:
            pass
digest = hashlib.sha256(repr(corpus).encode()).hexdigest()
try:
    families = [domain.family(text) for text in json.loads(sys.argv[4])]
except Exception:
    families = []
print("\\n" + json.dumps([list(domain.vocabulary.tokens), digest, torch, said, families]))
"""


def names(subject: Subject) -> Iterator[str]:
    """Hooks that are misspelt are never called; every choice of every option must make a domain."""
    cls, domain = subject.domain.cls, subject.domain
    for name in vars(cls):
        near = difflib.get_close_matches(name, HOOKS, 1, 0.8)
        if callable(getattr(cls, name)) and name not in HOOKS and near and near[0] not in vars(cls):
            yield f"{name}: nothing calls it; it looks like '{near[0]}': rename it, or begin its name with _"
    terms = [term.name for term in domain.terms()]
    for name in domain.defaults.get("weights", {}):
        if name not in terms:
            yield f"defaults: they weigh '{name}', and the terms are {', '.join(terms)}"
    for option in dataclasses.fields(domain.Options):
        for choice in option.metadata.get("choices") or ():
            if error := refused(lambda value={option.name: choice}: load(domain.name, value).terms()):  # type: ignore[misc]
                yield f"Options, {option.name} '{choice}': {said(error)}; every choice must make a domain"


def another_process(subject: Subject) -> Iterator[str]:
    """Vocabulary, corpus and scores must not hang on the order of a set, and loading must not import torch."""
    with_corpus = "corpus" if subject.corpus is not None and subject.seconds < SLOW else ""
    some = json.dumps(subject.texts[:SCORED])
    arguments = [sys.executable, "-c", PROBE, json.dumps(sys.path), subject.domain.place, with_corpus, some]
    answers = []
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(arguments, capture_output=True, text=True, env=environment, check=False)  # noqa: S603
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
            yield f"class: a new process cannot make it ({lines[-1]}); worker processes make it as module:Class"
            return
        answers.append(json.loads(done.stdout.splitlines()[-1]))
    for place, what in enumerate(("vocabulary", "corpus")):
        if answers[0][place] != answers[1][place]:
            yield f"{what}: it is another one in another process, as the order of a set is; sort it"
    for name, values in answers[0][3].items():
        if answers[1][3].get(name) != values:
            yield f"term '{name}': it says something else in another process, as hash() of a text does; workers ask it"
    if answers[0][4] != answers[1][4]:
        yield "family: it is another one in another process, as hash() of a text is; a run that goes on would mix them"
    if answers[0][2]:
        yield "class: loading it imports torch, and every -h waits for that; import it where it is used"


def corpus(subject: Subject) -> Iterator[str]:
    """Twice the same; items that can be learnt from."""
    domain = subject.domain
    texts = domain.corpus()
    again = load(domain.name).corpus()
    if differs(lambda: list(domain.corpus())) or list(texts) != again:
        yield "corpus: it gives other items, or another order, the second time; seed what is drawn, sort sets"
    if not texts:
        yield "corpus: it is empty; leave the method out where there is none"
    elif not any(subject.fits(e) for text in evenly(texts, CORPUS) for e in domain.excerpts(text)):
        yield f"corpus: no excerpt of its items fits max_length {domain.max_length} (EOS included); raise it, or cut"


def round_trip(subject: Subject) -> Iterator[str]:
    """decode(encode(x)) = x, in tokens of the vocabulary; excerpts are items too.

    A whole item that excerpts are cut from may hold marks, which are gone when it comes back.
    """
    domain = subject.domain
    for text in (*evenly(subject.corpus or (), CORPUS), *subject.texts):
        with about(text):
            tokens = domain.encode(text)
        try:
            domain.vocabulary.encode(tokens)
            back = domain.decode(tokens)
        except UnknownToken as error:
            yield f"encode: {error}; add the token to the vocabulary, or raise UserError"
            return
        except Undecodable as error:
            yield f"decode: it refuses {shown(text)}, which is an item ({error}); decode(encode(x)) must be x"
            return
        if back != text and (text in subject.texts or not domain.offers("excerpts")):
            yield f"decode: {shown(text)} comes back as {shown(back)}; decode(encode(x)) must be x, the canonical form"
            return
    for text in subject.texts[:10]:
        with about(text):
            for excerpt in domain.excerpts(text):
                domain.decode(excerpt)


def random_tokens(subject: Subject) -> Iterator[str]:
    """`decode` gives a canonical text of one line or raises Undecodable, and nothing else."""
    domain = subject.domain
    for tokens in itertools.chain([[]], sequences(domain, np.random.default_rng(2), RANDOM), _changed(subject)):
        try:
            text = domain.decode(list(tokens))
        except Undecodable:
            continue
        except UserError as error:
            yield f"{said(error)} (tokens {' '.join(tokens)[:60]!r}); raise Undecodable where they are no item"
            return
        if "\n" in text or "\r" in text:
            yield f"decode: {shown(text)} has more than one line; texts stand in tables, a line each"
            return
        spelt = domain.encode(text)
        if domain.decode(spelt) != text:
            yield f"decode: {shown(text)} is not canonical, its tokens decode to {shown(domain.decode(spelt))}"
            return
    if subject.texts and differs(lambda: domain.decode(domain.encode(subject.texts[0]))):
        yield "decode: it gives another text the second time; leave chance out of it"


def _changed(subject: Subject) -> Iterator[list[str]]:
    """Items with one token in another's place: near to what a model writes."""
    rng, own = np.random.default_rng(3), subject.domain.vocabulary.own
    for text in subject.texts:
        tokens = subject.domain.encode(text)
        if tokens:
            tokens[rng.integers(len(tokens))] = str(rng.choice(own))
            yield tokens


def garbage(subject: Subject) -> Iterator[str]:
    """`encode` gives tokens or raises UserError for whatever text; so does read for whatever file."""
    domain = subject.domain
    for text in GARBAGE:
        if isinstance(error := refused(lambda text=text: domain.encode(text)), PluginError):  # type: ignore[misc]
            yield f"{said(error)} (the text {shown(text)}); raise UserError where a text is none of this domain's"
            return
    for name, content in FILES.items():
        for suffix in ("", ".txt", ".csv"):
            path = subject.folder / f"{name}{suffix}"
            path.write_bytes(content)
            yield from _read(subject, path, name)
    yield from _read(subject, subject.folder / "missing.txt", "missing")


def _read(subject: Subject, path: Path, kind: str) -> Iterator[str]:
    try:
        with suppress(OSError, UnicodeDecodeError):
            list(subject.domain.read(path))
            subject.domain.stated(path)
    except PluginError as error:
        yield f"{said(error)} (a file of kind '{kind}'); give a DataLine with a problem, or raise UserError"
    except UserError:
        return
