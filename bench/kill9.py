"""kill -9 of relay, recorder or both at random times under load: every frame a peer received is captured once, in order.

    python -m bench.kill9 --kills 30 --seed 1

Stations send numbered Calls as quickly as they are answered; who loses its connection dials again as a new station. What
each peer received is compared with the capture after an orderly end. Exit code 1 when anything is missing, doubled or out
of order.
"""

import argparse
import asyncio
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import duckdb

from bench.processes import LOOPBACK, PYTHON, end, free_ports, remove, spawn, stages, wait_listening
from tests.peers.websocket import TEXT, FrameReader, accept_value, frame, mask_key, read_head, request, switching

WINDOW = 4                                              # Calls of a station that are under way
Key = tuple[str, str]                                   # identity of the station, side that sent


class Peers:
    """The stations and the CSMS. ``received``: how many messages of a sender its peer got; ids are 0, 1, 2 ..."""

    def __init__(self, links: int) -> None:
        self.links = links
        self.received: dict[Key, int] = defaultdict(int)
        self.disorder: list[str] = []
        self.dialled = 0
        self.over = asyncio.Event()

    def got(self, identity: str, side: str, ident: str) -> None:
        """A peer received a message."""
        expected = f"{identity}-{self.received[identity, side]}"
        if ident != expected:
            self.disorder.append(f"{side} of {identity}: {ident} instead of {expected}")
        self.received[identity, side] += 1

    async def csms(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer every Call of one connection."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = read_head(await reader.readuntil(b"\r\n\r\n"))
            assert head is not None
            identity = head.target.rsplit(b"/", 1)[1].decode()
            writer.write(switching(accept=accept_value(head.values("Sec-WebSocket-Key")[0].decode())))
            frames, done = FrameReader(), 0
            while data := await reader.read(65536):
                frames.feed(data)
                answers = b""
                for one in frames.frames[done:]:
                    ident = one.payload.split(b'"', 2)[1].decode()
                    self.got(identity, "station", ident)
                    answers += frame(TEXT, f'[3,"{ident}",{{"currentTime":"2026-11-22T16:00:00Z"}}]'.encode())
                done = len(frames.frames)
                writer.write(answers)
                await writer.drain()
        writer.close()

    async def station(self, port: int) -> None:
        """One station after the other until it is over."""
        while not self.over.is_set():
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._one(port)
            await asyncio.sleep(0.02)

    async def _one(self, port: int) -> None:
        identity = f"K{self.dialled:05d}"
        self.dialled += 1
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        try:
            writer.write(request(f"/ocpp/{identity}"))
            head = read_head(await reader.readuntil(b"\r\n\r\n"))
            if head is None or head.target != b"101":
                return
            frames, done, sent = FrameReader(), 0, 0
            while not (self.over.is_set() and done == sent):
                while sent - done < WINDOW and not self.over.is_set():
                    text = f'[2,"{identity}-{sent}","Heartbeat",{{}}]'.encode()
                    writer.write(frame(TEXT, text, key=mask_key(sent)))
                    sent += 1
                await writer.drain()
                if not (data := await reader.read(65536)):
                    return
                frames.feed(data)
                for one in frames.frames[done:]:
                    self.got(identity, "csms", one.payload.split(b'"', 2)[1].decode())
                done = len(frames.frames)
        finally:
            writer.close()


async def _killer(proxy: int, kills: int, dice: random.Random, peers: Peers) -> dict[str, int]:
    """Kill relay, recorder or both, each time once both live again."""
    counts = {"relay": 0, "recorder": 0, "both": 0}
    for number in range(kills):
        await asyncio.sleep(dice.uniform(0.1, 1.0))
        deadline = time.monotonic() + 30
        while not {"relay", "recorder"} <= set((found := stages(proxy)).values()):
            if time.monotonic() > deadline:
                raise RuntimeError(f"relay and recorder did not both come back: {found}")
            await asyncio.sleep(0.05)
        what = list(counts)[number % 3]
        counts[what] += 1
        for pid, stage in found.items():
            if stage == what or (what == "both" and stage in ("relay", "recorder")):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        print(f"kill {number + 1} of {kills}: {what}; {sum(peers.received.values())} messages so far", file=sys.stderr)
    await asyncio.sleep(1)
    return counts


async def _play(proxy: int, port: int, upstream: int, peers: Peers, kills: int, seed: int) -> dict[str, int]:
    async with await asyncio.start_server(peers.csms, LOOPBACK, upstream):
        stations = [asyncio.create_task(peers.station(port)) for _ in range(peers.links)]
        try:
            return await _killer(proxy, kills, random.Random(seed), peers)
        finally:
            peers.over.set()
            await asyncio.wait(stations, timeout=20)


def compare(peers: Peers, capture: Path) -> list[str]:
    """What is wrong with the capture, in words."""
    wrong = list(peers.disorder)
    with duckdb.connect(str(capture), read_only=True) as store:
        rows = store.execute("SELECT identity, side, message_id FROM messages ORDER BY msg_no").fetchall()
    captured: dict[Key, list[str]] = defaultdict(list)
    for identity, side, ident in rows:
        captured[identity, side].append(ident)
    for (identity, side), idents in captured.items():
        if idents != [f"{identity}-{number}" for number in range(len(idents))]:
            wrong.append(f"{side} of {identity}: not once and in order: {_first_fault(identity, idents)}")
    for key, count in peers.received.items():
        if len(captured[key]) < count:
            wrong.append(f"{key[1]} of {key[0]}: {count} received by its peer, {len(captured[key])} captured")
    return wrong


def _first_fault(identity: str, idents: list[str]) -> str:
    for number, ident in enumerate(idents):
        if ident != f"{identity}-{number}":
            return f"{ident} where {identity}-{number} belongs"
    return ""


def main() -> int:
    """Run, compare, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--links", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="ocpp-kill9-"))
    port, upstream = free_ports(2)
    peers = Peers(chosen.links)
    command = [PYTHON, "-m", "ocpp_proxy", "run", f"ws://{LOOPBACK}:{upstream}", "--listen", f"{LOOPBACK}:{port}",
               "--capture", str(folder / "capture.duckdb")]
    proxy = spawn(command, -1, folder, "product")
    try:
        wait_listening(proxy, port, folder / "product.log")
        counts = asyncio.run(_play(proxy.pid, port, upstream, peers, chosen.kills, chosen.seed))
        end(proxy)
        wrong = compare(peers, folder / "capture.duckdb")
    finally:
        end(proxy)
    received = sum(peers.received.values())
    print(f"kills {counts}, {peers.dialled} dials, {received} messages received by peers, {len(wrong)} faults")
    for line in wrong[:20]:
        print(f"  {line}")
    if not wrong:
        remove(folder)
    return int(bool(wrong) or not received)


if __name__ == "__main__":
    sys.exit(main())
