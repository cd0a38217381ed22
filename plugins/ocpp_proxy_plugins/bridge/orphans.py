"""Owns what a station says of a transaction that the bridge does not know: it was moved behind the bridge while it charged, or
it never learned the number of a transaction that began offline (then it says -1, 1.6 errata 3.18 and 3.54).

Such a message belongs to the open transaction that fits, or one is made up, so that the CSMS gets a complete one.
"""

from typing import Any

from msgspec import structs

from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.events import NO_CLOCK, STARTED, post
from ocpp_proxy_plugins.bridge.kept import Charging, Tx
from ocpp_proxy_plugins.bridge.stops_up import flagged
from ocpp_proxy_plugins.bridge.transactions import bounded, by_tid, closed, is_id, new_uid, next_tid, running

NAMED = "named"                             # flags of a Tx: the station has used its number
ADOPTED = "adopted"
ORPHAN = "orphan"
OFFLINE = "offline"
MOST_FLAGS = 32                             # of a Tx: beyond that further numbers of it are not remembered


def known(charging: Charging, tid: object) -> Tx | None:
    """That of a number which the station said, ended or not; also of a number that another was adopted under."""
    if not isinstance(tid, int) or isinstance(tid, bool) or tid <= 0:
        return None
    found = by_tid(charging, tid)
    if found is not None:
        return found
    also = f"also:{tid}"
    every = (*charging.transactions, *reversed(closed(charging)))
    return next((tx for tx in every if tx.tid == tid or also in tx.flags), None)


def adopted(charging: Charging, tid: object, candidates: list[Tx]) -> Tx | None:
    """The one open transaction that a message with that number belongs to; None: there is none, or more than one.

    One that the station has called by another number is not meant by a positive one.
    """
    named = type(tid) is int and tid > 0
    fitting = [tx for tx in candidates if not (named and NAMED in tx.flags)]
    if len(fitting) != 1:
        return None
    tx = fitting[0]
    return flagged(tx, ADOPTED, *([f"also:{tid}"] if named and len(tx.flags) < MOST_FLAGS else []))


def fitting(charging: Charging, meter: int | float | None, timestamp: str) -> list[Tx]:
    """The open transactions that can have ended like that: no less energy, no earlier."""
    return [
        tx for tx in running(charging)
        if (meter is None or tx.meter_start is None or meter >= tx.meter_start)
        and (tx.started <= timestamp or timestamp < NO_CLOCK)
    ]


def made_up(
    desk: Desk, charging: Charging, tid: object, timestamp: str, connector: int, tag: str,
) -> tuple[Charging, Tx] | None:
    """A transaction that began unseen, its Started posted; None: that is impossible. ``connector`` 0: nobody knows.

    It keeps the number that the station uses; where that is none it gets one of ours.
    """
    entropy = desk.context.random
    number = tid if isinstance(tid, int) and is_id(tid) and known(charging, tid) is None else next_tid(charging, entropy)
    if number is None:
        return None
    evse, conn = desk.evse(connector) if connector else (0, 0)
    tx = Tx(
        number, new_uid(entropy), connector, evse, conn, tag, "pending", started=timestamp, flags=(ORPHAN, OFFLINE),
    )
    charging, _ = bounded(charging)
    if number != tid:
        charging = structs.replace(charging, next_tid=number + 1)
    event: dict[str, Any] = {
        "timestamp": timestamp, "triggerReason": "AbnormalCondition", "offline": True,
        "transactionInfo": {"transactionId": tx.uid},
    }
    if connector:
        event["evse"] = {"id": evse, "connectorId": conn}
    if tag:
        event["idToken"] = desk.token(tag)
    after = post(desk, charging, tx, STARTED, event)
    if after is None:
        return None
    desk.lost("$", f"transaction {tid} began unseen: its Started is made up", "invented")
    desk.find("orphan", f"{desk.action} of transaction {tid}, whose start was not seen: it is told from here on", "warning")
    begun = by_tid(after, number)
    return None if begun is None else (after, begun)
