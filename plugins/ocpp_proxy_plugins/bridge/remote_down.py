"""What a 1.6 CSMS asks of a 2.0.1 station about charging: start and stop, unlock, availability."""

from collections.abc import Generator
from typing import Any

from msgspec import structs

from ocpp_proxy.api import Answer, Ask, Side
from ocpp_proxy_plugins.bridge.charging_down import UNLOCKED
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.kept import MOST_TAG, RemoteStart, Tx
from ocpp_proxy_plugins.bridge.plain import refused
from ocpp_proxy_plugins.bridge.rows_down import plugged, running, save
from ocpp_proxy_plugins.bridge.work import Got, Work

MOST_STARTS = 50
STARTS_NS = 3_600_000_000_000               # how long a remote start is remembered; stations give up much earlier
LAST_ID = (1 << 31) - 1
REJECTED = {"status": "Rejected"}


def has(desk: Desk, connector: object) -> bool:
    """Whether the station has such a connector (from 1 on), as far as is known: before it told of any, all are believed."""
    if type(connector) is not int or connector < 1:
        return False
    known = {one.number for one in desk.kept.connectors} | {int(one) for one in desk.options.topology}
    return not known or connector in known


def remote_start(desk: Desk, payload: dict[str, Any]) -> Work:
    """RequestStartTransaction under a number of our own. A profile that is no TxProfile, or of a transaction, is refused."""
    connector, profile = payload.get("connectorId"), payload.get("chargingProfile")
    if connector is not None and not has(desk, connector):
        return REJECTED
    if isinstance(profile, dict) and (
            profile.get("chargingProfilePurpose") != "TxProfile" or profile.get("transactionId") is not None):
        return REJECTED                                 # 1.6 errata 3.41
    evse: dict[str, Any] = {} if connector is None else {"evseId": desk.evse(connector)[0]}
    if evse and sum(one.evse == evse["evseId"] for one in desk.kept.connectors) > 1:
        desk.lost("connectorId", "a remote start of 2.0.1 names the EVSE, which has several connectors")
    charging = desk.kept.charging
    number = charging.next_remote_start
    known = [one for one in charging.remote_starts if one.until_ns > desk.now_ns][1 - MOST_STARTS :]
    start = RemoteStart(number, str(payload.get("idTag", ""))[:MOST_TAG], connector, desk.now_ns + STARTS_NS)
    following = number + 1 if number < LAST_ID else 1
    desk.keep(charging=structs.replace(charging, next_remote_start=following, remote_starts=(*known, start)))
    got = yield from desk.ask(Side.STATION, "RequestStartTransaction", desk.carry(payload, remoteStartId=number, **evse))
    _became(desk, number, "accepted" if got.status == "Accepted" else "given_up" if got.timeout else "")
    return _status(desk, got)


def _became(desk: Desk, number: int, state: str) -> None:
    """``state`` empty: it is forgotten."""
    charging = desk.kept.charging
    rest = tuple(
        structs.replace(one, state=state) if one.remote_start_id == number else one
        for one in charging.remote_starts if state or one.remote_start_id != number
    )
    desk.keep(charging=structs.replace(charging, remote_starts=rest))


def _status(desk: Desk, got: Got) -> dict[str, Any]:
    """The status a station gave, else Rejected: 1.6 has no other way to say no."""
    if got.payload is None:
        desk.find("unanswered", f"{desk.action}: the station did not do it ({got.why})", "warning", "station")
        return REJECTED
    return desk.carry_answer(got.payload)


def named(desk: Desk, tid: object) -> Tx | None:
    """The transaction the CSMS calls so. A number below 1 may stand for several: only where there is one it is that one."""
    found = [tx for tx in running(desk) if tx.tid == tid and type(tid) is int]
    if not found or (len(found) > 1 and found[0].tid <= 0):
        return None
    return found[-1]


def remote_stop(desk: Desk, payload: dict[str, Any]) -> Work:
    """RequestStopTransaction; what is not known, or has ended, is Rejected here."""
    tx = named(desk, payload.get("transactionId"))
    if tx is None:
        return REJECTED
    got = yield from _stop(desk, tx)
    return _status(desk, got)


def _stop(desk: Desk, tx: Tx) -> Generator[Ask, Answer | None, Got]:
    return (yield from desk.ask(Side.STATION, "RequestStopTransaction", {"transactionId": tx.uid}))


def unlock_connector(desk: Desk, payload: dict[str, Any]) -> Work:
    """What runs there is stopped first, as 1.6 means it (5.18); a 2.0.1 station would refuse (F05.FR.02)."""
    number = payload.get("connectorId")
    if type(number) is not int or not has(desk, number):
        return {"status": "NotSupported"}               # 1.6 errata 3.87: or the connector is unknown
    tx = plugged(desk, number)
    if tx is not None:
        save(desk, structs.replace(tx, flags=(*tx.flags, UNLOCKED)) if UNLOCKED not in tx.flags else tx)
        got = yield from _stop(desk, tx)
        if got.status != "Accepted":
            _unmark(desk, number)
    evse, conn = desk.evse(number)
    got = yield from desk.ask(Side.STATION, "UnlockConnector", {"evseId": evse, "connectorId": conn})
    if got.payload is not None:
        return desk.carry_answer(got.payload)
    if got.lacks:
        return {"status": "NotSupported"}
    desk.find("unanswered", f"UnlockConnector: the station did not do it ({got.why})", "warning", "station")
    return {"status": "UnlockFailed"}


def _unmark(desk: Desk, number: int) -> None:
    tx = plugged(desk, number)
    if tx is not None and UNLOCKED in tx.flags:
        save(desk, structs.replace(tx, flags=tuple(flag for flag in tx.flags if flag != UNLOCKED)))


def change_availability(desk: Desk, payload: dict[str, Any]) -> Work:
    """Connector 0 is the station: no EVSE."""
    number = payload.get("connectorId")
    made: dict[str, Any] = {}
    if number != 0:
        if type(number) is not int or not has(desk, number):
            return REJECTED
        evse, conn = desk.evse(number)
        made["evse"] = {"id": evse, "connectorId": conn}
    got = yield from desk.ask(Side.STATION, "ChangeAvailability", desk.carry(payload, **made))
    if got.payload is None and got.timeout:
        return _status(desk, got)
    return desk.carry_answer(got.payload) if got.payload is not None else refused(desk, got)


DOWN_CSMS = {
    "RemoteStartTransaction": remote_start, "RemoteStopTransaction": remote_stop, "UnlockConnector": unlock_connector,
    "ChangeAvailability": change_availability,
}
