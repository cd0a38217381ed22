"""What else a 2.0.1 station tells of connectors: NotifyEvent, ReservationStatusUpdate, MeterValues outside transactions."""

from typing import Any

from msgspec import Struct, structs

from ocpp_proxy.api import Side
from ocpp_proxy_plugins.bridge.converters import time
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.kept import Connector
from ocpp_proxy_plugins.bridge.plain import refused
from ocpp_proxy_plugins.bridge.rows_down import plugged
from ocpp_proxy_plugins.bridge.status_down import OF_STATION, message, number, station_is, tell, took
from ocpp_proxy_plugins.bridge.work import Refusal, Work

SILENT_NS = 2_000_000_000                   # how long a station is given to say by itself that a connector is free
MOST_INFO, MOST_CODE = 50, 50
_RELEASES = "down.releases"
_UNMONITORED = "no monitoring in OCPP 1.6"
PLACES = ("ChargingStation", "EVSE", "Connector")
ERRORS = {
    "CX001": "ConnectorLockFailure", "CX002": "GroundFailure", "CX003": "HighTemperature", "CX004": "OverCurrentFailure",
    "CX005": "OverVoltage", "CX006": "UnderVoltage", "CX007": "WeakSignal", "CX010": "EVCommunicationError",
    "CX011": "EVCommunicationError", "CX014": "EVCommunicationError", "CX017": "PowerSwitchFailure",
    "CX018": "HighTemperature", "CX019": "HighTemperature", "CX024": "OverVoltage", "CX025": "ConnectorLockFailure",
    "ConnectorPlugRetentionLock": "ConnectorLockFailure", "EVRetentionLock": "ConnectorLockFailure",
    "RCD": "GroundFailure", "GroundIsolationProtection": "GroundFailure", "TemperatureSensor": "HighTemperature",
    "OverCurrentBreaker": "OverCurrentFailure", "OverCurrentProtection": "OverCurrentFailure",
    "OverCurrentProtectionRecloser": "OverCurrentFailure", "FiscalMetering": "PowerMeterFailure",
    "PowerContactor": "PowerSwitchFailure", "TokenReader": "ReaderFailure", "LocalAuthListCtrlr": "LocalListConflict",
    "Controller": "InternalError", "CPPWMController": "EVCommunicationError", "DistributionPanel": "PowerSwitchFailure",
    **{code: code for code in (
        "ConnectorLockFailure", "EVCommunicationError", "GroundFailure", "HighTemperature", "InternalError",
        "LocalListConflict", "OtherError", "OverCurrentFailure", "PowerMeterFailure", "PowerSwitchFailure", "ReaderFailure",
        "ResetFailure", "UnderVoltage", "OverVoltage", "WeakSignal",
    )},
}
"""techCode (the minimum required error codes, or 1.6's own) or component -> errorCode of 1.6; any other is OtherError."""


class Monitored(Struct, frozen=True, gc=False):
    """One eventData that is about a connector. ``wrong``: a Problem began (True) or is over; None: no Problem."""

    component: str
    status: str
    wrong: bool | None
    at: Any
    code: str
    info: str
    error: str


def notify_event(desk: Desk, payload: dict[str, Any]) -> Work:
    """What says how a connector does is told as its StatusNotification; answered at once."""
    events = payload.get("eventData")
    if not isinstance(events, list):
        return Refusal("OccurrenceConstraintViolation", "eventData is missing")
    carried = [isinstance(event, dict) and _event(desk, event, f"eventData[{at}]") for at, event in enumerate(events)]
    if not any(carried):
        desk.lost("", _UNMONITORED)
        return {}
    for at in (at for at, whether in enumerate(carried) if not whether):
        desk.lost(f"eventData[{at}]", _UNMONITORED)
    desk.carry(payload)                                 # for the ledger: the rest that 1.6 has no field for
    return {}
    yield


def _event(desk: Desk, event: dict[str, Any], path: str) -> bool:
    """Whether 1.6 has words for it."""
    component, variable = event.get("component"), event.get("variable")
    if not isinstance(component, dict) or not isinstance(variable, dict):
        return False
    seen = _monitored(desk, event, str(component.get("name", "")), variable.get("name"), path)
    evse = component.get("evse")
    if seen is None:
        return False
    if isinstance(evse, dict) and number(evse.get("id")):
        connectors = _connectors(desk, evse["id"], evse.get("connectorId"), seen)
        for connector in connectors:
            _connector(desk, connector, seen)
        return bool(connectors)
    if seen.component == "ChargingStation":
        _station(desk, seen)
    return seen.component == "ChargingStation"


def _monitored(desk: Desk, event: dict[str, Any], component: str, variable: object, path: str) -> Monitored | None:
    """What 1.6 has words for; None: nothing."""
    value, wrong, status = event.get("actualValue"), None, ""
    if variable == "Problem":
        wrong = str(value).lower() == "true" and event.get("cleared") is not True
    elif variable == "AvailabilityState" and component in PLACES and isinstance(value, str):
        status = value if value == "Occupied" or desk.enum("ConnStatus201>16", value) else ""
    if wrong is None and not status:
        return None
    code, info = event.get("techCode"), event.get("techInfo")
    code, info = code if isinstance(code, str) else "", info if isinstance(info, str) else ""
    error = ERRORS.get(code) or ERRORS.get(component) or "OtherError"
    at = time(event.get("timestamp"), desk, f"{path}.timestamp")
    if component in PLACES and len(info) > MOST_INFO:
        desk.lost(f"{path}.techInfo", f"at most {MOST_INFO} characters", "shortened")
        info = cut(info)
    return Monitored(component, status, wrong, at, code[:MOST_CODE], info, error)


def cut(text: str) -> str:
    """Its beginning, up to a word's end where there is one near."""
    found = text[: MOST_INFO + 1].rsplit(None, 1)[0]
    return found if MOST_INFO // 2 < len(found) <= MOST_INFO else text[:MOST_INFO]


def _connectors(desk: Desk, evse: int, conn: Any, seen: Monitored) -> list[Connector]:
    """Whom it is about: of an EVSE with several connectors only what holds for each of them."""
    if number(conn):
        return [desk.known(evse, conn)]
    known = [one for one in desk.kept.connectors if one.evse == evse] or [desk.known(evse, 1)]
    return known if len(known) == 1 or seen.wrong is not None or seen.status in ("Faulted", "Unavailable") else []


def _connector(desk: Desk, connector: Connector, seen: Monitored) -> None:
    if seen.component not in PLACES:                    # a part of it: what Faulted means, once it is
        error = seen.error if seen.wrong else ""
        if connector.error != error:
            desk.changed(structs.replace(connector, error=error))
        return
    if seen.wrong is None:
        if seen.status == "Faulted" and seen.code and not connector.error:
            connector = structs.replace(connector, error=seen.error)
            desk.changed(connector)
        connector = took(desk, connector, seen.status)
    elif seen.wrong:
        connector = structs.replace(connector, error=seen.error, sent="Faulted", since_ns=desk.now_ns)
        desk.changed(connector)
    elif connector.sent == "Faulted":
        said = connector.status if connector.status not in ("", "Faulted") else "Available"
        connector = took(desk, structs.replace(connector, error="", status="", sent=""), said)
    else:
        return
    tell(desk, message(connector, seen.at, seen.code, seen.info))


def _station(desk: Desk, seen: Monitored) -> None:
    if seen.wrong is None:
        station_is(desk, seen.status if seen.status in OF_STATION else "Available", seen.code, seen.info, seen.error)
    else:
        station_is(desk, "Faulted" if seen.wrong else "Available", seen.code, seen.info, seen.error)


# ---- reservations ----

def reservation_status_update(desk: Desk, payload: dict[str, Any]) -> Work:
    """The reservation is over: the CSMS is told that the connector is free, unless the station says so itself soon."""
    kept = desk.kept
    mine = [one for one in kept.reservations if one.reservation_id == payload.get("reservationId")]
    if mine:
        desk.keep(reservations=tuple(one for one in kept.reservations if one not in mine))
        if mine[0].connector:
            desk.link.notes.setdefault(_RELEASES, []).append((desk.now_ns + SILENT_NS, mine[0].connector))
            return {}
    desk.lost("", "no connector is known to be reserved by it")
    return {}
    yield


def release(desk: Desk) -> None:
    """Connectors whose reservation is over and of which the station said nothing."""
    waiting: list[tuple[int, int]] = desk.link.notes.get(_RELEASES, [])
    for due_ns, number_of in [one for one in waiting if one[0] <= desk.now_ns]:
        waiting.remove((due_ns, number_of))
        connector = next((one for one in desk.kept.connectors if one.number == number_of), None)
        if connector is not None and connector.sent == "Reserved":
            connector = took(desk, connector, "Available")
            tell(desk, message(connector, desk.now()))


# ---- meter values outside transactions ----

def meter_values(desk: Desk, payload: dict[str, Any]) -> Work:
    """As the table has it, for the connector of the EVSE that is in use, or its first."""
    evse = payload.get("evseId")
    if type(evse) is not int or evse < 0:
        return Refusal("PropertyConstraintViolation", "evseId is the number of an EVSE, or 0")
    made = desk.carry(payload, connectorId=_of_evse(desk, evse) if evse else 0)
    if "meterValue" not in made:
        return {}
    got = yield from desk.ask(Side.CSMS, "MeterValues", made)
    return desk.carry_answer(got.payload) if got.payload is not None else refused(desk, got)


def _of_evse(desk: Desk, evse: int) -> int:
    own = [one.number for one in desk.kept.connectors if one.evse == evse]
    used = next((one for one in own if plugged(desk, one) is not None), None)
    return used or desk.connector(evse) or desk.known(evse, 1).number


DOWN_STATION = {
    "NotifyEvent": notify_event, "ReservationStatusUpdate": reservation_status_update, "MeterValues": meter_values,
}
DOWN_TICKS = (release,)
