"""Questions to the store: beside its commits, so many at once, for a bounded time. A store that hangs holds up nothing else.

Also how an answer becomes JSON without holding the event loop for long.
"""

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from ocpp_proxy.hub.commits import StoreThread, aside
from ocpp_proxy.hub.queries import AT_ONCE, QUERY_SECONDS, Ending, Ends

SLICE = 500                                 # items encoded in one go: other threads have their turn in between
AGAIN_SECONDS = 0.5
T = TypeVar("T")


class Asking:
    """Asks one store. ``thread``: where it commits; what changes the store is called there. ``seconds``: an answer may take."""

    def __init__(self, thread: StoreThread | None = None, store: object | None = None, seconds: float | None = None) -> None:
        self._thread, self._seconds = thread, seconds
        self._ends = store if isinstance(store, Ends) else None
        self._questions = asyncio.Semaphore(AT_ONCE)
        self._changes = asyncio.Semaphore(AT_ONCE)

    async def beside(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call in a thread of its own. Raises HTTP 503 when it takes too long; then, and when nobody waits for it any more,
        the question is ended if the store can do that."""
        ending = self._ends.ending() if self._ends is not None else None

        def ask() -> T:
            with ending or nullcontext():
                return function(*arguments)

        return await self._bounded(self._questions, lambda: asyncio.ensure_future(aside(ask)), ending)

    async def in_order(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call between two commits. When that takes too long it is HTTP 503, though the call may still be made later."""
        thread = self._thread
        if thread is None:
            return await self.beside(function, *arguments)
        return await self._bounded(self._changes, lambda: thread.call(function, *arguments), None)

    async def _bounded(
        self, places: asyncio.Semaphore, begin: Callable[[], asyncio.Future[T]], ending: Ending | None,
    ) -> T:
        def answered(answer: asyncio.Future[T]) -> None:
            places.release()                # only now: calls that hang are bounded too
            if not answer.cancelled():
                answer.exception()

        seconds = self._seconds or QUERY_SECONDS
        try:
            async with asyncio.timeout(seconds):
                await places.acquire()
                answer = begin()
                answer.add_done_callback(answered)
                try:
                    return await asyncio.shield(answer)
                finally:
                    if ending is not None:
                        _end(ending, answer)
        except TimeoutError:
            raise web.HTTPServiceUnavailable(text=f"the capture has not answered within {seconds:.0f} s") from None


def _end(ending: Ending, answer: asyncio.Future[Any]) -> None:
    """End a question unless it has its answer. Again and again: one that is just between two statements goes on."""
    if not answer.done():
        ending.end()
        asyncio.get_running_loop().call_later(AGAIN_SECONDS, _end, ending, answer)


def encode(answer: object) -> bytes:
    """An answer as JSON; a long list in slices, so that in a thread it does not keep the others from theirs."""
    if not isinstance(answer, list) or len(answer) <= SLICE:
        return msgspec.json.encode(answer)
    slices = (msgspec.json.encode(answer[start : start + SLICE])[1:-1] for start in range(0, len(answer), SLICE))
    return b"[" + b",".join(slices) + b"]"
