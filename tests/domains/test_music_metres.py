"""Jigs and waltzes: read alike from every kind of file, written as engravers do, and told from absurdities."""

import io
from fractions import Fraction

import mido
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from music21.converter import parse, parseData
from tunes import BY_METRE, absurd, events

from seqtutor import PAD, UserError, load
from seqtutor.cli import main
from seqtutor.plugin.contract import inherited
from seqtutor.priors.encoding import padded
from seqtutor.runs.drawing import open_model
from seqtutor_music import MusicDomain, form, measures, rhythm, rules
from seqtutor_music.abc import read_tune
from seqtutor_music.domain import MusicOptions
from seqtutor_music.events import FIRST_PITCH, HOLD, OFF, VOCABULARY, Note, batch, parts, sounding
from seqtutor_music.harmony import chords
from seqtutor_music.keys import key
from seqtutor_music.metre import COMMON, METRES
from seqtutor_music.real import phrases
from seqtutor_music.sheets import Sheet, abc, bars, musicxml
from seqtutor_music.variation import copy_bar, vary
from seqtutor_music.writing import midi

JIG, WALTZ = METRES["6/8"], METRES["3/4"]
OTHERS = [JIG, WALTZ]
in_each = pytest.mark.parametrize("metre", OTHERS, ids=lambda metre: metre.name)
RULES = [rule for rule in rules.OURS if rule.of(JIG) is not rule.values]
named = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.values.__name__)
lines = st.lists(st.sampled_from([4, 4, 4, 4, 3, *range(12, 32, 3)]), min_size=12, max_size=48)
WASHERWOMAN = events(BY_METRE["6/8"]["The Irish Washerwoman"] + BY_METRE["6/8"]["The Irish Washerwoman, its end"])
IN_G = """X:1
T:The Irish Washerwoman
M:6/8
L:1/8
K:G
|:BGG DGG|BGB dcB|cAA EAA|cBc edc|BGG DGG|BGB dcB|cBc Adc|BGG G3:|
"""


def domain(metre, **options):
    return load("music", {"metre": metre.name, **options})


def only(domain, path):
    (line,) = domain.read(path)
    assert not line.problem
    return " ".join(line.text.replace("|", "").split())


def reward(text, metre):
    return sum(rule.weight * rule.of(metre)(batch(text)).sum() for rule in rules.OURS)


def melodies(seed, shape=(40, 48)):
    rng = np.random.default_rng(seed)
    ids = rng.integers(FIRST_PITCH + 7, FIRST_PITCH + 24, shape)
    ids = np.where(rng.random(shape) < 0.45, HOLD, np.where(rng.random(shape) < 0.1, OFF, ids))
    if shape[1] >= 24:
        ids[::3, 12:24] = ids[::3, :12]
    return ids


def test_one_jig_is_the_same_from_every_kind_of_file(tmp_path):
    music = domain(JIG, formats="abc,musicxml")
    (tmp_path / "jig.abc").write_text(IN_G)
    assert only(music, tmp_path / "jig.abc") == WASHERWOMAN
    for path in music.write([WASHERWOMAN], tmp_path / "written"):
        assert only(music, path) == WASHERWOMAN
    stream = parse(IN_G, format="abc")
    stream.write("musicxml", tmp_path / "theirs.musicxml")
    stream.write("midi", tmp_path / "theirs.mid")
    assert only(music, tmp_path / "theirs.musicxml") == WASHERWOMAN
    assert only(music, tmp_path / "theirs.mid").startswith(WASHERWOMAN)  # repeats are played out
    (tmp_path / "line.txt").write_text(WASHERWOMAN)
    assert only(music, tmp_path / "line.txt") == WASHERWOMAN


@pytest.mark.parametrize(
    ("metre", "stated", "unit"),
    [(WALTZ, "3/4", "1/4"), (WALTZ, "3/8", "1/8"), (JIG, "6/8", "1/8"), (JIG, "6/4", "1/4")],
)
def test_values_are_doubled_and_halved_to_one_size(metre, stated, unit, tmp_path):
    bar = "C D E" if metre is WALTZ else "C D E F G A"
    (tmp_path / "a.abc").write_text(f"X:1\nM:{stated}\nL:{unit}\nK:C\n{bar}|{bar}|\n")
    step = " - - -" if metre is WALTZ else " -"
    assert only(domain(metre), tmp_path / "a.abc") == " ".join([f"{letter}4{step}" for letter in bar.split()] * 2)


def test_a_pickup_ends_on_the_bar_line(tmp_path):
    (tmp_path / "a.abc").write_text("X:1\nM:6/8\nL:1/8\nK:C\nG|cde fed|c3 c2:|\nG|efg agf|e3 e2:|\n")
    (line,) = domain(JIG).read(tmp_path / "a.abc")
    assert line.text.replace("||", "").split()[10] == "G3"
    assert line.text.replace("||", "").split()[12] == "C4"
    assert line.text.count("||") == 1
    (tmp_path / "b.abc").write_text("X:1\nM:3/4\nL:1/4\nK:C\nG|c2 c|d2 d|e3|\n")
    assert only(domain(WALTZ), tmp_path / "b.abc").split()[8:13] == ["G3", "-", "-", "-", "C4"]


def test_a_file_in_another_metre_says_what_to_type(tmp_path):
    (tmp_path / "a.abc").write_text(IN_G)
    (tmp_path / "b.abc").write_text("X:1\nM:C|\nL:1/4\nK:C\nCDEF|\n")
    (tmp_path / "c.abc").write_text("X:1\nM:5/4\nL:1/4\nK:C\nCDEFG|\n")
    MusicDomain(MusicOptions(metre="3/4")).write(["C4 - - - D4 - - - E4 - - -"], tmp_path)
    waltz, jig, reel, five = (line.problem for line in MusicDomain().read(tmp_path))
    assert (waltz, jig, reel) == ("its metre is 3/4: --metre 3/4", "its metre is 6/8: --metre 6/8", "")
    assert five == "its metre is 5/4; melodies are in 4/4, 2/2, 2/4, 3/4, 3/8, 6/8, 6/4"
    assert next(iter(domain(WALTZ).read(tmp_path / "b.abc"))).problem == "its metre is 2/2: --metre 4/4"


def test_inspect_takes_the_metre(tmp_path):
    (tmp_path / "a.abc").write_text(IN_G)
    refused = CliRunner().invoke(main, ["inspect", "--domain", "music", str(tmp_path)])
    assert "its metre is 6/8: --metre 6/8" in refused.output
    taken = CliRunner().invoke(main, ["inspect", "--domain", "music", "--metre", "6/8", str(tmp_path)])
    assert taken.exit_code == 0
    assert "1 of 1 items can be used" in taken.output


def test_a_midi_file_that_states_no_metre_has_that_of_the_options(tmp_path):
    file = mido.MidiFile(ticks_per_beat=480)
    track = mido.MidiTrack()
    for pitch in (60, 62, 64, 65, 67, 69) * 2:
        track += [mido.Message("note_on", note=pitch), mido.Message("note_off", note=pitch, time=240)]
    file.tracks.append(track)
    file.save(tmp_path / "a.mid")
    assert (
        only(domain(JIG), tmp_path / "a.mid") == "C4 - D4 - E4 - F4 - G4 - A4 - " * 1 + "C4 - D4 - E4 - F4 - G4 - A4 -"
    )


@in_each
@settings(max_examples=40, deadline=None)
@given(line=lines)
def test_values_fill_their_bars_and_show_the_beats(metre, line):
    notes, steps = sounding(line), len(line)
    found = bars(notes, steps, Sheet("", key("C"), 120, metre=metre))
    assert all(sum(value.length for value in bar) == metre.bar for bar in found)
    assert sum(v.length for bar in found for v in bar if v.midi is not None) == sum(note.length for note in notes)
    for value in (value for bar in found for value in bar if metre is JIG):
        crosses = value.start < 6 < value.start + value.length
        assert not crosses or (value.start, value.length) == (0, 12)


@in_each
@settings(max_examples=12, deadline=None)
@given(line=lines.filter(lambda line: any(event >= FIRST_PITCH for event in line)))
def test_others_find_the_metre_and_the_notes_that_we_write(metre, line):
    notes, steps = sounding(line), len(line)
    sheet = Sheet("One", key("G"), 90, metre=metre)
    score = read_tune(abc(notes, steps, sheet))
    assert score.metres == (metre.name,)
    assert [bar.length for bar in score.bars] == [Fraction(3)] * -(-steps // 12)
    part = parseData(musicxml(notes, steps, sheet), format="musicxml").parts[0]
    assert {m.barDuration.quarterLength for m in part.getElementsByClass("Measure")} == {3.0}
    theirs = [(4 * n.offset, 4 * n.quarterLength, n.pitch.midi) for n in part.flatten().stripTies().notes]
    assert theirs == [tuple(note) for note in notes]
    file = mido.MidiFile(file=io.BytesIO(midi(notes, steps, sheet)))
    (signature,) = (message for track in file.tracks for message in track if message.type == "time_signature")
    assert (signature.numerator, signature.denominator) == metre.counts
    assert signature.clocks_per_click == (36 if metre is JIG else 24)
    assert file.length == pytest.approx(steps * 15 / 90, abs=1e-3)


def test_a_jig_is_written_as_its_books_have_it():
    text = abc(sounding(batch(WASHERWOMAN)[0]), 96, Sheet("One", key("C"), 120, metre=JIG))
    assert text.splitlines()[2:4] == ["M:6/8", "L:1/8"]
    assert text.splitlines()[6].startswith("ECC G,CC|ECE GFE|FDD A,DD|")
    assert text.splitlines()[7].endswith("|ECC C3|]")
    dotted = [Note(0, 6, 60), Note(6, 3, 62), Note(9, 1, 64), Note(10, 2, 65)]
    assert abc(dotted, 12, Sheet("One", key("C"), 120, metre=JIG)).endswith("C3 D3/2E/F|]\n")
    xml = musicxml(dotted, 24, Sheet("One", key("C"), 120, metre=JIG))
    assert xml.count("<dot/>") == 2
    assert '<rest measure="yes"/><duration>36</duration><voice>1</voice><type>whole</type></note>' in xml


def test_parts_are_counted_in_eighths_and_quarters():
    jig = batch("C4 - D4 - E4 - F4 - - - - - G4 - - - - -")[0]
    assert [name for name, _ in parts(jig, metre=JIG)] == ["1:1 C4", "1:2 D4", "1:3 E4", "1:4 F4", "2:1 G4"]
    assert [name for name, _ in parts(batch("C4 - - - - - - - D4 - - - E4 -")[0], metre=WALTZ)] == [
        "1:1 C4", "1:3 D4", "2:1 E4",
    ]  # fmt: skip


def test_chords_stand_on_beats():
    assert [(c.start, c.length) for c in chords("C | F G", JIG)] == [(0, 12), (12, 6), (18, 6)]
    assert [(c.start, c.length) for c in chords("C | F G C", WALTZ)] == [(0, 12), (12, 4), (16, 4), (20, 4)]
    for text, metre, said in [("C F G |", JIG, "1 or 2"), ("C G |", WALTZ, "1 or 3"), ("C F G |", COMMON, "1, 2 or 4")]:
        with pytest.raises(UserError, match=f"a bar has {said}"):
            chords(text, metre)
    fitted = domain(JIG, chords="C | G").terms()[-1]
    assert fitted.values(batch("E4 - - - - - G4 - - - - - D4 - - - - - C4 - - - - -")).sum() == 2


@in_each
@named
def test_what_a_rule_pays_is_known_when_it_pays_it(rule, metre):
    values, ids = rule.of(metre), melodies(1)
    for cut in (7, 12, 30, 41):
        other = ids.copy()
        other[:, cut:] = melodies(2)[:, cut:]
        np.testing.assert_allclose(values(other)[:, :cut], values(ids)[:, :cut], atol=1e-9)


@in_each
@named
def test_padding_does_not_matter_and_any_shape_will_do(rule, metre):
    values, ids = rule.of(metre), melodies(3, (20, 40))
    padded = np.full((20, 70), PAD)
    padded[:, :40] = ids
    np.testing.assert_allclose(values(padded)[:, :40], values(ids), atol=1e-9)
    assert not values(padded)[:, 40:].any()
    for shape in [(0, 48), (3, 1), (3, 5), (3, 13), (3, 100)]:
        assert values(melodies(4, shape)).shape == shape


@pytest.mark.parametrize(("metre", "name"), [(m, name) for m in OTHERS for name in BY_METRE[m.name]])
def test_a_tune_is_worth_more_than_any_absurdity(metre, name):
    most = max((reward(text, metre), absurdity) for absurdity, text in absurd(np.random.default_rng(0), metre).items())
    assert reward(events(BY_METRE[metre.name][name]), metre) > most[0] + 2, most[1]


SONGS = {"6/8": "Row, row, row your boat, its end", "3/4": "Ach du lieber Augustin, its end"}
IRREGULAR = "C4:1 D4:2 E4:3 F4:5 G4:7 F4:4 E4:6 D4:10 C4:10"
TOLD = [  # a rule of bars, what it charges or does not pay, and for each metre what it pays better
    (form.cadence, "tritones", SONGS),
    (form.repose, "a trill", SONGS),
    (form.question, "random sixteenths", {"6/8": "Humpty Dumpty", "3/4": "God save the King"}),
    (form.answer, "random sixteenths", {"6/8": "Humpty Dumpty"}),
    (form.imitation, "random sixteenths", {"6/8": "Humpty Dumpty", "3/4": "Ach du lieber Augustin"}),
    (form.ideas, "one note held", SONGS),
    (form.variety, "one cell", SONGS),
    (rhythm.shared_rhythm, "random events", SONGS),
    (rhythm.accents, "dotted triads", SONGS),
    (rhythm.dotted, "Alberti bass", {"6/8": "Silent night", "3/4": "Clementine"}),
    (rhythm.pulse, "irregular", SONGS),
    (rhythm.activity, "one note held", SONGS),
]


@pytest.mark.parametrize(
    ("rule", "absurdity", "metre", "tune"),
    [(rule, absurdity, metre, tune) for rule, absurdity, tunes in TOLD for metre, tune in tunes.items()],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_each_rule_of_bars_knows_an_absurdity_from_a_tune(rule, absurdity, metre, tune):
    wrong = {**absurd(np.random.default_rng(0), METRES[metre]), "irregular": events(IRREGULAR)}[absurdity]
    assert (
        rule(batch(wrong), METRES[metre]).sum() <= rule(batch(events(BY_METRE[metre][tune])), METRES[metre]).sum() - 0.2
    )


def test_in_six_eight_the_beats_are_dotted_quarters():
    half = "C4 - D4 - E4 - "
    assert form.repose(batch(half + "C4 - - - - -"), JIG).sum() == 2
    assert form.repose(batch(half + "- - - - C4 -"), JIG).sum() == pytest.approx(1 / 3)
    assert rhythm.dotted(batch("C4 - - D4 E4 - C4 - - D4 E4 -"), JIG).sum() == 1
    assert rhythm.dotted(batch("C4 - - D4 - - C4 - D4 - E4 -"), JIG).sum() == 0
    assert form.imitation(batch(half + half), JIG).sum() == 1
    assert rhythm.shared_rhythm(batch("C4 - " * 12), JIG).sum() == 0.5


def test_in_three_four_the_first_beat_is_strong():
    assert [form.repose(batch("- " * at + "C4" + " -" * (11 - at)), WALTZ).sum() for at in (0, 4)] == [2, 0.5 + 8 / 12]


@in_each
def test_a_rule_leaves_four_in_five_real_phrases_alone(metre):
    found = padded(
        [VOCABULARY.encode(phrase) for phrase in phrases(MusicDomain(MusicOptions(bars=4, metre=metre.name)))]
    )
    charged = {rule.values.__name__: (rule.of(metre)(found).sum(axis=1) < -1e-9).mean() for rule in rules.OURS}
    assert max(charged.values()) <= 0.2, max(charged, key=charged.get)


@in_each
def test_figures_have_their_reference(metre):
    found = domain(metre).measure([events(BY_METRE[metre.name][SONGS[metre.name]])])
    names = {one.name for one in found}
    assert names - set(measures.COPIES) == set(measures.real(4, metre)) == set(measures.real(8, metre))
    assert ("bars that come back" in names) == (metre is WALTZ)
    notes = next(one for one in found if one.name == "notes per bar")
    assert notes.mean == (17 / 4 if metre is JIG else 11 / 4)
    assert notes.reference == measures.real(4, metre)["notes per bar"]["mean"]


@in_each
def test_what_is_near_keeps_its_length(metre):
    ids = melodies(0)[0].tolist()
    rng = np.random.default_rng(0)
    made = [new for _ in range(50) if (new := vary(ids, rng, metre))]
    assert {len(new) for new in made} == {48}
    copied = copy_bar(ids, rng, metre)
    changed = {place // 12 for place, (new, old) in enumerate(zip(copied, ids, strict=True)) if new != old}
    assert len(changed) <= 1


def test_a_prior_of_another_metre_is_refused():
    with pytest.raises(UserError, match=r"the prior 'music' was made for metre 4/4, not for metre 6/8; leave that out"):
        inherited("music", {"metre": "6/8"}, {"bars": 4}, "music", timed=True)
    with pytest.raises(UserError, match=r"metre 6/8, not for metre 3/4; .* take the prior 'music-3-4'"):
        inherited("music", {"metre": "3/4", "bars": 8}, {"metre": "6/8"}, "./mine", timed=True)
    assert inherited("music", {"bars": 8}, {"metre": "6/8"}, "mine", timed=True) == {"metre": "6/8", "bars": 8}


def test_the_name_of_the_domain_means_the_prior_of_the_metre():
    for name, options in [("music", {"metre": "6/8"}), ("music-6-8", {}), ("music-6-8", {"bars": 2})]:
        source = open_model(name, options)
        assert source.folder.name == "music-6-8"
        assert source.domain.options.metre == "6/8"
        assert source.model.shape["lookback"] == [6, 12, 24, 48]
    assert open_model("music").folder.name == "music"
    with pytest.raises(UserError, match="was made for metre 6/8, not for metre 4/4"):
        open_model("music-6-8", {"metre": "4/4"})


def test_a_metre_that_is_none():
    with pytest.raises(UserError, match=r"5/8.*3/4"):
        MusicDomain.Options(metre="5/8")


def test_every_metre_has_the_same_weights():
    """What differs between the books of two metres is held by `likeness`, each metre by its own figures."""
    first, *others = ({term.name: term.weight for term in domain(metre).terms()} for metre in (COMMON, JIG, WALTZ))
    assert first["cadence"] == 1.5
    assert others == [first, first]


def test_the_papers_rules_count_in_sixteenths_in_every_metre():
    ids = melodies(5)
    for mine, theirs in zip(domain(JIG, preset="paper").terms(), domain(COMMON, preset="paper").terms(), strict=True):
        if mine.name != "quoting":
            np.testing.assert_array_equal(mine.values(ids), theirs.values(ids))
