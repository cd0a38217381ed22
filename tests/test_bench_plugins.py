"""The bench of plugins runs, and its rows are the ones it names."""

import asyncio

from bench.plugins import play


def test_it_measures_every_row() -> None:
    found = asyncio.run(play(200, 1))
    assert list(found) == ["splice", "one plugin that does nothing", "five of them"]
    assert all(len(values) == 1 for values in found.values())
