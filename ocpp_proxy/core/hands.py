"""An onion on which a person acts while the link is open: breakpoints, what they hold, Calls by hand, other plugins.

Breakpoints sit at both ends, outside all plugins: what they hold is what its sender sent, and what a person sends leaves as
it was typed. Sans-I/O as ``core.onion``. What is kept lasts no longer than who waits for it does.
"""

from collections.abc import Callable, Sequence
from functools import partial
from types import GeneratorType
from typing import Any, Protocol

from msgspec import Struct

from ocpp_proxy.api import (
    PASS,
    Answer,
    Call,
    CallError,
    CallResult,
    Closing,
    Context,
    Decision,
    Drop,
    Hold,
    Malformed,
    Message,
    Plugin,
    Replace,
    Reply,
    Send,
    Verdict,
)
from ocpp_proxy.core import lanes, session
from ocpp_proxy.core.acts import End as Over
from ocpp_proxy.core.acts import Leave
from ocpp_proxy.core.asking import HELD
from ocpp_proxy.core.lanes import Asked, Journey
from ocpp_proxy.core.onion import TICK_NS, Onion
from ocpp_proxy.core.plugin_text import write
from ocpp_proxy.core.seats import Installed, Limit, Seat, words
from ocpp_proxy.model import Side

HAND = "hand"                           # who did it, where a record names a plugin
MOST_REMEMBERED = 256                   # Calls whose time is known, for what may be held of their answers
RESTART = (1012).to_bytes(2, "big")     # service restart: who gets it is to come again
TOO_MANY = "too many messages of this link wait already"
_MTYPES: dict[type, int] = {Call: 2, CallResult: 3, CallError: 4, Send: 6}


class Matches(Protocol):
    """A filter of messages in flight (``core.matching.Match``)."""

    def passes(self, identity: str, version: str, sender: Side, message: Message, call: Call | None = None) -> bool:
        """Whether a message passes."""


class Breakpoint(Struct, eq=False):
    """Messages that pass are held, while it is ``live``. ``reason`` stands in the capture; ``held`` counts."""

    number: int
    where: Matches
    reason: str = ""
    held: int = 0
    live: bool = True


class HeldHere(Struct, frozen=True):
    """A message that is kept on this link. ``text``: as it would go on; ``version``: in which OCPP version."""

    number: int
    side: Side
    mtype: int
    action: str
    message_id: str
    text: bytes
    since_ns: int
    until_ns: int
    by: str
    reason: str
    version: str = ""


class Outcome(Struct, frozen=True):
    """What came of a Call by hand: result, error, timeout, closed, sent (a SEND) or refused (``reason`` says why)."""

    what: str
    message_id: str
    answer: Answer | None = None
    took_ns: int = 0
    reason: str = ""


class Armed:
    """What both ends of a link share: the breakpoints, and since when Calls wait for an answer."""

    def __init__(self, call_ns: int) -> None:
        self.points: tuple[Breakpoint, ...] = ()
        self.call_ns = call_ns
        self.since: dict[tuple[Side, str], int] = {}

    def called(self, sender: Side, call: Call, now_ns: int) -> None:
        """A Call came."""
        self.since[sender, call.message_id] = now_ns
        if len(self.since) > MOST_REMEMBERED:
            del self.since[next(iter(self.since))]

    def judge(self, context: Context, sender: Side, message: Message, call: Call | None, since_ns: int) -> Verdict:
        """Held until shortly before who waits for it (since then) gives up."""
        left = since_ns + self.call_ns - min(2_000_000_000, self.call_ns // 4) - context.now_ns
        if left > 0:
            for point in self.points:
                if point.live and point.where.passes(context.identity, context.versions[sender], sender, message, call):
                    point.held += 1
                    return Hold(left / 1e9, reason=point.reason)
        return PASS


class End(Plugin):
    """The breakpoints at one end, on what ``side`` sends."""

    def __init__(self, side: Side, armed: Armed) -> None:
        self.side, self.armed = side, armed

    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        """A Call came from ``sender``."""
        if sender is not self.side:
            return PASS
        self.armed.called(sender, call, context.now_ns)
        return self.armed.judge(context, sender, call, None, context.now_ns)

    def on_answer(self, context: Context, sender: Side, answer: Answer, call: Call) -> Decision:
        """An answer came: its Call waits since the other end saw it."""
        if sender is not self.side:
            return PASS
        since = self.armed.since.pop((sender.other, call.message_id), context.now_ns)
        return self.armed.judge(context, sender, answer, call, since)

    def on_send(self, context: Context, sender: Side, send: Send) -> Decision:
        """A SEND came."""
        return self.armed.judge(context, sender, send, None, context.now_ns) if sender is self.side else PASS

    def on_malformed(self, context: Context, sender: Side, text: Malformed) -> Decision:
        """A text came that is no message."""
        return self.armed.judge(context, sender, text, None, context.now_ns) if sender is self.side else PASS


class Hands(Onion):
    """See the module. ``hold_ns``: the time-out of a Call, that who asks is taken to have."""

    __slots__ = ("_armed", "_ends", "_hand", "_installed", "_leaving", "_number", "_over", "_waiting")

    def __init__(
        self, installed: Sequence[Installed], identity: str, version: str, entropy: Callable[[int], bytes], *,
        limit: Limit | None = None, longest_ns: int = 30_000_000_000, now_ns: int = 0, **more: Any,
    ) -> None:
        super().__init__(installed, identity, version, entropy, limit=limit, longest_ns=longest_ns, now_ns=now_ns, **more)
        self._installed = list(installed)
        self._armed = Armed(longest_ns)
        self._ends: list[Seat] = []             # as soon as somebody sets a breakpoint
        self._leaving: list[Seat] = []          # taken away, but answers to what they saw are still to come
        self._number = 0
        self._over = False
        self._hand = self._new_seat(-1, Installed(HAND, Plugin))
        self._waiting: dict[str, tuple[Callable[[Outcome], None], list[int]]] = {}     # by message id: our Calls

    # ---- other plugins, while the link is open ----

    @property
    def installed(self) -> tuple[Installed, ...]:
        """The plugins that it has now."""
        return tuple(self._installed)

    def reseat(self, installed: Sequence[Installed], now_ns: int) -> None:
        """Have these plugins from now on, in this order; those that stay keep their place in what is under way.

        Of one that goes: what it holds goes on, its Calls are waited for no longer, and it sees the answers to what it saw.
        Where it translates between the two sides the link ends: nothing may pass from one to the other without it.
        """
        self._now.ns = now_ns
        if self._over:
            return
        left = list(zip(self._installed, self.seats, strict=True))
        between = next((had for had, seat in left if seat.kind.translates and had not in installed), None)
        if self.translating and between is not None:
            self.close_frames(RESTART, between.name)
            self.actions.append(Over(between.name, "what bridges the two sides changes: the charger is to dial again"))
            return
        seats = list[Seat]()
        for one in installed:
            at = next((at for at, (had, _) in enumerate(left) if had == one), None)
            seats.append(left.pop(at)[1] if at is not None else self._new_seat(0, one))
        self._installed, self.seats = list(installed), seats
        for index, seat in enumerate(seats):
            seat.index = index
        self.states.adopt(seats)
        self._order()
        for _, seat in left:
            self._dismiss(seat)
        self._settle()

    def _order(self) -> None:
        first, last = (self._ends[:1], self._ends[1:]) if self._armed.points else ([], [])
        self._lay([*first, *self.seats, *last])

    def _dismiss(self, seat: Seat) -> None:
        seat.gone = True
        self._leaving.append(seat)
        for held in [held for held in self._held if held.seat is seat]:
            self._release(held)
        for asked in [asked for asked in self._asks if asked.seat is seat]:
            journey, asked.journey = asked.journey, None
            self._give_up(asked)
            if journey is not None:
                if isinstance(asked.running, GeneratorType):
                    seat.end(asked.running)
                self.room.give(journey.size)
                self._later(journey, self._go(journey))
        self._let_go()

    def _let_go(self) -> None:
        """Of the plugins that were taken away, tell those that no answer is awaited for any more that it is over."""
        awaited = {id(stop[0]) for lane in self._lanes.values() for calls in lane.open.values() for call in calls
                   for stop in call.seen}
        for seat in [seat for seat in self._leaving if id(seat) not in awaited]:
            self._leaving.remove(seat)
            self._bid_farewell(seat, Closing(None, "switched off"))

    def _bid_farewell(self, seat: Seat, closing: Closing) -> None:
        if "on_close" in seat.hooks and not seat.off:
            seat.call("on_close", seat.plugin.on_close, seat.context, closing)
            self.states.kept(seat)

    def call_time(self, nanoseconds: int) -> None:
        """How long a Call is taken to be waited for, from now on: the most that anything is held."""
        self._longest_ns = self._armed.call_ns = nanoseconds

    # ---- breakpoints ----

    def arm(self, points: Sequence[Breakpoint], now_ns: int) -> None:
        """Have these breakpoints from now on; what one that is gone holds goes on."""
        self._now.ns = now_ns
        if not self._ends and points:
            ends = ((Side.STATION, -1), (Side.CSMS, 1 << 30))
            self._ends = [self._new_seat(index, Installed(HAND, partial(End, side, self._armed))) for side, index in ends]
            for seat in self._ends:
                seat.keeps = self.states.keeps
        gone = {point.reason for point in self._armed.points} - {point.reason for point in points}
        self._armed.points = tuple(points)
        self._order()
        for held in [held for held in self._held if held.seat in self._ends and held.reason in gone]:
            self._release(held)
        self._settle()

    @property
    def armed(self) -> tuple[Breakpoint, ...]:
        """The breakpoints that are set."""
        return self._armed.points

    # ---- what is held ----

    @property
    def holds(self) -> bool:
        """Whether a message is held."""
        return bool(self._held)

    def held(self) -> list[HeldHere]:
        """The messages that are held, by breakpoints and by plugins."""
        return [_shown(held) for held in self._held]

    def held_message(self, number: int) -> Message | None:
        """A message that is held; None: it is not (any more)."""
        found = next((held for held in self._held if held.number == number), None)
        return found.journey.message if found is not None else None

    def decide(self, number: int, verdict: Replace | Drop | Reply | None, who: str, now_ns: int) -> bool:
        """A person decides about one; None: it goes on as it is. False: it is not held any more.

        The verdict has to fit: a message of the same kind, a ``Reply`` to a Call only.
        """
        held = next((held for held in self._held if held.number == number), None)
        if held is None:
            return False
        self._now.ns = now_ns
        journey = held.journey
        self._held.remove(held)
        self.room.give(journey.size)
        if verdict is None and not journey.changed:
            journey.plugin, journey.reason = HAND, words(who)
        outcome = self._decide(journey, held.seat, held.then) if verdict is None else self._decide(journey, self._hand, verdict)
        self._later(journey, outcome if outcome is not None else self._go(journey))
        self._settle()
        return True

    def _hold(self, journey: Journey, seat: Seat, verdict: Hold) -> session.Verdict | None:
        outcome = super()._hold(journey, seat, verdict)
        if isinstance(outcome, session.Drop) and outcome.what == HELD and self._held and self._held[-1].journey is journey:
            held = self._held[-1]
            self._number += 1
            held.number, held.since_ns, held.reason = self._number, self._now.ns, outcome.reason
        return outcome

    # ---- Calls by hand ----

    def inject(
        self, side: Side, message: Call | Send, who: str, seconds: float, done: Callable[[Outcome], None], now_ns: int,
    ) -> str:
        """Send a message to a side, past all plugins, and tell ``done`` once what came of it; gives its id.

        A Call waits up to 2 s for a quiet direction, and ``seconds`` in all.
        """
        self._now.ns = now_ns
        if self._over:
            done(Outcome("closed", ""))
            return ""
        sender = side.other
        asked = Asked(self._hand, now_ns + int(seconds * 1e9), self._ids.new(), sender)
        own = Journey(sender, message, asked.message_id, (), plugin=HAND, reason=words(who))
        self._waiting[asked.message_id] = (done, [0])
        if isinstance(message, Call):
            own.asked = asked
            self._asks.append(asked)
        outcome = self._go(own)
        self._later(own, outcome)
        if isinstance(message, Send):
            self._done(asked.message_id, "sent", None)
        self._settle()
        return asked.message_id

    def close_frames(self, body: bytes, who: str) -> None:
        """Send both sides a Close frame with this body."""
        for side in (Side.CSMS, Side.STATION):
            self.actions.append(Leave(side, body, "injected", HAND, words(who), opcode=8))

    def _leave(self, journey: Journey) -> session.Verdict:
        waiting = self._waiting.get(journey.message_id) if journey.asked is not None else None
        if waiting is not None:
            waiting[1][0] = self._now.ns
        return super()._leave(journey)

    def _drop(self, journey: Journey, plugin: str, reason: str) -> session.Drop:
        if journey.asked is not None and journey.asked.message_id in self._waiting:
            self._done(journey.asked.message_id, "refused", None, TOO_MANY)
        return super()._drop(journey, plugin, reason)

    def _deliver(self, asked: Asked, answer: Answer | None) -> None:
        fresh = not asked.done
        super()._deliver(asked, answer)
        if fresh and asked.message_id in self._waiting:
            what = "timeout" if answer is None else "error" if isinstance(answer, CallError) else "result"
            self._done(asked.message_id, what, answer)

    def _done(self, message_id: str, what: str, answer: Answer | None, reason: str = "") -> None:
        done, (sent_ns,) = self._waiting.pop(message_id)
        done(Outcome(what, message_id, answer, self._now.ns - sent_ns if sent_ns else 0, reason))

    # ---- time, and the end ----

    def tick(self, now_ns: int) -> None:
        """As ``Onion.tick``."""
        super().tick(now_ns)
        if self._leaving:
            self._let_go()
            self._settle()

    def due_ns(self) -> int:
        """As ``Onion.due_ns``."""
        due = super().due_ns()
        if not self._leaving:
            return due
        next_ns = self._now.ns + TICK_NS
        return min(due, next_ns) if due else next_ns

    def close(self, closing: Closing, now_ns: int) -> None:
        """As ``Onion.close``."""
        self._now.ns, self._over = now_ns, True
        for message_id in list(self._waiting):
            self._done(message_id, "closed", None)
        for seat in self._leaving:
            self._bid_farewell(seat, closing)
        self._leaving = []
        super().close(closing, now_ns)


def _shown(held: lanes.Held) -> HeldHere:
    journey = held.journey
    message = journey.message
    call = message if isinstance(message, Call | Send) else next((saw for _, saw in journey.path if saw is not None), None)
    text = journey.text if journey.text and not journey.changed else write(message, journey.message_id)
    return HeldHere(
        held.number, journey.sender, _MTYPES.get(type(message), 0), call.action if call is not None else "",
        journey.message_id, text, held.since_ns, held.due_ns, held.seat.name, held.reason,
        held.seat.context.versions[journey.sender],
    )
