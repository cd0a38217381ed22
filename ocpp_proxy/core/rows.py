"""Rows of a traffic list out of lines: an exchange is one row, everything else its own. Live, stored and traced rows alike.

``begin`` makes a row of its first line, ``add`` tells it what came later: the answer, a later fault in it, a finding. The
pairing itself was decided by the analyser and stands in the lines (``Message.call_no``, ``Finding.msg_no``).
"""

from collections.abc import Iterable

from ocpp_proxy import records
from ocpp_proxy.core.summary import summary
from ocpp_proxy.fields.registry import Links, findings_of, identity_of, kind_of, link_of, text_of, time_of, verdicts_of
from ocpp_proxy.model import Finding, Frame, Message, Side
from ocpp_proxy.records import Line, Row

UNANSWERED = "R07"                          # the finding that a Call's time limit has passed
TRANSLATED = "translated"                   # the verdict of what a bridge made
SUMMARY = 160                               # characters kept of a line that is no message
_ASIDE = ("ping", "pong", "http", "close", "opened", "loss")    # lines that show in the view of frames only


def call_of(line: Line) -> int:
    """The ``msg_no`` of the Call to whose row an answer or a finding standing alone belongs; 0: the line is its own row."""
    match line.record:
        case records.MessageSeen(message):
            return message.call_no or 0
        case records.Found(finding):
            return finding.msg_no or 0
        case _:
            return 0


def is_row(line: Line) -> bool:
    """Whether a line that belongs to no Call's row is a row in the view of exchanges."""
    return kind_of(line) not in _ASIDE


def is_translation(line: Line) -> bool:
    """Whether it is a Call that a bridge made of another one: no row beside that one's, unless something is wrong with it."""
    match line.record:
        case records.MessageSeen(message):
            frame = line.frame
            made = frame is not None and frame.verdict == TRANSLATED and bool(frame.cause)
            return made and message.mtype == 2 and not line.findings
        case _:
            return False


def origin_of(line: Line) -> int:
    """The ``frame_id`` of what a translation that is no row of its own (``is_translation``) was made from; 0: it is none."""
    return line.frame.cause[-1] if line.frame is not None and is_translation(line) else 0


def name_too(row: Row, action: str) -> None:
    """A Call that is no row of its own was made of this row's Call: filters find the row by the action of either."""
    if action and action != row.action and action not in row.made:
        row.made += (action,)


def begin(line: Line, links: Links, number: int = 0) -> Row:
    """The row of a line, as far as that line tells."""
    link = links.get(link_of(line))
    kind = kind_of(line)
    row = Row(number, kind, time_of(line), link_of(line))
    row.identity, row.protocol = identity_of(line, links) or "", link.protocol if link else ""
    match line.record:
        case records.MessageSeen(message):
            _message(row, message)
        case records.FrameSeen(frame):
            row.side, row.frame_id, row.size, row.opcode = frame.sender, frame.frame_id, _size(frame), frame.opcode.value
            row.summary = _first_line(text_of(line))
        case records.Handshake(link=shaken) as shake:
            row.ms, row.summary = shaken.handshake_ms, _handshake(shake)
            row.side, row.frame_id, row.protocol = Side.STATION, shake.request_frame, shaken.protocol
        case records.Note() as note:
            row.side, row.summary = note.side, _first_line(f"{note.kind.replace('_', ' ')}: {note.text}")
        case records.LinkClosed() as closed:
            row.side = closed.closed_by
            row.summary = _first_line(f"{closed.how} {closed.close_code or ''} {closed.close_reason}")
        case records.Found(finding):
            row.msg_no, row.summary = finding.msg_no or 0, _first_line(finding.message)
        case _:
            row.summary = _first_line(text_of(line))
    if line.frame is not None:
        row.frame_id, row.opcode = line.frame.frame_id, line.frame.opcode.value
    row.verdicts = verdicts_of(line)
    _judge(row, findings_of(line))
    return row


def alone(line: Line, links: Links, number: int = 0) -> Row:
    """The row of a line in the view of frames: a Call is a message there, its answer another."""
    row = begin(line, links, number)
    if row.kind == "exchange":
        row.kind, row.outcome = "message", ""
    return row


def add(row: Row, line: Line) -> None:
    """What came later to a Call's row: its answer, a CALLRESULTERROR to that, a finding of its own."""
    if isinstance(line.record, records.MessageSeen):
        message = line.record.message
        row.size += len(message.payload)
        if message.mtype in (3, 4) and not row.answer_no:
            row.answer_no = message.msg_no
            row.ms = None if message.latency_ns is None else message.latency_ns / 1e6
            row.outcome = "error" if message.mtype == 4 else "ok"
            row.tx = row.tx or message.tx_id
            row.summary += " → " + (summary(message.payload) if message.mtype == 3 else message.error_desc[:SUMMARY])
        elif message.mtype == 5:
            row.outcome = "error"
        row.error = row.error or message.error_code
    row.verdicts += tuple(verdict for verdict in verdicts_of(line) if verdict not in row.verdicts)
    _judge(row, findings_of(line))


def whole(lines: Iterable[Line], links: Links, number: int = 0) -> Row | None:
    """The row that all its lines make together, in their order; None of none."""
    row: Row | None = None
    for line in lines:
        if row is None:
            row = begin(line, links, number)
        else:
            add(row, line)
    return row


def _message(row: Row, message: Message) -> None:
    row.msg_no, row.frame_id, row.side, row.mtype = message.msg_no, message.frame_id, message.sender, message.mtype
    row.action, row.message_id, row.error = message.action, message.message_id, message.error_code
    row.evse, row.connector, row.tx, row.token = message.evse_id, message.connector_id, message.tx_id, message.id_token
    row.protocol = message.protocol or row.protocol
    row.size = len(message.payload)
    row.ms = None if message.latency_ns is None else message.latency_ns / 1e6
    row.summary = f"{message.error_desc} ".lstrip() + summary(message.payload)
    if message.mtype == 2:
        row.kind, row.outcome = "exchange", "pending"


def _judge(row: Row, findings: Iterable[Finding]) -> None:
    for finding in findings:
        row.level = max(row.level, finding.severity.value)
        if finding.code not in row.codes:
            row.codes += (finding.code,)
        if finding.blame not in row.blames:
            row.blames += (finding.blame,)
        if finding.code == UNANSWERED and row.outcome == "pending":
            row.outcome = "unanswered"


def _handshake(shake: records.Handshake) -> str:
    link = shake.link
    leads = f" → {link.upstream}" if link.upstream else ""
    repairs = f", repaired: {'; '.join(shake.repairs)}" if shake.repairs else ""
    return _first_line(f"{link.status or 'no answer'} {link.target}{leads} {link.protocol}{repairs}")


def _size(frame: Frame) -> int:
    return len(frame.raw) or len(frame.payload)


def _first_line(text: str) -> str:
    return text.lstrip().split("\r\n", 1)[0][:SUMMARY].rstrip(" :")
