"""`seqtutor infer`: which terms tell examples from what a prior writes, and a config that tunes towards them."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seqtutor.cli.options import SEED, DomainCommand, typed
from seqtutor.domain import Domain, RewardTerm, load
from seqtutor.errors import UserError, unknown
from seqtutor.files import check_new, write_new

if TYPE_CHECKING:
    from seqtutor.inference import Inference
    from seqtutor.inference.features import Base, Items

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
    own = {f.name: f.default for f in dataclasses.fields(Asked)}
    asked = Asked(**{key: value for key, value in given.items() if key in own})
    if asked.among and (asked.prior or asked.texts):
        raise UserError("--among replaces the prior's texts: leave out --prior and --texts")
    if asked.output:
        check_new(Path(asked.output))
    options = typed({key: value for key, value in given.items() if key not in own})
    _infer(load(domain, options), _named(examples), asked, options)


@dataclass(frozen=True)
class Asked:
    """What was typed beside the examples."""

    figures: bool = False
    among: str = ""
    prior: str = ""
    texts: int | None = None
    without: tuple[str, ...] = ()
    seed: int = 0
    output: str = ""


def _named(examples: tuple[str, ...]) -> dict[str, Path]:
    """Names to paths; a path that stands alone is its own name."""
    found: dict[str, Path] = {}
    for given in examples:
        name, equals, path = given.partition("=")
        if Path(given).exists() or not equals:
            name, path = Path(given).name or given, given
        if name in found:
            raise UserError(f"two sets of examples are named '{name}'; name them: --examples NAME=PATH")
        found[name] = Path(path)
    return found


def _infer(domain: Domain, paths: dict[str, Path], asked: Asked, options: dict[str, Any]) -> None:
    import numpy as np

    from seqtutor.cli.console import console, say
    from seqtutor.cli.inferred import as_config, columns, notes, of_figures, of_terms, table
    from seqtutor.cli.pretrain import corpus_of
    from seqtutor.inference import check_count
    from seqtutor.inference.features import Base, features, offered, read_items
    from seqtutor.inference.shared import share
    from seqtutor.rewards.figures import single

    terms = single(domain) if asked.figures else offered(domain)
    if not terms:
        raise UserError(f"domain '{domain.name}' has no {'figures of real items' if asked.figures else 'terms'} to fit")
    terms = _without(terms, asked.without)
    prior = asked.prior or domain.own_prior
    texts = [] if paths else corpus_of(domain)
    if len(texts) > CORPUS:
        texts = [texts[i] for i in np.random.default_rng(asked.seed).permutation(len(texts))[:CORPUS]]
    with console.status("reading, sampling and scoring"):
        items = {name: read_items(domain, path, terms) for name, path in paths.items()}
        items |= {} if paths else {"the corpus": features(domain, terms, texts)}
        for name, some in items.items():
            say(_read(name, some))
            check_count(len(some.values))
        if asked.among:
            listed = read_items(domain, Path(asked.among), terms)
            base = Base(listed.values, listed.values[:0])
            # Where all examples were chosen from the list, it is no sample of anything.
            whole = {text for some in items.values() for text in some.texts} <= set(listed.texts)
            against = f"{len(base.values):,} items of {asked.among}{'' if whole else ', which does not hold them all'}"
            found = _all_inferred(items, base, terms, asked, whole=whole)
        else:
            base, found = _against_prior(domain, terms, items, prior, asked)
            against = f"{len(base.values):,} texts of the prior '{prior}'"
    shared = share(list(found.values())) if len(found) > 1 else None
    (only, *others) = found.values()
    console.print(columns(found, shared, against) if shared else table(only, against))
    worst = only if not others else min(found.values(), key=lambda one: one.ess)
    for line in notes(worst, listed=bool(asked.among)):
        say(line)
    if asked.output:
        weigh = of_figures if asked.figures else of_terms
        weights, tables, warnings = weigh(domain, shared or only, only, terms, base)
        text = as_config(domain, options, asked.prior, weights, tables)
        write_new(Path(asked.output), f"# inferred from {', '.join(items)}\n# against {against}\n\n{text}")
        for warning in warnings:
            say(warning)
        say(f"written: {asked.output}; tune with: seqtutor train --config {shlex.quote(asked.output)}")


def _without(terms: Sequence[RewardTerm], names: tuple[str, ...]) -> list[RewardTerm]:
    """The terms but for those of these names. Raises UserError where one has no such name, or none would be left."""
    for name in names:
        if name not in {term.name for term in terms}:
            raise unknown("term to leave out", name, [term.name for term in terms])
    left = [term for term in terms if term.name not in names]
    if not left:
        raise UserError("--without names every term; leave one to be fitted")
    return left


def _against_prior(
    domain: Domain, terms: Sequence[RewardTerm], items: dict[str, Items], prior: str, asked: Asked
) -> tuple[Base, dict[str, Inference]]:
    """The prior's texts and what they say; more of them where they are worth few, unless it was said how many."""
    from seqtutor.cli.console import say
    from seqtutor.inference import LOW, TooFarError
    from seqtutor.inference.features import TEXTS, prior_base

    base = prior_base(domain, terms, prior, asked.texts or TEXTS, asked.seed)
    try:
        found = _all_inferred(items, base, terms, asked, whole=False)
        worth = min(one.ess for one in found.values())
    except TooFarError as error:
        if asked.texts:
            raise
        worth = error.ess
    if asked.texts or worth >= LOW:
        return base, found
    say(f"{TEXTS:,} texts of the prior are worth {worth:.0f}, and {LOW:.0f} are wanted: {MORE * TEXTS:,} are taken")
    base = prior_base(domain, terms, prior, MORE * TEXTS, asked.seed)
    return base, _all_inferred(items, base, terms, asked, whole=False)


def _all_inferred(
    items: dict[str, Items], base: Base, terms: Sequence[RewardTerm], asked: Asked, *, whole: bool
) -> dict[str, Inference]:
    """What each set of examples says, by its name."""
    from seqtutor.inference import CLIP, RARE
    from seqtutor.inference import infer as fit

    names, found = [term.name for term in terms], {}
    rare = 2 * CLIP if asked.figures else RARE  # there are thousands of real items, and not fifty examples
    for name, some in items.items():
        try:
            found[name] = fit(some.values, base.values, names, whole_base=whole, rare=rare)
        except UserError as error:
            if len(items) > 1:
                error.args = (f"{name}: {error}",)
            raise
    return found


def _read(name: str, items: Items) -> str:
    """How many items were read, and what was left out."""
    parts = int(items.counts.sum())
    cut = f" ({parts:,} excerpts)" if parts > len(items.texts) else ""
    left = f"; {len(items.problems):,} left out: {'; '.join(items.problems[:SHOWN])}" if items.problems else ""
    twice = f"; {items.repeats:,} stood there more than once and count once" if items.repeats else ""
    return f"{name}: {len(items.texts):,} items{cut}{twice}{left}{' ...' if len(items.problems) > SHOWN else ''}"
