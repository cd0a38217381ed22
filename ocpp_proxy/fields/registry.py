"""The registry of field names of traffic: name, type, meaning, getter. One table for filter, docs and, by its names, SQL."""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from msgspec import Struct

from ocpp_proxy import model, records
from ocpp_proxy.records import Line

Links = Mapping[int, model.Link]
Got = str | int | float | tuple[str, ...] | None
Getter = Callable[[Line, Links], Got]
FieldType = Literal["text", "number", "severity", "choice", "mtype", "time"]

MTYPES = {"CALL": 2, "CALLRESULT": 3, "CALLERROR": 4, "CALLRESULTERROR": 5, "SEND": 6}
OUTCOMES = ("pending", "ok", "error", "unanswered")
KINDS = ("message", "ping", "pong", "close", "http", "raw", "handshake", "note", "gap", "opened", "closed", "finding",
         "loss", "audit")
ANSWERS = {3: "ok", 4: "error"}
_FRAME_KINDS = {
    model.Opcode.PING: "ping", model.Opcode.PONG: "pong", model.Opcode.CLOSE: "close",
    model.Opcode.HTTP_REQ: "http", model.Opcode.HTTP_RES: "http",
}


class Field(Struct, frozen=True):
    """One name of the filter language. ``many``: there can be several values (one per finding); any may match.

    ``get``: of a line and the links (``Getter``); of an item of another list, of the item alone.
    """

    name: str
    type: FieldType
    doc: str
    get: Callable[..., Got]
    aliases: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    many: bool = False


class Vocabulary(Struct, frozen=True):
    """The names that a filter of one list can use. ``names``: their fields by name and alias; ``example``: a filter of it.

    ``payload``: whether ``payload.<path>`` is a name too.
    """

    of: str
    fields: Mapping[str, Field]
    names: Mapping[str, str]
    example: str
    payload: bool = False


def vocabulary(of: str, fields: Iterable[Field], example: str, payload: bool = False) -> Vocabulary:
    """The vocabulary of these fields."""
    every = tuple(fields)
    names = {name: field.name for field in every for name in (field.name, *field.aliases)}
    return Vocabulary(of, {field.name: field for field in every}, names, example, payload)


def kind_of(line: Line) -> str:
    """What the line is: one of ``KINDS``."""
    match line.record:
        case records.MessageSeen():
            return "message"
        case records.FrameSeen(frame):
            return _FRAME_KINDS.get(frame.opcode, "raw")
        case records.Handshake():
            return "handshake"
        case records.Gap():
            return "gap"
        case records.LinkOpened():
            return "opened"
        case records.LinkClosed():
            return "closed"
        case records.Found():
            return "finding"
        case records.Lost():
            return "loss"
        case records.Audited():
            return "audit"
        case _:
            return "note"


def text_of(line: Line) -> str:
    """The line's text: payload, HTTP head and body, close code and reason, note, finding."""
    match line.record:
        case records.MessageSeen(message):
            return f"{message.error_code} {message.error_desc} {_decode(message.payload)}".lstrip()
        case records.FrameSeen(frame):
            return _frame_text(frame)
        case records.Handshake() as shake:
            return " ".join((shake.link.target, shake.link.upstream, *shake.problems, *shake.repairs))
        case records.Note() as note:
            return f"{note.kind} {note.text}"
        case records.Gap() as gap:
            return gap.reason
        case records.LinkOpened(link):
            return link.remote
        case records.LinkClosed() as closed:
            return f"{closed.how} {closed.close_reason}"
        case records.Found(finding):
            return finding.message
        case records.Lost() as lost:
            return f"{lost.what} {lost.path} {lost.action} {lost.message_id} {lost.plugin}: {lost.reason}"
        case records.Audited() as act:
            return " ".join(word for word in (act.who, act.action, act.detail, act.outcome) if word)
        case _:
            return ""


def _frame_text(frame: model.Frame) -> str:
    if frame.raw:
        return _decode(frame.raw)
    if frame.opcode is model.Opcode.CLOSE and len(frame.payload) >= 2:
        return f"{int.from_bytes(frame.payload[:2])} {_decode(frame.payload[2:])}".rstrip()
    return _decode(frame.header + frame.payload if "http" in frame.opcode else frame.payload)


def link_of(line: Line) -> int:
    """The link's number; 0 where the line is about none."""
    match line.record:
        case records.MessageSeen(message):
            return message.link_id
        case records.FrameSeen(frame):
            return frame.link_id
        case records.Handshake(link=link) | records.LinkOpened(link):
            return link.link_id
        case records.Found(finding):
            return finding.link_id
        case records.Note() | records.Gap() | records.LinkClosed() | records.Lost() | records.Audited():
            return line.record.link_id
        case _:
            return 0


def time_of(line: Line) -> int:
    """The line's time in ns since the epoch."""
    match line.record:
        case records.MessageSeen(message):
            return message.time_ns
        case records.FrameSeen(frame):
            return frame.time_ns
        case records.LinkOpened(link):
            return link.opened_ns
        case records.Found(finding):
            return finding.time_ns
        case (records.Handshake() | records.Note() | records.Gap() | records.LinkClosed() | records.Lost()
              | records.Audited()):
            return line.record.time_ns
        case _:
            return 0


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _message(line: Line) -> model.Message | None:
    return line.record.message if isinstance(line.record, records.MessageSeen) else None


def _frame(line: Line) -> model.Frame | None:
    return line.record.frame if isinstance(line.record, records.FrameSeen) else line.frame


def identity_of(line: Line, links: Links) -> str | None:
    """The charger's identity, from the record or from its link."""
    match line.record:
        case records.MessageSeen(message):
            known = message.identity
        case records.Found(finding):
            known = finding.identity
        case records.Note() as note:
            known = note.identity
        case records.Handshake(link=link) | records.LinkOpened(link):
            known = link.identity
        case _:
            known = ""
    if known:
        return known
    of_link = links.get(link_of(line))
    return (of_link.identity if of_link else "") or None


def _protocol(line: Line, links: Links) -> str | None:
    message = _message(line)
    if message is not None and message.protocol:
        return message.protocol
    link = line.record.link if isinstance(line.record, records.Handshake) else links.get(link_of(line))
    return (link.protocol if link else "") or None


def _side(line: Line, _: Links) -> str | None:
    match line.record:
        case records.MessageSeen(message):
            return message.sender.value
        case records.FrameSeen(frame):
            return frame.sender.value
        case records.Note(side=side) | records.LinkClosed(closed_by=side):
            return side.value if side else None
        case _:
            return None


def _ms(line: Line, _: Links) -> float | None:
    message = _message(line)
    if message is not None:
        return None if message.latency_ns is None else message.latency_ns / 1e6
    return line.record.link.handshake_ms if isinstance(line.record, records.Handshake) else None


def _size(line: Line, _: Links) -> int | None:
    message, frame = _message(line), _frame(line)
    if message is not None:
        return len(message.payload)
    return len(frame.raw or frame.payload) if frame else None


def findings_of(line: Line) -> tuple[model.Finding, ...]:
    """The findings of the line; of a finding that stands alone, itself."""
    return (line.record.finding, *line.findings) if isinstance(line.record, records.Found) else line.findings


def severity_of(line: Line) -> int | None:
    """The worst severity of the line's findings."""
    return max((finding.severity.value for finding in findings_of(line)), default=None)


def _of_message(name: str) -> Getter:
    def get(line: Line, _: Links) -> Got:
        message = _message(line)
        if message is None:
            return None
        value: Got = getattr(message, name)
        return None if value == "" else value
    return get


def _outcome(line: Line, _: Links) -> str | None:
    message = _message(line)
    return ANSWERS.get(message.mtype) if message is not None else None


def verdicts_of(line: Line) -> tuple[str, ...]:
    """What a plugin did to the line's frame, or why there is one of ours (``model.VERDICTS``); none: nothing."""
    frame = _frame(line)
    return (frame.verdict,) if frame is not None and frame.verdict else ()


def _opcode(line: Line, _: Links) -> str | None:
    frame = _frame(line)
    return frame.opcode.value if frame else None


_ALL = (
    Field("identity", "text", "the charger's identity", identity_of, ("station", "charger")),
    Field("action", "text", "name of the action; on answers that of their Call", _of_message("action")),
    Field("message_id", "text", "the id on the wire that ties an answer to its Call", _of_message("message_id")),
    Field("mtype", "mtype", "kind of message: " + ", ".join(f"{k} ({v})" for k, v in MTYPES.items()),
          _of_message("mtype"), ("type",)),
    Field("ms", "number", "milliseconds from the Call to this answer; on a handshake its duration", _ms, ("latency",)),
    Field("outcome", "choice", "what became of a Call; on an answer: what it makes of it", _outcome, (), OUTCOMES),
    Field("side", "choice", "who sent it", _side, ("sender",), ("station", "csms")),
    Field("kind", "choice", "what the line is", lambda line, _: kind_of(line), (), KINDS),
    Field("severity", "severity", "the worst of the line's findings", lambda line, _: severity_of(line), ("sev",),
          tuple(severity.label for severity in model.Severity)),
    Field("rule", "text", "code of a finding of the line, for example R05",
          lambda line, _: tuple(finding.code for finding in findings_of(line)), ("finding", "code"), many=True),
    Field("blame", "choice", "whose fault a finding of the line is",
          lambda line, _: tuple(finding.blame for finding in findings_of(line)), (),
          ("station", "csms", "network", "either", "proxy"), many=True),
    Field("protocol", "text", "the subprotocol, for example ocpp1.6", _protocol, ("version",)),
    Field("evse", "number", "EVSE number", _of_message("evse_id")),
    Field("connector", "number", "connector number", _of_message("connector_id")),
    Field("tx", "text", "transaction id", _of_message("tx_id"), ("transaction",)),
    Field("token", "text", "idTag or idToken", _of_message("id_token")),
    Field("error", "text", "error code of a CALLERROR or CALLRESULTERROR", _of_message("error_code"), ("error_code",)),
    Field("size", "number", "bytes of the payload", _size, ("bytes",)),
    Field("opcode", "choice", "kind of the frame", _opcode, (), tuple(opcode.value for opcode in model.Opcode)),
    Field("verdict", "choice", "what a plugin or a person did to it, or why the proxy made it",
          lambda line, _: verdicts_of(line), (), tuple(filter(None, model.VERDICTS)), many=True),
    Field("time", "time", "when it was seen: ISO 8601; without a zone it is UTC", lambda line, _: time_of(line), ("ts",)),
    Field("link", "number", "number of the link (one connection of a charger)", lambda line, _: link_of(line) or None),
    Field("text", "text", "payload, HTTP head and body, close code and reason, note, finding, loss or audit",
          lambda line, _: text_of(line) or None),
    Field("payload", "text", "the payload's JSON text; payload.connectorId, payload.meterValue[0].timestamp and"
          " payload.meterValue[*].timestamp look into it",
          lambda line, _: _decode(message.payload) if (message := _message(line)) else None),
)
LINES = vocabulary("traffic", _ALL, "action == MeterValues and ms > 500", True)
FIELDS: Mapping[str, Field] = LINES.fields
NAMES: Mapping[str, str] = LINES.names
