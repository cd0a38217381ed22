"""Lines of a capture, rebuilt from its rows: whole with their frames, or light: messages without frames, for rows of a list."""

from collections.abc import Sequence

from ocpp_proxy.model import Finding, Frame, Opcode
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
    """The lines with these ordinals (ascending), messages without their frame, each with the opcode of its frame."""
    if not numbers:
        return {}
    records = _events(con, numbers)
    opcodes: dict[int, str] = {}
    messages: list[int] = []
    others: list[int] = []
    apart: dict[int, int] = {}
    for no, msg_no, opcode, frame_id in fetched(con.execute(
            f"SELECT no, msg_no, opcode, frame_id FROM wire WHERE {rebuild.among('no', numbers)} ORDER BY no")):
        (others if msg_no is None else messages).append(no)
        if opcode is not None:
            opcodes[no] = _OPCODES[opcode]
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
        for frame_id, opcode in con.execute(
                f"SELECT frame_id, opcode FROM wire WHERE {rebuild.among('frame_id', sorted(apart))}"
                " AND opcode IS NOT NULL").fetchall():
            opcodes[apart[frame_id]] = _OPCODES[opcode]
    findings = _findings(con, numbers, records)
    return {no: (Line(record, tuple(findings.get(no, ()))), opcodes.get(no, "")) for no, record in records.items()}


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
