"""A relay between two raw peers that hide nothing, inside one event loop; and what it wrote into its spool."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from ocpp_proxy.config import Config
from ocpp_proxy.relay.relay import Relay
from ocpp_proxy.relay.worker import fast_loop
from ocpp_proxy.wire import spool
from ocpp_proxy.wire.spool import Damage, End, GapBody, Head, Kind, NoteBody, SpoolRecord

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE = (
    b"GET /CP1 HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " + KEY
    + b"\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: ocpp1.6\r\n\r\n"
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: ocpp1.6\r\n\r\n"
)
PATIENCE = 30.0                             # seconds until what does not come has failed; nothing is told by how long it takes


class Peer:
    """A raw TCP end. ``ended`` after reading: ``fin``, ``rst`` or empty while it is open."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.loop = asyncio.get_running_loop()
        self.got = b""
        self.ended = ""

    async def send(self, data: bytes) -> None:
        await asyncio.wait_for(self.loop.sock_sendall(self.sock, data), PATIENCE)
        await asyncio.sleep(0)              # what the kernel takes at once is sent without a turn of the loop

    async def more(self) -> bool:
        """Read what comes next into ``got``; False at the end."""
        try:
            data = await asyncio.wait_for(self.loop.sock_recv(self.sock, 1 << 18), PATIENCE)
        except ConnectionResetError:
            self.ended = "rst"
            return False
        self.ended = "" if data else "fin"
        self.got += data
        return bool(data)

    async def read(self, size: int) -> bytes:
        """Exactly the next ``size`` bytes; fewer only at the end."""
        while len(self.got) < size and await self.more():
            pass
        out, self.got = self.got[:size], self.got[size:]
        return out

    async def until(self, mark: bytes) -> bytes:
        while mark not in self.got and await self.more():
            pass
        end = self.got.find(mark)
        end = len(self.got) if end < 0 else end + len(mark)
        out, self.got = self.got[:end], self.got[end:]
        return out

    async def head(self) -> bytes:
        return await self.until(b"\r\n\r\n")

    async def rest(self) -> bytes:
        while await self.more():
            pass
        out, self.got = self.got, b""
        return out

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Stage:
    """The relay, its listener, a raw CSMS listener."""

    def __init__(self, relay: Relay, listener: socket.socket, csms: socket.socket, folder: Path) -> None:
        self.relay = relay
        self.listener = listener
        self.csms_listener = csms
        self.folder = folder
        self.port: int = listener.getsockname()[1]
        self.peers: list[Peer] = []
        self.stopped = False

    async def dial(self, *, buffer: int = 0) -> Peer:
        sock = socket.socket(self.listener.family)
        sock.setblocking(False)
        if buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        await asyncio.get_running_loop().sock_connect(sock, self.listener.getsockname())
        return self._keep(sock)

    async def accept(self) -> Peer:
        sock, _ = await asyncio.wait_for(asyncio.get_running_loop().sock_accept(self.csms_listener), PATIENCE)
        return self._keep(sock)

    def _keep(self, sock: socket.socket) -> Peer:
        peer = Peer(sock)
        self.peers.append(peer)
        return peer

    async def tunnel(self, head: bytes = UPGRADE) -> tuple[Peer, Peer]:
        """A link in a tunnel: station and CSMS end."""
        station = await self.dial()
        await station.send(head)
        csms = await self.accept()
        await csms.head()
        await csms.send(SWITCH)
        assert (await station.head()).startswith(b"HTTP/1.1 101")
        return station, csms

    async def until(self, condition: Callable[[], bool], what: str = "") -> None:
        await until(condition, what)

    async def no_links(self) -> None:
        await until(lambda: not self.relay.env.links, "all links over")
        self.relay.turn.flush()

    def records(self) -> list[SpoolRecord]:
        self.relay.turn.flush()
        return read_spool(self.folder / "spool")

    async def stop(self) -> None:
        if not self.stopped:
            self.stopped = True
            await self.relay.stop(0)


async def until(condition: Callable[[], bool], what: str = "") -> None:
    """Poll on a condition, with a bounded deadline."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE
    while not condition():
        assert loop.time() < deadline, f"not within {PATIENCE} s: {what}"
        await asyncio.sleep(0.005)


def bound(host: str = "127.0.0.1") -> socket.socket:
    sock = socket.create_server((host, 0), backlog=1024, family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setblocking(False)
    return sock


@asynccontextmanager
async def stage(
    folder: Path, config: Config | None = None, upstream: str = "ws://127.0.0.1:{port}", host: str = "127.0.0.1",
) -> AsyncIterator[Stage]:
    """A started relay; ``{port}`` in ``upstream`` is the raw CSMS's port. ``host`` is where both listen."""
    folder.mkdir(parents=True, exist_ok=True)
    listener, csms = bound(host), bound(host)
    config = config or Config(host="preserve")
    if not config.upstream:
        config = msgspec.structs.replace(config, upstream=upstream.format(port=csms.getsockname()[1]))
    relay = Relay(config, folder, [listener])
    relay.start()
    made = Stage(relay, listener, csms, folder)
    try:
        yield made
    finally:
        await made.stop()
        for peer in made.peers:
            peer.close()
        listener.close()
        csms.close()


def play(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a test body on the loop the product uses."""
    with asyncio.Runner(loop_factory=fast_loop) as runner:
        runner.run(coroutine)


def read_spool(folder: Path) -> list[SpoolRecord]:
    """All records of a spool folder, in order; damage is an error."""
    out: list[SpoolRecord] = []
    for path in sorted(folder.glob("*.seg")):
        data = path.read_bytes()
        segment = spool.read_segment_header(data)
        assert segment is not None, path
        for record, _ in spool.read_records(data[spool.SEGMENT.size :], segment, spool.SEGMENT.size, False):
            assert not isinstance(record, Damage), (path, record)
            out.append(record)
    return out


def of(
    records: Iterable[SpoolRecord], *kinds: Kind, link: int | None = None, direction: int | None = None,
) -> list[SpoolRecord]:
    def wanted(record: SpoolRecord) -> bool:
        return record.kind in kinds and link in (None, record.link) and direction in (None, record.direction)

    return [record for record in records if wanted(record)]


def heads(records: Iterable[SpoolRecord], direction: int = 0, link: int | None = None) -> list[Head]:
    found = [spool.decode_body(record) for record in of(records, Kind.HEAD, link=link, direction=direction)]
    return [body for body in found if isinstance(body, Head)]


def notes(records: Iterable[SpoolRecord], link: int | None = None) -> list[NoteBody]:
    found = [spool.decode_body(record) for record in of(records, Kind.NOTE, link=link)]
    return [body for body in found if isinstance(body, NoteBody)]


def ends(records: Iterable[SpoolRecord], link: int = 1) -> list[End]:
    """Both END of a link: station's direction first."""
    found = sorted(of(records, Kind.END, link=link), key=lambda record: record.direction)
    bodies = [spool.decode_body(record) for record in found]
    return [body for body in bodies if isinstance(body, End)]


def gaps(records: Iterable[SpoolRecord]) -> list[GapBody]:
    found = [spool.decode_body(record) for record in of(records, Kind.GAP)]
    return [body for body in found if isinstance(body, GapBody)]


def stream(records: Iterable[SpoolRecord], direction: int, link: int = 1) -> bytes:
    """The bytes of a direction, put together from HEAD and IN; holes and overlaps are errors."""
    out = b""
    for record in of(records, Kind.HEAD, Kind.IN, link=link, direction=direction):
        assert record.offset == len(out), (record.offset, len(out))
        body = spool.decode_body(record) if record.kind is Kind.HEAD else None
        out += body.raw if isinstance(body, Head) else record.data
    return out
