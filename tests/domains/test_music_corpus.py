"""From notation to events, and the corpus with its cache."""

from fractions import Fraction

import numpy as np
import pickups
import pytest
import quotes

from seqtutor import UserError
from seqtutor_music import MusicDomain, corpus
from seqtutor_music.abc import read_tune
from seqtutor_music.copies import copied, stretches, variants
from seqtutor_music.domain import MusicOptions
from seqtutor_music.events import MARKS, OFF, VOCABULARY, Note, batch, parse
from seqtutor_music.files import part_score
from seqtutor_music.keys import Key
from seqtutor_music.scores import Bar, Score, Sound, melody
from seqtutor_music.tunebooks import tunes

REEL = """X:1
T:A made-up reel, with a pickup, a grace note, a tie, a chord symbol and a repeat
M:C|
L:1/8
K:G
"G"D2|{A}G3A B2d2|e2d2 B2-B2|"D"A3B A2F2|G4 z2:|
D2|G8|G8|]
"""
JIG = "X:2\nM:6/8\nL:1/8\nK:D\nDED FEF|AFD D3|\n"
POLKA = "X:3\nM:2/4\nL:1/16\nK:Ador\nA2B2 c2d2|e4 A4|B2A2 G2A2|A8|\n"


def text(abc):
    return " ".join(melody(read_tune(abc)).words)


def in_bars(words):
    """Events bar by bar; a mark stands with the event before it."""
    found, events = [], 0
    for word in words:
        if word in MARKS:
            found[-1] += f" {word}"
        else:
            found = [*found, word] if events % 16 == 0 else [*found[:-1], f"{found[-1]} {word}"]
            events += 1
    return found


def events(score):
    return [word for word in melody(score).words if word not in MARKS]


def bars(abc):
    return in_bars(melody(read_tune(abc)).words)


def tune(key, notes, metre="4/4"):
    return f"X:1\nM:{metre}\nL:1/4\nK:{key}\n{notes}|\n"


def test_a_tune_stands_in_bars_in_c():
    assert bars(REEL) == [
        "- - - - - - - - - - - - G3 - - -",  # the pickup ends on the bar line; G major stands in C
        "C4 - - - - - D4 - E4 - - - G4 - - -",  # without the grace note
        "A4 - - - G4 - - - E4 - - - - - - -",  # the tie is one note
        "D4 - - - - - E4 - D4 - - - B3 - - -",
        "C4 - - - - - - - . - - - || G3 - - -",  # the rest, then the pickup of the second strain
        "C4 - - - - - - - - - - - - - - -",
        "C4 - - - - - - - - - - - - - - -",
    ]


def test_two_four_is_doubled_and_dorian_stays_dorian():
    assert bars(POLKA) == [
        "D4 - - - E4 - - - F4 - - - G4 - - -",
        "A4 - - - - - - - D4 - - - - - - -",
        "E4 - - - D4 - - - C4 - - - D4 - - -",
        "D4 - - - - - - - - - - - - - - -",
    ]


@pytest.mark.parametrize(
    ("key", "notes", "expected"),
    [
        ("C", "C E G c", "C4 E4 G4 C5"),
        ("Am", "A, C E A", "A3 C4 E4 A4"),
        ("D", "D F A d", "C4 E4 G4 C5"),
        ("Bb", "B d f b", "C4 E4 G4 C5"),
        ("Em", "E G B e", "A3 C4 E4 A4"),
        ("A", "A c ^c =c", "C4 E4 E4 D#4"),
        ("C", "c'' d'' e'' f''", "C4 D4 E4 F4"),  # moved by octaves to the middle
    ],
)
def test_keys(key, notes, expected):
    assert [t for t in text(tune(key, notes)).split() if t != "-"] == expected.split()


@pytest.mark.parametrize(
    ("abc", "said"),
    [
        (JIG, "its metre is 6/8"),
        (tune("C", "(3CDE F G"), "bar 1 has a note that is not on the sixteenth grid"),
        (tune("C", "C D E F G|C D E F"), "bar 1 is longer than its metre allows"),
        (tune("C", "C D E F|[K:D] D E F G"), "it changes its key"),
        (tune("C", "C D E F|[M:2/4] D E"), "it changes its metre"),
        (tune("C", "z4"), "it has no notes"),
        (tune("C", "C,,, C c c'''"), "its notes span more than C3..B5 can hold"),
        ("X:1\nL:1/4\nK:C\nC D E F|\n", "it states no metre"),
        ("X:1\nM:4/4\nL:1/4\nK:C\nV:1\nC D E F|\nV:2\nC D E F|\n", "it has several voices"),
        ("X:1\nM:4/4\nL:1/4\nK:C\nthis is no tune|\n", "it has words where notes belong: 'this is no tune|'"),
        ("no music at all", "."),
    ],
)
def test_why_a_tune_cannot_be_written(abc, said):
    with pytest.raises(UserError, match=said):
        melody(read_tune(abc))


def test_a_strain_that_ends_short_holds_its_last_note():
    def bar(length, *midis, closes=False):
        step = Fraction(length, len(midis))
        return Bar(Fraction(length), tuple(Sound(i * step, step, m) for i, m in enumerate(midis)), closes)

    score = Score(("4/4",), (Key(0),), (bar(4, 60), bar(2, 62, closes=True), bar(4, 64), bar(1, 65), bar(4, 67)))
    assert in_bars(melody(score).words) == [
        "C4 - - - - - - - - - - - - - - -",
        "D4 - - - - - - - - - - - - - - - ||",
        "E4 - - - - - - - - - - - - - - -",
        "- - - - - - - - - - - - F4 - - -",
        "G4 - - - - - - - - - - - - - - -",
    ]


def test_our_reading_is_that_of_music21s_streams():
    from music21.converter import parse as by_music21

    for abc in (REEL, POLKA, *corpus.abc_texts()[:8]):
        theirs = part_score(by_music21(f"%abc-2.1\n{abc}", format="abc", forceSource=True).parts[0])
        assert read_tune(abc).metres == theirs.metres
        if "6/8" not in abc:
            assert events(read_tune(abc)) == events(theirs)


def test_tunes_of_a_file():
    assert [t.split("\n")[0] for t in tunes("%abc\n" + REEL + JIG.replace("\n", "\r\n"))] == ["X:1", "X:2"]
    assert tunes("K:C\nC") == ["K:C\nC"]


def test_the_corpus_is_parsed_once(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(corpus, "abc_texts", lambda: [REEL, JIG, POLKA, REEL])
    seen = []
    first = corpus.corpus(lambda done, total: seen.append((done, total)))
    assert first == [text(REEL), text(POLKA)]
    assert seen == [(1, 3), (2, 3), (3, 3)]  # the jig is not even tried
    assert corpus.parsed().read_text().splitlines()[:-1] == first
    monkeypatch.setattr(corpus, "abc_texts", pytest.fail)
    assert corpus.corpus() == first
    assert [path.name for path in corpus.parsed().parent.iterdir()] == [corpus.parsed().name]
    in_g = MusicDomain(MusicOptions(tonic="G"))
    assert [in_g.encode(t) for t in in_g.corpus()] == [parse(t) for t in first]


@pytest.mark.parametrize("end", [-1, -40, -80, 60, 0])
def test_a_cache_that_was_cut_is_noticed_and_made_again(tmp_path, monkeypatch, end):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(corpus, "abc_texts", lambda: [REEL, JIG, POLKA, REEL])
    first = corpus.corpus()
    corpus.parsed().write_bytes(corpus.parsed().read_bytes()[:end] if end != -1 else b"C4 - - -\n")
    assert corpus.corpus() == first
    assert len(corpus.parsed().read_text().splitlines()) == 3


def test_a_cache_that_cannot_be_written_says_where(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="set XDG_CACHE_HOME"):
        corpus.save(tmp_path / "file" / "cache.txt", ["C4"])


def test_the_real_books_are_there():
    sources = corpus.abc_texts()
    assert len(sources) >= 4433
    some = corpus.collect(sources[:6])
    assert len(some) == 4  # one is in 6/8, one has triplets
    theirs = stretches(batch(*some))
    assert len(theirs) > 500
    assert np.isin(theirs, corpus.known()).all()


def test_what_is_shipped_of_the_books_can_be_made_anew(tmp_path, monkeypatch):
    tunes = ["C4 - D4 - E4 - F4 - G4 - A4 - B4 - C5 - " * 2, "C4 - D4 - E4 - F4 - G4 - A4 - B4 - C5 - G4 - G4 - "]
    monkeypatch.setattr(corpus, "corpus", lambda metre: tunes)
    monkeypatch.setattr(corpus, "SHIPPED", tmp_path)
    corpus.save_known()
    assert corpus.known.__wrapped__().tolist() == stretches(batch(*tunes)).tolist()


def test_by_chance_nothing_is_a_copy():
    random = np.random.default_rng(0).integers(OFF, len(VOCABULARY), (20_000, 64))
    assert not copied(random, corpus.known()).any()


def test_variants_are_the_later_ones():
    tune = "C4 - D4 - E4 - F4 - G4 - A4 - B4 - C5 - " * 3
    other = "E4 - D4 - C4 - D4 - E4 - E4 - E4 - - - " * 3
    ids = [VOCABULARY.encode(t.split()) for t in (tune, other, tune[:-10] + "C4 - C4 -", other + other)]
    assert variants(ids) == [False, False, True, True]


def test_copied_wants_a_stretch_in_a_row_with_notes_in_it():
    book = stretches(batch("C4 - D4 - E4 - F4 - G4 - A4 - B4 - C5 -", "C4 " + "- " * 15), length=10)
    assert copied(batch("G3 - " + "C4 - D4 - E4 - F4 - G4 -"), book, length=10).tolist() == [True]
    assert copied(batch("G3 - " + "C4 - D4 - E4 - F4 - G4 G4"), book, length=10).tolist() == [False]
    assert copied(batch("C4 " + "- " * 15), book, length=10).tolist() == [False]  # a held note is nobody's
    assert copied(batch("C4 - D4"), book, length=10).tolist() == [False]
    assert copied(batch("A4 - B4 - C5 - C4 - - -"), book, length=10).tolist() == [False]  # not over the end of a tune


def test_the_share_that_quotes_falls_with_the_length():
    book = "C4 - D4 - E4 - F4 - G4 - A4 - B4 - C5 - A4 - F4 - D4 - B3 - "
    half = book[: len(book) // 2] + "E4 - E4 - C4 - E4 - D4 - D4 - B3 - C4 - "
    found = quotes.shares(batch(book + book, half + half, "G4 - - A4 " * 16), batch(book))
    assert found[:2] == [pytest.approx(1 / 3)] * 2  # 20 and 24 events
    assert found[2:] == [0] * 4  # 28 and more are longer than the book


def test_what_is_known_of_pickups_is_counted_on_tunes_without_their_bar_lines(tmp_path, monkeypatch):
    """The reel's pickup is known by its length, the polka has none, the jig is in no duple metre."""
    for name, text in (("reel.abc", REEL), ("jig.abc", JIG), ("polka.abc", POLKA)):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr("music21.corpus.getComposer", lambda name: sorted(tmp_path.iterdir()))
    (polka, even), (pickup, notes) = pickups.played("mine")
    assert (polka, even[0].start) == (0, 0)
    assert (pickup, notes[0].start) == (4, 0)
    assert {note.start % 16 for note in notes} >= {0, 4}
    beats = [Note(4 * beat, 4, 60) for beat in range(17)]
    assert pickups.counts([(4, beats), (8, beats), (0, beats), (4, beats[:16]), (0, beats[:16])]) == (5, 3, 3, 1, 1)
