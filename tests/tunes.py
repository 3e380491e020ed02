"""Tunes that everybody knows, written from memory, and absurdities: four bars of a metre, in C major or A minor.

A tune is written a bar a line: a name and its length in sixteenths, "G4:4" for a quarter, ".:4" for a rest.
"""

from seqtutor_music.events import HOLD_TOKEN, OFF_TOKEN
from seqtutor_music.metre import COMMON

TUNES = {
    "Ode to Joy": """
        E4:4 E4:4 F4:4 G4:4
        G4:4 F4:4 E4:4 D4:4
        C4:4 C4:4 D4:4 E4:4
        D4:6 C4:2 C4:8""",
    "Twinkle, twinkle": """
        C4:4 C4:4 G4:4 G4:4
        A4:4 A4:4 G4:8
        F4:4 F4:4 E4:4 E4:4
        D4:4 D4:4 C4:8""",
    "Frere Jacques": """
        C4:4 D4:4 E4:4 C4:4
        C4:4 D4:4 E4:4 C4:4
        E4:4 F4:4 G4:8
        E4:4 F4:4 G4:8""",
    "Frere Jacques, its end": """
        G4:2 A4:2 G4:2 F4:2 E4:4 C4:4
        G4:2 A4:2 G4:2 F4:2 E4:4 C4:4
        C4:4 G3:4 C4:8
        C4:4 G3:4 C4:8""",
    "Auld Lang Syne": """
        C4:6 C4:2 C4:4 E4:4
        D4:6 C4:2 D4:4 E4:4
        C4:6 C4:2 E4:4 G4:4
        A4:12 .:4""",
    "Auld Lang Syne, its end": """
        G4:6 E4:2 E4:4 C4:4
        D4:6 C4:2 D4:4 E4:4
        C4:6 A3:2 A3:4 G3:4
        C4:12 .:4""",
    "Yankee Doodle": """
        C5:4 C5:4 D5:4 E5:4
        C5:4 E5:4 D5:4 G4:4
        C5:4 C5:4 D5:4 E5:4
        C5:8 B4:8""",
    "Oh Susanna": """
        E4:4 G4:4 G4:6 A4:2
        G4:4 E4:4 C4:6 D4:2
        E4:4 E4:4 D4:4 C4:4
        D4:12 .:4""",
    "Oh Susanna, its end": """
        E4:4 G4:4 G4:6 A4:2
        G4:4 E4:4 C4:6 D4:2
        E4:4 E4:4 D4:4 D4:4
        C4:16""",
    "Good King Wenceslas": """
        C4:4 C4:4 C4:4 D4:4
        C4:4 C4:4 G3:8
        A3:4 G3:4 A3:4 B3:4
        C4:8 C4:8""",
    "Jingle Bells": """
        E4:4 E4:4 E4:8
        E4:4 E4:4 E4:8
        E4:4 G4:4 C4:6 D4:2
        E4:16""",
    "Jingle Bells, its end": """
        F4:4 F4:4 F4:6 F4:2
        F4:4 E4:4 E4:4 E4:2 E4:2
        G4:4 G4:4 F4:4 D4:4
        C4:16""",
    "When the Saints": """
        E4:8 C4:8
        E4:8 D4:8
        E4:4 E4:4 D4:4 C4:4
        C4:12 .:4""",
    "Au clair de la lune": """
        C4:4 C4:4 C4:4 D4:4
        E4:8 D4:8
        C4:4 E4:4 D4:4 D4:4
        C4:16""",
    "Lightly Row": """
        G4:4 E4:4 E4:8
        F4:4 D4:4 D4:8
        C4:4 D4:4 E4:4 F4:4
        G4:4 G4:4 G4:8""",
    "Lightly Row, its end": """
        G4:4 E4:4 E4:8
        F4:4 D4:4 D4:8
        C4:4 E4:4 G4:4 G4:4
        C4:16""",
    "Mary had a little lamb": """
        E4:4 D4:4 C4:4 D4:4
        E4:4 E4:4 E4:8
        D4:4 D4:4 D4:8
        E4:4 G4:4 G4:8""",
    "Mary had a little lamb, its end": """
        E4:4 D4:4 C4:4 D4:4
        E4:4 E4:4 E4:4 E4:4
        D4:4 D4:4 E4:4 D4:4
        C4:16""",
    "London Bridge": """
        G4:6 A4:2 G4:4 F4:4
        E4:4 F4:4 G4:8
        D4:8 G4:8
        E4:4 C4:12""",
    "Battle Hymn": """
        G4:3 G4:1 G4:3 F4:1 E4:3 G4:1 C5:3 D5:1
        E5:3 E5:1 E5:3 D5:1 C5:4 C5:3 B4:1
        A4:3 A4:1 A4:3 B4:1 C5:3 B4:1 C5:3 A4:1
        G4:3 A4:1 G4:3 E4:1 G4:8""",
    "God rest you merry": """
        A3:4 E4:4 E4:4 D4:4
        C4:4 B3:4 A3:4 G3:4
        A3:4 B3:4 C4:4 D4:4
        E4:12 .:4""",
    "God rest you merry, its end": """
        E4:4 F4:4 G4:4 A4:4
        E4:4 D4:4 C4:4 B3:2 A3:2
        C4:4 B3:4 A3:4 B3:4
        A3:16""",
}

JIGS = {
    "The Irish Washerwoman": """
        E4:2 C4:2 C4:2 G3:2 C4:2 C4:2
        E4:2 C4:2 E4:2 G4:2 F4:2 E4:2
        F4:2 D4:2 D4:2 A3:2 D4:2 D4:2
        F4:2 E4:2 F4:2 A4:2 G4:2 F4:2""",
    "The Irish Washerwoman, its end": """
        E4:2 C4:2 C4:2 G3:2 C4:2 C4:2
        E4:2 C4:2 E4:2 G4:2 F4:2 E4:2
        F4:2 E4:2 F4:2 D4:2 G4:2 F4:2
        E4:2 C4:2 C4:2 C4:6""",
    "Row, row, row your boat": """
        C4:6 C4:6
        C4:4 D4:2 E4:6
        E4:4 D4:2 E4:4 F4:2
        G4:12""",
    "Row, row, row your boat, its end": """
        C5:2 C5:2 C5:2 G4:2 G4:2 G4:2
        E4:2 E4:2 E4:2 C4:2 C4:2 C4:2
        G4:4 F4:2 E4:4 D4:2
        C4:12""",
    "Pop goes the weasel": """
        C4:4 C4:2 D4:4 D4:2
        E4:2 G4:2 E4:2 C4:6
        A4:6 D4:4 F4:2
        E4:6 C4:6""",
    "Humpty Dumpty": """
        E4:4 G4:2 F4:4 A4:2
        G4:2 A4:2 B4:2 C5:6
        E4:4 G4:2 F4:4 A4:2
        G4:2 F4:2 E4:2 D4:6""",
    "Silent night": """
        G4:3 A4:1 G4:2 E4:6
        G4:3 A4:1 G4:2 E4:6
        D5:4 D5:2 B4:6
        C5:4 C5:2 G4:6""",
    "Silent night, its end": """
        D5:4 D5:2 F5:3 D5:1 B4:2
        C5:6 E5:6
        C5:3 G4:1 E4:2 G4:3 F4:1 D4:2
        C4:12""",
    "Greensleeves": """
        C4:4 D4:2 E4:3 F4:1 E4:2
        D4:4 B3:2 G3:3 A3:1 B3:2
        C4:4 A3:2 A3:3 G#3:1 A3:2
        B3:4 G#3:2 E3:6""",
    "Greensleeves, its end": """
        C4:4 D4:2 E4:3 F4:1 E4:2
        D4:4 B3:2 G3:3 A3:1 B3:2
        C4:3 B3:1 A3:2 G#3:3 F#3:1 G#3:2
        A3:12""",
}
WALTZES = {
    "Ach du lieber Augustin": """
        G4:6 A4:2 G4:2 F4:2
        E4:4 C4:4 C4:4
        D4:4 G3:4 G3:4
        E4:4 C4:4 C4:4""",
    "Ach du lieber Augustin, its end": """
        G4:6 A4:2 G4:2 F4:2
        E4:4 C4:4 C4:4
        D4:4 G3:4 G3:4
        C4:12""",
    "God save the King": """
        C4:4 C4:4 D4:4
        B3:6 C4:2 D4:4
        E4:4 E4:4 F4:4
        E4:6 D4:2 C4:4""",
    "Clementine": """
        C4:4 G3:4 E4:3 E4:1
        E4:4 C4:4 C4:3 E4:1
        G4:4 G4:4 F4:3 E4:1
        D4:8 D4:3 E4:1""",
    "Clementine, its end": """
        F4:4 F4:4 E4:3 D4:1
        E4:4 C4:4 C4:3 E4:1
        D4:4 G3:4 B3:3 D4:1
        C4:12""",
    "The first Nowell, its end": """
        C5:4 B4:4 A4:4
        G4:4 A4:4 B4:4
        C5:4 G4:4 F4:4
        E4:12""",
    "Amazing grace": """
        C4:8 E4:2 C4:2
        E4:8 D4:4
        C4:8 A3:4
        G3:12""",
}
BY_METRE = {"4/4": TUNES, "6/8": JIGS, "3/4": WALTZES}


def events(bars):
    """The events of a tune that is written as names and lengths.

    >>> events("C4:4 .:2 G4:2")
    'C4 - - - . - G4 -'
    """
    notes = (note.rsplit(":", 1) for note in bars.split())
    return " ".join(" ".join([name, *[HOLD_TOKEN] * (int(length) - 1)]) for name, length in notes)


def absurd(rng, metre=COMMON):
    """Name -> events of four bars that nobody would keep."""
    scale = ["C4", "D4", "E4", "F4", "G4", "A4", "B4", "C5"]
    bar, steps = metre.bar, 4 * metre.bar

    def cut(bars, cadence=""):
        end = events(cadence).split() if cadence else []
        return " ".join(events(bars).split()[: steps - len(end)] + end)

    alberti, cell = "C4:2 G4:2 E4:2 G4:2 " * 8, f"C4:2 D4:2 E4:{metre.strong - 4} " * 8
    beats = "C4:4 D4:4 E4:4 F4:4 G4:4 F4:4 E4:4 D4:4 "
    return {
        "one note held": cut("C4:64"),
        "one note struck": cut("C4:4 " * 16),
        "silence": " ".join([HOLD_TOKEN] * steps),
        "a note and silence": cut("C4:4 .:60"),
        "tritones": cut("F4:4 B4:4 " * 8),
        "tritones and a cadence": cut("F4:4 B4:4 " * 8, "C4:8"),
        "random sixteenths": " ".join(rng.choice(scale, 64)[:steps]),
        "random events": " ".join(rng.choice([OFF_TOKEN, HOLD_TOKEN, *scale, "F#4", "C#5"], 64)[:steps]),
        "Alberti bass": cut(alberti),
        "Alberti bass and a cadence": cut(alberti, "C4:8"),
        "one cell": cut(cell),
        "one cell and a cadence": cut(cell, "C4:8"),
        "dotted triads": cut("C4:3 E4:1 G4:3 C5:1 G4:3 E4:1 C4:3 G4:1 " * 4),
        "the scale for ever": cut("C4:1 D4:1 E4:1 F4:1 G4:1 A4:1 B4:1 C5:1 " * 8),
        "a trill": cut("E4:1 F4:1 " * 32),
        "octaves": cut("C4:2 C5:2 " * 16),
        "off the beat": "- " + cut(beats * 2)[:-2],
        "stammering": cut("C4:1 .:1 E4:1 .:1 D4:1 .:1 F4:1 .:1 " * 8),
        "four held notes": events(f"C4:{bar} E4:{bar} D4:{bar} C4:{bar}"),
    }
