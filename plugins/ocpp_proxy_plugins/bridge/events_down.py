"""TransactionEvent of 2.0.1 as it is read here, and what a transaction is behind it."""

from typing import Any

from msgspec import Struct, structs

from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.kept import MOST_STATUS, Tx
from ocpp_proxy_plugins.bridge.registers_down import instant, newest
from ocpp_proxy_plugins.bridge.rows_down import counted, rows
from ocpp_proxy_plugins.bridge.shapes import tag
from ocpp_proxy_plugins.bridge.status_down import leftovers, number
from ocpp_proxy_plugins.bridge.work import Refusal

KINDS = ("Started", "Updated", "Ended")
PLUGGED = "plugged"                         # flag: a vehicle is there
MOST_UID = 255
LARGEST = 1 << 53
_FIELDS = frozenset((
    "eventType", "timestamp", "triggerReason", "seqNo", "transactionInfo", "offline", "evse", "idToken", "meterValue",
    "reservationId",
))
_INFO = frozenset(("transactionId", "chargingState", "stoppedReason", "remoteStartId"))


class Seen(Struct, frozen=True, gc=False):
    """One event. ``at``: its time as said, ``ms`` since the epoch; ``info``: transactionInfo."""

    uid: str
    kind: str
    seq: int
    at: str
    ms: int
    trigger: str
    charging_state: str
    info: dict[str, Any]
    token: dict[str, Any] | None
    values: list[Any]
    payload: dict[str, Any]


def whole(value: object) -> bool:
    """Whether it is an integer that a peer can mean."""
    return type(value) is int and -LARGEST <= value <= LARGEST


def read(payload: dict[str, Any]) -> Seen | Refusal:
    """The event, or what is wrong with it."""
    info, at = payload.get("transactionInfo"), payload.get("timestamp")
    uid = info.get("transactionId") if isinstance(info, dict) else None
    if not isinstance(info, dict) or not isinstance(uid, str) or not 0 < len(uid.encode()) <= MOST_UID:
        return Refusal("OccurrenceConstraintViolation", "transactionInfo.transactionId is missing")
    kind, seq, ms = payload.get("eventType"), payload.get("seqNo"), instant(at)
    if kind not in KINDS:
        return Refusal("PropertyConstraintViolation", "eventType is none of Started, Updated, Ended")
    if seq is None or not whole(seq) or not isinstance(at, str) or ms is None or not 16 <= len(at) <= 64 or at[10] not in "Tt ":
        return Refusal("TypeConstraintViolation", "seqNo is an integer, timestamp a time")
    token, values, state = payload.get("idToken"), payload.get("meterValue"), info.get("chargingState")
    return Seen(
        uid, kind, seq, at, ms, str(payload.get("triggerReason", "")),
        state[:MOST_STATUS] if isinstance(state, str) else "", info,
        token if isinstance(token, dict) else None, values if isinstance(values, list) else [], payload,
    )


def unused(desk: Desk, seen: Seen) -> None:
    """Tell what is carried nowhere."""
    if not _FIELDS.issuperset(seen.payload):
        leftovers(desk, seen.payload, _FIELDS)
    if not _INFO.issuperset(seen.info):
        for name in seen.info:
            if name not in _INFO:
                desk.lost(f"transactionInfo.{name[:60]}", "no such field in OCPP 1.6")


def behind(desk: Desk, tx: Tx | None, seen: Seen, id_tag: str) -> Tx:
    """The transaction once this event is counted in. ``id_tag``: of the event's token."""
    first = tx is None
    if tx is None:
        tx = Tx(0, seen.uid, state="waiting", at_ns=desk.now_ns)
    next_seq, seqs = counted(desk, tx, seen.seq)
    register = newest(seen.values) if seen.values else None
    changes: dict[str, Any] = {"next_seq": next_seq, "seqs": seqs}
    if seen.ms > tx.latest:
        changes["latest"] = seen.ms
    if register is not None:
        changes["register"] = register
    if seen.charging_state and seen.charging_state != tx.charging_state:
        changes["charging_state"] = seen.charging_state
    if not tx.connector:
        changes.update(_place(desk, seen))
    if tx.state == "waiting":
        changes.update(_known(desk, tx, seen, id_tag, first))
    tx = structs.replace(tx, **changes)
    if register is not None and tx.evse:
        rows(desk).registers[tx.evse] = register
    return tx


def _known(desk: Desk, tx: Tx, seen: Seen, id_tag: str, first: bool) -> dict[str, Any]:
    """What is learned before the CSMS knows of it."""
    changes: dict[str, Any] = {}
    if seen.trigger == "CablePluggedIn" or seen.charging_state not in ("", "Idle"):
        changes["flags"] = tx.flags if PLUGGED in tx.flags else (*tx.flags, PLUGGED)
    if whole(seen.payload.get("reservationId")):
        changes["reservation_id"] = seen.payload["reservationId"]
    if whole(seen.info.get("remoteStartId")):
        changes["remote_start_id"] = seen.info["remoteStartId"]
    if not id_tag and not tx.id_tag:
        asked = seen.info.get("remoteStartId")
        id_tag = next((one.id_tag for one in desk.kept.charging.remote_starts if one.remote_start_id == asked), "")
    if id_tag:
        changes["id_tag"] = id_tag
    elif not tx.id_tag and first and seen.kind != "Started":
        changes["id_tag"] = desk.options.anonymous      # it began before the bridge was here
    return changes


def _place(desk: Desk, seen: Seen) -> dict[str, Any]:
    """Where it takes place. The EVSE may be told only once a vehicle is there (2.0.1 E01.FR.16)."""
    evse = seen.payload.get("evse")
    found, conn = (evse.get("id"), evse.get("connectorId")) if isinstance(evse, dict) else (None, None)
    if found is not None and number(found):
        first = desk.connector(found) if conn is None else None
        if first is None:
            place = desk.known(found, conn if conn is not None and number(conn) else 1)
            return {"connector": place.number, "evse": place.evse, "evse_connector": place.conn}
        evse_of, conn_of = desk.evse(first)
        return {"connector": first, "evse": evse_of, "evse_connector": conn_of}
    asked = seen.info.get("remoteStartId")
    for start in desk.kept.charging.remote_starts:
        if start.remote_start_id == asked and start.connector:
            evse_of, conn_of = desk.evse(start.connector)
            return {"connector": start.connector, "evse": evse_of, "evse_connector": conn_of}
    if len(desk.kept.connectors) == 1:
        only = desk.kept.connectors[0]
        return {"connector": only.number, "evse": only.evse, "evse_connector": only.conn}
    return {}


def tag_of(desk: Desk, token: dict[str, Any] | None) -> str:
    """The idTag of an event's token; empty: it has none."""
    if token is None:
        return ""
    found = tag(token, desk, "idToken")
    return found if isinstance(found, str) else ""


def may_start(tx: Tx, seen: Seen) -> bool:
    """Whether 1.6 has its transaction from this event on: someone is known, a vehicle is there, and it is known where."""
    return bool(tx.id_tag and tx.connector) and (PLUGGED in tx.flags or seen.kind != "Started")
