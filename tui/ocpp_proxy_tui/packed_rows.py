"""Rows put together as columns, a fifth of the memory: what many rows say alike is kept once, what differs as plain numbers."""

import math
from array import array
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import cast

from msgspec import Struct

from ocpp_proxy.model import Side
from ocpp_proxy.records import Row


class Alike(Struct, frozen=True, gc=False):
    """What rows have in common with many others."""

    kind: str
    link_id: int
    identity: str
    protocol: str
    side: Side | None
    mtype: int
    action: str
    evse: int | None
    connector: int | None
    tx: str
    token: str
    outcome: str
    error: str
    level: int
    codes: tuple[str, ...]
    blames: tuple[str, ...]
    opcode: str
    verdicts: tuple[str, ...]
    made: tuple[str, ...]


class Shared:
    """Gives one ``Alike`` for all that are equal. ``limit``: so many are remembered at most."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: dict[Alike, Alike] = {}

    def of(self, row: Row) -> Alike:
        """That of a row."""
        if len(self._known) >= self._limit:
            self._known.clear()
        made = Alike(
            row.kind, row.link_id, row.identity, row.protocol, row.side, row.mtype, row.action, row.evse, row.connector, row.tx,
            row.token, row.outcome, row.error, row.level, row.codes, row.blames, row.opcode, row.verdicts, row.made)
        return self._known.setdefault(made, made)


class PackedRows:
    """Rows without their ordinals (a live row has none), and without summaries but those that nothing could make again."""

    __slots__ = (
        "_alike", "_answers", "_cuts", "_frames", "_ids", "_messages", "_ms", "_shared", "_sizes", "_summaries", "_times")

    def __init__(self, rows: list[Row], shared: Shared) -> None:
        """Summaries are kept as they are; a caller empties those that can be made again."""
        self._shared = shared
        self._alike = [shared.of(row) for row in rows]
        self._times = array("q", [row.time_ns for row in rows])
        self._messages = array("q", [row.msg_no for row in rows])
        self._frames = array("q", [row.frame_id for row in rows])
        self._answers = array("q", [row.answer_no for row in rows])
        self._sizes = array("q", [row.size for row in rows])
        self._ms = array("d", [math.nan if row.ms is None else row.ms for row in rows])
        self._ids = "".join([row.message_id for row in rows])
        self._cuts = array("I", [0])
        for row in rows:
            self._cuts.append(self._cuts[-1] + len(row.message_id))
        self._summaries = {at: row.summary for at, row in enumerate(rows) if row.summary}

    def row(self, at: int) -> Row:
        """A row."""
        alike, ms = self._alike[at], self._ms[at]
        return Row(
            0, alike.kind, self._times[at], alike.link_id, self._messages[at], self._frames[at], alike.identity, alike.protocol,
            alike.side, alike.mtype, alike.action, self._ids[self._cuts[at]:self._cuts[at + 1]], alike.evse, alike.connector,
            alike.tx, alike.token, self._answers[at], None if math.isnan(ms) else ms, alike.outcome, alike.error, alike.level,
            alike.codes, alike.blames, self._sizes[at], alike.opcode, self._summaries.get(at, ""), alike.verdicts,
            alike.made)

    def put(self, at: int, row: Row) -> None:
        """A row has changed: all but its time, its id, its own numbers and what is kept of its summary."""
        self._alike[at] = self._shared.of(row)
        self._answers[at], self._sizes[at] = row.answer_no, row.size
        self._ms[at] = math.nan if row.ms is None else row.ms
        if at in self._summaries:
            self._summaries[at] = row.summary

    def glances(self, begin: int, end: int, alike: bool = False) -> Iterable[Row]:
        """The rows from ``begin`` to ``end``, each until the next is asked for: a ``Glance``; for who asks only about what they
        have in common with others (``alike``) that alone, in half the time."""
        return cast(list[Row], self._alike[begin:end]) if alike else self._glances(begin, end)

    def _glances(self, begin: int, end: int) -> Iterator[Row]:
        glance = Glance(self)
        shown = cast(Row, glance)           # it answers as one does, but for ``number`` and ``summary``
        for glance.at, glance.alike in enumerate(self._alike[begin:end], begin):
            yield shown

    def first_message(self, kinds: tuple[str, ...]) -> int:
        """The number of the first message that begins a row of these kinds; 0: none does."""
        return next((number for number, alike in zip(self._messages, self._alike, strict=True) if alike.kind in kinds), 0)

    def last_frame(self) -> int:
        """The highest number of a frame; 0: there is none."""
        return max(self._frames, default=0)

    def place_of(self, msg_no: int, frame_id: int) -> int | None:
        """Where the first row stands that shows a message (an answer, too) or a frame; 0: not asked for."""
        asked = ((self._messages, msg_no), (self._answers, msg_no), (self._frames, frame_id))
        return min((numbers.index(number) for numbers, number in asked if number and number in numbers), default=None)


class Glance:
    """One of the packed rows, until the next one is looked at: what ``fields.rows`` asks of a row."""

    __slots__ = ("_cuts", "_ids", "_rows", "alike", "at")

    def __init__(self, rows: PackedRows) -> None:
        self._rows, self._ids, self._cuts = rows, rows._ids, rows._cuts
        self.at = 0
        self.alike = rows._alike[0]

    kind = property(attrgetter("alike.kind"))
    link_id = property(attrgetter("alike.link_id"))
    identity = property(attrgetter("alike.identity"))
    protocol = property(attrgetter("alike.protocol"))
    side = property(attrgetter("alike.side"))
    mtype = property(attrgetter("alike.mtype"))
    action = property(attrgetter("alike.action"))
    evse = property(attrgetter("alike.evse"))
    connector = property(attrgetter("alike.connector"))
    tx = property(attrgetter("alike.tx"))
    token = property(attrgetter("alike.token"))
    outcome = property(attrgetter("alike.outcome"))
    error = property(attrgetter("alike.error"))
    level = property(attrgetter("alike.level"))
    codes = property(attrgetter("alike.codes"))
    blames = property(attrgetter("alike.blames"))
    opcode = property(attrgetter("alike.opcode"))
    verdicts = property(attrgetter("alike.verdicts"))
    made = property(attrgetter("alike.made"))

    @property
    def time_ns(self) -> int:
        """As ``Row.time_ns``."""
        return self._rows._times[self.at]

    @property
    def msg_no(self) -> int:
        """As ``Row.msg_no``."""
        return self._rows._messages[self.at]

    @property
    def frame_id(self) -> int:
        """As ``Row.frame_id``."""
        return self._rows._frames[self.at]

    @property
    def answer_no(self) -> int:
        """As ``Row.answer_no``."""
        return self._rows._answers[self.at]

    @property
    def size(self) -> int:
        """As ``Row.size``."""
        return self._rows._sizes[self.at]

    @property
    def ms(self) -> float | None:
        """As ``Row.ms``."""
        ms = self._rows._ms[self.at]
        return None if ms != ms else ms

    @property
    def message_id(self) -> str:
        """As ``Row.message_id``."""
        at = self.at
        return self._ids[self._cuts[at]:self._cuts[at + 1]]
