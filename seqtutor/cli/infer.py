"""`seqtutor infer`: which terms tell examples from what a prior writes, and a config that tunes towards them."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seqtutor.cli.console import console, say
from seqtutor.cli.options import SEED, DomainCommand, arguments_of
from seqtutor.domain import Domain, RewardTerm, load
from seqtutor.errors import UserError, unknown
from seqtutor.files import check_new, from_home, write_new

if TYPE_CHECKING:
    from seqtutor.inference import Inference
    from seqtutor.inference.features import Base, Items
    from seqtutor.inference.shared import Shared

SHOWN = 3  # problems of a folder
MORE = 5  # times as many texts of the prior where those that were taken are worth too few
MOST = 10**7  # texts of the prior
CORPUS = 10_000  # items of a corpus that are looked at: more of them, and scoring takes longer than it tells


@click.command(cls=DomainCommand)
@click.option("--domain", default="", help="Domain of the examples, as listed by 'seqtutor domains'.")
@click.option(
    "--examples",
    multiple=True,
    metavar="[NAME=]PATH",
    help="File or folder of examples; may be repeated, with names.  [default: the corpus]",
)
@click.option("--figures", is_flag=True, help="Fit the domain's figures that real items have, in place of its terms.")
@click.option("--among", default="", metavar="PATH", help="The list that the examples were chosen from.")
@click.option("--prior", default="", help="What they are compared with: a prior's name or folder.  [default: domain]")
@click.option("-n", "--texts", type=click.IntRange(100, MOST), help="Texts of the prior.  [default: 4000]")
@click.option("--without", multiple=True, metavar="TERM", help="A term to leave out; may be repeated.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of the prior's texts.")
@click.option("--output", default="", help="Config to write, for 'seqtutor train --config'.")
def infer(domain: str, examples: tuple[str, ...], **given: Any) -> None:
    """Infer the weights of the terms under which the prior, tilted, writes what the examples are like.

    Without examples those of the domain's own corpus.

    \b
    seqtutor infer --domain music --examples my_tunes/ --output mine.toml
    seqtutor infer --domain music --examples bach=a/ --examples folk=b/
    seqtutor infer --domain music --figures --output alike.toml
    seqtutor infer --domain molecules --examples liked.smi --among candidates.smi
    seqtutor train --config mine.toml
    """
    args, options = arguments_of(InferArguments, given)
    if args.among and (args.prior or args.texts):
        raise UserError("--among replaces the prior's texts: leave out --prior and --texts")
    if args.output:
        check_new(Path(args.output))
    from seqtutor.priors.files import fitting_options

    options = fitting_options(args.prior, domain, options) if args.prior else options
    _infer(load(domain, options), _named(examples), args, options)


@dataclass(frozen=True)
class InferArguments:
    """What was typed beside the examples and the options of their domain."""

    figures: bool
    among: str
    prior: str
    texts: int | None
    without: tuple[str, ...]
    seed: int
    output: str


def _named(examples: tuple[str, ...]) -> dict[str, Path]:
    """Names to paths; a path that stands alone is its own name."""
    found: dict[str, Path] = {}
    for given in examples:
        name, equals, path = given.partition("=")
        if from_home(given).exists() or not equals:
            name, path = Path(given).name or given, given
        if name in found:
            raise UserError(f"two sets of examples are named '{name}'; name them: --examples NAME=PATH")
        found[name] = from_home(path)
    return found


def _infer(domain: Domain, paths: dict[str, Path], args: InferArguments, options: dict[str, Any]) -> None:
    from seqtutor.cli.inferred import columns, notes, table
    from seqtutor.inference import check_count
    from seqtutor.inference.features import features, read_items

    terms = _terms(domain, args)
    texts = [] if paths else _of_corpus(domain, args.seed)
    with console.status("reading, sampling and scoring"):
        items = {name: read_items(domain, path, terms) for name, path in paths.items()}
        items |= {} if paths else {"the corpus": features(domain, terms, texts)}
        for name, some in items.items():
            say(_read(name, some))
            check_count(len(some.values))
        if not args.among:  # there the choice is the evidence, and two may choose alike
            _check_apart(items)
        told = (_against_list if args.among else _against_prior)(domain, terms, items, args)
    shared = told.shared
    console.print(columns(told.found, shared, told.against) if shared else table(told.first, told.against))
    for line in notes(min(told.found.values(), key=lambda one: one.ess), listed=bool(args.among)):
        say(line)
    if args.output:
        _write(domain, told, args, options)


@dataclass(frozen=True)
class Inferences:
    """What each set of examples says, by its name, beside the texts that they were compared with."""

    terms: Sequence[RewardTerm]
    base: Base
    found: dict[str, Inference]
    against: str  # what those texts are, in words

    @property
    def first(self) -> Inference:
        """What the first set says."""
        return next(iter(self.found.values()))

    @cached_property
    def shared(self) -> Shared | None:
        """What several sets have in common."""
        from seqtutor.inference.shared import share

        return share(list(self.found.values())) if len(self.found) > 1 else None


def _write(domain: Domain, told: Inferences, args: InferArguments, options: dict[str, Any]) -> None:
    """Write the config that tunes towards the examples."""
    from seqtutor.cli.inferred import as_config, of_figures, of_terms

    weigh = of_figures if args.figures else of_terms
    weights, tables, warnings = weigh(domain, told.shared or told.first, told.first, told.terms, told.base)
    text = as_config(domain, options, args.prior, weights, tables)
    write_new(Path(args.output), f"# inferred from {', '.join(told.found)}\n# against {told.against}\n\n{text}")
    for warning in warnings:
        say(warning)
    say(f"written: {args.output}; tune with: seqtutor train --config {shlex.quote(args.output)}")


def _of_corpus(domain: Domain, seed: int) -> list[str]:
    """The items of the domain's corpus, CORPUS at most."""
    import numpy as np

    from seqtutor.cli.pretrain import corpus_of

    texts = corpus_of(domain)
    if len(texts) <= CORPUS:
        return texts
    return [texts[i] for i in np.random.default_rng(seed).permutation(len(texts))[:CORPUS]]


def _terms(domain: Domain, args: InferArguments) -> list[RewardTerm]:
    """What is fitted. Raises UserError where that is nothing, or where a term to leave out has no such name."""
    from seqtutor.inference.features import offered
    from seqtutor.rewards.figures import single

    terms, names = single(domain) if args.figures else offered(domain), args.without
    if not terms:
        raise UserError(f"domain '{domain.name}' has no {'figures of real items' if args.figures else 'terms'} to fit")
    for name in names:
        if name not in {term.name for term in terms}:
            raise unknown("term to leave out", name, [term.name for term in terms])
    left = [term for term in terms if term.name not in names]
    if not left:
        raise UserError("--without names every term; leave one to be fitted")
    return left


def _against_list(
    domain: Domain, terms: Sequence[RewardTerm], items: dict[str, Items], args: InferArguments
) -> Inferences:
    """What the examples say beside the list that they were chosen from."""
    from seqtutor.inference.features import Base, read_items

    listed = read_items(domain, from_home(args.among), terms)
    base = Base(listed.values, listed.values[:0])
    # Where all examples were chosen from the list, it is no sample of anything.
    whole = {text for some in items.values() for text in some.texts} <= set(listed.texts)
    against = f"{len(base.values):,} items of {args.among}{'' if whole else ', which does not hold them all'}"
    return Inferences(terms, base, _all_inferred(items, base, terms, args, whole=whole), against)


def _against_prior(
    domain: Domain, terms: Sequence[RewardTerm], items: dict[str, Items], args: InferArguments
) -> Inferences:
    """What they say beside texts of the prior; beside more where those are worth few, unless it was said how many."""
    from seqtutor.inference import LOW, TooFarError
    from seqtutor.inference.features import TEXTS, prior_base

    prior = args.prior or domain.own_prior

    def told(base: Base, found: dict[str, Inference]) -> Inferences:
        return Inferences(terms, base, found, f"{len(base.values):,} texts of the prior '{prior}'")

    base = prior_base(domain, terms, prior, args.texts or TEXTS, args.seed)
    try:
        found = _all_inferred(items, base, terms, args, whole=False)
        worth = min(one.ess for one in found.values())
    except TooFarError as error:
        if args.texts:
            raise
        worth = error.ess
    if args.texts or worth >= LOW:
        return told(base, found)
    say(f"{TEXTS:,} texts of the prior are worth {worth:.0f}, and {LOW:.0f} are wanted: {MORE * TEXTS:,} are taken")
    base = prior_base(domain, terms, prior, MORE * TEXTS, args.seed)
    return told(base, _all_inferred(items, base, terms, args, whole=False))


def _all_inferred(
    items: dict[str, Items], base: Base, terms: Sequence[RewardTerm], args: InferArguments, *, whole: bool
) -> dict[str, Inference]:
    """What each set of examples says, by its name."""
    from seqtutor.inference import CLIP, RARE
    from seqtutor.inference import infer as fit

    names, found = [term.name for term in terms], {}
    rare = 2 * CLIP if args.figures else RARE  # there are thousands of real items, and not fifty examples
    for name, some in items.items():
        try:
            found[name] = fit(some.values, base.values, names, whole_base=whole, rare=rare)
        except UserError as error:
            if len(items) > 1:
                error.args = (f"{name}: {error}",)
            raise
    return found


def _check_apart(items: Mapping[str, Items]) -> None:
    """Say which sets have items in common, or raise UserError where one is mostly the other: evidence counts once."""
    for (one, some), (other, more) in itertools.combinations(items.items(), 2):
        both, least = len({*some.texts} & {*more.texts}), min(len(some.texts), len(more.texts))
        if 2 * both > least:
            raise UserError(f"{one} and {other} have {both:,} items in common, of {least:,}: leave one of them out")
        if both:
            say(f"{one} and {other} have {both:,} items in common: what both say of those is no second evidence")


def _read(name: str, items: Items) -> str:
    """How many items were read, and what was left out."""
    parts = int(items.counts.sum())
    cut = f" ({parts:,} excerpts)" if parts > len(items.texts) else ""
    left = f"; {len(items.problems):,} left out: {'; '.join(items.problems[:SHOWN])}" if items.problems else ""
    twice = f"; {items.repeats:,} stood there more than once and count once" if items.repeats else ""
    return f"{name}: {len(items.texts):,} items{cut}{twice}{left}{' ...' if len(items.problems) > SHOWN else ''}"
