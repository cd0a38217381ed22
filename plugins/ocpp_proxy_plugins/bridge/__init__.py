"""The version bridge: 1.6 chargers on a 2.0.1 CSMS, 2.0.1 chargers on a 1.6 CSMS; and between 2.1 and 2.0.1, both ways.

Here is the one way that a Call between 1.6 and 2.0.1 takes: decoded, translated by its handler or its table or answered here,
checked against its sender's version, answered. Nothing passes untranslated. What a handler may do stands in ``desk``; who
handles what in ``handlers``. Between the near versions 2.1 and 2.0.1 messages are carried over one by one: ``near``.
"""

import re
from collections.abc import Collection, Generator
from functools import cache
from typing import Any

import msgspec

from ocpp_proxy.api import (
    PASS,
    Admit,
    Answer,
    Ask,
    Call,
    CallError,
    CallResult,
    Closing,
    Context,
    Decision,
    Drop,
    Entrance,
    Malformed,
    NotJson,
    Opening,
    Plugin,
    Reply,
    Send,
    Side,
    Verdict,
)
from ocpp_proxy.spec import schemas
from ocpp_proxy.spec.versions import version_of
from ocpp_proxy_plugins.bridge import near
from ocpp_proxy_plugins.bridge.desk import Answered, Desk, Session, session
from ocpp_proxy_plugins.bridge.gate import fit
from ocpp_proxy_plugins.bridge.handlers import BEGINNINGS, CLOSINGS, HANDLERS, TICKS
from ocpp_proxy_plugins.bridge.kept import Kept
from ocpp_proxy_plugins.bridge.options import Options as BridgeOptions
from ocpp_proxy_plugins.bridge.work import Refusal

MOST_ANSWERED = 64                          # answers kept for what is asked again with the same id
MOST_BYTES = 65_536                         # of such a Call and its answer; what is longer is done anew
BROKEN = {"1.6": "FormationViolation", "2.0.1": "FormatViolation"}
_CALL_ID = re.compile(rb'\s*\[\s*2\s*,\s*"([ !#-\[\]-~]{1,36})"\s*[,\]]').match    # printable, no quotes, no escapes
TWICE = {"1.6": "ProtocolError", "2.0.1": "RpcFrameworkError"}


class Bridge(Plugin):
    """Joins a charger and a CSMS that speak different OCPP versions: 1.6 and 2.0.1, or 2.0.1 and 2.1, either way round."""

    version = "1"
    fails = "close"
    translates = True
    class Options(BridgeOptions, frozen=True, forbid_unknown_fields=True):
        """See ``bridge.options``."""

        def __post_init__(self) -> None:
            super().__post_init__()
            (near.warm if self.near else _compile)(self.direction)

    class State(Kept, frozen=True, omit_defaults=True):
        """See ``bridge.kept``."""

    def __init__(self) -> None:
        self._link: Session | None = None
        self._admitted = False              # as one to be bridged

    @classmethod
    def unused(cls, options: Any) -> Collection[str]:
        """Between near versions nothing is due by time, and a lost side is told to the other at once; else no answer comes
        to a Call that went over as one: Calls of the bridge have their own.
        """
        return ("on_tick", "on_close", "on_gone") if options.near else ("on_answer",)

    # ---- the opening ----

    def on_open(self, context: Context, opening: Opening) -> Entrance:
        """Each side is offered its own version; where they share one there is nothing to bridge."""
        options: BridgeOptions = context.options
        offered = {version_of(name): name for name in reversed(opening.offered)}
        if options.csms in offered:
            return Admit(offer=(offered[options.csms],))
        if options.station in offered or (not opening.offered and options.assume):
            self._admitted = True
            return Admit((f"ocpp{options.csms}",), offered.get(options.station, ""), options.upstream)
        return Admit()

    def _bridged(self, context: Context) -> bool:
        """Whether the two sides speak the two versions; a CSMS that chose another than it was offered ends the link."""
        options: BridgeOptions = context.options
        station, csms = context.versions[Side.STATION], context.versions[Side.CSMS]
        if csms == options.csms and station in (options.station, "" if self._admitted else options.station):
            return True
        if self._admitted and csms != options.csms:
            said = csms or "no subprotocol"
            context.find("version", f"the CSMS was offered {options.csms} and chose {said}", severity="error", blame="csms")
            context.disconnect("the CSMS speaks another version than it was offered")
            return True
        return False

    # ---- messages ----

    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        """Translate it, or answer it here."""
        if not self._bridged(context):
            return PASS
        return near.called(context, sender, call) if context.options.near else self._answered(context, sender, call)

    def on_answer(self, context: Context, sender: Side, answer: Answer, call: Call) -> Decision:
        """Between near versions: carry it over, too."""
        return near.answered(context, sender, answer, call) if self._bridged(context) else PASS

    def on_send(self, context: Context, sender: Side, send: Send) -> Decision:
        """None of the two versions knows it, or only one."""
        if context.options.near and self._bridged(context):
            return near.sent(context, sender, send)
        return Drop("a SEND: none of the bridged versions knows it") if self._bridged(context) else PASS

    def on_malformed(self, context: Context, sender: Side, text: Malformed) -> Decision:
        """What cannot be read cannot be translated; where it is a Call with an id, its sender is told so."""
        if not self._bridged(context):
            return PASS
        context.find("unreadable", "a text that is no message was not passed on: it cannot be translated", severity="error",
                     blame="station" if sender is Side.STATION else "csms")
        found = _CALL_ID(text.payload)
        if found is None:
            return Drop("unreadable: it cannot be translated")
        version = context.versions[sender] or context.options.station
        said = "the message cannot be read: it is no JSON, nested too deep, or of another shape"
        return Reply(CallError(b"{}", BROKEN.get(version, "FormatViolation"), said, found[1].decode()), "unreadable")

    def on_tick(self, context: Context, now_ns: int) -> None:
        """What is due by time."""
        if self._link is not None:
            for tick in TICKS[context.options.direction]:
                tick(Desk(context, self._link))

    def on_close(self, context: Context, closing: Closing) -> None:
        """What was only noted is stored."""
        if self._link is not None:
            for leave in CLOSINGS[context.options.direction]:
                leave(Desk(context, self._link))

    def on_gone(self, context: Context, side: Side, how: str) -> float | None:
        """The other side stays for a while; what it still sends is answered or kept. Then it begins its own queue."""
        grace: float = context.options.grace_seconds
        return grace if self._bridged(context) else None

    def _opened(self, context: Context) -> Session:
        """What lives as long as the link; at its first message the features begin."""
        if self._link is None:
            self._link = session(context.options)
            self._link.opened_ns = context.now_ns
            for begin in BEGINNINGS[context.options.direction]:
                begin(Desk(context, self._link))
        return self._link

    def _answered(self, context: Context, sender: Side, call: Call) -> Generator[Ask, Answer | None, Verdict]:
        link = self._opened(context)
        known = link.answered.get((sender, call.message_id))
        if known is not None and (known.answer is None or known.again(call, context.now_ns)):
            return _again(context, sender, call, known)
        link.answered[sender, call.message_id] = Answered(call)
        deadline_ns = context.now_ns + int(context.options.answer_seconds * 1e9)
        desk = Desk(context, link, sender, call.action, deadline_ns)
        answer = yield from _translated(desk, call)
        if len(call.payload) + len(answer.payload) <= MOST_BYTES:
            link.answered[sender, call.message_id] = Answered(call, answer, context.now_ns)
        else:
            del link.answered[sender, call.message_id]
        if len(link.answered) > MOST_ANSWERED:
            _forget(link, sender)
        return Reply(answer)


@cache
def _compile(direction: str) -> None:
    """Tables, handlers and schemas before there is a link: in the hook of a first message it would take too long."""
    for side in Side:
        assert HANDLERS[direction, side]
    for version in direction.split(":"):
        schemas.warm(version)


def _forget(link: Session, sender: Side) -> None:
    """The oldest answer of that side: each new one takes its place."""
    oldest = next((key for key, one in link.answered.items() if key[0] is sender and one.answer is not None), None)
    if oldest is not None:
        del link.answered[oldest]


def _again(context: Context, sender: Side, call: Call, before: Answered) -> Verdict:
    """An id that is in use: the same Call has the same answer, another one is the sender's fault."""
    if not before.same(call):
        version = context.versions[sender]
        text = f"the id {call.message_id} is that of a Call ({before.call.action}) not answered yet"
        return Reply(CallError(b"{}", TWICE.get(version, "ProtocolError"), text), "the id is in use")
    if before.answer is None:
        return Drop("the same Call again: the answer to the first is under way")
    return Reply(before.answer, "the same Call again: the same answer")


def _translated(desk: Desk, call: Call) -> Generator[Ask, Answer | None, Answer]:
    """The answer to a Call, valid in its sender's version."""
    version = desk.version(desk.sender)
    try:
        payload: Any = call.json()
    except NotJson as error:
        return CallError(b"{}", BROKEN[version], f"the payload is no JSON: {error}"[:255])
    if not isinstance(payload, dict):
        return CallError(b"{}", BROKEN[version], "the payload is no object")
    row = desk.link.book.actions.get((desk.sender, call.action))
    handler = HANDLERS[desk.options.direction, desk.sender].get(call.action)
    if row is None or handler is None:
        desk.find("unknown", f"{call.action} is no action of OCPP {version} from this side", "warning", _blame(desk.sender))
        return CallError(b"{}", "NotImplemented", f"{call.action} is no action of OCPP {version} from this side"[:255])
    try:
        outcome = yield from handler(desk, payload)
        return _result(desk, version, outcome)
    except OverflowError:                               # JSON knows larger numbers than anything here
        desk.find("large", f"a number in {call.action}, or in the answer to it, has more than 64 bits", "error", "either")
        return CallError(b"{}", "PropertyConstraintViolation", "a number has more than 64 bits")


def _result(desk: Desk, version: str, outcome: dict[str, Any] | Refusal) -> Answer:
    if isinstance(outcome, Refusal):
        return CallError(b"{}", outcome.code, outcome.description[:255])
    outcome, faults = fit(version, desk.action, True, outcome, desk)
    if faults:
        text = f"the answer to {desk.action} cannot be made valid for OCPP {version}: {faults[0].path} {faults[0].message}"
        desk.find("invalid", text, "error", _blame(desk.sender.other))
        return CallError(b"{}", "InternalError", text[:255])
    return CallResult(msgspec.json.encode(outcome))


def _blame(side: Side) -> Any:
    return "station" if side is Side.STATION else "csms"
