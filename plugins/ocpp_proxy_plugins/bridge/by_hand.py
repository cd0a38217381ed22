"""Owns what a person does to the transactions of a charger that is not connected: one is ended that the charger will never
end, one is known that began before the bridge was there, and what was put aside is sent again.

What the CSMS has to hear of it goes into the outbox, and is sent at the charger's next connection. All raise ``ValueError``
with a text for the person.
"""

from typing import Any, TypeVar

from msgspec import structs

from ocpp_proxy_plugins.bridge import orphans, outbox_down, rows_down
from ocpp_proxy_plugins.bridge.desk import Desk, session
from ocpp_proxy_plugins.bridge.events import ENDED, STARTED, post
from ocpp_proxy_plugins.bridge.kept import Kept, Tx
from ocpp_proxy_plugins.bridge.meter_up import register
from ocpp_proxy_plugins.bridge.registers_down import END, rounded
from ocpp_proxy_plugins.bridge.rows import DOWN, UP
from ocpp_proxy_plugins.bridge.stops_up import flagged
from ocpp_proxy_plugins.bridge.transactions import ACCEPTED, bounded, every, is_id

AHEAD = 10_000                              # numbers that are left out where it is not known how many were given
State = TypeVar("State", bound=Kept)


def desk_of(context: Any, action: str) -> Desk:
    """A desk without a link."""
    return Desk(context, session(context.options), action=action)


def direction_of(kept: Kept) -> str:
    """Of what is stored: only a bridge for 1.6 stations gives numbers, only one for 2.0.1 stations sees those of events."""
    if kept.charging.next_tid:
        return UP
    return DOWN if any(tx.seqs for tx in every(kept.charging)) else ""


def find(kept: Kept, number: str) -> Tx:
    """The transaction of a number of 1.6, or of an id of 2.0.1; of several the one that has not ended."""
    known = list(every(kept.charging))
    found = [tx for tx in known if tx.uid == number] or [tx for tx in known if tx.tid and str(tx.tid) == number]
    going = [tx for tx in found if tx.state != "ended"]
    if len(going) > 1:
        raise ValueError(f"{number} is the number of {len(going)} transactions: give the id of OCPP 2.0.1 instead")
    if not found:
        raise ValueError(f"transaction {number}: there is none of that number or id")
    return (going or found)[0]


# ---- it ends ----

def close(desk: Desk, number: str) -> str:
    """End it, as of now, with the last register that is known; what was done."""
    tx = find(desk.kept, number)
    if tx.state in ("ended", "ending") or tx.stopped:
        raise ValueError(f"transaction {number}: it has ended already; --retry sends again what the CSMS did not take of it")
    return _close_up(desk, tx) if desk.options.direction == UP else _close_down(desk, tx)


def _close_up(desk: Desk, tx: Tx) -> str:
    now = desk.now()
    info: dict[str, Any] = {"transactionId": tx.uid, "stoppedReason": "Other"}
    if tx.remote_start_id is not None:
        info["remoteStartId"] = tx.remote_start_id
    event: dict[str, Any] = {
        "timestamp": now, "triggerReason": "AbnormalCondition", "offline": True, "transactionInfo": info,
    }
    known = tx.register if tx.register is not None else tx.meter_start
    if known is not None:
        event["meterValue"] = [register(known, END, now)]
    desk.lost("$", f"the end of transaction {tx.tid} is made up: closed by hand", "invented")
    after = post(desk, desk.kept.charging, structs.replace(tx, state="ended", stopped=now), ENDED, event)
    if after is None:
        raise ValueError(f"transaction {tx.tid}: no valid end can be made of it, or too much is owed to the CSMS already")
    desk.keep(charging=after, profiles=tuple(one for one in desk.kept.profiles if one.tid != tx.tid))
    return f"its end is told as TransactionEvent Ended, number {tx.next_seq}"


def _close_down(desk: Desk, tx: Tx) -> str:
    now = desk.now()
    if tx.state == "waiting":
        rows_down.save(desk, structs.replace(tx, state="ended", stopped=now, at_ns=desk.now_ns))
        return "the CSMS was never told of it, and is not now"
    wh = max(tx.register or 0, tx.meter_start or 0)
    made = {"timestamp": now, "meterStop": rounded(wh), "reason": "Other"}
    desk.lost("$", f"the end of transaction {tx.uid} is made up: closed by hand", "invented")
    profiles = tuple(one for one in desk.kept.profiles if one.purpose != "TxProfile" or one.tid != tx.tid)
    desk.keep(profiles=profiles)
    state = "ending" if tx.state == "open" else tx.state            # its start is told before
    outbox_down.owe(desk, structs.replace(tx, state=state, stopped=now, at_ns=desk.now_ns), outbox_down.STOP, made)
    return f"its end is told as StopTransaction at {made['meterStop']} Wh"


# ---- it is known from now on ----

def adopt(desk: Desk, tid: int, uid: str = "", connector: int = 0, tag: str = "") -> str:
    """Know a transaction that runs; what was done. With ``uid`` the CSMS knows it under that id, and is told nothing."""
    if not is_id(tid):
        raise ValueError(f"transaction {tid}: a number from 1 to 2147483647 is wanted")
    if connector and not is_id(connector):
        raise ValueError(f"connector {connector}: a number from 1 on is wanted")
    for tx in every(desk.kept.charging):
        if tid == tx.tid or f"also:{tid}" in tx.flags or tx.uid == uid:
            raise ValueError(f"transaction {tx.tid} ({tx.uid}) is known already: {tx.state}")
    if desk.options.direction == UP:
        return _known_up(desk, tid, uid, connector, tag) if uid else _made_up(desk, tid, connector, tag)
    if not uid:
        raise ValueError("give its id in OCPP 2.0.1 (--uid): the station names it by that")
    return _known_down(desk, tid, uid, connector, tag)


def _made_up(desk: Desk, tid: int, connector: int, tag: str) -> str:
    made = orphans.made_up(desk, desk.kept.charging, tid, desk.now(), connector, tag)
    if made is None:
        raise ValueError(f"transaction {tid}: no valid start can be made of it, or too much is owed to the CSMS already")
    charging, tx = made
    named = flagged(tx, orphans.ADOPTED, orphans.NAMED)
    transactions = tuple(named if one.tid == tx.tid else one for one in charging.transactions)
    desk.keep(charging=structs.replace(charging, transactions=transactions))
    return f"it is told as {tx.uid}: TransactionEvent {STARTED} with AbnormalCondition"


def _known_up(desk: Desk, tid: int, uid: str, connector: int, tag: str) -> str:
    charging, _ = bounded(desk.kept.charging)
    place = desk.evse(connector) if connector else (0, 0)
    tx = Tx(
        tid, uid, connector, *place, tag, "open", next_seq=1, started=desk.now(), told=ACCEPTED, at_ns=desk.now_ns,
        flags=(orphans.ADOPTED, orphans.NAMED),
    )
    desk.keep(charging=structs.replace(charging, transactions=(*charging.transactions, tx)))
    return f"it is {uid} to the CSMS, which is told nothing of it now"


def _known_down(desk: Desk, tid: int, uid: str, connector: int, tag: str) -> str:
    if connector:
        spot = desk.known(*desk.evse(connector))
        place = spot.number, spot.evse, spot.conn
    else:
        place = 0, 0, 0
    rows_down.save(desk, Tx(
        tid, uid, *place, tag, "open", started=desk.now(), told=ACCEPTED, at_ns=desk.now_ns, flags=(orphans.ADOPTED,),
    ))
    return f"it is {tid} to the CSMS, which is told nothing of it now"


# ---- once more ----

def retry(desk: Desk, number: str) -> int:
    """What was put aside of a transaction is sent again, from the first attempt on; how many messages that are."""
    tx = find(desk.kept, number)
    charging = desk.kept.charging
    mine = [one for one in charging.outbox if one.parked and (one.uid == tx.uid if one.uid else one.tid == tx.tid)]
    again = {one.number: structs.replace(one, parked=False, attempts=0, due_ns=0) for one in mine}
    if again:
        desk.keep(charging=structs.replace(charging, outbox=tuple(again.get(one.number, one) for one in charging.outbox)))
    return len(again)


# ---- an older State is put back ----

def ahead(kept: State, later: Kept | None) -> State:
    """A State that was stored earlier, with numbers behind all that were given since. ``later``: the newest State.

    None: it is lost, and so many numbers are left out that none is given twice.
    """
    given = [_numbers(one) for one in (kept, later) if one is not None]
    most = [max(numbers) for numbers in zip(*given, strict=True)]
    if later is None:
        most = [number + AHEAD if number else 0 for number in most]     # 0: the first one is drawn
    tid, number, start, event, request = most
    charging = structs.replace(kept.charging, next_tid=tid, next_number=number, next_remote_start=start)
    return structs.replace(kept, charging=charging, next_event_id=event, next_request_id=request)


def _numbers(kept: Kept) -> tuple[int, ...]:
    charging = kept.charging
    return charging.next_tid, charging.next_number, charging.next_remote_start, kept.next_event_id, kept.next_request_id
