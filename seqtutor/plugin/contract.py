"""What a plugin's class and its terms must state: checked when it is loaded, one line a mistake with its remedy."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from seqtutor.domain import Domain, RewardTerm, SequenceTerm, Template, TokenTerm, domain_class, load
from seqtutor.errors import UserError, unknown
from seqtutor.option import TYPES, types_of
from seqtutor.plugin.installed import installed, line_of
from seqtutor.vocabulary import HIGHEST, Vocabulary

NAME = re.compile(r"[a-z][a-z0-9_-]*")
TERM = re.compile(r"[^\W\d_][\w-]*")
FLAGS = frozenset(  # of the commands; the fields of the configs come beside them
    """
    against all among as_json browser cache caution config count data domain domain_name draws examples figures folder
    force function help hold item json keep model n name names no_open open output per_family port primer program rater
    resume reward_temperature revise seed show_version source surrogate taste temperature terms texts transform trust
    version votes weight weights without without_primer
    """.split()  # noqa: SIM905 (a list of them would be thirty lines)
)


class PluginError(UserError):
    """A plugin raised what it did not mean, or gave what it may not: its author must mend it."""


def wrong(cls: type[Domain], method: str, said: str) -> PluginError:
    """The error for an answer that a plugin may not give."""
    return PluginError(f"domain '{getattr(cls, 'name', cls.__name__)}', {method}: {said}")


def check_class(name: str, cls: type[Domain]) -> None:
    """Raise UserError for the first thing that is wrong with the class behind the entry point `name`."""
    for method, problem in _problems(name, cls):
        raise PluginError(f"domain '{name}', {method}: {problem}")


def _problems(name: str, cls: type[Domain]) -> Iterator[tuple[str, str]]:
    if not NAME.fullmatch(name):
        yield "name", "the entry point's name must be lower-case letters, digits, - and _, beginning with a letter"
    if missing := sorted(getattr(cls, "__abstractmethods__", ())):
        yield "class", f"{cls.__name__} lacks {', '.join(missing)}; write them"
    if (own := getattr(cls, "name", None)) != name:
        yield "name", f"its entry point is called '{name}' and its class says {own!r}; make them one"
    summary = getattr(cls, "summary", None)
    if not isinstance(summary, str) or not summary.strip() or "\n" in summary:
        yield "summary", f"it must be one line of text that says what the items are, not {summary!r}"
    if isinstance(cls.fixed_length, int) and not isinstance(cls.fixed_length, bool):
        yield "fixed_length", f"it must be True or False, not {cls.fixed_length!r}"
    yield from of_sizes(cls)
    if not isinstance(cls.joined, Mapping) or not all(isinstance(end, str) and end for end in cls.joined.values()):
        yield "joined", f"it must be a table such as {{'.sdf': '$$$$\\n'}}, not {cls.joined!r}"
    if cls.oracle not in ("cheap", "dear"):
        yield "oracle", f"it must be 'cheap' or 'dear', not {cls.oracle!r}"
    if not isinstance(cls.prior, Path | None):
        yield "prior", f"it must be a Path in the package, such as Path(__file__).parent / 'prior', not {cls.prior!r}"
    yield from (("Options", problem) for problem in of_options(cls.Options, reserved()))
    yield from (("defaults", problem) for problem in _of_defaults(cls.defaults))


def of_sizes(domain: Domain | type[Domain]) -> Iterator[tuple[str, str]]:
    """What is wrong with the numbers of tokens that a class states, or that a domain made of its options."""
    if type(domain.unit) is not int or domain.unit < 1:
        yield "unit", f"it must be a whole number of tokens, at least 1, not {domain.unit!r}"
    if not isinstance(domain.lookback, Sequence) or not all(type(d) is int and d > 0 for d in domain.lookback):
        yield "lookback", f"it must be distances in tokens, whole numbers from 1, not {domain.lookback!r}"
    if not isinstance(domain.heights, Sequence) or not all(
        type(h) is int and -1 <= h <= HIGHEST for h in domain.heights
    ):
        yield "heights", f"it must be a whole number from -1 to {HIGHEST} for each token, not {domain.heights!r}"
    elif domain.heights and not domain.lookback and not isinstance(domain, type):
        yield "heights", "they say how far a form has moved that returns; state `lookback`, too"


def of_template(template: Template, vocabulary: Vocabulary) -> Iterator[str]:
    """What is wrong with a template, as far as its tokens tell."""
    holes = sum(token is None for token in template.tokens)
    if not holes:
        yield "it has no hole (None among its tokens), so that a model chooses nothing"
    if len(template.barred) != holes:
        yield f"it has {holes} holes and bars tokens of {len(template.barred)}; give a frozenset for each"
    named = {*template.tokens, template.opening, template.closing, *template.first, *template.paired} - {None}
    for token in sorted(map(str, named.union(*template.barred) - {*vocabulary.own})):
        yield f"it has the token '{token}', which the vocabulary has not"


def of_options(options: Any, taken: Container[str]) -> Iterator[str]:
    """What is wrong with a class of options; none of them may have a name that is `taken`."""
    if not (isinstance(options, type) and dataclasses.is_dataclass(options)):
        yield f"it must be a dataclass, not {options!r}; put @dataclass(frozen=True) above it"
        return
    if not options.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        yield "it must not change once made; put @dataclass(frozen=True) above it"
    try:
        hints = types_of(options)
    except (NameError, TypeError) as error:
        yield f"its types cannot be read ({line_of(error)}); int, float, str and bool are possible"
        return
    for field in dataclasses.fields(options):
        yield from (f"option '{field.name}' {problem}" for problem in _of_option(field, hints[field.name], taken))


def _of_option(field: dataclasses.Field[Any], hint: Any, taken: Container[str]) -> Iterator[str]:
    if field.name in taken or field.name.startswith(("no_", "_")):
        yield "has a name that the commands use themselves; give it another"
    if field.default is dataclasses.MISSING:
        yield f"has no default; write {field.name}: int = option(12, 'what it is')"
    elif type(field.default) not in TYPES or hint is not type(field.default):
        named = getattr(hint, "__name__", hint)
        yield f"is of type {named}, its default {field.default!r}; int, float, str, bool are possible, and both alike"
    if not isinstance(field.metadata.get("help"), str):
        yield f"could not be typed, as it has no help; write option({field.default!r}, 'what it is')"
    choices = field.metadata.get("choices")
    if choices and field.default not in choices:
        yield f"has the default {field.default!r}, which is none of its choices: {', '.join(map(str, choices))}"


def reserved() -> frozenset[str]:
    """Names that no domain's option may have: of the core, and of the objectives that come with it."""
    from seqtutor.config import PretrainConfig, settings_class

    own = [name for name, entry in installed("objective").items() if entry.module.partition(".")[0] == "seqtutor"]
    numbers = [settings_class(name) for name in own]
    return of_train() | {field.name for cls in (PretrainConfig, *numbers) for field in dataclasses.fields(cls)}


def of_train() -> frozenset[str]:
    """Names that no objective's number may have: the settings of `train`, and flags of the commands."""
    from seqtutor.config import TrainConfig

    return FLAGS | {field.name for field in dataclasses.fields(TrainConfig)}


def _of_defaults(defaults: Any) -> Iterator[str]:
    from seqtutor.config import TrainConfig, build, hints_of, settings_class

    if not isinstance(defaults, Mapping):
        yield f"they must be a table such as {{'temperature': 0.1}}, not {defaults!r}"
    elif own := {"domain", "options", "seed", "device", "resume"} & set(defaults):
        yield f"{min(own)} is the user's to say; leave it out"
    else:
        core = {field.name for field in dataclasses.fields(TrainConfig)}
        used = {"objective": defaults.get("objective", TrainConfig().objective)}
        numbers = {key for key in defaults if key not in core}
        try:
            known = hints_of(TrainConfig)
            for key in numbers - set(known):
                raise unknown("key in the domain's defaults", key, known)
            for name in [used["objective"], *(installed("objective") if numbers else ())]:
                own = core | {field.name for field in dataclasses.fields(settings_class(name))}
                fitting = {key: value for key, value in defaults.items() if key in own}
                build(TrainConfig, {**fitting, "objective": name}, "the domain's defaults")
        except UserError as error:
            yield str(error)


def check_terms(cls: type[Domain], terms: Any) -> Sequence[RewardTerm]:
    """The terms as they came. Raises UserError for the first thing that is wrong with one."""
    if not isinstance(terms, list | tuple):
        raise wrong(cls, "terms", f"gave {type(terms).__name__}; a list of TokenTerm and SequenceTerm is needed")
    seen: set[str] = set()
    for term in terms:
        if not isinstance(term, TokenTerm | SequenceTerm):
            raise wrong(cls, "terms", f"holds {term!r}; a TokenTerm or a SequenceTerm is needed")
        for problem in _of_term(term):
            raise wrong(cls, f"terms, '{term.name}'", problem)
        if term.name in seen:
            raise wrong(cls, "terms", f"two terms are called '{term.name}'; give one another name")
        seen.add(term.name)
    return terms


def _of_term(term: RewardTerm) -> Iterator[str]:
    if not isinstance(term.name, str) or not TERM.fullmatch(term.name):
        yield "its name must be letters, digits, - and _, beginning with a letter: it is typed as --weight NAME=1"
    if term.name == "reward":
        yield "its name is that of the whole; give it another"
    for key in ("weight", "invalid") if isinstance(term, SequenceTerm) else ("weight",):
        value = getattr(term, key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            yield f"its {key} must be a finite number, not {value!r}"
    for key in ("summary", "source"):
        if not isinstance(getattr(term, key), str) or "\n" in getattr(term, key):
            yield f"its {key} must be one line of text, not {getattr(term, key)!r}"
    if not term.summary:
        yield "its summary is empty; say in a few words what it pays"
    if not callable(term.values):
        yield f"its values must be a function, not {term.values!r}"


def check_beside(cls: type, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise UserError where an option of `before` is kept, and one that it was given beside is another `now`."""
    for field in dataclasses.fields(cls):
        other, value = field.metadata.get("beside", ""), before.get(field.name, field.default)
        if not other or field.name in now or value == field.default or now.get(other) in (None, before.get(other)):
            continue
        raise UserError(
            f"{field.name} '{value}' was given for {other} {before.get(other)}, and {other} is {now[other]} here: "
            f"give --{field.name.replace('_', '-')} for that, too, or none: --{field.name.replace('_', '-')} ''"
        )


def inherited(
    name: str, typed: Mapping[str, Any], stored: Mapping[str, Any] | None, prior: str, *, timed: bool = False
) -> dict[str, Any]:
    """The options that a prior was made with under those that were typed. Raises UserError where it would not fit.

    A prior of fixed length may be used for shorter items: their tokens are what it learnt to begin with. One that is
    `timed` knows how much is left until the end, and may be used for longer ones too.
    """
    if stored is None:
        return dict(typed)
    known = {field.name for field in dataclasses.fields(domain_class(name).Options)}
    of_prior = {key: value for key, value in stored.items() if key in known}
    check_beside(domain_class(name).Options, of_prior, typed)
    options = {**of_prior, **typed}
    before, after = load(name, of_prior), load(name, options)
    if after.own_prior != before.own_prior and _cut(after) != _cut(before):
        asked = [key for key in typed if _cut(load(name, {**of_prior, key: typed[key]})) != _cut(before)]
        made, wanted = (", ".join(f"{k} {getattr(one.options, k)}" for k in asked) for one in (before, after))
        raise UserError(
            f"the prior '{prior}' was made for {made}, not for {wanted}; "
            f"leave that out, or take the prior '{after.own_prior}', or one that you make: seqtutor pretrain"
        )
    fits = after.fixed_length and (timed or after.max_length < before.max_length)
    if after.vocabulary == before.vocabulary and (after.max_length == before.max_length or fits):
        return options
    changed = ", ".join(f"{key} {value}" for key, value in typed.items() if value != getattr(before.options, key))
    what = "tokens" if after.vocabulary != before.vocabulary else f"at most {before.max_length} tokens an item"
    if not changed:
        raise UserError(
            f"the prior '{prior}' was made for other items ({what}) than domain '{name}' has now: "
            f"make another: seqtutor pretrain --domain {name}"
        )
    raise UserError(
        f"the prior '{prior}' was made for other items ({what}) than {changed} asks for; "
        f"leave that out, or make a prior with it: seqtutor pretrain --domain {name}"
    )


def _cut(domain: Domain) -> tuple[Any, ...]:
    """How items are cut into tokens: what a prior of other items has differently."""
    return domain.vocabulary, domain.unit, tuple(domain.lookback)
