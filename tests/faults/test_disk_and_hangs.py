"""A full disk, a hung recorder, resets next door: traffic goes on, and the capture says truly what it has and misses."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from ocpp_proxy.demo.csms import SimulatedCsms, simulated
from ocpp_proxy.demo.play import Proxy, proxy
from ocpp_proxy.relay.relay import BEAT_SECONDS

PAYLOAD = "x" * 400
PATIENCE = 60.0                     # seconds


async def dial(running: Proxy, identity: str) -> ClientConnection:
    return await connect(
        f"ws://{running.host}:{running.port}/{identity}", subprotocols=[Subprotocol("ocpp1.6")], compression=None, proxy=None,
        open_timeout=PATIENCE,
    )


async def talk(socket: ClientConnection, first: int, count: int) -> int:
    """Send Calls one after the other; gives how many answers came, each to its own Call."""
    answered = 0
    for number in range(first, first + count):
        call = [2, str(number), "DataTransfer", {"vendorId": "v", "data": PAYLOAD}]
        await socket.send(json.dumps(call))
        answer = json.loads(await asyncio.wait_for(socket.recv(), PATIENCE))
        assert answer[:2] == [3, str(number)]
        answered += 1
    return answered


def rows(capture: Path, sql: str) -> list[dict[str, object]]:
    command = [sys.executable, "-m", "ocpp_proxy", "query", str(capture), sql, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return [json.loads(line) for line in done.stdout.splitlines()]


def wait_until(what: Callable[[], bool], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A tmpfs of that size; skips where this user may not mount one."""
    folder.mkdir(mode=0o700)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "none", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("kernel: no right to mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def test_full_spool_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    capture = tmp_path / "c.duckdb"
    with small_disk(tmp_path / "small", "4m") as small:
        monkeypatch.setenv("OCPP_PROXY_RUNTIME", str(small))
        with simulated() as upstream, proxy(upstream, capture, show=False) as running:
            recorder = running.recorder()

            async def scene() -> tuple[int, float]:
                async with await dial(running, "CP1") as socket:
                    answered, since = await talk(socket, 0, 50), time.monotonic()
                    os.kill(recorder, signal.SIGSTOP)               # nobody empties the spool now
                    try:
                        answered += await talk(socket, 50, 8000)    # more bytes than the disk has
                    finally:
                        os.kill(recorder, signal.SIGCONT)
                    wait_until(lambda: gap_written(small))
                    seconds = time.monotonic() - since
                    return answered + await talk(socket, 8050, 50), seconds

            answered, seconds = asyncio.run(scene())
            assert answered == 8100
    gaps = rows(capture, "SELECT frames, bytes, from_seq, to_seq, reason FROM gaps")
    assert len(gaps) >= 1
    assert all(int(str(gap["to_seq"])) - int(str(gap["from_seq"])) + 1 == gap["frames"] for gap in gaps)
    found = {str(row["message_id"]) for row in rows(capture, "SELECT message_id FROM messages WHERE mtype = 2")}
    assert {str(number) for number in (*range(50), *range(8050, 8100))} <= found
    missing = 2 * 8100 - int(str(rows(capture, "SELECT count(*) AS n FROM messages")[0]["n"]))
    lost = sum(int(str(gap["frames"])) for gap in gaps)
    beats = int(seconds / BEAT_SECONDS) + 2                         # heart beats of the relay count as records too
    assert 0 < missing <= lost <= missing + beats


def gap_written(runtime: Path) -> bool:
    """Whether the relay says that its gap has ended."""
    return any(json.loads(path.read_text())["gaps"] for path in runtime.glob("*/relay-0.json"))


def test_hung_recorder_delays_nobody_and_loses_nothing(tmp_path: Path) -> None:
    capture = tmp_path / "c.duckdb"
    with simulated() as upstream, proxy(upstream, capture, show=False) as running:
        recorder = running.recorder()

        async def scene() -> int:
            async with await dial(running, "CP1") as socket:
                os.kill(recorder, signal.SIGSTOP)
                try:
                    return await talk(socket, 0, 2000)
                finally:
                    os.kill(recorder, signal.SIGCONT)

        assert asyncio.run(scene()) == 2000
    assert rows(capture, "SELECT count(*) AS n, count(DISTINCT message_id) AS ids FROM messages") == [{"n": 4000, "ids": 2000}]
    assert rows(capture, "SELECT count(*) AS n FROM gaps") == [{"n": 0}]


@pytest.mark.parametrize("who", ["recorder", "relay"])
def test_kill_9_while_chargers_talk(tmp_path: Path, who: str) -> None:
    """What a peer received is in the capture exactly once; a killed relay's chargers dial again and are let in."""
    capture = tmp_path / "c.duckdb"
    csms = SimulatedCsms()
    answered: list[int] = []
    with simulated(csms) as upstream, proxy(upstream, capture, show=False) as running:

        async def charger(number: int) -> None:
            first = number * 100_000
            for attempt in range(8):
                with contextlib.suppress(OSError, Exception):
                    async with await dial(running, f"CP{number}") as socket:
                        for call in range(first + attempt * 1000, first + attempt * 1000 + 300):
                            await talk(socket, call, 1)
                            answered.append(call)

        async def scene() -> None:
            talking = [asyncio.create_task(charger(number)) for number in range(4)]
            for _ in range(3):
                before = len(answered)
                while len(answered) < before + 200:
                    await asyncio.sleep(0)
                os.kill(running.child(who), signal.SIGKILL)
            await asyncio.gather(*talking)

        asyncio.run(scene())
    assert len(answered) > 600
    calls = [int(str(row["message_id"])) for row in rows(capture, "SELECT message_id FROM messages WHERE mtype = 2")]
    answers = [int(str(row["message_id"])) for row in rows(capture, "SELECT message_id FROM messages WHERE mtype = 3")]
    assert len(calls) == len(set(calls))
    assert set(answered) <= set(calls)
    assert set(answered) <= set(answers)
    assert len(answers) == len(set(answers))
