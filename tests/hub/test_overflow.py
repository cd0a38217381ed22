"""A recorder that lags moves closed segments to disk; they are read in order, each record once, whatever dies when."""

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from ocpp_proxy.config import Config, SpoolConfig
from ocpp_proxy.hub import overflow, recording
from ocpp_proxy.hub.overflow import copy, moved_folder
from ocpp_proxy.hub.recording import Recorder
from ocpp_proxy.hub.segments import scan
from ocpp_proxy.hub.store import Position
from ocpp_proxy.hub.tail import Lost, Tail
from ocpp_proxy.relay.spool import SpoolWriter
from ocpp_proxy.wire.spool import Kind
from tests.hub.doubles import CountingPipeline, SqliteStore, TroubledStore, eventually
from tests.hub.writing import Writer

LIMIT = 400_000


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """State folder of the test; the spool counts as another file system."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(overflow, "file_system", lambda path: 1 if path.name == "spool" else 2)
    monkeypatch.setattr(overflow, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(recording, "PENDING_ROWS", 50)
    return tmp_path


def spooled(folder: Path) -> int:
    return sum(name.path.stat().st_size for name in scan(folder))


class Lagging:
    """A relay's writer, a store that hangs, a recorder between them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "instance"
        self.folder.mkdir()
        self.store = TroubledStore(folder / "rows.sqlite")
        self.store.go.clear()
        self.writer = SpoolWriter(self.folder / "spool", 0, SpoolConfig(limit_bytes=LIMIT, segment_bytes=40_000))
        (self.folder / "relay-0.json").write_text(f'{{"spool_limit": {self.writer.limit}}}')
        self.sent = 0
        self.recorder = Recorder(self.folder, self.store, Config(), CountingPipeline())

    @property
    def moved(self) -> Path:
        return moved_folder(self.folder)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(0.002)

    def send(self, count: int) -> None:
        for _ in range(count):
            self.sent += 1
            self.writer.append([(Kind.IN, 0, 1, 0, b"%05d" % self.sent + bytes(995), None, None)])

    def play(self, scene: Callable[[], Awaitable[None]]) -> None:
        async def run() -> None:
            running = asyncio.create_task(self.recorder.run(-1))
            try:
                await scene()
            finally:
                self.store.go.set()
                self.writer.tick()
                self.writer.close()
                self.recorder._stop(0.0)
            async with asyncio.timeout(60):
                assert await running == 0
        asyncio.run(run())

    def numbers(self) -> list[int]:
        return [int(payload[:5]) for payload in self.store.payloads()]


def test_more_than_the_spool_holds_is_kept_while_the_store_hangs(tmp_path: Path) -> None:
    it = Lagging(tmp_path)

    async def scene() -> None:
        while it.sent < 1500:               # four times what the spool may hold
            it.send(50)
            await it.until(lambda: spooled(it.folder / "spool") <= LIMIT // 2 + 80_000)
        assert it.store.payloads() == []
        assert len(scan(it.moved)) >= 25
        assert oct(it.moved.stat().st_mode)[-3:] == oct(it.moved.parent.stat().st_mode)[-3:] == "700"
        assert {oct(path.stat().st_mode)[-3:] for path in it.moved.iterdir()} == {"600"}
        gauges = it.recorder._gauges()
        assert gauges["ocpp_spool_moved_bytes"][1] >= 1_000_000 and gauges["ocpp_spool_moved_segments"][1] >= 25

    it.play(scene)
    assert it.writer.gaps == it.writer.lost_records == 0
    assert it.numbers() == list(range(1, 1501))
    assert it.store.payloads("gap") == []
    assert scan(it.folder / "spool") == [] and list(it.moved.iterdir()) == []


@pytest.mark.parametrize("why", ["limit", "full", "same disk", "no limit known"])
def test_what_cannot_be_moved_stays_and_the_relay_counts_what_finds_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str,
) -> None:
    tries: list[Path] = []

    def full(segment: Path, folder: Path) -> Path:
        tries.append(segment)
        raise OSError(28, "No space left on device")

    if why == "limit":
        monkeypatch.setattr(overflow, "DISK_BYTES", 100_000)
    elif why == "full":
        monkeypatch.setattr(overflow, "copy", full)
    elif why == "same disk":
        monkeypatch.setattr(overflow, "file_system", lambda path: 1)
    it = Lagging(tmp_path)
    if why == "no limit known":
        (it.folder / "relay-0.json").unlink()

    async def scene() -> None:
        it.send(350)
        if why == "limit":
            await it.until(lambda: "100000 bytes are there already" in it.recorder._overflow.error)
            assert 0 < spooled(it.moved) <= 100_000
        elif why == "full":
            await it.until(lambda: "No space" in it.recorder._overflow.error)
            assert len(tries) == 1          # not tried again at once
        else:
            for _ in range(20):
                await asyncio.sleep(0.01)
        assert why == "limit" or not it.moved.exists() or not scan(it.moved)
        it.send(300)
        assert it.writer.in_gap
        it.store.go.set()
        await it.until(lambda: len(it.store.payloads()) >= it.sent - it.writer.lost_records)

    it.play(scene)
    assert it.writer.lost_records > 100
    assert it.numbers() == list(range(1, it.sent - it.writer.lost_records + 1))
    assert not it.moved.exists() or list(it.moved.iterdir()) == []


def test_a_disk_that_hangs_holds_up_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()

    def hanging(segment: Path, folder: Path) -> Path:
        go.wait()
        return copy(segment, folder)

    monkeypatch.setattr(overflow, "copy", hanging)
    it = Lagging(tmp_path)

    async def scene() -> None:
        it.send(300)
        await it.until(lambda: it.recorder._overflow._task is not None)
        it.store.go.set()
        await it.until(lambda: len(it.store.payloads()) == 300)
        await it.until(lambda: len(scan(it.folder / "spool")) == 1)
        go.set()                            # the copy comes too late: its segment was stored and deleted
        await it.until(lambda: it.recorder._overflow._task is None or it.recorder._overflow._task.done())

    it.play(scene)
    assert it.numbers() == list(range(1, 301))
    assert not it.moved.exists() or list(it.moved.iterdir()) == []


@pytest.mark.parametrize("state", ["half a copy", "both places", "moved", "moved after the first was read", "damaged copy"])
def test_wherever_the_move_was_interrupted_records_come_once_in_order(tmp_path: Path, state: str) -> None:
    spool, moved = tmp_path / "spool", tmp_path / "disk" / "moved"
    writer = Writer(spool)
    paths = []
    for n in range(1, 5):
        writer.append(b"%da" % n)
        writer.append(b"%db" % n)
        paths.append(writer.path)
        writer.rotate()
    writer.append(b"5a")
    tail = Tail(spool, (), moved)
    got: list[bytes] = []

    def take(limit: int) -> None:
        for item in tail.read(limit):
            assert not isinstance(item, Lost)
            got.append(item.data)

    if state == "half a copy":
        moved.mkdir(parents=True, mode=0o700)
        (moved / f".{paths[1].name}.new").write_bytes(paths[1].read_bytes()[:100])
    elif state == "both places":
        copy(paths[1], moved)
    elif state == "damaged copy":
        copy(paths[1], moved).write_bytes(paths[1].read_bytes()[:-3])
        assert copy(paths[1], moved).read_bytes() == paths[1].read_bytes()      # made anew: it is not the whole segment
    elif state == "moved":
        for path in paths[1:3]:
            copy(path, moved)
            path.unlink()
    else:
        take(3)                             # inside the second segment
        tail.close()
        for path in paths[:3]:
            copy(path, moved)
            path.unlink()
        tail = Tail(spool, [Position(0, writer.incarnation, 3)], moved)
    take(100)
    assert got == [b"1a", b"1b", b"2a", b"2b", b"3a", b"3b", b"4a", b"4b", b"5a"]
    assert [path.name for path in tail.finished([Position(0, writer.incarnation, 8)])] == [path.name for path in paths]
    assert all(path.exists() for path in tail.finished([Position(0, writer.incarnation, 8)]))
    tail.close()


def test_a_segment_that_is_being_read_or_was_read_may_move(tmp_path: Path) -> None:
    spool, moved = tmp_path / "spool", tmp_path / "disk" / "moved"
    writer = Writer(spool)
    paths = []
    for _ in range(3):
        for n in range(4):
            writer.append(b"%d" % n * 400_000)
        paths.append(writer.path)
        writer.rotate()
    tail = Tail(spool, (), moved)
    got = [item.seq for item in tail.read(2) if not isinstance(item, Lost)]
    for path in paths:
        target = copy(path, moved)
        path.unlink()
        tail.replaced(path, target)
    while items := tail.read(100):
        got += [item.seq for item in items if not isinstance(item, Lost)]
    assert got == list(range(1, 13))
    assert tail.finished([Position(0, writer.incarnation, 12)]) == [moved / path.name for path in paths]
    tail.close()


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder on a tmpfs."""
    place = Path("/dev/shm")
    if not os.access(place, os.W_OK):
        pytest.skip("/dev/shm: cannot be written")
    folder = Path(tempfile.mkdtemp(dir=place))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_kill_9_while_segments_move_stores_everything_once_in_order(
    tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two real file systems, a real process killed again and again while it moves; the last one stores what there is."""
    monkeypatch.undo()
    if shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("the test folder lies on the same file system as /dev/shm")
    instance, rng = shared / "instance", random.Random(3)
    writer = Writer(instance / "spool")
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    (instance / "relay-0.json").write_text('{"spool_limit": 300000}')
    disk = tmp_path / "ocpp-proxy" / "moved" / "instance"
    store = SqliteStore(instance / "rows.sqlite")
    alive = os.pipe()
    sent = kills = 0

    def recorder(hang: bool) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.hub.doubles", "--instance", str(instance), "--alive-fd", str(alive[0]),
             *(["--hang"] if hang else [])],
            env=environment, pass_fds=(alive[0],),
        )

    while kills < 5:
        for _ in range(10):
            for _ in range(40):
                sent += 1
                writer.append(b"%05d" % sent + bytes(995))
            writer.rotate()
        before = len(list(disk.iterdir())) if disk.exists() else 0
        process = recorder(hang=True)
        wanted = before + rng.randrange(1, 5)
        eventually(lambda wanted=wanted: disk.exists() and len(list(disk.iterdir())) >= wanted)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
    assert store.payloads() == []
    writer.die()
    last = recorder(hang=False)
    eventually(lambda: len(store.payloads()) >= sent)
    last.send_signal(signal.SIGTERM)
    assert last.wait(20) == 0
    assert [int(payload[:5]) for payload in store.payloads()] == list(range(1, sent + 1))
    assert store.payloads("gap") == []
    assert scan(disk) == scan(instance / "spool") == []
    os.close(alive[0])
    os.close(alive[1])
