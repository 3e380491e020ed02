"""Sequence Tutor: tune a sequence model towards stated rewards without letting go of what it learnt from data.

The names of the first list are what a plugin needs, and none of them imports torch; those of the second are what a
researcher types, and are imported when they are first used.
"""

from typing import TYPE_CHECKING, Any

from seqtutor.domain import (
    DataLine,
    Domain,
    Figures,
    Measure,
    Progress,
    RewardTerm,
    SequenceTerm,
    Template,
    TermKind,
    TokenTerm,
    available,
    load,
    option,
    silent,
)
from seqtutor.errors import Undecodable, UserError, unknown
from seqtutor.vocabulary import BOS, EOS, PAD, UnknownToken, Vocabulary

if TYPE_CHECKING:
    from seqtutor.api import evaluate, generate, load_run, pretrain, tune

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in ("evaluate", "generate", "load_run", "pretrain", "tune"):
        from seqtutor import api

        return getattr(api, name)
    raise AttributeError(f"module 'seqtutor' has no attribute '{name}'")


__all__ = [
    "BOS",
    "EOS",
    "PAD",
    "DataLine",
    "Domain",
    "Figures",
    "Measure",
    "Progress",
    "RewardTerm",
    "SequenceTerm",
    "Template",
    "TermKind",
    "TokenTerm",
    "Undecodable",
    "UnknownToken",
    "UserError",
    "Vocabulary",
    "available",
    "evaluate",
    "generate",
    "load",
    "load_run",
    "option",
    "pretrain",
    "silent",
    "tune",
    "unknown",
]
