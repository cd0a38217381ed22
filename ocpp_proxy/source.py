"""``Source``: the one interface for live traffic and for files. tail, query, check, export and the TUI take nothing else."""

from collections.abc import AsyncIterator
from typing import Any, Protocol

from msgspec import Struct

from ocpp_proxy.fields import Filter
from ocpp_proxy.model import Link
from ocpp_proxy.records import Line, Record


class Table(Struct, frozen=True):
    """The result of a query: column names and rows of plain JSON values. ``cut``: more rows existed than were sent."""

    columns: list[str]
    rows: list[list[Any]]
    cut: bool = False


class Source(Protocol):
    """A running proxy, a capture file or folder, or a trace."""

    live: bool
    title: str

    async def links(self) -> list[Link]:
        """All links, oldest first."""

    async def page(self, where: Filter | None, after: int, limit: int) -> list[Line]:
        """Up to ``limit`` lines that pass the filter, behind the first ``after`` lines that pass (0: from the start)."""

    def follow(self, where: Filter | None) -> AsyncIterator[list[Line]]:
        """Lines as they come, in batches, from now on. On a file: all of it, then it ends."""

    def records(self) -> AsyncIterator[list[Record]]:
        """The stored stream in order, in batches: what ``check`` and ``export`` run on."""

    async def query(self, query: str, parameters: dict[str, str]) -> Table:
        """A canned query by name, or SQL (which runs in a locked-down child process)."""

    async def close(self) -> None:
        """Let go of it."""
