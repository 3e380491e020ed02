"""What a run does without where a plugin fails: a complaint stands in its place, and the run ends well."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seqtutor.domain import Domain, Figures, Measure
from seqtutor.errors import UserError
from seqtutor.plugin.guard import Guarded


def measured(domain: Domain, texts: Sequence[str | None]) -> list[Measure]:
    """The figures of N samples; where a plugin fails, unknown ones and a complaint, so that a run still ends well."""
    try:
        return list(domain.measure(texts))
    except UserError as error:
        if type(domain) is not Guarded:
            raise
        domain.complaints.append(str(error))
        return domain.unmeasured(len(texts))


def written(domain: Domain, texts: Sequence[str], folder: Path, figures: Figures | None = None) -> None:
    """Write the files of the field; where a plugin fails, there is a complaint in their place."""
    try:
        domain.write(texts, folder, figures)
    except UserError as error:
        if type(domain) is not Guarded:
            raise
        domain.complaints.append(str(error))


def complaints(domain: Domain) -> list[str]:
    """What a plugin failed at since it was loaded, each once."""
    return list(dict.fromkeys(domain.complaints)) if type(domain) is Guarded else []
