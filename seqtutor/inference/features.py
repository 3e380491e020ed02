"""Items as rows of raw terms: read from anybody's files, cut as pre-training cuts them; and a prior's texts."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqtutor.arrays import Ids, Values
from seqtutor.domain import Domain, RewardTerm
from seqtutor.errors import UserError, shortened
from seqtutor.files import read_text, readable
from seqtutor.priors.encoding import padded, with_end
from seqtutor.rewards import keeping
from seqtutor.rewards.scorer import Scorer
from seqtutor.rewards.terms import weighted_terms

TEXTS = 4000  # of the prior
ROWS = 1024  # sequences that are scored together


@dataclass(frozen=True)
class Items:
    """N distinct items with the mean of each term over an item's excerpts."""

    texts: list[str]
    values: Values  # (N, K); NaN: a term could not be computed
    counts: Values  # (N,) excerpts of each
    problems: list[str]  # of what was left out
    repeats: int = 0  # items that stood there more than once


@dataclass(frozen=True)
class Base:
    """What a prior writes: the raw terms of its texts (M, K), and of what it wrote that is no item (L, K)."""

    values: Values
    invalid: Values


def offered(domain: Domain) -> list[RewardTerm]:
    """The terms that can be inferred: all of the domain's but the costly ones, and what is made of its figures."""
    return [term for term in weighted_terms(domain, {}) if not term.of_figures]


def encoded(domain: Domain, text: str) -> list[list[int]]:
    """The excerpts of one item as ids, EOS included where there is one; none if its length does not fit."""
    most = domain.max_length - (not domain.fixed_length)
    return [with_end(domain, excerpt) for excerpt in domain.excerpts(text) if len(excerpt) <= most]


def read_items(domain: Domain, path: Path, terms: Sequence[RewardTerm]) -> Items:
    """The items of a file or folder; of a run, or its samples.csv, those of its policy. Raises UserError if none is."""
    path = path / "samples.csv" if (path / "samples.csv").is_file() and (path / "config.toml").is_file() else path
    with readable(path):
        samples = _samples(path)
        lines = list(domain.read(path)) if samples is None else []
    texts = samples or [line.text for line in lines if line.text is not None and not line.problem]
    problems = [f"{line.where}: {line.problem}" for line in lines if line.problem]
    if not texts and not problems:
        raise UserError(f"{path} is empty: it holds no item of domain '{domain.name}'")
    items = features(domain, terms, texts)
    problems = problems + items.problems
    if not items.texts:
        raise UserError(f"{path} holds no item of domain '{domain.name}' that can be used; the first: {problems[0]}")
    return Items(items.texts, items.values, items.counts, problems, items.repeats)


def _samples(path: Path) -> list[str] | None:
    """The texts of a run's samples.csv; None where the file is none."""
    if path.suffix.lower() != ".csv" or not path.is_file():
        return None
    rows = csv.DictReader(io.StringIO(read_text(path), newline=""))
    if not {"model", "text"} <= set(rows.fieldnames or ()):
        return None
    found = list(rows)
    tuned = any(row["model"] == "policy" for row in found)
    texts = [row["text"] for row in found if row["text"] and (row["model"] == "policy" or not tuned)]
    if found and not texts:
        raise UserError(f"{path} holds no item: none of {len(found):,} samples was valid")
    return texts


def features(domain: Domain, terms: Sequence[RewardTerm], texts: Sequence[str]) -> Items:
    """The raw terms of each distinct text, as the mean over its excerpts; what cannot be used, with the reason."""
    distinct = list(dict.fromkeys(texts))
    kept: list[str] = []
    problems: list[str] = []
    groups: list[list[list[int]]] = []
    for text in distinct:
        try:
            if not (excerpts := encoded(domain, text)):
                raise UserError("it is too short, or too long")
        except UserError as error:
            problems.append(f"'{shortened(text, 40)}': {error}")
        else:
            kept.append(text)
            groups.append(excerpts)
    values, counts = grouped(domain, terms, groups)
    return Items(kept, values, counts, problems, len(texts) - len(distinct))


def grouped(
    domain: Domain, terms: Sequence[RewardTerm], groups: Sequence[Sequence[Sequence[int]]]
) -> tuple[Values, Values]:
    """Raw terms (N, K) of items that are given as the ids of their excerpts, and how many excerpts each has (N,)."""
    counts = np.array([len(group) for group in groups], np.int64)
    tokens = padded([sequence for group in groups for sequence in group], domain.max_length)
    values, valid = score(domain, terms, tokens, np.zeros(len(tokens), bool))
    values[~valid] = np.nan
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
    sums = np.add.reduceat(values, starts, axis=0) if len(groups) else np.zeros((0, len(terms)))
    return sums / counts[:, None], counts.astype(np.float64)


def score(
    domain: Domain, terms: Sequence[RewardTerm], tokens: Ids, truncated: np.ndarray, *, keep: bool = False
) -> tuple[Values, np.ndarray]:
    """Raw terms (B, K) of sequences (B, T), exactly as a run is paid; and which of them are items (B,).

    `keep`: they will be asked of again, see `seqtutor.rewards.keeping`.
    """
    scorer = Scorer(domain, terms)
    parts = [np.zeros((0, len(terms)))]
    known: AbstractContextManager[list[str | None]] = keeping.answers(scorer, tokens) if keep else nullcontext([])
    with known as texts:
        for start in range(0, len(tokens), ROWS):
            some = slice(start, start + ROWS)
            scores = scorer.score(tokens[some], truncated[some])
            parts.append(np.stack([scores.terms[term.name] for term in terms], axis=1))
            texts += scores.texts
    return np.concatenate(parts), np.array([text is not None for text in texts], bool)


def prior_base(domain: Domain, terms: Sequence[RewardTerm], prior: str, texts: int = TEXTS, seed: int = 0) -> Base:
    """The raw terms of `texts` texts that a prior writes, sampled with `seed`; kept in the user's cache."""
    import torch

    from seqtutor.hardware import check_memory
    from seqtutor.priors.files import load_prior

    check_memory(f"{texts:,} texts", 8.0 * texts * (2 * domain.max_length + 4))
    generator = torch.Generator().manual_seed(seed)
    tokens, truncated = keeping.draw(load_prior(prior, domain), domain, texts, generator)
    values, valid = score(domain, terms, tokens, truncated, keep=True)
    if not valid.any():
        raise UserError(f"none of {texts:,} texts of the prior '{prior}' is an item of domain '{domain.name}'")
    return Base(values[valid], values[~valid])
