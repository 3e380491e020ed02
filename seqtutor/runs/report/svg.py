"""A domain's pictures for the page, made harmless: SVG read as XML, all but drawing dropped, and written anew."""

from __future__ import annotations

import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from markupsafe import Markup

from seqtutor.domain import Domain
from seqtutor.errors import UserError

LARGEST = 1_000_000  # characters
DRAWING = frozenset(
    """
    svg g defs symbol use title desc path rect circle ellipse line polyline polygon text tspan
    linearGradient radialGradient stop clipPath mask pattern marker
    """.split()  # noqa: SIM905 (names read better in rows)
)
DATA = ("data-seconds", "data-from", "data-to")  # what the page's player reads
_UNSAFE = re.compile(r"url\s*\(\s*['\"]?(?!#)|[@\\<]|/\*|position|expression|javascript:", re.IGNORECASE)


def picture_of(text: str, domain: Domain, hook: str = "picture") -> tuple[Markup, str]:
    """The picture, or the notation, cleaned, and why there is none; both empty where the domain has none."""
    try:
        given = getattr(domain, hook)(text) if text else ""
        return Markup(clean(given)[0] if given else ""), ""  # noqa: S704 (cleaned)
    except (UserError, ValueError) as error:  # a plugin's mistake, or a table that somebody else wrote
        return Markup(), str(error)


def clean(picture: str) -> tuple[str, list[str]]:
    """The picture as markup that may stand in a page, and what was dropped from it. Raises UserError if it is no SVG.

    >>> clean('<svg viewBox="0 0 9 9" onload="alert(1)"><script>alert(2)</script><path d="M0 0h9"/></svg>')
    ('<svg viewBox="0 0 9 9"><path d="M0 0h9" /></svg>', ['onload', '<script>'])
    """
    if len(picture) > LARGEST:
        raise UserError(f"the picture has {len(picture):,} characters; at most {LARGEST:,} go into a page")
    if re.search(r"<!(?!--|\[CDATA\[)", picture):
        raise UserError("the picture holds a <!...> of a document; it must begin with <svg and end with </svg>")
    try:
        root = ElementTree.fromstring(picture.strip())  # noqa: S314 (no <!DOCTYPE, so that no entities can be made)
        if _name(root.tag) != "svg":
            raise UserError(f"the picture is a <{_name(root.tag)}>; it must begin with <svg and end with </svg>")
        dropped: list[str] = []
        _clean(root, dropped)
        return ElementTree.tostring(root, encoding="unicode"), dropped
    except (ElementTree.ParseError, RecursionError, ValueError) as error:
        raise UserError(f"the picture is no well-formed SVG: {error}; escape text with html.escape") from error


def _clean(element: Element, dropped: list[str]) -> None:
    """Keep of an element and all within what draws; names lose their namespace, as HTML has none."""
    element.tag = _name(element.tag)
    for key, value in list(element.attrib.items()):
        del element.attrib[key]
        name = _name(key)
        if _harmless(name, value):
            element.set(name, value)
        else:
            dropped.append(name)
    for child in list(element):
        if _name(child.tag) in DRAWING:
            _clean(child, dropped)
        else:
            dropped.append(f"<{_name(child.tag)}>")
            element.remove(child)


def _harmless(name: str, value: str) -> bool:
    if name.lower().startswith("on") or (name.startswith("data-") and name not in DATA):
        return False
    if name.lower() in ("href", "src"):
        return value.startswith("#")
    return not (name in ("style", "fill", "stroke", "filter", "mask", "clip-path") or name.startswith("marker")) or (
        _UNSAFE.search(value) is None
    )


def _name(tag: str) -> str:
    return tag.rpartition("}")[2]
