"""What a notebook shows: an item as its picture with a player, a run as its page, tables as DataFrames."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from seqtutor.domain import Domain

RATE = 16000  # samples a second of the player's sound: twice the oscillations of any note that is played, 7,902
FADE = 0.02  # seconds in which a note begins and ends, so that it does not click
VOLUME = 0.3


class Item(str):
    """A text of a domain that a notebook shows as its picture, with a player where it sounds."""

    domain: Domain

    def __new__(cls, text: str, domain: Domain) -> Item:
        """`text` in the domain's notation."""
        item = super().__new__(cls, text)
        item.domain = domain
        return item

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        """A copy, and what is sent to another process, is the text alone."""
        return str, (str(self),)

    def _repr_html_(self) -> str:
        from seqtutor.runs.report.svg import picture_of

        notes = self.domain.notes(self)
        sound = f'<audio controls src="data:audio/wav;base64,{wav(notes)}"></audio>' if notes else ""
        caption = html.escape(self.domain.caption(self))
        picture, notation = (picture_of(self, self.domain, hook)[0] for hook in ("picture", "notation"))
        return f"<figure>{picture}{notation}{sound}<figcaption>{caption}</figcaption></figure>"


def wav(notes: Sequence[tuple[float, float, int]]) -> str:
    """Notes (start and length in seconds, MIDI number) as a WAV file of plain tones, in base64."""
    from scipy.io import wavfile

    end = max(start + length for start, length, _ in notes)
    sound = np.zeros(int(RATE * end) + 1)
    for start, length, pitch in notes:
        time = np.arange(int(RATE * length)) / RATE
        tone = np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * time)
        first = int(RATE * start)
        sound[first : first + len(time)] += tone * np.clip(np.minimum(time, length - time) / FADE, 0, 1)
    file = io.BytesIO()
    wavfile.write(file, RATE, (VOLUME * 32767 * np.clip(sound, -1, 1)).astype("<i2"))
    return base64.b64encode(file.getvalue()).decode()


def page_html(page: str) -> str:
    """A whole page as a frame of its own, so that neither's style touches the other's."""
    return f'<iframe srcdoc="{html.escape(page)}" style="width:100%;height:42rem;border:0"></iframe>'


def table_of(rows: Sequence[Mapping[str, str]]) -> Any:
    """Rows of a CSV file, numbers as numbers, items as text: a DataFrame where pandas is installed, else dicts."""
    columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}
    columns = {name: cells if name == "text" else _numbers(cells) for name, cells in columns.items()}
    try:
        import pandas as pd
    except ImportError:
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return pd.DataFrame(columns)


def _numbers(cells: list[str]) -> list[Any]:
    """A column as whole numbers or as numbers, where each cell is one; an empty one is NaN among these."""
    for number in (int, lambda cell: float(cell or "nan")):
        with suppress(ValueError):
            return [number(cell) for cell in cells]
    return cells
