"""Findings R of Calls and their answers: ids, order, time limits, actions, error codes."""

from msgspec import Struct

from ocpp_proxy.checks.connection import blind_since
from ocpp_proxy.checks.context import Context
from ocpp_proxy.checks.framing import not_ocpp
from ocpp_proxy.checks.payload import fits_elsewhere
from ocpp_proxy.checks.registry import V1, V2, Hit, Hits, at, rule
from ocpp_proxy.model import Severity, Side
from ocpp_proxy.spec import actions, errors


def retry(context: Context, hit: Hit) -> bool:
    """The same Call sent again, without a result in time or on a new connection, may keep its id (errata of 1.6 and 2.0.1)."""
    return context.why == "retry"


@rule(
    "R05", "messageId used again", severity=Severity.ERROR, blame="either", on=("reused",), unless=(retry,),
    spec="OCPP-J 1.6, 4.1.4",
    remedy="A fault of the sender's OCPP library (often a counter that restarts): ids must be unique per station, best UUIDs.",
)
def reused_id(context: Context) -> Hits:
    """A sender used a message id again, for another Call or for one it has the result of; answers cannot be told apart."""
    if context.why == "settled":
        yield Hit("the message id and its Call came again though the result was given on this connection",
                  blame=at(context.sender), cause=f"{context.sender} settled")
    else:
        yield Hit("the message id was used before for another Call", blame=at(context.sender), cause=context.sender.value)


def after_gap(context: Context, hit: Hit) -> bool:
    """The capture misses something shortly before: the Call may be there."""
    blind = context.link.blind_ns
    return blind > 0 and context.now - blind <= 2e9 * context.settings.call_seconds


def joined_late(context: Context, hit: Hit) -> bool:
    """The recording has no handshake and has only begun: the Call may lie before it."""
    link = context.link
    return link.link.status == 0 and context.now - link.first_ns <= 1e9 * context.settings.call_seconds


def nameless(context: Context, hit: Hit) -> bool:
    """An error about an unreadable message cannot name its id ("-1" in 2.x)."""
    message = context.message
    return message is not None and message.mtype == 4 and (
        (message.message_id == "-1" and context.link.version in V2) or context.direction(message.sender.other).unreadable
    )


@rule(
    "R06", "answer nobody waits for", severity=Severity.WARNING, blame="either", on=("orphan",),
    unless=(after_gap, joined_late, nameless), spec="OCPP-J 1.6",
    remedy="Late: raise the caller's time-out or look for what is slow; foreign ids: a fault of the answering side.",
)
def orphan_answer(context: Context) -> Hits:
    """An answer has an id no open Call has: too late, given twice, or with an id of its own."""
    words = {"late": "the answer came after the time limit", "again": "the Call was answered before"}
    yield Hit(words.get(context.why, "no Call with this id is open"), blame=at(context.sender), cause=context.why)


def kept_back(context: Context, hit: Hit) -> bool:
    """A plugin dropped the Call or answered it itself: the other side never got it."""
    return context.call is not None and context.call.verdict in ("dropped", "answered")


@rule(
    "R07", "Call not answered", severity=Severity.ERROR, blame="either", on=("unanswered",), unless=(blind_since, kept_back),
    spec="OCPP-J 1.6, 4.1.1",
    remedy="Look at the silent side's log for this time; an unreadable answer shows as R01 or R02 just before.",
)
def unanswered(context: Context) -> Hits:
    """A Call got no answer within the time limit; the caller may not send its next one before."""
    call = context.call
    if call is not None:
        caller = Side(context.why)
        yield Hit(f"{call.action[:40]} of {caller} got no answer within {context.settings.call_seconds:g} s", cause=call.action,
                  blame=at(caller.other), evidence=(call.frame_id,), msg_no=call.msg_no, fact=call.time_ns)


def send(context: Context, hit: Hit) -> bool:
    """A SEND is never answered and waits for nobody."""
    return context.message is not None and context.message.mtype == 6


def same_call(context: Context, hit: Hit) -> bool:
    """The open Call itself sent again."""
    message = context.message
    return message is not None and context.why == "retry"


def not_its_own(context: Context, hit: Hit) -> bool:
    """The open Call is one the proxy sent in its place: the sender does not know of it."""
    frame, call = context.frame, context.call
    return call is not None and call.verdict == "injected" and frame is not None and frame.verdict != "injected"


@rule(
    "R08", "second Call before the first is answered", severity=Severity.WARNING, blame="either", on=("overlap",),
    unless=(send, same_call, not_its_own), spec="OCPP-J 1.6, 4.1.1",
    remedy="Sender: queue Calls per direction (a SHOULD in 1.6, a SHALL in 2.x).",
)
def overlapping(context: Context) -> Hits:
    """A side sent a Call while its last one was still open; many receivers drop or mix up the second."""
    if context.call is not None:
        severity = Severity.ERROR if context.link.version in V2 else None
        yield Hit(f"{context.call.action[:40]} is still open", blame=at(context.sender), severity=severity,
                  cause=context.sender.value, evidence=_both(context))


def _both(context: Context) -> tuple[int, ...]:
    call, frame = context.call, context.frame
    return tuple(number for number in (call.frame_id if call else 0, frame.frame_id if frame else 0) if number)


class Repeats(Struct):
    """Times of the repetitions of each side's last Call."""

    station: list[int] = []
    csms: list[int] = []


def patient(context: Context, hit: Hit) -> bool:
    """Few, or with waiting times between."""
    times, settings = hit.fact, context.settings
    if not isinstance(times, list) or len(times) < settings.retry_count:
        return True
    return bool(times[-1] - times[0] > settings.retry_seconds * 1e9)


@rule(
    "R09", "retry storm", severity=Severity.WARNING, blame="station", on=("repeat",), unless=(patient,), spec="OCPP 1.6",
    memory=Repeats,
    remedy="Answer it (even with an error code the sender knows), and set the charger's retry interval.",
)
def retry_storm(context: Context) -> Hits:
    """The same Call is sent again and again within a minute without having got a result."""
    memory = context.memory(Repeats)
    times = memory.csms if context.sender is Side.CSMS else memory.station
    if times and context.now - times[-1] > context.settings.retry_seconds * 1e9:
        times.clear()
    times.append(context.now)
    del times[: -context.settings.retry_count]
    action = context.message.action if context.message is not None else ""
    yield Hit(f"{action[:40]} is sent again and again without a result", blame=at(context.sender), cause=action, fact=times)


def known_action(context: Context, hit: Hit) -> bool:
    """The version knows the action (or its signed form): then the role is wrong, or nothing."""
    return hit.fact is True


@rule(
    "R10", "unknown action", severity=Severity.WARNING, blame="either", on=("stranger", "error"),
    unless=(known_action, fits_elsewhere), spec="OCPP-J 1.6, 4.2.3",
    remedy="Unknown: check spelling and version on the sender; NotSupported is for known actions, NotImplemented for others.",
)
def unknown_action(context: Context) -> Hits:
    """The version has no such action, or an error code says so of one it has (NotImplemented, NotSupported)."""
    message, version = context.message, context.link.version
    if message is None or not version:
        return
    direction = actions.direction(version, message.action)
    if context.event == "stranger":
        meant = actions.did_you_mean(version, message.action)
        hint = f"; {meant} is meant?" if meant else ""
        yield Hit(f"{version} has no action {message.action[:40]}{hint}", blame=at(message.sender), cause=message.action[:40],
                  fact=direction is not None)
    elif message.error_code == "NotSupported" and message.action and direction is None:
        yield Hit("NotSupported for an action the version does not have: NotImplemented is meant for that",
                  blame=at(message.sender), severity=Severity.INFO, cause="NotSupported")


def may_send(context: Context, hit: Hit) -> bool:
    """The action is unknown (R10), or this side may send it."""
    return hit.fact in (None, "both", context.sender)


@rule(
    "R11", "action sent by the wrong side", severity=Severity.ERROR, blame="either", on=("stranger",), unless=(may_send,),
    spec="official JSON schema",
    remedy="Check which end is configured as station and which as CSMS; a simulator may have mixed up its role.",
)
def wrong_role(context: Context) -> Hits:
    """A Call came from the side that should receive it."""
    message = context.message
    if message is not None and context.link.version:
        direction = actions.direction(context.link.version, message.action)
        yield Hit(f"{message.action[:40]} is sent by {direction or 'nobody'}, not by {message.sender}",
                  blame=at(message.sender), cause=message.action[:40], fact=direction)


def legal_code(context: Context, hit: Hit) -> bool:
    """The code is in the version's table (1.6 keeps its misspellings on purpose)."""
    return context.message is not None and errors.legal(context.link.version, context.message.error_code)


@rule(
    "R12", "error code not of this version", severity=Severity.WARNING, blame="either", on=("error",),
    unless=(not_ocpp, legal_code),     spec="OCPP-J 1.6, 4.2.3",
    remedy="Answering side: use the code of this version (1.6 spells FormationViolation, 2.x FormatViolation).",
)
def bad_error_code(context: Context) -> Hits:
    """A CALLERROR has a code its version does not list; some chargers then send the Call again for ever."""
    message = context.message
    if message is not None:
        meant = errors.suggestion(context.link.version, message.error_code)
        hint = f"; here it is {meant}" if meant else ""
        yield Hit(f"{message.error_code[:40] or '(empty)'} is no error code of {context.link.version or 'OCPP'}{hint}",
                  blame=at(message.sender), cause=message.error_code[:40])


_FORMAT_CODES = frozenset({
    "FormationViolation", "FormatViolation", "TypeConstraintViolation", "OccurenceConstraintViolation",
    "OccurrenceConstraintViolation", "ProtocolError",
})


def lenient_1x(context: Context, hit: Hit) -> bool:
    """1.x asks for a CALLERROR only where mandatory fields are missing (OCPP-J 1.6, 4.2.3)."""
    return hit.cause == "kind" and context.link.version in V1 and context.call is not None and not context.call.missing


def faulty_call(context: Context, hit: Hit) -> bool:
    """Something was wrong with the Call: the error may be right."""
    return hit.cause == "strict" and context.call is not None and (context.call.invalid or context.call.found)


def other_error(context: Context, hit: Hit) -> bool:
    """The code does not speak of the request's form."""
    return hit.cause == "strict" and context.message is not None and context.message.error_code not in _FORMAT_CODES


@rule(
    "R14", "answer does not fit the request", severity=Severity.WARNING, blame="either", on=("lenient", "error"),
    unless=(lenient_1x, faulty_call, other_error), spec="OCPP 2.0.1 Part 2, FR.02/03; OCPP-J 1.6, 4.2.3",
    remedy="Answering side: validate requests against the schema of the negotiated version, and only that.",
)
def wrong_kind_of_answer(context: Context) -> Hits:
    """A faulty request got a CALLRESULT, or a valid one a CALLERROR that calls its form wrong."""
    call = context.call
    if call is None:
        return
    if context.event == "lenient":
        severity = Severity.INFO if context.link.version in V1 else None         # 1.6 describes it, it does not demand it
        yield Hit(f"a CALLRESULT for a {call.action[:40]} that does not fit the schema", blame=at(context.sender), cause="kind",
                  evidence=_both(context), severity=severity)
    else:
        code = context.message.error_code if context.message is not None else ""
        yield Hit(f"{code[:40]} for a {call.action[:40]} that fits the schema", blame=at(context.sender), cause="strict",
                  evidence=_both(context))
