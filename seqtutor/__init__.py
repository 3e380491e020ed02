"""Sequence Tutor: tune a sequence model towards stated rewards without letting go of what it learnt from data.

These names are what a plugin needs; none of them imports torch.
"""

from seqtutor.domain import (
    DataLine,
    Domain,
    Measure,
    Progress,
    RewardTerm,
    SequenceTerm,
    TokenTerm,
    available,
    load,
    option,
    silent,
)
from seqtutor.errors import Undecodable, UserError, unknown
from seqtutor.vocabulary import BOS, EOS, PAD, UnknownToken, Vocabulary

__version__ = "0.1.0"

__all__ = [
    "BOS",
    "EOS",
    "PAD",
    "DataLine",
    "Domain",
    "Measure",
    "Progress",
    "RewardTerm",
    "SequenceTerm",
    "TokenTerm",
    "Undecodable",
    "UnknownToken",
    "UserError",
    "Vocabulary",
    "available",
    "load",
    "option",
    "silent",
    "unknown",
]
