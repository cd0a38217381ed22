"""Owns the beginning and the end of a transaction of a 1.6 station: Start- and StopTransaction as TransactionEvents."""

from typing import Any

import msgspec
from msgspec import structs

from ocpp_proxy_plugins.bridge import orphans, profiles
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.events import ENDED, EVENT, STARTED, deliver, happened_before, owed, post
from ocpp_proxy_plugins.bridge.kept import Charging, Kept, Profile, RemoteStart, Tx
from ocpp_proxy_plugins.bridge.meter_up import MOST_NUMBER, dated, has_register, meter_values, number, register
from ocpp_proxy_plugins.bridge.plain import refused
from ocpp_proxy_plugins.bridge.remote_up import matching
from ocpp_proxy_plugins.bridge.stops_up import DEAUTHORIZED, REMOTE_STOP, stop
from ocpp_proxy_plugins.bridge.transactions import (
    LAST_TID,
    bounded,
    by_key,
    by_tid,
    changed,
    every,
    is_id,
    key_of,
    new_uid,
    next_tid,
    running,
)
from ocpp_proxy_plugins.bridge.work import Refusal, Work

REPLAYED = "replayed"                       # flag of a Tx: all that is known of it is from before the station connected
TELLING = frozenset(("Charging", "SuspendedEV", "SuspendedEVSE", "Preparing"))      # statuses that tell a transaction's state
_INVALID = "PropertyConstraintViolation"


def start_transaction(desk: Desk, payload: dict[str, Any]) -> Work:
    """Started. The number is kept before the CSMS hears of it; a repetition has the same one, and is told once."""
    carried = desk.carry(payload, EVENT)
    tag = payload.get("idTag")
    connector = payload.get("connectorId")
    if not isinstance(tag, str) or not isinstance(connector, int) or not is_id(connector):
        return Refusal(_INVALID, "a StartTransaction has an idTag and a connectorId from 1 on")
    key = key_of(connector, tag.casefold(), payload.get("timestamp"), payload.get("meterStart"))
    found = by_key(desk.kept.charging, key, "key")
    if found is None:
        made = _begun(desk, payload, carried, connector, tag, key)
        if isinstance(made, Refusal):
            return made
        found = made
    event = owed(desk.kept.charging, found.tid, STARTED)
    got = None
    if event is not None:
        got = yield from deliver(desk, event.number)
    told = next((tx.told for tx in every(desk.kept.charging) if tx.tid == found.tid), b"")
    if got is not None and not told:
        return refused(desk, got)
    _given_up(desk, found)
    info = msgspec.json.decode(told) if told else {"status": "Accepted"}
    return {"transactionId": found.tid, "idTagInfo": info}


def stop_transaction(desk: Desk, payload: dict[str, Any]) -> Work:
    """Ended. The station is answered whatever is known of the transaction: it would repeat it for ever."""
    carried = desk.carry(payload, EVENT)
    key = key_of("stop", *(payload.get(name) for name in ("transactionId", "timestamp", "meterStop", "reason")))
    charging = desk.kept.charging
    ended = by_key(charging, key, "stop_key")
    if ended is None and (ended := _over(charging, payload.get("transactionId"))) is not None:
        desk.lost("", "its transaction has ended already, and the CSMS was told how")
    if ended is None:
        made = _ended(desk, payload, carried, key)
        if made is None or isinstance(made, Refusal):
            return made or {}
        ended = made
    event = owed(desk.kept.charging, ended.tid, ENDED)
    if event is None:
        return {}
    got = yield from deliver(desk, event.number)
    if got.payload is None:
        return refused(desk, got)
    return desk.carry_answer(got.payload, EVENT) if got.payload else {}


def _over(charging: Charging, tid: object) -> Tx | None:
    """A transaction of that number that has ended already."""
    tx = orphans.known(charging, tid)
    return tx if tx is not None and tx.state == "ended" else None


# ---- the beginning ----

def _begun(
    desk: Desk, payload: dict[str, Any], carried: dict[str, Any], connector: int, tag: str, key: str,
) -> Tx | Refusal:
    """A new transaction, kept with its event."""
    kept = desk.kept
    charging, entropy = kept.charging, desk.context.random
    tid = next_tid(charging, entropy)
    if tid is None:
        desk.find("ids", "all transaction ids of this station are used up: it can begin no transaction", "error", "proxy")
        return Refusal("InternalError", "no transaction id is left")
    timestamp = _time(desk, carried)
    offline = happened_before(desk, timestamp)
    state = "" if offline else _charging_state(desk, connector)
    remote, rest = matching(charging.remote_starts, connector, tag, desk.now_ns)
    meter = _meter(desk, payload, "meterStart")
    tx = Tx(
        tid, new_uid(entropy), connector, *desk.evse(connector), tag, started=timestamp, charging_state=state, key=key,
        remote_start_id=remote.remote_start_id if remote is not None else None, meter_start=_whole(meter),
        reservation_id=_reservation(desk, carried),
        flags=(*((orphans.OFFLINE, REPLAYED) if offline else ()), *(("given_up",) if _was_given_up(remote) else ())),
    )
    event = {**carried, **_first(desk, tx, timestamp, offline)}
    if meter is not None:
        event["meterValue"] = [register(meter, "Transaction.Begin", timestamp)]
    charging, forgotten = bounded(structs.replace(charging, next_tid=tid + 1, remote_starts=rest))
    after = post(desk, charging, tx, STARTED, event)
    if after is None:
        return Refusal(_INVALID, "no valid TransactionEvent can be made of it")
    if forgotten is not None:
        text = f"transaction {forgotten.tid} of connector {forgotten.connector} never ended: too many like it are open"
        desk.find("never-ended", text, "warning", "station")
    before = running(charging, connector)
    if before:
        text = f"connector {connector} begins transaction {tid}; {before[-1].tid} has not ended"
        desk.find("still-open", text, "warning", "station")
    desk.keep(
        charging=after, profiles=_profiles(kept, remote, tx),
        reservations=tuple(one for one in kept.reservations if one.reservation_id != tx.reservation_id),
    )
    return tx


def _first(desk: Desk, tx: Tx, timestamp: str, offline: bool) -> dict[str, Any]:
    info: dict[str, Any] = {"transactionId": tx.uid}
    if tx.charging_state:
        info["chargingState"] = tx.charging_state
    if tx.remote_start_id is not None:
        info["remoteStartId"] = tx.remote_start_id
    event: dict[str, Any] = {
        "timestamp": timestamp, "triggerReason": "RemoteStart" if tx.remote_start_id is not None else "Authorized",
        "transactionInfo": info, "evse": {"id": tx.evse, "connectorId": tx.evse_connector},
    }
    if offline:
        event["offline"] = True
    return event


def _reservation(desk: Desk, carried: dict[str, Any]) -> int | None:
    said = carried.get("reservationId")
    if said is None or is_id(said, -LAST_TID):
        return said
    desk.lost("$.reservationId", "no id: it has more than 32 bits")
    del carried["reservationId"]
    return None


def _charging_state(desk: Desk, connector: int) -> str:
    """What the connector does now; of a start that is only told now that says nothing."""
    status = next((one.status for one in desk.kept.connectors if one.number == connector), "")
    return desk.enum("ChgState16>201", status) or ""


def _was_given_up(remote: RemoteStart | None) -> bool:
    return remote is not None and remote.state == "given_up"


def _given_up(desk: Desk, tx: Tx) -> None:
    """The CSMS was told that it would not start: it is stopped again."""
    now = by_tid(desk.kept.charging, tx.tid)
    if now is None or "given_up" not in now.flags or now.state == "ended":
        return
    flags = (*(flag for flag in now.flags if flag != "given_up"), REMOTE_STOP)
    charging = desk.kept.charging
    desk.keep(charging=structs.replace(charging, transactions=changed(charging, structs.replace(now, flags=flags))))
    text = f"remote start {now.remote_start_id} was given up, and transaction {now.tid} began: it is stopped again"
    desk.find("late-start", text, "warning", "station")
    desk.begin(stop(desk.aside(), now.tid), "a start that was given up")


def _profiles(kept: Kept, remote: RemoteStart | None, tx: Tx) -> tuple[Profile, ...]:
    """With the profile that came with the remote start."""
    if remote is None or not remote.profile:
        return kept.profiles
    profile = profiles.made(tx.evse, msgspec.json.decode(remote.profile), tx.tid)
    if profile is None:
        return kept.profiles
    return profiles.newest((*(one for one in kept.profiles if one.profile_id != profile.profile_id), profile))


# ---- the end ----

def _ended(desk: Desk, payload: dict[str, Any], carried: dict[str, Any], key: str) -> Tx | Refusal | None:
    """The transaction that ends, kept with its event; None: the CSMS is told nothing of it."""
    charging = desk.kept.charging
    timestamp = _time(desk, carried)
    meter = _meter(desk, payload, "meterStop")
    tid = payload.get("transactionId")
    values = _values(desk, payload, meter, timestamp)
    tx = orphans.known(charging, tid) or orphans.adopted(charging, tid, orphans.fitting(charging, meter, timestamp))
    if tx is None:
        if desk.options.orphans == "reject":
            desk.lost("$", f"transaction {tid} is not known")
            desk.find("orphan", f"the end of transaction {tid}, which is not known, is told to nobody", "warning")
            return None
        first = values[0]["timestamp"] if values else timestamp
        made = orphans.made_up(desk, charging, tid, first, 0, str(payload.get("idTag") or ""))
        if made is None:
            return Refusal("InternalError", f"transaction {tid} is not known, and none can be made up")
        charging, tx = made
    event = {**carried, "timestamp": timestamp, **_last(desk, tx, payload)}
    if values:
        event["meterValue"] = values
    if happened_before(desk, timestamp):
        event["offline"] = True
    tx = structs.replace(tx, state="ended", stopped=timestamp, stop_key=key)
    after = post(desk, charging, tx, ENDED, event)
    if after is None:
        for name in ("idToken", "meterValue"):
            if event.pop(name, None) is not None:
                desk.lost(f"$.{name}", "without it a valid end can be told", "dropped")
        after = post(desk, charging, tx, ENDED, event)
    if after is None:
        return Refusal(_INVALID, "no valid TransactionEvent can be made of it")
    desk.keep(charging=after, profiles=tuple(one for one in desk.kept.profiles if one.tid != tx.tid))
    return tx


def _last(desk: Desk, tx: Tx, payload: dict[str, Any]) -> dict[str, Any]:
    """Why it ended: what the station says, or what it was asked for."""
    said = payload.get("reason")
    reason = desk.enum("StopReason16>201", said if said is not None else "Local")
    trigger = desk.enum("StopTrigger16>201", said if said is not None else "Local")
    if DEAUTHORIZED in tx.flags and said in (None, "Remote", "DeAuthorized"):
        if said == "Remote":
            desk.lost("$.reason", "it was stopped because the CSMS refused its token: DeAuthorized")
        reason, trigger = "DeAuthorized", "Deauthorized"
    elif REMOTE_STOP in tx.flags and said is None:
        reason, trigger = "Remote", "RemoteStop"
    if reason is None or trigger is None:
        reason, trigger = "Other", "AbnormalCondition"      # no reason of 1.6: the form has told it
    info: dict[str, Any] = {"transactionId": tx.uid, "stoppedReason": reason}
    if tx.remote_start_id is not None:
        info["remoteStartId"] = tx.remote_start_id
    return {"triggerReason": trigger, "transactionInfo": info}


def _values(desk: Desk, payload: dict[str, Any], meter: int | float | None, timestamp: str) -> list[dict[str, Any]]:
    """transactionData and the last register, by their times."""
    data = payload.get("transactionData")
    values = meter_values(data, desk, "$.transactionData") if isinstance(data, list) else []
    dated(values, timestamp, desk, "$.meterValue")
    if meter is not None and not has_register(values, meter, "Transaction.End"):
        values.append(register(meter, "Transaction.End", timestamp))
    values.sort(key=lambda value: str(value["timestamp"]))
    return values


# ---- both ----

def _time(desk: Desk, carried: dict[str, Any]) -> str:
    found = carried.get("timestamp")
    if isinstance(found, str):
        return found
    desk.lost("$.timestamp", "the station says no time", "invented")
    return desk.now()


def _meter(desk: Desk, payload: dict[str, Any], name: str) -> int | float | None:
    said = payload.get(name)
    found = number(said)
    if found is None and said is not None:
        desk.lost(f"$.{name}", "no number")
    return found


def _whole(meter: int | float | None) -> int | None:
    return None if meter is None or not abs(meter) < MOST_NUMBER else int(meter)


UP_STATION = {"StartTransaction": start_transaction, "StopTransaction": stop_transaction}
