"""Melodies for seqtutor: events, a corpus of folk tunes, the rules of the Sequence Tutor paper, MIDI and pictures."""

from seqtutor_music.domain import MusicDomain

__all__ = ["MusicDomain"]
