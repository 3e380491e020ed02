"""Checks of what a person sees: pictures, captions, sounds, files, and the prior that the plugin ships."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from seqtutor.domain import Domain, SequenceTerm
from seqtutor.errors import UserError, refused
from seqtutor.plugin.contract import PluginError
from seqtutor.runs.explaining import made_of
from seqtutor.runs.report.svg import clean
from seqtutor.testing.subject import Subject, differs, said, shown

LARGE = 200_000  # characters of a picture


def pictures(subject: Subject) -> Iterator[str]:
    """Well-formed SVG that holds nothing but a drawing; parts; a caption of one line; notes that can be played."""
    domain = subject.domain
    for text in subject.texts[:6]:
        if problem := _misdrawn(domain, "picture", text) or _misdrawn(domain, "notation", text):
            yield f"{problem} (of {shown(text)})"
            return
        try:
            domain.coloured(text, [float(count) for _, count in domain.parts(text) for _ in range(count)])
            made_of([replace(t, weight=1.0) for t in domain.terms() if isinstance(t, SequenceTerm)], text)
        except UserError as error:
            yield f"{_named('coloured', error)} (of {shown(text)})"
            return
        if "\n" in domain.caption(text):
            yield f"caption: it has more than one line (of {shown(text)})"
            return
        if any(not 0 <= note < 128 for _, _, note in domain.notes(text)):  # the border has looked at the others
            yield "notes: each is (start in seconds, length above 0, MIDI number 0 to 127)"
            return
    for hook in ("picture", "notation") if subject.texts else ():
        if differs(lambda: getattr(domain, hook)(subject.texts[0])):  # noqa: B023 (called at once)
            yield f"{hook}: it is another one the second time; leave chance out of it"


def _misdrawn(domain: Domain, hook: str, text: str) -> str:
    """What is wrong with a picture or a notation; empty where nothing is, or where there is no notation."""
    try:
        given = getattr(domain, hook)(text)
        if hook == "notation" and not given:
            return ""
        picture, dropped = clean(given)
    except UserError as error:
        return _named(hook, error)
    if dropped:
        return f"{hook}: {', '.join(sorted(set(dropped)))} would be dropped from a page; use shapes and text alone"
    if "viewBox" not in picture or len(picture) > LARGE:
        return f"{hook}: it needs a viewBox, and at most {LARGE:,} characters"
    return ""


def _named(hook: str, error: UserError) -> str:
    """What an error says, with the hook before it where it does not name that itself."""
    return f"{'' if isinstance(error, PluginError) else f'{hook}: '}{said(error)}"


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
    for suffix in subject.domain.joined:
        if not any(path.name.endswith(suffix) for path in paths):
            yield f"joined: it names {suffix}, and write makes no such file"
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
