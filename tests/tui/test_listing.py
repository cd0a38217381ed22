"""Lists of stored and live rows together: every row once, in order, filtered or not, whatever leaves the ring."""

import asyncio
import random
from array import array
from collections.abc import Sequence
from functools import partial

import pytest
from ocpp_proxy_tui import history, listing
from ocpp_proxy_tui import ring as ring_module
from ocpp_proxy_tui.listing import Listing
from ocpp_proxy_tui.ring import Ring

from ocpp_proxy.core.rows import add, alone, begin, call_of, is_row
from ocpp_proxy.fields import parse
from ocpp_proxy.fields.rows import compile_rows
from ocpp_proxy.fields.tree import Filter
from ocpp_proxy.model import CaptureError, Link
from ocpp_proxy.records import Line, Row
from ocpp_proxy.source import View
from tests.tui.sources import MemorySource
from tests.tui.traffic_lines import LINK, Talk

LINKS: dict[int, Link] = {1: LINK}
CHUNK = 32                                  # of the ring, in these tests


class Slow(MemorySource):
    """A source whose capture is behind: what was committed last is stored. Rows are made once for a commit."""

    def __init__(self, stored: bool = True, live: bool = True) -> None:
        super().__init__((), [LINK], live=live, stored=stored)
        self.all: list[Line] = []
        self.fetched: list[Sequence[int]] = []
        self.fails = 0
        self._made: dict[View, tuple[int, dict[int, tuple[Row, list[Line]]]]] = {}

    def commit(self) -> None:
        self._lines = list(self.all)

    def table(self, view: View) -> dict[int, tuple[Row, list[Line]]]:
        count, made = self._made.get(view, (-1, {}))
        if count != len(self._lines):
            made = _by_number(self._lines, view)
            self._made[view] = len(self._lines), made
        return made

    async def numbers(self, view: View, where: Filter | None, after: int = 0, before_message: int = 0) -> "array[int]":
        if self.fails:
            self.fails -= 1
            raise CaptureError("it does not answer")
        test = compile_rows(where, LINKS)
        table = self.table(view) if self.stored else {}
        before = await self.number_of(view, before_message) if before_message else 0
        return array("q", [number for number, (row, lines) in table.items()
                           if number > after and (not before or number < before) and test(row, partial(list, lines))])

    async def rows(self, view: View, numbers: Sequence[int]) -> list[Row]:
        self.fetched.append(list(numbers))
        table = self.table(view)
        return [table[number][0] for number in numbers]

    async def row_lines(self, view: View, number: int) -> list[Line]:
        return self.table(view)[number][1]

    async def number_of(self, view: View, msg_no: int = 0, frame_id: int = 0) -> int:
        for number, (row, _) in self.table(view).items():
            if (row.kind != "finding" and (msg_no and msg_no in (row.msg_no, row.answer_no))) or (
                    frame_id and row.frame_id == frame_id):
                return number
        return 0


def _by_number(lines: list[Line], view: View) -> dict[int, tuple[Row, list[Line]]]:
    found: dict[int, tuple[Row, list[Line]]] = {}
    calls: dict[int, int] = {}
    for number, line in enumerate(lines, 1):
        call = calls.get(call_of(line)) if view == "exchanges" and call_of(line) else None
        if call is not None:
            add(found[call][0], line)
            found[call][1].append(line)
        elif view == "frames" or is_row(line):
            row = alone(line, LINKS, number) if view == "frames" else begin(line, LINKS, number)
            found[number] = row, [line]
            if row.kind == "exchange":
                calls[row.msg_no] = number
    return found


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring_module, "CHUNK", CHUNK)
    monkeypatch.setattr(listing, "SETTLE_SECONDS", 0.001)
    monkeypatch.setattr(listing, "EXTEND_SECONDS", 0.0)
    monkeypatch.setattr(listing, "RETRY_SECONDS", 0.001)
    monkeypatch.setattr(history, "RETRY_SECONDS", 0.001)


def made(source: MemorySource, ring: Ring | None, text: str = "", shifts: list[tuple[int, int]] | None = None,
         view: View = "exchanges") -> Listing:
    moved = shifts if shifts is not None else []
    where = parse(text) if text else None
    return Listing(source, view, where, LINKS, ring, lambda: None, lambda at, by: moved.append((at, by)))


async def settle(shown: Listing) -> None:
    """Until nothing is owed and nothing is being done."""
    for _ in range(2_000):
        shown.catch_up()
        await asyncio.sleep(0)
        working = [task for task in (shown._extending, shown._scanning) if task is not None and not task.done()]
        if not working and not shown.busy and not shown._lacks():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never settles")


async def rows_of(shown: Listing) -> list[tuple[int, str]]:
    """All rows, as what tells them apart."""
    for _ in range(100):
        rows = [shown.at(index) for index in range(shown.first, shown.end)]
        if all(row is not None for row in rows):
            return [(row.time_ns, row.outcome) for row in rows if row is not None]
        await shown.history.settled()
    raise AssertionError("rows are missing")


def test_a_file_shows_all_of_it_and_any_row_at_once() -> None:
    async def main() -> None:
        source, talk = Slow(live=False), Talk()
        source.all = [line for _ in range(3_000) for line in talk.pair()]
        source.commit()
        shown = made(source, None)
        await settle(shown)
        assert (shown.first, shown.end) == (0, 3_000) and source.fetched == []
        assert shown.at(1_500) is None
        await shown.history.settled()
        row = shown.at(1_500)
        assert row is not None and row.msg_no == 3_001 and len(source.fetched) == 1
        assert [line.record for line in await shown.lines(1_500)] == [line.record for line in source.all[3_000:3_002]]
    asyncio.run(main())


def test_pages_are_bounded_and_who_scrolls_fast_waits_for_the_newest_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "PAGES", 3)
    monkeypatch.setattr(history, "PAGE", 16)

    async def main() -> None:
        source, talk = Slow(live=False), Talk()
        source.all = [line for _ in range(1_000) for line in talk.pair()]
        source.commit()
        shown = made(source, None)
        await settle(shown)
        for index in range(0, 1_000, 16):
            shown.at(index)
        await shown.history.settled()
        assert len(source.fetched) == history.WANTED and source.fetched[0][-1] == shown.history.numbers[-1]
        assert len(shown.history._pages) == 3
    asyncio.run(main())


def test_live_rows_follow_stored_ones_without_hole_or_repeat() -> None:
    async def main() -> None:
        source, talk = Slow(), Talk()
        source.all = [line for _ in range(500) for line in (talk.note(), *talk.pair())]
        ring = Ring("exchanges", 10_000, LINKS, True)
        for line in source.all[-301:]:      # begins with an answer to a Call that is not in the ring
            ring.add(line)
        source.commit()
        shown = made(source, ring)
        await settle(shown)
        assert shown.end == 1_000
        assert await rows_of(shown) == await rows_of_oracle(source)
    asyncio.run(main())


async def rows_of_oracle(source: Slow, text: str = "", view: View = "exchanges") -> list[tuple[int, str]]:
    where = parse(text) if text else None
    found = await source.rows(view, await source.numbers(view, where))
    return [(row.time_ns, row.outcome) for row in found]


@pytest.mark.parametrize("view", ["exchanges", "frames"])
@pytest.mark.parametrize("text", ["", "ms > 50", "outcome == pending", "action == Reset or kind == ping", "word7"])
@pytest.mark.parametrize("seed", range(4))
def test_whatever_comes_and_leaves_the_list_equals_what_is_stored(text: str, seed: int, view: View) -> None:
    async def main() -> None:
        dice, source, talk = random.Random(seed), Slow(), Talk()
        ring = Ring(view, 64, LINKS, True)
        shown: Listing | None = None
        waiting: list[Line] = []
        for step in range(1_200):
            line = _random_line(dice, talk, waiting)
            source.all.append(line)
            if step > 100:
                ring.add(line)
            if step == 200:
                shown = made(source, ring, text, view=view)
            if step % 97 == 0:
                source.commit()
            if shown is not None and dice.random() < 0.02:
                shown.catch_up()
                await asyncio.sleep(0)
            if step == 700 and dice.random() < 0.5:
                ring.cut()
        assert shown is not None and ring.evicted
        source.commit()
        await settle(shown)
        shown.history._pages.clear()        # pending Calls in pages of before are asked for again after a while
        assert await rows_of(shown) == await rows_of_oracle(source, text, view)
    asyncio.run(main())


def _random_line(dice: random.Random, talk: Talk, waiting: list[Line]) -> Line:
    chance = dice.random()
    if chance < 0.4 or not waiting:
        call = talk.call(dice.choice(("Reset", "Heartbeat")), b'{"a":"word%d"}' % dice.randrange(20))
        waiting.append(call)
        return call
    if chance < 0.8:
        call = waiting.pop(dice.randrange(len(waiting)) if chance < 0.5 else -1)
        return talk.answer(call, ms=dice.randrange(100), mtype=dice.choice((3, 3, 3, 4)))
    if chance < 0.85:
        return talk.late(dice.choice(waiting))
    return talk.ping() if chance < 0.95 else talk.note()


def test_shifts_keep_a_cursor_on_its_row() -> None:
    async def main() -> None:
        dice, source, talk = random.Random(9), Slow(), Talk()
        ring = Ring("exchanges", 4 * CHUNK, LINKS, True)
        shifts: list[tuple[int, int]] = []
        shown = made(source, ring, "outcome == pending", shifts)
        waiting: list[Line] = []
        cursor, mark = 0, 0
        for step in range(3_000):
            line = _random_line(dice, talk, waiting)
            source.all.append(line)
            ring.add(line)
            if step % 50 == 0:
                source.commit()
                shown.catch_up()
                await asyncio.sleep(0.001)
                for at, by in shifts:
                    if by < 0 and at <= cursor < at - by:
                        mark = 0            # its own row left the list
                    cursor = max(0, cursor + by if cursor >= at else cursor)
                shifts.clear()
                row = shown.at(cursor) if cursor < shown.end else None
                if mark and row is not None:
                    assert row.msg_no == mark
                if row is not None and (not mark or step % 500 == 0):
                    cursor = shown.end - 1
                    last = shown.at(cursor)
                    mark = last.msg_no if last is not None else 0
    asyncio.run(main())


def test_without_a_capture_old_rows_are_gone_and_indexes_stay() -> None:
    async def main() -> None:
        source, talk = Slow(stored=False), Talk()
        ring = Ring("exchanges", CHUNK * 2, LINKS, False)
        shown = made(source, ring)
        for _ in range(1_000):
            for line in talk.pair():
                ring.add(line)
        shown.catch_up()
        assert shown.first == ring.first > 0 and shown.end == 1_000
        row = shown.at(999)
        assert row is not None and row.msg_no == 1_999 and shown.at(shown.first - 1) is None
    asyncio.run(main())


def test_a_source_that_fails_is_asked_again_and_said() -> None:
    async def main() -> None:
        source, talk = Slow(live=False), Talk()
        source.all, source.fails = talk.pair(), 2
        source.commit()
        shown = made(source, None)
        shown.catch_up()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert "does not answer" in shown.trouble and shown.busy == "loading"
        await settle(shown)
        assert shown.end == 1 and not shown.trouble
    asyncio.run(main())


def test_a_filter_over_many_rows_lets_others_run_and_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "SLICE_SECONDS", 1e-9)     # a slice is one step

    async def main() -> None:
        source, talk = Slow(stored=False), Talk()
        ring = Ring("exchanges", 100_000, LINKS, False)
        for _ in range(1_000):
            for line in talk.pair():
                ring.add(line)
        shown = made(source, ring, "ms > 5")
        shown.catch_up()
        told = []
        for _ in range(1_000):
            told.append(shown.busy)
            await asyncio.sleep(0)
            if shown.end == 1_000:
                break
        assert shown.end == 1_000 and len({text for text in told if text.startswith("filtering ")}) > 10
        shown.stop()
    asyncio.run(main())


def test_where_a_message_is_and_that_a_filter_hides_it() -> None:
    async def main() -> None:
        source, talk = Slow(), Talk()
        ring = Ring("exchanges", CHUNK * 2, LINKS, True)
        for at in range(1_000):
            for line in talk.pair("Reset" if at % 10 == 0 else "Heartbeat"):
                source.all.append(line)
                ring.add(line)
        source.commit()
        whole, resets = made(source, ring), made(source, ring, "action == Reset")
        await settle(whole)
        await settle(resets)
        assert await whole.index_of(msg_no=1) == 0 and await whole.index_of(msg_no=2) == 0
        assert await whole.index_of(msg_no=1_999) == 999 and await whole.index_of(msg_no=5_000) is None
        assert await resets.index_of(msg_no=21) == 1 and await resets.index_of(msg_no=1_981) == 99
        assert await resets.index_of(msg_no=23) is None and await resets.index_of(msg_no=1_983) is None
        assert await whole.index_of(frame_id=7) == 3 and await whole.index_of(number=3) == 1
    asyncio.run(main())


def test_search_goes_on_and_around_through_stored_and_live_rows() -> None:
    async def main() -> None:
        source, talk = Slow(), Talk()
        ring = Ring("exchanges", CHUNK * 2, LINKS, True)
        for at in range(1_000):
            for line in talk.pair("Reset", b'{"a":"needle \\"x"}' if at in (5, 300, 998) else b"{}"):
                source.all.append(line)
                ring.add(line)
        source.commit()
        shown = made(source, ring)
        await settle(shown)
        assert [await shown.search("NEEDLE", begin, True) for begin in (0, 5, 300, 998)] == [5, 300, 998, 5]
        assert [await shown.search("needle", begin, False) for begin in (999, 998, 300, 5)] == [998, 300, 5, 998]
        assert await shown.search("nowhere", 0, True) is None
    asyncio.run(main())
