"""The shipped priors: they know where a phrase ends, whatever its length, and quote little."""

import numpy as np
import pytest
import torch

from seqtutor.priors.files import load_prior
from seqtutor.priors.sampling import draw
from seqtutor_music import MusicDomain
from seqtutor_music.copies import copied
from seqtutor_music.corpus import known
from seqtutor_music.domain import MusicOptions
from seqtutor_music.events import FIRST_PITCH, sounding
from seqtutor_music.keys import key
from seqtutor_music.metre import COMMON, METRES

SAMPLES = 400


def samples(bars, metre=COMMON, tonic="C"):
    domain = MusicDomain(MusicOptions(bars=bars, metre=metre.name, tonic=tonic))
    return draw(load_prior(domain.own_prior, domain), domain, SAMPLES, torch.Generator().manual_seed(bars))[0]


@pytest.mark.parametrize("bars", [2, 4, 8, 12, 16])
def test_melodies_of_any_length_end_as_phrases_do(bars):
    """Of the corpus' phrases .69 end on the tonic, .92 with a quarter or longer, .01 on an odd sixteenth."""
    last = [notes[-1] for notes in map(sounding, samples(bars)) if notes]
    assert len(last) == SAMPLES
    assert np.mean([note.midi % 12 == 0 for note in last]) > 0.5
    assert np.mean([note.length >= 4 for note in last]) > 0.8
    assert np.mean([note.start % 2 for note in last]) < 0.04


@pytest.mark.parametrize("before", [4, 8])
def test_after_a_section_another_begins(before):
    """Of the corpus' sections of eight bars 99.9 % begin with a note on their first beat, as other bars do."""
    bars = samples(before + 8).reshape(SAMPLES, before + 8, 16)
    begins = (bars[:, :, 0] >= FIRST_PITCH).mean(0)
    assert begins[before:].min() > 0.9


def test_a_section_of_eight_bars_does_not_end_in_its_middle():
    last = [[n for n in sounding(row) if n.start < 64][-1] for row in samples(8)]
    assert np.mean([note.midi % 12 == 0 for note in last]) < 0.4


def test_what_was_said_comes_back():
    """Of the corpus' phrases 18 % take up the first half of the first bar in the third, note for note."""
    bars = samples(4).reshape(SAMPLES, 4, 16)
    assert (bars[:, 0, :8] == bars[:, 2, :8]).all(1).mean() > 0.03
    eight = samples(8).reshape(SAMPLES, 8, 16)
    assert 0.35 < (eight[:, 0, :8] == eight[:, 4, :8]).all(1).mean() < 0.61  # of real sections .61


def test_few_melodies_quote_the_corpus():
    assert copied(samples(4), known()).mean() < 0.04


@pytest.mark.parametrize("name", ["6/8", "3/4"])
@pytest.mark.parametrize("bars", [4, 8])
def test_jigs_and_waltzes_end_as_theirs_do(name, bars):
    """Of real phrases .67 and .70 end on the tonic, .85 and .93 with a quarter; .14 and .27 quote another tune."""
    metre = METRES[name]
    ids = samples(bars, metre)
    last = [notes[-1] for notes in map(sounding, ids) if notes]
    assert np.mean([note.midi % 12 == 0 for note in last]) > 0.45
    assert np.mean([note.length >= 4 for note in last]) > 0.75
    assert np.mean([note.start % 2 for note in last]) < 0.06
    assert copied(ids[:, : 4 * metre.bar], known(metre), metre.copy).mean() < (0.14 if name == "6/8" else 0.1)


def test_the_eighths_of_a_jig_stand_on_its_beats():
    notes = [note for row in samples(4, METRES["6/8"]) for note in sounding(row)]
    places = np.bincount([note.start % 6 for note in notes], minlength=6) / len(notes)
    assert places[[0, 2, 4]].sum() > 0.9
    assert places[0] == places.max()


@pytest.mark.parametrize(
    ("tonic", "name", "least"), [("Am", "4/4", 0.65), ("Am", "6/8", 0.65), ("Ddor", "4/4", 0.55), ("Gmix", "4/4", 0.4)]
)
def test_a_mode_ends_on_its_own_tonic(tonic, name, least):
    """Of real phrases .83, .86, .79 and .63 do; of the priors of major keys .07 and less."""
    ids = samples(4, METRES[name], tonic)
    last = [notes[-1] for notes in map(sounding, ids) if notes]
    assert np.mean([note.midi % 12 == key(tonic).tonic for note in last]) > least
    assert np.mean([note.length >= 4 for note in last]) > 0.75
    assert copied(ids, known(METRES[name]), METRES[name].copy).mean() < 0.06
