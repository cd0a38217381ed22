"""What is known of a message, frame or event beside its payload, in rows of words."""

from collections.abc import Mapping
from datetime import UTC, datetime

from ocpp_proxy import records
from ocpp_proxy.escape import safe_text
from ocpp_proxy.model import Finding, Frame, Link, Message, Opcode, Side, TlsInfo
from ocpp_proxy.source import Bookmark
from ocpp_proxy.wire import close_codes, frames, http
from ocpp_proxy.wire.envelope import FAULTS, Envelope
from ocpp_proxy_tui.look import Look
from ocpp_proxy_tui.widgets.detail_nodes import HeadNode, compared

TYPES = {0: "not decodable", 2: "Call", 3: "Result", 4: "Error", 5: "ResultError", 6: "Send"}
LONG = 500                  # characters of a peer's text in one row
HEADERS = 200               # lines of an HTTP head that are shown
_RSV1 = 0x40


def clock(time_ns: int) -> str:
    """Local date and time with microseconds."""
    try:
        moment = datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).astimezone()
    except (ValueError, OverflowError, OSError):
        return f"{time_ns} ns"
    return moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{time_ns // 1000 % 1_000_000:06d}"


def of_message(message: Message, frame: Frame | None, look: Look) -> HeadNode:
    """A message: what, which way, when, how long; then its envelope and its frame."""
    action = f" {safe_text(message.action, 100)}" if message.action else ""
    took = "" if message.latency_ns is None else f"  after {message.latency_ns / 1e6:.3f} ms"
    head = HeadNode(
        f"{TYPES.get(message.mtype, '?')}{action} {look.arrow(message.sender)} {clock(message.time_ns)}{took}",
        compared("action", message.action))
    head.add(f"id {safe_text(message.message_id, LONG)}  from the {_who(message.sender)}  payload {len(message.payload)} bytes",
             "dim", compared("message_id", message.message_id))
    if message.error_code or message.error_desc:
        head.add(f"{safe_text(message.error_code, 100)}: {safe_text(message.error_desc, LONG)}", "bad",
                 compared("error", message.error_code))
    if frame is not None:
        head.add(_frame_words(frame), "dim")
        _oddities(head, frame)
    if message.masked:
        head.add("credentials were replaced: these are not the bytes of the wire", "dim")
    return head


def of_frame(frame: Frame, look: Look) -> HeadNode:
    """A frame that is no message."""
    head = HeadNode(f"{_OPCODES.get(frame.opcode, frame.opcode.value)} {look.arrow(frame.sender)} {clock(frame.time_ns)}",
                    f"opcode == {frame.opcode.value}")
    if frame.opcode in (Opcode.HTTP_REQ, Opcode.HTTP_RES):
        _http(head, frame)
    else:
        head.add(_frame_words(frame), "dim")
        _content(head, frame)
    _oddities(head, frame)
    return head


def of_event(record: records.Record, links: Mapping[int, Link], look: Look) -> HeadNode:
    """What is no frame: handshakes, notes, gaps, links that begin and end."""
    match record:
        case records.Handshake():
            return _handshake(record, look)
        case records.LinkOpened(link):
            head = HeadNode(f"connected {clock(link.opened_ns)}")
            head.add(f"from {safe_text(link.remote, 100)}  listener {safe_text(link.listener, 100)}  link {link.link_id}")
            return head
        case records.LinkClosed():
            return _closed(record)
        case records.Gap():
            return _gap(record)
        case records.Note():
            side = f" {look.arrow(record.side)} {record.side.value}" if record.side else ""
            head = HeadNode(f"note: {safe_text(record.kind.replace('_', ' '), 60)}{side} {clock(record.time_ns)}")
            head.add(safe_text(record.text, 2000) or "(no text)")
            meant = records.NOTE_KINDS.get(record.kind, "")
            if meant:
                head.add(meant, "dim")
            known = links.get(record.link_id)
            if known is not None:
                head.add(f"link {known.link_id}: {safe_text(known.identity or known.remote, 100)}", "dim")
            return head
        case records.Lost():
            return _lost(record)
        case records.Audited():
            return _audited(record, links)
        case _:
            return HeadNode("nothing is known of this row")


def of_finding(finding: Finding) -> HeadNode:
    """Where a finding comes from that is a row of its own."""
    head = HeadNode(f"finding {clock(finding.time_ns)}", compared("rule", finding.code))
    charger = safe_text(finding.identity, 100) or "(no identity)"
    message = f"  message {finding.msg_no}" if finding.msg_no is not None else ""
    head.add(f"charger {charger}  link {finding.link_id}{message}", "", compared("identity", finding.identity))
    if finding.evidence:
        more = f" and {len(finding.evidence) - 20} more" if len(finding.evidence) > 20 else ""
        head.add(f"evidence: frames {', '.join(map(str, finding.evidence[:20]))}{more}", "dim")
    return head


def add_bookmark(head: HeadNode, mark: Bookmark) -> None:
    """A person's mark on a message."""
    tags = " ".join(f"#{safe_text(tag, 40)}" for tag in mark.tags)
    author = f"  ({safe_text(mark.author, 60)})" if mark.author else ""
    head.add(f"bookmark: {safe_text(mark.note, LONG)} {tags}{author}".replace(" :", ":"), "name")


def add_decode_error(head: HeadNode, envelope: Envelope) -> None:
    """Why a text is no message."""
    for fault in envelope.faults:
        head.add(ocppj_fault(fault), "bad")
    if envelope.error:
        at = f" at character {envelope.error_at}" if envelope.error_at >= 0 else ""
        head.add(f"{safe_text(envelope.error, LONG)}{at}", "bad")


def ocppj_fault(fault: str) -> str:
    """A fault of the decoder in words."""
    return FAULTS.get(fault, safe_text(fault, 60))


def _frame_words(frame: Frame) -> str:
    if frame.raw:
        return f"{len(frame.raw)} bytes that no reader can read as a frame"
    size = len(frame.header) + len(frame.mask) + len(frame.payload)
    words = [f"frame {frame.frame_id}: {size} bytes ({len(frame.header)} header, {len(frame.mask)} mask,"
             f" {len(frame.payload)} payload)", "masked" if frame.mask else "unmasked"]
    if frame.header and frame.header[0] & _RSV1:
        words.append("compressed")
    if frame.opcode is Opcode.CONTINUATION:
        words.append("the last of several fragments")
    elif not frame.fin:
        words.append("a fragment")
    if frame.text:
        words.append(f"text {len(frame.text)} bytes")
    return "  ".join(words)


def _oddities(head: HeadNode, frame: Frame) -> None:
    for fault in frame.faults:
        head.add(frames.FAULTS.get(fault, safe_text(fault, 60)), "bad")
    if frame.verdict:
        cause = f" because of frame {', '.join(map(str, frame.cause))}" if frame.cause else ""
        head.add(f"{safe_text(frame.verdict, 40)} by the proxy{cause}", "name")
    if frame.masked:
        head.add("credentials were replaced: these are not the bytes of the wire", "dim")


def _content(head: HeadNode, frame: Frame) -> None:
    if frame.opcode is Opcode.CLOSE:
        if len(frame.payload) >= 2:
            code = int.from_bytes(frame.payload[:2], "big")
            head.add(f"code {code}: {close_codes.meaning(code)}")
            head.add(f"reason: {safe_text(frame.payload[2:], LONG) or '(none)'}")
        else:
            head.add(f"no code ({len(frame.payload)} bytes of payload)")
    elif frame.payload:
        head.add(f"payload: {safe_text(frame.payload[:4 * LONG], LONG)}")


def _http(head: HeadNode, frame: Frame) -> None:
    head.add(f"frame {frame.frame_id}: head {len(frame.header)} bytes, body {len(frame.payload)} bytes", "dim")
    lines = frame.header.rstrip(b"\r\n").split(b"\n")
    for at, line in enumerate(lines[:HEADERS]):
        head.add(safe_text(line.removesuffix(b"\r"), LONG), "name" if not at else "")
    if len(lines) > HEADERS:
        head.add(f"{len(lines) - HEADERS} more lines: see raw", "dim")
    if frame.payload:
        head.add(f"body: {safe_text(frame.payload[:4 * LONG], LONG)}")


def _handshake(shake: records.Handshake, look: Look) -> HeadNode:
    link = shake.link
    what = f"{link.status} {'accepted' if link.status == 101 else 'refused'}" if link.status else "no answer"
    kind = "handshake" if shake.upgrade else "HTTP request"
    head = HeadNode(f"{kind}: {what} {look.arrow(Side.STATION)} {clock(shake.time_ns)}  {link.handshake_ms:.1f} ms")
    head.add(f"identity {safe_text(link.identity, LONG) or '(none)'} (from {link.identity_source})  target"
             f" {safe_text(link.target, LONG)}", "", compared("identity", link.identity))
    head.add(f"from {safe_text(link.remote, 100)}  to {safe_text(link.upstream, LONG) or '(nobody)'}")
    offered = ", ".join(safe_text(name, 60) for name in link.offered[:20]) or "nothing"
    spoken = safe_text(link.protocol, 60) or "none"
    spoken += f" (with the CSMS {safe_text(link.csms_protocol, 60)})" if link.csms_protocol else ""
    head.add(f"offered {offered}  speaks {spoken}{' (guessed)' if link.protocol_guessed else ''}  extensions"
             f" {safe_text(link.extensions, 200) or 'none'}")
    for name, tls in (("station", link.station_tls), ("CSMS", link.csms_tls)):
        if tls is not None:
            head.add(f"TLS with the {name}: {_tls(tls)}")
    for repair in shake.repairs:
        head.add(f"repaired: {safe_text(repair, LONG)}", "name")
    for problem in shake.problems:
        words = http.PROBLEMS.get(problem)
        head.add(f"{words[1]} ({words[0]})" if words else safe_text(problem, LONG), "bad")
    return head


def _tls(tls: TlsInfo) -> str:
    name, subject = f"name {tls.sni}" if tls.sni else "", f"certificate of {tls.subject}" if tls.subject else ""
    parts = [tls.version, tls.cipher, name, subject]
    return "  ".join(safe_text(part, 200) for part in parts if part)


def _closed(closed: records.LinkClosed) -> HeadNode:
    by = f" by the {_who(closed.closed_by)}" if closed.closed_by else ""
    head = HeadNode(f"link {closed.link_id} closed ({safe_text(closed.how, 40)}){by} {clock(closed.time_ns)}")
    if closed.close_code:
        head.add(f"code {closed.close_code}: {close_codes.meaning(closed.close_code)}")
    if closed.close_reason:
        head.add(f"reason: {safe_text(closed.close_reason, LONG)}")
    for side, count in ((Side.STATION, closed.unsent_station), (Side.CSMS, closed.unsent_csms)):
        if count:
            head.add(f"{count} bytes of the {_who(side)} were received, but not handed over", "bad")
    return head


def _gap(gap: records.Gap) -> HeadNode:
    head = HeadNode(f"gap: {gap.frames} records are missing {clock(gap.time_ns)}")
    head.add(safe_text(gap.reason, LONG), "bad")
    size = f"{gap.bytes} bytes" if gap.bytes else "number of bytes not known"
    until = f"  until {clock(gap.ended_ns)}" if gap.ended_ns else ""
    head.add(f"sequence numbers {gap.from_seq} to {gap.to_seq} of worker {gap.worker}  {size}{until}")
    return head


def _lost(lost: records.Lost) -> HeadNode:
    head = HeadNode(f"loss: {safe_text(lost.plugin, 60)} {safe_text(lost.what, 20)} {safe_text(lost.path, 200)}"
                    f" {clock(lost.time_ns)}", "kind == loss")
    head.add(f"of {safe_text(lost.action or '-', 100)} {safe_text(lost.message_id, 100)}  link {lost.link_id}", "dim")
    head.add(safe_text(lost.reason, LONG) or "(no reason)")
    return head


def _audited(act: records.Audited, links: Mapping[int, Link]) -> HeadNode:
    head = HeadNode(f"audit: {safe_text(act.who, 60)} {safe_text(act.action, 40)} {clock(act.time_ns)}", "kind == audit")
    if act.detail:
        head.add(safe_text(act.detail, LONG))
    if act.outcome:
        head.add(f"outcome: {safe_text(act.outcome, LONG)}")
    known = links.get(act.link_id)
    if known is not None:
        head.add(f"link {known.link_id}: {safe_text(known.identity or known.remote, 100)}", "dim")
    return head


def _who(side: Side) -> str:
    return "station" if side is Side.STATION else "CSMS"


_OPCODES = {Opcode.HTTP_REQ: "HTTP request", Opcode.HTTP_RES: "HTTP answer", Opcode.RAW: "unreadable bytes"}
