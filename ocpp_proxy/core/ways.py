"""Which plugins a message meets, in which order; and what meets them that is no message: broken texts, control frames.

Station -> CSMS is the order of the configuration, back it is reversed. A text that a plugin repairs goes on, as the message it
is then, through those behind that plugin.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Literal

from ocpp_proxy.api import PASS, Answer, Call, Control, Drop, Malformed, Opening, Pass, Replace, Send
from ocpp_proxy.core import keeping, session
from ocpp_proxy.core.acts import Action, End, Leave
from ocpp_proxy.core.entering import Entered, enter
from ocpp_proxy.core.lanes import Asked, Journey, Lane, Stop
from ocpp_proxy.core.own_ids import OwnIds
from ocpp_proxy.core.plugin_text import is_result_error, read, unreadable
from ocpp_proxy.core.seats import FAILED, Now, Seat, Wish, words
from ocpp_proxy.model import Opcode, Side

_CONTROLS: dict[int, Literal[Opcode.CLOSE, Opcode.PING, Opcode.PONG]] = {
    8: Opcode.CLOSE, 9: Opcode.PING, 10: Opcode.PONG,
}
CLOSE = 8
MOST_SPARED = 300                           # seconds that a side stays when the other is gone
_ANSWERED = re.compile(rb'\s*\[\s*[345]\s*,\s*"([0-9a-f-]{36})"').match


class Ways(ABC):
    """The part of ``core.onion`` that knows the ways."""

    __slots__ = (       # of all classes of an onion: with that many attributes in a dict every access would be looked up anew
        "_answered", "_broken", "_calls", "_controls", "_ids", "_lanes", "_mends", "_now", "_sends", "_tickers",
        "_versions", "_wishes", "actions", "hears", "translating", "versions",
    )
    seats: list[Seat]
    states: keeping.States

    def __init__(self, version: str, entropy: Callable[[int], bytes], now_ns: int) -> None:
        self._versions = {Side.STATION: version, Side.CSMS: version}
        self.versions = MappingProxyType(self._versions)        # what plugins are shown
        self.translating = False                                # the sides speak two versions
        self.actions: list[Action] = []
        self._now = Now(now_ns)
        self._ids = OwnIds(entropy)
        self._wishes: list[Wish] = []
        self._lanes = {Side.STATION: Lane(), Side.CSMS: Lane()}
        self._answered = {side: self._lanes[side.other] for side in Side}       # by who answers

    def _lay(self, seats: Sequence[Seat]) -> None:
        """From now on messages go through these, in this order from station to CSMS."""
        self._calls = _both([seat for seat in seats if seat.on_call or seat.on_answer])
        self._sends = _both([seat for seat in seats if seat.on_send])
        self._broken = _both([seat for seat in seats if "on_malformed" in seat.hooks])
        self._controls = _both([seat for seat in seats if "on_control" in seat.hooks])
        self._tickers = [seat for seat in seats if "on_tick" in seat.hooks]
        self._mends = bool(self._broken[Side.STATION])
        self.hears = self._mends or any(seat.on_answer for seat in seats)      # answers
        self._spoken()

    @property
    def controls(self) -> bool:
        """Whether ``control`` is to be asked at all."""
        return bool(self._controls[Side.STATION])

    def is_own(self, message_id: str) -> bool:
        """Whether a message id is one of a plugin's Call on this link."""
        return self._ids.is_own(message_id)

    @abstractmethod
    def _freed(self, lane: Lane) -> None:
        """An answer came: who waited for that may go."""

    @abstractmethod
    def _settle(self) -> None:
        """Do what hooks wished for."""

    def may_be_ours(self, sender: Side, first: bytes | None) -> bool:
        """Whether a message from there with these first bytes answers a Call of ours; None: that cannot be seen."""
        if first is None:
            return self._lanes[sender.other].own is not None
        found = _ANSWERED(first)
        return found is not None and self._ids.is_own(found[1].decode())

    def _unexpected(self, message_id: str) -> session.Verdict:
        """An answer nobody waits for: of ours it goes nowhere, any other passes (its Call was before us)."""
        if self._ids.is_own(message_id):
            return session.Drop("answer to a Call of the proxy that nobody waits for")
        if self.translating:
            return session.Drop("answer to nothing that was asked; it is in another version than the other side speaks")
        return session.PASS

    @abstractmethod
    def _deliver(self, asked: Asked, answer: Answer | None) -> None:
        """Who asked goes on."""

    def _withheld(self, sender: Side, text: bytes) -> session.Drop | None:
        """A text that is no message leaves, unless it answers a Call of ours. A person is shown it, a plugin got no answer."""
        if self.translating and is_result_error(text):
            return session.Drop("a CALLRESULTERROR: the other side speaks another version")
        message_id, answer = unreadable(text)
        if answer is None or not self._ids.is_own(message_id):
            return None
        lane = self._answered[sender]
        call = lane.pop(message_id)
        if call is None or call.asked is None:
            return session.Drop("answer to a Call of the proxy that nobody waits for")
        self._deliver(call.asked, answer if call.asked.journey is None else None)
        self._freed(lane)
        return session.Drop("unreadable answer to its own Call", call.asked.seat.name)

    # ---- the opening ----

    @property
    def opens(self) -> bool:
        """Whether ``enter`` is to be asked at all."""
        return any("on_open" in seat.hooks for seat in self.seats)

    def enter(self, opening: Opening, cannot: Callable[[str], str], now_ns: int) -> Entered:
        """A charger dials. ``cannot``: why a URL is no upstream, empty when it is one."""
        self._now.ns = now_ns
        entered = enter(self.seats, opening, cannot, self.states.kept)
        self._settle()
        return entered

    def agree(self, station: str, csms: str) -> None:
        """The OCPP versions that are spoken on both sides; empty: unknown."""
        self._versions.update({Side.STATION: station, Side.CSMS: csms})
        self._spoken()

    def _spoken(self) -> None:
        """Which versions each plugin meets: one that translates both, those before and behind it that of their side."""
        station, csms = self._versions[Side.STATION], self._versions[Side.CSMS]
        between = next((at for at, seat in enumerate(self.seats) if seat.kind.translates), None)
        # a station that was told no subprotocol while the CSMS chose one: a plugin stands in between for it
        self.translating = bool(csms) and station != csms and (bool(station) or between is not None)
        for at, seat in enumerate(self.seats):
            if not self.translating or between is None or at == between:
                seat.context.versions = self.versions
            else:
                spoken = station if at < between else csms
                seat.context.versions = {Side.STATION: spoken, Side.CSMS: spoken}

    # ---- broken texts ----

    def _mended(self, journey: Journey, seat: Seat, verdict: Replace) -> session.Verdict | None:
        """A plugin put something in the place of a broken text; as ``Onion._decide``.

        When that is a message, it meets the plugins behind, and an answer is the answer to its Call.
        """
        message = verdict.message
        if isinstance(message, Malformed):
            message = read(message.payload) or message
        journey.message, journey.changed = message, True
        journey.plugin, journey.reason = seat.name, words(verdict.reason)
        if isinstance(message, Malformed):
            return None
        journey.message_id, journey.step = message.message_id, 0
        sender = journey.sender
        if isinstance(message, Call | Send):
            path = (self._calls if isinstance(message, Call) else self._sends)[sender]
        else:
            lane = self._lanes[sender.other]
            journey.call = lane.pop(message.message_id)
            if journey.call is None:
                unexpected = self._unexpected(message.message_id)
                if isinstance(unexpected, session.Drop):
                    return unexpected
            path = tuple(journey.call.seen[::-1]) if journey.call is not None else ()
            if lane.queue or lane.waiting:
                self._freed(lane)
        onward = sender is Side.STATION
        journey.path = [stop for stop in path if (stop[0].index > seat.index) == onward and stop[0] is not seat]
        return None

    # ---- the end of one side ----

    def gone(self, side: Side, how: str, now_ns: int) -> float:
        """The connection of a side is over: seconds that plugins want the other to stay; 0: it ends now."""
        self._now.ns = now_ns
        longest = 0.0
        for seat in self.seats:
            if "on_gone" not in seat.hooks or seat.off:
                continue
            seconds = seat.call("on_gone", seat.plugin.on_gone, seat.context, side, how)
            self.states.kept(seat)
            if type(seconds) in (int, float) and 0 <= seconds <= MOST_SPARED:
                longest = max(longest, seconds)
            elif seconds is not None and seconds is not FAILED:
                seat.fail(f"gave {seconds!r} for a side that is gone: None, or seconds from 0 to {MOST_SPARED}")
        self._settle()
        return longest

    # ---- control frames ----

    def control(self, sender: Side, opcode: int, payload: bytes, now_ns: int) -> session.Drop | None:
        """A ping, pong or Close came; None: it goes on. One that is dropped meets no other plugin.

        Behind a Close its sender says nothing more, so a link whose Close is dropped ends: we answer the Close in the other
        side's place, and both connections end.
        """
        self._now.ns = now_ns
        frame = Control(_CONTROLS[opcode], payload)
        dropped = None
        for seat, _ in self._controls[sender]:
            dropped = self._asked_about(seat, sender, frame)
            if dropped is not None:
                break
        if dropped is not None and opcode == CLOSE:
            self.actions.append(Leave(sender.other, payload, "injected", dropped.plugin, "answers the Close", opcode=CLOSE))
            self.actions.append(End(dropped.plugin, "its Close was dropped"))
        self._settle()
        return dropped

    def _asked_about(self, seat: Seat, sender: Side, frame: Control) -> session.Drop | None:
        if seat.off:
            return session.Drop("the plugin is switched off", seat.name) if seat.on_error == "drop" else None
        decision = seat.call("on_control", seat.plugin.on_control, seat.context, sender, frame)
        self.states.kept(seat)              # the frame leaves once it is stored
        if decision is PASS or type(decision) is Pass:
            return None
        if type(decision) is Drop:
            return session.Drop(words(decision.reason), seat.name)
        if decision is not FAILED:
            seat.fail(f"gave {type(decision).__name__} for a control frame, which passes or is dropped")
        if seat.on_error == "close":
            self.actions.append(End(seat.name, "the plugin failed"))
        return None if seat.on_error == "pass" else session.Drop("the plugin failed", seat.name)


def _both(seats: Sequence[Seat]) -> dict[Side, tuple[Stop, ...]]:
    stops: tuple[Stop, ...] = tuple((seat, None) for seat in seats)
    return {Side.STATION: stops, Side.CSMS: stops[::-1]}
