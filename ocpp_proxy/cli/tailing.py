"""The printing of lines from a source: what ``tail`` and the display of ``run`` do."""

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial

from ocpp_proxy.cli.line_json import line_object
from ocpp_proxy.cli.open_source import open_source
from ocpp_proxy.cli.printing import ascii_json, colourful, date, line_text, talk, terminal_width, translation_text
from ocpp_proxy.cli.translated import Translation, Translations
from ocpp_proxy.fields import Filter, compile
from ocpp_proxy.fields.registry import findings_of, kind_of, link_of, text_of, time_of
from ocpp_proxy.model import Link
from ocpp_proxy.records import Audited, Found, FrameSeen, Handshake, Line, LinkOpened, Lost, MessageSeen, Note
from ocpp_proxy.source import Source

PAGE = 1000
NEWEST = 10_000                             # all lines that a proxy without a capture remembers
SETTLE_SECONDS = 1.5                        # what a line takes at most from the live stream into the capture
KEPT_LINKS = 100_000                        # links a printer remembers; of older ones pings show no identity any more


class Printer:
    """Prints lines and learns from them which identity a link has."""

    def __init__(self, json: bool, links: Iterable[Link] = ()) -> None:
        self.json = json
        self.links = {link.link_id: link for link in links}
        self._day = ""
        self.colour = not json and colourful(sys.stdout)
        self.width = 0
        self._shown: dict[int, None] = {}
        self._translations = Translations()

    def show(self, lines: Iterable[Line]) -> None:
        """Print a batch to stdout."""
        self.width = terminal_width(sys.stdout)
        for line in lines:
            record = line.record
            if isinstance(record, Handshake | LinkOpened):
                self.links[record.link.link_id] = record.link
                if len(self.links) > KEPT_LINKS:
                    self.links.pop(next(iter(self.links)))
            waits = self._translations.holds(line, self.links)
            if not self.json and (waits or self._again(line)):
                continue
            made = self._translations.of(line)
            late = self._translations.overdue()
            for one in late if not self.json else ():
                self._write(one, None)
            self._write(line, made)
        sys.stdout.flush()

    def end(self) -> None:
        """Nothing more comes: print what waited for something to be shown with."""
        late = self._translations.overdue(all_of=True)
        for line in late if not self.json else ():
            self._write(line, None)
        sys.stdout.flush()

    def _write(self, line: Line, made: Translation | None) -> None:
        if self.json:
            text = ascii_json(line_object(line, self.links, made))
        elif made is not None:
            text = self._new_day(line) + translation_text(line, made, self.links, self.colour, self.width)
        else:
            text = self._new_day(line) + line_text(line, self.links, self.colour, self.width)
        sys.stdout.write(text + "\n")

    def _again(self, line: Line) -> bool:
        """A finding that stands alone and was shown before: only its count is new, which is for the summary."""
        again = isinstance(line.record, Found) and line.record.finding.finding_id in self._shown
        for finding in findings_of(line):
            self._shown[finding.finding_id] = None
            if len(self._shown) > KEPT_LINKS:
                del self._shown[next(iter(self._shown))]
        return again

    def _new_day(self, line: Line) -> str:
        """A heading with the date, before the first line of each day."""
        day = date(time_of(line))
        if day == self._day:
            return ""
        self._day = day
        return f"--- {day}\n"


async def tail_source(text: str | None, where: Filter | None, follow: bool, last: int, json: bool) -> None:
    """Print a source's lines: all or the last ones, and with ``follow`` what comes."""
    source, printer = await open_source(text), Printer(json)
    try:
        printer.links.update({link.link_id: link for link in await source.links()})
        if follow and not source.live:
            talk(f"{source.title} is not being written to: nothing will follow")
        if follow and source.live:
            past = partial(last_lines, source, where, last, printer) if last else None
            await follow_source(source, where, printer.show, past)
            return
        if last:
            printer.show(await last_lines(source, where, last, printer))
            return
        async for page in _pages(source, where, printer.links):
            printer.show(page)
    finally:
        printer.end()
        await source.close()


async def last_lines(source: Source, where: Filter | None, count: int, printer: Printer) -> list[Line]:
    """The last lines that pass."""
    kept: deque[Line] = deque(maxlen=count)
    async for page in _pages(source, where, printer.links):
        kept.extend(page)
    return list(kept)


async def follow_source(
    source: Source, where: Filter | None, show: Callable[[Iterable[Line]], None],
    past: Callable[[], Awaitable[list[Line]]] | None,
) -> None:
    """Show what comes; before it what ``past`` gives. Nothing falls between, and nothing is shown twice.

    The proxy is followed first; the past is read a moment later, when what came before is surely in the capture.
    """
    coming = source.follow(where)
    first = asyncio.ensure_future(anext(coming, None))
    seen: set[tuple[str, int, int]] = set()
    try:
        if past is not None:
            await asyncio.sleep(SETTLE_SECONDS)
            lines = await past()
            show(lines)
            seen.update(map(key_of, lines))
        batch = await first
        while batch is not None:
            show([line for line in batch if key_of(line) not in seen])
            batch = await anext(coming, None)
    finally:
        first.cancel()


def key_of(line: Line) -> tuple[str, int, int]:
    """What tells a line from all others of one proxy."""
    match line.record:
        case MessageSeen(message):
            return "message", message.msg_no, 0
        case FrameSeen(frame):
            return "frame", frame.frame_id, 0
        case Found(finding):
            return "finding", finding.finding_id, 0
        case Lost() | Audited() | Note():   # many may have one time
            return text_of(line), time_of(line), link_of(line)
        case _:
            return kind_of(line), time_of(line), link_of(line)


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
    if not source.stored:                   # only the newest are there, and go while we ask
        yield await source.page(None, 0, NEWEST)
        return
    after = 0
    while page := await source.page(None, after, PAGE):
        yield page
        after += len(page)
