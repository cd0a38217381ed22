"""The bench of the bridge runs, both ways measure the same conversations, and its rows are the ones it names."""

import asyncio

from bench.bridge import ROWS, play


def test_it_measures_every_row_both_ways() -> None:
    found = asyncio.run(play(3, 1))
    assert list(found) == ["bridge", "relay"]
    for rows in found.values():
        assert list(rows) == list(ROWS) and all(len(values) == 1 for values in rows.values())
