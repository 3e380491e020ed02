"""What a domain does unless it says otherwise: an item a line, tokens as pieces of its text, its text as a picture."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from seqtutor.errors import UserError, shortened
from seqtutor.files import read_text
from seqtutor.vocabulary import Vocabulary

WIDTH = 36  # characters of a line in a picture


@functools.lru_cache(maxsize=8)
def _pattern(vocabulary: Vocabulary) -> re.Pattern[str]:
    """Matches one token, the longest that fits."""
    return re.compile("|".join(map(re.escape, sorted(vocabulary.own, key=len, reverse=True))) or "(?!)", re.DOTALL)


def split(text: str, vocabulary: Vocabulary) -> list[str]:
    """Text to tokens from left to right, each the longest that fits. Raises UserError with the place of a misfit.

    >>> split("CClBr", Vocabulary(["C", "Cl", "Br"]))
    ['C', 'Cl', 'Br']
    """
    pattern, tokens, place = _pattern(vocabulary), [], 0
    while place < len(text):
        found = pattern.match(text, place)
        if found is None:
            raise UserError(f"no token begins with '{text[place]}' (character {place + 1} of '{shortened(text)}')")
        tokens.append(found[0])
        place = found.end()
    return tokens


def lines_of(path: Path) -> Iterator[tuple[str, str]]:
    """The lines of a text file, or of all .txt files in a folder: where each stands, and its text."""
    paths = sorted(path.glob("*.txt")) if path.is_dir() else [path]
    if not paths:
        raise UserError(f"{path} has no .txt files")
    for file in paths:
        for number, line in enumerate(read_text(file).splitlines(), 1):
            if text := line.strip():
                yield f"{file.name}:{number}", text


def write_lines(texts: Sequence[str], folder: Path, name: str) -> list[Path]:
    """The file `<name>.txt` with an item a line."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.txt"
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return [path]


def text_picture(text: str) -> str:
    """The text itself as SVG, escaped and cut into lines.

    >>> text_picture("a<b").count("&lt;")
    2
    """
    rows = [text[i : i + WIDTH] for i in range(0, len(text), WIDTH)] or [""]
    spans = "".join(f'<text x="4" y="{16 + 18 * i}">{_printable(row)}</text>' for i, row in enumerate(rows))
    width, height = 8 + 9 * max(map(len, rows)), 8 + 18 * len(rows)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{_printable(text)}" style="max-width:100%;height:auto" fill="currentColor" '
        f'font-family="ui-monospace,monospace" font-size="14" xml:space="preserve">{spans}</svg>'
    )


def _printable(text: str) -> str:
    """Escaped, and without the control characters that no SVG may hold."""
    return escape("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text))
