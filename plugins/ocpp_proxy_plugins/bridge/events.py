"""Owns what is owed to a 2.0.1 CSMS: transaction events, kept before they are sent, sent in order, gone when answered.

Nothing newer is sent while something older waits. Who has to wait for an event that is under way, asks for a Heartbeat behind
it: the next moment at which it is known what became of it.
"""

from collections.abc import Generator
from typing import Any

import msgspec
from msgspec import structs

from ocpp_proxy.api import Answer, Ask, Call, CallError, NotJson, Side
from ocpp_proxy_plugins.bridge.authorize_up import allowed
from ocpp_proxy_plugins.bridge.desk import Desk, stamp
from ocpp_proxy_plugins.bridge.gate import fit
from ocpp_proxy_plugins.bridge.kept import Charging, Event, Tx
from ocpp_proxy_plugins.bridge.stops_up import REFUSED, accepts, deauthorized, flagged
from ocpp_proxy_plugins.bridge.transactions import by_tid, changed, put_away
from ocpp_proxy_plugins.bridge.work import Background, Got

EVENT = "TransactionEvent"
STARTED, UPDATED, ENDED = "Started", "Updated", "Ended"
MOST_OWED = 1000                            # events of one station
MOST_BYTES, SPARE_BYTES = 131_072, 32_768   # of all of them; those are for the beginning and the end of transactions
MOST_WAITS = 16                             # of one Call, for events that are under way
SKEW_NS = 5_000_000_000                     # how far the clock of a station that is online may be behind
NO_CLOCK = "2015"                           # OCPP 1.6 is of that year: who says an earlier time has no clock yet
_TRIED = "tried"                            # in ``Session.notes``: numbers of events that failed on this link
_ANSWERS = {STARTED: "StartTransaction", UPDATED: "MeterValues"}        # whose answer table carries the answer


def happened_before(desk: Desk, timestamp: str) -> bool:
    """Whether that was before the station connected (``offline``). A clock that was never set tells nothing."""
    since = desk.link.notes.get("since")
    if since is None:
        since = desk.link.notes["since"] = stamp(desk.link.opened_ns - SKEW_NS)
    return NO_CLOCK < timestamp < str(since)


def post(desk: Desk, charging: Charging, tx: Tx, kind: str, payload: dict[str, Any]) -> Charging | None:
    """The state with one more event of that transaction, as ``tx`` is now; to be kept before it is delivered.

    None: no valid event can be made, or too many are owed already; that is told.
    """
    if len(charging.outbox) >= MOST_OWED:
        desk.find("outbox-full", f"{MOST_OWED} events are owed to the CSMS: no more are taken", "error", "csms")
        return None
    payload["eventType"] = kind
    payload["seqNo"] = tx.next_seq
    payload, faults = fit("2.0.1", EVENT, False, payload, desk)
    if faults:
        text = f"no valid {EVENT} can be made of {desk.action}: {faults[0].path} {faults[0].message}"
        desk.find("invalid", text, "error", "station")
        return None
    event = Event(charging.next_number, tx.tid, EVENT, msgspec.json.encode(payload), kind=kind)
    room = MOST_BYTES if kind == UPDATED else MOST_BYTES + SPARE_BYTES
    if sum(len(one.payload) for one in charging.outbox) + len(event.payload) > room:
        text = f"{len(charging.outbox)} events are owed to the CSMS, and there is no room for {len(event.payload)} bytes more"
        desk.find("outbox-full", text, "error", "csms")
        return None
    tx = structs.replace(tx, next_seq=tx.next_seq + 1, at_ns=desk.now_ns)
    known = by_tid(charging, tx.tid)
    transactions = changed(charging, tx) if known is not None else (*charging.transactions, tx)
    return structs.replace(
        charging, transactions=transactions, outbox=(*charging.outbox, event), next_number=event.number + 1,
    )


def owed(charging: Charging, tid: int, kind: str = "") -> Event | None:
    """The last event of a transaction that is not answered."""
    return next((one for one in reversed(charging.outbox) if one.tid == tid and kind in ("", one.kind)), None)


def deliver(desk: Desk, number: int) -> Generator[Ask, Answer | None, Got]:
    """The answer to an event of the Call at hand; what is older is sent before. Answered already: an empty one."""
    claimed: set[int] = desk.link.notes.setdefault("claimed", set())
    claimed.add(number)
    waited = 0
    try:
        while True:
            outbox = desk.kept.charging.outbox
            mine = next((one for one in outbox if one.number == number), None)
            if mine is None:
                return Got(payload={})
            if mine.parked:
                return Got(fault=f"the CSMS did not take it {mine.attempts} times: it is put aside")
            if desk.link.in_flight:
                if 0 < desk.deadline_ns <= desk.now_ns or waited == MOST_WAITS:
                    return Got(timeout=True)
                waited += 1
                yield from desk.ask(Side.CSMS, "Heartbeat", {})
                continue
            head = next(one for one in outbox if not one.parked)
            if head is not mine and not _is_due(desk, head):
                return Got(fault="the CSMS still has to take what happened before")
            got = yield from _send(desk, head)
            if head is mine or got.payload is None:
                return got
    finally:
        claimed.discard(number)


def due(desk: Desk) -> None:
    """About once a second: send what is owed, unless the station is not admitted yet."""
    kept, link = desk.kept, desk.link
    if not kept.charging.outbox or link.in_flight:
        return
    if kept.boot is None or kept.boot.status == "Accepted":
        head = _next(desk)
        if head is not None:
            desk.begin(_flush(desk.aside()), "what is owed to the CSMS")


def _next(desk: Desk) -> Event | None:
    """What is to be sent now and is nobody's business."""
    head = next((one for one in desk.kept.charging.outbox if not one.parked), None)
    claimed: set[int] = desk.link.notes.get("claimed", set())
    return head if head is not None and _is_due(desk, head) and head.number not in claimed else None


def _is_due(desk: Desk, event: Event) -> bool:
    """Whether it is time to send it; on a new link it always is."""
    return event.due_ns <= desk.now_ns or event.number not in desk.link.notes.get(_TRIED, ())


def _flush(desk: Desk) -> Background:
    while not desk.link.in_flight:
        head = _next(desk)
        if head is None:
            return
        got = yield from _send(desk, head)
        if got.payload is None:
            return


def _send(desk: Desk, event: Event) -> Generator[Ask, Answer | None, Got]:
    """Send one event as it was kept; a CALLRESULT acknowledges it, whatever it holds."""
    desk.link.in_flight.add(event.number)
    seconds = desk.left()
    until_ns = desk.now_ns + int(seconds * 1e9)
    try:
        answer = yield Ask(Side.CSMS, Call(event.payload, event.action), seconds)
    finally:
        desk.link.in_flight.discard(event.number)
    if answer is None and desk.now_ns < until_ns:
        return Got(timeout=True)            # the link ends: that is no failure of the CSMS
    if answer is None or isinstance(answer, CallError):
        got = Got(timeout=True) if answer is None else Got(error=answer)
        _failed(desk, event, got)
        return got
    try:
        found = answer.json()
    except NotJson:
        found = {}
    payload: dict[str, Any] = found if isinstance(found, dict) else {}
    _settled(desk, event, payload)
    return Got(payload=payload)


def _settled(desk: Desk, event: Event, answer: dict[str, Any]) -> None:
    """It is answered: gone, and what follows from the answer."""
    charging = desk.kept.charging
    charging = structs.replace(charging, outbox=tuple(one for one in charging.outbox if one.number != event.number))
    if _TRIED in desk.link.notes:
        desk.link.notes[_TRIED].discard(event.number)
    tx = by_tid(charging, event.tid)
    if tx is not None:
        if event.kind == STARTED:
            charging = structs.replace(charging, transactions=changed(charging, _told(desk, tx, answer)))
        elif event.kind == ENDED:
            charging = put_away(charging, tx)
        elif answer:
            _carried(desk, event, answer)
            if not accepts(answer):
                charging = deauthorized(desk, charging, tx)
    desk.keep(charging=charging)


def _told(desk: Desk, tx: Tx, answer: dict[str, Any]) -> Tx:
    """What the station is told of its token; without a word of it, it is accepted."""
    info = {"status": "Accepted"}
    if answer:
        info = _carried(desk, Event(0, tx.tid, EVENT, b"", kind=STARTED), answer).get("idTagInfo", info)
    if not allowed(desk, tx.id_tag, tx.evse, answer.get("idTokenInfo")):
        info = {"status": "Invalid"}
    if info.get("status") != "Accepted":
        tx = flagged(tx, REFUSED)
    state = tx.state if tx.state == "ended" else "open"
    return structs.replace(tx, told=msgspec.json.encode(info), state=state)


def _carried(desk: Desk, event: Event, answer: dict[str, Any]) -> dict[str, Any]:
    return desk.entry(_ANSWERS[event.kind], Side.STATION).answers[EVENT].carry(answer, desk, {})


def _failed(desk: Desk, event: Event, got: Got) -> None:
    """Once more, later each time; then it is put aside for a person to decide. What a station repeats early does not count."""
    if not _is_due(desk, event):
        return
    desk.link.notes.setdefault(_TRIED, set()).add(event.number)
    attempts = event.attempts + 1
    parked = attempts >= desk.options.attempts
    due_ns = desk.now_ns + int(desk.options.attempt_seconds * attempts * 1e9)
    state = "sent" if got.timeout else event.state
    after = structs.replace(event, attempts=attempts, due_ns=due_ns, parked=parked, state=state)
    charging = desk.kept.charging
    outbox = tuple(after if one.number == event.number else one for one in charging.outbox)
    desk.keep(charging=structs.replace(charging, outbox=outbox))
    if parked:
        text = f"the CSMS did not take {event.kind} of transaction {event.tid} {attempts} times ({got.why}): put aside"
        desk.find("parked", text, "error", "csms")


UP_TICKS = (due,)
