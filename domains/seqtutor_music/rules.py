"""The rules on offer and their weights: a family of rules a preset, ours or the paper's.

No rule of one family has the name of a rule of the other, but `key`, which is the same. Weights are nats of a melody
at temperature 1. How ours came about, each with its reason: docs/music-figures.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from inspect import signature
from typing import NamedTuple

from seqtutor import TokenTerm
from seqtutor_music import corpus, form, likeness, line, measures, paper, rhythm
from seqtutor_music.context import Values
from seqtutor_music.events import Ids
from seqtutor_music.harmony import Chord, chord_tones
from seqtutor_music.keys import BOTH, HOME, Key
from seqtutor_music.metre import COMMON, Metre
from seqtutor_music.triplets import as_heard


class Rule(NamedTuple):
    """A rule with its weight, what a musician would say of it, and where it comes from."""

    values: Callable[..., Values]
    weight: float
    summary: str
    source: str
    hears: bool = False  # it knows by itself what a triplet sounds like

    def of(self, metre: Metre, tonics: Sequence[int] = BOTH) -> Callable[[Ids], Values]:
        """The rule in a metre and on a tonic, as far as it speaks of them."""
        known = {"metre": metre, "tonics": tonics}
        told = {name: known[name] for name in signature(self.values).parameters if name in known}
        values = partial(self.values, **told) if told else self.values
        return as_heard(values) if metre.triplets and not self.hears else values


GAULDIN = "Jaques et al. 2017, section 4.1, after Gauldin; in the words of the paper, on what sounds"
BOOKS = "the shipped books: what real tunes do"
FORM = "the period, question and answer: Caplin 1998, Classical Form"

OURS: tuple[Rule, ...] = (
    Rule(paper.key, 0.3, "each pitch outside the key costs 1", GAULDIN),
    Rule(form.opening, 0, "opening on a tonic, in any octave, earns 1; on another note of its chord .5", GAULDIN),
    Rule(form.cadence, 1.5, "ending on the tonic earns 1; led to by a step or the fifth .5 more", GAULDIN),
    Rule(form.repose, 0.1, "a last note on a strong beat earns 1, a long one 1 more; an odd sixteenth costs", GAULDIN),
    Rule(form.question, 0.5, "a first half that comes to rest earns .5; not on the tonic .5 more", FORM),
    Rule(form.answer, 0.5, "a second half that begins like the first and ends otherwise earns up to 1", FORM),
    Rule(form.imitation, 0.25, "a motif that comes back, moved or inverted, earns 1; three at most", GAULDIN),
    Rule(form.ideas, 2, "each pitch that two bars lack to three costs 1", GAULDIN),
    Rule(form.variety, 5, "half bars that repeat earlier ones, where they are over half of all, cost", BOOKS),
    Rule(
        rhythm.shared_rhythm,
        0,
        "bars in the rhythm of an earlier one earn, and 2 once they are half of all; an even one counts a quarter",
        BOOKS,
    ),
    Rule(rhythm.accents, 0.7, "too many notes on odd sixteenths, and bars without a first beat, cost", BOOKS),
    Rule(rhythm.dotted, 0, "dotted beats earn, and 1 once there are as many as bars", BOOKS),
    Rule(rhythm.pulse, 1.5, "too many different note lengths, or only one, cost", BOOKS),
    Rule(rhythm.activity, 5, "too few and too many notes a bar cost", BOOKS),
    Rule(rhythm.pauses, 0.5, "each rest after the second costs 1", BOOKS),
    Rule(line.steps, 2, "too few and too many steps among the moves cost", GAULDIN),
    Rule(line.awkward, 0.3, "a tritone, a seventh or more than an octave costs 1", GAULDIN),
    Rule(
        line.recovery, 0.1, "a leap of a fifth earns 3 once it is filled; the third and each after it costs 1", GAULDIN
    ),
    Rule(line.compass, 0.1, "a line that goes too far, or nowhere, costs", BOOKS),
    Rule(line.triads, 1.2, "too many and too few notes of the tonic chord cost", BOOKS),
    Rule(
        line.to_and_fro, 0.8, "pitches that correlate with those before more or less than most tunes' do cost", GAULDIN
    ),
    Rule(line.monotony, 0.5, "each stroke of one pitch after the fourth in a row costs 1", GAULDIN),
    Rule(line.climax, 0.15, "a line with one highest note earns 1, with one lowest 1", GAULDIN),
)
THEIRS = tuple(Rule(values, 1.0, summary, paper.SOURCE) for values, summary in paper.RULES)
QUOTING = Rule(corpus.quoting, 2.0, "each event that completes two bars in a row of the corpus costs 1", "")
LIKENESS = Rule(
    likeness.likeness, 1.0, "figures that no rule is to move stay where real phrases have them", BOOKS, hears=True
)
CHORDS = "a note of the chord on strong beats, and where a chord begins, earns 1; another note costs 1"
# Weights of ours that differ in a mode that has no prior of its own: on its tonic that of major ends in one melody of
# fifteen, tunes in three of four.
OFF_MAJOR = {"cadence": 4.0, "opening": 1.0}
PRESETS: Mapping[str, tuple[Rule, ...]] = {
    "default": (*OURS, QUOTING, LIKENESS),
    "paper": (*THEIRS, QUOTING._replace(weight=0.0)),
}


def terms(preset: str, progression: Sequence[Chord] = (), key: Key = HOME, metre: Metre = COMMON) -> list[TokenTerm]:
    """The rules of a preset in a key; with a progression, that of its chords, too."""
    rules = []
    for rule in PRESETS[preset]:
        name = rule.values.__name__
        weight = rule.weight if measures.knows(metre, key.tonics) else OFF_MAJOR.get(name, rule.weight)
        if of_figures := rule is LIKENESS:
            weight *= likeness.kept(metre, key.tonics).is_file()
        values, of_corpus = rule.of(metre, key.tonics), rule.values is corpus.quoting
        rules.append(TokenTerm(name, weight, rule.summary, rule.source, values, of_figures, of_corpus))
    if progression:
        fits = chord_tones(progression, key.shift, metre)
        rules.append(TokenTerm("chord_tones", 2.0, CHORDS, "", as_heard(fits) if metre.triplets else fits))
    return rules
