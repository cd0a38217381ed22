"""What holds for every conversation of the bridge, looked at when its test is over: I8 (``ledger``) and I7 (``energies``)."""

from collections.abc import Iterator

import pytest

from tests.plugins.bridge import bridged, energies, ledger

JUNK = ("test_junk", "test_up_strange", "test_down_junk", "test_variables_junk", "test_generated", "test_near_generated")
"""What is said there makes no sense: what becomes of it is only valid."""


@pytest.fixture(autouse=True)
def invariants(request: pytest.FixtureRequest) -> Iterator[None]:
    """Of each link that the test drove."""
    bridged.LINKS.clear()
    yield
    links, bridged.LINKS[:] = list(bridged.LINKS), []
    if request.path.stem not in JUNK:
        for link in links:
            assert not (found := ledger.unaccounted(link)), f"I8: nowhere, and not in the ledger: {found[:10]}"
            assert not (unlike := energies.unlike(link)), f"I7: {unlike}"
