"""Structure drawings for a page, and the line under them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, TypeVar

from rdkit.Chem.Draw.rdMolDraw2D import MolDraw2DSVG, PrepareMolForDrawing
from rdkit.rdBase import BlockLogs

from seqtutor_molecules import properties
from seqtutor_molecules.smiles import is_atom, tokenise
from seqtutor_molecules.structures import molecule

WIDTH, HEIGHT = 260, 200
_LINE = 1.4
_PAID, _CHARGED = "#3b7dd8", "#e08214"
T = TypeVar("T")

# Carbon and hydrogen take the colour of the page's text; the others read on white and on black alike.
_INK = "#010203"
_PALETTE = {
    5: "#c0675a",
    7: "#4f7fe0",
    8: "#d8504a",
    9: "#2f9550",
    15: "#c46a12",
    16: "#a67c00",
    17: "#2f9550",
    35: "#b0664a",
    53: "#9a5fd0",
}


def picture(smiles: str) -> str:
    """The structure as inline SVG: no background, bonds in the page's own text colour."""
    return _drawn(smiles, {})


def coloured(smiles: str, paid: Sequence[float]) -> str:
    """The same with discs behind the atoms: blue where paid, orange where charged, the fuller the more."""
    worth = [sum(part) for part in _by_atom(smiles, paid)]
    most = max(map(abs, worth), default=0.0) or 1.0
    shades = {i: (*_rgb(_PAID if w > 0 else _CHARGED), abs(w) / most) for i, w in enumerate(worth) if w}
    return _drawn(smiles, shades)


def parts(smiles: str) -> list[tuple[str, int]]:
    """Each atom with the bonds, branches and ring closures behind it, and how many tokens these are.

    >>> parts("CC(=O)Nc1ccccc1")[:4]
    [('C', 1), ('C(=', 3), ('O)', 2), ('N', 1)]
    """
    tokens = tokenise(smiles)
    return [("".join(group), len(group)) for group in _by_atom(smiles, tokens)]


def _by_atom(smiles: str, values: Sequence[T]) -> list[list[T]]:
    """What belongs to the tokens of a SMILES, atom by atom in their order."""
    groups: list[list[T]] = []
    for token, value in zip(tokenise(smiles), values, strict=True):
        if is_atom(token) or not groups:
            groups.append([])
        groups[-1].append(value)
    return groups


def caption(smiles: str) -> str:
    """The figures under a drawing.

    >>> caption("CC(=O)Oc1ccccc1C(=O)O")
    'QED .55 · SA 1.6 · logP 1.3 · 180 Da'
    """
    qed = f"{properties.qed(smiles):.2f}".removeprefix("0")
    sa, logp = properties.sa(smiles), properties.logp(smiles)
    return f"QED {qed} · SA {sa:.1f} · logP {logp:z.1f} · {properties.molecular_weight(smiles):.0f} Da"


def _drawn(smiles: str, shades: Mapping[int, tuple[float, ...]]) -> str:
    """A molecule with discs of these colours behind its atoms."""
    drawing = MolDraw2DSVG(WIDTH, HEIGHT)
    options: Any = drawing.drawOptions()
    options.clearBackground = False
    options.bondLineWidth = _LINE
    options.fixedBondLength = 28  # so that a small molecule is drawn small
    options.minFontSize = 9
    options.padding = 0.06
    options.updateAtomPalette({0: _rgb(_INK), 1: _rgb(_INK), 6: _rgb(_INK)} | {z: _rgb(c) for z, c in _PALETTE.items()})
    with BlockLogs():
        ready = PrepareMolForDrawing(molecule(smiles))
        drawing.DrawMolecule(ready, highlightAtoms=list(shades), highlightAtomColors=dict(shades), highlightBonds=[])
    drawing.FinishDrawing()
    return _trim(str(drawing.GetDrawingText()), smiles)


def _rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = bytes.fromhex(colour[1:])
    return red / 255, green / 255, blue / 255


def _trim(svg: str, smiles: str) -> str:
    """What a page needs of it: a scalable svg element that names the molecule, and its paths without their like."""
    body = svg.partition("<!-- END OF HEADER -->")[2].strip()
    body = re.sub(r" class='[^']*'", "", body)
    body = re.sub(rf" style='fill:none;[^']*stroke:(#\w+);stroke-width:{_LINE}px;[^']*'", r" stroke='\1'", body)
    body = re.sub(_INK, "currentColor", body, flags=re.IGNORECASE)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'fill="none" stroke-width="{_LINE}" stroke-linejoin="round" role="img" aria-label="{escape(smiles)}">{body}'
    )
