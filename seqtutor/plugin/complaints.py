"""What a run does without where a plugin fails: a complaint stands in its place, and the run ends well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from seqtutor.domain import Domain, Figures, Measure
from seqtutor.errors import UserError
from seqtutor.plugin.guard import Guarded

T = TypeVar("T")


def measured(domain: Domain, texts: Sequence[str | None]) -> list[Measure]:
    """The figures of N samples; where a plugin fails, unknown ones and a complaint, so that a run still ends well."""
    return spared(domain, lambda: list(domain.measure(texts)), lambda: domain.unmeasured(len(texts)))  # type: ignore[attr-defined]


def written(domain: Domain, texts: Sequence[str], folder: Path, figures: Figures | None = None) -> None:
    """Write the files of the field; where a plugin fails, there is a complaint in their place."""
    spared(domain, lambda: domain.write(texts, folder, figures), list)


def spared(domain: Domain, ask: Callable[[], T], instead: Callable[[], T]) -> T:
    """What a plugin says when it is asked; where it fails, a complaint, and what stands in its place."""
    try:
        return ask()
    except UserError as error:
        if type(domain) is not Guarded:
            raise
        domain.complaints.append(str(error))
        return instead()


def complaints(domain: Domain) -> list[str]:
    """What a plugin failed at since it was loaded, each once."""
    return list(dict.fromkeys(domain.complaints)) if type(domain) is Guarded else []
