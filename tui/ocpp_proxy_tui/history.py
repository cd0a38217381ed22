"""Rows that the source has stored, by their ordinals: any of them at once, fetched page by page when they are looked at."""

import asyncio
import time
from array import array
from collections import OrderedDict
from collections.abc import Callable

from ocpp_proxy.model import CaptureError, ConfigError
from ocpp_proxy.records import Row
from ocpp_proxy.source import Source, View

PAGE = 256                                  # rows that are fetched together
PAGES = 64                                  # pages that are kept
WANTED = 4                                  # pages that wait to be fetched; who scrolls fast wants only the newest
STALE_SECONDS = 1.0                         # a page with Calls still pending is asked for again after this time
RETRY_SECONDS = 2.0


class History:
    """The ordinals of the rows, and a cache of pages. ``arrived`` is called when rows came that were asked for."""

    def __init__(self, source: Source, view: View, arrived: Callable[[], None]) -> None:
        self.source, self.view = source, view
        self.numbers = array("q")
        self.trouble = ""
        self._arrived = arrived
        self._pages: OrderedDict[int, tuple[dict[int, Row], float]] = OrderedDict()
        self._wanted: dict[int, None] = {}
        self._task: asyncio.Task[None] | None = None

    def at(self, index: int) -> Row | None:
        """The row at a place; None: it has been asked for and will arrive."""
        page = index // PAGE
        kept = self._pages.get(page)
        if kept is None:
            self._want(page)
            return None
        self._pages.move_to_end(page)
        rows, until = kept
        row = rows.get(self.numbers[index])
        if row is None or time.monotonic() > until:
            self._want(page)
        return row

    def forget(self, index: int) -> None:
        """The rows from there on have moved."""
        for page in [page for page in self._pages if page >= index // PAGE]:
            del self._pages[page]

    def stop(self) -> None:
        """Fetch no more."""
        self._wanted.clear()
        if self._task is not None:
            self._task.cancel()

    async def settled(self) -> None:
        """Wait until nothing is being fetched."""
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])

    def _want(self, page: int) -> None:
        self._wanted.pop(page, None)
        self._wanted[page] = None
        while len(self._wanted) > WANTED:
            del self._wanted[next(iter(self._wanted))]
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._fetch())

    async def _fetch(self) -> None:
        """Fetch what is wanted, the newest wish first."""
        while self._wanted:
            page = next(reversed(self._wanted))
            numbers = self.numbers[page * PAGE:(page + 1) * PAGE]
            try:
                rows = {row.number: row for row in await self.source.rows(self.view, numbers)}
                self.trouble = ""
            except (CaptureError, ConfigError, OSError) as error:
                self.trouble = str(error)
                self._arrived()
                await asyncio.sleep(RETRY_SECONDS)
                self._wanted.pop(page, None)
                continue
            for number in numbers:          # gone from the capture meanwhile: said, and not asked for again
                if number not in rows:
                    rows[number] = Row(number, "gone", 0, 0, summary="not in the capture any more")
            pending = self.source.live and any(row.outcome == "pending" for row in rows.values())
            until = time.monotonic() + STALE_SECONDS if pending else float("inf")
            self._pages[page] = rows, until
            while len(self._pages) > PAGES:
                self._pages.popitem(last=False)
            self._wanted.pop(page, None)
            self._arrived()
