"""Tokens and their ids: the one place where a token becomes a number and a number a token."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from seqtutor.errors import UserError, shortened

PAD, BOS, EOS = 0, 1, 2
SPECIAL = ("<pad>", "<bos>", "<eos>")
HIGHEST = 1000  # that a token may lie on a scale


class Vocabulary:
    """An ordered list of tokens; ids 0, 1, 2 are its own PAD, BOS and EOS, a domain's first token has id 3.

    Two vocabularies are equal when they hold the same tokens in the same order.
    """

    def __init__(self, tokens: Iterable[str]) -> None:
        """`tokens`: the domain's tokens, each once, without the three special ones."""
        self.tokens: tuple[str, ...] = (*SPECIAL, *tokens)
        self._ids = {token: i for i, token in enumerate(self.tokens)}
        if len(self._ids) != len(self.tokens):
            repeated = sorted({t for t in self.tokens if self.tokens.count(t) > 1})
            raise ValueError(f"a vocabulary holds each token once; repeated: {', '.join(repeated)}")

    def __len__(self) -> int:
        return len(self.tokens)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.tokens == other.tokens

    def __hash__(self) -> int:
        return hash(self.tokens)

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} tokens)"

    @property
    def own(self) -> tuple[str, ...]:
        """The domain's tokens, without PAD, BOS, EOS: `Vocabulary(v.own) == v`."""
        return self.tokens[len(SPECIAL) :]

    def encode(self, tokens: Sequence[str]) -> list[int]:
        """Ids of `tokens`, without BOS or EOS. Raises UnknownToken, which names the token and its place."""
        try:
            return [self._ids[token] for token in tokens]
        except KeyError:
            place = next(i for i, token in enumerate(tokens) if token not in self._ids)
            raise UnknownToken(tokens, place) from None

    def decode(self, ids: Iterable[int]) -> list[str]:
        """The domain's tokens of `ids` up to the first EOS or PAD; a leading BOS is passed over."""
        tokens: list[str] = []
        for i in ids:
            if i in (PAD, EOS):
                break
            if i != BOS:
                tokens.append(self.tokens[i])
        return tokens


class UnknownToken(UserError):
    """A token that the vocabulary has not: names the token, the text and the place (counted from 1)."""

    def __init__(self, tokens: Sequence[str], place: int) -> None:
        self.token, self.place = tokens[place], place + 1
        text = shortened("".join(tokens))
        super().__init__(f"the vocabulary has no token '{self.token}' (token {self.place} of '{text}')")
