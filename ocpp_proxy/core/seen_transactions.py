"""Transactions as their messages pass, with their meter values and the profiles set for them. Bounded; losses are counted.

The rules are those of the capture's view ``transactions``, by time of arrival; and what began before the records did is a
transaction too, with no start.
"""

import re
from collections import deque
from itertools import pairwise

from msgspec import Struct, field

from ocpp_proxy.checks.values import dig, number, text
from ocpp_proxy.core.curve import Told, curve
from ocpp_proxy.core.limits import ORDERS
from ocpp_proxy.core.meter import METERED, Point, read
from ocpp_proxy.core.seen_chargers import LENGTH, loads
from ocpp_proxy.core.seen_findings import cut
from ocpp_proxy.model import Message
from ocpp_proxy.source import Charging, Sample

TRANSACTIONS = 10_000
POINTS = 2_000                              # of a transaction, the newest
ALL_POINTS = 200_000
PENDING = 1_000                             # Calls that wait for what their answer says
KEPT_ORDERS = 10_000                        # of all chargers, the newest
ORDER_BYTES = 16 << 20
RUNS = 100                                  # of sequence numbers, with holes between
_WHOLE = re.compile(r"-?[0-9]{1,15}")
ASKED = METERED | ORDERS | {"StartTransaction"}


class Runs(Struct):
    """Which sequence numbers came: ranges in order, the first that were joined in spite of a hole, and its size."""

    ranges: list[tuple[int, int]] = field(default_factory=list)
    holes: int = 0

    def add(self, value: int) -> None:
        """A number came."""
        low, high = value, value
        kept = []
        for first, last in self.ranges:
            if last < low - 1 or first > high + 1:
                kept.append((first, last))
            else:
                low, high = min(low, first), max(high, last)
        self.ranges = sorted([*kept, (low, high)])
        while len(self.ranges) > RUNS:
            (first, last), (after, end) = self.ranges[:2]
            self.holes += after - last - 1
            self.ranges[:2] = [(first, end)]

    @property
    def missing(self) -> int | None:
        """How many between the first and the last never came; None: no number did."""
        if not self.ranges:
            return None
        return self.holes + sum(after[0] - before[1] - 1 for before, after in pairwise(self.ranges))


class _Tx(Struct):
    """One transaction. ``start_no``: the answer that gave it its id (1.6), 0: none. Its energy register in Wh."""

    tx_id: str
    identity: str
    start_no: int
    protocol: str
    evse: int | None = None
    connector: int | None = None
    started_ns: int = 0
    stopped_ns: int = 0
    meter_start: float | None = None
    meter_stop: float | None = None
    low: float | None = None
    high: float | None = None
    id_token: str = ""
    reason: str = ""
    sequence: Runs | None = None
    told: deque[Told] = field(default_factory=deque)
    size: int = 0                           # points in it


class _Asked(Struct, frozen=True):
    """A Call whose answer decides: a StartTransaction, or an order about charging profiles."""

    message: Message
    payload: object


class SeenTransactions:
    """Takes messages in. ``forgotten``: transactions, points and orders no longer remembered."""

    def __init__(self) -> None:
        self.forgotten = 0
        self._all: dict[tuple[str, str, int], _Tx] = {}
        self._now: dict[tuple[str, str], _Tx] = {}
        self._pending: dict[int, _Asked] = {}
        self._orders: deque[tuple[str, int, str, bytes]] = deque()
        self._order_bytes = self._points = 0

    def message(self, message: Message, payload: object) -> None:
        """A message with an action of ``ASKED``, and its payload as JSON."""
        action = message.action
        if action in ORDERS or action == "StartTransaction":
            if message.mtype == 2:
                self._pending[message.msg_no] = _Asked(message, payload)
                if len(self._pending) > PENDING:
                    del self._pending[next(iter(self._pending))]
                    self.forgotten += 1
            elif message.call_no is not None:
                asked = self._pending.pop(message.call_no, None)
                if asked is not None and message.mtype == 3:
                    self._answered(asked, message, payload)
        elif message.mtype == 2 and message.tx_id:
            tx = self._now.get((message.identity, message.tx_id)) or self._add(_Tx(
                message.tx_id, message.identity, 0, message.protocol))
            if action == "TransactionEvent":
                _event(tx, message, payload)
            elif action == "StopTransaction":
                _stop(tx, message, payload)
            else:
                tx.connector = message.connector_id if tx.connector is None else tx.connector
            reading = read(action, payload)
            for wh in reading.registers:
                tx.low = wh if tx.low is None else min(tx.low, wh)
                tx.high = wh if tx.high is None else max(tx.high, wh)
            self._tell(tx, message, reading.points)

    def _answered(self, asked: _Asked, answer: Message, payload: object) -> None:
        message = asked.message
        if message.action == "StartTransaction":
            if answer.tx_id:
                tx = self._add(_Tx(
                    answer.tx_id, message.identity, answer.msg_no, message.protocol, None, message.connector_id,
                    cut(message.time_ns), meter_start=number(dig(asked.payload, "meterStart")), id_token=message.id_token))
                self._tell(tx, message, read(message.action, asked.payload).points)
        elif text(dig(payload, "status")) == "Accepted":
            self._orders.append((message.identity, cut(answer.time_ns), message.action, message.payload))
            self._order_bytes += len(message.payload)
            while len(self._orders) > KEPT_ORDERS or self._order_bytes > ORDER_BYTES:
                self._order_bytes -= len(self._orders.popleft()[3])
                self.forgotten += 1

    def _add(self, tx: _Tx) -> _Tx:
        self._all[tx.identity, tx.tx_id, tx.start_no] = self._now[tx.identity, tx.tx_id] = tx
        if len(self._all) > TRANSACTIONS:
            key = next((key for key, old in self._all.items() if old.stopped_ns), next(iter(self._all)))
            old = self._all.pop(key)
            self._points -= old.size
            self.forgotten += 1
            if self._now.get(key[:2]) is old:
                del self._now[key[:2]]
        return tx

    def _tell(self, tx: _Tx, message: Message, said: tuple[Point, ...]) -> None:
        if not said:
            return
        tx.told.append(Told(cut(message.time_ns), said))
        tx.size += len(said)
        self._points += len(said)
        while tx.size > POINTS:
            self._drop(tx, tx.told.popleft())
        while self._points > ALL_POINTS:
            oldest = next(old for old in self._all.values() if old.told)
            while oldest.told:
                self._drop(oldest, oldest.told.popleft())

    def _drop(self, tx: _Tx, told: Told) -> None:
        tx.size -= len(told.points)
        self._points -= len(told.points)
        self.forgotten += len(told.points)

    def transactions(self, identity: str = "", limit: int = 10_000) -> list[Charging]:
        """As ``source.Source.transactions``."""
        found = [tx for tx in self._all.values() if not identity or tx.identity == identity]
        found.sort(key=lambda tx: (-tx.started_ns, tx.identity, tx.tx_id, tx.start_no))
        return [_charging(tx) for tx in found[:limit]]

    def curve(self, charging: Charging) -> list[Sample]:
        """As ``source.Source.curve``; of several with this id the one begun then, else the last."""
        same = [tx for tx in self._all.values() if (tx.identity, tx.tx_id) == (charging.identity, charging.tx_id)]
        same.sort(key=lambda tx: (tx.started_ns == charging.started_ns, tx.start_no))
        told = same[-1].told if same else ()
        orders = [(time_ns, action, loads(payload)) for identity, time_ns, action, payload in self._orders
                  if identity == charging.identity]
        return curve(charging, told, orders)


def _event(tx: _Tx, message: Message, payload: object) -> None:
    what, sequence = dig(payload, "eventType"), dig(payload, "seqNo")
    reason = text(dig(payload, "transactionInfo", "stoppedReason"))[:LENGTH]
    tx.evse = message.evse_id if tx.evse is None else tx.evse
    tx.connector = message.connector_id if tx.connector is None else tx.connector
    tx.id_token = tx.id_token or message.id_token
    tx.reason = reason or tx.reason
    if what == "Started":
        tx.started_ns = min(cut(message.time_ns), tx.started_ns or cut(message.time_ns))
    elif what == "Ended":
        tx.stopped_ns = max(cut(message.time_ns), tx.stopped_ns)
    tx.sequence = tx.sequence or Runs()
    if _WHOLE.fullmatch(str(sequence)):
        tx.sequence.add(int(str(sequence)))


def _stop(tx: _Tx, message: Message, payload: object) -> None:
    if tx.stopped_ns:
        return
    tx.stopped_ns, tx.meter_stop = cut(message.time_ns), number(dig(payload, "meterStop"))
    tx.reason = text(dig(payload, "reason"))[:LENGTH]


def _charging(tx: _Tx) -> Charging:
    first = tx.low if tx.meter_start is None else tx.meter_start
    last = tx.high if tx.meter_stop is None else tx.meter_stop
    kwh = None if first is None or last is None else (last - first) / 1000
    missing = tx.sequence.missing if tx.sequence is not None else None
    return Charging(tx.tx_id, tx.identity, tx.protocol, tx.evse, tx.connector, tx.started_ns, tx.stopped_ns, kwh, tx.id_token,
                    reason_of(tx.reason, tx.stopped_ns), missing)


def reason_of(reason: str, stopped_ns: int) -> str:
    """Why a transaction ended: what is left out means Local (1.6, 6.47; 2.x, TransactionType)."""
    return reason or ("Local" if stopped_ns else "")
