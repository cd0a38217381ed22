"""Onion and Sessions together on the wire: whatever chunks, fragments, compression, held and overtaken messages there are,
nothing is lost, doubled or reordered that nobody asked for, and what nobody changed leaves as its original bytes.
"""

from collections.abc import Generator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate

from ocpp_proxy.api import (
    PASS,
    Answer,
    Ask,
    Call,
    CallResult,
    Context,
    Decision,
    Drop,
    Hold,
    Plugin,
    Replace,
    Reply,
    Side,
    Verdict,
)
from ocpp_proxy.core.acts import Leave
from ocpp_proxy.core.onion import Onion
from ocpp_proxy.core.seats import Installed
from ocpp_proxy.core.session import QUIET, Session, Watch
from ocpp_proxy.core.session import Verdict as Outcome
from ocpp_proxy.wire.deflate import Inflater, InflaterState
from tests.core.test_session import chunks, entropy, leaving, texts, wire

SECOND = 1_000_000_000


class Scripted(Plugin):
    """Does what the action of a Call says."""

    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        match call.action:
            case "Replace":
                return Replace(call.carrying({"changed": True}))
            case "Drop":
                return Drop()
            case "Reply":
                return Reply(CallResult.of({"local": True}))
            case "Hold":
                return Hold(3)
            case "Ask":
                return self._ask(call)
            case "Also":
                context.send(Side.CSMS, Call.of("Injected", {}))
        return PASS

    def _ask(self, call: Call) -> Generator[Ask, Answer | None, Verdict]:
        yield Ask(Side.CSMS, Call.of("Asked", {}), 5)
        return PASS


class Wire:
    """What ``relay.plugged`` does, without sockets: both directions of a link with one plugin."""

    def __init__(self, compressed: bool, *plugins: type[Plugin]) -> None:
        self.now_ns = SECOND
        drawn = iter(range(1, 1 << 20))
        self.onion = Onion(
            [Installed(kind.__name__, kind) for kind in plugins], "CP1", "1.6",
            lambda count: next(drawn).to_bytes(count, "big"), now_ns=self.now_ns,
        )
        self.out = {Side.STATION: b"", Side.CSMS: b""}
        self.sessions = {
            side: Session(
                self._asking(side), masked=side is Side.STATION, entropy=entropy, watch=self._watching(side),
                inflater=Inflater(InflaterState(True)) if compressed and side is Side.STATION else None,
            ) for side in Side
        }

    def _asking(self, side: Side) -> Any:
        def ask(text: bytes, at: int, opcode: int) -> Outcome:
            return QUIET if self.onion.passes(side, text) else self.onion.receive(side, text, at, self.now_ns, opcode)

        return ask

    def _watching(self, side: Side) -> Watch:
        return lambda opcode, payload: self.onion.control(side, opcode, payload, self.now_ns)

    def feed(self, side: Side, data: bytes) -> None:
        self.out[side] += leaving(self.sessions[side].feed(data))
        self.settle()

    def settle(self) -> None:
        actions, self.onion.actions[:] = list(self.onion.actions), []
        for action in actions:
            if isinstance(action, Leave):
                effects = self.sessions[action.sender].inject(action.text, action.reason, what=action.what, at=action.at)
                self.out[action.sender] += leaving(effects)

    def wait(self) -> None:
        """Until nothing is due any more."""
        while due := self.onion.due_ns():
            self.now_ns = max(due, self.now_ns)
            self.onion.tick(self.now_ns)
            self.settle()

    def end(self) -> None:
        self.out[Side.STATION] += leaving(self.sessions[Side.STATION].end())
        self.onion.ended(Side.STATION, self.now_ns)
        self.settle()


ACTIONS = st.lists(st.sampled_from(["Pass", "Pass", "Replace", "Drop", "Reply", "Hold", "Ask", "Also"]), max_size=14)
SHAPE = (st.integers(0, 999), st.integers(1, 4), st.booleans())


def stream_of(actions: list[str], pieces: int, compressed: bool) -> tuple[list[bytes], bytes]:
    extension = PerMessageDeflate(False, False, 15, 15) if compressed else None
    told = [b'[2,"%d","%s",{"n":"the same again and again"}]' % (n, action.encode()) for n, action in enumerate(actions)]
    return told, b"".join(wire(text, extension, pieces) for text in told)


@given(ACTIONS, *SHAPE)
@settings(max_examples=150, deadline=None)
def test_nothing_is_lost_doubled_or_reordered(actions: list[str], seed: int, pieces: int, compressed: bool) -> None:
    told, stream = stream_of(actions, pieces, compressed)
    subject = Wire(compressed, Scripted)
    for chunk in chunks(stream, seed):
        subject.feed(Side.STATION, chunk)
    subject.wait()
    subject.end()
    left = list(texts(subject.out[Side.STATION], compressed))
    theirs = [text for text in left if b"Injected" not in text and b"Asked" not in text]
    expected = [
        b'[2,"%d","Replace",{"changed":true}]' % number if action == "Replace" else told[number]
        for number, action in enumerate(actions) if action not in ("Drop", "Reply")
    ]
    assert sorted(theirs) == sorted(expected)
    for name in (b'"Hold"', b'"Ask"', b'"Pass"'):                           # those of one kind keep their order
        assert [text for text in theirs if name in text] == [text for text in expected if name in text]
    assert sum(b'"Injected"' in text for text in left) <= actions.count("Also")     # nobody answers: not all find room
    assert sum(b'"Asked"' in text for text in left) <= actions.count("Ask")
    answers = b"".join(wire_text for wire_text in plain(subject.out[Side.CSMS]))
    assert answers == b"".join(b'[3,"%d",{"local":true}]' % n for n, action in enumerate(actions) if action == "Reply")
    assert (subject.onion.room.count, subject.onion.room.bytes) == (0, 0)


def plain(data: bytes) -> list[bytes]:
    """The texts of unmasked frames."""
    out = []
    while data:
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        out.append(data[start : start + size])
        data = data[start + size :]
    return out


@given(st.lists(st.sampled_from(["Pass", "Other"]), max_size=14), *SHAPE)
@settings(max_examples=100, deadline=None)
def test_what_nobody_changes_leaves_as_its_bytes(actions: list[str], seed: int, pieces: int, compressed: bool) -> None:
    _, stream = stream_of(actions, pieces, compressed)
    subject = Wire(compressed, Scripted, Scripted)
    for chunk in chunks(stream, seed):
        subject.feed(Side.STATION, chunk)
    assert subject.out[Side.STATION] == stream


@given(st.lists(st.sampled_from(["Pass", "Hold", "Ask", "Also"]), max_size=10), *SHAPE)
@settings(max_examples=100, deadline=None)
def test_every_answer_reaches_who_called(actions: list[str], seed: int, pieces: int, compressed: bool) -> None:
    """A CSMS that answers every Call at once, among them the plugin's."""
    _, stream = stream_of(actions, pieces, compressed)
    subject, answered = Wire(compressed, Scripted), 0

    def answer() -> None:
        nonlocal answered
        while answered < len(left := list(texts(subject.out[Side.STATION], compressed))):
            reply = b'[3,"%s",{}]' % left[answered].split(b'"')[1]
            answered += 1
            subject.feed(Side.CSMS, bytes((129, len(reply))) + reply)

    for chunk in chunks(stream, seed):
        subject.feed(Side.STATION, chunk)
        answer()
    while due := subject.onion.due_ns():
        subject.now_ns = max(due, subject.now_ns)
        subject.onion.tick(subject.now_ns)
        subject.settle()
        answer()
    answers = plain(subject.out[Side.CSMS])
    assert sorted(answers) == sorted(b'[3,"%d",{}]' % number for number in range(len(actions)))
    left = list(texts(subject.out[Side.STATION], compressed))
    assert sum(b'"Injected"' in text for text in left) == actions.count("Also")
    assert sum(b'"Asked"' in text for text in left) == actions.count("Ask")
