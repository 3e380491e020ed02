"""What a taste is linear in: standardised terms and measures, and principal directions of the prior's hidden state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from seqtutor.arrays import Ids, Values
from seqtutor.domain import Domain, RewardTerm
from seqtutor.errors import UserError, refused
from seqtutor.inference.features import offered
from seqtutor.priors.encoding import ids_of, rows_of
from seqtutor.rewards.scorer import Scorer
from seqtutor.vocabulary import PAD

if TYPE_CHECKING:
    from seqtutor.priors.model import Model

TEXTS = 1000  # of the prior, by which everything is standardised
DIRECTIONS = 48  # of the hidden state
LEAST = 2 * DIRECTIONS
NAMED, HIDDEN = 2.0, 0.8  # prior standard deviations, nats, of what all named figures, and all directions, make of u(x)
LESS = 0.1  # how wide a measure's weight is beside a term's, by the belief that a taste is made of the terms
FALLING = 0.75  # power of a direction's own spread that its weight's standard deviation goes with
ALIKE = 1 - 1e-6  # of a correlation, beyond which two figures are one
FAR = 3.0  # standard deviations beyond which a figure counts no more: nobody was asked about what lies there
ROWS = 64  # sequences that are read together, always so many: a text's figures must not depend on its neighbours


@dataclass(frozen=True)
class Lens:
    """How texts become rows of figures (N, F): first those with a name, then the directions."""

    domain: Domain
    prior: Model
    terms: Sequence[RewardTerm]
    names: list[str]  # of the named figures
    kept: Ids  # which of all raw figures those are
    centre: Values
    scale: Values
    middle: Values  # (2 H,) of the hidden states
    directions: Values  # (2 H, D), which scale to one standard deviation
    known: dict[str, Values] = field(default_factory=dict, repr=False)

    @property
    def beliefs(self) -> Values:
        """Prior standard deviation of each weight (2, F), nats per standard deviation of a figure.

        By the first belief every named figure counts alike; by the second the terms do, and hardly a measure.
        """
        spread = np.linalg.norm(self.directions, axis=0) ** -FALLING
        hidden = HIDDEN * spread / np.linalg.norm(spread)
        terms = {term.name for term in self.terms}
        wide = np.array([[1.0, 1.0 if name in terms else LESS] for name in self.names]).reshape(-1, 2).T
        length = np.linalg.norm(wide, axis=1, keepdims=True)
        named = NAMED * wide / np.where(length, length, 1.0)  # a domain may name no figure
        return np.hstack([named, np.tile(hidden, (2, 1))])

    @property
    def width(self) -> int:
        """F, the number of figures."""
        return len(self.names) + len(self.directions.T)

    def __call__(self, texts: Sequence[str]) -> Values:
        """The figures (N, F) of texts of the domain, each computed once; NaN where the prior cannot read one."""
        new = [text for text in dict.fromkeys(texts) if text not in self.known]
        unread = [text for text in new if wrong(self.domain, text)]
        self.known.update(dict.fromkeys(unread, np.full(self.width, np.nan)))
        new = [text for text in new if text not in self.known]
        for start in range(0, len(new), ROWS):
            some = new[start : start + ROWS]
            self.known.update(zip(some, self._rows(some), strict=True))
        return np.array([self.known[text] for text in texts]).reshape(len(texts), self.width)

    def _rows(self, texts: Sequence[str]) -> Values:
        raw = named_figures(self.domain, self.terms, texts)[1][:, self.kept]
        named = np.nan_to_num((raw - self.centre) / self.scale)
        padded = [*texts, *[texts[0]] * (ROWS - len(texts))]
        hidden = (states(self.domain, self.prior, padded) - self.middle) @ self.directions
        return np.asarray(np.clip(np.hstack([named, hidden[: len(texts)]]), -FAR, FAR).round(6))


LENSES: dict[tuple[str, ...], Lens] = {}  # of this process


def lens_of(domain: Domain, prior: str) -> Lens:
    """The lens of a prior by its name or path: made once, so that every term that looks through it shares its figures.

    Raises UserError where too few of the prior's texts are items.
    """
    from seqtutor.priors.files import load_prior, weights_digest

    key = (domain.name, domain.place, repr(domain.options), weights_digest(prior))
    if key not in LENSES:
        LENSES[key] = new_lens(domain, load_prior(prior, domain))
    return LENSES[key]


def new_lens(domain: Domain, prior: Model) -> Lens:
    """A lens that is standardised by TEXTS texts of the prior. Raises UserError where too few of them are items."""
    from seqtutor.runs.drawing import texts_of

    drawn = texts_of(prior, domain, TEXTS, 0)
    texts = [text for text in drawn if text is not None and not wrong(domain, text)]
    if len(texts) < LEAST:
        raise UserError(f"{len(texts)} of {TEXTS} texts of the prior are items; a taste is measured by {LEAST} or more")
    terms = offered(domain)
    names, raw = named_figures(domain, terms, texts)
    half = named_figures(domain, terms, texts[: len(texts) // 2])[1]
    own = np.isclose(raw[: len(half)], half, equal_nan=True).all(0)  # else it depends on the texts beside it
    centre = np.nanmean(np.where(np.isfinite(raw), raw, np.nan), 0)
    scale = np.nanstd(np.where(np.isfinite(raw), raw, np.nan), 0)
    kept = _different(raw, np.flatnonzero(own & (scale > 1e-9)), {term.name for term in terms}, names)
    hidden = np.concatenate([states(domain, prior, texts[i : i + ROWS]) for i in range(0, len(texts), ROWS)])
    middle = hidden.mean(0)
    _, sizes, rows = np.linalg.svd(hidden - middle, full_matrices=False)
    count = min(DIRECTIONS, int((sizes > 1e-6 * sizes[0]).sum()))
    directions = rows[:count].T / (sizes[:count] / np.sqrt(len(texts)))
    return Lens(domain, prior, terms, [names[i] for i in kept], kept, centre[kept], scale[kept], middle, directions)


def _different(raw: Values, columns: Ids, terms: set[str], names: Sequence[str]) -> Ids:
    """Those `columns` of figures (N, K) that no other says already, in its unit or turned round; terms before measures.

    A liking that two figures share would be told twice, and half as sure each time.
    """
    found: list[int] = []
    for k in sorted(columns.tolist(), key=lambda k: names[k] not in terms):
        known = np.isfinite(raw[:, k])
        alike = [j for j in found if (np.isfinite(raw[:, j]) == known).all() and known.sum() >= LEAST]
        clipped = [_clipped(raw[known, j]) for j in (k, *alike)]
        if not any(abs(float((clipped[0] * other).mean())) > ALIKE for other in clipped[1:]):
            found.append(k)
    return np.array(sorted(found), np.int64)


def _clipped(values: Values) -> Values:
    """Standard deviations from the mean, of what lies within FAR of these, so that no outlier decides."""
    far = FAR * values.std()
    values = values.clip(values.mean() - far, values.mean() + far)
    return np.asarray((values - values.mean()) / max(values.std(), np.finfo(float).tiny))


def different_items(model: Model, domain: Domain, count: int, seed: int) -> list[str]:
    """The different items among `count` samples of a model."""
    from seqtutor.runs.drawing import texts_of

    drawn = dict.fromkeys(texts_of(model, domain, count, seed))
    return [text for text in drawn if text and not wrong(domain, text)]


def wrong(domain: Domain, text: str) -> str:
    """Why a text is no item that the domain's models can read; empty where it is one."""
    return str(refused(lambda: domain.decode(domain.vocabulary.decode(ids_of(domain, text)))) or "")


def named_figures(domain: Domain, terms: Sequence[RewardTerm], texts: Sequence[str]) -> tuple[list[str], Values]:
    """The names of terms and of the domain's measures of single items, and both for each text (N, K); NaN: unknown."""
    scorer = Scorer(domain, terms)
    scores = scorer.of_texts(texts, rows_of(domain, texts, domain.max_length))
    measures = [m for m in domain.measure(texts) if not m.of_set and len(m.values) == len(texts)]
    with np.errstate(divide="ignore", invalid="ignore"):
        figures = {m.name: np.where(m.weights > 0, m.values / m.weights, 0.0) for m in measures}
    table = {**figures, **{term.name: scores.terms[term.name] for term in terms}}
    return list(table), np.stack(list(table.values()), axis=1)


def states(domain: Domain, prior: Model, texts: Sequence[str]) -> Values:
    """The mean and the last hidden state (N, 2 H) of the prior reading each text."""
    import torch

    tokens = torch.from_numpy(rows_of(domain, texts, domain.max_length))
    with torch.no_grad():
        hidden = prior.hidden(tokens).double()
    real = (tokens != PAD).double()
    mean = (hidden * real[..., None]).sum(1) / real.sum(1, keepdim=True)
    last = hidden[torch.arange(len(tokens)), real.sum(1).long() - 1]
    return torch.cat([mean, last], -1).numpy()
