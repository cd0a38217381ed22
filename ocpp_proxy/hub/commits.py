"""The store in its own thread, and the commits that go there: exactly once, retried for as long as it takes.

A store that hangs or fails holds up nothing but itself: rows wait here up to a bound, then in the spool.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from time import monotonic
from typing import Any, NoReturn, TypeVar

from msgspec import Struct

from ocpp_proxy.hub.log import logger
from ocpp_proxy.hub.store import Position, Store
from ocpp_proxy.model import CaptureError
from ocpp_proxy.records import Beat, FrameSeen, Record

FLUSH_SECONDS = 0.5                         # rows reach the store after this
MANY_SECONDS = 1.0                          # or, when they are more than MANY_ROWS, after this: a commit has a price of its own
MANY_ROWS = 2_000
FLUSH_ROWS = 50_000                         # or as soon as they are so many: a commit of 20,000 costs a quarter more a row
FLUSH_BYTES = 1 << 20                       # or at so many bytes of large records: the store holds each several times over
LARGE = 16 << 10                            # a record with more than this counts there; smaller ones are bounded by rows
IDLE_SECONDS = 60.0                         # positions alone (beats, nothing to store) are written this often
RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0)        # waits after a failed commit; the last one repeats

QUESTION = "question"                       # the name of a thread that is only asked
OBSERVER = "observer"                       # of one that an observer runs in
T = TypeVar("T")


class StoreThread:
    """Runs calls one after the other in a thread of its own. A daemon: a call that never returns keeps no process."""

    def __init__(self, name: str = "store") -> None:
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def call(self, function: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
        """Run a function there. Cancelling the future does not stop the call."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: BaseException | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)   # type: ignore[arg-type]    # None only where T is None

        def job() -> None:
            result, error = None, None
            try:
                result = function(*arguments)
            except BaseException as raised:
                error = raised
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, result, error)

        self._jobs.put(job)
        return future

    def end(self) -> None:
        """Let the thread end after what is queued."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            del job                         # it holds the records: they need not wait for the next one to go


class Work(Struct, frozen=True):
    """One commit: rows, the positions they reach, the pipeline state there."""

    records: Sequence[Record]
    positions: Sequence[Position]
    changed: dict[str, bytes | None]


class Committer:
    """Commits one ``Work`` after the other, in order. Nothing here ever raises into the recorder."""

    def __init__(self, store: Store, thread: StoreThread, observe: Callable[[float], None]) -> None:
        self.error = ""                     # why the last attempt failed; empty when the store is well
        self.failures = 0
        self.committed_at = monotonic()     # when the last commit or the start was
        self.began_at = 0.0                 # when the commit that runs now was begun; 0: none runs
        self.rows = 0
        self._store = store
        self._thread = thread
        self._observe = observe

    async def commit(self, work: Work) -> None:
        """Write one batch; comes back when it is in the store, however long that takes."""
        attempt = 0
        while True:
            self.began_at = monotonic()
            try:
                if attempt == 0 or not await self._is_in(work.positions):
                    await self._thread.call(self._store.commit, work.records, work.positions, work.changed)
            except Exception as error:      # the store is foreign code: whatever it raises, the recorder goes on
                self._failed(error)
            else:
                self._succeeded(len(work.records))
                return
            await asyncio.sleep(RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)])
            attempt += 1

    async def checkpoint(self) -> list[Position] | None:
        """Checkpoint, then the positions read back from the store; None when that failed (then nothing is deleted)."""
        try:
            await self._thread.call(self._store.checkpoint)
            return await self._stored()
        except Exception as error:          # as in commit
            self._failed(error)
            return None

    async def _is_in(self, positions: Sequence[Position]) -> bool:
        """Whether a commit that raised was written after all."""
        return bool(positions) and set(positions) <= set(await self._stored())

    async def _stored(self) -> list[Position]:
        """The positions in the store, as our own struct: a store may have one of its own with the same fields."""
        return [Position(p.worker, p.incarnation, p.seq) for p in await self._thread.call(self._store.positions)]

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        self.began_at = 0.0
        text = str(error) if isinstance(error, CaptureError) else f"{type(error).__name__}: {error}"
        if text != self.error:
            logger().error("the capture cannot be written; the spool holds what comes", reason=text)
        self.error = text

    def _succeeded(self, rows: int) -> None:
        if self.error:
            logger().info("the capture is written again")
        now = monotonic()
        self._observe(now - self.began_at)
        self.error, self.committed_at, self.began_at = "", now, 0.0
        self.rows += rows


async def aside(function: Callable[..., T], *arguments: Any) -> T:
    """Run one call in a thread of its own, beside the commits."""
    thread = StoreThread(QUESTION)
    future = thread.call(function, *arguments)
    thread.end()
    return await future


def leave(code: int) -> NoReturn:
    """End the process. A question that still runs is left (at the end of the interpreter DuckDB aborts in its thread), and so
    is an observer that did not end: what it waits for would be waited for.
    """
    if any(thread.name in (QUESTION, OBSERVER) for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def has_rows(stream: Sequence[Record]) -> bool:
    """Whether anything but beats is there to be stored."""
    return any(not isinstance(record, Beat) for record in stream)


def flush_seconds(stream: Sequence[Record]) -> float:
    """How long these records may wait for the store."""
    if len(stream) > MANY_ROWS:
        return MANY_SECONDS
    return FLUSH_SECONDS if has_rows(stream) else IDLE_SECONDS


def large_bytes(stream: Sequence[Record]) -> int:
    """Bytes of the large records. What a message and its frame share counts once."""
    total = 0
    for record in stream:
        if type(record) is FrameSeen:
            frame = record.frame
            held = len(frame.payload) + len(frame.raw) + len(frame.text) + len(frame.header)
            if held > LARGE:
                total += held
    return total
