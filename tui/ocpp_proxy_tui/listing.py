"""One list of rows, filtered or not: what is stored, and behind it what the ring holds. Every row once.

The two meet at a message: the first one in the ring that begins a row. What stands before it in the ring is in the history,
too, and so is shown from there. When chunks leave the ring, the history is owed as many rows and gets them a moment later.
"""

import asyncio
import time
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Callable
from functools import partial

from msgspec import Struct

from ocpp_proxy.fields import Filter, Links, joined, parse
from ocpp_proxy.fields.rows import RowTest, compile_rows
from ocpp_proxy.model import CaptureError, ConfigError
from ocpp_proxy.records import Line, Row
from ocpp_proxy.source import Source, View
from ocpp_proxy_tui.history import History
from ocpp_proxy_tui.ring import Ring

SLICE_SECONDS = 0.005                       # rows are put to a filter for so long between two turns of the event loop
STEP = 64                                   # rows between two looks at the clock
SETTLE_SECONDS = 0.5                        # until the ring's newest message is in the capture, it is asked for this often
SETTLE_TRIES = 20                           # and so many times
EXTEND_SECONDS = 1.0                        # the history grows at most this often
RETRY_SECONDS = 2.0
_FAULTS = (CaptureError, ConfigError, OSError)


class Listing:
    """Rows by index: ``first`` to ``end``. ``shifted(at, by)`` tells that rows from ``at`` on have another index now.

    ``first`` is above 0 only where what leaves the ring is stored nowhere. ``arrived()``: rows that were not there came.
    """

    def __init__(
        self, source: Source, view: View, where: Filter | None, links: Links, ring: Ring | None,
        arrived: Callable[[], None], shifted: Callable[[int, int], None],
    ) -> None:
        self.source, self.view, self.where, self.ring = source, view, where, ring
        self.history = History(source, view, arrived)
        self.loaded = asyncio.Event()       # the history has been asked for and is here
        self.trouble = ""
        self._links, self._arrived, self._shifted = links, arrived, shifted
        self._test: RowTest | None = compile_rows(where, links) if where is not None else None
        self._before = 0                    # places before the ring's part: stored rows and rows owed (or gone)
        self._start = self._scanned = ring.first if ring else 0
        self._hits = array("q")             # positions in the ring that pass; unused without a filter
        self._changes_seen = ring.changed if ring else 0
        self._touched = self._changes_seen
        self._after = 0                     # the history is complete up to this ordinal
        self._asked_end = -1
        self._missed_seen = ring.missed if ring else 0
        self._extending: asyncio.Task[None] | None = None
        self._scanning: asyncio.Task[None] | None = None
        self._matches: tuple[str, int, array[int]] = ("", 0, array("q"))

    # -- what is where ---------------------------------------------------------------------------------------------

    @property
    def first(self) -> int:
        """Index of the first row that can still be shown."""
        return 0 if self.source.stored else self._before

    @property
    def end(self) -> int:
        """One behind the last row."""
        if self.ring is None:
            return self._before
        return self._before + (len(self._hits) if self._test else max(0, self.ring.end - self._start))

    @property
    def busy(self) -> str:
        """What is being done, for the status line; empty when nothing is."""
        if self.ring is not None and self._test and self._scanned < self.ring.end - STEP:
            done = 100 * (self._scanned - self._start) // max(1, self.ring.end - self._start)
            return f"filtering {done}%"
        return "" if self.loaded.is_set() else "loading"

    def at(self, index: int) -> Row | None:
        """The row at an index; None: not here yet."""
        if index < len(self.history.numbers):
            return self.history.at(index)
        position = self._position(index)
        if self.ring is None or position is None or position < self.ring.first:
            return None
        return self.ring.get(position)

    def glance(self, index: int) -> Row | None:
        """As ``at``, at once: maybe without the summary."""
        position = self._position(index) if index >= len(self.history.numbers) else None
        if self.ring is not None and position is not None and position >= self.ring.first:
            return self.ring.row(position)
        return self.at(index)

    def lines_here(self, index: int) -> list[Line] | None:
        """The lines of a row of the ring; None: they have to be fetched."""
        position = self._position(index)
        if self.ring is None or position is None or not self.ring.first <= position < self.ring.end:
            return None
        return self.ring.lines(position) if self.ring.complete(position) else None

    async def lines(self, index: int) -> list[Line]:
        """The lines of a row, fetched where need be; none where the row cannot be reached any more."""
        here = self.lines_here(index)
        if here is not None:
            return here
        if index < len(self.history.numbers):
            return await self.source.row_lines(self.view, self.history.numbers[index])
        row = self.at(index)
        if row is None:
            return []
        number = await self.source.number_of(self.view, row.msg_no, 0 if row.msg_no else row.frame_id)
        found = await self.source.row_lines(self.view, number) if number else []
        position = self._position(index)
        if not found and self.ring is not None and position is not None and self.ring.first <= position < self.ring.end:
            return self.ring.lines(position)        # without what was too large to keep
        return found

    async def index_of(self, msg_no: int = 0, frame_id: int = 0, number: int = 0) -> int | None:
        """Where a row is; None: not in this list."""
        await self.loaded.wait()
        if self.ring is not None and not number:
            position = self.ring.position_of(msg_no, frame_id)
            if position is not None and position >= self._start:
                return self._index(position)
        number = number or await self.source.number_of(self.view, msg_no, frame_id)
        return self._of_number(number) if number else None

    async def nearest(self, row: Row) -> int | None:
        """Where a row stands that has no number, or would stand: the same line, else the last row not later; None: no rows."""
        await self.loaded.wait()
        low, high = self.first, self.end
        while low < high:
            at = (low + high) // 2
            found = await self._row(at)
            low, high = (low, at) if found is None or found.time_ns > row.time_ns else (at + 1, high)
        place = low - 1
        while place >= self.first and (found := await self._row(place)) is not None and found.time_ns == row.time_ns:
            if (found.kind, found.link_id, found.summary) == (row.kind, row.link_id, row.summary):
                return place
            place -= 1
        return max(low - 1, self.first) if self.end > self.first else None

    async def _row(self, index: int) -> Row | None:
        row = self.at(index)
        if row is None and index < len(self.history.numbers):
            row = next(iter(await self.source.rows(self.view, [self.history.numbers[index]])), None)
        return row

    # -- what has come ---------------------------------------------------------------------------------------------

    def catch_up(self) -> None:
        """Take in what has happened in the ring; what takes longer goes on in the background."""
        if self.ring is not None:
            self._leave(self.ring)
            if self._test is not None:
                self._retest(self.ring, self._test)
                self._scan(self.ring, self._test)
                if self._scanned < self.ring.end and (self._scanning is None or self._scanning.done()):
                    self._scanning = asyncio.ensure_future(self._scan_on(self.ring, self._test))
        if self.source.stored and self._lacks() and (self._extending is None or self._extending.done()):
            self._extending = asyncio.ensure_future(self._extend())
        elif not self.source.stored:
            self.loaded.set()

    def touched(self, low: int, high: int) -> bool:
        """Whether rows of the ring between these indexes changed since this was asked last."""
        ring = self.ring
        count = ring.changed - self._touched if ring is not None else 0
        if ring is None or not count:
            return False
        self._touched = ring.changed
        begin, end = self._position(max(low, self._before)), self._position(min(high, self.end) - 1)
        if count > len(ring.changes):
            return True
        if begin is None or end is None:
            return False
        return any(begin <= ring.changes[-at] <= end for at in range(1, count + 1))

    def stop(self) -> None:
        """It is not shown any more."""
        self.history.stop()
        for task in (self._extending, self._scanning):
            if task is not None:
                task.cancel()

    def _leave(self, ring: Ring) -> None:
        """Rows that left the ring, or stand before its first message, are the history's."""
        start = ring.message_from(max(self._start, ring.first)) if self.source.stored else max(self._start, ring.first)
        if start == self._start:
            return
        if self._test is None:
            self._before += start - self._start
        else:
            gone = bisect_left(self._hits, start)
            del self._hits[:gone]
            self._before += gone
            self._scanned = max(self._scanned, start)
        self._start = start

    def _retest(self, ring: Ring, test: RowTest) -> None:
        """Rows that changed may pass now, or no longer."""
        count = ring.changed - self._changes_seen
        self._changes_seen = ring.changed
        if count > len(ring.changes):       # too many to know them all: once more from the start
            self._shifted(self._before, -len(self._hits))
            del self._hits[:]
            self._scanned = self._start
            return
        for at in range(len(ring.changes) - count, len(ring.changes)):
            position = ring.changes[at]
            if not self._start <= position < self._scanned:
                continue
            place = bisect_left(self._hits, position)
            was = place < len(self._hits) and self._hits[place] == position
            if test.test(ring.row(position), partial(ring.lines, position)) == was:
                continue
            if was:
                self._hits.pop(place)
            else:
                self._hits.insert(place, position)
            self._shifted(self._before + place, -1 if was else 1)

    def _scan(self, ring: Ring, test: RowTest) -> None:
        """Put rows to the filter, for a slice of time."""
        until = time.perf_counter() + SLICE_SECONDS
        passes, hits, lines = test.test, self._hits, ring.lines
        while self._scanned < ring.end:
            end = min(self._scanned + STEP, ring.end)
            if test.needs_lines:
                for position, row in ring.rows(self._scanned, end):
                    if passes(row, partial(lines, position)):
                        hits.append(position)
                    if time.perf_counter() > until:
                        end = position + 1
                        break
            else:
                hits.extend([position for position, row in ring.rows(self._scanned, end, test.alike)
                             if passes(row, _none)])
            self._scanned = end
            if time.perf_counter() > until:
                return

    async def _scan_on(self, ring: Ring, test: RowTest) -> None:
        while self._scanned < ring.end:
            await asyncio.sleep(0)
            self._leave(ring)
            self._scan(ring, test)
        self._arrived()

    def _lacks(self) -> bool:
        """Whether the history has to be asked for more."""
        if not self.loaded.is_set() or self._before > len(self.history.numbers):
            return True
        ring = self.ring
        if ring is None:
            return False
        return self._start == ring.end != self._asked_end or (self._test is not None and ring.missed != self._missed_seen)

    async def _extend(self) -> None:
        """Fetch the ordinals up to the ring's first message, once the capture has all that the ring has seen until now."""
        ring, start = self.ring, self._start
        goal = _Goal(self._before - len(self.history.numbers))
        if ring is not None:
            goal.newest, goal.missed, goal.end = ring.newest, ring.missed, ring.end
            goal.first = ring.row(start).msg_no if ring.first <= start < ring.end else 0
            if self._test is not None and self.loaded.is_set():
                count = min(ring.missed - self._missed_seen, len(ring.missed_calls))
                goal.again = min(list(ring.missed_calls)[-count:]) if count else 0
        tries = 0
        while True:
            try:
                tries += 1
                settled = tries > SETTLE_TRIES or not goal.newest or await self.source.number_of(self.view, msg_no=goal.newest)
                if settled and await self._reach(goal):
                    break
                self.trouble = ""
            except _FAULTS as error:
                self.trouble = str(error)
            await asyncio.sleep(RETRY_SECONDS if self.trouble else SETTLE_SECONDS)
        if ring is not None:
            await asyncio.sleep(EXTEND_SECONDS)

    async def _reach(self, goal: "_Goal") -> bool:
        """Ask for the ordinals; False if the ring's first message is not stored yet."""
        number = await self.source.number_of(self.view, msg_no=goal.first) if goal.first else 0
        if goal.first and not number:
            return False
        after = self._after
        if goal.again:                      # news came of Calls that are no longer in the ring
            after = min(after, (await self.source.number_of(self.view, msg_no=goal.again) or 1) - 1)
        fresh = await self.source.numbers(self.view, self.where, after, goal.first)
        if after < self._after:
            fresh = self._merge(fresh, after)
        self._after = number - 1 if number else fresh[-1] if fresh else self._after
        at, by, behind = len(self.history.numbers) + goal.owed, len(fresh) - goal.owed, self.end
        self.history.numbers.extend(fresh)
        self._before += by
        self._missed_seen, self._asked_end, self.trouble = goal.missed, goal.end, ""
        self.loaded.set()
        if by and behind > at:
            self._shifted(at, by)
        self._arrived()
        return True

    def _merge(self, fresh: "array[int]", after: int) -> "array[int]":
        """Bring the known ordinals behind ``after`` in line with those asked for again; gives what comes behind them."""
        numbers = self.history.numbers
        end = bisect_right(fresh, self._after)
        now = set(fresh[:end])
        for number in sorted(now.symmetric_difference(numbers[bisect_right(numbers, after):])):
            place = bisect_left(numbers, number)
            if number in now:
                numbers.insert(place, number)
            else:
                numbers.pop(place)
            by = 1 if number in now else -1
            self._before += by
            self.history.forget(place)
            self._shifted(place, by)
        return fresh[end:]

    # -- search ----------------------------------------------------------------------------------------------------

    async def search(self, text: str, begin: int, forward: bool) -> int | None:
        """The next row behind (before) ``begin`` that holds ``text``, once around; None: no row does."""
        await self.loaded.wait()
        word = parse('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"')
        parts = ((begin + 1, self.end), (self.first, begin + 1))
        if not forward:
            parts = ((self.first, begin), (begin, self.end))
        for low, high in parts:
            async for index in self._found(word, low, high, forward):
                return index
        return None

    async def _found(self, word: Filter, low: int, high: int, forward: bool) -> AsyncIterator[int]:
        sections = (self._in_history, self._in_ring)
        for section in sections if forward else reversed(sections):
            index = await section(word, low, high, forward)
            if index is not None:
                yield index

    async def _in_history(self, word: Filter, low: int, high: int, forward: bool) -> int | None:
        numbers = self.history.numbers
        high = min(high, len(numbers))
        if low >= high:
            return None
        if self._matches[:2] != (word.text, len(numbers)):
            where = parse(joined(self.where.text, word.text)) if self.where is not None else word
            self._matches = word.text, len(numbers), await self.source.numbers(self.view, where)
        found = self._matches[2]
        begin, end = bisect_left(found, numbers[low]), bisect_left(found, numbers[high - 1] + 1)
        return self._of_number(found[begin if forward else end - 1]) if begin < end else None

    async def _in_ring(self, word: Filter, low: int, high: int, forward: bool) -> int | None:
        ring, test = self.ring, compile_rows(word, self._links)
        if ring is None:
            return None
        low, until = max(low, self._before), time.perf_counter() + SLICE_SECONDS
        for index in range(low, high) if forward else range(high - 1, low - 1, -1):
            position = self._position(index)
            if position is not None and ring.first <= position < ring.end and \
                    test(ring.row(position), partial(ring.lines, position)):
                return index
            if time.perf_counter() > until:
                await asyncio.sleep(0)
                until = time.perf_counter() + SLICE_SECONDS
        return None

    # -- index, position, ordinal ----------------------------------------------------------------------------------

    def _position(self, index: int) -> int | None:
        at = index - self._before
        if at < 0 or self.ring is None:
            return None
        if self._test is None:
            return self._start + at if self._start + at < self.ring.end else None
        return self._hits[at] if at < len(self._hits) else None

    def _index(self, position: int) -> int | None:
        if self._test is None:
            return self._before + position - self._start
        at = bisect_left(self._hits, position)
        return self._before + at if at < len(self._hits) and self._hits[at] == position else None

    def _of_number(self, number: int) -> int | None:
        at = bisect_left(self.history.numbers, number)
        return at if at < len(self.history.numbers) and self.history.numbers[at] == number else None


class _Goal(Struct):
    """Up to where the history is to grow: what the ring held when it was asked for."""

    owed: int
    newest: int = 0
    missed: int = 0
    end: int = -1
    first: int = 0
    again: int = 0


def _none() -> list[Line]:
    return []
