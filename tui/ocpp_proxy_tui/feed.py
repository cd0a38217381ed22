"""Follows a running proxy into two rings, exchanges and frames; goes on when the proxy went away and came back.

What the proxy tells again after that is not taken twice; where lines were lost and a capture has them, the rings begin anew
behind the hole, and the lists get what is missing from the capture.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any

from ocpp_proxy.fields.registry import kind_of, link_of, text_of, time_of
from ocpp_proxy.model import CaptureError, ConfigError, Link
from ocpp_proxy.records import Audited, Found, FrameSeen, Handshake, Line, LinkClosed, LinkOpened, Lost, MessageSeen, Note
from ocpp_proxy.source import Source, View
from ocpp_proxy_tui.precedence import Precedence
from ocpp_proxy_tui.ring import Ring

LAST = 20_000                               # lines asked for at the start; the proxy gives what it remembers
FRAMES = 20_000                             # rows of the ring of frames: what is older comes from the capture
SLICE_SECONDS = 0.001                       # lines are taken in for so long at a time: a key needs a dozen turns of the loop
PAUSES = (0.5, 1.0, 2.0, 5.0)               # seconds before it is tried again
KEPT_LINKS = 100_000
KEPT_KEYS = 10_000


class Feed:
    """``ring`` gives the rings, which fill from ``run`` on. ``state``: what to say about the connection, empty: all is well."""

    def __init__(
        self, source: Source, links: dict[int, Link], rows: int, told: Callable[[], None] = lambda: None,
        precedence: Precedence | None = None,
    ) -> None:
        """``links`` is shared and grows; ``told`` is called when ``state`` changes; keys have ``precedence``."""
        self.exchanges = Ring("exchanges", rows, links, source.stored)
        self._rings = {self.exchanges.view: self.exchanges}
        self.lines = 0                      # lines taken
        self.dropped = 0                    # lines the proxy could not hand over, because this reader was too slow
        self.state = ""
        self._source, self._links, self._told = source, links, told
        self._precedence = precedence or Precedence()
        self._message = self._frame = 0     # the highest numbers taken
        self._time_ns = 0
        self._keys: dict[tuple[Any, ...], None] = {}
        self._replay = False                # what comes may have been taken before
        self._behind = False                # and it has not been seen yet where the new begins
        self._frames = min(rows, FRAMES)
        if not source.stored:
            self.ring("frames")

    def ring(self, view: View) -> Ring:
        """The ring of a view. That of frames begins when it is first asked for, where the capture has what was before."""
        if view not in self._rings:
            self._rings[view] = Ring(view, self._frames, self._links, self._source.stored)
        return self._rings[view]

    async def run(self) -> None:
        """Follow until cancelled."""
        tries = 0
        while True:
            before = self.lines
            try:
                await self._follow()
                self._say("the proxy has ended; waiting for it")
            except ConfigError as error:
                self._say(str(error))
            except (CaptureError, OSError) as error:
                self._say(f"{error}; trying again")
            tries = 1 if self.lines > before else tries + 1
            await asyncio.sleep(PAUSES[min(tries, len(PAUSES)) - 1])

    async def _follow(self) -> None:
        self._replay = self._behind = self.lines > 0
        batches = self._source.follow(None, LAST)
        try:
            async for batch in batches:
                self._say("")
                await self._take(batch)
        finally:
            if isinstance(batches, AsyncGenerator):
                await batches.aclose()

    async def _take(self, batch: list[Line]) -> None:
        until = time.perf_counter() + SLICE_SECONDS
        for line in batch:
            self.take(line)
            if time.perf_counter() > until:
                await self._precedence.free()
                until = time.perf_counter() + SLICE_SECONDS
        await self._precedence.free()

    def take(self, line: Line) -> None:
        """Take one line into the rings, unless it was taken before."""
        record = line.record
        if isinstance(record, Note) and record.kind == "dropped":
            self.dropped += _number(record.text)
            if self._source.stored:         # they are in the capture: the lists get them from there
                self._cut()
                return
        if self._replay and self._known(line):
            return
        self.lines += 1
        match record:
            case MessageSeen(message):
                if self._behind and self._source.stored and message.msg_no > self._message + 1:
                    self._cut()
                self._behind = False
                if message.msg_no <= self._message:     # a proxy without a capture counts from 1 again
                    for ring in self._rings.values():
                        ring.anew()
                    self._frame = 0
                self._message, self._frame = message.msg_no, max(self._frame, message.frame_id)
            case FrameSeen(frame):
                self._frame = max(self._frame, frame.frame_id)
            case Handshake(link=link) | LinkOpened(link):
                self._links[link.link_id] = link
                if len(self._links) > KEPT_LINKS:
                    del self._links[next(iter(self._links))]
            case _:
                pass
        self._remember(line)
        for ring in self._rings.values():
            ring.add(line)

    def _known(self, line: Line) -> bool:
        """Whether a line that is told after a new connection was taken before it.

        A proxy without a capture counts from 1 again when it starts anew; its lines are younger than all before.
        """
        time_ns = time_of(line)
        if time_ns > self._time_ns:
            return False
        match line.record:
            case MessageSeen(message):
                return message.msg_no <= self._message
            case FrameSeen(frame):
                return frame.frame_id <= self._frame
            case _:
                return _key(line) in self._keys

    def _remember(self, line: Line) -> None:
        self._time_ns = max(self._time_ns, time_of(line))
        if not isinstance(line.record, MessageSeen | FrameSeen):
            self._keys[_key(line)] = None
            if len(self._keys) > KEPT_KEYS:
                del self._keys[next(iter(self._keys))]

    def _cut(self) -> None:
        for ring in self._rings.values():
            ring.cut()

    def _say(self, state: str) -> None:
        if state != self.state:
            self.state = state
            self._told()


def _key(line: Line) -> tuple[Any, ...]:
    record = line.record
    if isinstance(record, Found):
        return "finding", record.finding.finding_id
    how = record.how if isinstance(record, LinkClosed) else record.kind if isinstance(record, Note) else ""
    if isinstance(record, Lost | Audited):
        how = text_of(line)                 # many may have one time
    return kind_of(line), time_of(line), link_of(line), how


def _number(text: str) -> int:
    """The count at the start of a note about dropped lines."""
    word = text.split(" ", 1)[0]
    return int(word) if word.isdecimal() else 1
