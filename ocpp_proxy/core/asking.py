"""Calls of plugins' own: sent through the plugins between, waited for, answered to who asked; and the work they begin."""

from abc import abstractmethod
from collections import deque
from typing import Any

from ocpp_proxy.api import Answer, Call, Send
from ocpp_proxy.core import session
from ocpp_proxy.core.acts import End, Leave, Remark
from ocpp_proxy.core.lanes import EXPIRES_NS, MOST_WISHES, NO_CALL, Asked, Held, Journey, Lane, Open, Room
from ocpp_proxy.core.plugin_text import write
from ocpp_proxy.core.seats import Seat
from ocpp_proxy.core.services import named
from ocpp_proxy.core.ways import Ways
from ocpp_proxy.model import Side

HELD, TRANSLATED = "held", "translated"


class Asking(Ways):
    """The part of ``core.onion`` that asks."""

    __slots__ = ()
    room: Room
    _longest_ns: int
    _held: list[Held]
    _asks: list[Asked]
    _todo: deque[tuple[Asked, Answer | None]]

    @abstractmethod
    def _go(self, journey: Journey) -> session.Verdict:
        """Let the plugins that are left decide."""

    @abstractmethod
    def _run(self, journey: Journey, seat: Seat, running: Any, answer: Answer | None) -> session.Verdict | None:
        """Go on with a hook that asks."""

    def _leave(self, journey: Journey) -> session.Verdict:
        """It leaves now; a Call is open from here on."""
        if type(journey.message) is Call:
            call = Open(journey.message_id, self._now.ns + EXPIRES_NS, journey.seen, journey.asked)
            self._lanes[journey.sender].add(call, self._now.ns)
        if journey.text and not journey.changed:
            return session.PASS
        return session.Replace(write(journey.message, journey.message_id), journey.reason, journey.plugin)

    def _later(self, journey: Journey, outcome: session.Verdict) -> None:
        """What becomes of a message whose verdict was given long ago, or that we made."""
        sender, at, opcode = journey.sender, journey.at, journey.opcode
        match outcome:
            case session.Pass():
                leave = Leave(sender, journey.text, "released", journey.plugin, journey.reason, at, opcode)
                self.actions.append(leave)
            case session.Replace():
                what = "replaced" if journey.text else journey.made
                self.actions.append(Leave(sender, outcome.text, what, outcome.plugin, outcome.reason, at, opcode))
            case session.Drop() if self.translating and journey.asks and not outcome.reason and outcome.what == "answered":
                pass                                    # its answer says so
            case session.Drop() if outcome.what not in (HELD, TRANSLATED):
                self.actions.append(Remark(sender, at, outcome.what, outcome.plugin, outcome.reason))

    def _own(
        self, seat: Seat, side: Side, message: Call | Send, reason: str, due_ns: int, journey: Journey | None = None,
        running: object = None,
    ) -> None:
        """Send a message of a plugin's own, through the plugins between it and that side, once this event is dealt with."""
        sender = side.other
        path = self._sends[sender] if isinstance(message, Send) else self._calls[sender]
        beyond = tuple(stop for stop in path if (stop[0].index > seat.index) == (side is Side.CSMS) and stop[0] is not seat)
        asked = Asked(seat, due_ns, self._ids.new(), sender, journey, running)
        own = Journey(sender, named(message, asked.message_id), asked.message_id, beyond, plugin=seat.name, reason=reason)
        if journey is not None and journey.at and journey.sender is sender and self.translating:
            own.at, own.made = journey.at, TRANSLATED
        if isinstance(message, Call):
            own.asked = asked
            self._asks.append(asked)
        self._later(own, self._go(own))

    def _translated(self, sender: Side, at: int) -> bool:
        """Whether a translation of the message that ended there in that direction is about to leave."""
        return bool(at) and self.translating and any(
            isinstance(one, Leave) and one.what == TRANSLATED and one.at == at and one.sender is sender for one in self.actions
        )

    def _deliver(self, asked: Asked, answer: Answer | None) -> None:
        """Who asked goes on, once this event is dealt with."""
        if not asked.done:
            asked.done = True
            self._asks.remove(asked)
            if asked.journey is not None:
                self._todo.append((asked, answer))

    def _give_up(self, asked: Asked) -> None:
        """No answer came in time: it is waited for no longer."""
        lane = self._lanes[asked.sender]
        for waiting in list(lane.waiting):
            if waiting.journey.asked is asked:
                lane.waiting.remove(waiting)
                self.room.give(waiting.journey.size)
                self._later(waiting.journey, session.Drop("no quiet moment came", asked.seat.name))
        for held in [held for held in self._held if held.journey.asked is asked]:
            self._held.remove(held)
            self.room.give(held.journey.size)
        lane.pop(asked.message_id)
        self._deliver(asked, None)
        self._freed(lane)

    def _still(self) -> bool:
        """Whether hooks wished for nothing, or for nothing but entries of the loss ledger, which are actions then."""
        wishes = self._wishes
        if wishes:
            if len(wishes) == 1 and (one := wishes[0].lost) is not None and not self._todo:
                wishes.clear()
                self.actions.append(one)
                return True
            lost = [wish.lost for wish in wishes if wish.lost is not None]
            if len(lost) < len(wishes) or self._todo:
                return False
            wishes.clear()
            self.actions += lost
        return True

    def _settle(self) -> None:
        """Do what hooks wished for, and go on with those whose answer is there."""
        wishes = 0
        while self._wishes or self._todo:
            if self._todo:
                asked, answer = self._todo.popleft()
                journey = asked.journey
                assert journey is not None
                self.room.give(journey.size)
                outcome = self._run(journey, asked.seat, asked.running, answer)
                self._later(journey, outcome if outcome is not None else self._go(journey))
                continue
            wish = self._wishes.pop(0)
            if wish.lost is not None:
                self.actions.append(wish.lost)
                continue
            wishes += 1
            if wish.work is not None and wishes <= MOST_WISHES:
                sender, at = wish.place or (Side.STATION, 0)
                self._run(Journey(sender, NO_CALL, "", (), at=at, free=True), wish.seat, wish.work, None)
            elif wish.work is None and (wish.side is None or wish.message is None):
                self.actions.append(End(wish.seat.name, wish.reason, wish.reset))
            elif wish.side is not None and wish.message is not None and wishes <= MOST_WISHES:
                self._own(wish.seat, wish.side, wish.message, wish.reason, self._now.ns + self._longest_ns)
            elif wishes == MOST_WISHES + 1:
                wish.seat.fail(f"sends or begins more than {MOST_WISHES} messages because of one event")

    def _freed(self, lane: Lane) -> None:
        """An answer came, or is not waited for any more: who waited for that may go."""
        while lane.queue and lane.own is None:
            self._unqueue(lane)
        if lane.waiting and not lane.count:
            self._send_own(lane)

    def _unqueue(self, lane: Lane) -> None:
        journey = lane.queue.popleft()
        self.room.give(journey.size)
        self._later(journey, self._leave(journey))

    def _send_own(self, lane: Lane) -> None:
        journey = lane.waiting.popleft().journey
        self.room.give(journey.size)
        self._later(journey, self._leave(journey))
