"""What a musician expects to read of a set of melodies: the rows of the paper's Table 1, and what real tunes have.

As in the paper, the shares of "notes" in Table 1 are shares of all sixteenth events, holds and rests too; melodies are
shares of melodies. All other rows count what is struck. What the corpus has of each stands in `real.json`;
`python -m seqtutor_music.real` makes it anew: of phrases of four bars, and of whole sections of eight.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from seqtutor import Measure
from seqtutor.arrays import Flags, Values
from seqtutor.measure import Better
from seqtutor_music import context, corpus, form, grid, line, paper, rhythm
from seqtutor_music.copies import copied
from seqtutor_music.events import BEAT, FIRST_PITCH, NAMES, OFF, VOCABULARY, Ids
from seqtutor_music.keys import BOTH, chord, suffix
from seqtutor_music.metre import COMMON, Metre
from seqtutor_music.triplets import heard, in_three

SHIPPED, BARS = Path(__file__).parent, (4, 8)
QUARTER = 4
ENDINGS = ("last note on the tonic", "last note a quarter or longer", "last note on an odd sixteenth")
COPIES = ("distinct melodies", "melodies that quote the corpus")  # of which the corpus itself has nothing to say
SET, COMMONEST = 100, 10  # melodies among which the commonest half bars are looked for, and how many of these


def measure(ids: Ids, metre: Metre = COMMON, tonics: Sequence[int] = BOTH) -> list[Measure]:
    """The figures of N melodies (N, T); a row of padding is no melody and weighs nothing.

    What real tunes have of the tonic is held only against melodies of their mode.

    >>> for m in measure(batch("C4 - E4 - G4 - E4 - C4 - - -", "E4 - F#4 - E4 - - - . - - -"))[4:7]:
    ...     print(m.name, round(m.mean, 3))
    notes not in key 0.042
    melodies starting with the tonic 0.5
    leaps resolved nan
    """
    events = ids if ids.size else np.zeros((len(ids), 1), dtype=np.int64)  # so that there is a last step
    ids = grid.canonical(heard(events))
    known = real(ids.shape[1] // metre.bar, metre, tonics)
    if 0 < len(ids) < SET:  # the fewer there are, the more of their half bars are among the commonest
        known = {name: row for name, row in known.items() if not name.startswith("commonest")}
    found = [*_table_1(ids, tonics), *_likeness(ids, metre, tonics), *_endings(ids, tonics), *_others(ids, metre)]
    if metre.triplets:
        found.append(_share("beats in triplets", in_three(events), _sum(ids >= OFF) / BEAT, "near"))
    return [_held_against(one, known.get(one.name)) for one in found]


def _held_against(figure: Measure, row: Mapping[str, float] | None) -> Measure:
    """The figure beside what real tunes have; where that is not known, nobody can say what it should be near to."""
    if row is not None:
        return replace(figure, reference=row["mean"], reference_halfwidth=row.get("halfwidth"))
    return replace(figure, better="neither", reference=None) if figure.better == "near" else figure


def _table_1(ids: Ids, tonics: Sequence[int]) -> list[Measure]:
    """The rows of the paper, but autocorrelation is of pitches, the tonic in any octave, and leaps are all leaps."""
    events = _sum(ids >= OFF)
    whole = _whole(ids)
    r = line.pitch_correlation(ids)[:, :, -1]  # (3, N)
    varied = (_range(ids) > 0).astype(np.float64)
    leaps = np.abs(grid.moves(ids)) >= context.LEAP
    opens = (ids[:, :1] >= FIRST_PITCH) & np.isin(context.pitch_class(ids[:, :1]), tonics)
    return [
        _share("notes excessively repeated", paper.repeating(ids) < 0, events, "lower"),
        *(
            _figure(f"mean autocorrelation, lag {lag}", r[i] * varied, varied, "near", summary="of the pitches struck")
            for i, lag in enumerate(context.LAGS)
        ),
        _share("notes not in key", paper.key(ids) < 0, events, "lower"),
        _share(
            "melodies starting with the tonic",
            opens,
            whole,
            "higher",
            f"{' or '.join(NAMES[one] for one in tonics)}, in any octave",
        ),
        _share("leaps resolved", context.leaps(ids).resolved, _sum(leaps), "higher", "of all leaps of a fifth or more"),
        _share("melodies with a unique highest note", context.highest_is_unique(ids)[:, -1:], whole, "higher"),
        _share("melodies with a unique lowest note", context.lowest_is_unique(ids)[:, -1:], whole, "higher"),
        _share("notes in a motif", paper.motif(ids) > 0, events, "near", "noise has more than real tunes"),
        _share("notes in a repeated motif", paper.repeated_motif(ids) > 0, events, "higher"),
    ]


def _likeness(ids: Ids, metre: Metre, tonics: Sequence[int]) -> list[Measure]:
    """Rhythm, repetition and motion: as in real tunes is best."""
    struck, semitones = context.pitched(ids), np.abs(grid.moves(ids))
    strikes, moves = _sum(struck), _sum(grid.moved(ids))
    steps, leaps = (semitones == 1) | (semitones == 2), semitones >= context.LEAP
    within = struck & np.isin(context.pitch_class(ids), chord(tonics))
    pairs, same = _pairs_of_bars(ids, metre)
    told, again = grid.cells(struck, metre.strong).sum(axis=2) >= 2, form.come_back(ids, metre)
    timed = (strikes > 1).astype(np.float64)
    lengths = "bits, of the times from note to note in a melody"
    sets = f"the {COMMONEST} commonest with two notes or more in each {SET} melodies, of all such"
    dots = "divided 3 + 1" + " + 2" * (metre.beat == 6)
    return [
        _share("onsets on odd sixteenths", rhythm.odd(ids), strikes, "near"),
        _share("dotted beats", rhythm.is_dotted(ids, metre), _sum(ids >= OFF) / metre.beat, "near", dots),
        _figure("rhythm entropy", rhythm.entropy(ids, metre)[:, -1] * timed, timed, "near", summary=lengths),
        _figure("pairs of bars in one rhythm", same, pairs, "near", percent=True),
        _share("first bar back at the half", form.takes_up(ids, metre)[:, None], _whole(ids), "near", "note for note"),
        _share(
            f"{metre.part}s that come back", again & told, _sum(told), "near", "note for note, of those with two notes"
        ),
        _figure(f"commonest {metre.part}s", *_commonest(ids, told, metre), "near", percent=True, summary=sets),
        _share("stepwise motion", steps, moves, "near", "of all moves from note to note"),
        _share("leaps of a fifth or more", leaps, moves, "near", "of all moves from note to note"),
        _share(of_chord(tonics), within, strikes, "near", "the notes of the tonic chord, among all"),
    ]


def of_chord(tonics: Sequence[int] = BOTH) -> str:
    """The name of the row that counts the notes of the tonic chord.

    >>> of_chord(), of_chord((2,))
    ('C, E and G', 'D, F and A')
    """
    return "{}, {} and {}".format(*(NAMES[one] for one in chord(tonics)))


def of_the_tonic(tonics: Sequence[int] = BOTH) -> tuple[str, ...]:
    """The names of the rows that speak of the tonic."""
    return "melodies starting with the tonic", of_chord(tonics), ENDINGS[0]


def _endings(ids: Ids, tonics: Sequence[int]) -> list[Measure]:
    """How the last note stands."""
    tonic, quarter, odd = ENDINGS
    sounded = _sum(context.pitched(ids)) > 0
    whole = _whole(ids)
    which = "C; A where A sounds longer than C before" if len(tonics) > 1 else NAMES[tonics[0]]
    long = grid.sounding_length(ids)[:, -1:] >= QUARTER
    return [
        _share(tonic, grid.on_tonic(ids, tonics)[:, -1:], whole, "higher", which),
        _share(quarter, long, whole, "higher"),
        _share(odd, (grid.onset(ids)[:, -1:] % 2 == 1) & sounded[:, None], whole, "lower"),
    ]


def _others(ids: Ids, metre: Metre) -> list[Measure]:
    """How many and how far; copies, of each other and of the corpus."""
    whole, strikes = _whole(ids), _sum(context.pitched(ids))
    struck = f"pitches struck in {metre.bar} steps"
    first, quoted = _first_of_its_kind(ids), copied(ids, corpus.known(metre), metre.copy)[:, None]
    return [
        replace(_share("distinct melodies", first[:, None] & (whole > 0)[:, None], whole, "higher"), of_set=True),
        _share("melodies that quote the corpus", quoted, whole, "lower"),
        _figure("notes per bar", strikes, _sum(ids >= OFF) / metre.bar, "near", summary=struck),
        _figure("range in semitones", _range(ids), (strikes > 0).astype(np.float64), "near"),
    ]


def _share(name: str, counted: Flags, of: Values, better: Better, summary: str = "") -> Measure:
    return _figure(name, _sum(counted), of, better, percent=True, summary=summary)


def _figure(
    name: str, values: Values, weights: Values, better: Better, *, percent: bool = False, summary: str = ""
) -> Measure:
    reference = 0.0 if better == "near" else None  # until `measure` knows better
    return Measure(name, values, weights, better, percent, summary, reference=reference)


def kept(metre: Metre, tonics: Sequence[int] = BOTH) -> Path:
    """Where the figures of the corpus of a metre stand; of a mode those that speak of its tonic."""
    return SHIPPED / f"real{metre.kind}{suffix(tonics)}.json"


def knows(metre: Metre, tonics: Sequence[int]) -> bool:
    """Whether real tunes have told what they do with the tonic of a mode; then there is a prior of it, too."""
    return kept(metre, tonics).is_file()


def real(bars: int, metre: Metre = COMMON, tonics: Sequence[int] = BOTH) -> dict[str, dict[str, float]]:
    """What the corpus has of each figure: the mean with half of its 95 % interval, and `low` and `high`, between which
    98 of 100 of its melodies lie.

    Of four bars, or of eight, whichever is nearer: a whole section returns to its beginning, where a phrase does not.
    What speaks of the tonic is of the tunes of the mode, all else of all tunes of the metre.
    """
    every = _nearest(kept(metre), bars)
    if tuple(tonics) == BOTH:
        return every
    others = {name: row for name, row in every.items() if name not in of_the_tonic()}
    return others | _nearest(kept(metre, tonics), bars)


def _nearest(path: Path, bars: int) -> dict[str, dict[str, float]]:
    known = by_bars(path)
    return known[min(known, key=lambda one: abs(one - bars))] if known else {}


@cache
def by_bars(path: Path) -> dict[int, dict[str, Any]]:
    """What a file says of melodies of so many bars, by name; nothing where there is none: nobody has counted yet."""
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {int(bars): told for bars, told in found.items()}


def _sum(flags: Flags) -> Values:
    total: Values = flags.sum(axis=1).astype(np.float64)
    return total


def _whole(ids: Ids) -> Values:
    """(N,): 1 for a melody, 0 for a row of padding."""
    return (_sum(ids >= OFF) > 0).astype(np.float64)


def _pairs_of_bars(ids: Ids, metre: Metre) -> tuple[Values, Values]:
    """(N,) twice: pairs of whole bars, and those of them whose notes stand at the same places."""
    bars, n = grid.cells(context.pitched(ids), metre.bar), _sum(ids >= OFF) // metre.bar
    same = np.zeros(len(ids))
    for later in range(1, bars.shape[1]):
        alike = (bars[:, later, None] == bars[:, :later]).all(axis=2).sum(axis=1)
        same += alike * (later < n)
    return n * (n - 1) / 2, same


def _commonest(ids: Ids, told: Flags, metre: Metre) -> tuple[Values, Values]:
    """(N,) twice: half bars that are among the commonest of their set, and all; of those that are `told` (N, cells)."""
    cells = grid.cells(ids, metre.strong)
    common = np.zeros(told.shape, dtype=bool)
    for start in range(0, len(ids), SET):
        these = slice(start, start + SET)
        _, kind, counts = np.unique(cells[these][told[these]], axis=0, return_inverse=True, return_counts=True)
        common[these][told[these]] = np.isin(kind.reshape(-1), np.argsort(-counts, kind="stable")[:COMMONEST])
    return _sum(common), _sum(told)


def commonest(texts: Sequence[str], metre: Metre = COMMON) -> list[float]:
    """Of each melody the share of its half bars that are among the ten commonest of all; 0 where it has none.

    A model that has stopped inventing uses a few again and again.

    >>> cell, other = "C4 - - - D4 - - -", "E4 - F4 - G4 - - -"
    >>> commonest([f"{cell} {cell}", f"{cell} {other}", "C4 - -"])
    [1.0, 1.0, 0.0]
    """
    half, melodies = metre.strong, [text.split() for text in texts]
    cells = [[" ".join(words[at : at + half]) for at in range(0, len(words) - half + 1, half)] for words in melodies]
    counts = Counter(itertools.chain.from_iterable(cells))
    common = sorted(counts, key=lambda cell: (-counts[cell], cell))[:COMMONEST]
    return [sum(cell in common for cell in own) / max(len(own), 1) for own in cells]


def _range(ids: Ids) -> Values:
    """(N,): from the lowest to the highest pitch; 0 where there is none."""
    highest = ids.max(axis=1, initial=0)
    lowest = np.where(context.pitched(ids), ids, len(VOCABULARY)).min(axis=1, initial=len(VOCABULARY))
    return np.asarray(np.maximum(highest - lowest, 0), dtype=np.float64)


def _first_of_its_kind(ids: Ids) -> Flags:
    """(N,): whether no earlier row is the same."""
    first = np.zeros(len(ids), dtype=bool)
    first[np.unique(ids, axis=0, return_index=True)[1]] = True
    return first
