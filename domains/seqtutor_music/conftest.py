"""What the doctests here know without an import."""

from typing import Any

import pytest

from seqtutor_music.events import batch


@pytest.fixture(autouse=True)
def known(doctest_namespace: dict[str, Any]) -> None:
    """Melodies are written as `batch` reads them."""
    doctest_namespace["batch"] = batch
