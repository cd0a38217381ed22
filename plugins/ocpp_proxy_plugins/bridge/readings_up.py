"""Owns the MeterValues of a 1.6 station: an event of the transaction they belong to, else MeterValues."""

from collections.abc import Generator
from typing import Any
from zlib import crc32

from msgspec import structs

from ocpp_proxy.api import Answer, Ask, Side
from ocpp_proxy_plugins.bridge import orphans
from ocpp_proxy_plugins.bridge.charging_up import REPLAYED, TELLING
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.events import EVENT, UPDATED, deliver, happened_before, owed, post
from ocpp_proxy_plugins.bridge.expected_up import expected
from ocpp_proxy_plugins.bridge.kept import Charging, Tx
from ocpp_proxy_plugins.bridge.meter_up import context, dated
from ocpp_proxy_plugins.bridge.plain import refused
from ocpp_proxy_plugins.bridge.stops_up import DEAUTHORIZED, REFUSED, deauthorized
from ocpp_proxy_plugins.bridge.transactions import by_tid, is_id, running
from ocpp_proxy_plugins.bridge.work import Refusal, Work

_TRIGGERS = {"Sample.Clock": "MeterValueClock", "Trigger": "Trigger"}
_BEHIND_VALUES = b',"offline"'


def meter_values(desk: Desk, payload: dict[str, Any]) -> Work:
    """What the station measured. Where nothing of it can be carried, the CSMS hears nothing."""
    event = desk.carry(payload, EVENT)
    values = event.get("meterValue")
    if not values:
        return {}
    newest = dated(values, desk.now(), desk, "$.meterValue")
    charging = desk.kept.charging
    found = _transaction(desk, charging, payload, newest)
    if found is None:
        return (yield from _plain(desk, payload, values))
    if isinstance(found, dict | Refusal):
        return found
    number = _posted(desk, *found, values, newest)
    if isinstance(number, Refusal):
        return number
    if number:
        got = yield from deliver(desk, number)
        if got.payload is None:
            return refused(desk, got)
    _goes_on(desk, found[1].tid)
    return {}


def _transaction(
    desk: Desk, charging: Charging, payload: dict[str, Any], newest: str,
) -> tuple[Charging, Tx] | dict[str, Any] | None:
    """The transaction they belong to, and the state with it; None: to none that runs. An answer: nobody is told."""
    tid, connector = payload.get("transactionId"), payload.get("connectorId")
    tx = by_tid(charging, tid) or orphans.known(charging, tid)
    if tx is not None:
        if tx.state == "ended":
            desk.lost("$.transactionId", "the transaction has ended: the values are told without it")
            return None
        return charging, tx if orphans.NAMED in tx.flags else structs.replace(tx, flags=(*tx.flags, orphans.NAMED))
    if not isinstance(connector, int) or not is_id(connector):
        if tid is not None:
            desk.lost("$.transactionId", "no such transaction is known, and no connector is named")
        return None
    here = running(charging, connector)
    tx = orphans.adopted(charging, tid, here)
    if tx is not None:
        return charging, tx
    if tid is None or tid == 0 or here:
        if tid is not None:
            desk.lost("$.transactionId", "no such transaction is known: the values are told without it")
        return None
    if desk.options.orphans == "reject":
        desk.lost("$", f"transaction {tid} is not known")
        desk.find("orphan", f"values of transaction {tid}, which is not known, are told to nobody", "warning")
        return {}
    return orphans.made_up(desk, charging, tid, newest, connector, "")


def _posted(desk: Desk, charging: Charging, tx: Tx, values: list[Any], newest: str) -> int | Refusal:
    """The number of their event, kept; of a repetition that of the first; 0: that was answered."""
    before = happened_before(desk, newest)
    trigger = _TRIGGERS.get(context(values), "MeterValuePeriodic")
    if desk.kept.expected and (expected(desk, "TransactionEvent", tx.connector) or expected(desk, "MeterValues", tx.connector)):
        trigger = "Trigger"
    info = {"transactionId": tx.uid}
    if not before and REPLAYED in tx.flags:
        tx = _live(desk, tx)
        if tx.charging_state:
            info["chargingState"] = tx.charging_state
    event: dict[str, Any] = {
        "meterValue": values, "timestamp": newest, "offline": before, "triggerReason": trigger, "transactionInfo": info,
    }
    after = post(desk, charging, tx, UPDATED, event)
    if after is None:
        return Refusal("PropertyConstraintViolation", "no valid TransactionEvent can be made of it")
    made = after.outbox[-1]
    key = crc32(made.payload[: made.payload.rindex(_BEHIND_VALUES)])
    if key == tx.last_key:                  # said again: the first stands
        event_before = owed(charging, tx.tid, UPDATED)
        return event_before.number if event_before is not None else 0
    transactions = tuple(
        structs.replace(one, last_key=key) if one.tid == tx.tid else one for one in after.transactions
    )
    desk.keep(charging=structs.replace(after, transactions=transactions))
    return made.number


def _live(desk: Desk, tx: Tx) -> Tx:
    """It began before the station connected and goes on: what the connector does now is its state."""
    status = next((one.status for one in desk.kept.connectors if one.number == tx.connector), "")
    state = desk.enum("ChgState16>201", status) if status in TELLING else None
    return structs.replace(
        tx, flags=tuple(flag for flag in tx.flags if flag != REPLAYED), charging_state=state or tx.charging_state,
    )


def _plain(desk: Desk, payload: dict[str, Any], values: list[Any]) -> Generator[Ask, Answer | None, dict[str, Any] | Refusal]:
    """MeterValues of an EVSE, or of the station (0)."""
    connector = payload.get("connectorId")
    if not isinstance(connector, int) or not is_id(connector, 0):
        return Refusal("PropertyConstraintViolation", "MeterValues have a connectorId from 0 on")
    evse = desk.evse(connector)[0] if connector else 0
    got = yield from desk.ask(Side.CSMS, "MeterValues", {"evseId": evse, "meterValue": values})
    return {} if got.payload is not None else refused(desk, got)


def _goes_on(desk: Desk, tid: int) -> None:
    """A station that charges on with a token that was refused at the start is stopped."""
    charging = desk.kept.charging
    tx = by_tid(charging, tid)
    if tx is not None and REFUSED in tx.flags and DEAUTHORIZED not in tx.flags:
        after = deauthorized(desk, charging, tx)
        if after is not charging:
            desk.keep(charging=after)


UP_STATION = {"MeterValues": meter_values}
