"""What a store may offer beyond writing: answers about what it holds. A store without these has the live lines only."""

from collections.abc import Iterator, Mapping
from typing import Protocol, runtime_checkable

from ocpp_proxy.fields import Filter
from ocpp_proxy.model import Link
from ocpp_proxy.records import Line, Record
from ocpp_proxy.source import Table

MAX_ROWS = 100_000                          # of one answer; more are cut and said to be cut
MAX_LINES = 10_000                          # of one page
QUERY_SECONDS = 60.0                        # then the caller is told; the store may still be busy
AT_ONCE = 4                                 # questions that are answered beside each other


@runtime_checkable
class Queries(Protocol):
    """A store that answers questions. Called in other threads than commits are."""

    def query(self, query: str, parameters: Mapping[str, str]) -> Table:
        """A canned query by name, or SQL (in a locked-down child). Raises ``ConfigError`` with what to do."""


@runtime_checkable
class History(Protocol):
    """A store that gives back what it holds. Called in other threads than commits are."""

    def links(self) -> list[Link]:
        """All links, oldest first."""

    def page(self, where: Filter | None, after: int, limit: int) -> list[Line]:
        """As ``source.Source.page``."""

    def records(self) -> Iterator[list[Record]]:
        """The stored stream in order, in batches."""


def cut(table: Table, most: int = MAX_ROWS) -> Table:
    """At most ``most`` rows of a table."""
    return Table(table.columns, table.rows[:most], True) if len(table.rows) > most else table
