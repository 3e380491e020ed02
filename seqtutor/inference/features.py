"""Items as rows of raw terms: read from anybody's files, cut as pre-training cuts them; and a prior's texts, cached."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seqtutor.domain import Domain, RewardTerm
from seqtutor.encoding import padded, with_end
from seqtutor.errors import UserError, shortened
from seqtutor.files import digest, read_text, readable
from seqtutor.rewards.scorer import Scorer
from seqtutor.rewards.terms import weighted_terms
from seqtutor.rewards.versions import version_of

if TYPE_CHECKING:
    from seqtutor.domain import Ids, Values

FORMAT = 1  # of the cached file
TEXTS = 4000  # of the prior
ROWS = 1024  # sequences that are scored together
CHECKED = 64  # cached texts that are scored again: the terms may have changed under the cache


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
    """The terms that can be inferred: all of the domain's but the costly ones."""
    return weighted_terms(domain, {})


def encoded(domain: Domain, text: str) -> list[list[int]]:
    """The excerpts of one item as ids, EOS included where there is one; none if its length does not fit."""
    most = domain.max_length - (not domain.fixed_length)
    return [with_end(domain, excerpt) for excerpt in domain.excerpts(text) if len(excerpt) <= most]


def read_items(domain: Domain, path: Path, terms: Sequence[RewardTerm]) -> Items:
    """The items of a file or folder, or of a run's samples.csv (those of its policy). Raises UserError if none is."""
    texts, problems = _read(domain, path)
    if not texts and not problems:
        raise UserError(f"{path} is empty: it holds no item of domain '{domain.name}'")
    items = features(domain, terms, texts)
    problems = problems + items.problems
    if not items.texts:
        raise UserError(f"{path} holds no item of domain '{domain.name}' that can be used; the first: {problems[0]}")
    return Items(items.texts, items.values, items.counts, problems, items.repeats)


def _read(domain: Domain, path: Path) -> tuple[list[str], list[str]]:
    with readable(path):
        samples = _samples(path)
        if samples is not None:
            return samples, []
        lines = list(domain.read(path))
    good = [line.text for line in lines if line.text is not None and not line.problem]
    return good, [f"{line.where}: {line.problem}" for line in lines if line.problem]


def _samples(path: Path) -> list[str] | None:
    """The texts of a run's samples.csv; None where the file is none."""
    if path.suffix.lower() != ".csv" or not path.is_file():
        return None
    rows = csv.DictReader(io.StringIO(read_text(path).removeprefix("\ufeff"), newline=""))
    if not {"model", "text"} <= set(rows.fieldnames or ()):
        return None
    found = [(row["model"], row["text"]) for row in rows if row["text"]]
    tuned = any(model == "policy" for model, _ in found)
    return [text for model, text in found if model == "policy" or not tuned]


def features(domain: Domain, terms: Sequence[RewardTerm], texts: Sequence[str]) -> Items:
    """The raw terms of each distinct text, as the mean over its excerpts; what cannot be used, with the reason."""
    distinct = list(dict.fromkeys(texts))
    kept: list[str] = []
    problems: list[str] = []
    groups: list[list[list[int]]] = []
    for text in distinct:
        try:
            excerpts = encoded(domain, text)
            problem = "" if excerpts else "it is too short, or too long"
        except UserError as error:
            excerpts, problem = [], str(error)
        if problem:
            problems.append(f"'{shortened(text, 40)}': {problem}")
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


def score(domain: Domain, terms: Sequence[RewardTerm], tokens: Ids, truncated: np.ndarray) -> tuple[Values, np.ndarray]:
    """Raw terms (B, K) of sequences (B, T), exactly as a run is paid; and which of them are items (B,)."""
    scorer = Scorer(domain, terms)
    parts, valid = [np.zeros((0, len(terms)))], np.zeros(len(tokens), bool)
    for start in range(0, len(tokens), ROWS):
        some = slice(start, start + ROWS)
        scores = scorer.score(tokens[some], truncated[some])
        parts.append(np.stack([scores.terms[term.name] for term in terms], axis=1))
        valid[some] = [text is not None for text in scores.texts]
    return np.concatenate(parts), valid


def prior_base(
    domain: Domain, terms: Sequence[RewardTerm], prior: str, texts: int = TEXTS, seed: int = 0, *, keep: bool = True
) -> Base:
    """The raw terms of `texts` texts that a prior writes, sampled with `seed`; `keep`: from the cache once they are."""
    path = _cache_path(_key(domain, terms, prior, texts, seed)) if keep else None
    base = _cached(path, domain, terms) if path else None
    if base is None:
        tokens, truncated = _sample(domain, prior, texts, seed)
        values, valid = score(domain, terms, tokens, truncated)
        base = Base(values[valid], values[~valid])
        if path:
            _keep(path, base, tokens[:CHECKED], truncated[:CHECKED], values[:CHECKED])
    if not len(base.values):
        raise UserError(f"none of {texts:,} texts of the prior '{prior}' is an item of domain '{domain.name}'")
    return base


def _sample(domain: Domain, prior: str, texts: int, seed: int) -> tuple[Ids, np.ndarray]:
    import torch

    from seqtutor.config import check_memory
    from seqtutor.priors.files import load_prior
    from seqtutor.priors.sampling import draw

    check_memory(f"{texts:,} texts", 8.0 * texts * (2 * domain.max_length + 4))
    return draw(load_prior(prior, domain), domain, texts, torch.Generator().manual_seed(seed))


def _key(domain: Domain, terms: Sequence[RewardTerm], prior: str, texts: int, seed: int) -> str:
    """What the base depends on: the prior's own bytes, the domain with its options, the terms with their versions."""
    from seqtutor.priors.files import model_folder, stem_of

    folder = model_folder(prior)
    weights = folder / f"{stem_of(folder)}.safetensors"
    versions = [(term.name, version_of(domain, term, {})) for term in terms]
    about = [FORMAT, digest(weights), domain.name, asdict(domain.options), versions, texts, seed]
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _cache_path(key: str) -> Path | None:
    """Where the base is kept; None where nothing can be written: then it is made anew each time."""
    from platformdirs import user_cache_dir

    folder = Path(user_cache_dir("seqtutor"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder / f"base-{key[:32]}.npz"


def _cached(path: Path, domain: Domain, terms: Sequence[RewardTerm]) -> Base | None:
    """The base in a file; None where there is none, where it is damaged, or where the terms say something else now."""
    try:
        with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as file:  # np.load would leave a damaged one open
            kept = {name.removesuffix(".npy"): _array(file.read(name)) for name in file.namelist()}
        values, invalid, tokens = kept["values"], kept["invalid"], kept["tokens"]
        truncated, checked = kept["truncated"], kept["checked"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError):
        return None
    wide = (len(terms),)
    fits = values.shape[1:] == invalid.shape[1:] == checked.shape[1:] == wide
    if not fits or tokens.shape != (len(checked), domain.max_length) or truncated.shape != checked.shape[:1]:
        return None
    again, _ = score(domain, terms, tokens, truncated)
    return Base(values, invalid) if np.allclose(again, checked, equal_nan=True) else None


def _array(content: bytes) -> np.ndarray:
    return np.asarray(np.lib.format.read_array(io.BytesIO(content), allow_pickle=False))


def _keep(path: Path, base: Base, tokens: Ids, truncated: np.ndarray, checked: Values) -> None:
    """Write the cache whole or not at all; where that is not possible, nothing is kept."""
    from seqtutor.files import write_atomically

    content = io.BytesIO()
    np.savez_compressed(
        content, values=base.values, invalid=base.invalid, tokens=tokens, truncated=truncated, checked=checked
    )
    try:
        write_atomically(path, content.getvalue())
    except OSError:
        return
