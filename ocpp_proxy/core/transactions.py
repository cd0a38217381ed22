"""Owns the following of transactions: 1.6 Start/StopTransaction, 2.x TransactionEvent; and the station's registration.

A 1.6 stop finds its start by id; with -1 or 0 it takes the latest open one of that station (errata v4.0, 3.18).
"""

from ocpp_proxy.checks.metering import readings
from ocpp_proxy.checks.stamps import is_unset, seconds_of
from ocpp_proxy.checks.state import TRANSACTIONS, OpenCall, StationState, Tx
from ocpp_proxy.checks.values import dig, number, text
from ocpp_proxy.model import Message, Transaction
from ocpp_proxy.records import Record, TransactionChanged


def follow(message: Message, payload: object, call: OpenCall | None, station: StationState, out: list[Record]) -> Tx | None:
    """Take a message of one of the actions above into the station's state; the transaction it belongs to, if known."""
    if not isinstance(payload, dict):
        return None
    action, answer = message.action, message.mtype == 3
    if action == "BootNotification":
        if answer:
            status = text(payload.get("status"))
            station.registration = status if status in ("Pending", "Rejected") else ""
        else:
            station.booted = True
        return None
    if action == "StartTransaction":
        return _start_answer(message, call, station, out) if answer else _start(message, payload, station)
    if action == "StopTransaction":
        return _stop(message, payload, station, out)
    return _event(message, payload, station, out)


def _start(message: Message, payload: dict[str, object], station: StationState) -> Tx:
    tx = Tx(
        "", message.link_id, _instant(payload, message.time_ns), message.msg_no, message.connector_id, None, message.id_token,
        number(payload.get("meterStart")), frame_id=message.frame_id,
    )
    _remember(station, tx)
    return tx


def _start_answer(message: Message, call: OpenCall | None, station: StationState, out: list[Record]) -> Tx | None:
    tx = next((tx for tx in reversed(station.transactions) if call is not None and tx.call_no == call.msg_no), None)
    if tx is not None and message.tx_id:
        tx.tx_id = message.tx_id
        out.append(_changed(tx, tx.tx_id, message))
    return tx


def _stop(message: Message, payload: dict[str, object], station: StationState, out: list[Record]) -> Tx | None:
    value = payload.get("transactionId")
    named = isinstance(value, int) and value > 0
    tx = station.transaction(message.tx_id) if named else station.open_transaction()
    known = tx is not None
    if tx is None:
        tx = Tx(message.tx_id, message.link_id, None, frame_id=message.frame_id)
        _remember(station, tx)
    tx.stopped_ns = _instant(payload, message.time_ns)
    tx.meter_stop = number(payload.get("meterStop"))
    tx.reason = text(payload.get("reason"))[:50] or "Local"
    if tx.id_token == "":
        tx.id_token = message.id_token
    out.append(_changed(tx, tx.tx_id or message.tx_id, message))
    return tx if known else None


def _event(message: Message, payload: dict[str, object], station: StationState, out: list[Record]) -> Tx | None:
    if not message.tx_id:
        return None
    kind = payload.get("eventType")
    tx = station.transaction(message.tx_id)
    told = tx is None or kind == "Started"
    if tx is None:
        tx = Tx(message.tx_id, message.link_id, None, message.msg_no, frame_id=message.frame_id)
        _remember(station, tx)
    if message.evse_id is not None:
        tx.evse_id = message.evse_id
    if message.connector_id is not None:
        tx.connector_id = message.connector_id
    tx.id_token = tx.id_token or message.id_token
    registers = [reading.wh for reading in readings(payload, "meterValue", "") if reading.key == "||"]
    if kind == "Started":
        tx.started_ns = _instant(payload, message.time_ns)
        tx.meter_start = registers[0] if registers else tx.meter_start
    elif kind == "Ended":
        tx.stopped_ns = _instant(payload, message.time_ns)
        tx.meter_stop = registers[-1] if registers else tx.meter_stop
        info = payload.get("transactionInfo", payload.get("transactionData"))
        tx.reason = text(dig(info, "stoppedReason"))[:50] or "Local"
    if told or kind == "Ended":
        out.append(_changed(tx, tx.tx_id, message))
    return tx


def _remember(station: StationState, tx: Tx) -> None:
    station.transactions.append(tx)
    if len(station.transactions) > TRANSACTIONS:
        ended = next((index for index, old in enumerate(station.transactions) if old.stopped_ns is not None), 0)
        del station.transactions[ended]


def _instant(payload: dict[str, object], arrived_ns: int) -> int:
    """The station's own time stamp (an offline transaction comes late), or the arrival where that cannot be one."""
    stamp = text(payload.get("timestamp"))
    seconds = seconds_of(stamp)
    if seconds is None or is_unset(stamp) or not 0 < seconds < 9e9:
        return arrived_ns
    return round(seconds * 1_000_000) * 1000


def _changed(tx: Tx, tx_id: str, message: Message) -> TransactionChanged:
    return TransactionChanged(Transaction(
        tx_id, message.identity, tx.link_id, message.protocol, tx.started_ns, tx.stopped_ns, tx.evse_id, tx.connector_id,
        tx.id_token, tx.meter_start, tx.meter_stop, tx.reason,
    ))
