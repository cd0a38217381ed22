"""Autobahn's cases, run by kosoku, through the proxy and directly: same verdicts, same bytes on both sides of the proxy.

OK and NON-STRICT count as one: in four cases an echo races a Close, and the verdict flips from run to run, also directly.
"""

import asyncio
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.peers.doubles import LOOPBACK
from tests.peers.raw_peers import free_port
from tests.peers.taps import between

CASES = ["-i", "1.*", "-i", "2.*", "-i", "3.*", "-i", "4.*", "-i", "5.*", "-i", "6.*", "-i", "7.*", "-i", "10.*"]
DEFLATE = ["-i", "12.1.1", "-i", "12.2.1", "-i", "12.5.1", "-i", "13.1.1", "-i", "13.3.1", "-i", "13.7.1"]


async def _echo(link: ServerConnection) -> None:
    try:
        async for message in link:
            await link.send(message)
    except ConnectionClosed:
        pass


@contextmanager
def _echoing() -> Iterator[int]:
    """An echo server in a thread of its own; its port."""
    port, ready, stop = free_port(), threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def main() -> None:
        async with serve(_echo, LOOPBACK, port, max_size=None, ping_interval=None):
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    assert ready.wait(10)
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def _start(program: str, port: int, folder: Path) -> "subprocess.Popen[bytes]":
    command = [program, "-m", "fuzzingclient", *CASES, *DEFLATE, f"ws://{LOOPBACK}:{port}", "-o", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _verdicts(process: "subprocess.Popen[bytes]", folder: Path) -> dict[str, tuple[str, str]]:
    process.wait(100)                                   # exit code 1: some case failed, also directly
    (cases,) = json.loads((folder / "index.json").read_text()).values()
    lenient = {"NON-STRICT": "OK"}
    return {
        case: (lenient.get(said["behavior"], said["behavior"]), lenient.get(said["behaviorClose"], said["behaviorClose"]))
        for case, said in cases.items()
    }


def test_the_verdicts_and_the_bytes_are_those_of_the_direct_run(tmp_path: Path) -> None:
    program = os.environ.get("OCPP_PROXY_KOSOKU") or shutil.which("kosoku")
    if not program:
        pytest.skip("kosoku is not installed and OCPP_PROXY_KOSOKU does not name it")
    with _echoing() as csms, between(csms, tmp_path) as rig:
        runs = [(_start(program, port, tmp_path / name), tmp_path / name) for name, port in (("a", csms), ("b", rig.port))]
        direct, through = (_verdicts(process, folder) for process, folder in runs)
        pairs = rig.passages()
    assert len(direct) > 250
    assert through == direct
    assert len(pairs) >= len(direct)
    for number, (outer, inner) in enumerate(pairs):
        assert bytes(outer.up) == bytes(inner.up), f"connection {number}: station to CSMS"
        assert bytes(outer.down) == bytes(inner.down), f"connection {number}: CSMS to station"
