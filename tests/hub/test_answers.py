"""What screens ask of a running proxy: it comes over as the store has it, and a store that hangs holds up nothing else."""

import asyncio
import subprocess
import sys
import threading
from array import array
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import aiohttp
import pytest

from ocpp_proxy.fields import Filter, parse
from ocpp_proxy.hub import asking
from ocpp_proxy.hub.client import LiveSource
from ocpp_proxy.hub.commits import StoreThread
from ocpp_proxy.hub.control import Control
from ocpp_proxy.hub.metrics import Metrics
from ocpp_proxy.hub.queries import AT_ONCE, History
from ocpp_proxy.hub.sinks import Live
from ocpp_proxy.model import CaptureError, ConfigError, Finding, Link, Severity
from ocpp_proxy.records import Line, LinkOpened, Note, Record, Row
from ocpp_proxy.source import Bookmark, Charger, Charging, FindingGroup, FoundAt, Sample, View
from tests.hub.test_control import well

FOUND = Finding(1, "R01", Severity.WARNING, "station", 1, "CP1", 5, "it is wrong", 7)
CHARGING = Charging("7", "CP1", "ocpp1.6", None, 1, 5, 9, 1.5, "****", "Local", None)


class Everything:
    """A store that answers everything, and notes down what it was asked and where."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.marks: list[Bookmark] = []
        self.threads: set[int] = set()
        self.go = threading.Event()
        self.go.set()

    def _note(self, *question: object) -> None:
        self.asked.append(question)
        self.go.wait()

    def links(self) -> list[Link]:
        return []

    def page(self, where: Filter | None, after: int, limit: int) -> list[Line]:
        return []

    def records(self) -> Iterator[list[Record]]:
        return iter(())

    def numbers(self, view: View, where: Filter | None, after: int = 0, before_message: int = 0) -> "array[int]":
        self._note("numbers", view, where.text if where else None, after, before_message)
        return array("q", range(after + 1, 100_001))

    def rows(self, view: View, numbers: Sequence[int]) -> list[Row]:
        self._note("rows", view, len(numbers))
        return [Row(number, "exchange", number, 1, summary="\x1b[31m") for number in numbers]

    def row_lines(self, view: View, number: int) -> list[Line]:
        self._note("row_lines", view, number)
        return [Line(Note(number, 1, "refused"), (FOUND,))]

    def number_of(self, view: View, msg_no: int = 0, frame_id: int = 0) -> int:
        self._note("number_of", view, msg_no, frame_id)
        return msg_no * 10 + frame_id

    def chargers(self) -> list[Charger]:
        self._note("chargers")
        return [Charger("CP1", "open", connectors={"1": "Available"}, p95_ms=1.5)]

    def finding_groups(self, identity: str = "") -> list[FindingGroup]:
        self._note("finding_groups", identity)
        return [FindingGroup("R01", Severity.WARNING, "station", "t", "s", 2, ("CP1",), 1, 2, "m")]

    def findings(self, code: str = "", identity: str = "", limit: int = 1000) -> list[FoundAt]:
        self._note("findings", code, identity, limit)
        return [FoundAt(FOUND, 3)]

    def transactions(self, identity: str = "", limit: int = 10_000) -> list[Charging]:
        self._note("transactions", identity, limit)
        return [CHARGING]

    def curve(self, charging: Charging) -> list[Sample]:
        self._note("curve", charging)
        return [Sample(5, "power", 11_000.0, "W")]

    def bookmarks(self) -> list[Bookmark]:
        self._note("bookmarks")
        return self.marks

    def bookmark(self, mark: Bookmark) -> None:
        self.threads.add(threading.get_ident())
        self._note("bookmark")
        if mark.msg_no == 404:
            raise ConfigError("there is no message 404")
        self.marks.append(mark)


def asked(
    folder: Path, store: object, during: Callable[[LiveSource, Live, StoreThread], Awaitable[None]], address: str = "",
) -> None:
    """Serve a store with the thread it commits in while ``during`` runs."""
    async def play() -> None:
        live, thread = Live(), StoreThread()
        control = Control(live, Metrics(folder, dict), store, well, thread=thread)
        source = LiveSource(await control.start(address or str(folder / "control.sock"), "secret"), "secret")
        try:
            async with asyncio.timeout(60):
                await during(source, live, thread)
        finally:
            await source.close()
            await control.stop()
            thread.end()
    asyncio.run(play())


def test_every_question_comes_over_and_so_does_its_answer(tmp_path: Path) -> None:
    store: History = Everything()
    assert isinstance(store, Everything)

    async def during(source: LiveSource, live: Live, thread: StoreThread) -> None:
        numbers = await source.numbers("frames", parse("action == Heartbeat"), 40_000, 7)
        assert (numbers.typecode, numbers[0], numbers[-1], len(numbers)) == ("q", 40_001, 100_000, 60_000)
        assert [row.number for row in await source.rows("exchanges", [3, 70_000])] == [3, 70_000]
        rows = await source.rows("frames", range(10_000))
        assert ([row.number for row in rows], rows[0].summary) == (list(range(10_000)), "\x1b[31m")
        assert await source.row_lines("exchanges", 3) == [Line(Note(3, 1, "refused"), (FOUND,))]
        assert await source.number_of("exchanges", msg_no=4, frame_id=2) == 42
        assert await source.chargers() == [Charger("CP1", "open", connectors={"1": "Available"}, p95_ms=1.5)]
        assert (await source.finding_groups("CP1"))[0].chargers == ("CP1",)
        assert await source.findings("R01", "CP1", 9) == [FoundAt(FOUND, 3)]
        assert await source.transactions("CP1", 1_000_000) == [CHARGING]
        assert await source.curve(CHARGING) == [Sample(5, "power", 11_000.0, "W")]
        assert store.asked == [
            ("numbers", "frames", "action == Heartbeat", 40_000, 7), ("rows", "exchanges", 2), ("rows", "frames", 10_000),
            ("row_lines", "exchanges", 3), ("number_of", "exchanges", 4, 2), ("chargers",), ("finding_groups", "CP1"),
            ("findings", "R01", "CP1", 9), ("transactions", "CP1", 100_000), ("curve", CHARGING),
        ]

    asked(tmp_path, store, during)


def test_rows_can_be_asked_for_in_the_address(tmp_path: Path) -> None:
    async def during(source: LiveSource, live: Live, thread: StoreThread) -> None:
        async with source._request("GET", "/v1/rows", params={"view": "frames", "numbers": "5,9"}) as response:
            assert [row["number"] for row in await response.json()] == [5, 9]
        async with source._request("GET", "/v1/rows", params={}) as response:
            assert await response.json() == []

    asked(tmp_path, Everything(), during)


def test_numbers_travel_as_eight_bytes_each(tmp_path: Path) -> None:
    async def during(source: LiveSource, live: Live, thread: StoreThread) -> None:
        async with source._request("GET", "/v1/numbers", params={"after": "99997"}) as response:
            assert response.content_type == "application/octet-stream"
            assert await response.read() == b"".join(number.to_bytes(8, "little") for number in (99_998, 99_999, 100_000))

    asked(tmp_path, Everything(), during)


def test_bookmarks_are_written_in_the_thread_of_the_commits(tmp_path: Path) -> None:
    store = Everything()
    mark = Bookmark(7, 5, "look here", "me", ("a", "b"))

    async def during(source: LiveSource, live: Live, thread: StoreThread) -> None:
        await source.bookmark(mark)
        assert await source.bookmarks() == [mark]
        assert store.threads == {await thread.call(threading.get_ident)}
        with pytest.raises(ConfigError, match="no message 404"):
            await source.bookmark(Bookmark(404, 5))

    asked(tmp_path, store, during)


def test_a_hung_store_thread_holds_up_bookmarks_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "QUERY_SECONDS", 0.2)
    store = Everything()

    async def during(source: LiveSource, live: Live, thread: StoreThread) -> None:
        hung = threading.Event()
        commit = thread.call(hung.wait)
        for number in range(AT_ONCE + 3):
            with pytest.raises(CaptureError, match="has not answered"):
                await source.bookmark(Bookmark(number + 1, 5))
        monkeypatch.setattr(asking, "QUERY_SECONDS", 30.0)      # others are answered, in whatever time they need
        assert len(await source.chargers()) == 1
        assert (await source.health())["status"] == "ok"
        hung.set()
        await commit
        await thread.call(int)
        assert [mark.msg_no for mark in store.marks] == list(range(1, AT_ONCE + 1))     # more did not get in

    asked(tmp_path, store, during)


def test_a_store_that_hangs_on_questions_holds_up_neither_followers_nor_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asking, "QUERY_SECONDS", 0.2)
    store = Everything()
    store.go.clear()

    async def during(source: LiveSource, live: Live, thread: StoreThread) -> None:
        before = threading.active_count()
        for _ in range(AT_ONCE + 2):
            with pytest.raises(CaptureError, match="has not answered"):
                await source.chargers()
        with pytest.raises(CaptureError, match="has not answered"):
            await source.row_lines("exchanges", 1)
        assert threading.active_count() - before <= AT_ONCE
        assert await thread.call(lambda: 5) == 5
        live.publish([LinkOpened(Link(1, 5, "10.0.0.1:1"))])
        async for batch in source.follow(None, 5):
            assert [type(line.record) for line in batch] == [LinkOpened]
            break
        assert len(store.asked) == AT_ONCE
        store.go.set()

    asked(tmp_path, store, during)


def test_long_queries_leave_room_for_the_questions_of_a_screen(tmp_path: Path) -> None:
    class Busy(Everything):
        def query(self, query: str, parameters: object) -> None:
            self._note("query")
            raise ConfigError("done")

    store = Busy()
    store.go.clear()

    async def during(source: LiveSource, live: Live, thread: StoreThread) -> None:
        queries = [asyncio.create_task(source.query("SELECT 1", {})) for _ in range(AT_ONCE + 2)]
        while len(store.asked) < AT_ONCE:
            await asyncio.sleep(0.01)
        assert await source.links() == []
        store.go.set()
        done = await asyncio.gather(*queries, return_exceptions=True)
        assert {str(error) for error in done} == {"done"}

    asked(tmp_path, store, during)


def test_filters_that_take_long_leave_room_for_rows(tmp_path: Path) -> None:
    class Slow(Everything):
        def numbers(self, view: View, where: Filter | None, after: int = 0, before_message: int = 0) -> "array[int]":
            self._note("numbers")
            return array("q")

    store = Slow()
    store.go.clear()

    async def during(source: LiveSource, live: Live, thread: StoreThread) -> None:
        filters = [asyncio.create_task(source.numbers("frames", None)) for _ in range(AT_ONCE + 2)]
        while len(store.asked) < AT_ONCE:
            await asyncio.sleep(0.01)
        assert await source.links() == []
        store.go.set()
        assert [len(numbers) for numbers in await asyncio.gather(*filters)] == [0] * (AT_ONCE + 2)

    asked(tmp_path, store, during)


LEAVING = """
import asyncio, threading, duckdb
from ocpp_proxy.hub.commits import QUESTION, aside, leave

begun = threading.Event()

def question():
    con = duckdb.connect()
    begun.set()
    con.execute("SELECT count(*) FROM range(1000000000000) a(x) WHERE hash(x) % 7 = 3").fetchall()

async def play():
    asking = asyncio.ensure_future(aside(question))
    await asyncio.to_thread(begun.wait)
    asking.cancel()

asyncio.run(play())
assert any(thread.name == QUESTION for thread in threading.enumerate())
print("end")
leave(0)
"""


def test_a_process_ends_in_order_though_a_question_still_runs() -> None:
    done = subprocess.run([sys.executable, "-c", LEAVING], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


@pytest.mark.parametrize(("path", "parameters", "why"), [
    ("/v1/numbers", {"view": "all"}, "exchanges or frames"),
    ("/v1/numbers", {"filter": "action ==="}, "filter"),
    ("/v1/numbers", {"after": "-1"}, "whole number"),
    ("/v1/numbers", {"before_message": "9" * 19}, "whole number"),
    ("/v1/rows", {"numbers": "1,x"}, "whole numbers"),
    ("/v1/rows", {"numbers": "1," + "9" * 30}, "64 bits"),
    ("/v1/row_lines", {"number": "x"}, "whole number"),
    ("/v1/number_of", {"view": "frames", "msg_no": "1.5"}, "whole number"),
    ("/v1/findings", {"limit": "many"}, "whole number"),
    ("/v1/follow", {"last": "all"}, "whole number"),
    ("/v1/log", {"after_ns": "now"}, "whole number"),
])
def test_what_cannot_be_asked_is_told(tmp_path: Path, path: str, parameters: dict[str, str], why: str) -> None:
    async def during(source: LiveSource, live: Live, thread: StoreThread) -> None:
        async with source._request("GET", path, params=parameters) as response:
            assert (response.status, why in await response.text()) == (400, True)

    asked(tmp_path, Everything(), during)


@pytest.mark.parametrize(("path", "body"), [
    ("/v1/rows", b'{"view":"frames","numbers":[' + b"1," * 10_000 + b"1]}"), ("/v1/rows", b'{"view":"x","numbers":[]}'),
    ("/v1/rows", b'{"view":"frames","numbers":[9223372036854775808]}'),
    ("/v1/curve", b'{"tx_id":"1","identity":"CP1","started_ns":' + b"9" * 30 + b"}"),
    ("/v1/bookmarks", b'{"msg_no":1,"time_ns":-' + b"9" * 30 + b"}"),
    ("/v1/rows", b'{"numbers":[]}'), ("/v1/curve", b"{}"), ("/v1/curve", b"nonsense"), ("/v1/bookmarks", b'{"msg_no":"1"}'),
])
def test_bodies_that_are_wrong_change_nothing(tmp_path: Path, path: str, body: bytes) -> None:
    store = Everything()

    async def during(source: LiveSource, live: Live, thread: StoreThread) -> None:
        async with source._request("POST", path, data=body) as response:
            assert response.status == 400
        assert store.asked == []

    asked(tmp_path, store, during)


ENDPOINTS = (
    "numbers", "rows", "row_lines", "number_of", "chargers", "finding_groups", "findings", "transactions", "curve", "bookmarks",
    "log", "follow",
)


def test_only_bookmarks_can_be_written(tmp_path: Path) -> None:
    store = Everything()

    async def during(source: LiveSource, live: Live, thread: StoreThread) -> None:
        for name in ENDPOINTS:
            for method in ("PUT", "DELETE", "PATCH", "POST"):
                if method == "POST" and name in ("rows", "curve", "bookmarks"):
                    continue
                async with source._request(method, f"/v1/{name}") as response:
                    assert response.status == 405, (method, name)
        await source.rows("frames", [1])
        await source.curve(CHARGING)
        assert not store.marks

    asked(tmp_path, store, during)


def test_every_endpoint_is_behind_the_token_and_closed_to_web_pages(tmp_path: Path) -> None:
    store = Everything()

    async def during(source: LiveSource, live: Live, thread: StoreThread) -> None:
        right = {"Authorization": "Bearer secret"}
        for headers, status in (
            ({}, 401), ({"Authorization": "Bearer wrong"}, 401), ({**right, "Host": "rebind.example"}, 403),
            ({**right, "Origin": "http://evil.example"}, 403), ({**right, "Sec-Fetch-Site": "cross-site"}, 403),
        ):
            async with aiohttp.ClientSession(source._base, headers=headers) as session:
                for name in ENDPOINTS:
                    for method in ("GET", "POST"):
                        async with session.request(method, f"/v1/{name}", data=b'{"msg_no":1,"time_ns":1}') as response:
                            assert response.status == status, (headers, method, name)
        assert (store.asked, store.marks) == ([], [])

    asked(tmp_path, store, during, "127.0.0.1:0")


def test_a_store_without_rows_or_marks_says_so(tmp_path: Path) -> None:
    async def during(source: LiveSource, live: Live, thread: StoreThread) -> None:
        with pytest.raises(ConfigError, match="cannot answer that"):
            await source.numbers("frames", None)
        with pytest.raises(ConfigError, match="cannot answer that"):
            await source.chargers()
        with pytest.raises(ConfigError, match="bookmark"):
            await source.bookmark(Bookmark(1, 1))
        assert await source.bookmarks() == []
        assert await source.log() == []

    asked(tmp_path, object(), during)
