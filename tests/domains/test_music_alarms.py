"""The alarm for cells: melodies that come to consist of a few half bars are told, though no two of them are alike."""

import random

import numpy as np
import pytest

from seqtutor.rewards.reward import Scores
from seqtutor.runs.alarms import START, WINDOW, Watch
from seqtutor.runs.metrics import shares
from seqtutor_music import MusicDomain

MUSIC = MusicDomain()
CELLS = ("C4 - - E4 C4 - - E4", "G4 - - E4 C4 - - C4")
LEFT = ["C4", "D4", "E4", "F4", "G4", "A4", "-", "-", "-", "-", "."]


def cell(chance):
    return " ".join(chance.choice(LEFT[:6]) if i == 0 else chance.choice(LEFT) for i in range(8))


def melodies(share, chance, count=64, halves=8):
    """Melodies of which `share` of the half bars are of CELLS, and the others free."""
    made = [[chance.choice(CELLS) if chance.random() < share else cell(chance) for _ in range(halves)]
            for _ in range(count)]  # fmt: skip
    return [" ".join(one) for one in made]


def raised(share):
    """The alarms of a run whose melodies come to be made of CELLS, as its updates would tell them."""
    chance, watch, found = random.Random(0), Watch(MUSIC), []
    for update in range(1, START + WINDOW + 1):
        texts = melodies(share if update > START else 0.05, chance)
        row = {"update": update, "reward": update / 2, "valid": 1.0, "distinct": 1.0, "entropy": 1.0}
        totals = np.array([[update / 2 + i % 2] for i in range(len(texts))])
        flags = np.ones(len(texts), bool), np.zeros(len(texts), bool)
        scores = Scores(texts, totals[..., None], totals, *flags, np.ones(len(texts)), {})
        found += watch.look(row | shares(MUSIC, texts), scores)
    return found


def test_a_policy_that_collapses_on_two_cells_raises_an_alarm():
    (alarm,) = raised(0.6)
    assert alarm.column == "commonest"
    assert "the share of the commonest passages grows from " in alarm.message
    assert sum(alarm.text.count(one) for one in CELLS) >= 6


def test_some_more_of_a_cell_raises_none():
    assert raised(0.15) == []


def test_half_bars_are_counted_over_all_melodies():
    alike = " ".join(["C4 - - - D4 - - -"] * 8)
    assert MUSIC.commonest([alike, alike]) == [1.0, 1.0]
    chance = random.Random(1)
    free = melodies(0.0, chance, 40)
    values = MUSIC.commonest([alike, *free])
    assert values[0] == 1.0
    assert max(values[1:]) <= 0.25
    assert MUSIC.commonest([alike, *free][::-1]) == values[::-1]
    assert MUSIC.commonest([]) == []


def test_what_has_no_half_bar_has_none_in_common():
    assert MUSIC.commonest(["C4 - E4"]) == [0.0]


@pytest.mark.parametrize("tonic", ["D", "Bb"])
def test_the_key_does_not_matter(tonic):
    from seqtutor_music.domain import MusicOptions

    moved = MusicDomain(MusicOptions(tonic=tonic))
    texts = melodies(0.3, random.Random(2), 20)
    in_key = [moved.decode(MUSIC.encode(text)) for text in texts]
    assert sum(moved.commonest(in_key)) == sum(MUSIC.commonest(texts))  # which of equals count hangs on their names
