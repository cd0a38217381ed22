"""Stations and a CSMS that count: numbered Calls and answers, so that what is lost, doubled or out of order shows."""

import asyncio
import contextlib
from collections import defaultdict

from bench.processes import LOOPBACK
from tests.peers.websocket import TEXT, FrameReader, accept_value, frame, mask_key, read_head, request, switching

WINDOW = 4                                              # Calls of a station that are under way
Key = tuple[str, str]                                   # identity of the station, side that sent


class Peers:
    """Stations that send numbered Calls, and a CSMS that answers them.

    ``received``: how many messages of a sender its peer got; their ids end in 0, 1, 2 and so on. ``disorder``: what else came.
    """

    def __init__(self, links: int, rate: int) -> None:
        self.links = links
        self.pause = WINDOW * links / rate              # seconds between two bursts of a station
        self.received: dict[Key, int] = defaultdict(int)
        self.swallowed: dict[str, int] = defaultdict(int)           # bytes from identities that are no K...
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
            agreed = [f"Sec-WebSocket-Extensions: {offer.decode()}" for offer in head.values("Sec-WebSocket-Extensions")]
            writer.write(switching(*agreed, accept=accept_value(head.values("Sec-WebSocket-Key")[0].decode())))
            frames, done = FrameReader(), 0
            while not identity.startswith("K") and (data := await reader.read(1 << 18)):
                self.swallowed[identity] += len(data)
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
                await asyncio.sleep(self.pause)
        finally:
            writer.close()
