"""A melody in staff notation, engraved by verovio where that is installed (`pip install 'seqtutor[staff]'`).

What verovio writes leans on a style sheet, on signs that are named and used again, and on a picture within the picture.
A page drops the first, and two pictures with the same names in one page would share their signs. So the drawing is
written anew with each sign in its place: shapes and text alone, no name, no link.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from seqtutor_music.events import Note
from seqtutor_music.pictures import describe
from seqtutor_music.sheets import Sheet, musicxml

MOST = 24  # bars that are drawn: a picture of more is larger than all else on a page
LINE = 2  # bars side by side: they can be read on a page 390 pixels wide
SCALE = 0.04  # pixels of verovio's unit where nobody sets the width: as wide as the piano roll of four bars
OPTIONS = {
    "pageWidth": 1200,
    "pageHeight": 60_000,  # the most: all of it stands on one page
    "adjustPageHeight": True,
    "breaks": "smart",
    "breaksSmartSb": 0.0,  # always where the sheet says, and where two bars do not fit
    "header": "none",
    "footer": "none",
    "svgViewBox": True,
    "svgRemoveXlink": True,
    "svgFormatRaw": True,
    "minLastJustification": 0.25,  # a line as full as this is drawn to the margin
    "smuflTextFont": "none",
    "justifyVertically": False,
    "pageMarginLeft": 20,  # room for the number of a bar
    "pageMarginRight": 5,
    "pageMarginTop": 10,
    "pageMarginBottom": 10,
}
SIGNS = str.maketrans({"\uea64": "♭", "\uea65": "♮", "\uea66": "♯"})  # as every font of text has them
SHAPES = frozenset({"path", "polygon", "polyline", "rect", "ellipse"})
KEPT = ("d", "points", "cx", "cy", "rx", "ry", "x", "y", "width", "height", "transform", "stroke-width")
HIDDEN = "placeholder"  # a class of groups that verovio's style sheet hides


def staff(notes: Sequence[Note], steps: int, sheet: Sheet) -> str:
    """SVG of the melody over `steps` sixteenths; empty where verovio is missing, or for more than MOST bars."""
    engraver = _engraver()
    if engraver is None or steps > MOST * sheet.metre.bar:
        return ""
    engraver.loadData(musicxml(notes, steps, sheet, line=LINE))
    root = ElementTree.fromstring(re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", engraver.renderToSVG(1)))  # noqa: S314 (ours)
    signs = {sign.get("id", ""): sign[0] for sign in root.iterfind("defs/g")}
    (drawing,) = root.iterfind("svg")
    box, told = drawing.get("viewBox", ""), f"staff notation: {describe(notes, sheet.key)}"
    width, height = (float(side) * SCALE for side in box.split()[2:])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" width="{width:g}" height="{height:g}" '
        f'role="img" aria-label="{told}" style="max-width:100%;height:auto" '
        f'fill="currentColor" stroke="currentColor" font-family="Georgia,serif"><title>{told}</title>'
        f"{''.join(_drawn(drawing, signs))}</svg>"
    )


def _engraver() -> Any:
    """Verovio, told how to draw; None where it is not installed."""
    try:
        import verovio
    except ImportError:
        return None
    verovio.enableLog(verovio.LOG_OFF)
    verovio.setDefaultResourcePath(str(files("verovio") / "data"))  # it forgets its own in a second thread
    engraver = verovio.toolkit()
    engraver.setOptions(OPTIONS)
    return engraver


def _drawn(parent: Element, signs: Mapping[str, Element]) -> Iterator[str]:
    """What is seen within an element, group by group, without the groups that move nothing."""
    for child in parent:
        if HIDDEN in child.get("class", ""):
            continue
        if child.tag in SHAPES:
            open_line = ' fill="none"' if child.tag == "polyline" else ""  # the bracket of a triplet
            yield f"<{child.tag} {_attributes(child)}{open_line}/>"
        elif child.tag == "use":
            sign = signs[child.get("href", "").removeprefix("#")]
            move = f"{child.get('transform')} {sign.get('transform')}"
            yield f'<path d="{sign.get("d")}" transform="{move}" stroke="none"/>'
        elif child.tag == "text":
            yield _text(child)
        elif shift := child.get("transform"):
            yield f'<g transform="{shift}">{"".join(_drawn(child, signs))}</g>'
        else:
            yield from _drawn(child, signs)


def _text(element: Element) -> str:
    """Words in the size of their first part."""
    words = "".join(element.itertext()).translate(SIGNS).strip()
    sizes = [part.get("font-size", "") for part in element.iter("tspan") if part.get("font-size")]
    anchor = f' text-anchor="{element.get("text-anchor")}"' if element.get("text-anchor") else ""
    place = f'x="{element.get("x", "0")}" y="{element.get("y", "0")}" font-size="{sizes[0]}"{anchor}'
    return f'<text {place} stroke="none">{escape(words)}</text>'


def _attributes(element: Element) -> str:
    return " ".join(f'{key}="{element.get(key)}"' for key in KEPT if element.get(key) is not None)
