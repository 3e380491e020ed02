"""What a prior may be learnt from: texts that are items, enough of them, and a model of the size that goes on."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqtutor.config import MADE_BY, PretrainConfig
from seqtutor.domain import Domain
from seqtutor.errors import UserError, shortened
from seqtutor.files import read_toml
from seqtutor.inference.features import encoded

if TYPE_CHECKING:
    from seqtutor.priors.model import LstmModel

OF_DATA = "examples"  # key of a saved config: the digest of what was learnt from and held out
ENOUGH = 50  # items below which a prior is not worth learning
ENOUGH_FURTHER = 10  # from a prior


def check_shape(stated: Mapping[str, Any], prior: str) -> None:
    """Raise UserError for a size of the model that is stated, where the prior to go on from has one."""
    if prior and (sizes := [name for name in ("embedding", "hidden", "layers") if stated.get(name) is not None]):
        raise UserError(f"{sizes[0]} is that of the prior '{prior}' to go on from: leave one of them out")


def check_looks(prior: str, model: LstmModel, domain: Domain) -> None:
    """Raise UserError where a prior to go on from looks back by other distances than a form of the domain returns at.

    As one of another metre would: it has learnt nothing of these bars.
    """
    ours, its = (" ".join(map(str, one)) or "nowhere" for one in (domain.lookback, model.lookback))
    if ours != its:
        raise UserError(
            f"the prior '{prior}' looks back {its} tokens, and these options ask for {ours}, as another metre does: "
            f"go on from another one, such as '{domain.own_prior}', or leave the prior out"
        )


def checked_texts(domain: Domain, data: Any, config: PretrainConfig) -> list[str]:
    """A script's texts. Raises UserError for what is no list of texts, and for items that are none, or are too few."""
    if isinstance(data, str | bytes | Path | set | frozenset) or not isinstance(data, Iterable):
        raise UserError(f"data must be a list of texts, not {shortened(repr(data), 60)}; of a file: domain.read(path)")
    texts = list(data)
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise UserError(f"data[{place}] is no text: {shortened(repr(text), 60)}")
        try:
            for excerpt in domain.excerpts(text):
                domain.vocabulary.encode(domain.encode(domain.decode(excerpt)))
            if not encoded(domain, text):
                raise UserError("it is too short, or too long")
        except UserError as error:
            shown = shortened(text, 40)
            raise UserError(f"data[{place}], '{shown}', is no item of '{domain.name}': {error}") from error
    return enough(texts, "data", config.prior)


def enough(texts: list[str], origin: str, prior: str) -> list[str]:
    """The texts. Raises UserError where they are too few to learn from, or to go on from a prior with."""
    needed = ENOUGH_FURTHER if prior else ENOUGH
    if len(texts) < needed:
        onwards = "" if prior else f", or {ENOUGH_FURTHER} to go on from a prior (--prior)"
        raise UserError(
            f"{origin} has {len(texts)} items that can be learnt from; at least {needed} are needed{onwards}"
        )
    return texts


def same_data(folder: Path, *parts: Sequence[Sequence[int]]) -> str:
    """A digest of the sequences to learn from and of those held out.

    Raises UserError where a pre-training in the folder has begun with others: it would measure on what it has learnt.
    """
    total = hashlib.sha256()
    for ids in itertools.chain(*parts):
        total.update(np.array([len(ids), *ids], np.int32).tobytes())
    file, now = folder / "config.toml", total.hexdigest()[:16]
    made_by = read_toml(file).get(MADE_BY) if file.is_file() else None
    if isinstance(made_by, Mapping) and made_by.get(OF_DATA, now) != now:
        raise UserError(
            "the data, or held_out, split or seed, are not those that this pre-training began with: what was learnt "
            f"would be held out; begin another, from its model if you like: --prior {folder}/"
        )
    return now
