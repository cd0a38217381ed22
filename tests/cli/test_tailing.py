"""All lines of a running proxy: each once, however alike they are."""

import asyncio
from typing import Any, cast

import pytest

from ocpp_proxy.cli.tailing import PAGE, all_lines, key_of
from ocpp_proxy.records import Line, Note
from ocpp_proxy.source import Source


class Pages:
    """Gives the lines behind a position; without a capture the newest, wherever one asks."""

    def __init__(self, lines: list[Line], stored: bool) -> None:
        self.lines, self.stored = lines, stored

    async def page(self, where: None, after: int, limit: int) -> list[Line]:
        at = after if self.stored else 0
        return self.lines[at : at + limit]


def note(text: str) -> Line:
    return Line(Note(1, 1, "plugin", text=text))


@pytest.mark.parametrize("stored", [True, False])
def test_lines_that_are_alike_end_nothing(stored: bool) -> None:
    """Hundreds of drops in one turn are equal to the nanosecond."""
    lines = [note("dropped")] * (2 * PAGE + 5) + [note("last")]

    async def body() -> list[Line]:
        source = cast(Source, cast(Any, Pages(lines, stored)))
        return [line async for page in all_lines(source) for line in page]

    assert asyncio.run(body()) == lines


def test_notes_of_one_time_are_told_apart() -> None:
    assert key_of(note("held")) != key_of(note("dropped"))
