"""Smart charging of a 2.0.1 CSMS on a 1.6 station (1.6 3.13, 2.0.1 K)."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import msgspec

from ocpp_proxy.api import Side
from ocpp_proxy_plugins.bridge import profiles
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.kept import Profile
from ocpp_proxy_plugins.bridge.plain import refused, told_why
from ocpp_proxy_plugins.bridge.transactions import by_uid, is_open, running
from ocpp_proxy_plugins.bridge.work import Background, Got, Refusal, Work

EXTERNAL = "ChargingStationExternalConstraints"
MOST_IN_A_REPORT = 10


def set_profile(desk: Desk, payload: dict[str, Any]) -> Work:
    """One schedule only; a TxProfile names its transaction (K01.FR.03), of 1.6 by its number."""
    profile, evse = payload.get("chargingProfile"), payload.get("evseId")
    number = 0 if evse == 0 else desk.connector(evse) if type(evse) is int else None
    if not isinstance(profile, dict) or number is None:
        return told_why(desk, {"status": "Rejected"}, "the station has no such EVSE", "UnknownEvse")
    tid = 0
    if profile.get("chargingProfilePurpose") == "TxProfile":
        tx = by_uid(desk.kept.charging, profile.get("transactionId"))
        if tx is None or not is_open(tx):
            return told_why(desk, {"status": "Rejected"}, "no such transaction runs (K01.FR.33)", "TxNotFound")
        tid, number = tx.tid, tx.connector
    elif profile.get("transactionId") is not None:
        return told_why(desk, {"status": "Rejected"}, "only a TxProfile is of a transaction", "InvalidProfile")
    if why := _unfit(desk, profile):
        desk.lost("$.chargingProfile", f"{why}: refused")
        return told_why(desk, {"status": "Rejected"}, why, "InvalidSchedule")
    made: dict[str, Any] = {"connectorId": number}
    if tid:
        made["csChargingProfiles"] = {"transactionId": tid}
    message = desk.carry(_plain(desk, payload, profile), **made)
    got = yield from desk.ask(Side.STATION, "SetChargingProfile", message)
    if got.status == "Accepted" and (kept := profiles.made(evse if type(evse) is int else 0, profile, tid)) is not None:
        profiles.remembered(desk, kept, _tids(desk))
    return _answer(desk, got)


def _unfit(desk: Desk, profile: dict[str, Any]) -> str:
    """Why a 1.6 station cannot have it; empty: it can."""
    if profile.get("chargingProfilePurpose") == EXTERNAL:
        return "external constraints are never set by a CSMS"
    schedules = profile.get("chargingSchedule")
    if not isinstance(schedules, list) or len(schedules) != 1 or not isinstance(schedules[0], dict):
        return "OCPP 1.6 takes one schedule (K01.FR.34)"
    periods = schedules[0].get("chargingSchedulePeriod")
    periods = periods if desk.options.strict and isinstance(periods, list) else []
    if any(isinstance(one, dict) and "phaseToUse" in one for one in periods):
        return "OCPP 1.6 cannot say which phase to use"
    return ""


def _plain(desk: Desk, payload: dict[str, Any], profile: dict[str, Any]) -> dict[str, Any]:
    """A relative schedule begins with the transaction: a time of its own is taken out."""
    schedule = profile["chargingSchedule"][0]
    if profile.get("chargingProfileKind") != "Relative" or "startSchedule" not in schedule:
        return payload
    desk.lost("$.chargingProfile.chargingSchedule[0].startSchedule", "a relative schedule begins with the transaction")
    rest = {name: value for name, value in schedule.items() if name != "startSchedule"}
    return {**payload, "chargingProfile": {**profile, "chargingSchedule": [rest]}}


def _tids(desk: Desk) -> list[int]:
    return [tx.tid for tx in running(desk.kept.charging)]


def _answer(desk: Desk, got: Got) -> dict[str, Any] | Refusal:
    if got.error is not None and profiles.is_refusal(got.error.code):
        return told_why(desk, {"status": "Rejected"}, f"the station refuses it: {got.why}", "UnsupportedRequest")
    if got.payload is None:
        return refused(desk, got)
    return told_why(desk, desk.carry_answer(got.payload), "the station refuses it")


def clear_profile(desk: Desk, payload: dict[str, Any]) -> Work:
    """By number, or by what it is; without either all of them."""
    criteria = payload.get("chargingProfileCriteria")
    criteria = criteria if isinstance(criteria, dict) else {}
    if criteria.get("chargingProfilePurpose") == EXTERNAL:
        return {"status": "Unknown"}
    made: dict[str, Any] = {}
    evse = criteria.get("evseId")
    if evse is not None:
        number = 0 if evse == 0 else desk.connector(evse) if type(evse) is int else None
        if number is None:
            return {"status": "Unknown"}
        made["connectorId"] = number
    got = yield from desk.ask(Side.STATION, "ClearChargingProfile", desk.carry(payload, **made))
    if got.error is not None and profiles.is_refusal(got.error.code):
        return {"status": "Unknown"}
    if got.status == "Accepted":
        profile_id = payload.get("chargingProfileId")
        profiles.cleared(desk, profiles.chosen(
            desk.kept.profiles, ids=[profile_id] if type(profile_id) is int else (), evse=evse,
            purpose=criteria.get("chargingProfilePurpose"), level=criteria.get("stackLevel")))
    return refused(desk, got) if got.payload is None else desk.carry_answer(got.payload)


def get_profiles(desk: Desk, payload: dict[str, Any]) -> Work:
    """From what the station accepted; reports follow, an EVSE after the other."""
    wanted = payload.get("chargingProfile")
    wanted = wanted if isinstance(wanted, dict) else {}
    sources = wanted.get("chargingLimitSource")
    ids = wanted.get("chargingProfileId")
    found = profiles.chosen(
        profiles.current(desk, _tids(desk)), ids=ids if isinstance(ids, list) else (), evse=payload.get("evseId"),
        purpose=wanted.get("chargingProfilePurpose"), level=wanted.get("stackLevel"))
    request_id = payload.get("requestId")
    if not found or type(request_id) is not int or (isinstance(sources, list) and "CSO" not in sources):
        return told_why(desk, {"status": "NoProfiles"}, "the bridge has seen none like that")
    desk.begin(_reported(desk.aside("GetChargingProfiles"), request_id, found), "charging profiles that were asked for")
    return {"status": "Accepted"}
    yield


def _reported(desk: Desk, request_id: int, found: Sequence[Profile]) -> Background:
    ordered = sorted(found, key=lambda one: one.evse)
    parts: list[tuple[int, list[Profile]]] = []
    for evse, group in groupby(ordered, key=lambda one: one.evse):
        mine = list(group)
        parts += [(evse, mine[at : at + MOST_IN_A_REPORT]) for at in range(0, len(mine), MOST_IN_A_REPORT)]
    for place, (evse, part) in enumerate(parts, 1):
        message: dict[str, Any] = {
            "requestId": request_id, "chargingLimitSource": "CSO", "evseId": evse,
            "chargingProfile": [msgspec.json.decode(one.payload) for one in part],
        }
        if place < len(parts):
            message["tbc"] = True
        got = yield from desk.ask(Side.CSMS, "ReportChargingProfiles", message)
        if got.payload is None:
            desk.find("report", f"the CSMS did not take the report on charging profiles: {got.why}", "warning", "csms")
            return


def composite(desk: Desk, payload: dict[str, Any]) -> Work:
    """A schedule only where the station gave all that one needs; EVSE 0 is the station in both versions."""
    evse = payload.get("evseId")
    number = 0 if evse == 0 else desk.connector(evse) if type(evse) is int else None
    if number is None:
        return told_why(desk, {"status": "Rejected"}, "the station has no such EVSE", "UnknownEvse")
    got = yield from desk.ask(Side.STATION, "GetCompositeSchedule", desk.carry(payload, connectorId=number))
    if got.error is not None and profiles.is_refusal(got.error.code):
        return told_why(desk, {"status": "Rejected"}, f"the station refuses it: {got.why}", "UnsupportedRequest")
    if got.payload is None:
        return refused(desk, got)
    schedule = got.payload.get("chargingSchedule")
    if got.status != "Accepted" or not isinstance(schedule, dict) or "scheduleStart" not in got.payload:
        return told_why(desk, {"status": "Rejected"}, "the station gave no schedule")
    answer = desk.carry_answer(got.payload)
    inner = {**answer.get("schedule", {}), "evseId": evse}
    if "duration" not in inner:
        inner["duration"] = payload.get("duration")
        desk.lost("$.schedule.duration", "the station named none: the one asked for", "invented")
    return {**answer, "schedule": inner}


UP_CSMS = {
    "SetChargingProfile": set_profile, "ClearChargingProfile": clear_profile, "GetChargingProfiles": get_profiles,
    "GetCompositeSchedule": composite,
}
