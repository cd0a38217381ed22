"""The printing of lines from a source: what ``tail`` and the display of ``run`` do."""

import sys
from collections import deque
from collections.abc import AsyncIterator, Iterable

from ocpp_proxy.cli.line_json import line_object
from ocpp_proxy.cli.open_source import open_source
from ocpp_proxy.cli.printing import ascii_json, colourful, date, line_text, talk
from ocpp_proxy.fields import Filter, compile
from ocpp_proxy.fields.registry import time_of
from ocpp_proxy.model import Link
from ocpp_proxy.records import Handshake, Line, LinkOpened
from ocpp_proxy.source import Source

PAGE = 1000
KEPT_LINKS = 100_000                        # links a printer remembers; of older ones pings show no identity any more


class Printer:
    """Prints lines and learns from them which identity a link has."""

    def __init__(self, json: bool, links: Iterable[Link] = ()) -> None:
        self.json = json
        self.links = {link.link_id: link for link in links}
        self._day = ""
        self.colour = not json and colourful(sys.stdout)

    def show(self, lines: Iterable[Line]) -> None:
        """Print a batch to stdout."""
        for line in lines:
            record = line.record
            if isinstance(record, Handshake | LinkOpened):
                self.links[record.link.link_id] = record.link
                if len(self.links) > KEPT_LINKS:
                    self.links.pop(next(iter(self.links)))
            if self.json:
                text = ascii_json(line_object(line, self.links))
            else:
                text = self._new_day(line) + line_text(line, self.links, self.colour)
            sys.stdout.write(text + "\n")
        sys.stdout.flush()


    def _new_day(self, line: Line) -> str:
        """A heading with the date, before the first line of each day."""
        day = date(time_of(line))
        if day == self._day:
            return ""
        self._day = day
        return f"--- {day}\n"


async def tail_source(text: str | None, where: Filter | None, follow: bool, last: int, json: bool) -> None:
    """Print a source's lines: all or the last ones, and with ``follow`` what comes."""
    source = await open_source(text)
    try:
        printer = Printer(json, await source.links())
        if follow and not source.live:
            talk(f"{source.title} is not being written to: nothing will follow")
        if follow and source.live:
            await follow_source(source, where, last, printer)
            return
        await show_pages(source, where, last, printer)
    finally:
        await source.close()


async def show_pages(source: Source, where: Filter | None, last: int, printer: Printer) -> None:
    """Print what is there: all of it page by page, or the last lines only."""
    kept: deque[Line] = deque(maxlen=last or None)
    async for page in _pages(source, where, printer.links):
        if last:
            kept.extend(page)
        else:
            printer.show(page)
    printer.show(kept)


async def follow_source(source: Source, where: Filter | None, last: int, printer: Printer) -> None:
    """Print what comes; before it the last lines, when asked for."""
    coming = source.follow(where)           # before the pages are read, so that nothing falls between
    if last:
        await show_pages(source, where, last, printer)
    async for batch in coming:
        printer.show(batch)


async def _pages(source: Source, where: Filter | None, links: dict[int, Link]) -> AsyncIterator[list[Line]]:
    if not source.live:
        async for batch in source.follow(where):
            yield batch
        return
    passes = compile(where, links)
    async for batch in all_lines(source):
        yield [line for line in batch if passes(line)]


async def all_lines(source: Source) -> AsyncIterator[list[Line]]:
    """What a running proxy has, page by page, unfiltered: only so a position means the same with and without a capture."""
    after = 0
    before: list[Line] = []
    while page := await source.page(None, after, PAGE):
        if page[0] in before:               # without a capture only the newest lines are there; they have all been seen
            return
        yield page
        after, before = after + len(page), page
