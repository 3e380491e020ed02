"""Texts from anywhere scored as in a run, every figure of each, and the best of them that pass."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqtutor.arrays import Ids
from seqtutor.domain import Domain, Progress, RewardTerm, TokenTerm, silent
from seqtutor.files import write_csv
from seqtutor.plugin.complaints import written
from seqtutor.priors.encoding import family_of, misfit, rows_of
from seqtutor.rewards.scorer import Scorer
from seqtutor.runs.folder import figure_text
from seqtutor.vocabulary import EOS

CHUNK = 512  # texts that are scored together
Origins = dict[str, tuple[str, str]]  # by text
PASSED = 0.5  # score of a filter from which an item counts as passed


@dataclass(frozen=True)
class ScoredText:
    """One scored text."""

    text: str
    family: str
    reward: float  # NaN: it could not be scored
    failed: str  # the first filter that it does not pass; empty: it passes all
    figures: dict[str, float]  # raw and transformed, by column


def scored(scorer: Scorer, texts: Iterable[str], progress: Progress = silent) -> Iterator[ScoredText]:
    """Score texts, each once, in their order."""
    different = list(dict.fromkeys(texts))
    filters = [term.name for term in scorer.terms if term.filter]
    for start in range(0, len(different), CHUNK):
        some = different[start : start + CHUNK]
        scores = scorer.of_texts(some, tokens_of(scorer, some))
        columns, totals = scores.columns, scores.totals
        for i, text in enumerate(some):
            figures = {name: float(values[i]) for name, values in columns.items()}
            shares = {name: scores.transformed.get(name, scores.terms[name])[i] for name in filters}
            failed = next((name for name, share in shares.items() if not share >= PASSED), "")
            yield ScoredText(text, family_of(scorer.domain, text), float(totals[i]), failed, figures)
        progress(min(start + CHUNK, len(different)), len(different))


def problem(domain: Domain, text: str) -> str:
    """Why an item cannot be scored, though it is one: a term reads tokens, and it has others. Empty where it can."""
    return misfit(domain, text) if _reads_tokens(domain.terms()) else ""


def _reads_tokens(terms: Sequence[RewardTerm]) -> bool:
    return any(isinstance(term, TokenTerm) for term in terms)


def tokens_of(scorer: Scorer, texts: Sequence[str]) -> Ids:
    """Ids (B, T) where a term reads them; else an end alone: what is scored as text need not be spelt in tokens."""
    if not _reads_tokens(scorer.terms):
        return np.full((len(texts), 1), EOS)
    return rows_of(scorer.domain, texts)


def best(domain: Domain, found: Iterable[ScoredText], count: int, per_family: int) -> list[ScoredText]:
    """The `count` of highest reward that pass every filter, at most `per_family` of one family; 0: however many."""
    passing = (item for item in found if not item.failed and math.isfinite(item.reward))
    kept: list[ScoredText] = []
    families = Counter[str]()
    for item in sorted(passing, key=lambda item: -item.reward):
        if len(kept) == count:
            break
        family = domain.akin(item.family, list(families)) if item.family else ""
        if not 0 < per_family <= families[family]:
            kept.append(item)
            families[family] += bool(family)  # without a scaffold they are no family
    return kept


def write_table(found: Iterable[ScoredText], path: Path, origins: Origins | None = None) -> list[ScoredText]:
    """Write a row for each -> all of them. `origins`: where each text stood in a file, and what it is called there."""
    rows = list(found)
    names = list(rows[0].figures) if rows else []
    lines = [["text", "family", "reward", "failed_filter", *names, *(("where", "name") if origins else ())]]
    for item in rows:
        figures = [figure_text(item.figures[name]) for name in names]
        behind = origins[item.text] if origins else ()
        lines.append([item.text, item.family, figure_text(item.reward), item.failed, *figures, *behind])
    write_csv(path, lines)
    return rows


def write_hits(domain: Domain, hits: Sequence[ScoredText], folder: Path, origins: Origins | None = None) -> None:
    """Write the files of the field of what was chosen, with every figure, and the same as a table."""
    folder.mkdir(parents=True, exist_ok=True)
    names = list(hits[0].figures) if hits else []
    figures: dict[str, Sequence[float] | Sequence[str]] = {"reward": [item.reward for item in hits]}
    figures |= {name: [item.figures[name] for item in hits] for name in names}
    figures |= {"name": [origins[item.text][1] for item in hits]} if origins else {}
    written(domain, [item.text for item in hits], folder, figures)
    write_table(hits, folder / "hits.csv", origins)
