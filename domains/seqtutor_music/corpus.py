"""The tunes that the shipped prior learns from, out of music21's wheel: fiddle, fife and pipe tunes of 1778-1903.

Four collections, transcribed in ABC: Aird's *Airs* (1782-1801), O'Neill's *Music of Ireland* (1903), *Ryan's Mammoth
Collection* (1883), and two books of miscellaneous folk tunes. Of their 4,433 tunes 2,687 are read as 4/4; of these
118 change metre or key, have several voices, a faulty bar or too wide a range, and 341 are variants of others: one in
training and the other held out would flatter the held-out loss. There remain 2,228 tunes of 218,505 notes and 562,864
events, 99 % of the notes in the key; from 793 of them bars are left out that have a note off the sixteenth grid
(triplets, mostly). Their sections end in 3,622 different phrases of four bars.

In 6/8 there are 1,258 tunes, of which 1,014 remain (51 unusable, 193 variants): 96,878 notes, 227,148 events, 2,118
phrases; from 65 of them bars are left out. In 3/4 there are 310, of which 259 remain (17, 34): 19,904 notes, 62,508
events, 372 phrases; from 78.

What a melody may not quote of them lies beside this file, as numbers that no tune can be read from. `save_known`
makes them anew.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
from platformdirs import user_cache_dir

from seqtutor import Progress, UserError, silent
from seqtutor.files import read_bytes, write_atomically
from seqtutor.priors.encoding import padded
from seqtutor_music.abc import NAMES, read_tune
from seqtutor_music.context import Values
from seqtutor_music.copies import Codes, quoted, stretches, variants
from seqtutor_music.events import WITH_TRIPLETS, Ids, join, parse
from seqtutor_music.metre import COMMON, Metre
from seqtutor_music.scores import passages
from seqtutor_music.triplets import heard
from seqtutor_music.tunebooks import tunes

COLLECTIONS = ("airdsAirs", "oneills1850", "ryansMammoth", "miscFolk")  # folders of music21's corpus
SHIPPED = Path(__file__).parent  # the folder of what may not be quoted
FORMAT = 5  # of the cached file: raise it whenever the same tunes would come out as other events


def corpus(progress: Progress = silent, metre: Metre = COMMON) -> list[str]:
    """Every usable tune of a metre as text in the frame, in the books' order; from the cache once it is made."""
    path = parsed(metre)
    if path.exists() and (kept := whole(path)):
        return kept
    texts = collect(abc_texts(), progress, metre)
    save(path, texts)
    return texts


def parsed(metre: Metre = COMMON) -> Path:
    """Where the parsed tunes are kept; another version of music21 or of our reading has another file."""
    return Path(user_cache_dir("seqtutor")) / f"music{metre.kind}-{FORMAT}-music21-{version('music21')}.txt"


def _stretches(metre: Metre) -> Path:
    """Where the gaps between the numbers of the stretches are kept, which pack well; with triplets those of these."""
    return SHIPPED / f"stretches{metre.kind}.npz"


@cache
def known(metre: Metre = COMMON) -> Codes:
    """The `stretches` of every tune of the corpus; nothing is parsed."""
    with np.load(_stretches(metre)) as file:
        numbers: Codes = np.cumsum(file["gaps"])
    return np.union1d(numbers, known(replace(metre, triplets=False))) if metre.triplets else numbers


def quoting(ids: Ids, metre: Metre = COMMON) -> Values:
    """-1 for each event that completes two bars in a row, 4 notes or more, which stand in the corpus."""
    return np.where(quoted(ids, known(metre), metre.copy), -1.0, 0.0)


def save_known(metre: Metre = COMMON) -> None:
    """Write what `known` reads."""
    ids = heard(padded([WITH_TRIPLETS.encode(parse(text)) for text in corpus(metre=metre)]))
    numbers = stretches(ids, metre.copy)
    if metre.triplets:
        numbers = np.setdiff1d(numbers, known(replace(metre, triplets=False)))
    np.savez_compressed(_stretches(metre), gaps=np.diff(numbers, prepend=np.uint64(0)))


def abc_texts() -> list[str]:
    """The ABC text of every tune of the four collections, in order."""
    from music21.corpus import getComposer

    paths = [Path(path) for name in COLLECTIONS for path in sorted(getComposer(name))]
    return [tune for path in paths for tune in tunes(path.read_text(encoding="utf-8", errors="replace"))]


def collect(sources: Iterable[str], progress: Progress = silent, metre: Metre = COMMON) -> list[str]:
    """The melodies among ABC tunes; those in another metre or too wide are left out, and variants."""
    candidates = [source for source in sources if states(source, metre)]
    found: list[str] = []
    for done, source in enumerate(candidates, start=1):
        with suppress(UserError):  # the docstring above counts them
            found.append(join(passages(read_tune(source), metre)))
        progress(done, len(candidates))
    alike = variants([WITH_TRIPLETS.encode(parse(text)) for text in found], length=metre.copy)
    return [text for text, variant in zip(found, alike, strict=True) if not variant]


def in_mode(mode: str, metre: Metre = COMMON) -> list[str]:
    """The tunes of the corpus whose key line states a mode."""
    stated: dict[str, str] = {}
    for source in abc_texts():
        if states(source, metre):
            with suppress(UserError):
                score = read_tune(source)
                stated[join(passages(score, metre))] = score.keys[0].mode
    return [text for text in corpus(metre=metre) if stated[text] == mode]


def states(source: str, metre: Metre) -> bool:
    """Whether an ABC tune has a line that states a metre which is read as this one.

    >>> states("X:1\\nM:C|\\nK:C\\nC4|", COMMON), states("X:1\\nM:6/8\\nK:C\\nC3|", COMMON)
    (True, False)
    """
    stated = re.findall(r"(?m)^M:\s*(\S+?)\s*(?:%|$)", source)
    return any(NAMES.get(name, name) in metre.reads for name in stated)


def whole(path: Path) -> list[str]:
    """The texts that `save` wrote; none where the file is cut or changed, so that they are made again."""
    *texts, last = read_bytes(path).decode(errors="replace").splitlines() or [""]
    return texts if last == seal(texts) else []


def seal(texts: Sequence[str]) -> str:
    """The last line of the file: how many texts it has, and their digest."""
    return f"{len(texts)} {hashlib.sha256(chr(10).join(texts).encode()).hexdigest()}"


def save(path: Path, texts: Sequence[str]) -> None:
    """Write one text a line and the seal, whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, "".join(f"{line}\n" for line in [*texts, seal(texts)]).encode())
    except OSError as error:
        raise UserError(
            f"cannot keep the parsed tunes in {path.parent} ({error.strerror}); "
            "set XDG_CACHE_HOME to a folder that you can write to"
        ) from error
