"""Questions to the store: beside its commits, so many at once, for a bounded time. A store that hangs holds up nothing else.

Also how an answer becomes JSON without holding the event loop for long.
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from ocpp_proxy.hub.commits import StoreThread, aside
from ocpp_proxy.hub.queries import AT_ONCE, QUERY_SECONDS

SLICE = 500                                 # items encoded in one go: other threads have their turn in between
T = TypeVar("T")


class Asking:
    """Asks one store. ``thread``: where it commits; what changes the store is called there."""

    def __init__(self, thread: StoreThread | None = None) -> None:
        self._thread = thread
        self._questions = asyncio.Semaphore(AT_ONCE)
        self._changes = asyncio.Semaphore(AT_ONCE)

    async def beside(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call in a thread of its own. Raises HTTP 503 when it takes too long."""
        return await self._bounded(self._questions, lambda: asyncio.ensure_future(aside(function, *arguments)))

    async def in_order(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call between two commits. When that takes too long it is HTTP 503, though the call may still be made later."""
        thread = self._thread
        if thread is None:
            return await self.beside(function, *arguments)
        return await self._bounded(self._changes, lambda: thread.call(function, *arguments))

    async def _bounded(self, places: asyncio.Semaphore, begin: Callable[[], asyncio.Future[T]]) -> T:
        def answered(answer: asyncio.Future[T]) -> None:
            places.release()                # only now: calls that hang are bounded too
            if not answer.cancelled():
                answer.exception()

        try:
            async with asyncio.timeout(QUERY_SECONDS):
                await places.acquire()
                answer = begin()
                answer.add_done_callback(answered)
                return await asyncio.shield(answer)
        except TimeoutError:
            raise web.HTTPServiceUnavailable(text=f"the capture has not answered within {QUERY_SECONDS:.0f} s") from None


def encode(answer: object) -> bytes:
    """An answer as JSON; a long list in slices, so that in a thread it does not keep the others from theirs."""
    if not isinstance(answer, list) or len(answer) <= SLICE:
        return msgspec.json.encode(answer)
    slices = (msgspec.json.encode(answer[start : start + SLICE])[1:-1] for start in range(0, len(answer), SLICE))
    return b"[" + b",".join(slices) + b"]"
