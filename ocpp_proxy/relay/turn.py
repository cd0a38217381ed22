"""One loop turn: what arrived in it is appended to the spool in one go, and only then passed on.

A chunk that comes after a quiet moment does not wait for the end of its turn: it is appended and passed on by itself.
Every call is guarded on its own, so a side that is closed ends its own link and no other. Keeps the histogram of how
long turns took, wakes the recorder, and is flushed early when a turn grows.
"""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from time import monotonic_ns
from typing import Any, Protocol

from ocpp_proxy.relay.spool import MAX_RECORDS, Entry
from ocpp_proxy.wire.spool import Body, encode_body

EARLY_BYTES = 4 << 20
QUIET_NS = 50_000                           # what comes sooner after a turn is collected: under load one append for many
NOTIFY_SECONDS = 0.02                       # at most one wake-up of the recorder in that time
BUCKET_SHIFT = 17                           # histogram of turns: buckets of 2**17 ns (0.13 ms)
BUCKETS = 1024                              # the last one holds all that took longer than 134 ms
_IN = 3


class Writer(Protocol):
    """What a turn needs of the spool writer. ``seq``: number of the last record."""

    seq: int

    def append(self, turn: list[Entry]) -> None:
        """Append all records; never raises."""

    def append_one(self, direction: int, link: int, offset: int, data: bytes, mono_ns: int) -> bool:
        """Append one IN record; False: nothing was done, use ``append``. Never raises."""


class Paused(Protocol):
    """A leg that stopped reading because this turn holds enough of it."""

    def turn_ended(self) -> None:
        """Read on, unless something else holds it back."""


class Turn:
    """Collects entries until the end of the loop turn; ``size`` is the data bytes waiting, ``armed`` that it is being done."""

    __slots__ = (
        "_loop", "_notify_armed", "_notify_path", "_over", "_socket", "_started", "armed", "buckets", "entries", "longest_ns",
        "on_failure", "size", "stopped", "writer",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, writer: Writer, notify: Path | None = None) -> None:
        self.entries: list[Entry] = []
        self.size = 0
        self.stopped: list[Paused] = []
        self.writer = writer
        self.buckets = [0] * BUCKETS
        self.longest_ns = 0
        self.on_failure: Callable[[Entry, Exception], None] = lambda entry, error: None
        self._loop = loop
        self.armed = False
        self._started = 0
        self._over = 0                      # end of the last turn
        self._notify_path = str(notify) if notify else ""
        self._notify_armed = False
        self._socket: socket.socket | None = None

    def add(
        self, kind: int, direction: int, link: int, offset: int, data: bytes,
        call: Callable[[Any], object] | None = None, argument: Any = None,
    ) -> None:
        """Append a record in this turn; then ``call(argument)``. Bytes of ``kind`` IN waiting count towards an early flush."""
        entries = self.entries
        entries.append((kind, direction, link, offset, data, call, argument))
        self.size += len(data)
        if not self.armed:
            self.arm()
        if len(entries) >= MAX_RECORDS or self.size >= EARLY_BYTES:
            self.flush()

    def chunk(self, direction: int, link: int, offset: int, data: bytes, forward: Callable[[Any], object] | None) -> None:
        """Take received bytes while no turn is collected: after a quiet moment they go through at once. Flat: hot path."""
        started = monotonic_ns()
        alone = started - self._over > QUIET_NS
        if not alone or forward is None or not self.writer.append_one(direction, link, offset, data, started):
            self.entries.append((_IN, direction, link, offset, data, forward, data))
            self.size += len(data)
            self.arm()
            return
        try:
            forward(data)
        except Exception as error:          # this side is closed: ends this link only, all others go on
            self.on_failure((_IN, direction, link, offset, data, forward, data), error)
        self._ended(started)

    def arm(self) -> None:
        """Flush at the end of this loop turn."""
        self.armed = True
        self._started = monotonic_ns()
        self._loop.call_soon(self.flush)

    def body(self, kind: int, direction: int, link: int, body: Body, offset: int = 0) -> None:
        """Append a record whose data are a struct."""
        self.add(kind, direction, link, offset, encode_body(body))

    def flush(self) -> None:
        """Append everything, then pass it on. Also called by hand where an order has to be kept."""
        self.armed = False
        entries = self.entries
        if not entries:
            return
        self.entries, self.size = [], 0
        self.writer.append(entries)
        for entry in entries:
            call = entry[5]
            if call is not None:
                try:
                    call(entry[6])
                except Exception as error:  # this side is closed: ends this link only, all others go on
                    self.on_failure(entry, error)
        if self.stopped:
            legs, self.stopped = self.stopped, []
            for leg in legs:
                leg.turn_ended()
        self._ended(self._started)

    def _ended(self, started: int) -> None:
        """Count a turn; wake the recorder soon."""
        self._over = over = monotonic_ns()
        took = over - started
        if took > self.longest_ns:
            self.longest_ns = took
        bucket = took >> BUCKET_SHIFT
        self.buckets[bucket if bucket < BUCKETS else BUCKETS - 1] += 1
        if not self._notify_armed and self._notify_path:
            self._notify_armed = True
            self._loop.call_later(NOTIFY_SECONDS, self._notify)

    def took(self, nanoseconds: int) -> None:
        """Count a turn measured elsewhere (the lateness of a timer)."""
        self.longest_ns = max(self.longest_ns, nanoseconds)
        self.buckets[min(nanoseconds >> BUCKET_SHIFT, BUCKETS - 1)] += 1

    def quantile_ns(self, share: float) -> int:
        """Upper bound of the time that ``share`` of all turns stayed within."""
        total, seen = sum(self.buckets), 0
        for index, count in enumerate(self.buckets):
            seen += count
            if total and seen >= share * total:
                return min((index + 1) << BUCKET_SHIFT, self.longest_ns) if index < BUCKETS - 1 else self.longest_ns
        return 0

    def close(self) -> None:
        """Flush what is there and close the notice socket."""
        self.flush()
        self._notify_path = ""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _notify(self) -> None:
        """One byte that means nothing: the recorder looks at the spool anyway, this only wakes it. Errors mean it is away."""
        self._notify_armed = False
        if not self._notify_path:
            return
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
            self._socket.sendto(b"\0", self._notify_path)
        except OSError:
            return
