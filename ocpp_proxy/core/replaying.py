"""One side of a captured link played again, sans-I/O: when to send what, what to answer, where the peer answers otherwise.

Our Calls leave in the order and at the distances of the capture, one at a time. The peer's Calls get the answers they got in
the capture: the k-th Call of an action the k-th answer. What the peer names anew (a transactionId, a requestId) takes the
place of what the capture has wherever we say it later.
"""

from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Literal

from msgspec import UNSET, Struct
from msgspec.structs import replace

from ocpp_proxy.core.own_ids import OwnIds
from ocpp_proxy.core.replay_text import Names, answer_text, differences, learn, moved
from ocpp_proxy.model import Message, Side
from ocpp_proxy.wire.envelope import Envelope
from ocpp_proxy.wire.ocppj import decode, load, rebuild

CALL, RESULT, ERROR, SEND = 2, 3, 4, 6
CALL_NS = 30_000_000_000
QUIET_NS = 5_000_000_000                    # without a word of the peer, once all of ours is said
MOST_TOLD = 10_000                          # differences: a peer may go on for ever
Kind = Literal["answer", "no_answer", "missing_call", "unexpected_call", "unexpected_answer"]


class Difference(Struct, frozen=True):
    """Where the peer did otherwise than in the capture. ``msg_no``: the message of the capture it is about, 0: none.

    ``answer``: ``path`` of the payload has ``live`` instead of ``captured`` (JSON texts, empty: not there; path ``$``: a
    CALLERROR came instead of a CALLRESULT, or the other way round). ``missing_call``: a Call of the peer that did not come.
    """

    kind: Kind
    msg_no: int
    action: str
    path: str = ""
    captured: str = ""
    live: str = ""


class Played(Struct):
    """What came of it: Calls of ours sent, answers to them, Calls of the peer that were answered; the differences in order.

    ``more``: differences beyond ``MOST_TOLD``, which are only counted.
    """

    sent: int = 0
    answered: int = 0
    served: int = 0
    differences: list[Difference] = []
    more: int = 0


class _Own(Struct):
    """A message of ours, and how long after the first one of the link it was sent. ``answer``: what came for it.

    ``made``: that was the proxy's, so the peer may say what it likes.
    """

    after_ns: int
    message: Message
    answer: Message | None = None
    made: bool = False


class _Theirs(Struct):
    """A Call of the peer in the capture, and what we answered (None: nothing)."""

    message: Message
    answer: Message | None = None


class Player:
    """Plays ``side`` of the messages of one link, which stand in their order.

    ``made``: msg_nos of what the proxy said itself: nobody waits for a peer to say that.
    ``speed``: 2.0 is twice as fast, 0 as fast as the peer answers. ``rebase_time``: time stamps we say are moved to now.
    """

    def __init__(
        self, messages: Sequence[Message], side: Side, entropy: Callable[[int], bytes], *, speed: float = 1.0,
        rebase_time: bool = False, call_ns: int = CALL_NS, made: Collection[int] = (),
    ) -> None:
        self.played = Played()
        self._ids, self._names = OwnIds(entropy), Names()
        self._speed, self._rebase, self._call_ns = speed, rebase_time, call_ns
        first_ns = messages[0].time_ns if messages else 0
        answers = {one.call_no: one for one in messages if one.call_no is not None}
        self._own = deque(
            _Own(one.time_ns - first_ns, one, answer, answer is not None and answer.msg_no in made)
            for one, answer in ((one, answers.get(one.msg_no)) for one in messages)
            if one.sender is side and one.mtype in (0, CALL, SEND)
        )
        self._theirs: dict[str, deque[_Theirs]] = {}
        self._last: dict[str, _Theirs] = {}
        for one in messages:
            if one.sender is not side and one.mtype in (CALL, SEND) and one.msg_no not in made:
                self._theirs.setdefault(one.action, deque()).append(_Theirs(one, answers.get(one.msg_no)))
        self._ends_ns = messages[-1].time_ns - first_ns if messages else 0
        self._begun_ns = self._heard_ns = 0
        self._waiting: tuple[str, _Own, int] | None = None      # message id, our Call, when we give up

    def begin(self, now_ns: int) -> None:
        """The connection is open; ``now_ns`` since the epoch, as everywhere here."""
        self._begun_ns = self._heard_ns = now_ns

    @property
    def done(self) -> bool:
        """Whether all of ours is sent and answered; what is left of the captured time is for Calls of the peer."""
        return not self._own and self._waiting is None

    @property
    def ends_ns(self) -> int:
        """When nothing more is waited for: the captured link is over, and the peer has been quiet for a while."""
        return max(self._begun_ns + self._scaled(self._ends_ns), self._heard_ns + QUIET_NS)

    @property
    def complete(self) -> bool:
        """Whether there is nothing left to wait for: all of ours is done, and all Calls of the peer have come."""
        return self.done and not any(self._theirs.values())

    def due_ns(self) -> int:
        """When ``tick`` has to be called next; 0: only what the peer says can go on from here."""
        if self._waiting is not None:
            return self._waiting[2]
        return self._begun_ns + self._scaled(self._own[0].after_ns) if self._own else 0

    def tick(self, now_ns: int) -> list[bytes]:
        """What is to be sent now."""
        if self._waiting is not None:
            if now_ns < self._waiting[2]:
                return []
            self._unanswered(self._waiting[1])
            self._waiting = None
        out: list[bytes] = []
        while self._waiting is None and self._own and self.due_ns() <= now_ns:
            out.append(self._say(self._own.popleft(), now_ns))
        return out

    def receive(self, text: bytes, now_ns: int) -> list[bytes]:
        """The peer said something; gives what we answer, or send next because of it."""
        said = decode(text)
        if said.mtype in (CALL, SEND):
            answer = self._serve(said, now_ns)
            return [answer] if answer else []
        if self._waiting is not None and said.mtype in (RESULT, ERROR) and said.message_id == self._waiting[0]:
            own, self._waiting, self._heard_ns = self._waiting[1], None, now_ns
            self._compare(own, said)
        else:
            self._differ("unexpected_answer", 0, said.action, live=text[:200].decode("utf-8", "replace"))
        return self.tick(now_ns)

    def finish(self) -> Played:
        """The play is over: what is still open is a difference, too."""
        if self._waiting is not None:
            self._unanswered(self._waiting[1])
        for own in self._own:
            self._unanswered(own)
        for theirs in self._theirs.values():
            for one in theirs:
                self._differ("missing_call", one.message.msg_no, one.message.action)
        self._own.clear()
        self._theirs.clear()
        self._waiting = None
        return self.played

    def _scaled(self, ns: int) -> int:
        return int(ns / self._speed) if self._speed else 0

    def _say(self, own: _Own, now_ns: int) -> bytes:
        message = own.message
        self.played.sent += 1
        if not message.mtype:
            return message.payload
        message_id = self._ids.new()
        if message.mtype == CALL:
            self._waiting = (message_id, own, now_ns + self._call_ns)
        return rebuild(message.mtype, message_id, message.action, self._moved(message, now_ns))

    def _moved(self, message: Message, now_ns: int) -> bytes:
        return moved(message.payload, self._names, now_ns - message.time_ns if self._rebase else 0)

    def _serve(self, said: Envelope, now_ns: int) -> bytes:
        """The answer to a Call of the peer; empty: there is none."""
        known = self._theirs.get(said.action)
        theirs = known.popleft() if known else None
        if theirs is None:
            self._differ("unexpected_call", 0, said.action, live=said.payload[:200].decode("utf-8", "replace"))
            theirs = self._last.get(said.action)
            if theirs is None:
                return b"" if said.mtype == SEND else rebuild(
                    ERROR, said.message_id, "", b"{}", error_code="NotImplemented", error_desc="not in the capture")
        else:
            self._heard_ns = now_ns         # what the capture does not have keeps nobody waiting: a charger never stops
        self._last[said.action] = theirs
        learn(load(theirs.message.payload), said.value, self._names)
        if theirs.answer is None or said.mtype == SEND:
            return b""
        self.played.served += 1
        return answer_text(replace(theirs.answer, payload=self._moved(theirs.answer, now_ns)), said.message_id)

    def _compare(self, own: _Own, said: Envelope) -> None:
        self.played.answered += 1
        captured = own.answer
        number, action = own.message.msg_no, own.message.action
        if captured is None:
            self._differ("answer", number, action, "$", live=_short(said))
            return
        if own.made:
            if said.mtype == RESULT and said.value is not UNSET:
                learn(load(captured.payload), said.value, self._names)
        elif captured.mtype != said.mtype or captured.error_code != said.error_code:
            before = captured.error_code or captured.payload[:200].decode("utf-8", "replace")
            self._differ("answer", number, action, "$", before, _short(said))
        elif said.mtype == RESULT and said.value is not UNSET:
            values = load(captured.payload)
            learn(values, said.value, self._names)
            for path, before, live in differences(values, said.value):
                self._differ("answer", number, action, path, before, live)

    def _unanswered(self, own: _Own) -> None:
        if own.message.mtype == CALL and own.answer is not None and not own.made:
            self._differ("no_answer", own.message.msg_no, own.message.action)

    def _differ(self, kind: Kind, msg_no: int, action: str, path: str = "", captured: str = "", live: str = "") -> None:
        if len(self.played.differences) >= MOST_TOLD:
            self.played.more += 1
            return
        self.played.differences.append(Difference(kind, msg_no, action, path, captured, live))


def _short(said: Envelope) -> str:
    return said.error_code or said.payload[:200].decode("utf-8", "replace")
