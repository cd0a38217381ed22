"""One observer at work: a thread with an event loop of its own, a bounded queue into it, and the guard around its calls.

Nothing it does reaches the recorder: what it raises is logged, what it is too slow for is dropped and counted, and one that
never gives its thread back keeps that thread only. What cannot be bounded in one process: it shares the interpreter's lock
(a loop without a pause takes up to half of it) and the memory; C code that ends the process ends the recorder, which the
supervisor starts again and which goes on where it was.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from time import monotonic
from typing import Any
from weakref import WeakSet

from ocpp_proxy.api import Dialled, Observer
from ocpp_proxy.core.concealing import conceal
from ocpp_proxy.core.services import words_of
from ocpp_proxy.core.watching import Sight, Watcher, size_of
from ocpp_proxy.hub.commits import OBSERVER
from ocpp_proxy.hub.dialling import Socket, dial
from ocpp_proxy.hub.log import logger
from ocpp_proxy.model import Link
from ocpp_proxy.records import LinkClosed, Record

STRIKES = 5                                 # failures after which it sees nothing more
QUEUE_RECORDS = 20_000
QUEUE_BYTES = 16 << 20
BATCH_RECORDS = 500                         # given to ``see`` at once
END_SECONDS = 5.0                           # for what is queued and for ``end``
DRAIN_SECONDS = 2.0                         # of these, for what is queued
CLOSE_SECONDS = 0.5                         # of these, for a ``see`` that is cancelled, and for closing what was dialled
LOG_LINES = 20                              # that one observer may have in the log in LOG_SECONDS; of more there is the number
LOG_SECONDS = 10.0


class Watch:
    """One observer. Made and fed in the recorder's loop."""

    def __init__(self, watcher: Watcher, behind: "asyncio.Future[None] | None" = None) -> None:
        """``behind``: it begins once this is done; meanwhile what it is to see waits."""
        self.watcher = watcher
        self.dropped = 0                    # records, that found no room
        self.failures = 0
        self.off = False
        self._sight = Sight(watcher.wanted)
        self._lock = threading.Lock()
        self._queue: deque[tuple[Record, int]] = deque()
        self._bytes = 0
        self._told_dropped = False
        self._lines, self._lines_since = 0, 0.0
        self._main = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._main.create_future()
        self._inside: _Inside | None = None
        self._begun = self._called_off = False
        if behind is None or behind.done():
            self._begin()
        else:
            behind.add_done_callback(lambda _: self._begin())

    def _begin(self) -> None:
        if not self._called_off:
            self._begun = True
            threading.Thread(target=self._work, name=OBSERVER, daemon=True).start()

    def watch(self, watcher: Watcher, links: Mapping[int, Link], now_ns: int) -> None:
        """Have other links from now on; of those that it is not to see any more it is told that they are over."""
        self.watcher = watcher
        left = self._sight.change(watcher.wanted, links)
        self._put([LinkClosed(now_ns, link_id, "left") for link_id in left])

    @property
    def queued(self) -> int:
        """Records that wait."""
        return len(self._queue)

    def put(self, stream: Sequence[Record]) -> None:
        """Give it records; what finds no room is dropped. Never blocks."""
        if self.off:
            return
        self._put(self._sight.pick(stream))

    def _put(self, records: Sequence[Record]) -> None:
        fresh = [(record, size_of(record)) for record in records]
        if not fresh:
            return
        with self._lock:
            before = self.dropped
            for record, size in fresh:
                if len(self._queue) >= QUEUE_RECORDS or self._bytes + size > QUEUE_BYTES:
                    self.dropped += 1
                else:
                    self._queue.append((record, size))
                    self._bytes += size
            inside = self._inside
        if self.dropped != before and not self._told_dropped:
            self._told_dropped = True
            self._say("an observer is too slow: records are dropped for it", "warning")
        if inside is not None:
            inside.wake()

    def take(self) -> list[Record]:
        """The next records; called in its thread."""
        with self._lock:
            out = [self._queue.popleft() for _ in range(min(BATCH_RECORDS, len(self._queue)))]
            self._bytes -= sum(size for _, size in out)
            self._told_dropped = self._told_dropped and bool(self._queue)
        return [record for record, _ in out]

    async def end(self) -> None:
        """Let it see what is queued and end, for as long as ``END_SECONDS``; then it is left behind."""
        if not self._begun:
            self._called_off = True
            return
        with self._lock:
            inside = self._inside
        if inside is not None:
            inside.finish()
        try:
            await asyncio.wait_for(asyncio.shield(self._ended), END_SECONDS)
        except TimeoutError:
            self._say("an observer did not come to an end and was left", "warning")

    def failed(self, what: str, error: BaseException) -> None:
        """Count and tell a failure; called in its thread."""
        self.failures += 1
        self.off = self.off or self.failures >= STRIKES
        words = f"{what}: {words_of(error, (), conceal)}" + ("; it sees nothing more" if self.off else "")
        self.say(words, "error" if self.off else "warning")
        if self.off:
            with self._lock:
                self._queue.clear()
                self._bytes = 0

    def say(self, text: str, level: str = "info") -> None:
        """A line of it in the log; called in its thread. More than a few in a short time are left out."""
        if monotonic() - self._lines_since >= LOG_SECONDS:
            if self._lines > LOG_LINES:
                self._in_main(self._say, f"{self._lines - LOG_LINES} more lines of it were left out", "info")
            self._lines, self._lines_since = 0, monotonic()
        self._lines += 1
        if self._lines <= LOG_LINES:
            self._in_main(self._say, text, level)

    def _say(self, text: str, level: str) -> None:
        log = logger().warning if level == "warning" else logger().error if level == "error" else logger().info
        log(text, observer=self.watcher.name)

    def _in_main(self, call: Callable[..., None], *arguments: Any) -> None:
        try:
            self._main.call_soon_threadsafe(call, *arguments)
        except RuntimeError:                # the recorder's loop is over
            return

    def _work(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:      # also what its own tasks raise: SystemExit ends a loop
            self.off = True
            self.failed("ended", error)
        finally:
            self._in_main(self._over)

    def _over(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    async def _serve(self) -> None:
        inside = _Inside(self)
        with self._lock:
            self._inside = inside
        await inside.serve()


class _Inside:
    """The same in the observer's own thread. Is its ``api.ObserverContext``, too."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._finish = asyncio.Event()
        self._waking = False
        self._sockets: WeakSet[Socket] = WeakSet()
        self._loop.set_exception_handler(self._failed_aside)
        self.options = watch.watcher.options
        self.dropped = 0

    def log(self, text: str) -> None:
        """A line in the proxy's log."""
        self._watch.say(str(text)[:2000])

    async def dial(self, url: str, *, offer: Sequence[str] = (), headers: Mapping[str, str] | None = None) -> Dialled:
        """Open a WebSocket. Raises ``OSError`` that says why not."""
        socket = await dial(url, offer, headers or {})
        self._sockets.add(socket)
        return socket

    # ---- called in the recorder's thread ----

    def wake(self) -> None:
        """There are records. A thread that does not get to it is told once."""
        if not self._waking:
            self._waking = True
            self._call(self._wake.set)

    def finish(self) -> None:
        """The recorder ends."""
        self._call(self._finish.set)

    def _call(self, call: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:                # its loop is over
            return

    # ---- in its own ----

    async def serve(self) -> None:
        """Make the observer, let it see, let it end."""
        watch = self._watch
        try:
            observer = watch.watcher.make()
        except (Exception, SystemExit) as error:
            watch.off = True
            watch.failed("cannot be made", error)
            return
        seeing = asyncio.ensure_future(self._see(observer))
        finish = asyncio.ensure_future(self._finish.wait())
        await asyncio.wait((seeing, finish), return_when=asyncio.FIRST_COMPLETED)
        self._wake.set()
        await asyncio.wait((seeing,), timeout=DRAIN_SECONDS)
        seeing.cancel()
        await asyncio.wait((seeing,), timeout=CLOSE_SECONDS)
        try:
            async with asyncio.timeout(END_SECONDS - DRAIN_SECONDS - 2 * CLOSE_SECONDS):
                await observer.end(self)
        except (Exception, SystemExit) as error:
            watch.failed("end", error)
        closing = [asyncio.ensure_future(socket.close()) for socket in self._sockets]
        if closing:
            await asyncio.wait(closing, timeout=CLOSE_SECONDS)

    async def _see(self, observer: Observer) -> None:
        watch = self._watch
        while not watch.off:
            records = watch.take()
            self.dropped = watch.dropped
            if records:
                await self._guarded(observer.see(self, records))
                await asyncio.sleep(0)      # its own tasks have their turn
            elif self._finish.is_set():
                return
            else:
                await self._wake.wait()
                self._waking = False
                self._wake.clear()

    async def _guarded(self, call: Coroutine[Any, Any, None]) -> None:
        try:
            await call
        except (Exception, SystemExit) as error:
            self._watch.failed("see", error)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise                       # the recorder ends
            self._watch.failed("see", error)

    def _failed_aside(self, _: asyncio.AbstractEventLoop, told: dict[str, Any]) -> None:
        """A task or callback of the observer's own ended in an exception that nobody took."""
        error = told.get("exception") or RuntimeError(str(told.get("message")))
        self._watch.failed("a task of its own", error)
