"""A message relay on ``websockets``, uvloop and no compression: ``python websockets_relay.py LISTEN UPSTREAM``."""

import asyncio
import contextlib
import sys

import uvloop
from websockets.asyncio.client import connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

LOOPBACK = "127.0.0.1"
OCPP = [Subprotocol("ocpp1.6")]


async def copy(source: Connection, target: Connection) -> None:
    """Pass messages on until the source is closed, then close the target likewise."""
    with contextlib.suppress(ConnectionClosed):
        async for message in source:
            await target.send(message)
    await target.close(source.close_code or 1000, source.close_reason or "")


async def main(listen: int, upstream: int) -> None:
    """Serve until stopped."""

    async def link(station: ServerConnection) -> None:
        assert station.request is not None
        url = f"ws://{LOOPBACK}:{upstream}{station.request.path}"
        async with connect(url, subprotocols=OCPP, compression=None, ping_interval=None, max_size=None) as csms:
            await asyncio.gather(copy(station, csms), copy(csms, station))

    async with serve(
        link, LOOPBACK, listen, subprotocols=OCPP, compression=None, ping_interval=None, max_size=None, backlog=4096,
    ) as server:
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
