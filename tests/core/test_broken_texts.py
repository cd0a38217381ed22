"""What is no OCPP-J message, with plugins: texts that are repaired or dropped, control frames."""

from collections.abc import Generator

import pytest
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
    Control,
    Decision,
    Drop,
    Hold,
    Malformed,
    Pass,
    Plugin,
    Replace,
    Reply,
    Send,
    Side,
    Verdict,
)
from ocpp_proxy.model import Opcode
from ocpp_proxy.testing import play
from tests.core.test_onion import First, Second
from tests.core.test_onion_wire import SHAPE, Wire
from tests.core.test_session import chunks, texts, wire


class Mending(Plugin):
    """Writes a null where a value is missing; what begins with a word does what that says."""

    def on_malformed(self, context: Context, sender: Side, text: Malformed) -> Decision:
        match text.payload.split()[:1]:
            case [b"drop"]:
                return Drop("noise")
            case [b"hold"]:
                return Hold(3)
            case [b"call"]:
                return Replace(Call(b"{}", "Made", "7"))
            case [b"send"]:
                return Replace(Send(b"{}", "Made", "8"))
            case [b"anonymous"]:
                return Replace(Call(b"{}", "Made"))
            case [b"reply"]:
                return Reply(CallResult())
            case [b"ask"]:
                return self.ask()
            case [b"more"]:
                return Replace(Malformed(text.payload + b" and more"))
        fixed = text.payload.replace(b":]", b":null").replace(b"{]", b"{}]")
        return Replace(Malformed(fixed), "a value was missing") if fixed != text.payload else PASS

    def ask(self) -> Generator[Ask, Answer | None, Verdict]:
        answer = yield Ask(Side.CSMS, Call.of("Other", {}), 5)
        return Drop() if answer is None else Replace(Malformed.of('[2,"9","Late",{}]'))


def test_a_repaired_call_meets_the_plugins_behind_and_so_does_its_answer() -> None:
    play([First, Mending, Second], """
        > [2,"1","Boot",{"a":]}]
        => [2,"1","Boot",{"a":null,"by":"b"}]
        < [3,"1",{}]
        <= [3,"1",{"by":"b()"}]
        < [2,"2","Reset",{"a":]}]
        <= [2,"2","Reset",{"a":null,"by":"a"}]
        > [3,"2",{}]
        => [3,"2",{"by":"a()"}]
    """)


def test_a_repaired_answer_answers_its_call_and_meets_those_behind() -> None:
    play([First, Mending, Second], """
        < [2,"1","GetConfiguration",{}]
        <= [2,"1","GetConfiguration",{"by":"ba"}]
        > [3,"1",{"configurationKey":]}]
        => [3,"1",{"by":"b()"}]
        > [3,"1",{"configurationKey":]}]
        => [3,"1",{"configurationKey":null}]
    """)


def test_a_repaired_answer_reaches_who_asked_and_never_the_other_side() -> None:
    class Asking(Plugin):
        def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
            return self.ask(call)

        def ask(self, call: Call) -> Generator[Ask, Answer | None, Verdict]:
            answer = yield Ask(Side.CSMS, Call.of("Other", {}), 5)
            return Drop() if answer is None else Replace(call.carrying(answer.json()))

    play([Asking, Mending], """
        > [2,"1","Boot",{}]
        => [2,"$1","Other",{}]
        < [3,"$1",{"by":]}]
        => [2,"1","Boot",{"by":null}]
        < [3,"$1",{"by":]}]
    """)


def test_every_verdict_on_a_broken_text() -> None:
    play(Mending, """
        > drop this
        > nothing to do
        => nothing to do
        > more
        => more and more
        > call me
        => [2,"7","Made",{}]
        > send me
        => [6,"8","Made",{}]
        > hold me
        +2.9s
        +0.2s
        => hold me
        < [3,"7",{}]
        <= [3,"7",{}]
        > ask first
        => [2,"$1","Other",{}]
        < [3,"$1",{}]
        => [2,"9","Late",{}]
    """)


@pytest.mark.parametrize("text", ["anonymous", "reply"])
def test_a_verdict_that_does_not_fit_is_a_failure(text: str) -> None:
    played = play(Mending, f"> {text}\n=> {text}\n! plugin-failed")
    assert "message_id" in played.findings[0][1] or "no Call came" in played.findings[0][1]


@pytest.mark.parametrize("text", [
    "no JSON", "{}", "[]", "[2]", '[2,"1"]', '[9,"1",{}]', '[3,"1",null]', '[2,1,"A",{}]', '[3,"1",{"a":]}]',
    '[2,"1","A",{"a":"\\ud800"}]', '[2,"1","A",{"a":' + "[" * 199 + "]" * 199 + "}]",
])
def test_what_is_no_message_is_asked_about(text: str) -> None:
    class Dropping(Plugin):
        def on_malformed(self, context: Context, sender: Side, text: Malformed) -> Decision:
            return Drop()

    assert play(Dropping, f"> {text}").sent == []


@pytest.mark.parametrize("text", [
    '[2,"1","A",{}]', ' [2, "1", "A", {}]', '[3,"1",{}]', '[3,"1",{"a":"\u00fc"}]', '[4,"1","C","D",{}]', '[4,"1","C","D"]',
    '[5,"1","C","D",{}]', '[6,"1","A",{}]', '["2","1","A",{}]', '[2,"1","A",{"a":' + "[" * 198 + "]" * 198 + "}]",
    '[2,"1","A",{"a":"' + "x" * (1 << 20) + '"}]',
])
def test_what_is_one_is_not(text: str) -> None:
    class Failing(Plugin):
        def on_malformed(self, context: Context, sender: Side, text: Malformed) -> Decision:
            raise AssertionError

    play(Failing, f"> {text}\n=> {text}")


def test_a_broken_answer_that_nobody_repairs_still_answers_its_call() -> None:
    class Looking(Plugin):
        def on_malformed(self, context: Context, sender: Side, text: Malformed) -> Decision:
            return PASS

        def on_answer(self, context: Context, sender: Side, answer: Answer, call: Call) -> Decision:
            context.find("answered", call.action)
            return PASS

    play(Looking, """
        > [2,"1","Boot",{}]
        => [2,"1","Boot",{}]
        < [3,"1",{"a":]}]
        <= [3,"1",{"a":]}]
        ! looking-answered
    """)


# ---- control frames ----


class Silencing(Plugin):
    """Drops what says so, and counts."""

    def on_control(self, context: Context, sender: Side, frame: Control) -> Pass | Drop:
        if frame.payload == b"raise":
            raise RuntimeError
        if frame.payload == b"keep":
            context.keep(None)
        if frame.opcode is Opcode.PONG:
            context.send(sender.other, Call.of("Pong", {}))
        return Drop("quiet") if frame.payload == b"drop" else PASS


def test_control_frames_pass_or_are_dropped() -> None:
    play(Silencing, """
        > *ping a
        => *ping a
        > *ping drop
        > *pong b
        => *pong b
        => [2,"$1","Pong",{}]
        < *close
        <= *close
    """)
    play(Silencing, "> *ping raise\n=> *ping raise\n! plugin-failed")
    play(Silencing, "> *ping keep\n=> *ping keep\n! plugin-failed")
    play(Silencing, "> *ping raise\n! plugin-failed", on_error="drop")
    play(Silencing, "> *ping raise\n! plugin-failed\nx", on_error="close")


def test_a_link_whose_close_is_dropped_is_closed_in_the_other_sides_place() -> None:
    play(Silencing, "> *close drop\n<= *close drop\nx")
    play(Silencing, "< *close drop\n=> *close drop\nx")


# ---- on the wire ----


@given(st.lists(st.sampled_from(["Pass", "cut", "drop", "hold", "Reply"]), max_size=12), *SHAPE)
@settings(max_examples=120, deadline=None)
def test_broken_texts_are_repaired_whatever_the_frames(kinds: list[str], seed: int, pieces: int, compressed: bool) -> None:
    """Over chunks, fragments and compression: repaired, dropped and held ones, among messages nobody touches."""
    extension = PerMessageDeflate(False, False, 15, 15) if compressed else None
    told = [
        b"%s %d of the same again" % (kind.encode(), n) if kind in ("drop", "hold")
        else b'[2,"%d","%s",{"n":"the same again"%s}]' % (n, kind.encode(), b',"m":]' if kind == "cut" else b"")
        for n, kind in enumerate(kinds)
    ]
    subject = Wire(compressed, Mending)
    for chunk in chunks(b"".join(wire(text, extension, pieces) for text in told), seed):
        subject.feed(Side.STATION, chunk)
    held = [text for text in told if text.startswith(b"hold")]
    left = [text.replace(b":]", b":null") for text in told if not text.startswith((b"drop", b"hold"))]
    assert list(texts(subject.out[Side.STATION], compressed)) == left
    subject.wait()
    assert list(texts(subject.out[Side.STATION], compressed)) == left + held
    assert (subject.onion.room.count, subject.onion.room.bytes) == (0, 0)


def ping(text: bytes) -> bytes:
    """A masked ping, as a station sends it."""
    return bytes((0x89, 0x80 | len(text))) + bytes(4) + text


@given(st.lists(st.tuples(st.sampled_from(["A", "cut"]), st.sampled_from(["", "drop", "pass"])), max_size=10), *SHAPE)
@settings(max_examples=120, deadline=None)
def test_dropped_control_frames_never_break_the_stream(
    kinds: list[tuple[str, str]], seed: int, pieces: int, compressed: bool,
) -> None:
    """Pings between and inside of messages: those that are dropped leave no trace, all others go on in their place."""
    extension = PerMessageDeflate(False, False, 15, 15) if compressed else None
    stream, told = b"", list[bytes]()
    for number, (kind, word) in enumerate(kinds):
        text = b'[2,"%d","%s",{"n":1%s}]' % (number, kind.encode(), b',"m":]' if kind == "cut" else b"")
        frames = frames_of(wire(text, extension, pieces))
        at = number % (len(frames) + 1) if word != "pass" else 0         # one that goes on inside makes its message pass unseen
        stream += b"".join(frames[:at]) + (ping(word.encode()) if word else b"") + b"".join(frames[at:])
        told.append(text.replace(b":]", b":null"))
    subject = Wire(compressed, Mending, Silencing)
    for chunk in chunks(stream, seed):
        subject.feed(Side.STATION, chunk)
    assert list(texts(without_pings(subject.out[Side.STATION]), compressed)) == told
    assert subject.out[Side.STATION].count(ping(b"pass")) == sum(word == "pass" for _, word in kinds)
    assert ping(b"drop") not in subject.out[Side.STATION]


def frames_of(data: bytes) -> list[bytes]:
    """The masked frames of a stream."""
    out = []
    while data:
        size, start = data[1] & 127, 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        out.append(data[: start + 4 + size])
        data = data[start + 4 + size :]
    return out


def without_pings(data: bytes) -> bytes:
    """The stream but for its pings."""
    return b"".join(frame for frame in frames_of(data) if frame[0] & 15 != 9)
