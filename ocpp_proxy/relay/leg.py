"""One TCP (or TLS) connection of a link: station leg or CSMS leg. The hot path is ``data_received``.

In a tunnel a chunk goes to the turn and from there, unchanged, to the other leg. Before, ``reader`` (the HTTP phase) gets
it. Back-pressure: a leg stops reading while 64 KiB of it wait in this turn, and while the other leg cannot write.
"""

import array
import asyncio
import contextlib
import errno
import fcntl
import socket
import struct
import termios
from collections.abc import Callable
from typing import Any, Protocol, cast

from ocpp_proxy.relay.spool import MAX_RECORDS
from ocpp_proxy.relay.turn import EARLY_BYTES, Turn

TURN, PEER, HELD, ENDING, KEEPING, FULL = 1, 2, 4, 8, 16, 32     # reasons to stop reading
FULL_BYTES = 1 << 20                        # of ours that may wait for a peer that does not take them
TURN_BYTES = 64 << 10
KEEP_IDLE, KEEP_INTERVAL, KEEP_COUNT = 60, 15, 4
USER_TIMEOUT_MS = (KEEP_IDLE + KEEP_INTERVAL * KEEP_COUNT) * 1000
TLS_BUFFER = 16 << 10                       # with 0 uvloop's TLS says stop and never says go on
TLS_RECEIVE = 64 << 10                      # receive buffer of a TLS leg (the kernel doubles it)
RESET_WAIT = 1.0                            # seconds a reset waits for the bytes before it to leave
RESET_POLL = 0.01
VANISHED = frozenset({errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN})
_LINGER_0 = struct.pack("ii", 1, 0)
_IN = 3


class LegOwner(Protocol):
    """The link, as its legs see it."""

    def fin(self, leg: "Leg") -> None:
        """The peer of ``leg`` sent FIN on plain TCP."""

    def gone(self, leg: "Leg", how: str) -> None:
        """The connection of ``leg`` is over; ``how``: fin, rst, vanished."""


class Leg(asyncio.Protocol):
    """``direction`` is who sends on it (0 station, 1 CSMS). ``offset``: bytes read; ``unsent``: read, never handed over."""

    __slots__ = (
        "buffered", "closed", "direction", "forward", "got_eof", "link", "number", "offset", "on_made", "other", "paused",
        "reader", "transport", "turn", "unsent", "wrote_eof",
    )

    def __init__(self, link: LegOwner, number: int, direction: int, turn: Turn) -> None:
        self.link = link
        self.number = number
        self.direction = direction
        self.turn = turn
        self.other: Leg | None = None
        self.reader: Callable[[bytes], None] | None = None
        self.forward: Callable[[Any], object] | None = None
        self.transport: asyncio.Transport
        self.on_made: Callable[[], None] | None = None  # called once, before the first byte is read
        self.offset = 0
        self.unsent = 0
        self.buffered = 0                   # bytes the transport held when it last said stop
        self.paused = 0
        self.got_eof = False
        self.wrote_eof = False
        self.closed = True                  # until connection_made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Never pauses reading here: the loop would ignore it."""
        self.transport = cast(asyncio.Transport, transport)     # uvloop's are none by name
        self.closed = False
        self.transport.set_write_buffer_limits(TLS_BUFFER if self.secure else 0, 0)
        if self.secure:
            self._bound_tls()
        if self.on_made is not None:
            self.on_made()
            self.on_made = None

    def _bound_tls(self) -> None:
        """Keep little in the loop's TLS: it reads as much at once as the kernel has, and holds that up to three times."""
        limit_reading = getattr(self.transport, "set_read_buffer_limits", None)
        if limit_reading is not None:
            limit_reading(TURN_BYTES)
        self.read_little()

    @property
    def secure(self) -> bool:
        """Whether TLS ends here."""
        return self.transport.get_extra_info("ssl_object") is not None

    def read_little(self) -> None:
        """Keep the kernel's receive buffer small: where TLS is on a side, twice what is read at once can be held in between."""
        found = self.transport.get_extra_info("socket")
        if found is not None:
            with contextlib.suppress(OSError):
                found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, TLS_RECEIVE)

    def data_received(self, data: bytes) -> None:
        """Take a chunk; flat, because every byte of every link comes through here."""
        reader = self.reader
        if reader is not None:
            reader(data)
            return
        size = len(data)
        offset = self.offset
        self.offset = offset + size
        turn = self.turn
        if not turn.armed and size < TURN_BYTES:
            turn.chunk(self.direction, self.number, offset, data, self.forward)
            return
        entries = turn.entries
        entries.append((_IN, self.direction, self.number, offset, data, self.forward, data))
        turn.size += size
        if size >= TURN_BYTES and not self.paused & TURN:   # loops read again in one turn only what filled their buffer
            self.hold(TURN)
            turn.stopped.append(self)
        if not turn.armed:
            turn.arm()
        if turn.size >= EARLY_BYTES or len(entries) >= MAX_RECORDS:
            turn.flush()

    def turn_ended(self) -> None:
        """The bytes of this turn were passed on: read on."""
        self.release(TURN)

    def hold(self, reason: int) -> None:
        """Stop reading for a reason."""
        if not self.paused and not self.closed and not self.transport.is_closing():
            self.transport.pause_reading()
        self.paused |= reason

    def release(self, reason: int) -> None:
        """A reason is gone; read on when it was the last."""
        if self.paused & reason:
            self.paused &= ~reason
            if not self.paused and not self.closed and not self.transport.is_closing():
                self.transport.resume_reading()

    def pause_writing(self) -> None:
        """The peer takes no more: hold the other side back."""
        self.buffered = self.transport.get_write_buffer_size()
        if self.other is not None:
            self.other.hold(PEER)

    def bound(self) -> None:
        """We wrote of our own: what its peer makes us say waits for it to listen, or it fills our memory."""
        if not self.closed and self.transport.get_write_buffer_size() > FULL_BYTES:
            self.hold(FULL)                 # until ``resume_writing``

    def resume_writing(self) -> None:
        """Everything was handed to the kernel."""
        self.buffered = 0
        self.release(FULL)
        if self.other is not None:
            self.other.release(PEER)

    def write(self, data: bytes) -> None:
        """Write, outside the hot path. Raises when the transport is closed, as the loop does."""
        self.transport.write(data)

    def eof_received(self) -> bool:
        """FIN: plain TCP stays open for the other direction; TLS cannot."""
        if self.transport.get_extra_info("ssl_object") is not None:
            return False
        self.got_eof = True
        self.link.fin(self)
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is over, in whatever way."""
        self.closed = True
        self.reader = None
        how = "fin" if error is None else "vanished" if getattr(error, "errno", None) in VANISHED else "rst"
        self.link.gone(self, how)

    def end(self) -> None:
        """Pass a FIN on: half-close where it exists, else close."""
        if self.closed or self.wrote_eof or self.transport.is_closing():
            return
        self.wrote_eof = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def close(self) -> None:
        """Close after what is buffered has left."""
        if not self.closed:
            self.transport.close()

    def reset(self, patience: float = RESET_WAIT) -> None:
        """Pass an RST on, behind the bytes that came before it: a reset throws away what the kernel has not sent."""
        if self.closed:
            return
        self.hold(ENDING)
        if patience > 0 and (self.transport.get_write_buffer_size() or self._unacknowledged()):
            asyncio.get_running_loop().call_later(RESET_POLL, self.reset, patience - RESET_POLL)
            return
        self.buffered = self.transport.get_write_buffer_size()
        found = self.transport.get_extra_info("socket")
        if found is not None:
            with contextlib.suppress(OSError):          # gone already
                found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
        self.transport.abort()

    def _unacknowledged(self) -> int:
        """Bytes in the kernel's send queue; 0 where the system cannot say."""
        found = self.transport.get_extra_info("socket")
        count = array.array("i", [0])
        try:
            fcntl.ioctl(found.fileno(), termios.TIOCOUTQ, count)
        except (AttributeError, OSError):
            return 0
        return count[0]


def tune(sock: socket.socket) -> None:
    """Socket options of both legs: no delay, keep-alive 60/15/4, and the user time-out that belongs to it."""
    sock.setblocking(False)
    options = [
        (socket.IPPROTO_TCP, "TCP_NODELAY", 1), (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
        (socket.IPPROTO_TCP, "TCP_KEEPIDLE", KEEP_IDLE), (socket.IPPROTO_TCP, "TCP_KEEPINTVL", KEEP_INTERVAL),
        (socket.IPPROTO_TCP, "TCP_KEEPCNT", KEEP_COUNT), (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", USER_TIMEOUT_MS),
    ]
    for level, name, value in options:
        option = getattr(socket, name, None)
        if option is not None:
            try:
                sock.setsockopt(level, option, value)
            except OSError:                 # the peer is gone already, or the system does not know it
                continue
