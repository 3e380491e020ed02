"""Checks of what a person sees: pictures, captions, sounds, files, and the prior that the plugin ships."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from seqtutor.errors import UserError
from seqtutor.plugin.contract import PluginError
from seqtutor.runs.report.svg import clean
from seqtutor.testing.subject import Subject, differs, refused, said, shown

LARGE = 200_000  # characters of a picture


def pictures(subject: Subject) -> Iterator[str]:
    """Well-formed SVG that holds nothing but a drawing; parts; a caption of one line; notes that can be played."""
    domain = subject.domain
    for text in subject.texts[:6]:
        try:
            picture, dropped = clean(domain.picture(text))
            domain.coloured(text, [float(count) for _, count in domain.parts(text) for _ in range(count)])
        except UserError as error:
            yield f"{'' if isinstance(error, PluginError) else 'picture: '}{said(error)} (of {shown(text)})"
            return
        if dropped:
            yield f"picture: {', '.join(sorted(set(dropped)))} would be dropped from a page; use shapes and text alone"
            return
        if "viewBox" not in picture or len(picture) > LARGE:
            yield f"picture: it needs a viewBox, and at most {LARGE:,} characters (of {shown(text)})"
            return
        if "\n" in domain.caption(text):
            yield f"caption: it has more than one line (of {shown(text)})"
            return
        if any(start < 0 or length <= 0 or not 0 <= note < 128 for start, length, note in domain.notes(text)):
            yield "notes: each is (start in seconds, length above 0, MIDI number 0 to 127)"
            return
    if subject.texts and differs(lambda: domain.picture(subject.texts[0])):
        yield "picture: it is another one the second time; leave chance out of it"


def files(subject: Subject) -> Iterator[str]:
    """Files in a folder that is missing and, again, in one that is there; none for no items is lawful."""
    folder = subject.folder / "missing" / "folder"
    if not subject.texts:
        return
    for _ in range(2):
        try:
            paths = subject.domain.write(subject.texts[:6], folder)
        except OSError as error:
            yield f"write: {error}; the folder may be missing: folder.mkdir(parents=True, exist_ok=True)"
            return
        lost = [str(path) for path in paths if not path.is_file() or folder not in path.parents]
        if lost or not paths:
            given = ", ".join(lost) or "nothing"
            yield f"write: it says it wrote {given}; give the path of each file, in the folder given"
            return
    if problem := refused(lambda: subject.domain.write((), folder)):
        yield f"{said(problem)} (given no items); a model may write none"


def prior(subject: Subject) -> Iterator[str]:
    """The prior that the plugin names is there, and speaks the domain's tokens."""
    domain, folder = subject.domain, subject.domain.prior
    if folder is None:
        return
    missing = [name for name in ("model.safetensors", "config.json") if not (Path(folder) / name).is_file()]
    if missing:
        yield f"prior: its folder has no {' and no '.join(missing)}; copy there what seqtutor pretrain wrote"
        return
    try:
        about = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        tokens, name = tuple(about["vocabulary"]), about.get("domain")
    except (ValueError, KeyError, TypeError) as error:
        yield f"prior: its config.json is none of a prior ({type(error).__name__}: {error}); make it anew"
        return
    if tokens != domain.vocabulary.own or name != domain.name:
        yield f"prior: it was made for domain '{name}' with {len(tokens)} tokens, not these; make it anew"
    if not os.access(folder / "model.safetensors", os.R_OK):
        yield "prior: its weights cannot be read; mend the permissions"
