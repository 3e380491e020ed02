"""Tunes that everybody knows, written from memory, and absurdities: four bars of 4/4, in C major or A minor.

A tune is written a bar a line: a name and its length in sixteenths, "G4:4" for a quarter, ".:4" for a rest.
"""

from seqtutor_music.events import HOLD_TOKEN, OFF_TOKEN

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


def events(bars):
    """The events of a tune that is written as names and lengths.

    >>> events("C4:4 .:2 G4:2")
    'C4 - - - . - G4 -'
    """
    notes = (note.rsplit(":", 1) for note in bars.split())
    return " ".join(" ".join([name, *[HOLD_TOKEN] * (int(length) - 1)]) for name, length in notes)


def absurd(rng):
    """Name -> events of 64 sixteenths that nobody would keep."""
    scale = ["C4", "D4", "E4", "F4", "G4", "A4", "B4", "C5"]
    return {
        "one note held": events("C4:64"),
        "one note struck": events("C4:4 " * 16),
        "silence": " ".join([HOLD_TOKEN] * 64),
        "a note and silence": events("C4:4 .:60"),
        "tritones": events("F4:4 B4:4 " * 8),
        "tritones and a cadence": events("F4:4 B4:4 " * 7 + "C4:8"),
        "random sixteenths": " ".join(rng.choice(scale, 64)),
        "random events": " ".join(rng.choice([OFF_TOKEN, HOLD_TOKEN, *scale, "F#4", "C#5"], 64)),
        "Alberti bass": events("C4:2 G4:2 E4:2 G4:2 " * 8),
        "Alberti bass and a cadence": events("C4:2 G4:2 E4:2 G4:2 " * 7 + "C4:8"),
        "one cell": events("C4:2 D4:2 E4:4 " * 8),
        "one cell and a cadence": events("C4:2 D4:2 E4:4 " * 7 + "C4:8"),
        "dotted triads": events("C4:3 E4:1 G4:3 C5:1 G4:3 E4:1 C4:3 G4:1 " * 4),
        "the scale for ever": events("C4:1 D4:1 E4:1 F4:1 G4:1 A4:1 B4:1 C5:1 " * 8),
        "a trill": events("E4:1 F4:1 " * 32),
        "octaves": events("C4:2 C5:2 " * 16),
        "off the beat": "- " + events("C4:4 D4:4 E4:4 F4:4 G4:4 F4:4 E4:4 D4:4 " * 2)[:-2],
        "stammering": events("C4:1 .:1 E4:1 .:1 D4:1 .:1 F4:1 .:1 " * 8),
        "four held notes": events("C4:16 E4:16 D4:16 C4:16"),
    }
