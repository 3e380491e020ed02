"""Steps that are not the model's to choose: how items begin, or what is kept of one that is revised."""

from __future__ import annotations

import torch
from torch import Tensor

from seqtutor.domain import Domain
from seqtutor.errors import UserError, shortened
from seqtutor.files import from_home
from seqtutor.priors.script import Fixed
from seqtutor.vocabulary import PAD

LONGEST_NAME = 255  # characters of a path that a system can ask for; a text may be longer


def given_steps(domain: Domain, primer: str = "", revise: str = "", keep: str = "") -> Fixed | None:
    """The script of them, ids (T,) with PAD where the model chooses; None where it chooses all.

    `primer` and `revise`: text in the domain's notation, or a file that holds one item. `keep`: which of the item to
    revise stay, counted from 1 in the domain's units, such as "1-2,7-8". Raises UserError where they do not fit.
    """
    if bool(revise) != bool(keep):
        raise UserError("--revise ITEM and --keep PARTS go together: which item, and which of it stays, such as 1-2,4")
    if (primer or revise) and domain.template():
        raise UserError("the options of the domain say what every item has: leave out --primer and --revise, or them")
    if primer and revise:
        raise UserError("--primer begins an item and --revise has one already: give one of them, and --keep 1 perhaps")
    if revise:
        return Fixed(_kept(domain, tokens_of(domain, revise), keep))
    if not primer:
        return None
    ids = _ids(domain, tokens_of(domain, primer))
    if len(ids) >= domain.max_length:
        raise UserError(
            f"the primer has {_extent(domain, len(ids))} and an item at most {_extent(domain, domain.max_length)}: "
            f"nothing is left to write; give a shorter one, or make items longer by an option of the domain "
            f"(seqtutor generate {domain.name} -h)"
        )
    return Fixed(ids)


def _kept(domain: Domain, tokens: list[str], keep: str) -> Tensor:
    if not domain.fixed_length:
        raise UserError(f"--revise needs items of a fixed length, and those of domain '{domain.name}' end anywhere")
    if len(tokens) != domain.max_length:
        raise UserError(
            f"the item to revise has {_extent(domain, len(tokens))}; here an item has "
            f"{_extent(domain, domain.max_length)}: "
            f"make items as long by an option of the domain (seqtutor generate {domain.name} -h)"
        )
    count = -(-domain.max_length // domain.unit)
    stays = torch.zeros(count, dtype=torch.bool)
    for first, last in spans(keep, count):
        stays[first - 1 : last] = True
    for place in range(1, count):
        if stays[place] and not stays[place - 1]:
            tokens = domain.detached(tokens, place * domain.unit)
    if stays.all():
        raise UserError(f"--keep {keep} keeps all of it: nothing is left to write")
    return _ids(domain, tokens).masked_fill(~stays.repeat_interleave(domain.unit)[: len(tokens)], PAD)


def behind(domain: Domain, text: str, count: int) -> str:
    """An item without the parts that its first `count` tokens fill, as its own. Raises UserError where it is none.

    The part in which these end stays whole, so that a bar line stays where it was.
    """
    if not domain.fixed_length:
        raise UserError(f"what follows a primer is no item of domain '{domain.name}': leave --without-primer out")
    start = count // domain.unit * domain.unit
    return domain.decode(domain.detached(domain.encode(text), start)[start:])


def spans(text: str, most: int) -> list[tuple[int, int]]:
    """What "1-2,7" says: first and last of each span. Raises UserError for a number that is not from 1 to `most`.

    >>> spans("1-2,7", 8)
    [(1, 2), (7, 7)]
    """
    found = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        try:
            found.append((int(first), int(last if dash else first)))
        except ValueError:  # of a number of some thousand digits too
            raise UserError(f"--keep takes numbers and spans of them, such as 1-2,4, not '{shortened(text)}'") from None
        if not 1 <= found[-1][0] <= found[-1][1] <= most:
            raise UserError(f"--keep has '{part}', and there are 1 to {most}")
    return found


def tokens_of(domain: Domain, word: str) -> list[str]:
    """The tokens of one item, typed or in a file."""
    (item,) = items_of(domain, word, alone=True)
    return domain.encode(item)


def _extent(domain: Domain, tokens: int) -> str:
    """So many tokens in words, with the parts that `--keep` counts where these are another thing."""
    return f"{tokens} tokens" + (f" ({tokens / domain.unit:g} parts)" if domain.unit > 1 else "")


def _ids(domain: Domain, tokens: list[str]) -> Tensor:
    """Ids (T,), without an end."""
    return torch.tensor(domain.vocabulary.encode(tokens), dtype=torch.int64)


def items_of(domain: Domain, word: str, *, alone: bool = False) -> list[str]:
    """The texts that are meant: those of a file that exists, else the word itself. Raises UserError where none is.

    `alone`: it may be the beginning of an item; in a file with one that can be read the others, which cannot, do not
    matter. Else texts are as the domain itself writes them, without the marks of a file.
    """
    path = from_home(word) if len(word) <= LONGEST_NAME else None
    if path is None or not path.is_file():
        if path is not None and path.is_dir():
            raise UserError(f"{word} is a folder; give a file that holds one item")
        try:
            tokens = domain.encode(word)
            return [word if alone else domain.decode(tokens)]
        except UserError as error:
            no_file = "" if " " in word else "; nor is there a file of that name"
            raise UserError(f"{error}{no_file}") from error
    lines = list(domain.read(path))
    good = [line.text for line in lines if line.text is not None]
    if alone and len(good) > 1:
        raise UserError(f"{word} holds {len(lines)} items; give a file that holds one")
    for line in lines:
        if line.text is None and not (alone and len(good) == 1):
            raise UserError(f"{line.where}: {line.problem}")
    if not lines:
        raise UserError(f"{word} is empty: it holds no item of domain '{domain.name}'")
    return good if alone else [domain.decode(domain.encode(text)) for text in good]
