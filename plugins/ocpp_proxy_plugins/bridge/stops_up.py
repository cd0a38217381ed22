"""Owns the stops that the bridge asks a 1.6 station for: a token that is refused now, a start that was given up."""

from typing import Any

from msgspec import structs

from ocpp_proxy.api import Side
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.kept import Charging, Tx
from ocpp_proxy_plugins.bridge.transactions import by_tid, changed
from ocpp_proxy_plugins.bridge.work import Background

DEAUTHORIZED = "deauthorized"               # flags of a Tx
REFUSED = "refused"
REMOTE_STOP = "remote_stop"
STOPS = "StopTransactionOnInvalidId"        # in ``Kept.can``


def flagged(tx: Tx, *flags: str) -> Tx:
    """The same with these flags."""
    new = tuple(flag for flag in flags if flag not in tx.flags)
    return structs.replace(tx, flags=(*tx.flags, *new)) if new else tx


def accepts(answer: dict[str, Any]) -> bool:
    """Whether an answer to a TransactionEvent leaves the token authorised."""
    info = answer.get("idTokenInfo")
    return not isinstance(info, dict) or info.get("status") in (None, "Accepted")


def deauthorized(desk: Desk, charging: Charging, tx: Tx) -> Charging:
    """The CSMS refuses the token while it charges: the station is asked to stop, once; its end is told as deauthorised."""
    if DEAUTHORIZED in tx.flags or tx.state == "ended" or not desk.kept.can.get(STOPS, True):
        return charging
    desk.begin(stop(desk.aside(), tx.tid), "the CSMS refuses the token")
    return structs.replace(charging, transactions=changed(charging, flagged(tx, DEAUTHORIZED)))


def stop(desk: Desk, tid: int) -> Background:
    """Ask the station to stop it."""
    got = yield from desk.ask(Side.STATION, "RemoteStopTransaction", {"transactionId": tid})
    if got.status == "Accepted":
        return
    tx = by_tid(desk.kept.charging, tid)
    if tx is not None and tx.state != "ended":
        why = got.status or got.why
        desk.find("not-stopped", f"the station was asked to stop transaction {tid} and goes on ({why})", "warning", "station")
