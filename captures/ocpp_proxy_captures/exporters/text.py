"""One readable line per message (findings below it), loss and audit. Every text of a peer goes through ``safe_text``."""

from ocpp_proxy.escape import safe_text
from ocpp_proxy.model import Link, Side
from ocpp_proxy.records import Audited, Line, Lost, MessageSeen
from ocpp_proxy.source import Bookmark
from ocpp_proxy_captures.exporters.trace import stamp

_TYPES = {0: "?", 2: "CALL", 3: "RESULT", 4: "ERROR", 5: "RESULTERROR", 6: "SEND"}


def text_line(line: Line, mark: Bookmark | None = None, link: Link | None = None) -> bytes | None:
    """The line of a message with its findings and its bookmark, of a loss or an audit; None for any other line.

    ``link``: of the message. Where its legs speak two versions that of the message is told, and translations are indented.
    """
    if isinstance(line.record, Lost | Audited):
        return _aside(line.record)
    if not isinstance(line.record, MessageSeen):
        return None
    message = line.record.message
    arrow = "->" if message.sender is Side.STATION else "<-"
    words = [
        stamp(message.time_ns), safe_text(message.identity, 48) or "-", arrow, _TYPES.get(message.mtype, "?"),
        safe_text(message.protocol, 20) if link is not None and link.csms_protocol else "",
        safe_text(message.action, 64), safe_text(message.message_id, 48), safe_text(message.error_code, 64),
        safe_text(message.error_desc, 255), safe_text(message.payload),
    ]
    made = line.frame is not None and line.frame.verdict == "translated"
    out = ["    " * made + " ".join(word for word in words if word)]
    for finding in line.findings:
        where = f" at {safe_text(finding.path, 200)}" if finding.path else ""
        out.append(f"    ! {safe_text(finding.code, 8)} {finding.severity.label}, {finding.blame}:"
                   f" {safe_text(finding.message, 1000)}{where}")
    if mark is not None:
        words = [safe_text(mark.note, 4000), *(f"#{safe_text(tag, 100)}" for tag in mark.tags)]
        out.append("    * bookmark: " + " ".join(word for word in words if word))
    return ("\n".join(out) + "\n").encode()


def _aside(record: Lost | Audited) -> bytes:
    if isinstance(record, Lost):
        words = [f"-- loss, link {record.link_id}:", record.plugin, record.what, record.path, record.action, record.message_id]
        rest = record.reason
    else:
        about = f", link {record.link_id}" if record.link_id else ""
        words = [f"-- audit{about}:", record.who, record.action, record.detail]
        rest = record.outcome
    text = " ".join([stamp(record.time_ns), *(safe_text(word, 1000) for word in words if word)])
    return (text + (f": {safe_text(rest, 1000)}" if rest else "") + "\n").encode()
