"""What is owed to a 1.6 CSMS of a transaction: StartTransaction and StopTransaction, kept until they are answered, in order.

Each is stored before it leaves, and gone once the CSMS took it. One that was refused or not answered is tried again, each
time later; one that was tried as often as it may be is parked for a person. Meter values are not kept here: the station
keeps its event until it is answered.
"""

from collections.abc import Generator
from typing import Any

import msgspec
from msgspec import structs

from ocpp_proxy.api import Answer, Ask, Side
from ocpp_proxy_plugins.bridge.converters import NOTHING
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.events_down import whole
from ocpp_proxy_plugins.bridge.kept import Event, Tx
from ocpp_proxy_plugins.bridge.rows_down import find, rows, save
from ocpp_proxy_plugins.bridge.status_down import become, occupied
from ocpp_proxy_plugins.bridge.work import Background, Got

START, STOP = "StartTransaction", "StopTransaction"
UNTOLD = "untold"                           # flag: its station does not know that the CSMS does not want it
MOST_OWED = 100
MOST_BYTES = 131_072                        # of all of it; beyond that ends are kept without their meter values
MOST_TOLD = 1024                            # of what the CSMS says of a token
QUIET_NS = 10_000_000_000                   # what a station that dials again has to say comes first


def owe(desk: Desk, tx: Tx, action: str, payload: dict[str, Any]) -> None:
    """Keep the transaction as it is now together with a message about it that the CSMS has to get."""
    charging = desk.kept.charging
    number = charging.next_number
    outbox, body = charging.outbox, msgspec.json.encode(payload)
    if sum(len(one.payload) for one in outbox) + len(body) > MOST_BYTES and payload.pop("transactionData", None):
        desk.lost("meterValue", "too much is owed to the CSMS to keep these values, too")
        body = msgspec.json.encode(payload)
    event = Event(number, 0, action, body, uid=tx.uid)
    if len(outbox) >= MOST_OWED:
        text = f"{MOST_OWED} messages of transactions are owed to the CSMS: those of {outbox[0].uid[:36]} are given up"
        desk.find("outbox", text, "error", "csms")
        outbox = tuple(one for one in outbox if one.uid != outbox[0].uid)
        old = find(desk, charging.outbox[0].uid)
        if old is not None and old.uid != tx.uid:
            started = old.started if old.state == "ending" else ""             # empty: the CSMS never had it
            save(desk, structs.replace(old, state="ended", started=started, at_ns=desk.now_ns), outbox=outbox)
    save(desk, tx, outbox=(*outbox, event), next_number=number + 1)


def owed(desk: Desk, uid: str) -> Event | None:
    """What the CSMS has to get next of a transaction; None: nothing, or a person decides."""
    event = next((one for one in desk.kept.charging.outbox if one.uid == uid), None)
    return None if event is None or event.parked else event


def settle(desk: Desk, uid: str) -> Generator[Ask, Answer | None, Got]:
    """Send what is owed of a transaction, in order, until one is not taken; gives what came of the last."""
    under_way = rows(desk).under_way
    under_way.add(uid)
    got = Got()
    try:
        while (event := owed(desk, uid)) is not None:
            got = yield from _sent(desk, event)
            if not _settled(desk, event.number, got):
                break
    finally:
        under_way.discard(uid)
    return got


def _sent(desk: Desk, event: Event) -> Generator[Ask, Answer | None, Got]:
    tx = find(desk, event.uid)
    payload: dict[str, Any] = msgspec.json.decode(event.payload)
    if tx is None:
        return Got(fault="its transaction is not known any more")
    if event.action == STOP:
        payload["transactionId"] = tx.tid
    elif event.state == "sent" and "maybe_duplicate" not in tx.flags:
        tx = structs.replace(tx, flags=(*tx.flags, "maybe_duplicate"))
        text = f"StartTransaction of {tx.uid[:36]} is sent again: whether the CSMS had it is not known, it may hold two"
        desk.find("maybe-duplicate", text, "warning", "either")
    attempts = event.attempts + 1
    wait = desk.left() + desk.options.attempt_seconds * attempts
    now = structs.replace(event, state="sent", attempts=attempts, due_ns=desk.now_ns + int(wait * 1e9))
    save(desk, tx, outbox=_with(desk, now))
    return (yield from desk.ask(Side.CSMS, event.action, payload))


def _with(desk: Desk, event: Event) -> tuple[Event, ...]:
    return tuple(event if one.number == event.number else one for one in desk.kept.charging.outbox)


def _settled(desk: Desk, number: int, got: Got) -> bool:
    """Keep what came of it; whether what follows it may be sent."""
    event = next((one for one in desk.kept.charging.outbox if one.number == number), None)
    tx = find(desk, event.uid) if event is not None else None
    if event is None or tx is None:
        return False
    tid = got.payload.get("transactionId") if got.payload is not None else None
    if got.payload is not None and event.action == START and not whole(tid):
        got = Got(fault="the answer to StartTransaction has no transactionId")
    if got.payload is None:
        _refused(desk, event, tx, got)
        return False
    told = tx.told
    if "idTagInfo" in got.payload:
        form = desk.entry("TransactionEvent", Side.STATION).answers[event.action]
        info = form.carry(got.payload, desk).get("idTokenInfo", {})
        told = msgspec.json.encode(info)
        if len(told) > MOST_TOLD:
            told = msgspec.json.encode({"status": info.get("status", "Invalid")})
    others = tuple(one for one in desk.kept.charging.outbox if one.number != number)
    if event.action == START:
        assert isinstance(tid, int)
        unlike = [one for one in rows(desk).by_uid.values() if one.tid == tid and one.state in ("open", "ending")]
        if tid <= 0 or unlike:
            text = f"the CSMS gave the transaction the id {tid}" + (", which another one has" if unlike else "")
            desk.find("tid", text, "warning", "csms")
        tx = structs.replace(tx, tid=tid, state="open", told=told, at_ns=desk.now_ns)
    else:
        tx = structs.replace(tx, state="ended", told=told, at_ns=desk.now_ns)
    save(desk, tx, outbox=others)
    return True


def _refused(desk: Desk, event: Event, tx: Tx, got: Got) -> None:
    """It is tried again later, or a person decides. What was refused is not there; of what was not answered nobody knows."""
    state = "sent" if got.timeout else "new"
    last = "cannot be made valid" in got.fault or (event.attempts >= desk.options.attempts and not got.timeout)
    wait_ns = int(desk.options.attempt_seconds * event.attempts * 1e9)
    event = structs.replace(event, state=state, due_ns=desk.now_ns + wait_ns, parked=last)
    if event.action == START and not got.timeout:
        tx = structs.replace(tx, state="refused", at_ns=desk.now_ns)
    save(desk, tx, outbox=_with(desk, event))
    what = f"{event.action} of transaction {tx.uid[:36]} was not taken ({got.why})"
    if last:
        desk.find("parked", f"{what}: tried {event.attempts} times, it is kept for a person to decide", "error", "csms")
    elif not got.timeout:
        desk.find("refused", f"{what}: it is tried again", "warning", "csms")


def retry(desk: Desk) -> None:
    """What is due again is sent again."""
    outbox = desk.kept.charging.outbox
    boot = desk.kept.boot
    if not outbox or desk.now_ns - desk.link.opened_ns < QUIET_NS or (boot is not None and boot.status != "Accepted"):
        return
    under_way = rows(desk).under_way
    for uid in dict.fromkeys(one.uid for one in outbox):
        event = owed(desk, uid)
        if event is not None and event.due_ns <= desk.now_ns and uid not in under_way:
            under_way.add(uid)
            desk.begin(_again(desk.aside(event.action), uid), "what the CSMS has not taken yet")


def _again(desk: Desk, uid: str) -> Background:
    yield from settle(desk, uid)
    tx = find(desk, uid)
    if tx is not None and tx.state == "open" and not tx.stopped and tx.connector:
        connector = desk.known(tx.evse, tx.evse_connector)
        if connector.status not in ("Faulted", "Unavailable"):
            become(desk, connector, occupied(tx, connector), NOTHING)
    if tx is not None and tx.state == "open" and tx.told and msgspec.json.decode(tx.told).get("status") != "Accepted":
        save(desk, structs.replace(tx, flags=(*tx.flags, UNTOLD)))


DOWN_TICKS = (retry,)
