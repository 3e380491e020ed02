"""Triplets: what is read, heard, paid and written where a prior knows them, and what is said where it does not."""

from __future__ import annotations

import io
from fractions import Fraction
from itertools import pairwise, permutations

import mido
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from music21.converter import parseData

from seqtutor import UserError, generate, pretrain, tune
from seqtutor.priors.encoding import padded
from seqtutor_music import MusicDomain, corpus
from seqtutor_music.abc import read_tune
from seqtutor_music.domain import MusicOptions
from seqtutor_music.events import HOLD, OFF, TRIPLET, WITH_TRIPLETS, Note, batch, parse, parts, sounding
from seqtutor_music.keys import key
from seqtutor_music.metre import COMMON
from seqtutor_music.rules import terms
from seqtutor_music.scores import melody, passages
from seqtutor_music.sheets import Sheet, abc, musicxml
from seqtutor_music.triplets import as_heard, heard, slots, timed
from seqtutor_music.writing import midi

DOMAIN = MusicDomain(MusicOptions(triplets=True))
LINE = "3 C4 D4 E4 F4 - - - G4 - A4 - 3 B4 - C5 D5 - - - - - - - 3 - C4 . 3 - - E4"
SOUNDS = [  # start and length in thirds of a sixteenth, pitch
    (0, 4, 60), (4, 4, 62), (8, 4, 64), (12, 12, 65), (24, 6, 67), (30, 6, 69), (36, 8, 71), (44, 4, 72),
    (48, 28, 74), (76, 4, 60), (92, 4, 64),
]  # fmt: skip
BEATS = st.sampled_from([TRIPLET, TRIPLET, HOLD, OFF, 17, 20])
EVENTS = st.sampled_from([HOLD, HOLD, OFF, 17, 19, 24, TRIPLET])
beat = st.tuples(BEATS, EVENTS, EVENTS, EVENTS)
melodies = st.lists(beat, min_size=4, max_size=16).map(lambda beats: [event for one in beats for event in one])
EVERY = settings(max_examples=80, deadline=None)


def heard_as(ids):
    """Start, length and pitch in thirds of a sixteenth."""
    return [(int(3 * n.start), int(3 * n.length), n.midi) for n in timed(sounding(ids), ids)]


def written(tmp_path, ids, formats="abc,musicxml"):
    """The files of a melody, by their ending."""
    domain = MusicDomain(MusicOptions(triplets=True, formats=formats))
    return {path.suffix: path for path in domain.write([" ".join(WITH_TRIPLETS.decode(ids))], tmp_path)}


def test_the_three_events_behind_the_sign_are_thirds():
    assert heard_as(batch(LINE)[0]) == SOUNDS


@EVERY
@given(ids=melodies)
def test_whatever_is_written_is_a_melody_and_sounds_in_order(ids):
    """A sign that does not begin a beat is a hold."""
    notes = timed(sounding(ids), ids)
    assert all(note.length > 0 for note in notes)
    assert all(one.start + one.length <= other.start for one, other in pairwise(notes))
    lasting = [HOLD if event == TRIPLET and place % 4 else event for place, event in enumerate(ids)]
    assert heard_as(lasting) == heard_as(ids)
    told = parts(ids)
    assert sum(steps for _, steps in told) == len(ids)
    assert sum("rest" not in name for name, _ in told) == len(notes)


@EVERY
@given(ids=melodies)
def test_what_sounds_is_told_by_events_again(ids):
    sounds = timed(sounding(ids), ids)
    notes, signs = slots(sounds)
    edges = [Fraction(time) for note in sounds for time in (note.start, note.start + note.length)]
    assert signs == sorted({int(time // 4) * 4 for time in edges if time.denominator > 1})
    again = [TRIPLET if place in signs else HOLD for place in range(len(ids))]
    assert timed(notes, again) == sounds


def test_a_beat_is_divided_in_one_way():
    with pytest.raises(UserError, match="beat 2 of it is divided in three and in four"):
        slots([Note(4, Fraction(4, 3), 60), Note(6, 2, 62)])


@settings(max_examples=25, deadline=None)
@given(ids=melodies)
def test_rules_hear_thirds_at_sixteenths(ids):
    """Every rule pays a melody in all what it pays for that; and a third of a beat what its event earned.

    What holds the figures counts the triplets among them.
    """
    rows = padded([ids])
    plain = heard(rows)
    assert (plain != TRIPLET).all()
    assert all(abs(3 * n.start - 3 * m.start) <= 2 for n, m in zip(
        timed(sounding(ids), ids), sounding(plain[0].tolist()), strict=True
    ))  # fmt: skip
    ours = {term.name: term.values for term in terms("default")}
    for term in [term for term in DOMAIN.terms() if not term.of_figures]:
        paid = term.values(rows)
        assert paid.shape == rows.shape
        np.testing.assert_allclose(paid.sum(), ours[term.name](plain).sum(), atol=1e-9)


def test_a_third_is_paid_where_it_stands():
    rows = batch("C4 - - - 3 C4 D4 E4 3 C4 - . F4 - - -")
    each = as_heard(lambda ids: np.where(ids > HOLD, ids, 0).astype(float))(rows)
    assert each.tolist()[0] == [17, 0, 0, 0, 0, 17, 19, 21, 0, 17, 0, 0, 22, 0, 0, 0]
    assert heard(batch("C4 - D4 -")).tolist() == batch("C4 - D4 -").tolist()


def test_no_melodies_have_figures_too():
    """`infer --figures` asks for their names alone."""
    assert {m.name for m in DOMAIN.measure([])} == {m.name for m in DOMAIN.measure(["3 C4 D4 E4 " * 16])}
    assert all(term.values(np.zeros((0, 64), int)).shape == (0, 64) for term in DOMAIN.terms())


def test_a_beat_that_is_not_there_to_its_end_is_not_divided():
    assert heard(batch("3 C4", "C4 - - - D4 -")).tolist() == batch("- C4", "C4 - - - D4 -").tolist()


@EVERY
@given(ids=melodies, tonic=st.sampled_from(["C", "G", "Bbm", "Eb"]))
def test_others_read_what_we_write(ids, tonic):
    notes = timed(sounding(ids), ids)
    assume(notes)
    sheet = Sheet("One", key(tonic), 100)
    read = parseData(musicxml(notes, len(ids), sheet), format="musicxml")
    merged = read.stripTies().flatten().notes
    found = [(round(12 * n.offset), round(12 * n.quarterLength), n.pitch.midi) for n in merged]
    assert found == [(3 * n.start, 3 * n.length, n.midi) for n in notes]
    text = abc(notes, len(ids), sheet)
    ours = read_tune(text)
    whole = -(-len(ids) // 16) * 4
    assert sum(bar.length for bar in ours.bars) == whole
    place, again = Fraction(0), []
    for bar in ours.bars:
        for sound in bar.sounds:
            at, before = place + sound.start, again[-1:]
            if sound.tied and before and sum(before[0][:2]) == at and before[0][2] == sound.midi:
                again[-1] = (before[0][0], before[0][1] + sound.length, sound.midi)
            else:
                again.append((at, sound.length, sound.midi))
        place += bar.length
    assert again == [(Fraction(n.start) / 4, Fraction(n.length) / 4, n.midi) for n in notes]


def test_a_midi_file_has_the_times(tmp_path):
    notes = timed(sounding(batch(LINE)[0]), batch(LINE)[0])
    file, now, struck = mido.MidiFile(file=io.BytesIO(midi(notes, 32, Sheet("One", key("C"), 120)))), 0, []
    for message in file.tracks[1]:
        now += message.time
        if message.type == "note_on" and message.velocity:
            struck.append((now, message.note))
    assert struck == [(start * 40, pitch) for start, _, pitch in SOUNDS]
    assert now == 32 * 120


@pytest.mark.parametrize("suffix", [".mid", ".abc", ".musicxml"])
def test_a_file_of_ours_comes_back(tmp_path, suffix):
    ids = batch(LINE)[0].tolist()
    path = written(tmp_path, ids)[suffix]
    (line,) = DOMAIN.read(path)
    assert heard_as(WITH_TRIPLETS.encode(DOMAIN.encode(line.text))) == SOUNDS
    (refused,) = MusicDomain().read(path)
    assert refused.problem == "bar 1 has a note that is not on the sixteenth grid, but in a triplet (--triplets)"


def test_swing_is_a_long_third_and_a_short_one():
    tune = "X:1\nM:4/4\nL:1/8\nK:C\n(3:2:2C2D (3:2:2E2F (3:2:2G2A (3:2:2B2c|c8|]\n"
    told = melody(read_tune(tune), DOMAIN.metre).words
    assert " ".join(told[:16]) == "3 C4 - D4 3 E4 - F4 3 G4 - A4 3 B4 - C5"


def test_a_triplet_of_quarters_is_two_divided_beats():
    tune = "X:1\nM:4/4\nL:1/4\nK:C\n(3CDE C2|c4|]\n"
    assert " ".join(melody(read_tune(tune), DOMAIN.metre).words[:8]) == "3 C4 - D4 3 - E4 -"


def test_bars_with_triplets_are_no_longer_left_out():
    tune = "X:1\nM:4/4\nL:1/8\nK:C\nC2D2 (3EFG A2|c2 (3ccc c4|C2 (3D/E/F/ (3G/A/B/ c4|c8|]\n"
    plain = " ".join(passages(read_tune(tune)))
    told = " ".join(passages(read_tune(tune), DOMAIN.metre))
    assert plain.count("~") == 1
    assert plain.split()[0] == "~"
    assert told.split()[8:12] == ["3", "E4", "F4", "G4"]
    assert told.endswith("~ C4" + " -" * 15)  # triplets of sixteenths, two in a beat, are beyond both


def test_where_there_are_none_they_are_refused():
    with pytest.raises(UserError, match="event 1 is '3', a triplet, which melodies have with --triplets alone"):
        MusicDomain().encode("3 C4 D4 E4")
    with pytest.raises(UserError, match="a beat of 6/8 has three eighths by itself; triplets are of 4/4 and 3/4"):
        MusicOptions(metre="6/8", triplets=True)
    assert MusicDomain(MusicOptions(metre="3/4", triplets=True)).metre.triplets
    assert (COMMON.kind, DOMAIN.metre.kind) == ("", "-triplets")


def test_variations_keep_the_sign():
    rng = np.random.default_rng(0)
    text = " ".join([LINE, LINE])
    varied = [new for _ in range(60) for new in DOMAIN.vary([text], rng)]
    assert len(set(varied)) > 20
    for new in varied:
        assert len(new.split()) == 64
        assert sum(word == "3" for word in new.split()) >= 2


def test_what_a_musician_sees():
    assert DOMAIN.parts(LINE)[:4] == [("1:1 C4", 2), ("1:1.33 D4", 1), ("1:1.67 E4", 1), ("1:2 F4", 4)]
    assert 'x="' in DOMAIN.picture(LINE)
    assert [round(start, 3) for start, _, _ in DOMAIN.notes(LINE)][:3] == [0, 0.167, 0.333]
    odd = next(m for m in DOMAIN.measure([LINE]) if m.name == "onsets on odd sixteenths")
    assert odd.mean == pytest.approx(3 / 11)  # the last thirds of three beats


def test_a_copy_is_heard_in_triplets_too():
    """Of the bars with triplets only those stretches are kept that the books have nowhere else."""
    metre = DOMAIN.metre
    assert set(corpus.known().tolist()) < set(corpus.known(metre).tolist())
    tune = next(text for text in corpus.corpus(metre=metre) if "3" in text.split()[:32] and "~" not in text)
    quote = " ".join(parse(tune)[:64])
    assert DOMAIN.in_corpus([quote]) == [True]
    assert DOMAIN.in_corpus([LINE + " " + LINE]) == [False]


def test_a_shipped_prior_learns_the_sign_of_a_folder(tmp_path):
    """The prior grows by one token; what stands on it has triplets without being told."""
    tunes = tmp_path / "tunes.abc"
    bars = ["(3CDE F2 G2 A2", "B2 c2 (3cBA G2", "E2 F2 (3EDC D2", "G4 (3:2:2G2E C2"]
    orders = list(permutations(bars))[:12]
    tunes.write_text("".join(f"X:{n}\nM:4/4\nL:1/8\nK:G\n{'|'.join(o)}|C8|]\n\n" for n, o in enumerate(orders)))
    texts = [line.text for line in DOMAIN.read(tunes)]
    prior = pretrain("music", texts, prior="music", epochs=1, options={"triplets": True}, folder=tmp_path / "own")
    made = generate(prior, 20)
    assert {len(str(item).split()) for item in made} == {64}
    run = tune("music", prior=prior, updates=1, rollouts=8, samples=8, folder=tmp_path / "run")
    assert run.config.options["triplets"] is True
    with pytest.raises(UserError, match="was made for triplets False, not for triplets True"):
        tune("music", prior="music", options={"triplets": True}, updates=1, folder=tmp_path / "none")


def test_the_shipped_prior_writes_triplets_where_they_belong():
    """Of the books' phrases 17 % have one; of ten signs of the prior nine begin a beat, the others are holds."""
    texts = [str(item) for item in generate("music", 400, options={"triplets": True})]
    places = [place % 4 for text in texts for place, word in enumerate(text.split()) if word == "3"]
    assert places.count(0) > 0.9 * len(places)
    assert 0.08 < sum("3" in text.split() for text in texts) / len(texts) < 0.25
    assert sum(DOMAIN.in_corpus(texts)) < 0.08 * len(texts)


@pytest.mark.parametrize(
    "text",
    [
        "3 C4 D4 E4 3 E4 D4 C4 3 C4 D4 E4 F4 - - .",
        "3 C4 D4 E4 3 C4 . - F4 - - - C4 - - -",
        "3 C4 D4 E4 3 C4 - . F4 - - - C4 - - -",
    ],
)
def test_rests_behind_thirds_come_back_from_midi(tmp_path, text):
    domain = MusicDomain(MusicOptions(triplets=True, bars=1))
    (path,) = domain.write([text], tmp_path)
    (line,) = domain.read(path)
    assert heard_as(WITH_TRIPLETS.encode(line.text.split())) == heard_as(batch(text)[0])
