"""Files of many ABC tunes, with prose and words for paper between them."""

from __future__ import annotations

import re

from seqtutor_music.abc import FIELD

TYPESET = re.compile(r"%%(begin|end)(\w+)")  # what stands between is words for paper


def tunes(text: str) -> list[str]:
    """The tunes of an ABC file, each from its `X:` line to an empty one; the fields before the first of them serve all.

    >>> tunes("M:4/4\\n\\nX:1\\nK:C\\nC4|\\n\\nA tale.\\n\\nX:2\\nK:G\\nG4|")
    ['X:1\\nM:4/4\\nK:C\\nC4|\\n', 'X:2\\nM:4/4\\nK:G\\nG4|']
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    head, *parts = re.split(r"(?m)^(?=X:)", _music_alone(lines))
    common = "".join(f"{line}\n" for line in head.splitlines() if FIELD.fullmatch(line))
    return [_ended(part.replace("\n", f"\n{common}", 1)) for part in parts] or [_ended(head)]


def _music_alone(text: str) -> str:
    """A text without what stands between `%%begintext` and `%%endtext`, and so on; what never ends stays."""
    lines = text.split("\n")
    found = [TYPESET.match(line) for line in lines]
    ends = {mark[2]: i for i, mark in enumerate(found) if mark and mark[1] == "end"}  # the last of each kind
    kept, within = list[str](), ""
    for i, (line, mark) in enumerate(zip(lines, found, strict=True)):
        if mark and mark[1] == "begin" and not within and ends.get(mark[2], -1) > i:
            within = mark[2]
        elif not within:
            kept.append(line)
        elif mark and mark[1] == "end" and mark[2] == within:
            within = ""
    return "\n".join(kept)


def _ended(tune: str) -> str:
    """A tune without what stands behind an empty line, where no bar line follows: prose between tunes."""
    lines = tune.split("\n")
    key = next((i for i, line in enumerate(lines) if line.startswith("K:")), len(lines))
    music = [i for i, line in enumerate(lines) if i > key and line.strip()]
    last = max((i for i in music if "|" in lines[i]), default=music[0] if music else key)
    end = next((i for i in range(last + 1, len(lines)) if not lines[i].strip()), len(lines))
    return "\n".join(lines[:end]) + "\n" * (end < len(lines))
