"""OCPP trace v1.1: one JSON object per message, with ``raw``; what v1.1 has no field for stands in ``meta.ocppProxy``.

A message that is no OCPP array has no place in v1.1, nor has what got lost or what a person did: they are written with
messageType ``UNKNOWN`` so that nothing is lost when the file is opened as a source again; readers of v1.1 skip such a line.
"""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import orjson

from ocpp_proxy.model import Link, Message, Side
from ocpp_proxy.records import Audited, Line, Lost, MessageSeen
from ocpp_proxy.source import Bookmark
from ocpp_proxy.spec.versions import SUBPROTOCOLS
from ocpp_proxy_captures.redact import spelled

_TYPES = {2: "CALL", 3: "CALLRESULT", 4: "CALLERROR", 5: "CALLRESULTERROR", 6: "SEND"}


def trace_line(line: Line, mark: Bookmark | None = None, link: Link | None = None) -> bytes | None:
    """The line of a trace: of a message with its bookmark, of a loss, of an audit; None for any other line.

    ``link``: of the message; it is told where its legs speak two versions.
    """
    if isinstance(line.record, Lost | Audited):
        return _aside(line.record)
    if not isinstance(line.record, MessageSeen):
        return None
    message = line.record.message
    raw = (line.frame.text or line.frame.payload) if line.frame else spelled(message)
    ours: dict[str, Any] = {"link": message.link_id, "frame": message.frame_id, "timeNs": message.time_ns}
    if message.masked or (line.frame is not None and line.frame.masked):
        ours["masked"] = True
    if line.frame is not None and line.frame.verdict:
        ours["verdict"], ours["cause"] = line.frame.verdict, list(line.frame.cause)
    if link is not None and link.csms_protocol:
        ours["protocols"] = [_clean(link.protocol), _clean(link.csms_protocol)]
    row: dict[str, Any] = {
        "schemaVersion": "1.1", "timestamp": stamp(message.time_ns), "transport": "json",
        "direction": "cp-to-csms" if message.sender is Side.STATION else "csms-to-cp",
        "messageType": _TYPES.get(message.mtype, "UNKNOWN"), "chargePointId": _clean(message.identity),
    }
    row.update(_decoded(message))
    try:
        row["raw"] = raw.decode()
    except UnicodeDecodeError:
        ours["rawBase64"] = base64.b64encode(raw).decode()
    row["meta"] = {"ocppProxy": ours}
    if line.findings:
        ours["findings"] = [{"code": f.code, "severity": f.severity.label, "message": _clean(f.message)} for f in line.findings]
    if mark is not None:
        ours["bookmark"] = {
            "timeNs": mark.time_ns, "note": _clean(mark.note), "author": _clean(mark.author), "tags": [*map(_clean, mark.tags)]}
    return orjson.dumps(row) + b"\n"


def _aside(record: Lost | Audited) -> bytes:
    told = {
        key: _clean(value) if isinstance(value, str) else value for key, value in msgspec.to_builtins(record).items()}
    return orjson.dumps({
        "schemaVersion": "1.1", "timestamp": stamp(record.time_ns), "transport": "json", "messageType": "UNKNOWN",
        "meta": {"ocppProxy": {"record": told}}}) + b"\n"


def _decoded(message: Message) -> dict[str, Any]:
    """The fields that say in JSON what ``raw`` says."""
    if message.mtype == 0:
        return {}
    fields: dict[str, Any] = {
        "ocppVersion": SUBPROTOCOLS.get(message.protocol), "connectorId": message.connector_id,
        "messageId": _clean(message.message_id), "action": _clean(message.action) or None,
    }
    try:
        payload = orjson.loads(message.payload)
    except orjson.JSONDecodeError:
        payload = None
    if message.mtype in (4, 5):
        fields["error"] = {
            "code": _clean(message.error_code), "description": _clean(message.error_desc), "details": payload}
    elif payload is not None:
        fields["payload"] = payload
    return {name: value for name, value in fields.items() if value is not None}


def stamp(time_ns: int) -> str:
    """ISO 8601 in UTC with milliseconds."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_ns // 1000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _clean(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
