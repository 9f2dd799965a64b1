"""Everything that passes between a client and a stand-in is held to the vendor's contract."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from vendor_contracts import held_to_contracts

from hub.testing.kit import Exchange


@pytest.fixture(autouse=True)
def exchanges() -> Iterator[list[Exchange]]:
    """What passes; the test fails when a call or an answer breaks the vendor's contract."""
    with held_to_contracts() as seen:
        yield seen
