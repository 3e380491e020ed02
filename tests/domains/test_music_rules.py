"""Our rules: what must not matter to any of them, what can be foreseen, and that no absurdity is paid like a tune."""

import re
from pathlib import Path

import climb
import numpy as np
import pytest
from tunes import TUNES, absurd, events

from seqtutor import EOS, PAD
from seqtutor_music import MusicDomain, form, line, paper, rhythm, rules
from seqtutor_music.events import FIRST_PITCH, HOLD, OFF, VOCABULARY, batch

ALL = [rule.values for rule in rules.OURS]
C4 = VOCABULARY.encode(["C4"])[0]
named = pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.__name__)
all_named = pytest.mark.parametrize("rule", [*ALL, rules.LIKENESS.values], ids=lambda rule: rule.__name__)


ABSURD = absurd(np.random.default_rng(0))
COUNTER_EXAMPLES = {
    paper.key: "random events",
    form.opening: "off the beat",
    form.cadence: "tritones",
    form.repose: "a trill",
    form.question: "random sixteenths",
    form.answer: "random sixteenths",
    form.imitation: "random sixteenths",
    form.ideas: "one note held",
    form.variety: "one cell",
    rhythm.shared_rhythm: "random events",
    rhythm.accents: "dotted triads",
    rhythm.dotted: "Alberti bass",
    rhythm.pulse: "a trill",
    rhythm.activity: "one note held",
    rhythm.pauses: "stammering",
    line.steps: "octaves",
    line.awkward: "tritones",
    line.recovery: "octaves",
    line.compass: "a trill",
    line.triads: "dotted triads",
    line.to_and_fro: "Alberti bass",
    line.monotony: "one note struck",
    line.climax: "one cell",
}
EXAMPLES = {rhythm.dotted: "Battle Hymn", line.climax: "Jingle Bells"}  # of the others, "Ode to Joy"


def melodies(seed, shape=(60, 64)):
    """Random melodies with many holds and bars that come back, so that every rule has something to say."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(C4 - 5, C4 + 12, shape)
    ids = np.where(rng.random(shape) < 0.45, HOLD, np.where(rng.random(shape) < 0.1, OFF, ids))
    if shape[1] >= 32:
        ids[::3, 16:32] = ids[::3, :16]
        ids[1::3, ::2] = ids[1::3, :1]
    return ids


def reward(text):
    ids = batch(text)
    return sum(rule.weight * rule.values(ids).sum() for rule in (*rules.OURS, rules.LIKENESS))


@all_named
def test_what_a_rule_pays_is_known_when_it_pays_it(rule):
    """The end of a melody is known from its length; nothing else of what comes later may matter."""
    ids = melodies(1)
    for cut in (7, 16, 40, 55):
        other = ids.copy()
        other[:, cut:] = melodies(2)[:, cut:]
        np.testing.assert_allclose(rule(other)[:, :cut], rule(ids)[:, :cut], atol=1e-9)


@all_named
def test_order_and_padding_do_not_matter(rule):
    ids = melodies(3, (20, 40))
    plain = rule(ids)
    np.testing.assert_allclose(rule(ids[::-1]), plain[::-1], atol=1e-12)
    padded = np.full((20, 70), PAD)
    padded[:, :40] = ids
    padded[::2, 40] = EOS
    np.testing.assert_allclose(rule(padded)[:, :40], plain, atol=1e-9)
    assert not rule(padded)[:, 40:].any()
    assert plain.dtype == np.float64


@all_named
@pytest.mark.parametrize("shape", [(0, 64), (3, 1), (3, 5), (3, 8), (3, 17), (3, 100)])
def test_any_shape_will_do(rule, shape):
    assert rule(melodies(4, shape)).shape == shape


@pytest.mark.parametrize("rule", [r for r in ALL if r is not line.compass], ids=lambda rule: rule.__name__)
def test_an_octave_higher_is_the_same(rule):
    ids = melodies(5)
    higher = np.where(ids >= FIRST_PITCH, ids + 12, ids)
    np.testing.assert_allclose(rule(higher), rule(ids), atol=1e-9)


@pytest.mark.parametrize("rule", [line.to_and_fro, line.steps, line.awkward, line.recovery, line.climax, line.monotony])
def test_a_rule_of_pitch_does_not_care_about_the_rhythm(rule):
    ids = melodies(6, (30, 32))
    slower = np.full((30, 64), HOLD)
    slower[:, ::2] = ids
    np.testing.assert_allclose(rule(slower)[:, ::2], rule(ids), atol=1e-9)


@named
def test_each_rule_knows_an_absurdity_from_a_tune(rule):
    tune = events(TUNES[EXAMPLES.get(rule, "Ode to Joy")])
    absurdity = ABSURD[COUNTER_EXAMPLES[rule]]
    assert rule(batch(absurdity)).sum() < rule(batch(tune)).sum() - 0.2


def test_terms_take_their_weights_from_the_preset():
    *ours, quoting, likeness = MusicDomain().terms()
    assert (quoting.name, quoting.weight) == ("quoting", 2)
    assert (likeness.name, likeness.weight, likeness.of_figures) == ("likeness", 1, True)
    assert [term.name for term in ours] == [rule.values.__name__ for rule in rules.OURS]
    assert all(0 <= term.weight <= 5 and term.summary and term.source for term in ours)


def test_no_name_means_two_rules():
    ours, theirs = ({term.name: term.values for term in rules.terms(preset)} for preset in ("default", "paper"))
    assert set(ours) & set(theirs) == {"key", "quoting"}
    assert ours["key"] is theirs["key"]


@pytest.mark.parametrize("name", TUNES)
def test_a_tune_is_worth_more_than_any_absurdity(name):
    most, absurdity = max((reward(text), absurdity) for absurdity, text in ABSURD.items())
    assert reward(events(TUNES[name])) > most + 2, absurdity


def test_phrases_are_compared_as_one_hears_them():
    bar, same_rhythm = "C4 - - - D4 - E4 - ", "F4 - - - A4 - C4 - "
    rest = "- " * 8
    assert rhythm.shared_rhythm(batch(bar + rest + same_rhythm + rest)).sum() == 2
    assert form.imitation(batch(bar + rest + same_rhythm + rest)).sum() == 0


def test_rhythm_is_worth_as_much_in_eight_bars_as_in_four():
    """Else one weight would mean two things."""
    dots, even = "C4 - - D4 E4 - - F4 G4 - - - - - - - ", "C4 - D4 - E4 - F4 - " * 2
    for bars, worth in ((dots + even, 1.0), (dots + 3 * even, 0.5)):
        assert rhythm.dotted(batch(bars)).sum() == rhythm.dotted(batch(2 * bars)).sum() == worth
    assert rhythm.shared_rhythm(batch(4 * dots)).sum() == rhythm.shared_rhythm(batch(8 * dots)).sum() == 2


@pytest.mark.parametrize("start", ["one note held", "tritones", "dotted triads"])
def test_a_hill_climb_ends_in_what_is_like_a_tune(start):
    """Eight thousand proposals here, where few climbs still repeat half of themselves; benchmarks/climb.py goes on."""
    found = climb.climb(batch(ABSURD[start])[0], 8000, np.random.default_rng(0))
    assert climb.worth(found[None])[0] > max(reward(text) for text in ABSURD.values()) + 5
    assert climb.unlike_real(found) == []


@named
def test_what_one_rule_alone_likes_best_is_worth_less_than_a_tune(rule, monkeypatch):
    """A melody climbed for one rule from random events stays absurd, and the others together know it.

    The whole reward knows it, too, of all tunes but one, in whose first bars the rules find little.
    """
    whole = climb.worth
    monkeypatch.setattr(climb, "worth", lambda ids, _: rule(ids).sum(axis=1))
    winner = climb.climb(batch(ABSURD["random events"])[0], 800, np.random.default_rng(0))
    held = rules.LIKENESS.values
    tunes = sorted(reward(events(bars)) for bars in TUNES.values())
    alone = min(reward(events(bars)) - held(batch(events(bars))).sum() for bars in TUNES.values())
    assert whole(winner[None])[0] - held(winner[None]).sum() < alone
    assert whole(winner[None])[0] < tunes[1]


def test_the_documented_weights_are_those_that_are_paid():
    text = (Path(__file__).parents[2] / "docs" / "music-figures.md").read_text(encoding="utf-8")
    told = {name: float(weight) for name, weight in re.findall(r"(?m)^\| `(\w+)` \|.*\| ([\d.]+) \|[^|]*\|$", text)}
    assert told == {rule.values.__name__: rule.weight for rule in rules.PRESETS["default"]}
