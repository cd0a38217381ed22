"""Smart charging of a 1.6 CSMS on a 2.0.1 station (1.6 3.13, 2.0.1 K)."""

from typing import Any

from ocpp_proxy.api import Side
from ocpp_proxy_plugins.bridge import profiles
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.plain import refused
from ocpp_proxy_plugins.bridge.remote_down import has
from ocpp_proxy_plugins.bridge.rows_down import running
from ocpp_proxy_plugins.bridge.work import Got, Refusal, Work

_REJECTED = {"status": "Rejected"}


def evse_of(desk: Desk, connector: object) -> int | None:
    """The EVSE of a connector; 0 is the station. None: there is no such connector."""
    if connector == 0 and type(connector) is int:
        return 0
    return desk.evse(connector)[0] if isinstance(connector, int) and has(desk, connector) else None


def set_profile(desk: Desk, payload: dict[str, Any]) -> Work:
    """A TxProfile is of the transaction it names, else of the one that runs on the connector; 2.0.1 wants it named."""
    profile, evse = payload.get("csChargingProfiles"), evse_of(desk, payload.get("connectorId"))
    if not isinstance(profile, dict) or evse is None:
        return dict(_REJECTED)
    made: dict[str, Any] = {"evseId": evse}
    tid = 0
    if profile.get("chargingProfilePurpose") == "TxProfile":
        named = profile.get("transactionId")
        mine = [tx for tx in running(desk, payload["connectorId"] or None) if named in (None, tx.tid)]
        if not mine:
            desk.lost("$.csChargingProfiles", "no such transaction runs: refused")
            return dict(_REJECTED)
        made["chargingProfile"] = {"transactionId": mine[-1].uid}
        made["evseId"], tid = mine[-1].evse, mine[-1].tid
    elif profile.get("transactionId") is not None:
        desk.lost("$.csChargingProfiles.transactionId", "only a TxProfile is of a transaction")
    message = desk.carry(payload, **made)
    got = yield from desk.ask(Side.STATION, "SetChargingProfile", message)
    if got.status == "Accepted" and (kept := profiles.made(made["evseId"], message["chargingProfile"], tid)) is not None:
        profiles.remembered(desk, kept, [tx.tid for tx in running(desk)])
    return _answer(desk, got)


def _answer(desk: Desk, got: Got) -> dict[str, Any] | Refusal:
    if got.lacks:
        return {"status": "NotSupported"}
    if got.error is not None and profiles.is_refusal(got.error.code):
        return dict(_REJECTED)
    return refused(desk, got) if got.payload is None else desk.carry_answer(got.payload)


def clear_profile(desk: Desk, payload: dict[str, Any]) -> Work:
    """By number, or by what it is; without either all of them."""
    made: dict[str, Any] = {}
    evse: int | None = None
    if payload.get("connectorId") is not None:
        evse = evse_of(desk, payload["connectorId"])
        if evse is None:
            return {"status": "Unknown"}
        made["chargingProfileCriteria"] = {"evseId": evse}
    message = desk.carry(payload, **made)
    got = yield from desk.ask(Side.STATION, "ClearChargingProfile", message)
    if got.status == "Accepted":
        profile_id = payload.get("id")
        profiles.cleared(desk, profiles.chosen(
            desk.kept.profiles, ids=[profile_id] if type(profile_id) is int else (), evse=evse,
            purpose=desk.enum("Purpose16>201", payload.get("chargingProfilePurpose")), level=payload.get("stackLevel")))
    if got.error is not None and profiles.is_refusal(got.error.code):
        return {"status": "Unknown"}
    return refused(desk, got) if got.payload is None else desk.carry_answer(got.payload)


def composite(desk: Desk, payload: dict[str, Any]) -> Work:
    """The connector is the one that was asked about."""
    evse = evse_of(desk, payload.get("connectorId"))
    if evse is None:
        return dict(_REJECTED)
    got = yield from desk.ask(Side.STATION, "GetCompositeSchedule", desk.carry(payload, evseId=evse))
    if got.error is not None and profiles.is_refusal(got.error.code):
        return dict(_REJECTED)
    if got.payload is None:
        return refused(desk, got)
    if got.status != "Accepted" or not isinstance(got.payload.get("schedule"), dict):
        return dict(_REJECTED)
    return desk.carry_answer(got.payload, connectorId=payload["connectorId"])


DOWN_CSMS = {
    "SetChargingProfile": set_profile, "ClearChargingProfile": clear_profile, "GetCompositeSchedule": composite,
}
