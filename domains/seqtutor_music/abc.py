"""ABC notation, through music21's reader of its tokens.

music21 makes a stream of objects out of these tokens, which takes twenty times as long as reading them; a melody needs
only pitches, lengths and bar lines. The tests compare the two ways.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from seqtutor import UserError
from seqtutor_music.scores import LARGEST, Bar, Score, Sound

INLINE = re.compile(r"\[([KLMV]:[^\]\n]*)\]")  # music21 takes a field within a line, [K:D], for a chord


def tunes(text: str) -> list[str]:
    """The tunes of an ABC file, each from its `X:` line on; the whole text where there is none."""
    parts = re.split(r"(?m)^(?=X:)", text.replace("\r\n", "\n").replace("\r", "\n"))
    return parts[1:] if len(parts) > 1 else parts


def read_tune(text: str) -> Score:
    """One ABC tune as notated; of a chord the highest note; without grace notes, repeats not played out."""
    tokens = _tokens(text)
    metres = [_metre(token) for token in tokens if _is(token, "ABCMetadata") and token.isMeter()]
    sharps = [token.getKeySignatureParameters()[0] for token in tokens if _is(token, "ABCMetadata") and token.isKey()]
    if len({token.data for token in tokens if _is(token, "ABCMetadata") and token.isVoice()}) > 1:
        raise UserError("it has several voices; a melody has one")
    return Score(tuple(metres), tuple(sharps), tuple(_bars(tokens)))


def _tokens(text: str) -> list[Any]:
    from music21 import abcFormat
    from music21.exceptions21 import Music21Exception

    handler, text = abcFormat.ABCHandler(), INLINE.sub(r"\n\1\n", text)
    try:  # the three steps of handler.process
        handler.parseHeaderForVersionInformation(text[:100])
        handler.tokenize(text)
        _refuse_endless_metres(handler.tokens)
        handler.tokenProcess()
    except (Music21Exception, ValueError, IndexError, KeyError) as error:
        raise UserError(f"music21 cannot read it as ABC: {error}") from error
    return list(handler.tokens)


def _refuse_endless_metres(tokens: list[Any]) -> None:
    for token in tokens:
        if _is(token, "ABCMetadata"):
            token.preParse()
            if token.isMeter() and (parameters := token.getTimeSignatureParameters()) and parameters[0] > LARGEST:
                raise UserError(f"its metre is {parameters[0]}/{parameters[1]}; no melody has one above {LARGEST}")


def _is(token: object, name: str) -> bool:
    """Whether a token is of that class of music21.abcFormat; ABCNote includes ABCChord."""
    return any(cls.__name__ == name for cls in type(token).__mro__)


def _metre(token: Any) -> str:
    parameters = token.getTimeSignatureParameters()
    return f"{parameters[0]}/{parameters[1]}" if parameters else "free"


def _bars(tokens: list[Any]) -> Iterator[Bar]:
    """The bars between bar lines; those without a note or rest are none."""
    sounds: list[Sound] = []
    at = Fraction(0)
    for token in tokens:
        if _is(token, "ABCBar") and at:
            yield Bar(at, tuple(sounds), closes=token.isRepeat() or not token.isRegular())
            sounds, at = [], Fraction(0)
        elif _is(token, "ABCNote") and not token.inGrace:
            length = _length(token)
            if pitches := _pitches(token):
                sounds.append(Sound(at, length, max(pitches), tied=token.tie in ("stop", "continue")))
            at += length
    if at:
        yield Bar(at, tuple(sounds), closes=True)


def _length(token: Any) -> Fraction:
    """Quarters, triplets and broken rhythm included."""
    tuplet = token.activeTuplet.tupletMultiplier() if token.activeTuplet else 1
    return Fraction(token.quarterLength).limit_denominator(960) * Fraction(tuplet).limit_denominator(960)


def _pitches(token: Any) -> list[int]:
    """MIDI numbers of a note or chord; none where it is a rest."""
    notes = token.subTokens if _is(token, "ABCChord") else [token]
    return [_midi(note.pitchName) for note in notes if not note.isRest]


@functools.cache
def _midi(name: str) -> int:
    from music21.pitch import Pitch

    return int(Pitch(name).midi)
