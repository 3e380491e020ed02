"""What a domain is: tokens, data, reward terms, figures, files. Free of torch, so that a plugin loads at once."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from seqtutor.errors import Undecodable, UserError, refused, unknown
from seqtutor.files import as_in_a_file
from seqtutor.measure import Better as Better
from seqtutor.measure import Measure as Measure
from seqtutor.measure import judged as judged
from seqtutor.measure import verdict as verdict
from seqtutor.option import check_arguments, check_type, checked
from seqtutor.option import option as option
from seqtutor.plugin import plain
from seqtutor.plugin.installed import find, installed
from seqtutor.term import RewardTerm as RewardTerm
from seqtutor.term import SequenceTerm as SequenceTerm
from seqtutor.term import TermKind as TermKind
from seqtutor.term import TokenTerm as TokenTerm
from seqtutor.vocabulary import Vocabulary

if TYPE_CHECKING:  # a command's help must not wait for these
    import numpy as np

Progress = Callable[[int, int], None]
Figures = Mapping[str, Sequence[float] | Sequence[str]]  # columns by name: a number for each text; `name`: a word


def silent(done: int, total: int) -> None:
    """The progress report of someone who does not want one."""


@dataclass(frozen=True)
class DataLine:
    """One item of a user's data file: where it stood, its text or what is wrong with it, and what the file calls it."""

    where: str
    text: str | None
    problem: str = ""
    name: str = ""


@dataclass(frozen=True)
class Template:
    """What every item has by the options of its domain: tokens, and holes that a model fills.

    A hole in the middle ends with the `closing` token that has no `opening` one in it, and the template goes on with
    that token; a hole at the end of the template ends with the item. `first`: tokens that a hole may begin with, so
    that none stays empty. `barred`: of each hole, tokens that it may not hold. `paired`: tokens that a hole holds an
    even number of times, as the two ends of a ring, so that no part of the template is within such a pair.
    """

    tokens: tuple[str | None, ...]  # None is a hole
    opening: str
    closing: str
    first: frozenset[str]
    barred: tuple[frozenset[str], ...]
    paired: frozenset[str] = frozenset()


@dataclass(frozen=True)
class NoOptions:
    """The options of a domain that has none."""


class Domain(ABC):
    """What a plugin writes: one final class, named in the entry-point group `seqtutor.domains`.

    Items travel as text (a SMILES string, a melody in a one-line notation); text is the key of caches and CSV rows.
    `vocabulary`, `max_length` and `terms` must be written, the rest where a domain differs. `load` gives a domain
    behind `seqtutor.plugin.guard`, which checks what comes back from it.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    Options: ClassVar[type] = NoOptions  # a frozen dataclass, each field an `option(default, help)`
    defaults: ClassVar[Mapping[str, Any]] = {}  # where this domain's measured choices differ from the core's
    fixed_length: ClassVar[bool] = False  # True: an item has exactly `max_length` tokens and no EOS is ever sampled
    # These three may also be set in `__init__`, where they follow from the options.
    unit: int = 1  # tokens of what a person counts where items have a fixed length, such as a bar
    lookback: Sequence[int] = ()  # at which distances, in tokens, a form returns; see `LstmModel`
    heights: Sequence[int] = ()  # where each token lies on a scale, from 0, or -1: the form may return moved on it
    joined: ClassVar[Mapping[str, str]] = {}  # suffix of a file of `write` that holds an item after another -> its end
    oracle: ClassVar[str] = "cheap"  # "dear": what its terms cost is counted in calls, not in time; see `budget`
    prior: ClassVar[Path | None] = None  # the folder of the prior that the plugin ships, in its own package

    def __init__(self, options: Any = None) -> None:
        """`options`: an instance of `Options`; None means all defaults."""
        self.options = self.Options() if options is None else options

    @property
    def own_prior(self) -> str:
        """Name of the prior that is shipped for items of these options; by default one serves all: the domain's name.

        Another one may be named, unless its items have another vocabulary, `unit` or `lookback`.
        """
        return self.name

    @property
    @abstractmethod
    def vocabulary(self) -> Vocabulary:
        """The domain's tokens."""

    @property
    @abstractmethod
    def max_length(self) -> int:
        """The most tokens an item has, EOS included where there is one."""

    def corpus(self, progress: Progress = silent) -> list[str]:
        """The whole real items that the shipped prior learns from, out of an installed package; always in one order."""
        raise UserError(f"{self.name} has no corpus; give items of your own (--data FILE; of infer --examples FILE)")

    def read(self, path: Path) -> Iterator[DataLine]:
        """The items of a user's file or folder, bad ones as a DataLine with a problem; by default an item a line."""
        for where, text in plain.lines_of(Path(path)):
            problem = str(refused(partial(self.prepared, text)) or "")
            yield DataLine(where, text if problem else self.decode(self.encode(text)), problem)

    def stated(self, path: Path) -> Mapping[str, Any]:
        """Options that a user's file of one item states, such as its key; by default none. Names those of `Options`."""
        return {}

    def encode(self, text: str) -> list[str]:
        """Text to tokens, by default the longest that fit. Raises UserError where the text is none of this domain's."""
        return plain.split(text, self.vocabulary)

    def decode(self, tokens: Sequence[str]) -> str:
        """Tokens to text, in its one canonical form; by default joined. Raises Undecodable where they are no item."""
        if not tokens:
            raise Undecodable("an item has at least one token")
        return "".join(tokens)

    def prepared(self, text: str) -> str:
        """The item, in canonical form, that a text in a user's table stands for. Raises UserError where it is none."""
        return self.decode(self.encode(text))

    def template(self) -> Template | None:
        """What every item has, where its options ask for something; by default None: items are free."""
        return None

    def excerpts(self, text: str) -> list[list[str]]:
        """The items, as tokens, that stand in a whole one: phrases of a long tune; by default the item itself.

        Data is split into training and held-out by whole items first, so that no excerpt of one leaks into the other.
        The text of a whole item may hold marks that say where to cut, and that `encode` passes over.
        """
        return [self.encode(text)]

    def lessons(self, text: str) -> list[list[str]]:
        """What a prior learns from one whole item, where that is more than its excerpts; by default those that fit.

        The prior of a domain whose items have a fixed length knows how much is left until the end: it may learn from
        longer and shorter sequences as well, and serves these lengths too.
        """
        most = self.max_length - (not self.fixed_length)
        return [excerpt for excerpt in self.excerpts(text) if len(excerpt) <= most]

    @abstractmethod
    def terms(self) -> Sequence[RewardTerm]:
        """The reward terms on offer with their default weights (0: offered, not used unless asked for)."""

    def kinds(self) -> Mapping[str, type[TermKind]]:
        """What a config may make terms of, by name; by default nothing."""
        return {}

    def made(self, name: str, kind: str, settings: Mapping[str, Any]) -> SequenceTerm:
        """The term `name` of one of `kinds`, or of the domain's figures, with settings as a config has them."""
        from seqtutor.config import build
        from seqtutor.rewards import figures

        kinds = self.kinds()
        if kind == figures.KIND:
            return figures.made(self, name, settings)
        if kind not in kinds:
            raise unknown(f"kind of term in [terms.{name}]", kind, [*kinds, figures.KIND])
        return checked(build(kinds[kind], settings, f"[terms.{name}]")).term(name)  # type: ignore[no-any-return, type-var]

    def measure(self, texts: Sequence[str | None]) -> list[Measure]:
        """The figures that a person of the field expects of N samples, None being no item; by default none.

        Always the same figures in the same order, whatever the samples.
        """
        return []

    def write(self, texts: Sequence[str], folder: Path, figures: Figures | None = None) -> list[Path]:
        """Write the files that a person of the field opens into `folder`, which may be missing; by default lines.

        `figures`: reward and terms of the texts, by name, for files that can hold them; a plugin may leave it out. Of
        texts that stood in a file its column `name` has what they are called there, empty where they have no name.
        """
        return plain.write_lines(texts, Path(folder), self.name)

    def picture(self, text: str) -> str:
        """The item as inline SVG, for pages; by default its text. The page drops scripts and links from it.

        `currentColor` suits light and dark pages. With data-seconds, data-from and data-to (x in units of the viewBox)
        on the <svg>, the page's player moves a cursor over it.
        """
        return plain.text_picture(text)

    def notation(self, text: str) -> str:
        """The item as the field writes it down, as SVG beside the picture: staff notation; by default empty: none."""
        return ""

    def parts(self, text: str) -> list[tuple[str, int]]:
        """What a person tells apart in an item, in order: name, and how many tokens of `encode`; by default each."""
        return [(token, 1) for token in self.encode(text)]

    def coloured(self, text: str, paid: Sequence[float]) -> str:
        """The picture, each part blue where its tokens were paid, orange where charged; by default no page shows it."""
        return self.picture(text)

    def notes(self, text: str) -> list[tuple[float, float, int]]:
        """What a page can play: (start in seconds, length in seconds, MIDI number); empty where nothing sounds."""
        return []

    def caption(self, text: str) -> str:
        """One short line under an item's picture."""
        return text

    def vary(self, texts: Sequence[str], rng: np.random.Generator) -> list[str]:
        """New items near `texts`, canonical: proposals that an off-policy objective may learn from; by default none.

        One attempt for each of `texts`, so at most as many; what comes out invalid, too long, outside the vocabulary,
        among `texts` or twice is left out. All chance comes from `rng`: the same seed gives the same items.
        """
        return []

    def detached(self, tokens: Sequence[str], start: int) -> list[str]:
        """As many tokens, of which those from `start` on mean what they do now, whatever comes before them.

        Asked where the end of an item of a fixed length is kept and its beginning is not; by default they do anyway.
        """
        return list(tokens)

    def following(self, start: int) -> Domain:
        """The domain of what follows the first `start` tokens; another one where it counts something from there.

        Asked where a primer is left out of the files, which may say more than the item: chords, by their bar.
        """
        return self

    def rewrite(self, text: str, rng: np.random.Generator) -> list[str]:
        """Tokens, at most `max_length` with EOS, that decode to the same item; by default its canonical spelling."""
        return self.encode(text)

    def family(self, text: str) -> str:
        """What an item shares with its like (a scaffold, an opening bar); by default the item is its own family.

        Asked of every sample in training: the answer must cost less than a millisecond, or be remembered.
        """
        return text

    def akin(self, family: str, families: Sequence[str]) -> str:
        """Which of the `families` that a run has met a family counts as, where a place in one is paid or kept.

        By default itself; of a domain whose families are near or far, the nearest, if it is near enough.
        """
        return family

    def in_corpus(self, texts: Sequence[str]) -> list[bool]:
        """Which of `texts` the corpus holds, where that is cheap to say; by default none is known to be."""
        return [False] * len(texts)

    def commonest(self, texts: Sequence[str]) -> list[float]:
        """Of each of `texts` the share that consists of what all of them have most of; by default nobody looks.

        A model that puts different items together from ever the same pieces is seen by its mean: docs/alarms.md.
        """
        return [0.0] * len(texts)

    def offers(self, hook: str) -> bool:
        """Whether this domain has an answer of its own to an optional question, such as "vary" or "rewrite"."""
        return getattr(type(self), hook) is not getattr(Domain, hook)

    @property
    def place(self) -> str:
        """Where the class is found, for a worker process: module:Class."""
        return f"{type(self).__module__}:{type(self).__qualname__}"


def available() -> list[str]:
    """Names of the installed domains; none is imported."""
    return sorted(installed("domain"))


def domain_class(name: str) -> type[Domain]:
    """The class of an installed domain, checked. Raises UserError with the nearest name, or what is wrong with it."""
    from seqtutor.plugin.contract import check_class

    if not name:
        raise UserError("name a domain: --domain music, say; 'seqtutor domains' lists them")
    found = find("domain", name)
    if not (isinstance(found, type) and issubclass(found, Domain)):
        raise UserError(f"the entry point of domain '{name}' is {found!r}; it must name a subclass of seqtutor.Domain")
    check_class(name, found)
    return found


def load(name: str, options: Mapping[str, Any] | None = None) -> Domain:
    """An installed domain, made with `options` (its own option names to values; missing ones keep their defaults)."""
    from seqtutor.plugin.border import border
    from seqtutor.plugin.guard import Guarded

    cls = domain_class(name)
    check_arguments(options=options)
    fields, stated = {f.name: f for f in dataclasses.fields(cls.Options)}, as_in_a_file(options or {})
    for key, value in stated.items():
        if key not in fields:
            raise unknown(f"option of domain '{name}'", key, fields)
        check_type(f"option {key}", value, type(fields[key].default), f"domain '{name}'")
    with border(cls, "Options"):
        made = checked(cls.Options(**stated))
    with border(cls, "__init__"):
        plugin = cls(made)
    return Guarded(plugin)


def with_options(read: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a config with `options` over its own, and without the weights that its own ones gave its terms.

    So a run's config, in which every weight stands, is weighed in another key as that key asks for.
    """
    weights, before = read.get("weights"), read.get("options", {})
    if not options or not isinstance(before, Mapping):
        return dict(read)
    kept = {**read, "options": {**before, **options}}
    if isinstance(weights, Mapping) and kept["options"] != before and read.get("domain") in available():
        usual = {term.name: term.weight for term in load(read["domain"], before).terms()}
        kept["weights"] = {name: weight for name, weight in weights.items() if weight != usual.get(name)}
    return kept


def misplaced(key: str, domain: Any, origin: str) -> UserError | None:
    """What is said of a setting in `origin` that is an option of the domain, which have a table of their own."""
    if domain not in available() or key not in {f.name for f in fields(domain_class(domain).Options)}:
        return None
    where = f"options={{'{key}': ...}}" if origin == "the arguments" else f"{key} = ... under [options]"
    return UserError(f"'{key}' in {origin} is an option of domain '{domain}': write {where}")
