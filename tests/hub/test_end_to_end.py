"""The real thing: supervisor, relay, recorder and DuckDB as processes, a CSMS behind and a charger in front of them."""

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import ocpp_proxy_captures
import pytest
import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from ocpp_proxy.config import CaptureConfig, Config, LimitsConfig
from ocpp_proxy.fields import parse
from ocpp_proxy.hub.client import LiveSource, find_instances
from ocpp_proxy.hub.instance import Instance
from ocpp_proxy.model import ConfigError, Opcode, Side
from ocpp_proxy.records import FrameSeen, Gap, Line, MessageSeen, Record

ROOT = Path(__file__).parent.parent.parent
CODE = """
import sys, msgspec
from ocpp_proxy.config import Config
from ocpp_proxy.supervisor import run
def tell(event):
    print(msgspec.json.encode(event).decode(), flush=True)
sys.exit(run(msgspec.json.decode(sys.argv[1], type=Config), tell))
"""


class Proxy:
    """A running proxy and the pids of its children."""

    def __init__(self, process: subprocess.Popen[str], runtime: Path) -> None:
        self.process, self.runtime = process, runtime
        self.pids: dict[str, int] = {}

    async def wait_for(self, kind: str, text: str = "") -> dict[str, Any]:
        """Read events until this one."""
        assert self.process.stdout is not None
        while line := await asyncio.to_thread(self.process.stdout.readline):
            event: dict[str, Any] = json.loads(line)
            if event["kind"] == "started":
                self.pids[event["text"]] = event["pid"]
            if event["kind"] == kind and event["text"].startswith(text):
                return event
        raise AssertionError(f"no event {kind}; exit code {self.process.wait()}")

    def instance(self) -> Instance:
        """What it says about itself."""
        return find_instances(self.runtime)[0]


@contextmanager
def running(tmp_path: Path, config: Config) -> Iterator[Proxy]:
    """Start a proxy; end it at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, msgspec.json.encode(config).decode()], stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env={
            **os.environ, "OCPP_PROXY_RUNTIME": str(tmp_path / "runtime"), "XDG_STATE_HOME": str(tmp_path / "state"),
            "PYTHONPATH": os.pathsep.join(os.path.abspath(place) for place in sys.path),
        },
    )
    try:
        yield Proxy(process, tmp_path / "runtime")
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


async def csms(connection: ServerConnection) -> None:
    """Answer every Call, remember what came."""
    received = connection.server.received   # type: ignore[attr-defined]    # set below
    async for text in connection:
        received.append(text)
        await connection.send(json.dumps([3, json.loads(text)[1], {"currentTime": "2026-01-01T00:00:00Z"}]))


async def stored(capture: Path) -> list[Record]:
    """The whole stream of a capture."""
    source = ocpp_proxy_captures.open_source(capture)
    out: list[Record] = []
    async for batch in source.records():
        out += batch
    await source.close()
    return out


def settings(tmp_path: Path, port: int, **capture: Any) -> Config:
    """A proxy on a free port in front of a CSMS on ``port``."""
    where = CaptureConfig(**{"path": str(tmp_path / "c.duckdb"), **capture})
    return Config(
        upstream=f"ws://127.0.0.1:{port}/ocpp", listen=("127.0.0.1:0",), capture=where, limits=LimitsConfig(drain_seconds=0.5),
    )


def dialled(known: Instance) -> connect:
    """A charger's link, however long the relay takes to come."""
    return connect(f"ws://{known.listen[0]}/CP1", subprotocols=[websockets.Subprotocol("ocpp1.6")], open_timeout=60)


def test_a_conversation_is_live_then_stored_and_the_file_is_whole(tmp_path: Path) -> None:
    async def play() -> None:
        async with serve(csms, "127.0.0.1", 0, subprotocols=[websockets.Subprotocol("ocpp1.6")]) as server:
            server.received = []            # type: ignore[attr-defined]
            with running(tmp_path, settings(tmp_path, server.sockets[0].getsockname()[1])) as proxy:
                await proxy.wait_for("listening")
                known = proxy.instance()
                source = await LiveSource.connect(known.control, known.token)
                async with asyncio.timeout(60):
                    while (await source.health())["status"] != "ok":
                        await asyncio.sleep(0.05)
                url = f"ws://{known.listen[0]}/CP1"
                async with connect(url, subprotocols=[websockets.Subprotocol("ocpp1.6")], open_timeout=60) as station:
                    for n in range(20):
                        await station.send(json.dumps([2, f"m{n}", "Heartbeat", {}]))
                        assert json.loads(await station.recv())[1] == f"m{n}"
                async with asyncio.timeout(60):
                    while sum(isinstance(line.record, MessageSeen) for line in await source.page(None, 0, 1000)) < 40:
                        await asyncio.sleep(0.05)
                assert (await source.query("overview", {})).rows
                assert (await source.query("SELECT count(*) FROM messages", {})).rows == [[40]]
                with pytest.raises(ConfigError):
                    await source.query("SELECT * FROM read_csv('/etc/passwd')", {})
                assert [link.identity for link in await source.links()] == ["CP1"]
                assert source.stored is True
                assert [(charger.identity, charger.messages) for charger in await source.chargers()] == [("CP1", 40)]
                lines = await source.page(None, 0, 1000)
                messages = [line.record.message for line in lines if isinstance(line.record, MessageSeen)]
                assert [(m.sender, m.message_id) for m in messages] == [
                    (side, f"m{n}") for n in range(20) for side in (Side.STATION, Side.CSMS)
                ]
                numbers = await source.numbers("exchanges", parse("action == Heartbeat"))
                assert list(numbers) == sorted({await source.number_of("exchanges", msg_no=m.msg_no) for m in messages})
                rows = await source.rows("exchanges", numbers)
                assert [(row.message_id, row.outcome) for row in rows] == [(f"m{n}", "ok") for n in range(20)]
                assert [line.record for line in await source.row_lines("exchanges", numbers[3])] == [
                    line.record for line in lines if isinstance(line.record, MessageSeen)][6:8]
                assert {line.process for line in await source.log()} == {"supervisor", "recorder"}
                assert (await source.health())["status"] == "ok"
                await source.close()
                proxy.process.send_signal(signal.SIGTERM)
                await proxy.wait_for("stopped")
                assert await asyncio.to_thread(proxy.process.wait, 60) == 0
            assert not (tmp_path / "c.duckdb.wal").exists()
            assert list((Path(known.folder) / "spool").iterdir()) == []
            records = await stored(tmp_path / "c.duckdb")
            frames = [record.frame for record in records if isinstance(record, FrameSeen)]
            assert [frame.opcode for frame in frames].count(Opcode.TEXT) == 40
            assert not any(isinstance(record, Gap) for record in records)

    asyncio.run(play())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB; skipped where none may be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system may be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_full_capture_disk_stops_no_traffic_and_costs_no_row(tmp_path: Path, small_disk: Path) -> None:
    async def play() -> None:
        async with serve(csms, "127.0.0.1", 0, subprotocols=[websockets.Subprotocol("ocpp1.6")]) as server:
            server.received = []            # type: ignore[attr-defined]
            config = settings(tmp_path, server.sockets[0].getsockname()[1], path=str(small_disk / "c.duckdb"))
            with running(tmp_path, config) as proxy:
                await proxy.wait_for("listening")
                known = proxy.instance()
                source = await LiveSource.connect(known.control, known.token)

                async def until(status: str) -> None:
                    async with asyncio.timeout(60):
                        while (await source.health())["status"] != status:
                            await asyncio.sleep(0.05)

                async with dialled(known) as station:
                    async def exchange(first: int) -> None:
                        for number in range(first, first + 100):
                            await station.send(json.dumps([2, f"m{number}", "Heartbeat", {}]))
                            assert json.loads(await station.recv())[1] == f"m{number}"

                    await exchange(0)
                    await until("ok")
                    with (small_disk / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
                        while filler.write(bytes(4096)):
                            pass
                    await exchange(100)
                    await until("failing")
                    await exchange(200)     # traffic goes on, the spool holds it
                    assert "No space left" in (await source.health())["problems"][0]
                    (small_disk / "filler").unlink()
                    await until("ok")
                    await exchange(300)
                await source.close()
                proxy.process.send_signal(signal.SIGTERM)
                await proxy.wait_for("stopped")
                assert await asyncio.to_thread(proxy.process.wait, 60) == 0
            records = await stored(small_disk / "c.duckdb")
            frames = [record.frame for record in records if isinstance(record, FrameSeen)]
            texts = [frame.text or frame.payload for frame in frames if frame.opcode is Opcode.TEXT]
            assert [json.loads(text)[1] for text in texts] == [f"m{number}" for number in range(400) for _ in Side]
            assert not any(isinstance(record, Gap) for record in records)

    asyncio.run(play())


def test_without_a_capture_lines_and_findings_are_live_and_nothing_is_stored(tmp_path: Path) -> None:
    async def play() -> None:
        async with serve(csms, "127.0.0.1", 0, subprotocols=[websockets.Subprotocol("ocpp1.6")]) as server:
            server.received = []            # type: ignore[attr-defined]
            with running(tmp_path, settings(tmp_path, server.sockets[0].getsockname()[1], off=True)) as proxy:
                await proxy.wait_for("listening")
                known = proxy.instance()
                assert known.name == f"live-{known.listen[0].rpartition(':')[2]}"
                source = await LiveSource.connect(known.control, known.token)
                got: list[Line] = []

                async def follow() -> None:
                    async for batch in source.follow(parse("kind == message")):
                        got.extend(batch)

                following = asyncio.create_task(follow())
                async with asyncio.timeout(60):
                    while (await source.health())["subscribers"] < 1:
                        await asyncio.sleep(0.02)
                async with dialled(known) as station:
                    await station.send(json.dumps([2, "m1", "NoSuchAction", {}]))
                    await station.recv()
                async with asyncio.timeout(60):
                    while len(got) < 2 or any(charger.state != "closed" for charger in await source.chargers()):
                        await asyncio.sleep(0.02)
                assert [line.record.message.message_id for line in got if isinstance(line.record, MessageSeen)] == ["m1", "m1"]
                assert got[0].findings          # an action that 1.6 does not know
                assert source.stored is False
                (charger,) = await source.chargers()
                assert (charger.identity, charger.state, charger.messages) == ("CP1", "closed", 2)
                (number,) = {await source.number_of("exchanges", msg_no=number) for number in (1, 2)}
                (row,) = await source.rows("exchanges", [number])
                assert (row.action, row.outcome, row.message_id) == ("NoSuchAction", "ok", "m1")
                codes = {found.code for found in got[0].findings}
                assert codes <= {group.code for group in await source.finding_groups("CP1")}
                assert codes <= {found.finding.code for found in await source.findings()}
                assert {line.process for line in await source.log()} == {"supervisor", "recorder"}
                proxy.process.send_signal(signal.SIGTERM)
                await proxy.wait_for("stopped")
                await following             # the stream came to its end
                await source.close()
                assert await asyncio.to_thread(proxy.process.wait, 60) == 0
            assert list(tmp_path.rglob("*.duckdb")) == []
            assert list((Path(known.folder) / "spool").iterdir()) == []

    asyncio.run(play())


def test_a_second_run_on_the_same_capture_goes_on_counting(tmp_path: Path) -> None:
    async def play() -> None:
        async with serve(csms, "127.0.0.1", 0, subprotocols=[websockets.Subprotocol("ocpp1.6")]) as server:
            server.received = []            # type: ignore[attr-defined]
            counts = []
            for _run in range(2):
                with running(tmp_path, settings(tmp_path, server.sockets[0].getsockname()[1])) as proxy:
                    await proxy.wait_for("listening")
                    url = f"ws://{proxy.instance().listen[0]}/CP1"
                    async with connect(url, subprotocols=[websockets.Subprotocol("ocpp1.6")], open_timeout=60) as station:
                        await station.send(json.dumps([2, "m", "Heartbeat", {}]))
                        await station.recv()
                    proxy.process.send_signal(signal.SIGTERM)
                    await proxy.wait_for("stopped")
                    assert await asyncio.to_thread(proxy.process.wait, 60) == 0
                frames = [record.frame for record in await stored(tmp_path / "c.duckdb") if isinstance(record, FrameSeen)]
                counts.append(len(frames))
            assert counts[1] > counts[0] > 0
            assert [frame.frame_id for frame in frames] == list(range(1, counts[1] + 1))
            assert sorted({frame.link_id for frame in frames}) == [1, 2]

    asyncio.run(play())


@pytest.mark.timeout(180)
def test_kill_9_of_relay_and_recorder_loses_and_doubles_no_frame_a_peer_received(tmp_path: Path) -> None:
    """Each is killed several times at random moments under load; the charger reconnects whenever it has to."""
    rng = random.Random(11)

    async def charge(url: str, sent: list[str], got: list[str], go_on: asyncio.Event) -> None:
        number = 0
        while not go_on.is_set():
            try:
                async with connect(url, subprotocols=[websockets.Subprotocol("ocpp1.6")], open_timeout=5) as station:
                    while not go_on.is_set():
                        number += 1
                        text = json.dumps([2, f"m{number}", "Heartbeat", {}])
                        sent.append(text)
                        await station.send(text)
                        async with asyncio.timeout(5):
                            got.append(str(await station.recv()))
            except (OSError, TimeoutError, websockets.WebSocketException):
                await asyncio.sleep(0.02)

    async def play() -> None:
        async with serve(csms, "127.0.0.1", 0, subprotocols=[websockets.Subprotocol("ocpp1.6")]) as server:
            received: list[str] = []
            server.received = received      # type: ignore[attr-defined]
            sent: list[str] = []
            got: list[str] = []
            end = asyncio.Event()
            with running(tmp_path, settings(tmp_path, server.sockets[0].getsockname()[1])) as proxy:
                await proxy.wait_for("listening")
                url = f"ws://{proxy.instance().listen[0]}/CP1"
                load = asyncio.create_task(charge(url, sent, got, end))
                for victims in (("relay",), ("recorder",), ("relay", "recorder"), ("recorder",), ("relay",)):
                    before, target = len(got), rng.randrange(20, 200)
                    async with asyncio.timeout(60):
                        while len(got) < before + target:
                            await asyncio.sleep(0.005)
                    old = {name: proxy.pids[name] for name in victims}
                    for pid in old.values():
                        os.kill(pid, signal.SIGKILL)
                    while any(proxy.pids[name] == pid for name, pid in old.items()):
                        await proxy.wait_for("started")
                before = len(got)
                async with asyncio.timeout(60):
                    while len(got) < before + 50:
                        await asyncio.sleep(0.005)
                end.set()
                await load
                proxy.process.send_signal(signal.SIGTERM)
                await proxy.wait_for("stopped")
                assert await asyncio.to_thread(proxy.process.wait, 60) == 0
            records = await stored(tmp_path / "c.duckdb")
            frames = [r.frame for r in records if isinstance(r, FrameSeen) and r.frame.opcode is Opcode.TEXT]
            by_side = {
                side: [(frame.text or frame.payload).decode() for frame in frames if frame.sender is side and not frame.raw]
                for side in Side
            }
            for texts, seen in ((by_side[Side.STATION], received), (by_side[Side.CSMS], got)):
                assert len(texts) == len(set(texts))                    # nothing twice
                assert set(seen) <= set(texts)                          # nothing a peer received is missing
                assert [text for text in texts if text in set(seen)] == seen        # in order
            assert [r.frame.frame_id for r in records if isinstance(r, FrameSeen)] == sorted(
                {r.frame.frame_id for r in records if isinstance(r, FrameSeen)})
            assert len(received) > 100

    asyncio.run(play())
