"""A 2.0.1 CSMS on the connectors of a 1.6 station: availability, unlocking, messages it wants sent."""

from typing import Any

from ocpp_proxy.api import Side
from ocpp_proxy_plugins.bridge import jobs, pnc
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.pace import DEADLINE, Pace
from ocpp_proxy_plugins.bridge.plain import refused, told_why
from ocpp_proxy_plugins.bridge.transactions import running
from ocpp_proxy_plugins.bridge.work import Got, Refusal, Work

_WORST = ("Rejected", "Scheduled", "Accepted")
MOST_EXPECTED = 20


def place(desk: Desk, evse: object) -> tuple[int, int | None] | None:
    """EVSE and connector of an EVSEType; None: none is named."""
    if not isinstance(evse, dict) or type(evse.get("id")) is not int:
        return None
    conn = evse.get("connectorId")
    return evse["id"], conn if type(conn) is int else None


def numbers(desk: Desk, evse: int, conn: int | None) -> list[int]:
    """The 1.6 connectors of an EVSE."""
    if conn is None:
        known = sorted({one.number for one in desk.kept.connectors if one.evse == evse})
        known = known or [int(number) for number, where in desk.options.topology.items() if where[0] == evse]
        if known:
            return known
    found = desk.connector(evse, conn)
    return [] if found is None else [found]


def change_availability(desk: Desk, payload: dict[str, Any]) -> Work:
    """Without an EVSE the station (connector 0); an EVSE is each of its connectors, and the worst answer counts."""
    at = place(desk, payload.get("evse"))
    wanted = [0] if at is None or at[0] == 0 else numbers(desk, *at)
    if not wanted:
        return told_why(desk, {"status": "Rejected"}, "the station has no such EVSE", "UnknownEvse")
    worst, pace = "Accepted", Pace(desk)
    for number in wanted:
        if pace.over and number != wanted[0]:
            return told_why(desk, {"status": "Rejected"}, f"no time was left for connector {number} and behind", DEADLINE)
        got = yield from pace.ask("ChangeAvailability", desk.carry(payload, connectorId=number))
        if got.payload is None:
            return refused(desk, got)
        said = got.status if got.status in _WORST else "Rejected"       # what nobody knows is no promise
        worst = min(worst, said, key=_WORST.index)
    return told_why(desk, {"status": worst}, "the station refuses it")


def unlock_connector(desk: Desk, payload: dict[str, Any]) -> Work:
    """2.0.1 unlocks no connector that charges (F05.FR.02); 1.6 would stop the transaction (5.18): so it is not asked."""
    evse, conn = payload.get("evseId"), payload.get("connectorId")
    number = desk.connector(evse, conn) if type(evse) is int and type(conn) is int else None
    if number is None:
        return told_why(desk, {"status": "UnknownConnector"}, "the station has no such connector", "UnknownEvse")
    if running(desk.kept.charging, number):
        return told_why(desk, {"status": "OngoingAuthorizedTransaction"}, "a transaction runs on the connector", "TxInProgress")
    got = yield from desk.ask(Side.STATION, "UnlockConnector", desk.carry(payload, connectorId=number))
    return refused(desk, got) if got.payload is None else desk.carry_answer(got.payload)


def trigger_message(desk: Desk, payload: dict[str, Any]) -> Work:
    """By TriggerMessage, or by the extended one where only that has the message; what follows is told as triggered."""
    wanted = payload.get("requestedMessage")
    at = place(desk, payload.get("evse"))
    connectors = numbers(desk, *at)[:1] if at is not None and at[0] > 0 else []
    if at is not None and at[0] > 0 and not connectors:
        return told_why(desk, {"status": "Rejected"}, "the station has no such EVSE", "UnknownEvse")
    if wanted == "SignV2GCertificate":
        return (yield from _sign_v2g(desk))
    extended = desk.kept.can.get(jobs.SECURITY)
    action = "TriggerMessage"
    if wanted == "TransactionEvent":
        return (yield from _meter_values(desk, connectors))
    if wanted == "SignChargingStationCertificate" or (wanted == "LogStatusNotification" and extended):
        action = "ExtendedTriggerMessage"
    if desk.enum("XTrig201>16" if action != "TriggerMessage" else "Trig201>16", wanted) is None or (
            wanted == "SignChargingStationCertificate" and extended is False):
        desk.lost("$.requestedMessage", f"OCPP 1.6 has no {wanted} to trigger")
        return told_why(desk, {"status": "NotImplemented"}, f"OCPP 1.6 has no {wanted} to trigger")
    made = {"connectorId": connectors[0]} if connectors else {}
    name = _expecting(desk, str(wanted), connectors)
    got = yield from desk.ask(Side.STATION, action, desk.carry(payload, action, **made))
    return _triggered(desk, got, name)


def _meter_values(desk: Desk, connectors: list[int]) -> Work:
    """A TransactionEvent is had by MeterValues of its connector, where a transaction runs."""
    charging = desk.kept.charging
    if not (any(running(charging, number) for number in connectors) if connectors else running(charging)):
        return told_why(desk, {"status": "Rejected"}, "no transaction runs there", "TxNotFound")
    name = _expecting(desk, "TransactionEvent", connectors)
    wish: dict[str, Any] = {"requestedMessage": "MeterValues"}
    if connectors:
        wish["connectorId"] = connectors[0]
    got = yield from desk.ask(Side.STATION, "TriggerMessage", wish)
    return _triggered(desk, got, name)


def _sign_v2g(desk: Desk) -> Work:
    """By DataTransfer, as the white paper on Plug & Charge over 1.6 has it."""
    inner = yield from pnc.wrapped(desk, Side.STATION, "TriggerMessage", {"requestedMessage": "SignV2GCertificate"})
    if inner is not None and inner.get("status") == "Accepted":
        return {"status": "Accepted"}
    return told_why(desk, {"status": "NotImplemented"}, "the station does not know Plug & Charge over 1.6")


def _expecting(desk: Desk, action: str, connectors: list[int]) -> str:
    """Expect a message; gives the name it is expected under, empty when it was already."""
    before = desk.kept.expected
    name = f"{action}:{connectors[0]}" if connectors else action
    desk.keep(expected=(*(one for one in before if one != name), name)[-MOST_EXPECTED:])
    return "" if name in before else name


def _triggered(desk: Desk, got: Got, name: str) -> dict[str, Any] | Refusal:
    if got.status != "Accepted" and name in desk.kept.expected:
        desk.keep(expected=tuple(one for one in desk.kept.expected if one != name))
    if got.payload is None:
        if got.lacks:
            return told_why(desk, {"status": "NotImplemented"}, "the station has no such message to trigger")
        return refused(desk, got)
    return told_why(desk, {"status": got.status}, "the station refuses it")


UP_CSMS = {
    "ChangeAvailability": change_availability, "UnlockConnector": unlock_connector, "TriggerMessage": trigger_message,
}
