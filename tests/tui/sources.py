"""A source made of lines in memory, for tests of the terminal UI. Its rows are made by the same code as everybody's."""

import asyncio
from array import array
from collections.abc import AsyncIterator, Sequence
from functools import partial

from ocpp_proxy.core import rows
from ocpp_proxy.fields import Filter, compile
from ocpp_proxy.fields.rows import compile_rows
from ocpp_proxy.model import ConfigError, Link
from ocpp_proxy.records import Line, Record, Row
from ocpp_proxy.source import Bookmark, Charger, Charging, FindingGroup, FoundAt, LogLine, Sample, Table, View


class MemorySource:
    """Lines given at the start, and more by ``push`` where it is live."""

    def __init__(self, lines: Sequence[Line] = (), links: Sequence[Link] = (), live: bool = False, stored: bool = True) -> None:
        self.live, self.stored, self.title = live, stored, "memory"
        self._lines, self._links = list(lines), list(links)
        self._fresh: asyncio.Queue[list[Line]] = asyncio.Queue()
        self.marks: dict[int, Bookmark] = {}
        self.logged: list[LogLine] = []
        self.known_chargers: list[Charger] = []
        self.groups: list[FindingGroup] = []
        self.found: list[FoundAt] = []
        self.sessions: list[Charging] = []
        self.samples: list[Sample] = []
        self.tables: dict[str, Table] = {}
        self.closed = False

    def push(self, *lines: Line) -> None:
        """More lines come."""
        self._lines += lines
        self._fresh.put_nowait(list(lines))

    async def links(self) -> list[Link]:
        return self._links

    async def page(self, where: Filter | None, after: int, limit: int) -> list[Line]:
        passes = compile(where, self._by_id())
        return [line for line in self._lines if passes(line)][after : after + limit]

    async def follow(self, where: Filter | None, last: int = 0) -> AsyncIterator[list[Line]]:
        passes = compile(where, self._by_id())
        if last or not self.live:
            yield [line for line in self._lines if passes(line)][-last:]
        while self.live:
            yield [line for line in await self._fresh.get() if passes(line)]

    async def records(self) -> AsyncIterator[list[Record]]:
        yield [line.record for line in self._lines]

    async def numbers(self, view: View, where: Filter | None, after: int = 0, before_message: int = 0) -> "array[int]":
        test = compile_rows(where, self._by_id()) if where is not None else None
        found = array("q")
        for number, lines in self._rows(view):
            row = rows.whole(lines, self._by_id(), number)
            if before_message and row is not None and row.msg_no >= before_message:
                break
            if row is not None and number > after and (test is None or test(row, partial(list, lines))):
                found.append(number)
        return found

    async def rows(self, view: View, numbers: Sequence[int]) -> list[Row]:
        wanted = set(numbers)
        made = (rows.whole(lines, self._by_id(), number) for number, lines in self._rows(view) if number in wanted)
        return [row for row in made if row is not None]

    async def row_lines(self, view: View, number: int) -> list[Line]:
        return next((lines for at, lines in self._rows(view) if at == number), [])

    async def number_of(self, view: View, msg_no: int = 0, frame_id: int = 0) -> int:
        for number, lines in self._rows(view):
            for line in lines:
                row = rows.begin(line, {})
                if (msg_no and row.msg_no == msg_no) or (frame_id and row.frame_id == frame_id):
                    return number
        return 0

    async def chargers(self) -> list[Charger]:
        return self.known_chargers

    async def finding_groups(self, identity: str = "") -> list[FindingGroup]:
        return [group for group in self.groups if not identity or identity in group.chargers]

    async def findings(self, code: str = "", identity: str = "", limit: int = 1000) -> list[FoundAt]:
        return [one for one in self.found if (not code or one.finding.code == code)
                and (not identity or one.finding.identity == identity)][:limit]

    async def transactions(self, identity: str = "", limit: int = 10_000) -> list[Charging]:
        return [one for one in self.sessions if not identity or one.identity == identity][:limit]

    async def curve(self, charging: Charging) -> list[Sample]:
        return self.samples

    async def bookmarks(self) -> list[Bookmark]:
        return [self.marks[key] for key in sorted(self.marks)]

    async def bookmark(self, mark: Bookmark) -> None:
        self.marks[mark.msg_no] = mark

    async def log(self, after_ns: int = 0) -> list[LogLine]:
        return [line for line in self.logged if line.time_ns > after_ns]

    async def query(self, query: str, parameters: dict[str, str]) -> Table:
        if query not in self.tables:
            raise ConfigError(f"query {query}: there is none")
        return self.tables[query]

    async def close(self) -> None:
        self.closed = True

    def _by_id(self) -> dict[int, Link]:
        return {link.link_id: link for link in self._links}

    def _rows(self, view: View) -> list[tuple[int, list[Line]]]:
        """Numbers are places in the list, from 1."""
        if view == "frames":
            return [(at, [line]) for at, line in enumerate(self._lines, 1)]
        found: dict[int, list[Line]] = {}
        calls: dict[int, int] = {}
        beside: set[int] = set()            # Calls that are translations, and no rows
        for at, line in enumerate(self._lines, 1):
            call = calls.get(rows.call_of(line) or -1)
            if rows.is_translation(line):
                beside.add(rows.begin(line, {}).msg_no)
            elif rows.call_of(line) in beside:
                continue
            elif call is not None:
                found[call].append(line)
            elif rows.is_row(line):
                found[at] = [line]
                calls[rows.begin(line, {}).msg_no] = at
        return list(found.items())
