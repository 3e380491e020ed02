"""Steps that a model does not choose: a script says, step by step, what must come and what may not."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from seqtutor.domain import Domain, Template
from seqtutor.priors.model import forbidden
from seqtutor.vocabulary import EOS, PAD, Vocabulary

BITS = 62  # of a number: of more tokens that come in pairs than these, some are counted together
Places = tuple[Tensor, ...]  # where each of b sequences stands in a script: the rows of each part belong to sequences


class Script(ABC):
    """What is told of the sequences of a batch, each at a place of its own."""

    @abstractmethod
    def start(self, n: int, device: torch.device) -> Places:
        """The places of n sequences before their first token."""

    @abstractmethod
    def must(self, places: Places) -> Tensor:
        """(b,) the token that must come next; PAD where the model chooses."""

    @abstractmethod
    def move(self, places: Places, tokens: Tensor) -> Places:
        """The places behind the tokens (b,)."""

    def barred(self, places: Places) -> Tensor | None:
        """(b, V) bool: tokens that the model may not choose; None where it may choose all."""
        return None


@dataclass(frozen=True)
class Fixed(Script):
    """The same tokens at the same steps of all sequences: `ids` (P,), PAD where the model chooses, as it does after."""

    ids: Tensor

    def start(self, n: int, device: torch.device) -> Places:
        return (torch.zeros(n, dtype=torch.int64, device=device),)

    def must(self, places: Places) -> Tensor:
        (step,) = places
        ids = self.ids.to(step.device)
        return torch.where(step < len(ids), ids[step.clamp(max=len(ids) - 1)], PAD)

    def move(self, places: Places, tokens: Tensor) -> Places:
        return (places[0] + 1,)


class Holes(Script):
    """Tokens with holes between them, as a domain's template says; behind its end comes EOS, if no hole is there.

    Within a hole the model chooses, until it closes what was open before the hole: that token is the template's next.
    It may not do so while the first of a pair of tokens stands there without the second.
    """

    def __init__(self, template: Template, vocabulary: Vocabulary) -> None:
        self.ids = torch.tensor([_id(vocabulary, token) for token in template.tokens] + [EOS])
        self.last = len(self.ids) - 2 if template.tokens[-1] is None else -1  # the hole that the end of an item ends
        self.opening, self.closing = (_id(vocabulary, token) for token in (template.opening, template.closing))
        self.late = torch.ones(len(vocabulary), dtype=torch.bool)  # what no hole may begin with
        self.late[[_id(vocabulary, token) for token in template.first]] = False
        self.never = torch.zeros(len(self.ids), len(vocabulary), dtype=torch.bool)
        holes = [place for place, token in enumerate(template.tokens) if token is None]
        for place, tokens in zip(holes, template.barred, strict=True):
            self.never[place, [_id(vocabulary, token) for token in tokens]] = True
            self.never[place, EOS] = place != self.last
        self.bits = torch.zeros(len(vocabulary), dtype=torch.int64)  # of each token that comes in pairs, one of its own
        for bit, token in enumerate(sorted(template.paired)):
            self.bits[_id(vocabulary, token)] = 1 << bit % BITS

    def start(self, n: int, device: torch.device) -> Places:
        """As Script.start: places in the template; in the hole, what is open, how many tokens there are, half pairs."""
        return tuple(torch.zeros(n, dtype=torch.int64, device=device) for _ in range(4))

    def must(self, places: Places) -> Tensor:
        return self.ids.to(places[0].device)[places[0]]

    def barred(self, places: Places) -> Tensor:
        place, depth, length, halves = places
        barred = self.never.to(place.device)[place] | (length == 0)[:, None] & self.late.to(place.device)
        # Nothing is open that it could close, or the hole would end within a pair.
        barred[:, self.closing] |= (depth == 0) & ((place == self.last) | (halves != 0))
        barred[:, EOS] |= halves != 0
        return barred

    def move(self, places: Places, tokens: Tensor) -> Places:
        place, depth, length, halves = places
        within = self.must(places) == PAD
        closes = within & (tokens == self.closing) & (depth == 0) & (place != self.last)
        depth = torch.where(within, depth + (tokens == self.opening).long() - (tokens == self.closing).long(), depth)
        place = torch.where(closes, place + 2, torch.where(within, place, place + 1))
        left, halves = closes | ~within, halves ^ self.bits.to(place.device)[tokens]
        inside = (torch.where(left, 0, part) for part in (depth, length + 1, halves))
        return (place.clamp(max=len(self.ids) - 1), *inside)


def _id(vocabulary: Vocabulary, token: str | None) -> int:
    return PAD if token is None else vocabulary.encode([token])[0]


def script_of(domain: Domain) -> Script | None:
    """What the items of a domain are told; None where they are free."""
    template = domain.template()
    return None if template is None else Holes(template, domain.vocabulary)


def chosen(script: Script | None, tokens: Tensor) -> Tensor:
    """(B, T) bool: the steps of `tokens` (B, T) that a model chose, up to and including EOS."""
    mask = tokens != PAD
    if script is None:
        return mask
    return mask & torch.stack([script.must(places) == PAD for places in _along(script, tokens)], 1)


def barring(script: Script | None, tokens: Tensor) -> Tensor | None:
    """(B, T, V) bool: at the chosen steps of `tokens` (B, T), what a model may not choose; None: it may choose all."""
    if script is None:
        return None
    rows = []
    for places in _along(script, tokens):
        if (barred := script.barred(places)) is None:
            return None
        rows.append(barred & (script.must(places) == PAD)[:, None])
    return torch.stack(rows, 1)


def _along(script: Script, tokens: Tensor) -> Iterator[Places]:
    """Where the sequences `tokens` (B, T) stand before each step."""
    places = script.start(len(tokens), tokens.device)
    for column in tokens.unbind(1):
        yield places
        places = script.move(places, column)


def within(rows: Tensor, barred: Tensor | None) -> Tensor:
    """Log-probabilities or values (..., V) of what is not barred: it takes the share of the rest, and V(s) stays.

    So log softmax of the result is the model's own, given that it may not choose what is barred: the prior and the
    policy of a template.
    """
    if barred is None:
        return rows
    left = rows.masked_fill(barred, forbidden(rows.dtype))
    return left + (rows.logsumexp(-1, keepdim=True) - left.logsumexp(-1, keepdim=True))
