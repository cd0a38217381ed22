"""The control API on a real capture: its whole stream, questions that nobody waits for, bookmarks of a running proxy."""

import asyncio
import json
import threading
from array import array
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import websockets
from ocpp_proxy_captures import CaptureSource, export, open_store
from ocpp_proxy_captures.reader import FileReader
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from ocpp_proxy.fields import Filter
from ocpp_proxy.hub import asking
from ocpp_proxy.hub.client import LiveSource
from ocpp_proxy.hub.commits import QUESTION
from ocpp_proxy.hub.control import Control
from ocpp_proxy.hub.metrics import Metrics
from ocpp_proxy.hub.queries import AT_ONCE, Ends
from ocpp_proxy.hub.sinks import Live
from ocpp_proxy.hub.store import Position
from ocpp_proxy.model import CaptureError
from ocpp_proxy.records import Beat, Found, MessageSeen, Record
from ocpp_proxy.source import Bookmark, View
from tests.captures.capture_streams import fill, stored, stream
from tests.captures.test_gate import ENDLESS
from tests.hub.test_control import well
from tests.hub.test_end_to_end import csms, running, settings

NOTE = Bookmark(5, 1_767_571_200_000_001_000, "odd value", "me", ("firmware", "look"))


class Endless(FileReader):
    """A capture whose filters and summaries never come to an end."""

    begun = 0

    def numbers(self, view: View, where: Filter | None, after: int = 0, before_message: int = 0) -> "array[int]":
        self._never()
        return array("q")

    def finding_groups(self, identity: str = "") -> list[object]:   # type: ignore[override]    # it gives none
        self._never()
        return []

    def _never(self) -> None:
        with self.reading() as con:
            self.begun += 1
            con.execute(ENDLESS).fetchall()


def served(folder: Path, store: object, during: Callable[[LiveSource], Awaitable[None]]) -> None:
    """Serve a store while ``during`` runs."""
    async def play() -> None:
        control = Control(Live(), Metrics(folder, dict), store, well)
        source = LiveSource(await control.start(str(folder / "control.sock"), ""))
        try:
            async with asyncio.timeout(60):
                await during(source)
        finally:
            await source.close()
            await control.stop()
    asyncio.run(play())


async def until(holds: Callable[[], bool]) -> None:
    """Wait for it."""
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.01)


def asking_threads() -> int:
    """How many questions run."""
    return sum(thread.name == QUESTION for thread in threading.enumerate())


def test_the_stream_of_a_living_capture_comes_over_whole(tmp_path: Path) -> None:
    records = stream(1200)
    store = open_store(tmp_path / "a.duckdb", Position)
    store.commit(records, (), {})
    assert isinstance(store, Ends)

    async def during(source: LiveSource) -> None:
        found: list[Record] = []
        async for batch in source.records():
            found += batch
        assert isinstance(found.pop(), Beat)
        assert found == [record for record in stored(records) if not isinstance(record, MessageSeen | Found)]
        assert len(await source.numbers("frames", None)) > 1200          # and others may ask as before

    served(tmp_path, store, during)
    store.close()


def test_a_question_ends_when_who_asked_has_gone(tmp_path: Path) -> None:
    fill(tmp_path / "a.duckdb", stream(50))
    reader = Endless(tmp_path / "a.duckdb")

    async def during(source: LiveSource) -> None:
        for count in range(1, AT_ONCE + 3):
            task = asyncio.create_task(source.numbers("frames", None))
            await until(lambda count=count: reader.begun == count)      # type: ignore[misc]    # bound at once
            task.cancel()
            await asyncio.wait([task])
            await until(lambda: not asking_threads())
        assert len(await source.links()) > 0

    served(tmp_path, reader, during)
    reader.close()


def test_a_question_whose_time_is_over_ends_and_leaves_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "QUERY_SECONDS", 0.3)
    fill(tmp_path / "a.duckdb", stream(50))
    reader = Endless(tmp_path / "a.duckdb")

    async def during(source: LiveSource) -> None:
        for _ in range(2):
            asked = [asyncio.create_task(source.finding_groups()) for _ in range(AT_ONCE)]
            for task in asked:
                with pytest.raises(CaptureError, match="has not answered"):
                    await task
            await until(lambda: not asking_threads())
        assert 0 < reader.begun <= 2 * AT_ONCE

    served(tmp_path, reader, during)
    reader.close()


def test_bookmarks_of_a_running_proxy_are_queried_exported_and_go_over_to_the_next_segment(tmp_path: Path) -> None:
    async def talk(address: str, first: int, count: int) -> None:
        url = f"ws://{address}/CP1"
        async with connect(url, subprotocols=[websockets.Subprotocol("ocpp1.6")], open_timeout=60) as station:
            for n in range(first, first + count):
                await station.send(json.dumps([2, f"m{n}", "Heartbeat", {}]))
                assert json.loads(await station.recv())[1] == f"m{n}"

    async def messages(source: LiveSource, count: int) -> None:
        async with asyncio.timeout(60):
            while (await source.query("SELECT count(*) FROM messages", {})).rows != [[count]]:
                await asyncio.sleep(0.1)

    async def play() -> None:
        folder = tmp_path / "capture"
        async with serve(csms, "127.0.0.1", 0, subprotocols=[websockets.Subprotocol("ocpp1.6")]) as server:
            server.received = []            # type: ignore[attr-defined]
            config = settings(tmp_path, server.sockets[0].getsockname()[1], path=str(folder), rotate_messages=60)
            with running(tmp_path, config) as proxy:
                await proxy.wait_for("listening")
                known = proxy.instance()
                source = await LiveSource.connect(known.control, known.token)
                await talk(known.listen[0], 0, 20)
                await messages(source, 40)
                await source.bookmark(NOTE)
                told = await source.query("select * from bookmarks", {})
                assert told.columns == ["msg_no", "ts", "author", "note", "tags"]
                assert [[row[0], *row[2:]] for row in told.rows] == [[5, "me", "odd value", ["firmware", "look"]]]
                assert await export(source, tmp_path / "part.jsonl", None, False) == 40
                for start in (20, 60):      # two segments more
                    await talk(known.listen[0], start, 40)
                    await messages(source, 2 * start + 80)
                assert len(list(folder.glob("capture-*.duckdb"))) >= 2
                assert await source.bookmarks() == [NOTE]
                assert len((await source.query("select * from bookmarks", {})).rows) == 1
                assert await export(source, tmp_path / "all.duckdb", None, False) == 200
                await source.close()
            marked = [json.loads(line) for line in (tmp_path / "part.jsonl").read_text().splitlines()]
            assert [n for n, line in enumerate(marked, 1) if "bookmark" in line["meta"]["ocppProxy"]] == [5]
            for path in (folder, tmp_path / "all.duckdb"):
                capture = CaptureSource(path)
                assert [(mark.note, mark.tags) for mark in await capture.bookmarks()] == [(NOTE.note, NOTE.tags)]
                await capture.close()

    asyncio.run(play())
