"""What the recorder holds of large records is bounded in bytes, whatever a small spool record turns into."""

import asyncio
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path

from ocpp_proxy.config import Config
from ocpp_proxy.hub import commits, sinks, tail
from ocpp_proxy.hub.recording import FEED_BYTES, Recorder
from ocpp_proxy.hub.sinks import Live
from ocpp_proxy.hub.store import Position
from ocpp_proxy.records import Beat, Record
from ocpp_proxy.wire.spool import Kind, SpoolRecord
from tests.hub.doubles import CountingPipeline, SqliteStore, eventually, message
from tests.hub.writing import Writer

MB = 1 << 20


class WeighingStore(SqliteStore):
    """Notes down how many bytes of large records each commit brings."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.weights: list[int] = []

    def commit(
        self, records: Sequence[Record], positions: Sequence[Position], changed: Mapping[str, bytes | None],
    ) -> None:
        self.weights.append(commits.large_bytes(records))
        super().commit(records, positions, changed)


class InflatingPipeline(CountingPipeline):
    """Every record of a few bytes becomes a message of 1 MB, as a compressed one may."""

    def feed(self, spool_records: Sequence[SpoolRecord]) -> list[Record]:
        out: list[Record] = []
        for record in spool_records:
            if record.kind is Kind.IN:
                self.number += 1
                out += message(self.number, record.link, record.time_ns, record.data[:8].ljust(MB))
        return out


def _recorded(folder: Path, store: SqliteStore, pipeline: CountingPipeline, expected: int) -> None:
    async def play() -> None:
        recorder = Recorder(folder, store, Config(), pipeline)
        running = asyncio.create_task(recorder.run(-1))
        while len(store.payloads()) < expected and not running.done():
            await asyncio.sleep(0.01)
        recorder._stop(0.0)
        assert await running == 0

    asyncio.run(asyncio.wait_for(play(), 60))


def test_a_commit_brings_few_large_records(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "spool")
    pieces = [b"%08d" % number + bytes(256 << 10) for number in range(64)]
    for piece in pieces:
        writer.append(piece)
    writer.die()
    store = WeighingStore(tmp_path / "rows.sqlite")
    _recorded(tmp_path, store, CountingPipeline(), len(pieces))
    assert store.payloads() == pieces
    assert sum(store.weights) == sum(map(len, pieces))
    assert max(store.weights) <= commits.FLUSH_BYTES + (256 << 10) + 8


def test_small_records_that_become_large_ones_wait(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "spool")
    for number in range(40):
        writer.append(b"%08d" % number + bytes(4 << 10))
    writer.die()
    store = WeighingStore(tmp_path / "rows.sqlite")
    _recorded(tmp_path, store, InflatingPipeline(), 40)
    assert [payload[:8] for payload in store.payloads()] == [b"%08d" % number for number in range(40)]
    assert sum(store.weights) == 40 * MB
    assert max(store.weights) <= commits.FLUSH_BYTES + MB * (FEED_BYTES // (4 << 10))


def test_a_read_gives_about_a_megabyte(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "spool")
    for _ in range(20):
        writer.append(bytes(300_000))
    read = tail.Tail(tmp_path / "spool")
    sizes = []
    while items := read.read(500):
        sizes.append(sum(len(item.data) for item in items if isinstance(item, SpoolRecord)))
        assert read.cut == (sizes[-1] >= tail.READ_BYTES)
    read.close()
    assert sum(sizes) == 20 * 300_000 and max(sizes) < tail.READ_BYTES + 300_000


def test_the_ring_keeps_few_large_lines_and_all_small_ones() -> None:
    live = Live()
    live.publish([record for number in range(1, 2001) for record in message(number, 1, number, b"{}")])
    assert len(live.page(None, 0, 5000)) == 2000
    live.publish([record for number in range(3000, 3050) for record in message(number, 1, number, bytes(MB))])
    kept = live.page(None, 0, 5000)
    assert sum(sinks.weight(line) for line in kept if sinks.weight(line) >= sinks.LARGE) <= sinks.RING_BYTES
    assert kept, "the last ones are there"


def test_many_rows_wait_a_little_longer_for_the_store_than_few() -> None:
    few: list[Record] = [*message(1, 1, 1, b"{}"), Beat(2)]
    assert commits.flush_seconds(few) == commits.FLUSH_SECONDS < commits.MANY_SECONDS <= 1.0
    assert commits.flush_seconds(few * commits.MANY_ROWS) == commits.MANY_SECONDS
    assert commits.flush_seconds([Beat(1)] * 5) == commits.IDLE_SECONDS


def test_what_a_call_of_the_store_was_given_is_let_go_when_it_is_done() -> None:
    class Rows:
        pass

    async def play() -> None:
        thread, rows = commits.StoreThread(), Rows()
        left = weakref.ref(rows)
        await thread.call(id, rows)
        del rows
        eventually(lambda: left() is None)
        thread.end()

    asyncio.run(play())
