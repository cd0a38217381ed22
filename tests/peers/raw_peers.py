"""The two raw peers: sockets that hide nothing. What came is kept as bytes, frames and the way the connection ended.

Each peer reads in a thread of its own, so a script may send without caring who reads. A peer that waits in vain says so.
"""

import contextlib
import itertools
import os
import random
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.peers.websocket import (
    CLOSE,
    TEXT,
    Frame,
    FrameReader,
    Head,
    Message,
    accept_value,
    closing,
    frame,
    mask_key,
    messages,
    read_head,
    switching,
)

WAIT = float(os.environ.get("OCPP_PROXY_PEER_WAIT", "10"))     # seconds a peer waits before it calls the other stalled
LOOPBACK = "127.0.0.1"


class Stalled(Exception):
    """A peer waited in vain, or could not send."""


WORKERS = 16                                            # processes of one run of the tests that get ports of their own


def _ports() -> Iterator[int]:
    """The ports of this process of the tests, over and over from one of them: those beside it have others."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % WORKERS
    mine = range(15000 + worker, 32000, WORKERS)
    first = random.SystemRandom().randrange(len(mine))
    return itertools.cycle((*mine[first:], *mine[:first]))


_PORTS = _ports()


def free_port() -> int:
    """A free port below the ephemeral range, so that no outgoing connection can take it in between; nobody else is given it."""
    while True:
        port = next(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port


class Peer:
    """One end of a connection. ``raw`` is all that came; ``ended`` is how the other end ended it (fin, rst, "")."""

    side = "peer"

    def __init__(self, sock: socket.socket, wait: float) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock, self.wait = sock, wait
        self.raw = bytearray()
        self.count = 0                                  # bytes that came, also when they are not kept
        self.ended = ""
        self.keep = True                                # False: only count what comes (large subjects)
        self.head: Head | None = None
        self.reader = FrameReader()
        self._sent = 0
        self._changed = threading.Condition()
        self._reading = threading.Event()
        self._reading.set()
        self._wake_out, self._wake_in = socket.socketpair()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        poll.register(self._wake_out, select.POLLIN)
        mine = self._wake_out.fileno()
        while True:
            self._reading.wait()
            if any(number == mine for number, _ in poll.poll()):
                return
            try:
                data = self.sock.recv(1 << 18)
                how = "fin"
            except OSError:
                data, how = b"", "rst"
            with self._changed:
                self._took(data)
                if not data:
                    self.ended = how
                self._changed.notify_all()
            if not data:
                return

    def _took(self, data: bytes) -> None:
        self.count += len(data)
        if not self.keep:
            return
        self.raw += data
        if self.head is not None:
            self.reader.feed(data)
        elif (found := read_head(self.raw)) is not None:
            self.head = found
            self.reader.feed(self.raw[len(found.raw) :])

    # what it sees

    def until(self, seen: Callable[[], bool], what: str) -> None:
        """Wait for a fact. Raises Stalled when it does not come in time, or can no longer come."""
        with self._changed:
            self._changed.wait_for(lambda: seen() or bool(self.ended), self.wait)
            if not seen():
                raise Stalled(f"{self.side} waits for {what}; " + (f"ended {self.ended}" if self.ended else "nothing came"))

    def quiet(self, seconds: float) -> bool:
        """Whether nothing comes for so long."""
        with self._changed:
            before = (self.count, self.ended)
            return not self._changed.wait_for(lambda: (self.count, self.ended) != before, seconds)

    def wait_head(self) -> Head:
        """Wait for a complete head."""
        self.until(lambda: self.head is not None, "a head")
        assert self.head is not None
        return self.head

    def next_head(self) -> None:
        """Forget the head and what followed: another request or answer comes on this connection."""
        with self._changed:
            self.head, self.raw, self.reader = None, bytearray(), FrameReader()

    def wait_end(self) -> str:
        """Wait until the other end has ended its direction; how it did."""
        self.until(lambda: bool(self.ended), "the end")
        return self.ended

    def wait_messages(self, count: int) -> list[Message]:
        """Wait for so many messages, control frames among them."""
        self.until(lambda: len(self.reader.frames) >= count and len(messages(self.reader.frames)) >= count, f"{count} messages")
        return messages(self.reader.frames)

    def wait_rest(self, size: int) -> bytes:
        """Wait for so many bytes behind the head."""
        self.until(lambda: len(self.rest) >= size, f"{size} bytes")
        return self.rest

    def wait_tail(self, tail: bytes) -> None:
        """Wait until what came ends with these bytes."""
        self.until(lambda: self.raw.endswith(tail), f"{len(tail)} last bytes")

    def wait_count(self, count: int) -> None:
        """Wait until so many bytes came, head included."""
        self.until(lambda: self.count >= count, f"{count} bytes")

    @property
    def rest(self) -> bytes:
        """The bytes behind the head."""
        return bytes(self.raw[len(self.head.raw) :]) if self.head else b""

    @property
    def frames(self) -> list[Frame]:
        """The whole frames that came."""
        return self.reader.frames

    # what it does

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.sock.settimeout(self.wait)
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise Stalled(f"{self.side} cannot send: {type(error).__name__}") from error

    def trickle(self, data: bytes) -> None:
        """Send byte by byte, each in a packet of its own."""
        for at in range(len(data)):
            self.send(data[at : at + 1])
            time.sleep(0.0005)                          # else the kernel joins them again

    def push(self, chunk: bytes, limit: int) -> int:
        """Send the chunk again and again until nothing is taken for 0.5 s, or ``limit`` is passed; bytes taken."""
        self.sock.settimeout(0.5)
        total, at = 0, 0
        try:
            while total < limit:
                taken = self.sock.send(memoryview(chunk)[at:])
                total, at = total + taken, (at + taken) % len(chunk)
        except TimeoutError:
            pass
        except OSError as error:
            raise Stalled(f"{self.side} cannot send: {type(error).__name__}") from error
        return total

    def frame(self, opcode: int, payload: bytes = b"", **how: Any) -> bytes:
        """A frame as this peer would write it: a station masks, each time with a new key."""
        self._sent += 1
        return frame(opcode, payload, **{"key": self._key(), **how})

    def _key(self) -> bytes:
        return b""

    def say(self, payload: bytes, opcode: int = TEXT, **how: Any) -> None:
        """Send one frame."""
        self.send(self.frame(opcode, payload, **how))

    def say_close(self, code: int | None = 1000, reason: bytes = b"") -> None:
        """Send a Close frame; ``code`` None: without."""
        self.say(b"" if code is None else closing(code, reason), CLOSE)

    def pause(self) -> None:
        """Stop reading (after at most one more chunk)."""
        self._reading.clear()

    def resume(self) -> None:
        """Read again."""
        self._reading.set()

    def finish(self) -> None:
        """End the own direction (FIN) and go on reading."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """End both directions at once (RST)."""
        self._stop()
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        """Close the socket."""
        self._stop()
        self.sock.close()

    def _stop(self) -> None:
        with contextlib.suppress(OSError):
            self._wake_in.send(b"x")
        self._reading.set()
        self._thread.join()
        self._wake_in.close()
        self._wake_out.close()


class Station(Peer):
    """The charger's end."""

    side = "station"

    def _key(self) -> bytes:
        return mask_key(self._sent)


class Csms(Peer):
    """The central system's end."""

    side = "csms"

    def switch(self, *lines: str, protocol: str = "ocpp1.6") -> None:
        """Answer 101 to the key that came."""
        keys = self.wait_head().values("Sec-WebSocket-Key")
        self.send(switching(*lines, protocol=protocol, accept=accept_value((keys or [b""])[0].decode("latin-1"))))


class Upstream:
    """The CSMS's listening socket; it can be taken down and put up again on the same port."""

    def __init__(self) -> None:
        self.port = free_port()
        self.sock = self._listen()

    def _listen(self) -> socket.socket:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((LOOPBACK, self.port))
        sock.listen(128)
        return sock

    def down(self) -> None:
        """Nobody listens any more."""
        self.sock.close()

    def up(self) -> None:
        """Listen again."""
        self.sock = self._listen()

    def accept(self, wait: float) -> Csms:
        """The next connection that carries a byte: one that ends without any is somebody's probe."""
        deadline = time.monotonic() + wait
        while (left := deadline - time.monotonic()) > 0:
            self.sock.settimeout(left)
            try:
                peer = Csms(self.sock.accept()[0], wait)
            except OSError:
                break
            with contextlib.suppress(Stalled):
                peer.until(lambda peer=peer: peer.count > 0, "a byte")      # type: ignore[misc]  # bound now, as it should
                return peer
            peer.close()
        raise Stalled("nobody dials the csms")

    def drain(self) -> None:
        """Drop what waits to be accepted."""
        self.sock.settimeout(0)
        with contextlib.suppress(OSError):
            while True:
                self.sock.accept()[0].close()
