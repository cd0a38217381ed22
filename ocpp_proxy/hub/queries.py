"""What a store may offer beyond writing: answers about what it holds. A store without these has the live lines only.

The methods are those of ``source.Source``, blocking. All but ``Marks.bookmark`` are called in other threads than commits are.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Protocol, runtime_checkable

from ocpp_proxy.fields import Filter
from ocpp_proxy.hub.commits import StoreThread
from ocpp_proxy.model import Link
from ocpp_proxy.records import Line, Record, Row
from ocpp_proxy.source import Bookmark, Charger, Charging, FindingGroup, FoundAt, Sample, Table, View

MAX_ROWS = 100_000                          # of one answer; more are cut and said to be cut
MAX_LINES = 10_000                          # of one page, and rows asked for by number
QUERY_SECONDS = 60.0                        # then the caller is told, and the question is ended where the store can
FILTER_SECONDS = 600.0                      # the same for a filter that may read every payload; who asked is still there
AT_ONCE = 4                                 # questions that are answered beside each other


@runtime_checkable
class Queries(Protocol):
    """A store that answers questions."""

    def query(self, query: str, parameters: Mapping[str, str]) -> Table:
        """A canned query by name, or SQL (in a locked-down child). Raises ``ConfigError`` with what to do."""


@runtime_checkable
class Stream(Protocol):
    """A store that gives back its stream."""

    def links(self) -> list[Link]:
        """All links, oldest first."""

    def page(self, where: Filter | None, after: int, limit: int) -> list[Line]:
        """As ``source.Source.page``."""

    def records(self) -> Iterator[list[Record]]:
        """The stored stream in order, in batches."""


@runtime_checkable
class Rows(Protocol):
    """A store that gives the rows of a traffic list."""

    def numbers(self, view: View, where: Filter | None, after: int = 0, before_message: int = 0) -> "array[int]":
        """As ``source.Source.numbers``."""

    def rows(self, view: View, numbers: Sequence[int]) -> list[Row]:
        """As ``source.Source.rows``."""

    def row_lines(self, view: View, number: int) -> list[Line]:
        """As ``source.Source.row_lines``."""

    def number_of(self, view: View, msg_no: int = 0, frame_id: int = 0) -> int:
        """As ``source.Source.number_of``."""


@runtime_checkable
class Summaries(Protocol):
    """A store that sums up what it holds."""

    def chargers(self) -> list[Charger]:
        """As ``source.Source.chargers``."""

    def finding_groups(self, identity: str = "") -> list[FindingGroup]:
        """As ``source.Source.finding_groups``."""

    def findings(self, code: str = "", identity: str = "", limit: int = 1000) -> list[FoundAt]:
        """As ``source.Source.findings``."""

    def transactions(self, identity: str = "", limit: int = 10_000) -> list[Charging]:
        """As ``source.Source.transactions``."""

    def curve(self, charging: Charging) -> list[Sample]:
        """As ``source.Source.curve``."""


@runtime_checkable
class Marks(Protocol):
    """A store that keeps bookmarks."""

    def bookmarks(self) -> list[Bookmark]:
        """As ``source.Source.bookmarks``."""

    def bookmark(self, mark: Bookmark) -> None:
        """As ``source.Source.bookmark``. Called in the thread of the commits."""


class Ending(Protocol):
    """One question, entered in the thread that asks it."""

    def __enter__(self) -> object:
        """The question begins."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """It is over."""

    def end(self) -> None:
        """From any thread, at any time: what still runs of it raises soon. Does not wait for that."""


@runtime_checkable
class Ends(Protocol):
    """A store whose questions can be ended before they have their answer."""

    def ending(self) -> Ending:
        """What one question is asked in."""


class Known(Rows, Summaries, Protocol):
    """What is known without a store. Rows are asked for in the event loop, summaries in ``thread``."""

    @property
    def thread(self) -> StoreThread:
        """Where the summaries are made."""


@runtime_checkable
class History(Stream, Rows, Summaries, Marks, Protocol):
    """A store that gives back all it holds."""


def cut(table: Table, most: int = MAX_ROWS) -> Table:
    """At most ``most`` rows of a table."""
    return Table(table.columns, table.rows[:most], True) if len(table.rows) > most else table
