"""A 2.0.1 station on a 1.6 CSMS: how it begins (BootNotification and what follows from it), and Authorize."""

from typing import Any

from ocpp_proxy.api import Side
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.kept import MOST_STATUS, Boot, packed
from ocpp_proxy_plugins.bridge.plain import refused
from ocpp_proxy_plugins.bridge.status_down import STATION, station_is
from ocpp_proxy_plugins.bridge.work import Background, Refusal, Work

REGISTER = "Energy.Active.Import.Register"
TRANSACTIONS = (
    ("TxCtrlr", "TxStartPoint", "PowerPathClosed"), ("TxCtrlr", "TxStopPoint", "EVConnected,Authorized"),
    ("SampledDataCtrlr", "TxStartedMeasurands", REGISTER), ("SampledDataCtrlr", "TxEndedMeasurands", REGISTER),
)
"""What makes the transactions of a 2.0.1 station like those of 1.6 (2.0.1 part 2, E 1.1.2, table 95)."""
PROVISIONED = "starting.provisioned"        # the fact: what was asked to, and its firmware
MOST_MADE = 200                             # characters of what a station says it is
_MADE = ("vendorName", "model", "serialNumber", "firmwareVersion")


def boot_notification(desk: Desk, payload: dict[str, Any]) -> Work:
    """As its table has it. Once accepted, connector 0 is there, and the station is asked to begin and end as 1.6 does."""
    got = yield from desk.ask(Side.CSMS, "BootNotification", desk.carry(payload))
    if got.payload is None:
        return refused(desk, got)
    desk.keep(boot=Boot(packed(payload), got.status[:MOST_STATUS], desk.now_ns))
    if got.status == "Accepted":
        station_is(desk, desk.kept.facts.get(STATION, "Available"))
        made = _made(payload)
        if desk.kept.facts.get(PROVISIONED) != made:
            desk.begin(_provision(desk.aside(), made), "transactions as 1.6 has them")
    return desk.carry_answer(got.payload)


def _made(payload: dict[str, Any]) -> str:
    """What the station is, as far as its settings go."""
    station = payload.get("chargingStation")
    return "/".join(str(station.get(name, "")) for name in _MADE)[:MOST_MADE] if isinstance(station, dict) else ""


def _provision(desk: Desk, made: str) -> Background:
    """Once for a station and its firmware: an operator may want it otherwise later. It may refuse any of it."""
    asked = [_variable(component, variable) for component, variable, _ in TRANSACTIONS]
    got = yield from desk.ask(Side.STATION, "GetVariables", {"getVariableData": asked})
    if got.timeout:
        return                                          # at its next Boot
    found = got.payload.get("getVariableResult") if got.payload is not None else None
    held = {
        _name(one): one["attributeValue"] for one in (found if isinstance(found, list) else ())
        if isinstance(one, dict) and "attributeValue" in one
    }
    wanted = []
    for component, variable, value in TRANSACTIONS:
        has = str(held.get((component, variable), ""))
        if variable.endswith("Measurands") and has:
            value = has if REGISTER in has.split(",") else f"{REGISTER},{has}"
        if value != has:
            wanted.append({**_variable(component, variable), "attributeValue": value})
    if wanted:
        got = yield from desk.ask(Side.STATION, "SetVariables", {"setVariableData": wanted})
        if got.timeout:
            return
    desk.keep(facts={**desk.kept.facts, PROVISIONED: made})


def _variable(component: str, variable: str) -> dict[str, Any]:
    return {"component": {"name": component}, "variable": {"name": variable}}


def _name(result: dict[str, Any]) -> tuple[str, str]:
    component, variable = result.get("component"), result.get("variable")
    if not isinstance(component, dict) or not isinstance(variable, dict):
        return "", ""
    return str(component.get("name")), str(variable.get("name"))


def authorize(desk: Desk, payload: dict[str, Any]) -> Work:
    """As its table has it; what 1.6 has no tag for is answered here."""
    token = payload.get("idToken")
    if not isinstance(token, dict) or not isinstance(token.get("idToken"), str):
        return Refusal("OccurrenceConstraintViolation", "idToken is missing")
    made = desk.carry(payload)
    if not made.get("idTag"):
        return {"idTokenInfo": {"status": without_tag(token)}}
    got = yield from desk.ask(Side.CSMS, "Authorize", made)
    if got.payload is None:
        return refused(desk, got)
    return desk.carry_answer(got.payload)


def without_tag(token: dict[str, Any]) -> str:
    """The status of a token that 1.6 has no tag for: none is needed, or it is one that is refused."""
    return "Accepted" if token.get("type") == "NoAuthorization" else "Invalid"


DOWN_STATION = {"BootNotification": boot_notification, "Authorize": authorize}
