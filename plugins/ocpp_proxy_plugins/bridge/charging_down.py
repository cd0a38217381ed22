"""Transactions of a 2.0.1 station on a 1.6 CSMS: TransactionEvent as StartTransaction, MeterValues and StopTransaction.

waiting (nobody known yet, or nothing plugged in) -> pending (its StartTransaction is owed) -> open -> ending (its
StopTransaction is owed) -> ended; refused: the CSMS did not take its start. An event that 1.6 has no message for is answered
at once; every other once the CSMS answered: until then the station keeps it.
"""

from collections.abc import Generator
from typing import Any

import msgspec
from msgspec import structs

from ocpp_proxy.api import Answer, Ask, Side
from ocpp_proxy_plugins.bridge import outbox_down
from ocpp_proxy_plugins.bridge.converters import NOTHING, time
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.events_down import Seen, behind, may_start, read, tag_of, unused
from ocpp_proxy_plugins.bridge.kept import Tx
from ocpp_proxy_plugins.bridge.meter_down import meter_values
from ocpp_proxy_plugins.bridge.outbox_down import START, STOP, UNTOLD, owe, owed, settle
from ocpp_proxy_plugins.bridge.plain import refused
from ocpp_proxy_plugins.bridge.registers_down import begun, ended, only_register, rounded
from ocpp_proxy_plugins.bridge.rows_down import again, find, rows, save
from ocpp_proxy_plugins.bridge.starting_down import without_tag
from ocpp_proxy_plugins.bridge.status_down import become, occupied
from ocpp_proxy_plugins.bridge.tokens import same
from ocpp_proxy_plugins.bridge.work import Got, Refusal, Work

MOST_KEPT = 32_768                          # bytes of a StopTransaction that is kept
UNLOCKED = "unlock"                         # flag: the CSMS unlocks its connector, which ends it

Asking = Generator[Ask, Answer | None, Refusal | None]


def transaction_event(desk: Desk, payload: dict[str, Any]) -> Work:
    """What the event means in 1.6 is told there; the answer has what the CSMS said of the token."""
    seen = read(payload)
    if isinstance(seen, Refusal):
        return seen
    tx = find(desk, seen.uid)
    if seen.uid in rows(desk).under_way:
        return Refusal("GenericError", "a message of this transaction waits for its answer: send the event again")
    if tx is not None and again(tx, seen.seq, seen.ms):
        return (yield from _again(desk, tx, seen))
    unused(desk, seen)
    id_tag = tag_of(desk, seen.token)
    if tx is not None and tx.state in ("pending", "ending") and owed(desk, seen.uid) is not None:
        yield from settle(desk, seen.uid)               # in order: the start, then this
        tx = find(desk, seen.uid)
        if tx is not None and tx.state == "pending":
            return Refusal("GenericError", "the CSMS has not answered its StartTransaction")
    before, tx = tx, behind(desk, tx, seen, id_tag)
    if tx.state == "waiting":
        return (yield from _waiting(desk, before, tx, seen, id_tag))
    if tx.state == "refused":
        return _refused(desk, tx, seen, id_tag)
    return (yield from _known(desk, before, tx, seen, id_tag))


def _again(desk: Desk, tx: Tx, seen: Seen) -> Work:
    """An event that was seen before. What it meant is told once; the station may not have heard that it was."""
    if tx.state in ("pending", "ending") and owed(desk, tx.uid) is not None:
        got = yield from settle(desk, tx.uid)
        if got.timeout:
            return refused(desk, got)
        tx = find(desk, tx.uid) or tx
        if tx.state == "open":
            _show(desk, tx, seen)
    return _answer(tx, seen)


def _answer(tx: Tx, seen: Seen) -> dict[str, Any]:
    """What was said of the token that began it, where the event has one or the CSMS does not want it."""
    if seen.token is None:
        return {}
    if not tx.id_tag:
        return {"idTokenInfo": {"status": without_tag(seen.token)}}
    return {"idTokenInfo": msgspec.json.decode(tx.told)} if tx.told else {}


# ---- the CSMS does not know it yet ----

def _waiting(desk: Desk, before: Tx | None, tx: Tx, seen: Seen, id_tag: str) -> Work:
    if not may_start(tx, seen):
        return _not_told(desk, before, tx, seen)
    begin = _meter_start(desk, before, tx, seen)
    at = time(seen.at, desk, "timestamp")
    made = {"connectorId": tx.connector, "idTag": tx.id_tag, "meterStart": begin, "timestamp": at}
    if tx.reservation_id is not None:
        made["reservationId"] = tx.reservation_id
    tx = structs.replace(tx, state="pending", started=seen.at, meter_start=begin, at_ns=desk.now_ns)
    given_up = _match(desk, tx)
    owe(desk, tx, START, made)
    got = yield from settle(desk, tx.uid)
    tx = find(desk, tx.uid) or tx
    if given_up:
        desk.begin(_stop(desk.aside(), tx.uid), "the CSMS was told that this start was rejected")
    if tx.state == "pending":
        return refused(desk, got)
    if tx.state == "refused":
        return _refused(desk, tx, seen, id_tag) if seen.kind == "Ended" else _answer(tx, seen)
    _show(desk, tx, seen)
    if seen.kind == "Ended":
        return (yield from _end(desk, tx, seen, id_tag))
    if not only_register(seen.values, seen.at):
        yield from _values(desk, tx, seen)
    return _answer(tx, seen)


def _not_told(desk: Desk, before: Tx | None, tx: Tx, seen: Seen) -> dict[str, Any]:
    """1.6 has no transaction before someone is known and something is plugged in."""
    ended = seen.kind == "Ended"
    desk.lost("", "nobody was authorised: 1.6 has no such transaction" if ended else "1.6 has no transaction yet")
    if ended:
        tx = structs.replace(tx, state="ended", stopped=seen.at, at_ns=desk.now_ns)
    _noted(desk, before, tx)
    _show(desk, tx, seen)
    return _answer(tx, seen)


def _meter_start(desk: Desk, before: Tx | None, tx: Tx, seen: Seen) -> int:
    """Wh: of this event, else the last that is known, else nothing."""
    found = begun(seen.values, seen.at)
    if found is not None:
        return rounded(found)
    known = before.register if before is not None else None
    if known is None:
        known = rows(desk).registers.get(tx.evse)
    if known is not None:
        desk.lost("meterStart", "no register in this event: the last that is known", "invented")
        return rounded(known)
    desk.lost("meterStart", "no register is known", "invented")
    desk.find("meter", f"transaction {tx.uid[:36]} begins without an energy register: 0 is told", "warning", "station")
    return 0


def _match(desk: Desk, tx: Tx) -> bool:
    """Take the remote start that it is from the list; whether the CSMS was told that it was rejected."""
    charging = desk.kept.charging
    mine = [one for one in charging.remote_starts if one.remote_start_id == tx.remote_start_id]
    if mine:
        rest = tuple(one for one in charging.remote_starts if one.remote_start_id != tx.remote_start_id)
        desk.keep(charging=structs.replace(charging, remote_starts=rest))
    return bool(mine) and mine[0].state == "given_up"


def _stop(desk: Desk, uid: str) -> Generator[Ask, Answer | None, None]:
    yield from desk.ask(Side.STATION, "RequestStopTransaction", {"transactionId": uid})


def _refused(desk: Desk, tx: Tx, seen: Seen, id_tag: str) -> dict[str, Any]:
    """The CSMS did not take its start: what happens in it is not told, except how it ends once the start was taken."""
    if seen.kind == "Ended" and not tx.stopped:
        made = _stop_message(desk, tx, seen, id_tag)
        if len(msgspec.json.encode(made)) > MOST_KEPT and made.pop("transactionData", None):
            desk.lost("meterValue", "too much to be kept until the CSMS takes the start of this transaction")
        owe(desk, structs.replace(tx, stopped=seen.at), STOP, made)
    else:
        desk.lost("", "the CSMS did not take the start of this transaction")
        save(desk, tx)
    return _answer(tx, seen)


# ---- the CSMS knows it ----

def _known(desk: Desk, before: Tx | None, tx: Tx, seen: Seen, id_tag: str) -> Work:
    if not tx.started:                                  # it ended, and 1.6 never had it
        desk.lost("", "1.6 never had this transaction")
        save(desk, tx)
        return _answer(tx, seen)
    if seen.kind == "Ended" and not tx.stopped:
        return (yield from _end(desk, tx, seen, id_tag))
    answer: dict[str, Any] = {}
    told = _show(desk, tx, seen) or bool(seen.values)
    if id_tag and not same(id_tag, tx.id_tag):
        got = yield from desk.ask(Side.CSMS, "Authorize", {"idTag": id_tag})
        if got.timeout:
            return refused(desk, got)
        answer = _authorized(desk, got)
        if not told:
            desk.lost("timestamp", "an Authorize of 1.6 has no time")
            told = True
    elif seen.token is not None or UNTOLD in tx.flags:
        answer = {"idTokenInfo": msgspec.json.decode(tx.told)} if tx.told else {}
        tx = structs.replace(tx, flags=tuple(flag for flag in tx.flags if flag != UNTOLD)) if UNTOLD in tx.flags else tx
    if not told:
        desk.lost("", "no message of 1.6 says this")
    if seen.values:
        problem = yield from _values(desk, tx, seen)
        if problem is not None:
            return problem
    _noted(desk, before, tx)
    return answer


def _authorized(desk: Desk, got: Got) -> dict[str, Any]:
    """What the CSMS says of another token than the one that began it."""
    if got.payload is None:
        desk.find("refused", f"Authorize was not taken ({got.why})", "warning", "csms")
        return {"idTokenInfo": {"status": "Unknown"}}
    return desk.entry("Authorize", Side.STATION).answers["Authorize"].carry(got.payload, desk)


def _noted(desk: Desk, before: Tx | None, tx: Tx) -> None:
    """It is so now. What it became while we waited stays."""
    now = find(desk, tx.uid)
    if now is not None and now is not before:
        newest = tx if tx.latest >= now.latest else now
        tx = structs.replace(now, next_seq=max(now.next_seq, tx.next_seq), seqs=_missing(now, tx), latest=newest.latest,
                             register=newest.register, charging_state=newest.charging_state)
    save(desk, tx)


def _missing(now: Tx, tx: Tx) -> tuple[int, ...]:
    """The first number and those that neither has seen: of a station that did not wait two events are dealt with at once."""
    if not now.seqs:
        return tx.seqs
    missing = {*now.seqs[1:], *tx.seqs[1:]}
    unseen = {seq for seq in missing if all(seq >= one.next_seq or seq in one.seqs[1:] for one in (now, tx))}
    return (now.seqs[0], *sorted(unseen))


def _values(desk: Desk, tx: Tx, seen: Seen) -> Asking:
    """MeterValues of the transaction; a CSMS that refuses them is told once, one that does not answer gets them again."""
    values = meter_values(seen.values, desk, "meterValue")
    if not values:
        return None
    got = yield from desk.ask(Side.CSMS, "MeterValues", _measured(tx, values))
    if got.timeout:
        return refused(desk, got)
    if got.payload is None:
        desk.find("refused", f"MeterValues of transaction {tx.uid[:36]} were not taken ({got.why})", "warning", "csms")
    return None


def _show(desk: Desk, tx: Tx, seen: Seen) -> bool:
    """What its charging state makes of the connector, and whether that is told. What happened offline is over."""
    if not seen.charging_state or tx.state == "ended":
        return False
    if seen.payload.get("offline") is True:
        desk.lost("transactionInfo.chargingState", "the station was offline: what its connector did then is over")
        return False
    connector = desk.known(tx.evse, tx.evse_connector) if tx.connector else None
    if connector is None or connector.status in ("Faulted", "Unavailable"):
        return False
    return become(desk, connector, occupied(tx, connector), time(seen.at, desk, "timestamp"))


# ---- it ends ----

def _end(desk: Desk, tx: Tx, seen: Seen, id_tag: str) -> Work:
    made = _stop_message(desk, tx, seen, id_tag)
    if len(msgspec.json.encode(made)) > MOST_KEPT and (values := made.pop("transactionData", None)):
        got = yield from desk.ask(Side.CSMS, "MeterValues", _measured(tx, values))     # too much to be kept
        if got.timeout:
            return refused(desk, got)
    told = tx.told if not id_tag or same(id_tag, tx.id_tag) else b""      # of another token only what the answer says
    tx = structs.replace(tx, state="ending", stopped=seen.at, told=told, at_ns=desk.now_ns)
    profiles = tuple(one for one in desk.kept.profiles if one.purpose != "TxProfile" or one.tid != tx.tid)
    if len(profiles) < len(desk.kept.profiles):
        desk.keep(profiles=profiles)                    # they end with it
    owe(desk, tx, STOP, made)
    connector = desk.known(tx.evse, tx.evse_connector)
    if connector.sent not in ("Available", "Faulted", "Unavailable", "Reserved") and seen.payload.get("offline") is not True:
        become(desk, connector, "Finishing", time(seen.at, desk, "timestamp"))         # leaves behind the end
    got = yield from settle(desk, tx.uid)
    return refused(desk, got) if got.timeout else _answer(find(desk, tx.uid) or tx, seen)


def _measured(tx: Tx, values: list[dict[str, Any]]) -> dict[str, Any]:
    return {"connectorId": tx.connector, "transactionId": tx.tid, "meterValue": values}


def _stop_message(desk: Desk, tx: Tx, seen: Seen, id_tag: str) -> dict[str, Any]:
    """StopTransaction, without the transactionId: that may not be known yet."""
    at = time(seen.at, desk, "timestamp")
    made: dict[str, Any] = {"timestamp": at if at is not NOTHING else desk.now(), "meterStop": _meter_stop(desk, tx, seen)}
    made["reason"] = _reason(desk, tx, seen)
    if seen.trigger == "StopAuthorized" and id_tag:
        made["idTag"] = id_tag
    if values := meter_values(seen.values, desk, "meterValue"):
        made["transactionData"] = values
    return made


def _meter_stop(desk: Desk, tx: Tx, seen: Seen) -> int:
    found = ended(seen.values)
    begin = tx.meter_start or 0
    if found is None and tx.register is None:
        desk.lost("meterStop", "no register is known: that of the start", "invented")
        text = f"transaction {tx.uid[:36]} ends without an energy register: {begin} Wh is told"
        desk.find("meter", text, "warning", "station")
        return begin
    if found is None:
        desk.lost("meterStop", "no register in this event: the last that is known", "invented")
    end = rounded(found if found is not None else tx.register or 0)
    if end < begin:
        text = f"transaction {tx.uid[:36]}: the energy register went from {begin} to {end} Wh"
        desk.find("meter", text, "warning", "station")
    return end


def _reason(desk: Desk, tx: Tx, seen: Seen) -> str:
    """Without a reason it was stopped locally (2.0.1 E06.FR.09)."""
    if seen.trigger == "UnlockCommand" or UNLOCKED in tx.flags:
        if "stoppedReason" in seen.info:
            desk.lost("transactionInfo.stoppedReason", "it was stopped to unlock its connector: UnlockCommand")
        return "UnlockCommand"
    said = seen.info.get("stoppedReason", "Local")
    found = desk.enum("StopReason201>16", said)
    if found is None:
        desk.lost("transactionInfo.stoppedReason", "not a value of OCPP 2.0.1: Other")
        return "Other"
    return found


DOWN_STATION = {"TransactionEvent": transaction_event}
DOWN_TICKS = outbox_down.DOWN_TICKS
