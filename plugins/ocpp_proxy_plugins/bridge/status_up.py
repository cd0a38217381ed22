"""Owns the StatusNotification of a 1.6 station: what changed goes on as StatusNotification, TransactionEvent and NotifyEvent.

The station is answered by the first of them; the others follow behind.
"""

from collections.abc import Callable, Generator
from typing import Any

from msgspec import structs

from ocpp_proxy.api import Answer, Ask, Side
from ocpp_proxy_plugins.bridge.charging_up import REPLAYED, TELLING
from ocpp_proxy_plugins.bridge.desk import MOST_CONNECTORS, Desk
from ocpp_proxy_plugins.bridge.events import UPDATED, deliver, happened_before, post
from ocpp_proxy_plugins.bridge.expected_up import expected
from ocpp_proxy_plugins.bridge.kept import MOST_STATUS, Connector
from ocpp_proxy_plugins.bridge.plain import refused
from ocpp_proxy_plugins.bridge.transactions import is_id, running
from ocpp_proxy_plugins.bridge.work import Background, Got, Refusal, Work

NO_ERROR = "NoError"
_DETAILS = ("info", "vendorErrorCode", "vendorId")
_TOLD = "told"                              # in ``Session.notes``: connector -> [boot, status] the CSMS was told on this link
_NO_EVENTS = "no events"                    # in ``Session.notes``: the CSMS does not know NotifyEvent

Told = Generator[Ask, Answer | None, Got]
Step = Callable[[Desk], Told]


def status_notification(desk: Desk, payload: dict[str, Any]) -> Work:
    """Only what changed is told; a CSMS that was just connected knows nothing."""
    number, status = payload.get("connectorId"), payload.get("status")
    error = payload.get("errorCode", NO_ERROR)
    if not isinstance(number, int) or not is_id(number, 0) or not isinstance(status, str) or not isinstance(error, str):
        return Refusal("PropertyConstraintViolation", "a StatusNotification has a connectorId, a status and an errorCode")
    before = _before(desk, number)
    if before.status == "" and len(desk.kept.connectors) >= MOST_CONNECTORS:
        return Refusal("PropertyConstraintViolation", f"a station has at most {MOST_CONNECTORS} connectors")
    steps: list[Step] = []
    carried = desk.carry(payload, "StatusNotification")
    timestamp = carried.get("timestamp")
    if timestamp is None:
        timestamp = desk.now()
        desk.lost("$.timestamp", "the station says no time", "invented")
    connector_status = carried.get("connectorStatus")
    asked = expected(desk, "StatusNotification", number)
    if asked == "StatusNotification":
        desk.link.notes.pop(_TOLD, None)    # asked of all: those that follow are told too
    if number and connector_status is not None and (asked or _unknown(desk, number, connector_status)):
        told, connector = connector_status, number
        steps.append(lambda desk: _status(desk, connector, told, timestamp))
    event = _event(desk, number, status, timestamp) if number else 0
    now = structs.replace(
        before, status=status[:MOST_STATUS], sent=connector_status or before.sent,
        error="" if error == NO_ERROR else error[:MOST_STATUS])
    desk.changed(structs.replace(now, since_ns=desk.now_ns) if status != before.status else now)
    if event:
        steps.append(lambda desk: deliver(desk, event))
    data = _problem(desk, before, now, payload) + _availability(desk, before, number, status, connector_status)
    if data:
        steps.append(lambda desk: _notify(desk, timestamp, data, payload))
    elif error == NO_ERROR:
        for name in _DETAILS:
            if payload.get(name):
                desk.lost(f"$.{name}", "there is no problem to tell it with")
    return (yield from _told(desk, steps))


def _told(desk: Desk, steps: list[Step]) -> Work:
    """Tell the first, and the others behind it."""
    if not steps:
        return {}
    got = yield from steps[0](desk)
    if len(steps) > 1:
        desk.follow(_others(desk.aside(desk.action), steps[1:]), "what else is to be told of it")
    if got.payload is None and not got.lacks:
        return refused(desk, got)
    return {}


def _others(desk: Desk, steps: list[Step]) -> Background:
    for step in steps:
        yield from step(desk)


# ---- StatusNotification ----

def _before(desk: Desk, number: int) -> Connector:
    """What was known of it; number 0 is the station itself."""
    known = next((one for one in desk.kept.connectors if one.number == number), None)
    return known or Connector(number, *(desk.evse(number) if number else (0, 0)))


def _unknown(desk: Desk, number: int, status: str) -> bool:
    """Whether the CSMS does not know it: of this link, since the station's last boot."""
    told: dict[int, tuple[int, str]] = desk.link.notes.setdefault(_TOLD, {})
    return told.get(number) != (_boot(desk), status)


def _boot(desk: Desk) -> int:
    return desk.kept.boot.at_ns if desk.kept.boot is not None else 0


def _status(desk: Desk, number: int, status: str, timestamp: str) -> Told:
    evse, conn = desk.evse(number)
    boot = _boot(desk)
    got = yield from desk.ask(Side.CSMS, "StatusNotification", {
        "timestamp": timestamp, "connectorStatus": status, "evseId": evse, "connectorId": conn,
    })
    if got.payload is not None:
        desk.link.notes.setdefault(_TOLD, {})[number] = (boot, status)
    return got


# ---- TransactionEvent ----

def _event(desk: Desk, number: int, status: str, timestamp: str) -> int:
    """The number of an event of the transaction that runs there, kept; 0: there is nothing to tell."""
    charging = desk.kept.charging
    here = running(charging, number)
    if not here:
        return 0
    tx = here[-1]
    if status == "Available":
        text = f"connector {number} is Available while transaction {tx.tid} has not ended"
        desk.find("available-while-open", text, "warning", "station")
    state = desk.enum("ChgState16>201", status) if status in TELLING else None
    old = happened_before(desk, timestamp)
    if state is None or state == tx.charging_state or timestamp < tx.started or (REPLAYED in tx.flags and not old):
        return 0
    event: dict[str, Any] = {
        "timestamp": timestamp, "triggerReason": "ChargingStateChanged",
        "transactionInfo": {"transactionId": tx.uid, "chargingState": state},
    }
    if old:
        event["offline"] = True
    after = post(desk, charging, structs.replace(tx, charging_state=state), UPDATED, event)
    if after is None:
        return 0
    desk.keep(charging=after)
    return after.outbox[-1].number


# ---- NotifyEvent ----

def _problem(desk: Desk, before: Connector, now: Connector, payload: dict[str, Any]) -> list[dict[str, Any]]:
    """A problem that began, or is gone."""
    if before.error == now.error:
        return []
    event = {**_about(now), "variable": {"name": "Problem"}, "actualValue": "true" if now.error else "false"}
    if now.error:
        event["techCode"] = now.error[:50]
        said = [str(payload[name]) for name in _DETAILS if payload.get(name)]
        if said:
            event["techInfo"] = " | ".join(said)[:500]
    else:
        event["cleared"] = True
        event["techCode"] = before.error[:50]
    return [event]


def _availability(
    desk: Desk, before: Connector, number: int, status: str, connector_status: str | None,
) -> list[dict[str, Any]]:
    """The status of the station itself: 2.0.1 has no StatusNotification of it."""
    if number or connector_status is None:
        return []
    told: dict[int, tuple[int, str]] = desk.link.notes.setdefault(_TOLD, {})
    if not _unknown(desk, 0, status):
        return []
    told[0] = (_boot(desk), status)
    return [{**_about(before), "variable": {"name": "AvailabilityState"}, "actualValue": connector_status}]


def _about(connector: Connector) -> dict[str, Any]:
    if not connector.number:
        return {"component": {"name": "ChargingStation"}}
    return {"component": {"name": "Connector", "evse": {"id": connector.evse, "connectorId": connector.conn}}}


def _notify(desk: Desk, timestamp: str, data: list[dict[str, Any]], payload: dict[str, Any]) -> Told:
    if desk.link.notes.get(_NO_EVENTS):
        _untold(desk, payload)
        return Got(payload={})
    first = desk.kept.next_event_id
    desk.keep(next_event_id=first + len(data))
    events = [{
        "eventId": first + at, "timestamp": timestamp, "trigger": "Alerting", "eventNotificationType": "HardWiredNotification",
        **event,
    } for at, event in enumerate(data)]
    got = yield from desk.ask(Side.CSMS, "NotifyEvent", {"generatedAt": timestamp, "seqNo": 0, "eventData": events})
    if got.lacks:
        _untold(desk, payload)
        desk.link.notes[_NO_EVENTS] = True
        desk.find("no-events", "the CSMS does not know NotifyEvent: problems of connectors are not told", "warning", "csms")
    return got


def _untold(desk: Desk, payload: dict[str, Any]) -> None:
    """Of a connector the status is told all the same."""
    names = ("errorCode", *(name for name in _DETAILS if payload.get(name))) if payload.get("connectorId") else ("",)
    for name in names:
        desk.lost(name, "the CSMS does not know NotifyEvent")


UP_STATION = {"StatusNotification": status_notification}
