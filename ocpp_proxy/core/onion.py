"""The plugins of one link, sans-I/O: texts in, verdicts and actions out, time from outside.

A Call goes through the plugins in the order of the configuration on its way to the CSMS, in reverse on its way to the
station, and its answer goes back through those that saw the Call, each with the Call as it saw it. ``Replace`` goes on;
``Drop``, ``Reply`` and ``Hold`` stop. Message ids are the engine's: a received message keeps its own, a Call of a plugin gets
a fresh one, and its answer goes to who asked and nowhere else. What nobody changed leaves as its original bytes.
"""

from collections import deque
from collections.abc import Callable, Sequence
from types import GeneratorType
from typing import Any

from ocpp_proxy.api import PASS, Answer, Ask, Call, CallResult, Closing, Drop, Hold, Malformed, Pass, Replace, Reply, Send
from ocpp_proxy.core import keeping, session
from ocpp_proxy.core.acts import End
from ocpp_proxy.core.asking import HELD, TRANSLATED, Asking
from ocpp_proxy.core.lanes import (
    EXPIRES_NS,
    MOST_ASKS,
    MOST_WORK,
    QUIET_NS,
    Asked,
    Held,
    Journey,
    Open,
    Room,
    Stop,
    Waiting,
    earliest,
)
from ocpp_proxy.core.plugin_text import call_of, doubtful, malformed, read, result_of, write
from ocpp_proxy.core.seats import FAILED, Installed, Limit, NoLimit, Seat, carried, words
from ocpp_proxy.core.services import named
from ocpp_proxy.core.session import QUIET
from ocpp_proxy.model import Side

TICK_NS = 1_000_000_000


class Onion(Asking):
    """``installed``: in the order of the configuration. ``longest_ns``: the most a message is held.

    ``actions``: what is to be done besides the verdicts, in order; who calls takes them and empties the list.
    """

    __slots__ = ("_asks", "_held", "_keeps", "_longest_ns", "_new_seat", "_tick_ns", "_todo", "room", "seats", "states")

    def __init__(
        self, installed: Sequence[Installed], identity: str, version: str, entropy: Callable[[int], bytes], *,
        limit: Limit | None = None, longest_ns: int = 30_000_000_000, now_ns: int = 0,
    ) -> None:
        super().__init__(version, entropy, now_ns)
        self.room = Room(self.actions.append)
        self._longest_ns = longest_ns
        self._new_seat: Callable[[int, Installed], Seat] = lambda index, one: Seat(
            index, one, identity, self.versions, self._wishes, self.actions.append, limit or NoLimit(), self._now, entropy)
        self.seats = [self._new_seat(index, one) for index, one in enumerate(installed)]
        self.states = keeping.States(self.seats, self._wishes, self.actions.append)
        self._keeps = self.states.keeps
        for seat in self.seats:
            if seat.strikes and seat.on_error != "pass":
                self.actions.append(End(seat.name, "the plugin could not be made"))
        self._held: list[Held] = []
        self._asks: list[Asked] = []
        self._todo: deque[tuple[Asked, Answer | None]] = deque()
        self._tick_ns = now_ns + TICK_NS
        self._lay(self.seats)

    # ---- what happens ----

    def passes(self, sender: Side, text: bytes) -> bool:
        """Whether a text is an answer that no plugin wants to see and nothing waits for. Else ``receive`` it."""
        found = result_of(text) if not self.hears and text[-2:] == b"}]" else None
        if found is None or self._wishes or self.actions:
            return False
        lane, message_id = self._answered[sender], found[1].decode()
        calls = lane.open.get(message_id)
        if calls is None or len(calls) > 1 or calls[0].seen or calls[0].asked is not None or lane.queue or lane.waiting:
            return False
        del lane.open[message_id]
        lane.count -= 1
        return True

    def receive(self, sender: Side, text: bytes, at: int, now_ns: int, opcode: int = 1) -> session.Verdict:
        """A whole message came; ``at``: where it ends in the direction. Gives what becomes of it."""
        self._now.ns = now_ns
        if text[-2:] == b"}]" and not self._mends:      # the usual case
            found = call_of(text)
            if found is not None:
                message_id, action = found.groups()
                start = found.end()
                return self._asked(
                    sender, Call(text[start:-1], action.decode(), message_id.decode()), text, at, opcode, start)
            found = result_of(text)
            if found is not None:
                return self._result(sender, CallResult(text[found.end() : -1], found[1].decode()), text, at, opcode)
        return self._odd(sender, text, at, opcode)

    def _odd(self, sender: Side, text: bytes, at: int, opcode: int) -> session.Verdict:
        """As ``receive``, of whatever it is."""
        message = read(text)
        if self._mends and (message is None or doubtful(message)) and malformed(text):
            outcome = self._go(Journey(sender, Malformed(text), "", self._broken[sender], text, at, opcode))
            if message is None or outcome is not session.PASS:
                return self._event(outcome)
        if message is None:
            return self._event(self._withheld(sender, text) or session.PASS)
        if type(message) is Call:
            return self._asked(sender, message, text, at, opcode)
        if type(message) is Send:
            outcome = self._go(Journey(sender, message, message.message_id, self._sends[sender], text, at, opcode))
            return self._ended(sender, at, outcome)
        return self._result(sender, message, text, at, opcode)

    def _asked(self, sender: Side, call: Call, text: bytes, at: int, opcode: int, start: int = 0) -> session.Verdict:
        """A Call came."""
        outcome = self._call(sender, call, text, at, opcode, start)
        still = outcome is QUIET or (type(outcome) is session.Replace and outcome.quiet)
        return outcome if still and (not self._wishes or self._still()) else self._event(session.loud(outcome))

    def _result(self, sender: Side, message: Any, text: bytes, at: int, opcode: int) -> session.Verdict:
        """An answer came."""
        lane = self._answered[sender]
        call = lane.pop(message.message_id)
        if call is None:
            return self._unexpected(message.message_id)
        outcome = self._answer(sender, message, call, text, at, opcode)
        if lane.queue or lane.waiting:
            self._freed(lane)
        elif (outcome is QUIET and not self._wishes) or (session.quiet(outcome) and self._still()):
            return outcome
        return self._ended(sender, at, outcome)

    def _ended(self, sender: Side, at: int, outcome: session.Verdict) -> session.Verdict:
        """What becomes of an answer or SEND, whose hooks are through."""
        outcome = self._event(session.loud(outcome))
        if self.translating and type(outcome) is session.Drop and outcome.what == "dropped" and (
                self.states.pending or self._translated(sender, at)):
            return session.Drop(outcome.reason, outcome.plugin, TRANSLATED)     # another one leaves for it
        return outcome

    def _event(self, outcome: session.Verdict) -> session.Verdict:
        """All hooks about what came are through."""
        if outcome is session.WAIT:
            self.states.awaited()
        if self._wishes or self._todo:
            self._settle()
        return outcome

    def _call(self, sender: Side, message: Any, text: bytes, at: int, opcode: int, start: int = 0) -> session.Verdict:
        """A Call came. Flat: nearly all pass every plugin, and those need no journey. ``start``: of its payload, in an ordinary
        text; else 0."""
        action = message.action
        path, step, keeps = self._calls[sender], 0, self._keeps
        seen: list[Stop] = []
        changed, plugin, reason = False, "", ""
        for seat, _ in path:
            if seat.off:
                break
            if seat.on_answer is not None:
                seen.append((seat, message))
            if seat.on_call is not None:
                decision = seat.called(sender, message)
                if decision is not PASS or keeps:
                    other = carried(decision, message) if not keeps else None
                    if other is None:
                        journey = Journey(sender, message, message.message_id, path, text, at, opcode, step + 1,
                                          changed, plugin, reason, seen)
                        outcome = self._decide(journey, seat, decision)
                        return outcome if outcome is not None else self._go(journey)
                    message, changed, plugin, reason = other, True, seat.name, words(decision.reason)
            step += 1
        lane = self._lanes[sender]
        if step < len(path) or lane.own is not None:
            return self._go(Journey(
                sender, message, message.message_id, path, text, at, opcode, step, changed, plugin, reason, seen))
        now_ns = self._now.ns
        if lane.count:
            lane.add(Open(message.message_id, now_ns + EXPIRES_NS, seen), now_ns)
        else:                                           # the usual case: it is the only one
            lane.open[message.message_id] = [Open(message.message_id, now_ns + EXPIRES_NS, seen)]
            lane.count = 1
        if not changed:
            return QUIET
        if start and message.action is action:
            return session.Replace(b"".join((text[:start], message.payload, b"]")), reason, plugin, True)
        return session.Replace(write(message, message.message_id), reason, plugin, True)

    def _answer(self, sender: Side, message: Any, call: Open, text: bytes, at: int, opcode: int) -> session.Verdict:
        """An answer came, of a call that is open no longer. Flat, as ``_call``."""
        path, step, keeps = call.seen[::-1], 0, self._keeps
        changed, plugin, reason = False, "", ""
        for seat, saw in path:
            if seat.off:
                break
            decision = seat.answered(sender, message, saw)
            step += 1
            if decision is not PASS or keeps:
                other = carried(decision, message) if not keeps else None
                if other is None:
                    journey = Journey(
                        sender, message, message.message_id, path, text, at, opcode, step, changed, plugin, reason, call=call)
                    outcome = self._decide(journey, seat, decision)
                    return outcome if outcome is not None else self._go(journey)
                message, changed, plugin, reason = other, True, seat.name, words(decision.reason)
        if step < len(path) or call.asked is not None:
            return self._go(Journey(
                sender, message, message.message_id, path, text, at, opcode, step, changed, plugin, reason, call=call))
        return session.Replace(write(message, message.message_id), reason, plugin, True) if changed else QUIET

    def tick(self, now_ns: int) -> None:
        """Time has come to here: what is due happens."""
        self._now.ns = now_ns
        for held in sorted((held for held in self._held if held.due_ns <= now_ns), key=lambda held: held.due_ns):
            self._release(held)
        for asked in [asked for asked in self._asks if asked.due_ns <= now_ns]:
            self._give_up(asked)
        for lane in self._lanes.values():
            if lane.waiting and lane.waiting[0].due_ns <= now_ns and lane.own is None:
                self._send_own(lane)
        if now_ns >= self._tick_ns:
            self._tick_ns = now_ns + TICK_NS
            for seat in self._tickers:
                if not seat.off:
                    seat.call("on_tick", seat.plugin.on_tick, seat.context, now_ns)
                    self.states.kept(seat)
        self._settle()

    def due_ns(self) -> int:
        """When ``tick`` is to be called next; 0: nothing is due."""
        tick_ns = self._tick_ns if self._tickers and any(not seat.off for seat in self._tickers) else 0
        if not (self._held or self._asks):              # what waits for a quiet moment was asked, too
            return tick_ns
        return earliest(self._held, self._asks, self._lanes.values(), tick_ns)

    def ended(self, sender: Side, now_ns: int) -> None:
        """That side will send nothing more: what is kept of it is decided now."""
        self._now.ns = now_ns
        for held in [held for held in self._held if held.journey.sender is sender]:
            self._release(held)
        for asked in [asked for asked in self._asks if asked.journey is not None and asked.journey.sender is sender]:
            self._give_up(asked)
        self._settle()
        lane = self._lanes[sender]
        while lane.queue:
            self._unqueue(lane)

    def close(self, closing: Closing, now_ns: int) -> None:
        """The link is over."""
        self._now.ns = now_ns
        for asked in self._asks:
            if isinstance(asked.running, GeneratorType):
                asked.seat.end(asked.running)
        self._asks, self._held = [], []
        for seat in self.seats:
            if "on_close" in seat.hooks and not seat.off:
                seat.call("on_close", seat.plugin.on_close, seat.context, closing)
                self.states.kept(seat)
        self._wishes.clear()

    # ---- a message on its way ----

    def _go(self, journey: Journey) -> session.Verdict:
        """Let the plugins that are left decide."""
        while journey.step < len(journey.path):         # another path, once a broken text is repaired
            seat, saw = journey.path[journey.step]
            journey.step += 1
            if seat.off:
                if seat.on_error != "drop":
                    continue
                return self._drop(journey, seat.name, "the plugin is switched off")
            decision = self._hook(seat, saw, journey)
            if decision is PASS and not self._keeps:
                continue
            outcome = self._decide(journey, seat, decision)
            if outcome is not None:
                return outcome
        return self._depart(journey)

    def _hook(self, seat: Seat, saw: Call | None, journey: Journey) -> Any:
        message = journey.message
        if saw is not None:
            return seat.call("on_answer", seat.plugin.on_answer, seat.context, journey.sender, message, saw)
        if seat.gone:
            return PASS
        if type(message) is Send:
            return seat.call("on_send", seat.plugin.on_send, seat.context, journey.sender, message)
        if type(message) is Malformed:
            return seat.call("on_malformed", seat.plugin.on_malformed, seat.context, journey.sender, message)
        assert type(message) is Call
        if seat.on_answer is not None:
            journey.seen.append((seat, message))
        if seat.on_call is None:
            return PASS
        return seat.call("on_call", seat.on_call, seat.context, journey.sender, message)

    def _decide(self, journey: Journey, seat: Seat, decision: Any) -> session.Verdict | None:
        """What a decision means; None: the message goes on."""
        if self._keeps:
            return self.states.kept(seat, journey, decision)
        if type(decision) is GeneratorType:
            return self._run(journey, seat, decision, None)
        if journey.free and decision is not FAILED:
            return session.Drop("", seat.name, HELD)
        if decision is not FAILED:
            why = seat.unfit(decision, journey.message) if type(decision) is not Ask else "returned an Ask: yield it"
            if why:
                decision = seat.fail(why)
        match decision:
            case Pass():
                return None
            case Replace() if type(journey.message) is Malformed:
                return self._mended(journey, seat, decision)
            case Replace():
                journey.message, journey.changed = named(decision.message, journey.message_id), True
                journey.plugin, journey.reason = seat.name, words(decision.reason)
                return None
            case Drop():
                return self._drop(journey, seat.name, words(decision.reason))
            case Reply():
                return self._reply(journey, seat, decision)
            case Hold():
                return self._hold(journey, seat, decision)
        return self._failed(journey, seat)

    def _failed(self, journey: Journey, seat: Seat) -> session.Verdict | None:
        """A plugin failed on this message."""
        if seat.on_error == "close":
            self.actions.append(End(seat.name, "the plugin failed"))
        if journey.free:
            return session.Drop("", seat.name, HELD)
        if seat.on_error == "pass":
            return None
        return self._drop(journey, seat.name, "the plugin failed")

    def _drop(self, journey: Journey, plugin: str, reason: str) -> session.Drop:
        """It goes no further; who asked for it, or for what it answers, gets nothing."""
        asked = journey.asked or (journey.call.asked if journey.call is not None else None)
        if asked is not None:
            self._deliver(asked, None)
        return session.Drop(reason, plugin)

    def _reply(self, journey: Journey, seat: Seat, verdict: Reply) -> session.Verdict:
        """Answer a Call here: the answer goes back through those that saw the Call before."""
        seen = [stop for stop in journey.seen if stop[0] is not seat]
        side, at = journey.answer or (None, 0)          # what it was made from, where another answer was asked for
        message_id = journey.message_id or verdict.answer.message_id       # of a broken text who answers it read it
        call = Open(message_id, 0, seen, journey.asked)
        answer = Journey(
            journey.sender.other, named(verdict.answer, message_id), message_id, seen[::-1], plugin=seat.name,
            reason=words(verdict.reason), call=call,
        )
        if side is answer.sender and self.translating:
            answer.at, answer.made = at, TRANSLATED
        self._later(answer, self._go(answer))
        return session.Drop(answer.reason, seat.name, "answered")

    def _hold(self, journey: Journey, seat: Seat, verdict: Hold) -> session.Verdict | None:
        if not self.room.take(journey.size, seat.name):
            return self._decide(journey, seat, verdict.then)
        due_ns = self._now.ns + min(int(verdict.seconds * 1e9), self._longest_ns)
        self._held.append(Held(due_ns, journey, seat, verdict.then))
        return session.Drop(words(verdict.reason), seat.name, HELD)

    def _run(self, journey: Journey, seat: Seat, running: Any, answer: Answer | None) -> session.Verdict | None:
        """Go on with a hook that asks; as ``_decide``."""
        seat.place = journey.message, journey.sender, journey.at
        return self._ran(journey, seat, running, seat.step(running, answer, *journey.at_hand))

    def _ran(self, journey: Journey, seat: Seat, running: Any, found: Any) -> session.Verdict | None:
        """What a hook that asks gave: another ``Ask``, or its verdict."""
        while True:
            if self._keeps:
                return self.states.kept(seat, journey, found, running)
            if type(found) is not Ask:
                return self._decide(journey, seat, found if type(found) is not GeneratorType else None)
            journey.asks += 1
            why = seat.unfit(found, journey.message)
            if journey.asks > (MOST_WORK if journey.free else MOST_ASKS):
                why = f"asked more than {MOST_WORK if journey.free else MOST_ASKS} times for one message"
            if why:
                seat.end(running)
                return self._decide(journey, seat, seat.fail(why))
            if self.room.take(journey.size, seat.name):
                break
            found = seat.step(running, None, *journey.at_hand)
        due_ns = self._now.ns + int(found.seconds * 1e9)
        self._own(seat, found.side, found.call, f"asked for {words(journey.message_id)}", due_ns, journey, running)
        what = TRANSLATED if journey.asks == 1 and self._translated(journey.sender, journey.at) else HELD
        return session.Drop(f"asks the {found.side}", seat.name, what)

    # ---- States ----

    def stored(self, error: str, now_ns: int) -> None:
        """The rows of ``states`` are stored, or cannot be, and why: who kept them goes on, and may keep again."""
        self._now.ns = now_ns
        for one in self.states.take(error):
            self._go_on(one, bool(error))
        self._settle()

    def _go_on(self, one: keeping.Pending, failed: bool) -> None:
        seat, journey = one.seat, one.journey
        if journey is None:
            if failed and seat.on_error == "close":
                self.actions.append(End(seat.name, "its State cannot be stored"))
            return
        if failed:
            if one.running is not None:
                seat.end(one.running)
            outcome = self._failed(journey, seat)
        elif one.running is not None:
            outcome = self._ran(journey, seat, one.running, one.decision)
        else:
            outcome = self._decide(journey, seat, one.decision)
        if outcome is None:
            outcome = self._go(journey)
        if not self.states.decided(journey, outcome):
            self._later(journey, outcome)

    # ---- the way out ----

    def _depart(self, journey: Journey) -> session.Verdict:
        """All plugins are through."""
        call = journey.call
        if call is not None and call.asked is not None:
            assert isinstance(journey.message, Answer)
            if call.asked.journey is not None:
                call.asked.journey.answer = journey.sender, journey.at
            self._deliver(call.asked, journey.message)
            return session.Drop("answer to its own Call", call.asked.seat.name)
        if type(journey.message) is Malformed:
            return self._withheld(journey.sender, journey.message.payload) or self._leave(journey)
        if type(journey.message) is not Call:
            return self._leave(journey)
        lane = self._lanes[journey.sender]
        if journey.asked is not None:
            if journey.asked.done:
                return session.Drop("nobody waits for its answer any more", journey.plugin)
            if not lane.count:
                return self._leave(journey)
            if self.room.take(journey.size, journey.asked.seat.name):
                lane.waiting.append(Waiting(self._now.ns + QUIET_NS, journey))
                return session.Drop("waits for a quiet moment", journey.plugin, HELD)
            return self._drop(journey, journey.plugin, "too many messages wait")
        if lane.own is not None and lane.own.asked is not None and self.room.take(journey.size, lane.own.asked.seat.name):
            lane.queue.append(journey)
            return session.Drop("waits for the answer to a Call of the proxy", lane.own.asked.seat.name, HELD)
        return self._leave(journey)

    def _release(self, held: Held) -> None:
        """A message is held no longer."""
        if held not in self._held:
            return
        self._held.remove(held)
        journey = held.journey
        self.room.give(journey.size)
        outcome = self._decide(journey, held.seat, held.then)
        self._later(journey, outcome if outcome is not None else self._go(journey))
