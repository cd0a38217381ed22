"""Owns what a 2.0.1 CSMS asks of charging at a 1.6 station: remote starts and stops, the state of a transaction, its cost."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import structs

from ocpp_proxy.api import Side
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.kept import MOST_TAG, RemoteStart
from ocpp_proxy_plugins.bridge.plain import told_why
from ocpp_proxy_plugins.bridge.stops_up import REMOTE_STOP, flagged
from ocpp_proxy_plugins.bridge.tokens import same
from ocpp_proxy_plugins.bridge.transactions import LAST_TID, by_tid, by_uid, changed, is_id, running
from ocpp_proxy_plugins.bridge.work import Got, Work

MOST_STARTS = 50                            # remote starts that are waited for
MOST_PROFILE_BYTES = 32_768                 # of the profiles that came with them
PLUG_IN = "charging.ConnectionTimeOut"      # in ``Kept.facts``: seconds one has to plug in
MOST_SECONDS = 86_400
PLUG_IN_SECONDS = 60                        # ConnectionTimeOut where it is not known
SPARE_SECONDS = 60
SPARE_NS = 1_000_000                        # by which a deadline may be rounded
SHOWS_COST = "CustomDisplayCostAndPrice"    # in ``Kept.can``, and the station's configuration key of it


def request_start(desk: Desk, payload: dict[str, Any]) -> Work:
    """RemoteStartTransaction; the StartTransaction that follows is told with this remoteStartId."""
    connector = desk.connector(payload["evseId"]) if is_id(payload.get("evseId")) else None
    if "evseId" in payload and connector is None:
        return _rejected(desk, f"the station has no EVSE {payload['evseId']}", "UnknownEvse")
    why = _unfit(payload.get("chargingProfile"))
    if why:
        return _rejected(desk, why, "InvalidProfile")
    asked = desk.carry(payload, "RemoteStartTransaction", **({} if connector is None else {"connectorId": connector}))
    tag = asked.get("idTag")
    if not tag:
        return _rejected(desk, "OCPP 1.6 has no idTag for this token", "InvalidIdToken")
    number = payload.get("remoteStartId")
    if not isinstance(number, int) or not is_id(number, -LAST_TID):
        return _rejected(desk, "there is no remoteStartId", "InvalidValue")
    wait = min(max(0, desk.kept.facts.get(PLUG_IN, PLUG_IN_SECONDS)), MOST_SECONDS) + SPARE_SECONDS
    profile = msgspec.json.encode(payload["chargingProfile"]) if "chargingProfile" in payload else b""
    until_ns = desk.now_ns + int(wait * 1e9)
    _remember(desk, RemoteStart(number, tag, connector, until_ns, profile=profile))
    got = yield from desk.ask(Side.STATION, "RemoteStartTransaction", asked)
    _answered(desk, number, got)
    if got.payload is None:
        return _rejected(desk, got.why)
    answer = desk.carry_answer(got.payload, "RemoteStartTransaction")
    if got.status == "Accepted" and connector is not None:
        before = running(desk.kept.charging, connector)
        if before and before[-1].remote_start_id != number:
            answer["transactionId"] = before[-1].uid
    return answer


def matching(
    starts: Sequence[RemoteStart], connector: int, tag: str, now_ns: int,
) -> tuple[RemoteStart | None, tuple[RemoteStart, ...]]:
    """The remote start that a start on that connector follows from, and those that are still waited for.

    Of the same token on the same connector the oldest; else the oldest that named no connector.
    """
    alive = [one for one in starts if one.until_ns > now_ns]
    mine = [one for one in alive if same(one.id_tag, tag)]
    found = next((one for one in mine if one.connector == connector), None) or next(
        (one for one in mine if one.connector is None), None)
    return found, tuple(one for one in alive if one is not found)


def _unfit(profile: object) -> str:
    """Why a profile cannot come with a remote start; empty: it can, or there is none."""
    if profile is None:
        return ""
    if not isinstance(profile, dict) or profile.get("chargingProfilePurpose") != "TxProfile":
        return "a start takes a TxProfile only"
    if profile.get("transactionId") is not None:
        return "the profile of a start names no transaction"
    schedules = profile.get("chargingSchedule")
    if not isinstance(schedules, list) or len(schedules) != 1:
        return "OCPP 1.6 takes exactly one chargingSchedule"
    return ""


def _remember(desk: Desk, start: RemoteStart) -> None:
    charging = desk.kept.charging
    others = [
        one for one in charging.remote_starts if one.until_ns > desk.now_ns and one.remote_start_id != start.remote_start_id
    ]
    if sum(len(one.profile) for one in (*others, start)) > MOST_PROFILE_BYTES:
        start = structs.replace(start, profile=b"")     # the station has it; it is not listed
    start = structs.replace(start, id_tag=start.id_tag[:MOST_TAG])
    desk.keep(charging=structs.replace(charging, remote_starts=(*others[1 - MOST_STARTS :], start)))


def _answered(desk: Desk, number: int, got: Got) -> None:
    """Accepted: a start is waited for. No answer in time: the CSMS is told Rejected, and a start would be too late."""
    charging = desk.kept.charging
    state = "accepted" if got.status == "Accepted" else "given_up" if got.timeout else ""
    if got.timeout and desk.now_ns + SPARE_NS < desk.deadline_ns:
        state = "asked"                     # the link ends: nobody was told anything
    starts = tuple(
        structs.replace(one, state=state) if one.remote_start_id == number else one for one in charging.remote_starts
        if state or one.remote_start_id != number
    )
    if starts != charging.remote_starts:
        desk.keep(charging=structs.replace(charging, remote_starts=starts))


def request_stop(desk: Desk, payload: dict[str, Any]) -> Work:
    """RemoteStopTransaction of its number; of one that does not run Rejected."""
    tx = by_uid(desk.kept.charging, payload.get("transactionId"))
    if tx is None or tx.state == "ended":
        return _rejected(desk, "no such transaction runs", "TxNotFound")
    asked = desk.carry(payload, "RemoteStopTransaction", transactionId=tx.tid)
    got = yield from desk.ask(Side.STATION, "RemoteStopTransaction", asked)
    if got.payload is None:
        return _rejected(desk, got.why)
    charging = desk.kept.charging
    now = by_tid(charging, tx.tid)
    if got.status == "Accepted" and now is not None and now.state != "ended":
        desk.keep(charging=structs.replace(charging, transactions=changed(charging, flagged(now, REMOTE_STOP))))
    return desk.carry_answer(got.payload, "RemoteStopTransaction")


def transaction_status(desk: Desk, payload: dict[str, Any]) -> Work:
    """From what is kept. What the station itself still has to send nobody knows."""
    charging = desk.kept.charging
    uid = payload.get("transactionId")
    if uid is None:
        return {"messagesInQueue": bool(charging.outbox)}
    tx = by_uid(charging, uid)
    if tx is None:
        return {"ongoingIndicator": False, "messagesInQueue": False}
    return {"ongoingIndicator": tx.state != "ended", "messagesInQueue": any(one.tid == tx.tid for one in charging.outbox)}
    yield


def cost_updated(desk: Desk, payload: dict[str, Any]) -> Work:
    """A DataTransfer RunningCost to a station that shows costs; any other hears nothing of it."""
    tx = by_uid(desk.kept.charging, payload.get("transactionId"))
    if tx is None or tx.state == "ended":
        desk.lost("$", "no such transaction runs")
        return {}
    if SHOWS_COST not in desk.kept.can:
        got = yield from desk.ask(Side.STATION, "GetConfiguration", {"key": [SHOWS_COST]})
        if got.payload is None:
            desk.lost("$", f"whether the station shows costs is not known: {got.why}")
            return {}
        desk.keep(can={**desk.kept.can, SHOWS_COST: _shows(got.payload)})
    if not desk.kept.can[SHOWS_COST]:
        desk.lost("$", "the station shows no costs")
        return {}
    data = {
        "transactionId": tx.tid, "timestamp": desk.now(), "cost": payload.get("totalCost"),
        "state": "Charging" if tx.charging_state in ("", "Charging") else "Idle",
    }
    asked = desk.carry(payload, "DataTransfer", data=msgspec.json.encode(data).decode())
    got = yield from desk.ask(Side.STATION, "DataTransfer", asked)
    if got.payload is None or got.status != "Accepted":
        why = got.status or got.why
        desk.find("cost", f"the station did not take the cost of transaction {tx.tid}: {why}", "info", "station")
    return {}


def _shows(answer: dict[str, Any]) -> bool:
    keys = answer.get("configurationKey")
    return isinstance(keys, list) and any(
        isinstance(one, dict) and one.get("key") == SHOWS_COST and str(one.get("value")).lower() == "true" for one in keys
    )


def _rejected(desk: Desk, why: str, code: str = "NoAnswer") -> dict[str, Any]:
    return told_why(desk, {"status": "Rejected"}, why, code)


UP_CSMS = {
    "RequestStartTransaction": request_start, "RequestStopTransaction": request_stop,
    "GetTransactionStatus": transaction_status, "CostUpdated": cost_updated,
}
