"""A domain as a third party would write one: short words over a, b, c, and a twin of fixed length.

Words come from a language whose entropy is known. `every` lists all sequences, `log_probabilities` says what a model
thinks of each: together they give exact values to hold an estimate against.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from seqtutor import (
    EOS,
    PAD,
    DataLine,
    Domain,
    Measure,
    SequenceTerm,
    TokenTerm,
    Undecodable,
    UserError,
    Vocabulary,
    option,
    silent,
)
from seqtutor.priors.model import LstmModel

VOCABULARY = Vocabulary("abc")
A, B, C = VOCABULARY.encode("abc")
HEIGHTS = [-1, -1, -1, 0, 1, 2]  # of PAD, BOS, EOS, a, b, c

# The language of the corpus: p(first letter), p(next letter | letter), and the chance that a word ends after a letter.
FIRST = {"a": 0.5, "b": 0.3, "c": 0.2}
NEXT = {"a": {"a": 0.1, "b": 0.7, "c": 0.2}, "b": {"a": 0.4, "c": 0.6}, "c": {"a": 0.8, "b": 0.2}}
END = 0.25


def rises(ids):
    """+1 for every letter that follows its predecessor in the alphabet: ids (B, T) -> (B, T)."""
    steps = np.zeros(ids.shape)
    steps[:, 1:] = (ids[:, 1:] == ids[:, :-1] + 1) & (ids[:, :-1] >= A)
    return steps


def variety(texts):
    """How many different letters a word has."""
    return np.array([float(len(set(text))) for text in texts])


@dataclass(frozen=True)
class Options:
    longest: int = option(4, "Most tokens of a word, its end included.")


class LettersDomain(Domain):
    """Words: not empty, and never with two c in a row."""

    name, summary, Options = "letters", "words over a, b, c", Options
    defaults = {"updates": 3, "samples": 40, "learning_rate": 3e-3}  # noqa: RUF012

    @property
    def vocabulary(self) -> Vocabulary:
        return VOCABULARY

    @property
    def max_length(self) -> int:
        return self.options.longest

    def corpus(self, progress=silent) -> list[str]:
        progress(1, 1)
        return language(2000, self.max_length - 1)

    def read(self, path: Path) -> Iterator[DataLine]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            yield DataLine(f"{path.name}:{number}", line, "" if line else "an empty line")

    def encode(self, text: str) -> list[str]:
        if " " in text:
            raise UserError(f"'{text}' is more than one word")
        return list(text)

    def decode(self, tokens: Sequence[str]) -> str:
        text = "".join(tokens)
        if not text or "cc" in text:
            raise Undecodable(f"'{text}' is no word")
        return text

    def terms(self) -> list[TokenTerm | SequenceTerm]:
        return [
            TokenTerm("rises", 1.0, "a letter after its predecessor", "tests", rises),
            SequenceTerm("variety", 0.5, "different letters", "tests", variety, invalid=-1.0),
        ]

    def measure(self, texts: Sequence[str | None]) -> list[Measure]:
        valid = np.array([text is not None for text in texts], float)
        lengths = np.array([len(text or "") for text in texts], float)
        return [
            Measure("valid", valid, np.ones(len(texts)), "higher", percent=True),
            Measure("letters", lengths, valid),
        ]

    def write(self, texts: Sequence[str], folder: Path) -> list[Path]:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "words.txt").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
        return [folder / "words.txt"]

    def picture(self, text: str) -> str:
        return f'<svg viewBox="0 0 60 20"><text y="15">{text}</text></svg>'

    def vary(self, texts, rng):
        """One letter of each word replaced by a letter."""
        new = [text[:i] + "abc"[rng.integers(3)] + text[i + 1 :] for text in texts for i in [rng.integers(len(text))]]
        return [text for text in dict.fromkeys(new) if "cc" not in text and text not in texts]

    def family(self, text):
        return text[0]


class FixedLettersDomain(LettersDomain):
    """The twin: every word has exactly `longest` letters and no end."""

    name, summary, fixed_length = "fixedletters", "words of one length over a, b, c", True


def language(count: int, longest: int, seed: int = 0) -> list[str]:
    """Words of at most `longest` letters, drawn from the language."""
    return list(_language(count, longest, seed))


@cache
def _language(count: int, longest: int, seed: int) -> list[str]:
    rng, words = random.Random(seed), []
    for _ in range(count):
        (word,) = rng.choices(list(FIRST), list(FIRST.values()))
        while len(word) < longest and rng.random() >= END:
            word += rng.choices(list(NEXT[word[-1]]), list(NEXT[word[-1]].values()))[0]
        words.append(word)
    return words


def language_logp(word: str, longest: int) -> float:
    """Log-probability, nats, of a word in the language of words of at most `longest` letters, its end included."""
    logp = math.log(FIRST[word[0]])
    for before, after in pairwise(word):
        logp += math.log(1 - END) + math.log(NEXT[before][after])
    return logp if len(word) == longest else logp + math.log(END)


def new_model(*, seed: int = 0, hidden: int = 16, spread: float = 2.0, vocabulary: Vocabulary = VOCABULARY, **shape):
    """A small random model whose distribution is far from uniform."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LstmModel(vocabulary, embedding=8, hidden=hidden, **shape)
        torch.nn.init.normal_(model.head.weight, std=spread)
    return model.eval()


def every(length: int, *, fixed_length: bool = False) -> Tensor:
    """All sequences of at most `length` tokens, (N, length) as in a Rollout: first those that end."""
    letters = (A, B, C)
    cut = list(product(letters, repeat=length))
    ended = [(*word, EOS) for n in range(length) for word in product(letters, repeat=n)]
    rows = cut if fixed_length else ended + cut
    return torch.tensor([row + (PAD,) * (length - len(row)) for row in rows])


def log_probabilities(model: torch.nn.Module, tokens: Tensor) -> Tensor:
    """Log-probability, nats, of every whole sequence (N, T) -> (N,) float64, one token after the other."""
    with torch.no_grad():
        rows = model(tokens).double()
    total = torch.zeros(len(tokens), dtype=torch.float64)
    for t in range(tokens.shape[1]):
        step = rows[torch.arange(len(tokens)), t, tokens[:, t]]
        total += torch.where(tokens[:, t] != PAD, step, 0.0)
    return total


def ids(*words: str, end: bool = True) -> np.ndarray:
    """Words as token ids (B, T): EOS behind each (unless not `end`), then PAD."""
    rows = [VOCABULARY.encode(word) + [EOS] * end for word in words]
    width = max(map(len, rows))
    return np.array([row + [PAD] * (width - len(row)) for row in rows])
