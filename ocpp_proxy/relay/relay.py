"""The relay of one worker: turn, spool, environment, acceptor, heartbeat and statistics, started and ended in order."""

import asyncio
import contextlib
import os
import socket
import time
from pathlib import Path

import msgspec
from msgspec import Struct

from ocpp_proxy.config import Config
from ocpp_proxy.relay import tls
from ocpp_proxy.relay.accept import Acceptor, raise_descriptor_limit
from ocpp_proxy.relay.environment import Environment
from ocpp_proxy.relay.spool import Entry, SpoolWriter
from ocpp_proxy.relay.state_store import StateStore
from ocpp_proxy.relay.turn import Turn
from ocpp_proxy.relay.validity import chain_text, file_chain
from ocpp_proxy.wire.spool import Kind

BEAT_SECONDS = 0.25
DAY_BEATS = 345_600
STATS_BEATS = 4                             # statistics are written every fourth beat
SLEPT_SECONDS = 1.0                         # BOOTTIME ahead of MONOTONIC by more than that: the machine was suspended
END_SECONDS = 2.0                           # after the drain: for the last bytes of closed links to leave


class Stats(Struct):
    """``relay-<worker>.json``: what this worker counts. Times in nanoseconds; ``turn_*`` of loop turns since start."""

    pid: int
    incarnation: int
    time_ns: int
    links: int
    half_open: int
    accepted: int
    refused: int
    failed_writes: int
    seq: int
    spool_bytes: int
    gaps: int
    lost_records: int
    lost_bytes: int
    in_gap: bool
    turns: int
    turn_longest_ns: int
    turn_p999_ns: int
    spool_limit: int                        # bytes; the recorder makes room when half of it is used
    state_error: str = ""                   # why plugins' States cannot be stored; empty: they can
    state_failing: int = 0                  # chargers whose States could not be, since then


class Relay:
    """One worker. ``sockets`` are bound and listening; they belong to the caller and are not closed."""

    def __init__(self, config: Config, folder: Path, sockets: list[socket.socket], worker: int = 0) -> None:
        """Raises ``ConfigError`` on what cannot be: upstream, TLS files, an unsafe spool folder."""
        self.config = config
        self.folder = folder
        self.worker = worker
        loop = asyncio.get_running_loop()
        server_tls, upstream_tls = tls.server_context(config.tls), None
        self.writer = SpoolWriter(folder / "spool", worker, config.spool)
        self.turn = Turn(loop, self.writer, folder / "notify.sock")
        self.turn.on_failure = self._not_sent
        listeners = [(str(found[0]), int(found[1])) for found in (sock.getsockname() for sock in sockets)]
        self.env = Environment(config, loop, self.turn, listeners)
        state = Path(config.state) if config.state else folder / "plugins.sqlite"
        self.env.states = StateStore(state, f"{worker}-{self.writer.incarnation:016x}", loop)
        if self.env.upstream.secure:
            upstream_tls = tls.upstream_context(config.tls)
        self.env.server_tls, self.env.upstream_tls = server_tls, upstream_tls
        self.acceptor = Acceptor(self.env, sockets, raise_descriptor_limit())
        self._beats = 0
        self._due = 0.0
        self._slept = _suspended_ns()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Take connections and beat."""
        self._own_certificates()
        self.acceptor.start()
        self._due = self.env.loop.time()
        self._beat()

    async def stop(self, drain: float) -> None:
        """Take no more connections, give the links ``drain`` seconds, end them, say goodbye in the spool."""
        env = self.env
        env.draining = True
        self.acceptor.stop()
        await self._until_empty(drain)
        await self.acceptor.close()
        for link in list(env.links.values()):
            link.shut("shutdown")
        await self._until_empty(END_SECONDS)
        for link in list(env.links.values()):
            link.abort("shutdown")
        await self._until_empty(END_SECONDS)
        if self._timer is not None:
            self._timer.cancel()
        self.turn.add(Kind.BEAT, 0, 0, 0, b"")
        self.turn.close()
        self.env.states.close()
        self._write_stats()
        self.writer.close()

    async def _until_empty(self, seconds: float) -> None:
        deadline = self.env.loop.time() + seconds
        while self.env.links and self.env.loop.time() < deadline:
            await asyncio.sleep(0.02)

    def _not_sent(self, entry: Entry, error: Exception) -> None:
        """A write failed because that side is closed: count the bytes; its own end follows."""
        self.env.failed_writes += 1
        link = self.env.links.get(entry[2])
        if link is not None and entry[0] in (Kind.IN, Kind.HEAD):
            argument = entry[6]
            link.not_sent(entry[1], argument[1] if isinstance(argument, tuple) else len(argument))

    def _own_certificates(self) -> None:
        """Note until when our own certificates are valid: at the start, and again every day."""
        for path in (*self.config.tls.cert, self.config.tls.client_cert):
            self.env.certificate("own_certificate", chain_text(file_chain(path)) if path else "")

    def _beat(self) -> None:
        """Every 250 ms: record time, room in the spool, suspension, statistics."""
        loop = self.env.loop
        now = loop.time()
        self.turn.took(max(0, int((now - self._due) * 1e9)))
        self._due = max(self._due + BEAT_SECONDS, now)
        self._timer = loop.call_at(self._due, self._beat)
        slept = _suspended_ns()
        if slept - self._slept > SLEPT_SECONDS * 1e9:
            self.env.note("suspended", f"{(slept - self._slept) / 1e9:.1f}")
        self._slept = slept
        self.turn.add(Kind.BEAT, 0, 0, 0, b"")
        self.turn.flush()
        self.writer.tick()
        self._beats += 1
        if self._beats % STATS_BEATS == 1:
            self.env.states.look()
            self._write_stats()
        if self._beats % DAY_BEATS == 0:
            self._own_certificates()

    def stats(self) -> Stats:
        """What this worker counts, now."""
        env, turn, writer = self.env, self.turn, self.writer
        return Stats(
            os.getpid(), writer.incarnation, time.time_ns(), len(env.links), len(env.half_open), env.accepted, env.refused,
            env.failed_writes, writer.seq, writer.written_bytes, writer.gaps, writer.lost_records, writer.lost_bytes,
            writer.in_gap, sum(turn.buckets), turn.longest_ns, turn.quantile_ns(0.999), writer.limit, env.states.error,
            len(env.states.failing),
        )

    def _write_stats(self) -> None:
        """Replace the statistics file; a full disk only makes it old."""
        target = self.folder / f"relay-{self.worker}.json"
        made = self.folder / f".relay-{self.worker}.json.new"
        flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with contextlib.suppress(OSError):
            fd = os.open(made, flags, 0o600)
            try:
                os.write(fd, msgspec.json.encode(self.stats()))
            finally:
                os.close(fd)
            os.rename(made, target)


def _suspended_ns() -> int:
    """How long this machine has slept since it was booted; 0 where the system does not say."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
