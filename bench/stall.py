"""How long a loop turn of the relay takes while something dreadful is going on, and whether the neighbours notice.

    python -m bench.stall --seconds 8

Scenarios, each with a proxy of its own and stations that send numbered Calls meanwhile: nothing; a message of 48 MB of
``[],``; a 200 MB deflate bomb; a full disk for 5 seconds; a recorder that hangs for 5 seconds. The turns are measured by the
relay itself, inside its loop (its statistics file). Exit code 1 when p99.9 of the turns is over 20 ms, a neighbour lost its
connection, a message was lost or out of order, or a gap's count is not the relay's. The full disk needs root (a small tmpfs
is mounted); else it is left out.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import duckdb

from bench.peers import Peers
from bench.processes import LOOPBACK, PYTHON, end, free_ports, remove, resident, spawn, stages, wait_said
from tests.peers.websocket import TEXT, frame, request

MB = 1 << 20
LINKS, RATE = 5, 1000
LIMIT_MS = 20.0
DISK = "48m"
CALM = 1.5                                              # seconds before and after, and for the statistics to be written


class Scene:
    """A running proxy, seen from a scenario."""

    def __init__(self, proxy: int, port: int, runtime: Path) -> None:
        self.proxy, self.port, self.runtime = proxy, port, runtime

    def pids(self, stage: str) -> list[int]:
        """The processes of a stage."""
        return [pid for pid, found in stages(self.proxy).items() if found == stage]

    def statistics(self) -> dict[str, Any]:
        """What the relay counts."""
        found: dict[str, Any] = json.loads(next(self.runtime.glob("*/relay-0.json")).read_text())
        return found

    async def send(self, identity: str, head: bytes, parts: list[bytes]) -> None:
        """Open a link, send parts, close it when the CSMS has all."""
        reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
        writer.write(request(f"/ocpp/{identity}", *([head.decode()] if head else [])))
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()
        writer.write_eof()
        while await reader.read(65536):
            pass
        writer.close()


async def nothing(scene: Scene) -> None:
    """The quiet case, to compare with."""
    await asyncio.sleep(5)


async def large(scene: Scene) -> None:
    """48 MB that take a JSON decoder seconds."""
    text = b"[" + b"[]," * (16 * MB) + b"[]]"
    parts = [text[at : at + 256 * 1024] for at in range(0, len(text), 256 * 1024)]
    await scene.send("LARGE", b"", [frame(TEXT, b"", key=bytes(4), claim=len(text)), *parts])


async def bomb(scene: Scene) -> None:
    """A small message that inflates to 200 MB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(b'[2,"1","DataTransfer",{"vendorId":"')
    for _ in range(200):
        packed += packer.compress(b"x" * MB)
    packed += packer.compress(b'"}]') + packer.flush(zlib.Z_SYNC_FLUSH)
    offer = b"Sec-WebSocket-Extensions: permessage-deflate"
    await scene.send("BOMB", offer, [frame(TEXT, packed[:-4], key=bytes(4), rsv=4)])


async def full_disk(scene: Scene) -> None:
    """No room in the spool's folder for five seconds."""
    filler = scene.runtime / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as out:
        while True:
            out.write(bytes(MB))
    for _ in range(50):                                 # also what the recorder frees meanwhile
        with contextlib.suppress(OSError), filler.open("ab", buffering=0) as out:
            out.write(bytes(MB))
        await asyncio.sleep(0.1)
    filler.unlink()


async def hung_recorder(scene: Scene) -> None:
    """The recorder does nothing for five seconds."""
    for pid in scene.pids("recorder"):
        os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(5)
    for pid in scene.pids("recorder"):
        os.kill(pid, signal.SIGCONT)


Act = Callable[[Scene], Awaitable[None]]
SCENARIOS: dict[str, Act] = {
    "nothing": nothing, "48 MB of [],": large, "200 MB bomb": bomb, "full disk": full_disk, "hung recorder": hung_recorder,
}


async def _watch(scene: Scene, peak: dict[str, int]) -> None:
    while True:
        for stage in ("relay", "recorder"):
            for pid in scene.pids(stage):
                peak[stage] = max(peak.get(stage, 0), resident(pid))
        await asyncio.sleep(0.05)


async def _play(scene: Scene, upstream: int, peers: Peers, act: Act, seconds: float) -> dict[str, int]:
    """Neighbours talk; the scenario happens; growth in bytes of relay and recorder."""
    peak: dict[str, int] = {}
    async with await asyncio.start_server(peers.csms, LOOPBACK, upstream):
        neighbours = [asyncio.create_task(peers.station(scene.port)) for _ in range(peers.links)]
        await asyncio.sleep(CALM)
        before = {stage: sum(resident(pid) for pid in scene.pids(stage)) for stage in ("relay", "recorder")}
        watching = asyncio.create_task(_watch(scene, peak))
        await act(scene)
        await asyncio.sleep(seconds)
        watching.cancel()
        peers.over.set()
        await asyncio.wait(neighbours, timeout=20)
    return {stage: peak.get(stage, 0) - size for stage, size in before.items()}


def run(name: str, seconds: float) -> bool:
    """Play a scenario and print its line; whether it kept its promises."""
    folder = Path(tempfile.mkdtemp(prefix="ocpp-stall-"))
    runtime = Path("/dev/shm") / folder.name
    mounted = False
    if name == "full disk":
        runtime.mkdir(mode=0o700)
        words = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0700", "tmpfs", str(runtime)]
        mounted = subprocess.run(words, stderr=subprocess.DEVNULL).returncode == 0
        if not mounted:
            print(f"{name:14s} left out: cannot mount a tmpfs")
            remove(folder)
            return True
    port, upstream = free_ports(2)
    command = [PYTHON, "-m", "ocpp_proxy", "run", f"ws://{LOOPBACK}:{upstream}", "--listen", f"{LOOPBACK}:{port}",
               "--capture", str(folder / "capture.duckdb")]
    proxy = spawn(command, -1, folder, "product")
    peers = Peers(LINKS, RATE)
    try:
        wait_said(proxy, "listening", folder / "product.log")
        scene = Scene(proxy.pid, port, runtime)
        grown = asyncio.run(_play(scene, upstream, peers, SCENARIOS[name], seconds))
        counted = scene.statistics()
        ended = end(proxy, 120)
        with duckdb.connect(str(folder / "capture.duckdb"), read_only=True) as store:
            gaps = store.execute("SELECT count(*), coalesce(sum(frames), 0) FROM gaps").fetchone()
    finally:
        end(proxy)
        if mounted:
            subprocess.run(["umount", str(runtime)], check=False)
        remove(folder)
    p999, longest = counted["turn_p999_ns"] / 1e6, counted["turn_longest_ns"] / 1e6
    true_gap = gaps == ((1, counted["lost_records"]) if counted["lost_records"] else (0, 0))
    good = p999 <= LIMIT_MS and not peers.disorder and peers.dialled == LINKS and ended and true_gap
    growth = ", ".join(f"{stage} {size / MB:+.0f} MB" for stage, size in grown.items())
    told = f"{sum(peers.received.values())} messages, {len(peers.disorder)} out of order, {peers.dialled - LINKS} links lost"
    print(f"{name:14s} turns {counted['turns']}, p99.9 {p999:.1f} ms, longest {longest:.1f} ms; neighbours: {told}; {growth}; "
          f"{counted['lost_records']} records not captured, gaps and their count {gaps}; {'ok' if good else 'FAILED'}")
    return good


def main() -> int:
    """All scenarios, or those named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=6, help="after the scenario, for the recorder to choke on it")
    parser.add_argument("scenario", nargs="*", choices=[[], *SCENARIOS], help="default: all")
    chosen = parser.parse_args()
    return int(not all([run(name, chosen.seconds) for name in chosen.scenario or SCENARIOS]))


if __name__ == "__main__":
    sys.exit(main())
