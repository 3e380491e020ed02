"""Pictures for the page: a domain's own, cleaned."""

from __future__ import annotations

from seqtutor.domain import Domain
from seqtutor.errors import UserError
from seqtutor.runs.report.svg import clean


def drawn(text: str, domain: Domain) -> tuple[str, str]:
    """The picture, cleaned, and why there is none; neither where the text is empty."""
    try:
        return (clean(domain.picture(text))[0], "") if text else ("", "")
    except (UserError, ValueError) as error:  # a plugin's mistake, or a table that somebody else wrote
        return "", str(error)


def written_down(text: str, domain: Domain) -> tuple[str, str]:
    """The notation, cleaned, and why there is none; neither where the domain has none for it."""
    try:
        notation = domain.notation(text) if text else ""
        return (clean(notation)[0], "") if notation else ("", "")
    except (UserError, ValueError) as error:
        return "", str(error)
