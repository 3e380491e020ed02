"""A small plugin with every hook of its own: rings of beads. test_testing_kit.py breaks it, a line at a time."""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqtutor import (
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

VOCABULARY = Vocabulary("rgb")
RED = VOCABULARY.encode("r")


def ring(text):
    """The first of all rotations in the alphabet: a ring has no beginning."""
    return min(text[i:] + text[:i] for i in range(len(text)))


def red(ids):
    return np.isin(ids, RED).astype(float)


def beads(texts):
    return np.array([float(len(text)) for text in texts])


@dataclass(frozen=True)
class Options:
    longest: int = option(8, "Most beads of a ring.")
    metal: str = option("tin", "What the wire is made of.", choices=("tin", "gold"))


class BeadsDomain(Domain):
    name = "beads"
    summary = "rings of red, green and blue beads"
    Options = Options
    defaults = {"temperature": 0.5}  # noqa: RUF012
    vocabulary = VOCABULARY

    @property
    def max_length(self):
        return self.options.longest + 1

    def corpus(self, progress=silent):
        rng = random.Random(0)
        return [ring("".join(rng.choices("rgb", k=rng.randint(3, 8)))) for _ in range(200)]

    def read(self, path):
        for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
            good = set(line) <= set("rgb") and line
            yield DataLine(f"{number}", ring(line) if good else None, "" if good else "no ring")

    def encode(self, text):
        if not set(text) <= set("rgb"):
            raise UserError(f"'{text}' has other beads")
        return list(text)

    def decode(self, tokens):
        if not tokens:
            raise Undecodable("a ring has a bead")
        return ring("".join(tokens))

    def terms(self):
        return [
            TokenTerm("red", 1.0, "+1 for every red bead", "tests", red),
            SequenceTerm("beads", 0.1, "how many beads", "tests", beads),
        ]

    def measure(self, texts):
        lengths = np.array([len(text or "") for text in texts], float)
        reds = np.array([(text or "").count("r") for text in texts], float)
        return [Measure("size", lengths, lengths > 0), Measure("reds", reds, lengths, percent=True)]

    def picture(self, text):
        return f'<svg viewBox="0 0 {9 * len(text)} 20"><text y="15">{text}</text></svg>'

    def notation(self, text):
        return self.picture(text).replace("</text>", "!</text>")

    def caption(self, text):
        return f"{len(text)} beads"

    def parts(self, text):
        return [(f"bead {i}", 1) for i in range(len(text))]

    def coloured(self, text, paid):
        return self.picture(text)

    def notes(self, text):
        return [(i / 2, 0.5, 60 + "rgb".index(bead)) for i, bead in enumerate(text)]

    def write(self, texts, folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "rings.txt").write_text("\n".join(texts))
        return [folder / "rings.txt"]

    def vary(self, texts, rng):
        new = [ring(text[:-1] + "rgb"[rng.integers(3)]) for text in texts]
        return [text for text in dict.fromkeys(new) if text not in texts]

    def rewrite(self, text, rng):
        i = int(rng.integers(len(text)))
        return list(text[i:] + text[:i])

    def family(self, text):
        return text[:2]

    def commonest(self, texts):
        (bead,) = max("rgb", key="".join(texts).count)
        return [text.count(bead) / len(text) for text in texts]

    def in_corpus(self, texts):
        known = set(self.corpus())
        return [text in known for text in texts]

    def prepared(self, text):
        return ring(text.strip("0"))

    def lessons(self, text):
        return [list(text), list(text[1:] + text[:1])]

    def stated(self, path):
        first = Path(path).read_text(encoding="utf-8")[:4]
        return {"metal": "gold"} if first == "gold" else {}
