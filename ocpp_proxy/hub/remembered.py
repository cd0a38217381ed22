"""What a proxy without a capture still knows: the rows of the lines it holds, and summaries of what has passed.

The number of a line is its place in the stream since this recorder started. There are no ``numbers`` to scroll in: nothing
is stored.
"""

import asyncio
from array import array
from collections.abc import Sequence
from functools import partial

from ocpp_proxy.core import rows
from ocpp_proxy.core.overview import Overview
from ocpp_proxy.fields import Filter
from ocpp_proxy.hub.commits import StoreThread
from ocpp_proxy.hub.log import logger
from ocpp_proxy.hub.sinks import Live
from ocpp_proxy.records import FrameSeen, Handshake, Line, Lost, MessageSeen, Record, Row
from ocpp_proxy.source import Charger, Charging, FindingGroup, FoundAt, Sample, View


class Remembered:
    """See the module. Rows are asked for in the event loop, as the lines are its own; summaries in ``thread``, where they are
    made: those of a thousand chargers take long.
    """

    def __init__(self, live: Live, call_seconds: float) -> None:
        """``call_seconds``: after these an unanswered Call is an error, as the rules have it."""
        self.waiting = 0                    # records that the summaries have not taken in yet
        self._live = live
        self._overview = Overview(call_seconds)
        self.thread = StoreThread()

    def feed(self, stream: Sequence[Record]) -> None:
        """Take in records, after ``live`` has. Feed no more while many are ``waiting``."""
        self.waiting += len(stream)
        self.thread.call(self._overview.feed, stream).add_done_callback(partial(self._fed, len(stream)))

    def _fed(self, count: int, done: asyncio.Future[None]) -> None:
        self.waiting -= count
        if not done.cancelled() and (error := done.exception()) is not None:
            logger().error("the summaries miss records", reason=f"{type(error).__name__}: {error}")

    def end(self) -> None:
        """Let the thread end."""
        self.thread.end()

    @property
    def forgotten(self) -> int:
        """How many chargers, findings, transactions and points are no longer remembered."""
        return self._overview.forgotten

    def numbers(self, view: View, where: Filter | None, after: int = 0, before_message: int = 0) -> "array[int]":
        """None: nothing is stored."""
        return array("q")

    def rows(self, view: View, numbers: Sequence[int]) -> list[Row]:
        """The rows of lines that are still held."""
        found = (rows.whole(lines, self._live.links, number) for number, lines in self._grouped(view, numbers).items())
        made = [row for row in found if row is not None]
        if view == "exchanges":
            by_frame = {row.frame_id: row for row in made if row.kind == "exchange"}
            for line in self._live.ring:
                if isinstance(line.record, MessageSeen) and (row := by_frame.get(rows.origin_of(line))) is not None:
                    rows.name_too(row, line.record.message.action)
        return made

    def row_lines(self, view: View, number: int) -> list[Line]:
        """The lines of a row, as far as they are still held."""
        found = self._grouped(view, [number]).get(number, [])
        said = {message for line in found if (message := _said(line))} if view == "exchanges" else ()
        if not said:
            return found
        return [line for line in self._live.ring if line in found or _said(line, lost=True) in said]

    def number_of(self, view: View, msg_no: int = 0, frame_id: int = 0) -> int:
        """The number of the row that shows a message or a frame; 0 when its line is no longer held."""
        for number, line in enumerate(self._live.ring, self._first):
            if (msg_no and _message(line) == msg_no) or (frame_id and not msg_no and frame_id in _frames(line)):
                if view == "frames":
                    return number
                call_no = rows.call_of(line)
                if call := self.number_of("frames", call_no) if call_no and call_no != msg_no else 0:
                    return self._shown_by(call)
                if rows.is_row(line):
                    return self._shown_by(number)
        return 0

    def _shown_by(self, number: int) -> int:
        """The row itself; of a translation that of what it was made from, as long as that is held."""
        line = self._live.ring[number - self._first]
        if line.frame is None or not rows.is_translation(line):
            return number
        return self.number_of("exchanges", frame_id=line.frame.cause[-1]) or number

    def chargers(self) -> list[Charger]:
        """As ``source.Source.chargers``."""
        return self._overview.chargers()

    def finding_groups(self, identity: str = "") -> list[FindingGroup]:
        """As ``source.Source.finding_groups``."""
        return self._overview.finding_groups(identity)

    def findings(self, code: str = "", identity: str = "", limit: int = 1000) -> list[FoundAt]:
        """As ``source.Source.findings``."""
        return self._overview.findings(code, identity, limit)

    def transactions(self, identity: str = "", limit: int = 10_000) -> list[Charging]:
        """As ``source.Source.transactions``."""
        return self._overview.transactions(identity, limit)

    def curve(self, charging: Charging) -> list[Sample]:
        """As ``source.Source.curve``."""
        return self._overview.curve(charging)

    @property
    def _first(self) -> int:
        """The number of the oldest line that is held."""
        return self._live.line_count - len(self._live.ring) + 1

    def _grouped(self, view: View, numbers: Sequence[int]) -> dict[int, list[Line]]:
        """The lines of rows, by their number: each with what came later to its Call."""
        held, first = list(self._live.ring), self._first
        groups = {number: [held[number - first]] for number in numbers if first <= number < first + len(held)}
        if view == "exchanges" and groups:
            calls = {_message(lines[0]): lines for lines in groups.values() if _is_call(lines[0])}
            for line in held:
                if (lines := calls.get(rows.call_of(line))) is not None and line is not lines[0]:
                    lines.append(line)
        return groups


def _is_call(line: Line) -> bool:
    return isinstance(line.record, MessageSeen) and line.record.message.mtype == 2


def _message(line: Line) -> int:
    return line.record.message.msg_no if isinstance(line.record, MessageSeen) else 0


def _said(line: Line, lost: bool = False) -> tuple[int, str] | None:
    """Link and id of the message of a line, or of the message of which something was not carried as it came."""
    if isinstance(line.record, Lost):
        return (line.record.link_id, line.record.message_id) if lost else None
    if isinstance(line.record, MessageSeen) and not lost:
        return line.record.message.link_id, line.record.message.message_id
    return None


def _frames(line: Line) -> tuple[int, ...]:
    """The frames that a line shows."""
    match line.record:
        case MessageSeen(message):
            return (message.frame_id,)
        case FrameSeen(frame):
            return (frame.frame_id,)
        case Handshake():
            return (line.record.request_frame, line.record.response_frame)
        case _:
            return ()
