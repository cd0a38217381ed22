"""Who reads a capture now: many beside each other, or one alone. A question can be ended from another thread."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import duckdb

from ocpp_proxy.model import CaptureError, ConfigError
from ocpp_proxy_captures.database import Connection

WAIT_S = 10.0                               # until nobody reads a closed capture
PATIENCE_S = 1.0                            # what is asked of a capture may go on for so long when its files are exchanged
AGAIN_S = 0.05                              # an interrupt between two statements is lost: it is given again
MOVED = "the capture went on in another file while it was being asked; ask again"
ENDED = "the question was ended: nobody waits for its answer"
T = TypeVar("T")


class Ending:
    """One question to a capture, entered in the thread that asks it; ``end`` ends it from any other."""

    def __init__(self) -> None:
        self.ended = False
        self._lock = threading.Lock()
        self._cursors: list[Connection] = []

    def __enter__(self) -> "Ending":
        _here.ending = self
        return self

    def __exit__(self, *_: object) -> None:
        _here.ending = None

    def end(self) -> None:
        """What runs raises ``CaptureError``, and what it would ask next. Later than that it does nothing."""
        with self._lock:
            self.ended = True
            for cursor in self._cursors:
                cursor.interrupt()
            again = bool(self._cursors)
        if again:
            timer = threading.Timer(AGAIN_S, self.end)
            timer.daemon = True
            timer.start()

    def begin(self, cursor: Connection) -> None:
        """The question uses this cursor from now on. Raises ``CaptureError`` when it was ended."""
        with self._lock:
            if self.ended:
                raise CaptureError(ENDED)
            self._cursors.append(cursor)

    def done(self, cursor: Connection) -> None:
        """It uses it no longer."""
        with self._lock:
            self._cursors.remove(cursor)


class _Here(threading.local):
    """The question of this thread."""

    ending: Ending | None = None


_here = _Here()


async def aside(function: Callable[..., T], *arguments: Any) -> T:
    """Ask in another thread; when nobody waits for the answer any more, the question is ended."""
    ending = Ending()

    def ask() -> T:
        with ending:
            return function(*arguments)

    try:
        return await asyncio.to_thread(ask)
    except asyncio.CancelledError:
        ending.end()
        raise


class Gate:
    """Many may be inside, or one alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside, self._shut = 0, False
        self._cursors: list[Connection] = []

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Beside others."""
        with self._changed:
            self._changed.wait_for(lambda: not self._shut)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextmanager
    def cursor(self, make: Callable[[], Connection]) -> Iterator[Connection]:
        """A cursor, beside others; not within another one of the same thread. Raises ``CaptureError`` when it was ended."""
        ending = _here.ending
        with self.inside():
            cursor = make()
            with self._changed:
                self._cursors.append(cursor)
            try:
                if ending is not None:
                    ending.begin(cursor)
                try:
                    yield cursor
                finally:
                    if ending is not None:
                        ending.done(cursor)
            except duckdb.InterruptException as error:
                raise CaptureError(ENDED if ending is not None and ending.ended else MOVED) from error
            finally:
                with self._changed:
                    self._cursors.remove(cursor)
                cursor.close()

    @contextmanager
    def alone(self, seconds: float = WAIT_S) -> Iterator[None]:
        """Keeps nobody out while it waits. Raises ``ConfigError`` when others are inside for so long."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self._shut and not self._inside, seconds):
                raise ConfigError("the capture is being read (an export or a check runs); bookmark again when that is done")
            self._shut = True
        yield from self._open_again()

    @contextmanager
    def cleared(self) -> Iterator[None]:
        """Keeps others out from now on; what does not end by itself is ended."""
        with self._changed:
            self._changed.wait_for(lambda: not self._shut)
            self._shut = True
            wait_s = PATIENCE_S
            while not self._changed.wait_for(lambda: not self._inside, wait_s):
                for cursor in self._cursors:
                    cursor.interrupt()
                wait_s = AGAIN_S
        yield from self._open_again()

    def _open_again(self) -> Iterator[None]:
        try:
            yield
        finally:
            with self._changed:
                self._shut = False
                self._changed.notify_all()
