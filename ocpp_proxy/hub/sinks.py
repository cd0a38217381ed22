"""Fan-out of live lines: a ring of the last ones, and bounded queues of subscribers that can never slow the recorder.

A subscriber that does not keep up loses the oldest lines and is told how many. Bounds are in lines and in bytes. One batch
is bounded too: nobody's batch keeps the recorder's loop for long.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from itertools import islice

import msgspec
from msgspec import Struct

from ocpp_proxy.fields import Filter, compile
from ocpp_proxy.model import Link, Opcode
from ocpp_proxy.records import (
    Beat,
    ExchangeDone,
    FrameSeen,
    Handshake,
    Line,
    LinkClosed,
    LinkOpened,
    MessageSeen,
    Record,
    TransactionChanged,
    lines,
)

RING_LINES = 10_000
RING_BYTES = 4 << 20                        # of lines over LARGE; the others are bounded by their number
LARGE = 16 << 10
SMALL = 4 << 10                             # bytes of a frame up to which its line is not large, whatever is made of it
QUEUE_LINES = 16_000                        # four seconds of 4,000 lines/s: a screen may pause for two
QUEUE_BYTES = 32 << 20
BATCH_LINES = 2_000
BATCH_BYTES = 4 << 20                       # a batch ends with the line that reaches it
SEARCH_LINES = 500                          # old lines that are put to a filter between two turns of the event loop
KEPT_LINKS = 10_000                         # links remembered; the oldest closed ones are forgotten first
_TEXT = Opcode.TEXT                       # looked up once: members of an enum are slow to get at


class Batch(Struct, frozen=True):
    """What a subscriber gets at once. ``dropped``: lines before these that it lost."""

    lines: list[Line]
    dropped: int = 0


class Subscriber:
    """One reader's queue. Made by ``Live.subscribe``."""

    def __init__(self, where: Filter | None, links: dict[int, Link], held: Sequence[Line] = (), last: int = 0) -> None:
        """``held``: the lines before, of which up to ``last`` of the newest that pass come first."""
        self._passes = compile(where, links) if where is not None else None
        self._held = list(held) if last else []
        self._last = last
        self._first: deque[Line] = deque()  # those of ``held`` that pass
        self._queue = _Bounded(QUEUE_LINES, QUEUE_BYTES)
        self._wake = asyncio.Event()
        self._told = 0
        self._open = True
        if self._held:
            self._wake.set()

    @property
    def dropped(self) -> int:
        """Lines this reader lost so far."""
        return self._queue.dropped

    def put(self, fresh: Sequence[Line]) -> None:
        """Queue lines; the oldest go when there is no room."""
        for line in fresh:
            if self._passes is None or self._passes(line):
                self._queue.push(line)
        if self._queue.lines:
            self._wake.set()

    def end(self) -> None:
        """No more lines will come."""
        self._open = False
        self._wake.set()

    async def take(self, most: int = BATCH_LINES, most_bytes: int = BATCH_BYTES) -> Batch | None:
        """Wait for lines and take up to ``most``, or fewer that weigh ``most_bytes``; None at the end."""
        while True:
            await self._wake.wait()
            if self._held:
                await self._search()
            if self._first:
                return Batch(_pop(self._first, most, most_bytes)[0])
            if self._queue.lines:
                dropped, self._told = self._queue.dropped - self._told, self._queue.dropped
                return Batch(self._queue.pop(most, most_bytes), dropped)
            if not self._open:
                return None
            self._wake.clear()

    async def _search(self) -> None:
        """Look through the lines before, the newest first, and let the event loop have its turns."""
        held, passes = self._held, self._passes
        while held and len(self._first) < self._last:
            fresh = held[: -SEARCH_LINES - 1 : -1]
            del held[-SEARCH_LINES:]
            self._first.extendleft(fresh if passes is None else filter(passes, fresh))
            await asyncio.sleep(0)
        held.clear()
        while len(self._first) > self._last:
            self._first.popleft()


class Live:
    """All that is known now without asking the store: the links, the last lines, the subscribers."""

    def __init__(self) -> None:
        self.links: dict[int, Link] = {}
        self.open_links: set[int] = set()
        self.subscribers: set[Subscriber] = set()
        self.line_count = 0                 # lines since this recorder started
        self.dropped = 0                    # lines lost by readers that left
        self._ring = _Ring()
        self._encoded: tuple[list[Line], bytes] = ([], b"")

    def publish(self, stream: Sequence[Record]) -> None:
        """Take records (whole groups: a record and what was raised on it) into the ring and to every subscriber.

        The sequence is kept: it must not change any more.
        """
        if not self.subscribers:
            count = _plain_lines(stream)
            if count is not None:
                self.line_count += count
                self._ring.later(stream, count)
                return
        for record in stream:
            match record:
                case LinkOpened(link):
                    self._remember(link)
                    self.open_links.add(link.link_id)
                case Handshake(link=link):
                    self._remember(link)
                case LinkClosed(link_id=link_id):
                    self.open_links.discard(link_id)
                case _:
                    pass
        fresh = list(lines(stream))
        self.line_count += len(fresh)
        self._ring.put(fresh)
        for subscriber in self.subscribers:
            subscriber.put(fresh)

    async def settle(self) -> None:
        """Have the lines of the ring made, and let the event loop have its turns; then they are at hand."""
        while self._ring.settle(SEARCH_LINES):
            await asyncio.sleep(0)

    def known_open(self) -> dict[int, Link]:
        """The links that are open now."""
        return {number: self.links[number] for number in self.open_links if number in self.links}

    def subscribe(self, where: Filter | None, last: int = 0) -> Subscriber:
        """Begin to follow, after up to ``last`` of the newest lines that pass: none between them is missing or comes twice."""
        subscriber = Subscriber(where, self.links, self._ring.lines if last else (), last)
        self.subscribers.add(subscriber)
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """A reader has gone."""
        if subscriber in self.subscribers:
            self.subscribers.discard(subscriber)
            self.dropped += subscriber.dropped
            self._encoded = ([], b"")

    def end(self) -> None:
        """The recorder stops: let every reader come to its end."""
        for subscriber in self.subscribers:
            subscriber.end()

    def encoded(self, batch: Batch) -> bytes:
        """A batch as a line of JSON; made once for readers that get the same lines one after the other."""
        lines, text = self._encoded
        if batch.dropped or lines != batch.lines:       # the same objects: comparing them is nothing
            text = msgspec.json.encode(batch) + b"\n"
            if not batch.dropped and len(self.subscribers) > 1:
                self._encoded = (batch.lines, text)
        return text

    @property
    def ring(self) -> Sequence[Line]:
        """The newest lines, oldest first; the last of them is number ``line_count``."""
        return self._ring.lines

    def page(self, where: Filter | None, after: int, limit: int) -> list[Line]:
        """Up to ``limit`` lines of the ring that pass, behind the first ``after`` that pass.

        Without a filter ``after`` counts from the start of the recorder, also lines that have left the ring since.
        """
        if where is None:
            skip = max(0, after - (self.line_count - len(self._ring.lines)))
            return list(islice(self._ring.lines, skip, skip + limit))
        passing = filter(compile(where, self.links), self._ring.lines)
        return list(islice(passing, after, after + limit))

    def _remember(self, link: Link) -> None:
        self.links[link.link_id] = link
        if len(self.links) > KEPT_LINKS:
            closed = next((known for known in self.links if known not in self.open_links), None)
            if closed is not None:
                del self.links[closed]


class _Late(Struct, frozen=True, gc=False):
    """Lines to be taken in, none of them large: made, or the records that make them."""

    records: Sequence[Record]
    made: list[Line]
    count: int


class _Ring:
    """The newest lines. They are made when somebody asks: under load nearly all of them leave unseen."""

    def __init__(self) -> None:
        self._kept = _Bounded(RING_LINES, RING_BYTES, LARGE)
        self._late: deque[_Late] = deque()
        self._late_lines = 0

    @property
    def lines(self) -> deque[Line]:
        """All of them, oldest first."""
        self._settle()
        return self._kept.lines

    @property
    def dropped(self) -> int:
        """Lines that have left."""
        self._settle()
        return self._kept.dropped

    def put(self, fresh: list[Line]) -> None:
        """Take lines in."""
        if all(weight(line) < LARGE for line in fresh):
            self._add(_Late((), fresh, len(fresh)))
            return
        self._settle()
        for line in fresh:
            self._kept.push(line)

    def later(self, stream: Sequence[Record], count: int) -> None:
        """Take in records that make ``count`` lines, none of them large."""
        self._add(_Late(stream, [], count))

    def _add(self, some: "_Late") -> None:
        if not some.count:
            return
        late = self._late
        late.append(some)
        self._late_lines += some.count
        while self._late_lines - late[0].count >= RING_LINES:   # full without these: they leave, and what is older
            self._kept.clear()
            self._kept.dropped += late[0].count
            self._late_lines -= late.popleft().count

    def settle(self, most: int) -> bool:
        """Make about ``most`` of the lines that are not made yet; whether there are more."""
        done = 0
        while self._late and done < most:
            some = self._late.popleft()
            for line in some.made or lines(some.records):
                self._kept.push(line)
            done += some.count
        self._late_lines -= done
        return bool(self._late)

    def _settle(self) -> None:
        self.settle(self._late_lines)


def _plain_lines(stream: Sequence[Record]) -> int | None:
    """How many lines records make; None when there are others among them than small messages."""
    count = 0
    for record in stream:                   # type() is: three times as quick as match, once per record
        if type(record) is FrameSeen:
            frame = record.frame
            if frame.opcode is not _TEXT or not frame.fin or frame.faults or len(frame.payload) + len(frame.text) > SMALL:
                return None
        elif type(record) is MessageSeen:
            count += 1
        elif type(record) is not ExchangeDone and type(record) is not Beat and type(record) is not TransactionChanged:
            return None
    return count


class _Bounded:
    """A queue of lines, bounded in lines and bytes, that drops its oldest and counts them."""

    def __init__(self, most_lines: int, most_bytes: int, weigh_from: int = 0) -> None:
        """``weigh_from``: lines of fewer bytes do not count in ``most_bytes``."""
        self.lines: deque[Line] = deque()
        self.dropped = 0
        self._most_lines = most_lines
        self._most_bytes = most_bytes
        self._weigh_from = weigh_from
        self._bytes = 0

    def push(self, line: Line) -> None:
        self.lines.append(line)
        self._bytes += self._weigh(line)
        while len(self.lines) > self._most_lines or (self._bytes > self._most_bytes and len(self.lines) > 1):
            self._bytes -= self._weigh(self.lines.popleft())
            self.dropped += 1

    def clear(self) -> None:
        """All leave."""
        self.dropped += len(self.lines)
        self.lines.clear()
        self._bytes = 0

    def pop(self, most: int, most_bytes: int) -> list[Line]:
        """Of lines that all count."""
        taken, held = _pop(self.lines, most, most_bytes)
        self._bytes -= held
        return taken

    def _weigh(self, line: Line) -> int:
        held = weight(line)
        return held if held >= self._weigh_from else 0


def _pop(lines: deque[Line], most: int, most_bytes: int) -> tuple[list[Line], int]:
    """Up to ``most`` lines, fewer if they weigh ``most_bytes``, and their weight."""
    taken: list[Line] = []
    held = 0
    while lines and len(taken) < most and held < most_bytes:
        line = lines.popleft()
        held += weight(line)
        taken.append(line)
    return taken, held


def weight(line: Line) -> int:
    """About how many bytes a line holds in memory."""
    match line.record:
        case MessageSeen(message):
            held = len(message.payload)
        case FrameSeen(seen):
            held = len(seen.payload) + len(seen.raw) + len(seen.header)
        case _:
            held = 0
    frame = line.frame
    if frame is not None:
        held += len(frame.payload) + len(frame.text) + len(frame.raw)
    return held + 1500
