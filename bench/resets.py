"""Thousands of neighbours reset under load: what the links beside them notice, at the peers and in the capture.

    python -m bench.resets --resets 5000

Three stations send numbered Calls all the time. Beside them links come up, send bytes both ways and are reset in the middle
of it, every other one by the CSMS. Exit code 1 when a message of the three was lost, doubled or out of order for its peer or
in the capture, or when one of them lost its connection.
"""

import argparse
import asyncio
import contextlib
import socket
import struct
import sys
import tempfile
from pathlib import Path
from typing import cast

from bench.kill9 import compare
from bench.peers import Peers
from bench.processes import LOOPBACK, PYTHON, end, free_ports, remove, spawn, wait_said
from tests.peers.websocket import BINARY, accept_value, frame, mask_key, read_head, request, switching

LINKS = 3
AT_ONCE = 8                                             # resets that are under way
BURST = 5000                                            # bytes of each side when the reset comes


class _Again:
    """A reader whose head was read already."""

    def __init__(self, head: bytes, reader: asyncio.StreamReader) -> None:
        self.head, self.read = head, reader.read

    async def readuntil(self, mark: bytes) -> bytes:
        """The head."""
        return self.head


class Resetting(Peers):
    """Also a CSMS that resets: a link whose identity begins with C at its first bytes; one that begins with S waits for it."""

    def __init__(self, rate: int) -> None:
        super().__init__(LINKS, rate)
        self.resets = 0
        self.connected = 0

    async def csms(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection, or reset it."""
        self.connected += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            raw = await reader.readuntil(b"\r\n\r\n")
            head = read_head(raw)
            assert head is not None
            identity = head.target.rsplit(b"/", 1)[1]
            if identity.startswith(b"K"):
                await super().csms(cast(asyncio.StreamReader, _Again(raw, reader)), writer)
                self.connected -= 1
                return
            writer.write(switching(accept=accept_value(head.values("Sec-WebSocket-Key")[0].decode())))
            writer.write(frame(BINARY, bytes(BURST)))
            if identity.startswith(b"C") and await reader.read(1):
                _reset(writer)
            while await reader.read(65536):
                pass
        self.connected -= 1
        writer.close()

    async def reset(self, port: int, number: int) -> None:
        """One link that is reset, by its station or by the CSMS."""
        side = "CS"[number % 2]
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            writer.write(request(f"/ocpp/{side}{number:05d}"))
            await reader.readuntil(b"\r\n\r\n")
            writer.write(frame(BINARY, bytes(BURST), key=mask_key(number)))
            if side == "S":
                _reset(writer)
            while await reader.read(65536):
                pass
        writer.close()
        self.resets += 1


def _reset(writer: asyncio.StreamWriter) -> None:
    found = writer.get_extra_info("socket")
    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _play(port: int, upstream: int, peers: Resetting, resets: int) -> None:
    async with await asyncio.start_server(peers.csms, LOOPBACK, upstream):
        stations = [asyncio.create_task(peers.station(port)) for _ in range(LINKS)]
        numbers = iter(range(resets))

        async def some() -> None:
            for number in numbers:
                await peers.reset(port, number)
                if number % 1000 == 999:
                    print(f"{number + 1} resets, {sum(peers.received.values())} messages", file=sys.stderr, flush=True)

        await asyncio.gather(*(some() for _ in range(AT_ONCE)))
        peers.over.set()
        await asyncio.wait(stations, timeout=20)
        for _ in range(1000):
            if not peers.connected:
                break
            await asyncio.sleep(0.02)


def main() -> int:
    """Run, compare, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resets", type=int, default=5000)
    parser.add_argument("--rate", type=int, default=1000, help="Calls a second, at most, of the three stations together")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="ocpp-resets-"))
    port, upstream = free_ports(2)
    peers = Resetting(chosen.rate)
    command = [PYTHON, "-m", "ocpp_proxy", "run", f"ws://{LOOPBACK}:{upstream}", "--listen", f"{LOOPBACK}:{port}",
               "--capture", str(folder / "capture.duckdb")]
    proxy = spawn(command, -1, folder, "product")
    try:
        wait_said(proxy, "listening", folder / "product.log")
        asyncio.run(_play(port, upstream, peers, chosen.resets))
        wrong = [] if end(proxy, 120) else ["the proxy did not end by itself within two minutes"]
        wrong += [line for line in compare(peers, folder / "capture.duckdb") if " of K" in line]
    finally:
        end(proxy)
        remove(folder)
    if peers.connected:
        wrong.append(f"{peers.connected} links were not ended at the CSMS")
    if peers.dialled != LINKS:
        wrong.append(f"{peers.dialled - LINKS} of the three links were lost")
    received = sum(peers.received.values())
    print(f"{peers.resets} resets, {received} messages of the {LINKS} links received by their peers, {len(wrong)} faults")
    for line in wrong[:20]:
        print(f"  {line}")
    return int(bool(wrong) or not received or peers.resets < chosen.resets)


if __name__ == "__main__":
    sys.exit(main())
