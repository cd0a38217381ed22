"""Owns the transactions of a 2.0.1 station as its link has them: found by their uid, stored with every event.

An event of meter values is stored once the CSMS has them, before the station is told so: in between the station says it again.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct, structs

from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.kept import Tx
from ocpp_proxy_plugins.bridge.transactions import MOST_CLOSED, closed

MOST_OPEN = 200                             # transactions that have not ended
MOST_HOLES = 64                             # numbers of one transaction that are missed
_NAME = "down.rows"


class Rows(Struct):
    """``by_uid``: all that are known; ``under_way``: uids a Call is out for; ``registers``: Wh that an EVSE told last."""

    by_uid: dict[str, Tx]
    under_way: set[str]
    registers: dict[int, float]


def rows(desk: Desk) -> Rows:
    """Those of this link."""
    found: Rows | None = desk.link.notes.get(_NAME)
    if found is None:
        charging = desk.kept.charging
        every = {tx.uid: tx for tx in (*closed(charging), *charging.transactions)}
        registers = {tx.evse: tx.register for tx in every.values() if tx.register is not None}
        found = desk.link.notes[_NAME] = Rows(every, set(), registers)
    return found


def find(desk: Desk, uid: str) -> Tx | None:
    """That transaction as it is now."""
    return rows(desk).by_uid.get(uid)


def running(desk: Desk, connector: int | None = None) -> list[Tx]:
    """Those that the CSMS knows and that have not ended: of one connector, or all; the newest last."""
    return [tx for tx in rows(desk).by_uid.values() if tx.state == "open" and connector in (None, tx.connector)]


def plugged(desk: Desk, connector: int) -> Tx | None:
    """The one that has not ended on a connector, whether the CSMS knows it or not."""
    return next(
        (tx for tx in reversed(rows(desk).by_uid.values()) if tx.connector == connector and not tx.stopped), None)


def save(desk: Desk, tx: Tx | None = None, **others: Any) -> None:
    """It is so now: stored before anything leaves. ``others``: further fields of ``Charging``."""
    known = rows(desk)
    charging = desk.kept.charging
    if tx is not None:
        before = known.by_uid.get(tx.uid)
        if tx.state == "ended" and (before is None or before.state != "ended"):
            known.by_uid.pop(tx.uid, None)              # among the newest of those that ended
        known.by_uid[tx.uid] = tx
        if tx.state == "ended":
            others["closed"] = _closed(known)
    open_ = [one for one in known.by_uid.values() if one.state != "ended"]
    if len(open_) > MOST_OPEN:
        oldest = open_.pop(0)
        del known.by_uid[oldest.uid]
        text = f"more than {MOST_OPEN} transactions have not ended: {oldest.uid[:36]} is forgotten"
        desk.find("forgotten", text, "warning", "station")
    desk.keep(charging=structs.replace(charging, transactions=tuple(open_), **others))


def _closed(known: Rows) -> Raw:
    ended = [one for one in known.by_uid.values() if one.state == "ended"]
    for one in ended[:-MOST_CLOSED]:
        del known.by_uid[one.uid]
    return Raw(msgspec.msgpack.encode(ended[-MOST_CLOSED:]))


def again(tx: Tx, seq: int, at: int) -> bool:
    """Whether an event of that number was seen before; a number that is used for a later event is not that event."""
    return at <= tx.latest and bool(tx.seqs) and tx.seqs[0] <= seq < tx.next_seq and seq not in tx.seqs[1:]


def counted(desk: Desk, tx: Tx, seq: int) -> tuple[int, tuple[int, ...]]:
    """``next_seq`` and ``seqs`` with this event; what is missing is told, counted from the first event on."""
    if not tx.seqs:
        return seq + 1, (seq,)
    uid, following = tx.uid, tx.next_seq
    if seq == following:
        return seq + 1, tx.seqs
    if seq > following:
        missing = seq - following
        text = f"transaction {uid[:36]}: {missing} event{'s' * (missing > 1)} before number {seq} never came"
        desk.find("gap", text, "warning", "station")
        return seq + 1, (*tx.seqs, *range(following, seq)[: max(0, MOST_HOLES + 1 - len(tx.seqs))])
    if seq in tx.seqs[1:]:
        return following, (tx.seqs[0], *(one for one in tx.seqs[1:] if one != seq))
    if seq < tx.seqs[0]:
        return following, tx.seqs                       # from before the first that came
    desk.find("number", f"transaction {uid[:36]}: number {seq} stands for two events", "warning", "station")
    return following, tx.seqs
