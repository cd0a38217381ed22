"""Recording: spool tail -> pipeline -> store and live readers. One process; only it has the capture open.

Nothing that happens to the store, a reader or a question stops it: what cannot be stored waits in the spool.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic, time_ns
from typing import Any

from ocpp_proxy import __version__
from ocpp_proxy.config import Config
from ocpp_proxy.core.masking import Masker
from ocpp_proxy.hub import instance as instances
from ocpp_proxy.hub import log
from ocpp_proxy.hub.acting import Acts
from ocpp_proxy.hub.care import Care, Feed
from ocpp_proxy.hub.commanding import Commanding
from ocpp_proxy.hub.commits import (
    FLUSH_BYTES,
    FLUSH_ROWS,
    Committer,
    StoreThread,
    Work,
    flush_seconds,
    has_rows,
    large_bytes,
)
from ocpp_proxy.hub.control import Control
from ocpp_proxy.hub.kept import KeptStore
from ocpp_proxy.hub.log_file import LogFile
from ocpp_proxy.hub.metrics import Metrics, relay_numbers
from ocpp_proxy.hub.observing import Observing
from ocpp_proxy.hub.overflow import Overflow, moved_folder
from ocpp_proxy.hub.remembered import Remembered
from ocpp_proxy.hub.sinks import Live
from ocpp_proxy.hub.store import Position, Store
from ocpp_proxy.hub.tail import Item, Lost, Tail, reached, size_of
from ocpp_proxy.hub.watchers import Finder, Watchers
from ocpp_proxy.model import ConfigError
from ocpp_proxy.records import Record
from ocpp_proxy.wire.kept import kept_folder
from ocpp_proxy.wire.spool import SpoolRecord

READ_ITEMS = 500                            # spool records between two turns of the event loop
FEED_BYTES = 16 << 10                       # data fed at once; a thousand times as much may come of it, inflated
PENDING_ROWS = 60_000                       # rows that wait for the store; more wait in the spool
POLL_SECONDS = 0.25
PAUSE_SECONDS = 0.02                        # between two reads when there is little: wake-ups are gathered
HUNG_SECONDS = 10.0                         # a commit that takes longer turns /healthz red
OLD_SECONDS = 10.0                          # numbers of a relay that are older do not count as well
STOP_SECONDS = 30.0                         # how long the end waits for the store
CLEAR_BYTES = 32 << 20                      # of finished segments: a checkpoint writes the last rows of the file again, so
CLEAR_SECONDS = 30.0                        # under load segments are cleared several at once, at the latest after this


class Recorder:
    """See the module. ``pipeline`` is handed in fresh and is restored from the store here."""

    def __init__(
        self, instance: Path, store: Store | None, config: Config, pipeline: Feed, observing: Observing | None = None,
        masker: Masker | None = None, finder: Finder | None = None,
    ) -> None:
        self.observing, self._masker, self._finder = observing or Observing(), masker, finder
        self._instance, self._store, self._config, self._pipeline = instance, store, config, pipeline
        positions: Sequence[Position] = ()
        if store is not None:
            pipeline.restore(store.state())
            positions = [Position(p.worker, p.incarnation, p.seq) for p in store.positions()]
        self._care = Care(pipeline, instance)
        self._known = instances.read(instance)
        self._tail = Tail(instance / "spool", positions, moved_folder(instance))
        self._overflow = Overflow(instance, self._tail)
        self._live = Live()
        self._memory = Remembered(self._live, config.call_seconds) if store is None else None
        self._metrics = Metrics(instance, self._gauges)
        self._said = LogFile(instance)
        self._listener = log.Listener(self._said)
        self._thread = StoreThread()
        self._kept = store                  # what is committed to and closed: the store, or the store and kept segments
        if store is not None and config.capture.keep_spool:
            folder = kept_folder(instances.capture_path(config))
            self._kept = KeptStore(store, folder, config.capture.retention_bytes)
        self._committer = Committer(self._kept, self._thread, self._metrics.committed) if self._kept is not None else None
        self._pending: list[Record] = []
        self._pending_since = monotonic()
        self._pending_large = 0             # bytes of large records among them
        self._items: list[Item] = []        # read and not digested yet, when what came before them is large
        self._reached = {position.worker: position for position in self._tail.positions()}
        self._commit: asyncio.Task[None] | None = None
        self._quiet = True                  # the last read gave nothing
        self._uncleared_since = 0.0         # when a segment was first seen finished; 0: none is
        self._clear_bytes = min(CLEAR_BYTES, (config.spool.limit_bytes or _memory() // 8) // 4)
        self._read_at = monotonic()
        self._stop_at = 0.0                 # when to stop though a writer still lives; 0: not asked to stop
        self._wake = asyncio.Event()

    async def run(self, alive_fd: int) -> int:
        """Record until told to stop and all is drained, or the time for that is over; the exit code."""
        loop = asyncio.get_running_loop()
        notify = self._listen_for_notices()
        if notify is not None:
            loop.add_reader(notify, self._noticed, notify)
        loop.add_signal_handler(signal.SIGTERM, self._stop, 2.0)
        loop.add_signal_handler(signal.SIGINT, lambda: None)    # the terminal's ^C is the supervisor's to handle
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})    # the supervisor starts us with it held back
        if alive_fd >= 0:
            loop.add_reader(alive_fd, self._orphaned, alive_fd)
        commanding = Commanding(self._instance, 1 + len(self._known.isolated) if self._known else 1)
        supervisor = self._known.pid if self._known else 0
        watchers = None
        if self._finder is not None:
            watchers = Watchers(self._instance, self._config, self._finder, self.observing, self._live.known_open)
        control = Control(
            self._live, self._metrics, self._store, self._health, thread=self._thread, said=self._said, memory=self._memory,
            acts=Acts(self._instance, commanding, self._live.known_open, supervisor, self._masker, watchers),
            allow_inject=self._config.allow_inject)
        try:
            await commanding.start()
            await self._serve(control)
            self.observing.begin()
            watching = asyncio.ensure_future(watchers.run()) if watchers is not None else None
            await self._pump()
            if watching is not None:
                watching.cancel()
            _, code = await asyncio.gather(self.observing.end(), self._finish())
            return code
        finally:
            await control.stop()
            await commanding.stop()
            if self._memory is not None:
                self._memory.end()
            self._tail.close()
            if notify is not None:
                loop.remove_reader(notify)
                notify.close()

    async def _serve(self, control: Control) -> None:
        known = self._known
        address = instances.control_address(self._instance, known.control if known else "")
        try:
            got = await control.start(address, known.token if known else "", known.read_token if known else "")
        except OSError as error:
            raise ConfigError(f"control address {address}: {error.strerror or error}; give another with --control") from error
        if known is not None and got != known.control:
            instances.write(instances.moved(known, got))
        log.logger().info("recording", control=got, capture=known.capture if known else "")

    async def _pump(self) -> None:
        while True:
            self._wake.clear()
            room = len(self._pending) < PENDING_ROWS and self._pending_large < FLUSH_BYTES
            if self._memory is not None and self._memory.waiting >= PENDING_ROWS:
                room = False
            items = (self._items or self._tail.read(READ_ITEMS)) if room else []
            self._quiet = room and not items
            self._digest(items)
            self._flush()
            self._overflow.look()
            if items:                       # the control API has its turn, then there may be more
                await asyncio.sleep(0 if self._items or self._tail.cut else PAUSE_SECONDS)
            elif self._stop_at and self._is_over(room):
                return
            else:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), POLL_SECONDS)

    def _is_over(self, room: bool) -> bool:
        """Told to stop, and nothing more can be read: all is drained, or what lives on has had its time."""
        now = monotonic()
        room = room and not self._items
        return (room and (self._tail.drained or now >= self._stop_at)) or now >= self._stop_at + STOP_SECONDS

    def _digest(self, items: list[Item]) -> None:
        """Feed items to the pipeline as long as what follows is not too large; the rest waits in ``_items``."""
        if not items:
            return
        self._read_at = monotonic()
        fresh: list[Record] = []
        done = 0
        while done < len(items) and self._pending_large < FLUSH_BYTES:
            end = _portion(items, done)
            made = self._feed(items[done:end])
            self._pending_large += large_bytes(made)
            fresh += made
            done = end
        last = {item.worker: item for item in items[:done]}
        self._reached.update((worker, reached(item)) for worker, item in last.items())
        self._items = items[done:]
        self._live.publish(fresh)
        if self._memory is not None:
            self._memory.feed(fresh)
        self._metrics.count(fresh)
        self._listener.feed(fresh)
        self.observing.feed(fresh)
        if not has_rows(self._pending):
            self._pending.clear()           # of beats only the last matters, and there is one behind these
            self._pending_since = self._pending_since if not has_rows(fresh) else monotonic()
        self._pending += fresh

    def _feed(self, items: Sequence[Item]) -> list[Record]:
        known = [item for item in items if type(item) is SpoolRecord]
        if len(known) == len(items):        # nothing was lost: nearly always
            return self._care.feed(known)
        fresh: list[Record] = []
        run: list[SpoolRecord] = []
        for item in items:
            if isinstance(item, Lost):
                fresh += self._care.feed(run)
                run = []
                fresh += self._pipeline.lost(item.worker, item.gap)
            else:
                run.append(item)
        fresh += self._care.feed(run)
        return fresh

    def _flush(self, now: bool = False) -> None:
        """Begin a commit if one is due and none runs."""
        if self._commit is not None and not self._commit.done():
            return
        positions = list(self._reached.values())
        if self._committer is None:
            self._pending.clear()
            self._pending_large = 0
            for path in self._tail.finished(positions):
                self._overflow.delete(path)
            self._care.committed()
            return
        age = monotonic() - self._pending_since
        full = len(self._pending) >= FLUSH_ROWS or self._pending_large >= FLUSH_BYTES
        due = full or age >= flush_seconds(self._pending)
        if now or due or self._to_clear(positions):
            work = Work(self._pending, positions, self._pipeline.changed())
            self._pending, self._pending_since, self._pending_large = [], monotonic(), 0
            self._commit = asyncio.ensure_future(self._write(self._committer, work, now))

    async def _write(self, committer: Committer, work: Work, last: bool) -> None:
        await committer.commit(work)
        if last or self._to_clear(work.positions):
            await self._clear(await committer.checkpoint() or ())
        self._care.committed()
        self._wake.set()

    def _to_clear(self, positions: Sequence[Position]) -> bool:
        """Whether finished segments are to go now: at once when it is quiet, else when they are many or have waited."""
        paths = self._tail.finished(positions)
        if not paths:
            self._uncleared_since = 0.0
            return False
        self._uncleared_since = self._uncleared_since or monotonic()
        if self._quiet or monotonic() - self._uncleared_since >= CLEAR_SECONDS:
            return True
        return sum(map(size_of, paths)) >= min(self._clear_bytes, _room(paths[0].parent) // 4)

    async def _clear(self, positions: Sequence[Position]) -> None:
        """Segments go when their rows are in the file proper and the position read back covers them."""
        for path in self._tail.finished(positions):
            self._overflow.delete(path)

    async def _finish(self) -> int:
        """Commit the rest, checkpoint, close. A store that does not answer is left; the spool keeps what it misses."""
        if self._committer is None or self._kept is None:
            self._flush()
            return 0
        try:
            async with asyncio.timeout(STOP_SECONDS):
                if self._commit is not None:
                    await self._commit
                self._flush(now=True)
                if self._commit is not None:
                    await self._commit
                await self._thread.call(self._kept.close)
        except TimeoutError:
            log.logger().error(
                "the capture could not be finished; the spool keeps the rest for the next run",
                reason=self._committer.error or "it does not answer", spool=str(self._instance / "spool"),
            )
            return 1
        return 0

    def _stop(self, grace: float) -> None:
        """Drain and end. A writer that lives on after ``grace`` seconds is not waited for."""
        if not self._stop_at:
            self._stop_at = monotonic() + grace
            self._wake.set()

    def _orphaned(self, alive_fd: int) -> None:
        asyncio.get_running_loop().remove_reader(alive_fd)
        log.logger().warning("the supervisor is gone: draining")
        self._stop(self._config.limits.drain_seconds + 5.0)

    def _listen_for_notices(self) -> socket.socket | None:
        """The datagram socket the relay knocks at; without it (path too long) polling has to do."""
        path = self._instance / "notify.sock"
        if len(os.fsencode(path)) > instances.SOCKET_PATH:
            return None
        path.unlink(missing_ok=True)
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.setblocking(False)
        mask = os.umask(0o177)
        try:
            notify.bind(str(path))
        finally:
            os.umask(mask)
        return notify

    def _noticed(self, notify: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(100):
                notify.recv(16)
        self._wake.set()

    def _health(self) -> tuple[bool, Mapping[str, Any]]:
        problems = []
        committer, now = self._committer, monotonic()
        if committer is not None:
            if committer.error:
                problems.append(f"capture: {committer.error}")
            elif committer.began_at and now - committer.began_at > HUNG_SECONDS:
                problems.append(f"capture: a commit has been running for {now - committer.began_at:.0f} s")
        for worker, numbers in relay_numbers(self._instance):
            if numbers.get("in_gap"):
                problems.append(f"spool: worker {worker} has no room and counts what it cannot keep")
            if numbers.get("state_error"):
                count = numbers.get("state_failing")
                whose = f" (of {count} charger{'s' * (count != 1)} nothing is stored)" if count else ""
                problems.append(f"state: worker {worker}: {numbers['state_error']}{whose}")
            old = (time_ns() - numbers.get("time_ns", time_ns())) / 1e9
            if old > OLD_SECONDS:
                problems.append(f"relay: worker {worker} wrote its numbers {old:.0f} s ago: it is gone, or the disk is full")
        if now - self._read_at > 5.0:
            problems.append(f"relay: nothing heard of it for {now - self._read_at:.0f} s")
        gauges = {name.removeprefix("ocpp_"): value for name, (_, value) in self._gauges().items()}
        known = self._known
        return not problems, {
            "status": "failing" if problems else "ok", "problems": problems, "version": __version__,
            "listen": known.listen if known else (), "upstream": known.upstream if known else "",
            "capture": known.capture if known else "", "stored": self._store is not None, **gauges,
        }

    def _gauges(self) -> dict[str, tuple[str, float]]:
        live, committer = self._live, self._committer
        return {
            **self.observing.gauges(),
            "ocpp_links_open": ("Open links, before and after their handshake.", len(live.open_links)),
            "ocpp_capture_queue_rows": ("Rows that wait for the capture.", len(self._pending)),
            "ocpp_capture_queue_large_bytes": ("Bytes of large records that wait for the capture.", self._pending_large),
            "ocpp_capture_rows": ("Rows written to the capture by this recorder.", committer.rows if committer else 0),
            "ocpp_capture_failures": ("Failed attempts to write the capture.", committer.failures if committer else 0),
            "ocpp_spool_bytes": ("Bytes of the spool.", self._tail.spool_bytes()),
            "ocpp_spool_moved_bytes": ("Bytes of segments moved to disk because the capture lags.", self._overflow.bytes()),
            "ocpp_spool_moved_segments": ("Segments moved there since the recorder started.", self._overflow.moved),
            "ocpp_lines": ("Lines since the recorder started.", live.line_count),
            "ocpp_subscribers": ("Readers that follow live.", len(live.subscribers)),
            "ocpp_subscriber_dropped_lines": (
                "Lines lost by readers that were too slow.",
                live.dropped + sum(subscriber.dropped for subscriber in live.subscribers),
            ),
        }


def _memory() -> int:
    """Bytes of memory of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _room(folder: Path) -> int:
    """Free bytes where a folder lies; 0 when that cannot be told."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize


def _portion(items: Sequence[Item], start: int) -> int:
    """Where the next items to be fed at once end: at least one, then up to ``FEED_BYTES``."""
    size, at = 0, start
    while at < len(items) and size < FEED_BYTES:
        item = items[at]
        size += len(item.data) if type(item) is SpoolRecord else 0
        at += 1
    return at
