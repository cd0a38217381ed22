"""Rows of a traffic list out of a capture: which there are, what they say, the lines of one, the row of a message.

Rows are made by ``core.rows``, filters on them by ``fields.rows``: SQL decides where it is sure, that code on the rest.
"""

from abc import ABC, abstractmethod
from array import array
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ocpp_proxy.core import rows as making
from ocpp_proxy.fields import Filter
from ocpp_proxy.fields.registry import link_of
from ocpp_proxy.fields.rows import compile_rows
from ocpp_proxy.model import Link
from ocpp_proxy.records import Handshake, Line, LinkOpened, MessageSeen, Row
from ocpp_proxy.source import View
from ocpp_proxy_captures import rebuild
from ocpp_proxy_captures.conditions import ALWAYS, Condition
from ocpp_proxy_captures.database import Connection, fetched
from ocpp_proxy_captures.fields_sql import candidates, event_atom, translated
from ocpp_proxy_captures.gate import aside
from ocpp_proxy_captures.lines import light, lines
from ocpp_proxy_captures.rows_sql import TRANSLATIONS, exchanges

PAGE = 5_000                                # rows that are looked at again at once
_LINE = "(w.msg_no IS NOT NULL OR w.opcode > 2 OR w.raw IS NOT NULL)"
_NO_CALL = """(w.msg_no IS NULL AND (w.opcode = 8 OR (w.opcode <= 2 AND w.raw IS NOT NULL))
    OR w.msg_no IS NOT NULL AND w.mtype <> 2 AND (w.call_back IS NULL OR {orphan}))"""
_STANDING = "f.no = f.line_no"
_CALLED = """SELECT msg_no FROM wire WHERE mtype = 2 AND msg_no IN
    (SELECT msg_no FROM found WHERE no = line_no AND msg_no IS NOT NULL)"""
_HIDDEN = f"SELECT msg_no FROM ({TRANSLATIONS})"


class _Gathered(NamedTuple):
    """A row to be made: its ordinal, its lines in order, the opcode of the first, actions of translations of its Call."""

    number: int
    lines: list[Line]
    opcode: str
    made: Sequence[str] = ()


class Traffic(ABC):
    """The rows of what ``reading`` reads. Every method blocks."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[Connection]:
        """A cursor for one statement after the other."""

    @abstractmethod
    def links(self) -> list[Link]:
        """All links."""

    def numbers(self, view: View, where: Filter | None, after: int = 0, before_message: int = 0) -> "array[int]":
        """As ``source.Source.numbers``."""
        with self.reading() as con:
            numbers, unsure = _asked(con, view, where, after, before_message)
        if not unsure or where is None:
            return numbers
        known = {link.link_id: link for link in self.links()}
        test = compile_rows(where, known)
        out = numbers.tolist()
        for start in range(0, len(unsure), PAGE):
            with self.reading() as con:
                for one in _gathered(con, view, unsure[start : start + PAGE]):
                    if test.test(_row(view, one, known), partial(_same, one.lines)):
                        out.append(one.number)
        return array("q", sorted(out))

    def rows(self, view: View, numbers: Sequence[int]) -> list[Row]:
        """As ``source.Source.rows``; ordinals that are none are left out."""
        with self.reading() as con:
            gathered = _gathered(con, view, sorted(set(numbers)))
            known = _links(con, {link_of(one.lines[0]) for one in gathered})
        return [_row(view, one, known) for one in gathered]

    def row_lines(self, view: View, number: int) -> list[Line]:
        """As ``source.Source.row_lines``."""
        with self.reading() as con:
            members = sorted(_members(con, view, [number]).keys() | {number})
            return lines(con, sorted({*members, *_losses(con, members)}) if view == "exchanges" else members)

    def number_of(self, view: View, msg_no: int = 0, frame_id: int = 0) -> int:
        """As ``source.Source.number_of``."""
        with self.reading() as con:
            if not msg_no and frame_id:
                number, msg_no = _line_of_frame(con, view, frame_id)
                if not msg_no:
                    return number
            found = con.execute("SELECT no, msg_no - call_back FROM wire WHERE msg_no = ?", [msg_no]).fetchall()
            if not found:
                return 0
            number, call_no = found[0]
            if view == "exchanges":
                number, call_no = _shown_by(con, number, msg_no, call_no)
            if view == "exchanges" and call_no is not None:
                calls = con.execute("SELECT no FROM wire WHERE msg_no = ? AND mtype = 2", [call_no]).fetchall()
                return int(calls[0][0]) if calls else int(number)
            return int(number)


class SourceTraffic(ABC):
    """The same for a ``source.Source``: in another thread."""

    @property
    @abstractmethod
    def reader(self) -> Traffic:
        """The blocking interface."""

    async def numbers(self, view: View, where: Filter | None, after: int = 0, before_message: int = 0) -> "array[int]":
        """The ordinals of all rows of a view that pass, ascending: behind ``after``, before that of a message."""
        return await aside(self.reader.numbers, view, where, after, before_message)

    async def rows(self, view: View, numbers: Sequence[int]) -> list[Row]:
        """The rows with these ordinals, whole."""
        return await aside(self.reader.rows, view, numbers)

    async def row_lines(self, view: View, number: int) -> list[Line]:
        """The lines of one row with their frames."""
        return await aside(self.reader.row_lines, view, number)

    async def number_of(self, view: View, msg_no: int = 0, frame_id: int = 0) -> int:
        """The ordinal of the row that shows a message or a frame; 0: none."""
        return await aside(self.reader.number_of, view, msg_no, frame_id)


def _same(of_row: list[Line]) -> list[Line]:
    return of_row


def _asked(
    con: Connection, view: View, where: Filter | None, after: int, before_message: int,
) -> tuple["array[int]", "array[int]"]:
    """The ordinals that pass, and those that have to be looked at again."""
    top = None
    if before_message:
        top = con.execute("SELECT min(no) FROM wire WHERE msg_no >= ?", [before_message]).fetchall()[0][0]
    selects: list[str] = []
    parameters: list[object] = []
    exact = True
    for alias, table, condition in _parts(con, view, where):
        if condition.may.text == "false":
            continue
        exact = exact and condition.exact
        sure = "true" if condition.exact else condition.sure.text
        bounds = f"{alias}.no > {int(after)}" + (f" AND {alias}.no < {int(top)}" if top is not None else "")
        selects.append(f"SELECT {alias}.no AS no, {sure} AS sure FROM {table} AND {bounds} AND {condition.may.text}")
        parameters += [*(() if condition.exact else condition.sure.parameters), *condition.may.parameters]
    if not selects:
        return array("q"), array("q")
    all_of = " UNION ALL ".join(selects)
    ordered = f"SELECT no, sure FROM ({all_of}) ORDER BY no"
    found: Any = con.sql(f"SELECT no FROM ({ordered})" if exact else ordered, params=parameters).to_arrow_table()
    if exact:
        return _ordinals(found.column("no")), array("q")
    passing = found.column("sure")
    return _ordinals(found.filter(passing).column("no")), _ordinals(found.filter(pc.invert(passing)).column("no"))


def _parts(con: Connection, view: View, where: Filter | None) -> list[tuple[str, str, Condition]]:
    """Where the rows of a view are: alias, table with its own condition, condition of the filter."""
    of_event = ALWAYS if where is None else translated(where.root, event_atom)
    if view == "frames":
        return [
            ("w", f"wire w WHERE {_LINE}", candidates(where)),
            ("e", "events e WHERE e.kind NOT IN ('plugin_finding', 'beat')", of_event),
            ("f", f"found f WHERE {_STANDING}", of_event)]
    bridged = _translates(con)
    asked, orphan, call, called = exchanges(where, bridged), _orphan(con), "w.mtype = 2", _CALLED
    if bridged:
        orphan = f"{orphan} OR (w.msg_no - w.call_back IN ({_HIDDEN}) AND w.no IN (SELECT line_no FROM found))"
        call, called = f"{call} AND w.msg_no NOT IN ({_HIDDEN})", f"{called} AND msg_no NOT IN ({_HIDDEN})"
    return [
        ("w", f"wire w {asked.join} WHERE {call}", asked.condition),
        ("w", f"wire w WHERE {_NO_CALL.format(orphan=orphan)}", candidates(where)),
        ("e", "events e WHERE e.kind NOT IN ('plugin_finding', 'beat', 'link_opened', 'lost')", of_event),
        ("f", f"found f WHERE {_STANDING} AND (f.msg_no IS NULL OR f.msg_no NOT IN ({called}))", of_event)]


def _translates(con: Connection) -> bool:
    """Whether there is a translation at all."""
    return bool(con.execute("SELECT 1 FROM wire WHERE verdict = 'translated' LIMIT 1").fetchall())


def _shown_by(con: Connection, number: int, msg_no: int, call_no: int | None) -> tuple[int, int | None]:
    """The row of a message of a translation that is none itself: that of what it was made from."""
    if not _translates(con):
        return number, call_no
    roots = con.execute(f"SELECT root FROM ({TRANSLATIONS}) WHERE msg_no = ?", [call_no or msg_no]).fetchall()
    alone = con.execute("SELECT 1 FROM found WHERE line_no = ? LIMIT 1", [number]).fetchall()
    if not roots or (call_no is not None and alone):
        return number, None if roots else call_no
    return number, roots[0][0]


def _orphan(con: Connection) -> str:
    """The condition that the Call of an answer is not in the capture. Numbers without holes: it was before the first."""
    low, high, count = con.execute("SELECT min(msg_no), max(msg_no), count(msg_no) FROM wire").fetchall()[0]
    if count and high - low + 1 == count:
        return f"w.msg_no - w.call_back < {low}"
    return "w.msg_no - w.call_back NOT IN (SELECT msg_no FROM wire WHERE mtype = 2)"


def _ordinals(column: pa.ChunkedArray) -> "array[int]":
    """A column of int64 without NULLs."""
    out = array("q")
    for chunk in column.chunks:
        out.frombytes(memoryview(chunk.buffers()[1])[chunk.offset * 8 : (chunk.offset + len(chunk)) * 8])
    return out


def _members(con: Connection, view: View, numbers: Sequence[int]) -> dict[int, int]:
    """What belongs to the Calls among these rows besides themselves: ordinal of a line to that of its Call."""
    if view == "frames" or not numbers:
        return {}
    calls = dict(fetched(con.execute(
        f"SELECT msg_no, no FROM wire WHERE {rebuild.among('no', numbers)} AND mtype = 2")))
    if not calls:
        return {}
    wanted = f"IN (SELECT unnest({sorted(calls)}))"
    later = fetched(con.execute(f"""
        SELECT no, msg_no - call_back FROM wire
        WHERE no > {min(numbers)} AND call_back IS NOT NULL AND msg_no - call_back {wanted}
        UNION ALL SELECT no, msg_no FROM found WHERE no = line_no AND msg_no {wanted}"""))
    return {no: calls[call_no] for no, call_no in later}


def _losses(con: Connection, members: Sequence[int]) -> list[int]:
    """What of these messages was not carried as it came: the ordinals of the entries (the rule of the view ``losses``)."""
    said = fetched(con.execute(
        f"SELECT link_id, message_id, msg_no FROM wire WHERE {rebuild.among('no', members)} AND msg_no IS NOT NULL"))
    links, names = sorted({link_id for link_id, _, _ in said}), sorted({name for _, name, _ in said if name})
    if not names:
        return []
    found = con.execute(f"""
        WITH lost AS (
          SELECT no, link_id, json_extract_string(body, '$.message_id') AS message_id FROM events
          WHERE kind = 'lost' AND {rebuild.among('link_id', links)})
        SELECT l.no, coalesce(max(w.msg_no) FILTER (w.no < l.no), min(w.msg_no)) AS msg_no
        FROM lost l JOIN wire w ON w.link_id = l.link_id AND w.message_id = l.message_id
        WHERE l.message_id IN (SELECT unnest($names)) AND w.message_id IN (SELECT unnest($names))
          AND {rebuild.among('w.link_id', links)} AND w.msg_no IS NOT NULL GROUP BY l.no""", {"names": names})
    numbers = {msg_no for _, _, msg_no in said}
    return [no for no, msg_no in fetched(found) if msg_no in numbers]


def _gathered(con: Connection, view: View, numbers: Sequence[int]) -> list[_Gathered]:
    """The rows with these ordinals (ascending): the lines of each, light."""
    members = _members(con, view, numbers)
    found = light(con, sorted({*numbers, *members}))
    of_call: dict[int, list[int]] = {}
    for no in sorted(members):
        of_call.setdefault(members[no], []).append(no)
    made = _made(con, [call for number in numbers if number in found and (call := _call(found[number][0]))]) \
        if view == "exchanges" else {}
    return [
        _Gathered(number, [found[no][0] for no in (number, *of_call.get(number, ())) if no in found], found[number][1],
                  made.get(_call(found[number][0]), ()))
        for number in numbers if number in found]


def _call(line: Line) -> int:
    """The number of a Call; 0: it is none."""
    return line.record.message.msg_no if isinstance(line.record, MessageSeen) and line.record.message.mtype == 2 else 0


def _made(con: Connection, calls: Sequence[int]) -> dict[int, list[str]]:
    """The actions of what these Calls were translated into, in order."""
    made: dict[int, list[str]] = {}
    if calls and _translates(con):
        for root, action in fetched(con.execute(
                f"SELECT root, action FROM ({TRANSLATIONS}) WHERE {rebuild.among('root', sorted(calls))} ORDER BY no")):
            made.setdefault(root, []).append(action or "")
    return made


def _row(view: View, one: _Gathered, links: dict[int, Link]) -> Row:
    first, *more = one.lines
    row = (making.alone if view == "frames" else making.begin)(first, links, one.number)
    for line in more:
        making.add(row, line)
    for action in one.made:
        making.name_too(row, action)
    row.opcode = row.opcode or one.opcode
    return row


def _links(con: Connection, link_ids: set[int]) -> dict[int, Link]:
    """These links, as last known."""
    found: dict[int, Link] = {}
    for (body,) in con.execute(
            "SELECT body FROM events WHERE kind IN ('link_opened', 'handshake')"
            f" AND {rebuild.among('link_id', sorted(link_ids))} ORDER BY no").fetchall() if link_ids else ():
        record = rebuild.event(body)
        if isinstance(record, LinkOpened | Handshake):
            found[record.link.link_id] = record.link
    return found


def _line_of_frame(con: Connection, view: View, frame_id: int) -> tuple[int, int]:
    """The ordinal of the row that shows a frame, or the message to look for: a fragment shows as the message it is part of."""
    found = con.execute("""
        SELECT no, msg_no, opcode, raw IS NOT NULL, link_id, station FROM wire WHERE frame_id = ?
        ORDER BY msg_no IS NULL LIMIT 1""", [frame_id]).fetchall()
    if not found:
        return 0, 0
    no, msg_no, opcode, raw, link_id, station = found[0]
    if msg_no is not None:
        return 0, msg_no
    if opcode > 2 or raw:
        if view == "frames" or opcode not in (3, 4, 5, 6, 7):
            return no, 0
        return _handshake_of(con, link_id, frame_id), 0
    after = con.execute("""
        SELECT min(msg_no) FROM wire WHERE no > ? AND link_id = ? AND station = ? AND msg_no IS NOT NULL""",
        [no, link_id, station]).fetchall()[0][0]
    return 0, after or 0


def _handshake_of(con: Connection, link_id: int, frame_id: int) -> int:
    """The handshake that a head of HTTP belongs to; 0: none."""
    for no, body in con.execute(
            "SELECT no, body FROM events WHERE kind = 'handshake' AND link_id = ? ORDER BY no", [link_id]).fetchall():
        record = rebuild.event(body)
        if isinstance(record, Handshake) and frame_id in (record.request_frame, record.response_frame):
            return int(no)
    return 0
