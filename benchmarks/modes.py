"""How do real tunes of each mode begin and end? python benchmarks/modes.py [METRE]

Of the corpus' tunes, by the mode that their key line states, the phrases of four bars: how many there are, and the
figures of the tonic, each with half of its 95 % interval over other tunes.
"""

from __future__ import annotations

import sys

from seqtutor_music import corpus, measures
from seqtutor_music.domain import MusicDomain, MusicOptions
from seqtutor_music.keys import FIFTHS, Key, text_of
from seqtutor_music.metre import COMMON, METRES
from seqtutor_music.real import figures, of_tunes

LEAST = 20  # tunes, of fewer nothing is told


def main(arguments: list[str]) -> None:
    """Print a row a mode."""
    metre = METRES[arguments[0]] if arguments else COMMON
    print(f"| {metre.name} | tunes | phrases | end on the tonic | begin on it | notes in its chord |")
    print("|---" * 6 + "|")
    for key in [Key(0, mode) for mode in FIFTHS if mode != "major"]:
        tunes = corpus.in_mode(key.mode, metre)
        phrases = of_tunes(MusicDomain(MusicOptions(metre=metre.name, tonic=text_of(key))), tunes)
        if len(tunes) >= LEAST:
            begin, chord, end = measures.of_the_tonic(key.tonics)
            rows = figures(phrases, metre, key)
            told = [f"{rows[name]['mean']:.2f} ± {rows[name]['halfwidth']:.2f}" for name in (end, begin, chord)]
            print(f"| {key.mode}, {metre.name} | {len(tunes)} | {len(phrases)} | {' | '.join(told)} |")


if __name__ == "__main__":
    main(sys.argv[1:])
