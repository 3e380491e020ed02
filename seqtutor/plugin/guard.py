"""The border between the core and a plugin: what goes in cannot be changed, what comes out is checked."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from seqtutor.domain import (
    DataLine,
    Domain,
    Figures,
    Measure,
    Progress,
    RewardTerm,
    SequenceTerm,
    Template,
    TermKind,
    TokenTerm,
    silent,
)
from seqtutor.errors import refused
from seqtutor.files import check_file, readable
from seqtutor.option import checked
from seqtutor.plugin.border import OF_FILES, border
from seqtutor.plugin.contract import check_terms, of_sizes, of_template, wrong
from seqtutor.plugin.shown import of_steps, of_texts
from seqtutor.vocabulary import Vocabulary

LONGEST = 1 << 15  # tokens of an item
STATED = (  # attributes that the border reads once, as the plugin states them
    "name", "summary", "Options", "defaults", "fixed_length", "unit", "lookback", "heights", "joined", "oracle",
    "prior",
)  # fmt: skip


class Guarded(Domain):
    """A plugin's domain behind the border. Its own attributes can be read through it; `isinstance` sees its class."""

    vocabulary, max_length, own_prior, place = Vocabulary(()), 0, "", ""  # the plugin's, as they were at the beginning

    def __init__(self, plugin: Domain) -> None:
        self.plugin, self.cls = plugin, type(plugin)
        self.complaints: list[str] = []  # of answers that a page or a table had to do without
        self.last_figures: list[Measure] = []  # as they were measured last: their names must not change
        with border(self.cls, "__init__"):
            self.options, self.place = plugin.options, plugin.place
            self.__dict__.update({key: getattr(plugin, key) for key in STATED})
        for method, problem in of_sizes(plugin):
            raise wrong(self.cls, method, problem)
        with border(self.cls, "vocabulary"):
            self.vocabulary = vocabulary = plugin.vocabulary
        if not isinstance(vocabulary, Vocabulary):
            said = f"must be a Vocabulary, not {type(vocabulary).__name__}; write Vocabulary(tokens)"
            raise wrong(self.cls, "vocabulary", said)
        if not vocabulary.own:
            raise wrong(self.cls, "vocabulary", "has no tokens")
        for token in vocabulary.own:
            if not isinstance(token, str) or not token:
                raise wrong(self.cls, "vocabulary", f"a token is text and not empty, not {token!r}")
        if plugin.heights and len(plugin.heights) != len(self.vocabulary.own):
            raise wrong(self.cls, "heights", f"{len(plugin.heights)} are given for {len(self.vocabulary.own)} tokens")
        with border(self.cls, "own_prior"):
            self.own_prior = self._text("own_prior", plugin.own_prior)
        with border(self.cls, "max_length"):
            self.max_length = plugin.max_length
        if type(self.max_length) is not int or not 1 <= self.max_length <= LONGEST:
            raise wrong(
                self.cls, "max_length", f"must be a whole number from 1 to {LONGEST:,}, not {self.max_length!r}"
            )

    def __getattr__(self, name: str) -> Any:
        """What the plugin has beside."""
        if name.startswith("__") or "plugin" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.plugin, name)

    def __reduce__(self) -> tuple[type[Guarded], tuple[Domain]]:
        """A copy, and what is sent to another process, is a border around a copy of the plugin."""
        return Guarded, (self.plugin,)

    @property  # type: ignore[misc]
    def __class__(self) -> type[Domain]:  # type: ignore[override]
        """The plugin's, so that isinstance answers as for the plugin itself."""
        cls: type[Domain] = self.__dict__.get("cls", Guarded)
        return cls

    def _call(self, method: str, *args: Any) -> Any:
        with border(self.cls, method):
            return getattr(self.plugin, method)(*args)

    def _texts(self, method: str, found: Any) -> list[str]:
        """A list of texts, as `method` must give one."""
        listed = isinstance(found, list | tuple)
        if not listed or not all(isinstance(item, str) for item in found):
            odd = next(repr(item) for item in found if not isinstance(item, str)) if listed else type(found).__name__
            raise wrong(self.cls, method, f"gave {odd}; a list of texts is needed")
        return list(found)

    def _text(self, method: str, found: Any) -> str:
        if not isinstance(found, str):
            raise wrong(self.cls, method, f"gave {found!r:.60}; a text is needed")
        return found

    def corpus(self, progress: Progress = silent) -> list[str]:
        return self._texts("corpus", self._call("corpus", progress))

    def stated(self, path: Path) -> Mapping[str, Any]:
        check_file(path)
        with readable(path), border(self.cls, "stated", OF_FILES):
            found = self.plugin.stated(path)
        names = {field.name for field in fields(self.cls.Options)}
        if not isinstance(found, Mapping) or not names.issuperset(found):
            raise wrong(self.cls, "stated", f"gave {found!r:.80}; a table of its options by name is needed")
        with border(self.cls, "stated"):
            error = refused(lambda: checked(replace(self.options, **found)))
        if error:
            raise wrong(self.cls, "stated", str(error))
        return dict(found)

    def read(self, path: Path) -> Iterator[DataLine]:
        """As Domain.read. What the system says of a file is a UserError; what is no file does not get to the plugin."""
        if path.exists() and not path.is_dir():
            check_file(path)
        with readable(path), border(self.cls, "read", OF_FILES):
            lines = iter(self.plugin.read(path))
        method = "read"
        while True:
            with readable(path), border(self.cls, method, OF_FILES):
                line = next(lines, None)
            if line is None:
                return
            if not isinstance(line, DataLine) or not (line.problem or (isinstance(line.text, str) and line.text)):
                raise wrong(self.cls, method, f"gave {line!r:.80}; a DataLine with a text or a problem is needed")
            yield line
            method = f"read, behind {line.where}"

    def encode(self, text: str) -> list[str]:
        return self._texts("encode", self._call("encode", text))

    def decode(self, tokens: Sequence[str]) -> str:
        """As Domain.decode. An empty text is refused: tables write a sequence that is no item so."""
        text = self._call("decode", tokens)
        if not isinstance(text, str) or not text:
            raise wrong(self.cls, "decode", f"gave {text!r:.60}; a text that is not empty, or raise Undecodable")
        return text

    def prepared(self, text: str) -> str:
        return self._text("prepared", self._call("prepared", text))

    def template(self) -> Template | None:
        found = self._call("template")
        if not (found is None or isinstance(found, Template)):
            raise wrong(self.cls, "template", f"gave {found!r:.80}; a seqtutor.Template, or None")
        for problem in of_template(found, self.vocabulary) if found else ():
            raise wrong(self.cls, "template", problem)
        return found

    def excerpts(self, text: str) -> list[list[str]]:
        return self._lists("excerpts", text)

    def lessons(self, text: str) -> list[list[str]]:
        return self._lists("lessons", text)

    def _lists(self, hook: str, text: str) -> list[list[str]]:
        found = self._call(hook, text)
        if not isinstance(found, list | tuple):
            raise wrong(self.cls, hook, f"gave {type(found).__name__}; a list of lists of tokens is needed")
        return [self._texts(hook, tokens) for tokens in found]

    def terms(self) -> list[RewardTerm]:
        """As Domain.terms: each is shown arrays that it cannot change, and texts as a tuple."""
        cls, terms = self.cls, check_terms(self.cls, self._call("terms"))
        return [of_steps(cls, one) if isinstance(one, TokenTerm) else of_texts(cls, one, self.encode) for one in terms]

    def kinds(self) -> Mapping[str, type[TermKind]]:
        found = self._call("kinds")
        classes = isinstance(found, Mapping) and all(isinstance(kind, type) for kind in found.values())
        if not classes or not all(issubclass(kind, TermKind) for kind in found.values()):
            raise wrong(self.cls, "kinds", f"gave {found!r:.80}; a table of names and subclasses of TermKind is needed")
        return dict(found)

    def made(self, name: str, kind: str, settings: Mapping[str, Any]) -> SequenceTerm:
        with border(self.cls, f"kind '{kind}'"):
            term = self.plugin.made(name, kind, settings)
        (checked,) = check_terms(self.cls, [term])
        return of_texts(self.cls, checked, self.encode)  # type: ignore[arg-type]

    def measure(self, texts: Sequence[str | None]) -> list[Measure]:
        """As Domain.measure: the same figures every time, with an entry for each of `texts`."""
        found = self._call("measure", tuple(texts))
        if not isinstance(found, list | tuple) or not all(isinstance(item, Measure) for item in found):
            raise wrong(self.cls, "measure", f"gave {found!r:.80}; a list of Measure is needed")
        for item in found:
            if len(item.values) != len(texts):
                said = f"'{item.name}' has {len(item.values)} values for {len(texts)} texts; one each is needed"
                raise wrong(self.cls, "measure", said)
        names, before = [item.name for item in found], [item.name for item in self.last_figures]
        if not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names):
            raise wrong(self.cls, "measure", f"each figure needs a name of its own, not {', '.join(map(repr, names))}")
        if before and names != before:
            said = f"gave {', '.join(names) or 'nothing'} and before {', '.join(before)}; always give the same figures"
            raise wrong(self.cls, "measure", said)
        self.last_figures = list(found)
        return list(found)

    def unmeasured(self, count: int) -> list[Measure]:
        """The figures that `measure` gave before, as unknown ones of `count` samples."""
        return [replace(item, values=np.zeros(count), weights=np.zeros(count)) for item in self.last_figures]

    def write(self, texts: Sequence[str], folder: Path, figures: Figures | None = None) -> list[Path]:
        """As Domain.write; a plugin whose `write` takes no figures gets none."""
        told = (figures,) if len(inspect.signature(self.plugin.write).parameters) > 2 else ()
        with border(self.cls, "write", OF_FILES):
            found: Any = self.plugin.write(tuple(texts), Path(folder), *told)
        if not isinstance(found, list | tuple) or not all(isinstance(path, Path) for path in found):
            raise wrong(self.cls, "write", f"gave {found!r:.80}; a list with the Path of each file is needed")
        return list(found)

    def picture(self, text: str) -> str:
        return self._text("picture", self._call("picture", text))

    def notation(self, text: str) -> str:
        return self._text("notation", self._call("notation", text))

    def parts(self, text: str) -> list[tuple[str, int]]:
        """As Domain.parts: as many tokens in all as `encode` gives."""
        found, tokens = self._call("parts", text), len(self.encode(text))
        try:
            parts = [(str(name), int(count)) for name, count in found]
        except (TypeError, ValueError, OverflowError):
            raise wrong(
                self.cls, "parts", f"gave {found!r:.80}; a list of (name, number of tokens) is needed"
            ) from None
        if sum(count for _, count in parts) != tokens:
            raise wrong(self.cls, "parts", f"they have {sum(n for _, n in parts)} tokens, and the item {tokens}")
        return parts

    def coloured(self, text: str, paid: Sequence[float]) -> str:
        return self._text("coloured", self._call("coloured", text, tuple(paid)))

    def notes(self, text: str) -> list[tuple[float, float, int]]:
        found = self._call("notes", text)
        try:
            notes = [(float(start), float(length), int(number)) for start, length, number in found]
            if not all(start >= 0 < length and math.isfinite(start + length) for start, length, _ in notes):
                raise ValueError
            return notes
        except (TypeError, ValueError, OverflowError):
            said = f"gave {found!r:.80}; a list of (start, length above 0, MIDI number), finite, is needed"
            raise wrong(self.cls, "notes", said) from None

    def caption(self, text: str) -> str:
        return self._text("caption", self._call("caption", text))

    def vary(self, texts: Sequence[str], rng: np.random.Generator) -> list[str]:
        found = self._texts("vary", self._call("vary", tuple(texts), rng))
        if len(found) > len(texts):
            raise wrong(self.cls, "vary", f"gave {len(found)} items for {len(texts)}; at most one for each")
        if len(set(found)) < len(found) or not set(found).isdisjoint(texts):
            old = next(text for text in found if found.count(text) > 1 or text in texts)
            raise wrong(self.cls, "vary", f"gave '{old:.60}' twice, or as it was; leave out what is not new")
        return found

    def detached(self, tokens: Sequence[str], start: int) -> list[str]:
        found = self._texts("detached", self._call("detached", tuple(tokens), start))
        if len(found) != len(tokens):
            raise wrong(self.cls, "detached", f"gave {len(found)} tokens for {len(tokens)}")
        return found

    def following(self, start: int) -> Domain:
        found = self._call("following", start)
        if not isinstance(found, Domain):
            raise wrong(self.cls, "following", f"gave {found!r:.60}; a domain is needed")
        return guarded(found)

    def rewrite(self, text: str, rng: np.random.Generator) -> list[str]:
        return self._texts("rewrite", self._call("rewrite", text, rng))

    def family(self, text: str) -> str:
        return self._text("family", self._call("family", text))

    def akin(self, family: str, families: Sequence[str]) -> str:
        found = self._text("akin", self._call("akin", family, tuple(families)))
        if found != family and found not in families:
            raise wrong(self.cls, "akin", f"gave '{found:.60}'; the family itself or one of those given is needed")
        return found

    def in_corpus(self, texts: Sequence[str]) -> list[bool]:
        found = self._each("in_corpus", texts, "True or False")
        if odd := [copy for copy in found if not isinstance(copy, bool | np.bool_)]:
            raise wrong(self.cls, "in_corpus", f"gave {odd[0]!r:.60}; True or False is needed")
        return [bool(copy) for copy in found]

    def commonest(self, texts: Sequence[str]) -> list[float]:
        with border(self.cls, "commonest"):
            shares = [float(share) for share in self._each("commonest", texts, "a share")]
        if odd := [share for share in shares if not 0 <= share <= 1]:
            raise wrong(self.cls, "commonest", f"gave {odd[0]}; a share is a number from 0 to 1")
        return shares

    def _each(self, hook: str, texts: Sequence[str], wanted: str) -> Any:
        found = self._call(hook, tuple(texts))
        if not hasattr(found, "__len__") or len(found) != len(texts):
            raise wrong(self.cls, hook, f"gave {found!r:.60} for {len(texts)} texts; {wanted} for each is needed")
        return found

    def offers(self, hook: str) -> bool:
        return self.plugin.offers(hook)


def guarded(domain: Domain) -> Guarded:
    """A domain behind the border, where it is not there yet."""
    return domain if type(domain) is Guarded else Guarded(domain)
