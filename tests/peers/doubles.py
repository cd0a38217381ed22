"""Two proxies of our own to try the harness on: one that forwards bytes, one that forwards messages carelessly.

    python doubles.py plain|careless LISTEN UPSTREAM

The careless one is what many write first: it accepts with 101, then dials, and copies messages from library to library.
The subjects have to tell the two apart, else they prove nothing.
"""

import asyncio
import contextlib
import socket
import struct
import sys
from dataclasses import dataclass, field

from websockets.asyncio.client import connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

LOOPBACK = "127.0.0.1"
OCPP = [Subprotocol("ocpp1.6")]


def _linger_zero(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@dataclass
class Passage:
    """The bytes of one connection: ``up`` from the station, ``down`` from the CSMS; ``over`` when both ended."""

    up: bytearray = field(default_factory=bytearray)
    down: bytearray = field(default_factory=bytearray)
    over: bool = False


async def _copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, back: asyncio.StreamWriter, seen: bytearray | None,
) -> None:
    """Forward bytes until the end, and the end as it came (FIN or RST)."""
    try:
        while data := await reader.read(1 << 16):
            if seen is not None:
                seen += data
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        _linger_zero(writer)
        _linger_zero(back)


_RUNNING: set["asyncio.Task[None]"] = set()


def hold() -> None:
    """Keep the current task alive: Python 3.11 itself holds the tasks of a server only weakly."""
    if task := asyncio.current_task():
        _RUNNING.add(task)
        task.add_done_callback(_RUNNING.discard)


async def relay(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: int, passage: Passage | None = None,
) -> None:
    """Forward one connection to the port ``upstream``; keep its bytes in ``passage`` if one is given."""
    try:
        up_reader, up_writer = await asyncio.open_connection(LOOPBACK, upstream)
    except OSError:
        writer.transport.abort()
        return
    up, down = (passage.up, passage.down) if passage else (None, None)
    await asyncio.gather(_copy(reader, up_writer, writer, up), _copy(up_reader, writer, up_writer, down))
    for end in (writer, up_writer):
        with contextlib.suppress(OSError):
            end.close()
            await end.wait_closed()
    if passage:
        passage.over = True


async def plain(listen: int, upstream: int) -> None:
    """A byte relay: one connection out for each one in."""

    async def link(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hold()
        await relay(reader, writer, upstream)

    server = await asyncio.start_server(link, LOOPBACK, listen)
    await server.serve_forever()


async def careless(listen: int, upstream: int) -> None:
    """A message relay on a library's defaults."""

    async def copy(source: Connection, target: Connection) -> None:
        async for message in source:
            await target.send(message)

    async def link(station: ServerConnection) -> None:
        assert station.request is not None
        with contextlib.suppress(OSError, ConnectionClosed):
            async with connect(f"ws://{LOOPBACK}:{upstream}{station.request.path}", subprotocols=OCPP) as csms:
                await asyncio.wait(
                    [asyncio.create_task(copy(station, csms)), asyncio.create_task(copy(csms, station))],
                    return_when=asyncio.FIRST_COMPLETED,
                )

    async with serve(link, LOOPBACK, listen, subprotocols=OCPP) as server:
        await server.serve_forever()


if __name__ == "__main__":
    kind = {"plain": plain, "careless": careless}[sys.argv[1]]
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(kind(int(sys.argv[2]), int(sys.argv[3])))
