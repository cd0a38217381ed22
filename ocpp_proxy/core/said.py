"""What records say about the proxy itself: notes about the whole of it, gaps, refused dials, acts of people: its log."""

from ocpp_proxy.records import Audited, Gap, Note, Record
from ocpp_proxy.source import LogLine

DIALS = ("refused", "plain_upstream_refused")       # also where they are about one link
_LEVELS = {"refused": "warning", "plain_upstream_refused": "warning", "worker_lost": "error"}


def said(record: Record) -> LogLine | None:
    """The line of a record; None when it is about a charger or the CSMS. Its text is not escaped."""
    match record:
        case Note(time_ns, link_id, kind, _, text) if not link_id or kind in DIALS:
            about = f" ({record.identity})" if record.identity else ""
            return LogLine(time_ns, _LEVELS.get(kind, "info"), "relay", f"{kind.replace('_', ' ')}: {text}{about}".rstrip(" :"))
        case Gap() as gap:
            size = f", {gap.bytes} bytes" if gap.bytes else ""
            lost = f"records {gap.from_seq} to {gap.to_seq} of worker {gap.worker}, {gap.frames} frames{size}"
            return LogLine(gap.time_ns, "error", "recorder", f"gap in the capture: {lost}: {gap.reason}".rstrip(" :"))
        case Audited() as act:
            words = f"{act.who or 'somebody'}: {act.action} {act.detail}".rstrip()
            return LogLine(act.time_ns, "info", "audit", f"{words}: {act.outcome}" if act.outcome else words)
        case _:
            return None
