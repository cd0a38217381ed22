"""Owns the pairing of Calls and answers, per connection and direction: what waits, and what becomes of it."""

from ocpp_proxy.checks.state import ANSWERED_IDS, EXPIRED_CALLS, OPEN_CALLS, Answered, Direction, OpenCall
from ocpp_proxy.model import Exchange, Message, Outcome, Side
from ocpp_proxy.records import ExchangeDone, Record


def unanswered(call: OpenCall, link_id: int, caller: Side) -> ExchangeDone:
    """The exchange of a Call nobody will answer any more."""
    return ExchangeDone(Exchange(
        call.msg_no, link_id, call.identity, call.protocol, caller, call.action, call.message_id, call.sent_ns, None, None,
        "unanswered",
    ))


def opened(direction: Direction, call: OpenCall, link_id: int, caller: Side, out: list[Record]) -> None:
    """A Call waits for its answer. One of the same id gives way to it, and the oldest when too many wait."""
    waiting = direction.waiting
    before = waiting.pop(call.message_id, None)
    if before is not None:
        if before.crc == call.crc:
            call.resent = before.resent + 1             # both copies may be answered
        out.append(unanswered(before, link_id, caller))
    waiting[call.message_id] = call
    if len(waiting) > OPEN_CALLS:
        direction.overflow += 1
        out.append(unanswered(waiting.pop(next(iter(waiting))), link_id, caller))


def expired(direction: Direction, call: OpenCall, link_id: int, caller: Side, out: list[Record]) -> None:
    """The time limit of a Call has passed; a late answer still finds it for a while."""
    direction.waiting.pop(call.message_id, None)
    before = direction.expired.pop(call.message_id, None)
    if before is not None:
        out.append(unanswered(before, link_id, caller))
    direction.expired[call.message_id] = call
    if len(direction.expired) > EXPIRED_CALLS:
        out.append(unanswered(direction.expired.pop(next(iter(direction.expired))), link_id, caller))


def answered(direction: Direction, message_id: str, result: bool = False) -> tuple[OpenCall | None, str]:
    """The Call an answer belongs to, and "" or why none waits: "late", "again", "spare" (a copy's answer), "unknown".

    ``result``: the answer is a CALLRESULT that reaches the caller.
    """
    call = direction.waiting.pop(message_id, None)
    why = ""
    if call is None:
        call = direction.expired.pop(message_id, None)
        why = "late"
    if call is not None:
        direction.answered[message_id] = Answered(call.msg_no, call.action, call.resent, result and not why)
        if len(direction.answered) > ANSWERED_IDS:
            del direction.answered[next(iter(direction.answered))]
        return call, why
    before = direction.answered.get(message_id)
    if before is None:
        return None, "unknown"
    if before.spare:
        before.spare -= 1
        return None, "spare"
    return None, "again"


def knows(direction: Direction, message_id: str) -> bool:
    """Whether a Call of that id was made there."""
    return message_id in direction.waiting or message_id in direction.answered or message_id in direction.expired


def again(direction: Direction, message_id: str) -> str:
    """What the same Call sent once more is: a "retry", or "settled" when its CALLRESULT was given on this connection."""
    before = direction.answered.get(message_id)
    return "settled" if before is not None and before.settled and message_id not in direction.waiting else "retry"


def done(call: OpenCall, answer: Message, caller: Side, outcome: Outcome) -> ExchangeDone:
    """The exchange of a Call with its first answer."""
    return ExchangeDone(Exchange(
        call.msg_no, answer.link_id, call.identity, call.protocol, caller, call.action, call.message_id, call.sent_ns,
        answer.msg_no, answer.time_ns, outcome, answer.error_code,
    ))


def abandoned(directions: tuple[Direction, Direction], link_id: int, out: list[Record]) -> None:
    """A link ended: nobody will answer what still waits."""
    left = [
        (call, side)
        for direction, side in zip(directions, (Side.STATION, Side.CSMS), strict=True)
        for call in (*direction.waiting.values(), *direction.expired.values())
    ]
    out.extend(unanswered(call, link_id, side) for call, side in sorted(left, key=lambda item: item[0].msg_no))
