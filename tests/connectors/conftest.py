"""Everything that passes between a client and a stand-in is held to the vendor's contract."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest
from vendor_contracts import Contract

from hub.testing.kit import Exchange, Sandbox

contract_of = cache(Contract)


@pytest.fixture(autouse=True)
def contracts() -> Iterator[None]:
    """Fails the test when a call or an answer broke the vendor's contract."""
    seen: list[Exchange] = []
    Sandbox.watchers.append(seen.append)
    try:
        yield
    finally:
        Sandbox.watchers.remove(seen.append)
    problems = [p for one in seen for p in contract_of(one.vendor).problems(one)]
    if problems:
        pytest.fail("\n".join(["The vendor's contract is broken:", *dict.fromkeys(problems)]))
