"""How do real tunes of each mode begin and end? python benchmarks/modes.py [METRE]

Of the corpus' tunes, by the mode that their key line states, the phrases of four bars, none of them twice: how many
there are, and the figures of the tonic, each with half of its 95 % interval.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from contextlib import suppress

from seqtutor import UserError
from seqtutor.priors.encoding import padded
from seqtutor_music import corpus, measures
from seqtutor_music.abc import read_tune
from seqtutor_music.events import VOCABULARY, join
from seqtutor_music.keys import FIFTHS, Key
from seqtutor_music.metre import COMMON, METRES, Metre
from seqtutor_music.phrases import phrases
from seqtutor_music.scores import passages

BARS = 4


def by_mode(metre: Metre) -> tuple[dict[str, int], dict[str, list[list[str]]]]:
    """How many tunes of a metre state each mode, and their phrases."""
    tunes: defaultdict[str, int] = defaultdict(int)
    found: defaultdict[str, dict[tuple[str, ...], None]] = defaultdict(dict)
    for source in corpus.abc_texts():
        if not corpus.states(source, metre):
            continue
        with suppress(UserError):  # what cannot be read is none of the corpus either
            score = read_tune(source)
            text = join(passages(score, metre))
            for mode in {key.mode for key in score.keys[:1]}:
                tunes[mode] += 1
                found[mode] |= dict.fromkeys(map(tuple, phrases(text, BARS, 0, metre)))
    return tunes, {mode: [list(phrase) for phrase in these] for mode, these in found.items()}


def main(arguments: list[str]) -> None:
    """Print a row a mode."""
    metre = METRES[arguments[0]] if arguments else COMMON
    tunes, found = by_mode(metre)
    print(f"| {metre.name} | tunes | phrases | end on the tonic | begin on it | notes in its chord |")
    print("|---" * 6 + "|")
    for mode in FIFTHS:
        if mode in found:
            tonics = (Key(0, mode).tonic,)
            rows = measures.measure(padded([VOCABULARY.encode(phrase) for phrase in found[mode]]), metre, tonics)
            named = {row.name: f"{row.mean:.3f} ± {row.halfwidth:.3f}" for row in rows}
            told = measures.ENDINGS[0], "melodies starting with the tonic", measures.of_chord(tonics)
            print(f"| {mode} | {tunes[mode]} | {len(found[mode])} |" + "".join(f" {named[name]} |" for name in told))


if __name__ == "__main__":
    main(sys.argv[1:])
