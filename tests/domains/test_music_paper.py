"""The rules of the paper: values by hand, slow implementations a melody at a time, and what must not matter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtutor import EOS, PAD
from seqtutor_music import MusicDomain, paper
from seqtutor_music.domain import MusicOptions
from seqtutor_music.events import FIRST_PITCH, HOLD, OFF, VOCABULARY, batch

ALL = [rule for rule, _ in paper.RULES]
C4 = VOCABULARY.encode(["C4"])[0]


def values(rule, text):
    return rule(batch(text))[0].round(6).tolist()


def total(rule, text):
    return round(rule(batch(text)).sum(), 6)


def melodies(seed, shape=(60, 64), pitches=6):
    """Random melodies of few pitches and many holds, so that every rule has something to say."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(C4 - 12, C4 - 12 + pitches * 3, shape)
    return np.where(rng.random(shape) < 0.45, HOLD, np.where(rng.random(shape) < 0.1, OFF, ids))


def test_key():
    assert values(paper.key, "C#4 D4 Eb4 - .") == [-1, 0, -1, 0, 0]
    assert total(paper.key, "C3 D4 E5 F4 G4 A3 B5 - .") == 0


def test_tonic():
    assert values(paper.tonic, "C4 - - - C4 - - -") == [3, 0, 0, 0, 3, 3, 3, 3]
    assert values(paper.tonic, "C4 - - - C4 . . .") == [3, 0, 0, 0, 3, 0, 3, 3]
    assert values(paper.tonic, "C5 - - - C3 E4 G4 C4") == [0] * 8


def test_repeating_counts_strokes():
    assert total(paper.repeating, "C4 C4 C4 C4") == 0
    assert values(paper.repeating, "C4 C4 C4 C4 C4 C4") == [0, 0, 0, 0, -100, -100]
    assert total(paper.repeating, "C4 C4 C4 C4 D4 C4 C4 C4 C4") == 0


def test_repeating_allows_six_with_a_hold_or_a_rest_and_eight_with_both():
    assert total(paper.repeating, "C4 - C4 - C4 - C4 - C4 - C4 -") == 0
    assert total(paper.repeating, "C4 - C4 - C4 - C4 - C4 - C4 - C4") == -100
    assert total(paper.repeating, "C4 . C4 C4 C4 C4 C4") == 0
    assert total(paper.repeating, "C4 . C4 C4 C4 C4 C4 C4") == -100
    assert total(paper.repeating, "C4 . - C4 C4 C4 C4 C4 C4") == -100  # a hold in silence is part of the rest
    assert total(paper.repeating, "C4 . C4 - C4 C4 C4 C4 C4 C4") == 0
    assert total(paper.repeating, "C4 . C4 - C4 C4 C4 C4 C4 C4 C4") == -100


def test_holding_is_not_repeating():
    """RL Tuner charged a long hold as a repetition."""
    assert total(paper.repeating, "C4 " + "- " * 63) == 0
    assert total(paper.repeating, "- " * 64) == 0


def test_repeating_charges_an_off_in_silence():
    assert values(paper.repeating, "C4 . . - .") == [0, 0, -100, 0, -100]
    assert total(paper.repeating, "C4 . D4 . E4 - .") == 0
    assert total(paper.repeating, ". C4 .") == 0


def test_autocorrelation():
    # 17, 19, 17, 19 in the paper's numbers less the mean: -1, 1, -1, 1; r = -.75, .5, -.25
    assert values(paper.autocorrelation, "C4 D4 C4 D4")[-1] == -3 * 1.5
    assert total(paper.autocorrelation, "C4 C4 C4 C4") == 0
    # events 14, 1: deviations 6.5, -6.5; only lag 1 exists, r = -.5
    assert values(paper.autocorrelation, "C4 -") == [0, -1.5]


def test_motif():
    assert values(paper.motif, "C4 D4 E4 - - - - - - - -") == [0] * 7 + [3, 0, 0, 0]
    assert values(paper.motif, "C4 D4 E4 F4 G4 A4 B4 C5")[-1] == pytest.approx(3 + 0.3 * 5)
    assert total(paper.motif, "C4 D4 C4 D4 C4 D4 C4 D4") == 0


def test_repeated_motif():
    motif = "C4 - D4 - E4 F4 - -"
    assert values(paper.repeated_motif, f"{motif} {motif}") == [0] * 15 + [5]
    assert total(paper.repeated_motif, f"{motif} C4 - D4 - E4 F4 - .") == 0
    assert total(paper.repeated_motif, "C4 D4 " * 16) == 0  # repeated, but no motif
    overlapping = "C4 D4 E4 F4 C4 D4 E4 F4 C4 D4 E4 F4"
    assert total(paper.repeated_motif, overlapping) == 0
    assert values(paper.repeated_motif, overlapping + " C4 D4 E4 F4")[-1] == 5
    sevens = "C4 D4 E4 F4 G4 A4 B4 " * 2  # 8 of these stand 7 steps earlier, too: they share an event
    assert total(paper.repeated_motif, sevens + "C4 D4 E4 F4 G4 A4") == 0
    assert values(paper.repeated_motif, sevens + sevens)[20:22] == [0, 8]


@pytest.mark.parametrize(
    ("pair", "worth"),
    [
        ("C4 C4", 0), ("C4 Db4", 0), ("C4 D4", 0.08), ("C4 Eb4", 0), ("C4 E4", 0.15), ("D4 F#4", 0.09),
        ("E4 G#4", 0.09), ("C4 F4", 0.07), ("C4 F#4", 0), ("C4 G4", 0.1), ("G4 C4", 0.1), ("G4 D5", 0.02),
        ("C4 F3", 0.02), ("C4 A4", 0.05), ("C4 Bb4", 0), ("C4 B4", -0.3), ("C4 C5", 0), ("C4 C#5", -1),
        ("C4 -", 0.3), ("G3 -", 0.3), ("D4 -", 0.075), ("C4 .", 0.15), ("E4 .", 0.05), ("- -", 0), ("- .", 0),
        ("- C4", 0),
    ],
)  # fmt: skip
def test_interval(pair, worth):
    assert values(paper.interval, pair) == [0, pytest.approx(5 * worth)]


def test_interval_spans_holds_and_rests_but_silence_earns_nothing():
    assert values(paper.interval, "D4 - . - . B4") == [0, 0.375, 0.25, 0, 0, 0.25]


def test_leap_resolved_gradually():
    assert values(paper.leap, "C4 G4 F4 - E4 C4") == [0, 0, 0, 0, 0, 5]
    assert values(paper.leap, "G4 C4 E4 A4") == [0, 0, 0, 5]
    assert total(paper.leap, "C4 G4 F4 E4 D4") == 0
    assert total(paper.leap, "C4 F4 C4") == 0


def test_leap_back_resolves_only_in_time():
    assert total(paper.leap, "C4 G4 - - - - - - C4") == 0
    assert values(paper.leap, "C4 G4 - - - - - - - C4")[-1] == 5
    assert total(paper.leap, "C4 G4 C4 G4 F4 C4") == 5  # the leap back undoes the first, the second is resolved


def test_leap_doubled():
    assert values(paper.leap, "C4 G4 D5") == [0, 0, -5]
    assert total(paper.leap, "C4 G4 F4 C5") == -5


def test_extrema_sum_to_what_is_true_at_the_end():
    ids = np.random.default_rng(0).integers(3, 12, (500, 24))
    ids[:250, 17:] = 0
    pitches = np.ma.masked_less(ids, FIRST_PITCH)
    highest, lowest = (pitches == pitches.max(1)[:, None]), (pitches == pitches.min(1)[:, None])
    wanted = 3 * (highest.sum(1) == 1) + 3 * (lowest.sum(1) == 1)
    np.testing.assert_array_equal(paper.extrema(ids).sum(1), wanted.filled(0))


def test_extrema():
    assert values(paper.extrema, "E4 - G4 C4 - E4") == [6, 0, 0, 0, 0, 0]
    assert values(paper.extrema, "E4 - G4 C4 - C4") == [6, 0, 0, 0, 0, -3]
    assert values(paper.extrema, "E4 E4 G4 G4 A4") == [6, -6, 3, -3, 3]
    assert total(paper.extrema, "C4 G4 C4 G4") == 0
    assert total(paper.extrema, "- - . -") == 0


def slow_repeating(row):
    """By collecting, at each step, the strokes of this pitch since the last other one, and what lies between."""
    out = []
    for i, event in enumerate(row):
        if event == HOLD:
            out.append(0.0)
            continue
        if event == OFF:
            latest = next((e for e in reversed(row[:i]) if e != HOLD), None)
            out.append(-100.0 if latest == OFF else 0.0)
            continue
        strokes = [i]
        for j in reversed(range(i)):
            if row[j] > HOLD and row[j] != event:
                break
            if row[j] == event:
                strokes.append(j)
        between = row[strokes[-1] : i]
        rested = OFF in between
        held = any(
            e == HOLD and next(p for p in reversed(between[:k]) if p != HOLD) != OFF for k, e in enumerate(between)
        )
        out.append(-100.0 if len(strokes) > 4 + 2 * held + 2 * rested else 0.0)
    return out


def slow_autocorrelation(row):
    """By the definition, a prefix and a lag at a time."""
    out = []
    for n in range(1, len(row) + 1):
        x = np.array(row[:n], dtype=float) - OFF
        x -= x.mean()
        r = [abs((x[k:] * x[: n - k]).sum() / (x * x).sum()) if k < n and x.any() else 0 for k in (1, 2, 3)]
        out.append(-3 * sum(c for c in r if c > 0.15 + 1e-9))
    return out


def slow_motif(row):
    n = [len({e for e in row[max(0, i - 7) : i + 1] if e > HOLD}) if i >= 7 else 0 for i in range(len(row))]
    return [3 + 0.3 * (k - 3) if k >= 3 else 0.0 for k in n]


def slow_repeated_motif(row):
    out = []
    for i in range(len(row)):
        window, n = row[i - 7 : i + 1], len({e for e in row[max(0, i - 7) : i + 1] if e > HOLD})
        before = row[: i - 7] if i >= 7 else []
        found = n >= 3 and any(before[s : s + 8] == window for s in range(len(before) - 7))
        out.append(4.0 + n - 3 if found else 0.0)
    return out


def slow_leap(row):
    """As a listener would: remember the one leap that waits."""
    out, pitch, waiting = [], None, None  # waiting: direction, origin
    latest = 0
    for i, event in enumerate(row):
        value = 0.0
        if event > HOLD:
            move = 0 if pitch is None else event - pitch
            if abs(move) >= 7 and waiting is None:
                waiting = (np.sign(move), pitch)
            elif abs(move) >= 7 and np.sign(move) == waiting[0]:
                value = -5.0
            elif abs(move) >= 7:
                value, waiting = (5.0 if i - latest >= 8 else 0.0), None
            elif waiting and (event - waiting[1]) * waiting[0] <= 0:
                value, waiting = 5.0, None
            latest = i if abs(move) >= 7 else latest
            pitch = event
        out.append(value)
    return out


@pytest.mark.parametrize("pitches", [1, 2, 6, 12])
@pytest.mark.parametrize(
    ("rule", "slow"),
    [
        (paper.repeating, slow_repeating),
        (paper.autocorrelation, slow_autocorrelation),
        (paper.motif, slow_motif),
        (paper.repeated_motif, slow_repeated_motif),
        (paper.leap, slow_leap),
    ],
)
def test_a_batch_at_once_is_a_melody_at_a_time(rule, slow, pitches):
    ids = melodies(1, pitches=pitches)
    ids[::3, 32:] = ids[::3, :32]  # so that motifs come back
    ids[1::3, ::2] = ids[1::3, :1]  # so that pitches are repeated
    slowly = np.array([slow(row) for row in ids.tolist()])
    np.testing.assert_allclose(rule(ids), slowly, atol=1e-9)
    if pitches > 2:
        assert (slowly != 0).any()


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.__name__)
def test_order_and_padding_do_not_matter(rule):
    ids = melodies(2, shape=(20, 40))
    plain = rule(ids)
    np.testing.assert_array_equal(rule(ids[::-1]), plain[::-1])
    padded = np.full((20, 50), PAD)
    padded[:, :40] = ids
    padded[::2, 40] = EOS
    np.testing.assert_allclose(rule(padded)[:, :40], plain, atol=1e-12)
    assert not rule(padded)[:, 40:].any()
    assert plain.dtype == np.float64


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("shape", [(0, 64), (3, 1), (3, 5), (3, 7), (3, 8)])
def test_any_shape_will_do(rule, shape):
    assert rule(melodies(3, shape)).shape == shape


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["C", "G", "F#", "Bb"]))
def test_a_rule_does_not_care_in_which_key_it_is_played(seed, tonic):
    ids = melodies(seed, shape=(1, 32))
    text = MusicDomain().decode(VOCABULARY.decode(ids[0]))
    domain = MusicDomain(MusicOptions(tonic=tonic))
    moved = domain.decode(MusicDomain().encode(text))
    again = np.array([VOCABULARY.encode(domain.encode(moved))])
    for rule in ALL:
        np.testing.assert_array_equal(rule(again), rule(ids))


def test_the_preset_pays_what_the_paper_pays():
    *paid, quoting = MusicDomain(MusicOptions(preset="paper")).terms()
    assert (quoting.name, quoting.weight) == ("quoting", 0)
    assert [term.name for term in paid] == [
        "key", "tonic", "repeating", "autocorrelation", "motif", "repeated_motif", "interval", "leap", "extrema",
    ]  # fmt: skip
    assert all(term.weight == 1 and term.summary and term.source for term in paid)
    assert [getattr(term.values, "func", term.values) for term in paid] == ALL
