"""``--json`` of ``tail``: one flat, stable object a line. Version 1: keys are only ever added."""

from typing import Any

import msgspec

from ocpp_proxy import model, records
from ocpp_proxy.cli.printing import stamp
from ocpp_proxy.cli.translated import Translation, ledger
from ocpp_proxy.fields.registry import Links, findings_of, identity_of, kind_of, link_of, text_of, time_of
from ocpp_proxy.records import Line

VERSION = 1
_BLANKS = bytes.maketrans(b"\r\n\t", b"   ")   # in valid JSON they stand between values only


def line_object(line: Line, links: Links, made: Translation | None = None) -> dict[str, Any]:
    """The line as an object: ``v``, ``time``, ``kind``, ``identity``, ``link``, what its kind has, ``findings``.

    ``payload`` of a message is its JSON value; where it is none, ``text`` holds it as text. Where a plugin did something to it,
    ``frame``, ``verdict`` and ``cause`` say what; of what a bridge made, ``translation_of`` and ``losses`` from what.
    """
    found: dict[str, Any] = {
        "v": VERSION, "time": stamp(time_of(line)), "kind": kind_of(line), "identity": identity_of(line, links),
        "link": link_of(line) or None, **_own(line),
    }
    if line.frame is not None and line.frame.verdict:
        found |= {"frame": line.frame.frame_id, "verdict": line.frame.verdict, "cause": list(line.frame.cause)}
    if made is not None:
        found |= {"translation_of": made.origin, "losses": ledger(made.losses)}
    findings = findings_of(line)
    if findings:
        found["findings"] = [finding_object(finding) for finding in findings]
    return found


def finding_object(finding: model.Finding) -> dict[str, Any]:
    """A finding as an object."""
    return {
        "code": finding.code, "severity": model.Severity(finding.severity).label, "blame": finding.blame,
        "identity": finding.identity, "time": stamp(finding.time_ns), "link": finding.link_id, "msg_no": finding.msg_no,
        "message": finding.message, "path": finding.path, "spec_ref": finding.spec_ref, "count": finding.count,
        "evidence": list(finding.evidence),
    }


def _own(line: Line) -> dict[str, Any]:
    match line.record:
        case records.MessageSeen(message):
            return _message(message)
        case records.FrameSeen(frame):
            return {"side": frame.sender.value, "opcode": frame.opcode.value, "size": len(frame.payload), "text": text_of(line)}
        case records.Handshake(link=link) as shake:
            return {"status": link.status, "target": link.target, "upstream": link.upstream, "protocol": link.protocol or None,
                    "csms_protocol": link.csms_protocol or None, "ms": link.handshake_ms, "problems": list(shake.problems),
                    "repairs": list(shake.repairs)}
        case records.LinkClosed() as closed:
            return {"how": closed.how, "closed_by": closed.closed_by.value if closed.closed_by else None,
                    "close_code": closed.close_code or None, "text": closed.close_reason,
                    "unsent_station": closed.unsent_station, "unsent_csms": closed.unsent_csms}
        case records.Gap() as gap:
            return {"frames": gap.frames, "bytes": gap.bytes, "text": gap.reason}
        case records.Note() as note:
            return {"note": note.kind, "side": note.side.value if note.side else None, "text": note.text}
        case records.LinkOpened(link):
            return {"remote": link.remote}
        case records.Lost() as lost:
            return {"plugin": lost.plugin, "action": lost.action or None, "message_id": lost.message_id or None,
                    "path": lost.path, "what": lost.what, "text": lost.reason}
        case records.Audited() as act:
            return {"who": act.who, "act": act.action, "text": act.detail, "outcome": act.outcome or None}
        case _:
            return {}


def _message(message: model.Message) -> dict[str, Any]:
    found: dict[str, Any] = {
        "side": message.sender.value, "mtype": message.mtype, "message_id": message.message_id,
        "action": message.action or None, "protocol": message.protocol or None,
        "msg_no": message.msg_no, "call_no": message.call_no,
        "ms": None if message.latency_ns is None else message.latency_ns / 1e6,
        "evse": message.evse_id, "connector": message.connector_id, "tx": message.tx_id or None,
        "token": message.id_token or None,
    }
    if message.error_code:
        found |= {"error": message.error_code, "error_description": message.error_desc}
    try:
        msgspec.json.decode(message.payload)
        return found | {"payload": msgspec.Raw(message.payload.translate(_BLANKS))}
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return found | {"text": message.payload.decode("utf-8", "backslashreplace")}
