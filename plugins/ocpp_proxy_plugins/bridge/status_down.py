"""What a 1.6 CSMS is told of the connectors of a 2.0.1 station: StatusNotification, and what Occupied means there.

A station says ``Occupied`` where 1.6 has five words: what its transaction does decides. It may say so by StatusNotification
or by NotifyEvent (2.0.1 G01.FR.04 to 06).
"""

from collections import deque
from typing import Any

from msgspec import Struct, field, structs

from ocpp_proxy.api import Side
from ocpp_proxy_plugins.bridge.converters import NOTHING, time
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.kept import Connector, Tx
from ocpp_proxy_plugins.bridge.plain import refused
from ocpp_proxy_plugins.bridge.rows_down import plugged
from ocpp_proxy_plugins.bridge.work import Background, Refusal, Work

MOST_NUMBER = 10_000                        # of an EVSE or connector that is believed
STATION = "status.station"                  # the fact: what the station as a whole was told last
OF_STATION = ("Available", "Unavailable", "Faulted")
MOST_AT_ONCE = 16                           # StatusNotifications of ours that are under way
MOST_WAITING = 2000                         # and those behind them
_TELLING = "status.telling"
_FIELDS = frozenset(("timestamp", "connectorStatus", "evseId", "connectorId"))


class Telling(Struct):
    """What the CSMS is still to be told of connectors."""

    under_way: int = 0
    waiting: deque[dict[str, Any]] = field(default_factory=deque)


def status_notification(desk: Desk, payload: dict[str, Any]) -> Work:
    """Told as it comes, also twice: the CSMS may have asked for it."""
    evse, conn, said = payload.get("evseId"), payload.get("connectorId"), payload.get("connectorStatus")
    if evse is None or conn is None or not number(evse) or not number(conn):
        return Refusal("PropertyConstraintViolation", "evseId and connectorId are numbers of an EVSE and its connector")
    if said != "Occupied" and desk.enum("ConnStatus201>16", said) is None:
        return Refusal("PropertyConstraintViolation", "connectorStatus is none of OCPP 2.0.1")
    leftovers(desk, payload, _FIELDS)
    at = time(payload.get("timestamp"), desk, "timestamp")
    connector = took(desk, desk.known(evse, conn), str(said))
    got = yield from desk.ask(Side.CSMS, "StatusNotification", message(connector, at))
    return {} if got.payload is not None else refused(desk, got)


def number(value: object) -> bool:
    """Whether it can be the number of an EVSE or of a connector."""
    return type(value) is int and 0 < value <= MOST_NUMBER


def leftovers(desk: Desk, payload: dict[str, Any], known: frozenset[str]) -> None:
    """Tell what is carried nowhere."""
    for name in payload:
        if name not in known:
            desk.lost(name[:60], "no such field in OCPP 1.6")


def took(desk: Desk, connector: Connector, said: str) -> Connector:
    """Remember what the station says of a connector; ``sent`` is what the CSMS is told of it then."""
    meant = occupied(plugged(desk, connector.number), connector) if said == "Occupied" else said
    error = connector.error if said == "Faulted" or connector.status != "Faulted" else ""
    if (connector.status, connector.sent, connector.error) == (said, meant, error):
        return connector
    now = structs.replace(connector, status=said, sent=meant, error=error, since_ns=desk.now_ns)
    desk.changed(now)
    return now


def occupied(tx: Tx | None, connector: Connector) -> str:
    """Which of 1.6's words Occupied is."""
    if tx is None:
        return "Finishing" if connector.sent == "Finishing" else "Preparing"
    if tx.state == "waiting":
        return "Preparing"
    return {"Charging": "Charging", "SuspendedEV": "SuspendedEV", "SuspendedEVSE": "SuspendedEVSE", "": "Charging"}.get(
        tx.charging_state, "Preparing")


def message(connector: Connector, at: Any, code: str = "", info: str = "") -> dict[str, Any]:
    """The StatusNotification of a connector as it is. ``code``: the station's own; ``at`` may be ``NOTHING``."""
    error = "NoError"
    if connector.sent == "Faulted":
        error = connector.error or "OtherError"
    made: dict[str, Any] = {"connectorId": connector.number, "errorCode": error, "status": connector.sent}
    if at is not NOTHING:
        made["timestamp"] = at
    if code:
        made["vendorErrorCode"] = code
    if info:
        made["info"] = info
    return made


def become(desk: Desk, connector: Connector, meant: str, at: Any) -> bool:
    """A transaction says what a connector does: the CSMS is told, when that is news to it; whether it was."""
    if connector.sent == meant:
        return False
    connector = structs.replace(connector, sent=meant, since_ns=desk.now_ns)
    desk.changed(connector)
    tell(desk, message(connector, at))
    return True


def tell(desk: Desk, payload: dict[str, Any]) -> None:
    """A StatusNotification of ours, behind this hook; nobody waits for its answer. Of many the later wait."""
    telling: Telling = desk.link.notes.setdefault(_TELLING, Telling())
    if telling.under_way < MOST_AT_ONCE:
        telling.under_way += 1
        desk.follow(_tell(desk.aside("StatusNotification"), payload, telling), "what a connector does")
    elif len(telling.waiting) < MOST_WAITING:
        telling.waiting.append(payload)
    else:
        desk.find("statuses", f"{MOST_WAITING} statuses wait for the CSMS: one more is not told", "warning", "csms")


def _tell(desk: Desk, payload: dict[str, Any], telling: Telling) -> Background:
    try:
        yield from desk.ask(Side.CSMS, "StatusNotification", payload)
    finally:
        telling.under_way -= 1
    if telling.waiting:
        telling.under_way += 1
        desk.begin(_tell(desk, telling.waiting.popleft(), telling), "what a connector does")


def station_is(desk: Desk, status: str, code: str = "", info: str = "", error: str = "") -> None:
    """The station as a whole, which is connector 0 in 1.6."""
    if status not in OF_STATION:
        return
    if desk.kept.facts.get(STATION) != status:
        desk.keep(facts={**desk.kept.facts, STATION: status})
    connector = Connector(0, 0, 0, status, status, error)
    tell(desk, message(connector, desk.now(), code, info))


DOWN_STATION = {"StatusNotification": status_notification}
