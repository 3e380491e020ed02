"""What a new prior failed to learn: `infer` on the items that were held out from it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from seqtutor.arrays import Values
from seqtutor.domain import Domain
from seqtutor.errors import UserError
from seqtutor.files import write_json
from seqtutor.inference import FEWEST, Inference, TooFarError, infer
from seqtutor.inference.features import grouped, offered, prior_base

if TYPE_CHECKING:
    from seqtutor.training.pretraining import Examples


def examine(domain: Domain, data: Examples, folder: Path) -> Inference:
    """The weights that the prior in `folder` lacks; they are put among the figures of its config.json.

    An item counts by its excerpts, as in learning, and is one item to the intervals. A term that alone sets the items
    apart (that they stand in the corpus, say) gets no weight. Raises UserError where the items are too few, or too far
    from the prior, to say anything.
    """
    if len(data.sizes) < FEWEST:
        raise UserError(
            f"{len(data.sizes)} items were held out, and at least {FEWEST} are needed to tell which rules the prior "
            "has not learnt: give more items, or a larger --held-out"
        )
    terms, rest = offered(domain), iter(data.held_out)
    values, counts = grouped(domain, terms, [[next(rest) for _ in range(size)] for size in data.sizes])
    base = prior_base(domain, terms, str(folder.absolute()))
    found = _told(values, base.values, [term.name for term in terms], counts)
    about = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    rows = zip(found.names, found.mean, found.halfwidth, found.p_values, strict=True)
    about["figures"]["unlearnt"] = {
        name: {"w": float(w), "halfwidth": float(halfwidth), "p": float(p)} for name, w, halfwidth, p in rows
    }
    write_json(folder / "config.json", about)
    return found


def _told(items: Values, base: Values, names: Sequence[str], counts: Values) -> Inference:
    """What `infer` says without the terms that are too far."""
    apart: dict[str, str] = {}
    while True:
        kept = [k for k, name in enumerate(names) if name not in apart]
        try:
            found = infer(items[:, kept], base[:, kept], [names[k] for k in kept], counts=counts)
        except TooFarError as error:
            if len(kept) == 1:
                raise
            apart[error.term] = "sets the held-out items apart from nearly every text of the prior"
        except UserError as error:
            raise UserError("; ".join([str(error), *(f"{name} {why}" for name, why in apart.items())])) from error
        else:
            return replace(found, dropped={**found.dropped, **apart})
