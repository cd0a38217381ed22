"""TriggerMessage and ExtendedTriggerMessage of a 1.6 CSMS for a 2.0.1 station."""

from collections.abc import Sequence
from typing import Any

from ocpp_proxy.api import Side
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.pace import Pace
from ocpp_proxy_plugins.bridge.plain import refused
from ocpp_proxy_plugins.bridge.remote_down import REJECTED, has
from ocpp_proxy_plugins.bridge.rows_down import running
from ocpp_proxy_plugins.bridge.status_down import STATION, station_is
from ocpp_proxy_plugins.bridge.work import Got, Refusal, Work

WITH_CONNECTOR = "StatusNotification"       # 2.0.1 wants EVSE and connector for it (F06.FR.12, FR.13)
NOT_OF_AN_EVSE = ("BootNotification", "Heartbeat", "FirmwareStatusNotification", "LogStatusNotification",
                  "DiagnosticsStatusNotification", "SignChargePointCertificate")


def trigger_message(desk: Desk, payload: dict[str, Any]) -> Work:
    """As the table has it; meter values of a running transaction are asked for as its event, statuses one by one."""
    wanted, connector = payload.get("requestedMessage"), payload.get("connectorId")
    if connector is not None and connector != 0 and not has(desk, connector):
        return REJECTED
    number = connector if type(connector) is int and connector > 0 and wanted not in NOT_OF_AN_EVSE else None
    if wanted == WITH_CONNECTOR:
        return (yield from _statuses(desk, payload, number, connector))
    made: dict[str, Any] = {}
    if number is not None:
        made["evse"] = {"id": desk.evse(number)[0]}
    if wanted == "MeterValues" and running(desk, number):
        made["requestedMessage"] = "TransactionEvent"
    got = yield from desk.ask(Side.STATION, "TriggerMessage", desk.carry(payload, **made))
    return _result(desk, [got])


def _statuses(desk: Desk, payload: dict[str, Any], number: int | None, said: object) -> Work:
    """Of one connector, or of all: 0 is the station, of which the bridge tells by itself."""
    numbers = [number] if number is not None else [] if said == 0 else [one.number for one in desk.kept.connectors]
    if number is None:
        station_is(desk, desk.kept.facts.get(STATION, "Available"))
    results: list[Got] = []
    pace = Pace(desk)
    for one in numbers:
        if results and pace.over:
            desk.find("trigger", f"{len(results)} of {len(numbers)} connectors were asked for their status", "info", "proxy")
            break
        evse, conn = desk.evse(one)
        made = desk.carry(payload, evse={"id": evse, "connectorId": conn}) if not results else {
            "requestedMessage": WITH_CONNECTOR, "evse": {"id": evse, "connectorId": conn}}
        got = yield from pace.ask("TriggerMessage", made)
        results.append(got)
        if got.payload is None or got.status == "NotImplemented":
            break
    return _result(desk, results) if results else {"status": "Accepted"}


def _result(desk: Desk, results: Sequence[Got]) -> dict[str, Any] | Refusal:
    """Accepted if any was."""
    best = next((got for got in results if got.status == "Accepted"), results[0])
    if best.payload is not None:
        return desk.carry_answer(best.payload)
    return REJECTED if best.timeout else refused(desk, best)


DOWN_CSMS = {"TriggerMessage": trigger_message, "ExtendedTriggerMessage": trigger_message}
