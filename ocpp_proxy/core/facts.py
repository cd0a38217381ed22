"""Spool records that are no bytes of a link, as source records: notes, gaps, findings, dispositions, losses, audits."""

import msgspec

from ocpp_proxy import records
from ocpp_proxy.model import Blame
from ocpp_proxy.wire.spool import (
    SIDES,
    AuditBody,
    Disposition,
    ForeignFinding,
    GapBody,
    LossBody,
    NoteBody,
    SpoolRecord,
)

Fact = NoteBody | GapBody | ForeignFinding | Disposition | LossBody | AuditBody
_BLAMES: dict[str, Blame] = {"station": "station", "csms": "csms", "network": "network", "either": "either"}


def fact(record: SpoolRecord, body: Fact, link_id: int) -> records.Source:
    """The source record for a body that carries a fact."""
    side = SIDES[record.direction] if record.link else None
    match body:
        case NoteBody():
            return records.Note(record.time_ns, link_id, body.kind, side, body.text, body.identity)
        case GapBody():
            return records.Gap(
                body.started_ns, record.worker, body.from_seq, body.to_seq, body.records, body.bytes, body.reason,
                record.time_ns,
            )
        case ForeignFinding():
            blame = _BLAMES.get(body.blame, "proxy")
            return records.PluginFinding(record.time_ns, link_id, body.code, body.severity, blame, body.message)
        case Disposition():
            words = [body.plugin, body.what, body.reason]
            return records.Note(record.time_ns, link_id, "plugin", side, ": ".join(word for word in words if word))
        case LossBody():
            return records.Lost(
                record.time_ns, link_id, body.plugin, body.action, body.message_id, body.path, body.what, body.reason,
            )
        case AuditBody():
            return records.Audited(record.time_ns, link_id, body.who, body.action, body.detail, body.outcome)


def unreadable(record: SpoolRecord, link_id: int, error: msgspec.MsgspecError) -> records.Gap:
    """A record whose body cannot be decoded counts as one lost record."""
    return records.Gap(
        record.time_ns, record.worker, record.seq, record.seq, 1, len(record.data), f"record cannot be decoded: {error}",
        record.time_ns, link_id,
    )
