"""Rebuilds records from the rows of a capture: frames with their exact wire bytes, messages, findings, everything else.

Every statement selects rows by their ordinal ``no``; the order of the stream is the order of ``no``.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ocpp_proxy.model import Finding, Frame, Message, Opcode, Severity, Side
from ocpp_proxy.records import Found, FrameSeen, MessageSeen, Record, Source
from ocpp_proxy_captures.database import Connection, fetched
from ocpp_proxy_captures.envelope import rebuilt, short_text
from ocpp_proxy_captures.pieces import APART, joined

WINDOW = 20_000                             # ordinals rebuilt at once
_OPCODES = tuple(Opcode)
_NS = "epoch_us({0}.ts) * 1000 + {0}.ns"
_WIRE = f"""
    SELECT w.no, w.frame_id, w.link_id, w.seq, {_NS.format("w")}, w.mono_offset, w.station, w.opcode, w.fin, w.built, w.header,
           w.mask, w.data, w.text, w.raw, w.faults, w.cause, w.verdict, w.masked, w.msg_no, w.identity, w.mtype, w.message_id,
           w.action, w.protocol, w.call_back, w.error_code, w.error_desc, w.evse_id, w.connector_id, w.tx_id, w.id_token,
           CAST(w.payload AS VARCHAR), w.odd, w.prefix, w.suffix
    FROM wire w"""
_MESSAGE = f"""
    SELECT w.no, w.frame_id, w.link_id, NULL, {_NS.format("w")}, NULL, w.station, NULL, NULL, w.built,
           NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, w.masked, w.msg_no, w.identity, w.mtype, w.message_id,
           w.action, w.protocol, w.call_back, w.error_code, w.error_desc, w.evse_id, w.connector_id, w.tx_id, w.id_token,
           CAST(w.payload AS VARCHAR), w.odd, w.prefix, w.suffix
    FROM wire w"""                          # as above, without the frame: a third of the time for rows far from each other
_BUILT, _MSG_NO, _CALL_BACK = 9, 19, 25     # places of these columns
_AT = {"header": 10, "data": 12, "text": 13, "raw": 14, "payload": 33, "odd": 33, "prefix": 34, "suffix": 35}
_FOUND = """SELECT no, line_no, finding_id, rule, level, blame, link_id, identity, epoch_us(ts) * 1000 + ns, message, msg_no,
    evidence, path, spec_ref, count FROM found"""
_event = msgspec.json.Decoder(Source)


def among(column: str, numbers: Sequence[int]) -> str:
    """A condition: the column is one of these numbers (ascending). Written out: DuckDB converts list parameters slowly."""
    return f"{column} BETWEEN {numbers[0]} AND {numbers[-1]} AND {column} IN (SELECT unnest({list(map(int, numbers))}))"


def wire_rows(con: Connection, where: str) -> list[tuple[Any, ...]]:
    """The rows of ``wire`` (alias ``w``) in order, with the values that were set apart."""
    return _rows(con, _WIRE, where)


def message_rows(con: Connection, where: str) -> list[tuple[Any, ...]]:
    """The same, with what belongs to messages only: ``frame_and_message`` makes no frame of them."""
    return _rows(con, _MESSAGE, where)


def _rows(con: Connection, select: str, where: str) -> list[tuple[Any, ...]]:
    rows = fetched(con.execute(f"{select} WHERE {where} ORDER BY w.no"))
    apart = [row[0] for row in rows if (row[_BUILT] or 0) & APART]
    values = joined(con, apart) if apart else {}
    return [_whole(row, values[row[0]]) if row[0] in values else row for row in rows] if values else rows


def _whole(row: tuple[Any, ...], values: Mapping[str, bytes]) -> tuple[Any, ...]:
    """A row with its large values. A large payload takes the place of ``odd``, where payloads are bytes."""
    changed = list(row)
    for name, value in values.items():
        changed[_AT[name]] = value
    return tuple(changed)


def call_times(con: Connection, rows: Sequence[Sequence[Any]]) -> dict[int, int]:
    """When the Calls were made that these rows answer: msg_no to ns."""
    calls = sorted({row[_MSG_NO] - row[_CALL_BACK] for row in rows if row[_CALL_BACK] is not None})
    if not calls:
        return {}
    return dict(fetched(con.execute(f"SELECT msg_no, {_NS.format('wire')} FROM wire WHERE {among('msg_no', calls)}")))


def found_sql(where: str) -> str:
    """Select the rows of ``found`` in order."""
    return f"{_FOUND} WHERE {where} ORDER BY no"


def frame_and_message(row: Sequence[Any], called: Mapping[int, int] | None = None) -> tuple[Frame | None, Message | None]:
    """What one row of ``wire`` holds. ``called`` (of ``call_times``) gives answers their latency."""
    (_, frame_id, link_id, seq, time_ns, mono, station, opcode, fin, built, header, mask, data, text, raw, faults, cause,
     verdict, masked, msg_no, identity, mtype, message_id, action, protocol, call_back, error_code, error_desc, evse_id,
     connector_id, tx_id, id_token, payload, odd, prefix, suffix) = row
    side = Side.STATION if station else Side.CSMS
    message: Message | None = None
    if msg_no is not None:
        call_no = None if call_back is None else msg_no - call_back
        asked = called.get(call_no) if called and call_no is not None else None
        message = Message(
            msg_no, frame_id, link_id, identity or "", time_ns, side, mtype, message_id or "", action or "", protocol or "",
            payload.encode() if payload is not None else odd or b"", call_no, None if asked is None else time_ns - asked,
            error_code or "", error_desc or "", evse_id, connector_id, tx_id or "", id_token or "",
            prefix or b"", suffix or b"", masked)
    if opcode is None:
        return None, message
    frame = Frame(
        frame_id, link_id, seq, time_ns, time_ns + mono, side, _OPCODES[opcode], header or b"",
        b"" if mask is None else mask.to_bytes(4, "little"), data or b"", raw or b"", text or b"", fin,
        tuple(faults.split(",")) if faults else (), tuple(cause or ()), verdict or "", masked)
    return rebuilt(frame, built, _spelling(message) if built and message else b""), message


def _spelling(message: Message) -> bytes:
    if message.prefix or message.suffix or message.mtype == 0:
        return message.prefix + message.payload + message.suffix
    return short_text(
        message.mtype, message.message_id, message.action, message.error_code, message.error_desc, message.payload)


def finding(row: Sequence[Any]) -> Finding:
    """What one row of ``found`` holds."""
    (_, _, finding_id, rule, level, blame, link_id, identity, time_ns, message, msg_no, evidence, path, spec_ref, count) = row
    return Finding(finding_id, rule, Severity(level), blame, link_id, identity or "", time_ns, message or "", msg_no,
                   tuple(evidence or ()), path or "", spec_ref or "", count)


def event(body: str) -> Source:
    """A record that is neither frame nor derived."""
    record: Source = _event.decode(body)
    return record


def source_records(con: Connection, first: int, last: int) -> list[Record]:
    """A part of the stored stream without what was derived from it: what a pipeline makes everything else of again."""
    inside = f"no BETWEEN {first} AND {last}"
    rows = _event_rows(con, inside)
    for row in wire_rows(con, f"w.{inside} AND w.opcode IS NOT NULL"):
        frame, _ = frame_and_message(row)
        if frame is not None:
            rows.append((row[0], FrameSeen(frame)))
    return [record for _, record in sorted(rows, key=_ordinal)]


def all_records(con: Connection, first: int, last: int) -> list[Record]:
    """A part of the stored stream with messages and findings. Exchanges and transactions are not in it: they are views."""
    inside = f"no BETWEEN {first} AND {last}"
    rows = _event_rows(con, inside)
    wire = wire_rows(con, f"w.{inside}")
    called = call_times(con, wire)
    for row in wire:
        frame, message = frame_and_message(row, called)
        if frame is not None:
            rows.append((row[0], FrameSeen(frame)))
        if message is not None:
            rows.append((row[0], MessageSeen(message)))
    rows += [(row[0], Found(finding(row))) for row in fetched(con.execute(found_sql(inside)))]
    return [record for _, record in sorted(rows, key=_ordinal)]


def _event_rows(con: Connection, inside: str) -> list[tuple[int, Record]]:
    return [(no, event(body)) for no, body in fetched(con.execute(f"SELECT no, body FROM events WHERE {inside}"))]


def windows(con: Connection) -> Iterator[tuple[int, int]]:
    """Ranges of ordinals that cover the capture."""
    low, high = con.execute("""
        SELECT min(low), max(high) FROM (
            SELECT min(no) AS low, max(no) AS high FROM wire UNION ALL SELECT min(no), max(no) FROM events
            UNION ALL SELECT min(no), max(no) FROM found)""").fetchall()[0]
    if low is None:
        return
    for first in range(low, high + 1, WINDOW):
        yield first, min(high, first + WINDOW - 1)


def _ordinal(item: tuple[int, Record]) -> int:
    return item[0]
