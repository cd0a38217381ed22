"""Lines of a capture, rebuilt from its rows: whole with their frames, or light: messages without frames, for rows of a list."""

from collections.abc import Iterable, Sequence

from ocpp_proxy.model import Finding, Frame, Opcode, Side
from ocpp_proxy.records import Found, FrameSeen, Line, MessageSeen, Record
from ocpp_proxy_captures import rebuild
from ocpp_proxy_captures.database import Connection, fetched

_OPCODES = tuple(opcode.value for opcode in Opcode)


def lines(con: Connection, numbers: Sequence[int]) -> list[Line]:
    """The lines with these ordinals (ascending), in order; those that are not there are left out."""
    if not numbers:
        return []
    records = _events(con, numbers)
    frames: dict[int, Frame] = {}
    apart: dict[int, int] = {}              # messages whose frame came in the commit before: frame_id to ordinal
    wire = rebuild.wire_rows(con, rebuild.among("w.no", numbers))
    called = rebuild.call_times(con, wire)
    for row in wire:
        frame, message = rebuild.frame_and_message(row, called)
        if message is not None:
            records[row[0]] = MessageSeen(message)
            if frame is not None:
                frames[row[0]] = frame
            else:
                apart[message.frame_id] = row[0]
        elif frame is not None:
            records[row[0]] = FrameSeen(frame)
    if apart:
        for row in rebuild.wire_rows(con, rebuild.among("w.frame_id", sorted(apart)) + " AND w.opcode IS NOT NULL"):
            frame, _ = rebuild.frame_and_message(row)
            if frame is not None:
                frames[apart[frame.frame_id]] = frame
    findings = _findings(con, numbers, records)
    return [Line(records[no], tuple(findings.get(no, ())), frames.get(no)) for no in numbers if no in records]


def light(con: Connection, numbers: Sequence[int]) -> dict[int, tuple[Line, str]]:
    """The lines with these ordinals (ascending), each with the opcode of its frame, messages without the frame itself.

    Where a plugin did something to a message, its frame says what; all else in it is empty.
    """
    if not numbers:
        return {}
    records = _events(con, numbers)
    opcodes: dict[int, str] = {}
    messages: list[int] = []
    others: list[int] = []
    apart: dict[int, int] = {}
    told: dict[int, Frame] = {}             # of messages whose frame a plugin did something to: no more than that
    for no, msg_no, opcode, frame_id, verdict, cause in fetched(con.execute(
            "SELECT no, msg_no, opcode, frame_id, verdict, cause FROM wire"
            f" WHERE {rebuild.among('no', numbers)} ORDER BY no")):
        (others if msg_no is None else messages).append(no)
        if opcode is not None:
            opcodes[no] = _OPCODES[opcode]
            if verdict is not None and msg_no is not None:
                told[no] = _told(frame_id, opcode, verdict, cause)
        else:
            apart[frame_id] = no
    if messages:
        wire = rebuild.message_rows(con, rebuild.among("w.no", messages))
        called = rebuild.call_times(con, wire)
        for row in wire:
            _, message = rebuild.frame_and_message(row, called)
            if message is not None:
                records[row[0]] = MessageSeen(message)
    if others:
        for row in rebuild.wire_rows(con, rebuild.among("w.no", others)):
            frame, _ = rebuild.frame_and_message(row)
            if frame is not None:
                records[row[0]] = FrameSeen(frame)
    if apart:
        for frame_id, opcode, verdict, cause in _frames(con, apart):
            opcodes[apart[frame_id]] = _OPCODES[opcode]
            if verdict is not None:
                told[apart[frame_id]] = _told(frame_id, opcode, verdict, cause)
    findings = _findings(con, numbers, records)
    return {
        no: (Line(record, tuple(findings.get(no, ())), told.get(no)), opcodes.get(no, "")) for no, record in records.items()}


def _frames(con: Connection, frame_ids: Iterable[int]) -> list[tuple[int, int, str | None, Sequence[int] | None]]:
    return con.execute(
        f"SELECT frame_id, opcode, verdict, cause FROM wire WHERE {rebuild.among('frame_id', sorted(frame_ids))}"
        " AND opcode IS NOT NULL").fetchall()


def _told(frame_id: int, opcode: int, verdict: str, cause: Sequence[int] | None) -> Frame:
    return Frame(frame_id, 0, 0, 0, 0, Side.STATION, Opcode(_OPCODES[opcode]), cause=tuple(cause or ()), verdict=verdict)


def _events(con: Connection, numbers: Sequence[int]) -> dict[int, Record]:
    rows = fetched(con.execute(f"SELECT no, body FROM events WHERE {rebuild.among('no', numbers)}"))
    return {no: rebuild.event(body) for no, body in rows}


def _findings(con: Connection, numbers: Sequence[int], records: dict[int, Record]) -> dict[int, list[Finding]]:
    """The findings raised on these lines; those that stand alone become records."""
    findings: dict[int, list[Finding]] = {}
    for row in fetched(con.execute(rebuild.found_sql(rebuild.among("line_no", numbers)))):
        if row[0] == row[1]:
            records[row[0]] = Found(rebuild.finding(row))
        else:
            findings.setdefault(row[1], []).append(rebuild.finding(row))
    return findings
