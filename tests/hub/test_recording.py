"""The recorder stores every record exactly once, whatever happens to it and to its store, and never stops for a store."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from ocpp_proxy.config import CaptureConfig, Config
from ocpp_proxy.hub import commits, probe, recording
from ocpp_proxy.hub.client import LiveSource, answers
from ocpp_proxy.hub.instance import Instance, control_address, write
from ocpp_proxy.hub.recording import Recorder
from ocpp_proxy.hub.store import Store
from ocpp_proxy.records import MessageSeen, Record
from ocpp_proxy.wire import kept
from ocpp_proxy.wire.spool import Kind, SpoolRecord
from tests.hub.doubles import CountingPipeline, SqliteStore, TroubledStore, eventually
from tests.hub.writing import Writer


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


def recorded(folder: Path, store: Store | None, during: Callable[[Recorder, LiveSource], Awaitable[None]]) -> int:
    """Run a recorder on a folder while ``during`` runs, then tell it to stop; its exit code."""
    async def play() -> int:
        recorder = Recorder(folder, store, Config(), CountingPipeline())
        running = asyncio.create_task(recorder.run(-1))
        await until(lambda: (folder / "control.sock").exists() or running.done())
        source = LiveSource(str(folder / "control.sock"))
        try:
            await during(recorder, source)
        finally:
            await source.close()
            recorder._stop(0.0)
        async with asyncio.timeout(60):
            return await running
    return asyncio.run(play())


def test_rows_positions_and_state_arrive_and_the_spool_is_emptied(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "rows.sqlite")
    writer = Writer(tmp_path / "spool")
    for n in range(25):
        writer.append(b"%d" % n)
    writer.rotate()
    writer.append(b"25")

    async def during(recorder: Recorder, source: LiveSource) -> None:
        await until(lambda: len(store.payloads()) == 26)
        await until(lambda: len(list((tmp_path / "spool").iterdir())) == 1)
        writer.append(b"26")
        writer.die()

    assert recorded(tmp_path, store, during) == 0
    assert store.payloads() == [b"%d" % n for n in range(27)]
    assert store.closed
    assert store.checkpoints >= 1
    assert list((tmp_path / "spool").iterdir()) == []
    assert store.state() == {"n/number": b"27"}


def test_a_segment_stays_until_its_rows_are_checkpointed(tmp_path: Path) -> None:
    class NoCheckpoint(SqliteStore):
        def checkpoint(self) -> None:
            raise OSError("the disk is full")

    store = NoCheckpoint(tmp_path / "rows.sqlite")
    writer = Writer(tmp_path / "spool")
    writer.append(b"1")
    writer.die()

    async def during(recorder: Recorder, source: LiveSource) -> None:
        await until(lambda: store.payloads() == [b"1"])

    recorded(tmp_path, store, during)
    assert writer.path.exists()
    again = SqliteStore(tmp_path / "rows.sqlite")

    async def nothing(recorder: Recorder, source: LiveSource) -> None:
        return

    assert recorded(tmp_path, again, nothing) == 0
    assert again.payloads() == [b"1"]       # read again, not stored again
    assert not writer.path.exists()


@pytest.mark.parametrize(("failing", "late"), [(3, 0), (0, 1), (2, 1)])
def test_a_failing_store_is_retried_and_nothing_is_lost_or_doubled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int, late: int,
) -> None:
    monkeypatch.setattr(commits, "RETRY_SECONDS", (0.01,))
    store = TroubledStore(tmp_path / "rows.sqlite")
    store.failing, store.failing_late = failing, late
    writer = Writer(tmp_path / "spool")
    for n in range(10):
        writer.append(b"%d" % n)

    async def during(recorder: Recorder, source: LiveSource) -> None:
        await until(lambda: len(store.payloads()) >= 10 and store.failing == store.failing_late == 0)
        writer.append(b"10")

    assert recorded(tmp_path, store, during) == 0
    assert store.payloads() == [b"%d" % n for n in range(11)]


def test_health_is_red_while_the_store_fails_and_green_again_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "RETRY_SECONDS", (0.01,))
    store = TroubledStore(tmp_path / "rows.sqlite")
    store.failing = 1_000_000
    writer = Writer(tmp_path / "spool")
    writer.append(b"1")

    async def during(recorder: Recorder, source: LiveSource) -> None:
        await until(lambda: store.attempts > 3)
        health = await source.health()
        assert health["status"] == "failing"
        assert health["problems"] == ["capture: No space left on device"]
        store.failing = 0
        await until(lambda: store.payloads() == [b"1"])
        await until(lambda: recorder._health()[0])
        assert (await source.health())["status"] == "ok"

    assert recorded(tmp_path, store, during) == 0


def test_a_hung_store_holds_up_neither_live_lines_nor_the_control_api(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recording, "PENDING_ROWS", 100)
    monkeypatch.setattr(recording, "HUNG_SECONDS", 0.0)
    store = TroubledStore(tmp_path / "rows.sqlite")
    store.go.clear()
    writer = Writer(tmp_path / "spool")

    async def during(recorder: Recorder, source: LiveSource) -> None:
        writer.append(b"0")
        await until(lambda: store.attempts == 1)
        for n in range(1, 2000):
            writer.append(b"%d" % n)
        await until(lambda: len(recorder._pending) >= 100)
        assert len(await source.page(None, 0, 10)) == 10
        health = await source.health()
        assert "a commit has been running" in health["problems"][0]
        assert len(recorder._pending) <= 100 + 2 * recording.READ_ITEMS      # the rest waits in the spool
        store.go.set()
        await until(lambda: len(store.payloads()) == 2000)

    assert recorded(tmp_path, store, during) == 0
    assert store.payloads() == [b"%d" % n for n in range(2000)]


def test_a_store_that_never_answers_does_not_keep_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "STOP_SECONDS", 0.2)
    store = TroubledStore(tmp_path / "rows.sqlite")
    store.go.clear()
    writer = Writer(tmp_path / "spool")
    writer.append(b"1")

    async def during(recorder: Recorder, source: LiveSource) -> None:
        await until(lambda: store.attempts == 1)

    assert recorded(tmp_path, store, during) == 1
    assert writer.path.exists()             # the spool keeps what the store did not take
    store.go.set()


def test_without_a_store_lines_are_there_and_the_spool_is_emptied(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "spool")
    writer.append(kind=Kind.OPEN, link=7)
    for n in range(3):
        writer.append(b"%d" % n, link=7)
    first = writer.path
    writer.rotate()

    async def during(recorder: Recorder, source: LiveSource) -> None:
        await until(lambda: not first.exists())
        assert [link.link_id for link in await source.links()] == [7]
        assert len(await source.page(None, 0, 100)) == 4

    assert recorded(tmp_path, None, during) == 0


def test_beats_alone_are_not_written_all_the_time(tmp_path: Path) -> None:
    store = TroubledStore(tmp_path / "rows.sqlite")
    writer = Writer(tmp_path / "spool")
    writer.append(b"1")

    async def during(recorder: Recorder, source: LiveSource) -> None:
        await until(lambda: store.attempts == 1)
        for _ in range(5):
            at = recorder._tail.positions()[0].seq
            writer.beat()
            recorder._wake.set()
            await until(lambda at=at: recorder._tail.positions()[0].seq > at)      # type: ignore[misc]
        assert len(recorder._pending) <= 2
        assert store.attempts == 1

    assert recorded(tmp_path, store, during) == 0
    assert store.positions()[0].seq == 6


def test_a_record_that_breaks_decoding_costs_itself_only(tmp_path: Path) -> None:
    """The first recorder ends on it; the next one leaves it out, as a gap, and goes on."""
    class Fragile(CountingPipeline):
        def feed(self, spool_records: Sequence[SpoolRecord]) -> list[Record]:
            if any(record.data == b"poison" for record in spool_records):
                raise RecursionError
            return super().feed(spool_records)

    writer = Writer(tmp_path / "spool")
    for data in (b"1", b"2", b"poison", b"3"):
        writer.append(data)
    writer.die()
    store = SqliteStore(tmp_path / "rows.sqlite")
    with pytest.raises(RecursionError):
        asyncio.run(Recorder(tmp_path, store, Config(), Fragile()).run(-1))
    recorder = Recorder(tmp_path, store, Config(), Fragile())
    recorder._stop(0.0)
    assert asyncio.run(recorder.run(-1)) == 0
    assert store.payloads() == [b"1", b"2", b"3"]
    assert store.payloads("gap") == [b"1"]
    assert not (tmp_path / "careful").exists()


def test_what_is_committed_is_kept_beside_the_capture_and_the_spool_is_emptied(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "rows.sqlite")
    writer = Writer(tmp_path / "spool")
    for n in range(4):
        writer.append(b"%d" % n * 1000)
        writer.rotate()
    writer.die()
    capture = CaptureConfig(path=str(tmp_path / "c.duckdb"), keep_spool=True)
    recorder = Recorder(tmp_path, store, Config(capture=capture), CountingPipeline())
    recorder._stop(0.0)
    assert asyncio.run(recorder.run(-1)) == 0
    assert list((tmp_path / "spool").iterdir()) == []
    (file,) = (tmp_path / "c.duckdb.spool").iterdir()
    batches = [kept.decode(entry) for entry in kept.read(file.read_bytes())]
    texts = [
        record.message.payload for batch in batches if batch for record in batch.records if isinstance(record, MessageSeen)
    ]
    assert texts == store.payloads() == [b"%d" % n * 1000 for n in range(4)]
    assert [batch.whole for batch in batches if batch][-1]


def test_what_cannot_be_kept_is_not_committed_and_stays_in_the_spool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commits, "RETRY_SECONDS", (0.01,))
    store = SqliteStore(tmp_path / "rows.sqlite")
    writer = Writer(tmp_path / "spool")
    writer.append(b"1")
    writer.die()
    place = tmp_path / "c.duckdb.spool"
    place.write_bytes(b"a file where the folder should be")
    capture = CaptureConfig(path=str(tmp_path / "c.duckdb"), keep_spool=True)

    async def play() -> int:
        recorder = Recorder(tmp_path, store, Config(capture=capture), CountingPipeline())
        running = asyncio.create_task(recorder.run(-1))
        await until(lambda: recorder._committer is not None and recorder._committer.failures > 2)
        assert "c.duckdb.spool" in recorder._health()[1]["problems"][0]
        assert store.payloads() == [] and writer.path.exists()
        place.unlink()
        await until(lambda: store.payloads() == [b"1"])
        recorder._stop(0.0)
        return await running

    assert asyncio.run(play()) == 0
    assert not writer.path.exists()


def test_health_is_red_while_the_relay_has_no_room_or_keeps_no_states(tmp_path: Path) -> None:
    Writer(tmp_path / "spool").append(b"1")
    (tmp_path / "relay-0.json").write_text('{"in_gap": true}')

    async def during(recorder: Recorder, source: LiveSource) -> None:
        assert (await source.health())["problems"] == ["spool: worker 0 has no room and counts what it cannot keep"]
        (tmp_path / "relay-0.json").write_text('{"in_gap": false, "state_error": "disk full"}')
        assert (await source.health())["problems"] == ["state: worker 0: disk full"]
        (tmp_path / "relay-0.json").write_text('{"in_gap": false, "state_error": "disk full", "state_failing": 2}')
        assert (await source.health())["problems"] == ["state: worker 0: disk full (of 2 chargers nothing is stored)"]
        here = Instance("a", 0, str(tmp_path), control=control_address(tmp_path, ""))
        assert await asyncio.to_thread(probe.health, here) == (
            False, ["state: worker 0: disk full (of 2 chargers nothing is stored)"])
        (tmp_path / "relay-0.json").write_text('{"in_gap": false, "state_error": "", "time_ns": 1000000000}')
        assert "it is gone, or the disk is full" in (await source.health())["problems"][0]      # it could not write a newer one
        (tmp_path / "relay-0.json").write_text('{"in_gap": false, "state_error": ""}')
        assert await asyncio.to_thread(probe.health, here) == (True, [])
        assert (await source.health())["problems"] == []

    assert recorded(tmp_path, None, during) == 0


def test_kill_9_at_random_points_stores_everything_once_in_order(tmp_path: Path) -> None:
    """A real process, killed while it works; what it began is finished by the next one."""
    rng = random.Random(7)
    writer = Writer(tmp_path / "spool")
    store = SqliteStore(tmp_path / "rows.sqlite")
    instance = Instance("t", os.getpid(), str(tmp_path), control=str(tmp_path / "control.sock"))
    write(instance)
    reader, alive = os.pipe()
    sent = 0
    for _round in range(6):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.hub.doubles", "--instance", str(tmp_path), "--alive-fd", str(reader)],
            pass_fds=(reader,),
        )
        eventually(lambda: answers(instance))
        stored = len(store.payloads())
        for _ in range(rng.randrange(50, 3000)):
            writer.append(b"%d" % sent)
            sent += 1
            if rng.random() < 0.002:
                writer.rotate()
        if rng.random() < 0.5:
            eventually(lambda stored=stored: len(store.payloads()) > stored)
        process.kill()
        process.wait()
        assert process.returncode == -signal.SIGKILL
    writer.die()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.hub.doubles", "--instance", str(tmp_path), "--alive-fd", str(reader)],
        pass_fds=(reader,),
    )
    eventually(lambda: answers(instance))
    os.close(alive)                         # the supervisor dies: the recorder drains and ends by itself
    os.close(reader)
    assert process.wait(60) == 0
    assert store.payloads() == [b"%d" % n for n in range(sent)]
    assert store.payloads("gap") == []
    assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.parametrize(("busy", "name", "value", "clears"), [
    (False, "CLEAR_BYTES", 1 << 30, True),
    (True, "CLEAR_BYTES", 1 << 30, False),
    (True, "CLEAR_BYTES", 1, True),
    (True, "CLEAR_SECONDS", 0.0, True),
])
def test_under_load_segments_are_cleared_several_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, busy: bool, name: str, value: float, clears: bool,
) -> None:
    monkeypatch.setattr(recording, name, value)
    writer = Writer(tmp_path / "spool")
    writer.append(b"1")
    writer.rotate()
    recorder = Recorder(tmp_path, SqliteStore(tmp_path / "rows.sqlite"), Config(), CountingPipeline())
    assert not recorder._to_clear(recorder._tail.positions())           # nothing is finished before it is read
    recorder._tail.read(10)
    recorder._quiet = not busy
    assert recorder._to_clear(recorder._tail.positions()) is clears
    writer.die()
