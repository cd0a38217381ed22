"""Simulated chargers: one that keeps to the protocol (1.6 or 2.x), and one that speaks raw bytes where it does not."""

import asyncio
import base64
import itertools
import random
from types import TracebackType
from typing import Any, Self

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol

ANSWER_SECONDS = 3.0
ANSWERS: dict[str, dict[str, Any]] = {
    "GetConfiguration": {"configurationKey": [{"key": "HeartbeatInterval", "readonly": False, "value": "300"}]},
}


class Station:
    """A charger over WebSocket. ``sent``/``received`` count its OCPP messages; ``silent`` Calls it never answers."""

    def __init__(
        self, url: str, protocol: str, seed: int, *, compressed: bool = False, silent: frozenset[str] = frozenset(),
    ) -> None:
        self.url = url
        self.protocol = protocol
        self.compressed = compressed
        self.silent = silent
        self.sent = 0
        self.received = 0
        self._random = random.Random(seed)
        self._ids = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._socket = await connect(
            self.url, subprotocols=[Subprotocol(self.protocol)], compression="deflate" if self.compressed else None,
            ping_interval=None, proxy=None,
        )
        self._reader = asyncio.create_task(self._read(self._socket))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None,
    ) -> None:
        if self._socket is not None:
            await self._socket.close()
        if self._reader is not None:
            await self._reader

    async def call(self, action: str, payload: dict[str, Any]) -> Any:
        """Send a Call and wait for its answer's payload (None: none came within 5 s, or a CALLERROR)."""
        message_id = f"{self._random.getrandbits(64):016x}-{next(self._ids)}"
        waiter = self._waiting[message_id] = asyncio.get_running_loop().create_future()
        await self._send([2, message_id, action, payload])
        try:
            return await asyncio.wait_for(waiter, ANSWER_SECONDS)
        except TimeoutError:
            return None
        finally:
            self._waiting.pop(message_id, None)

    async def vanish(self) -> None:
        """End the connection as a cut cable would: no Close frame."""
        if self._socket is not None:
            self._socket.transport.abort()

    async def _send(self, message: list[Any]) -> None:
        if self._socket is not None:
            self.sent += 1
            await self._socket.send(orjson.dumps(message).decode())

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async for text in socket:
                self.received += 1
                message = orjson.loads(text)
                if message[0] == 2 and message[2] not in self.silent:
                    await self._send([3, message[1], ANSWERS.get(message[2], {"status": "Accepted"})])
                elif message[0] in (3, 4) and (waiter := self._waiting.get(message[1])) and not waiter.done():
                    waiter.set_result(message[2] if message[0] == 3 else None)
        except Exception:                   # a cut connection is part of the play; Close ends the loop by itself
            return


class RawStation:
    """A charger whose upgrade request no strict server takes: it sends no ``Connection`` header (as some Autel models)."""

    def __init__(self, host: str, port: int, identity: str) -> None:
        self.host, self.port, self.identity = host, port, identity
        self.sent = 0
        self.received = 0

    async def dial(self, calls: list[list[Any]]) -> int:
        """Dial, and if let in send these Calls, waiting for each answer. Gives the HTTP status it got (0: none)."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            key = base64.b64encode(bytes(range(16))).decode()
            writer.write((
                f"GET /{self.identity} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nUpgrade: websocket\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: ocpp1.6\r\n\r\n"
            ).encode())
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), ANSWER_SECONDS)
            status = int(head.split(b" ", 2)[1])
            for call in calls if status == 101 else []:
                writer.write(Frame(Opcode.TEXT, orjson.dumps(call)).serialize(mask=True))
                self.sent += 1
                await asyncio.wait_for(self._frame(reader), ANSWER_SECONDS)
            if status == 101:
                writer.write(Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True))
            await asyncio.wait_for(reader.read(), ANSWER_SECONDS)
            return status
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            return 0
        finally:
            writer.close()

    async def _frame(self, reader: asyncio.StreamReader) -> None:
        _, length = await reader.readexactly(2)
        size = int.from_bytes(await reader.readexactly(2), "big") if length == 126 else length
        await reader.readexactly(size)
        self.received += 1
