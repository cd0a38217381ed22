"""Plugins on real sockets: verdicts both ways, what they did in the capture, hanging hooks, the end of links."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec import Struct
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from ocpp_proxy.api import (
    PASS,
    Ask,
    Call,
    CallResult,
    Closing,
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
    Side,
)
from ocpp_proxy.core.assemble import Assembler, Ids
from ocpp_proxy.core.seats import Chain, Installed, OnError
from ocpp_proxy.core.session import MAX_MESSAGE
from ocpp_proxy.model import Frame as ModelFrame
from ocpp_proxy.model import Opcode as FrameOpcode
from ocpp_proxy.records import FrameSeen, Note, PluginFinding, Source
from ocpp_proxy.relay.watchdog import Watchdog
from ocpp_proxy.wire.spool import CSMS, STATION, Kind, LossBody, decode_body
from tests.core.test_onion_wire import plain
from tests.relay.stage import PATIENCE, Peer, Stage, of, play, stage, stream
from tests.relay.test_frame_mode import message, texts, tunnel

BEAT = b'[2,"1","Heartbeat",{}]'


class Scripted(Plugin):
    """Does what the action of a Call says."""

    closed: list[Closing] = []          # noqa: RUF012  # of all links of a test

    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        match call.action:
            case "Replace":
                return Replace(call.carrying({"by": context.identity + context.versions[sender]}), "because")
            case "Drop":
                return Drop("unwanted")
            case "Reply":
                return Reply(CallResult.of({"local": True}), "known")
            case "Hold":
                return Hold(0.05, reason="a moment")
            case "Hang":
                while True:
                    pass
            case "Sleep":
                time.sleep(60)
            case "Cut":
                context.disconnect("enough", reset=True)
            case "Close":
                context.disconnect("enough")
            case "Find":
                context.find("seen", "a thing", severity="warning", blame="station")
            case "Ask":
                return self.ask(call)
        return PASS

    def on_malformed(self, context: Context, sender: Side, text: Malformed) -> Decision:
        return Replace(Malformed(text.payload.replace(b":]", b":null")), "mended") if b":]" in text.payload else PASS

    def on_control(self, context: Context, sender: Side, frame: Control) -> Pass | Drop:
        return Drop("quiet") if b"drop" in frame.payload else PASS

    def ask(self, call: Call) -> Decision:
        answer = yield Ask(Side.STATION, Call.of("GetConfiguration", {}), 5)
        return Replace(call.carrying({"got": None if answer is None else answer.json()}))

    def on_close(self, context: Context, closing: Closing) -> None:
        self.closed.append(closing)
        context.find("bye", f"{closing.by} {closing.how}")


def plug(theatre: Stage, *plugins: Callable[[], Plugin], on_error: OnError = "pass") -> None:
    installed = tuple(Installed(f"p{number}", make, None, on_error) for number, make in enumerate(plugins))
    theatre.relay.env.chain = lambda identity, protocol: Chain(installed, protocol.removeprefix("ocpp"))


@pytest.fixture(autouse=True)
def forget() -> None:
    Scripted.closed.clear()


@pytest.fixture
def watchdog() -> Iterator[Watchdog]:
    dog = Watchdog()
    yield dog
    dog.close()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def call(action: str, number: int = 1, extension: PerMessageDeflate | None = None) -> bytes:
    return message(b'[2,"%d","%s",{}]' % (number, action.encode()), extension, True)


async def reads(peer: Peer, count: int, compressed: bool = False) -> list[bytes]:
    """The first messages that reach the CSMS."""
    while len(texts(peer.got, compressed)) < count and await peer.more():
        pass
    return texts(peer.got, compressed)


async def hears(peer: Peer, count: int) -> list[bytes]:
    """The first messages that reach the station."""
    while len(plain(peer.got)) < count and await peer.more():
        pass
    return plain(peer.got)


def seen(theatre: Stage) -> list[Source]:
    out, assembler = list[Source](), Assembler(Ids())
    for record in theatre.records():
        assembler.feed(record, out)
    return out


def frames(theatre: Stage) -> dict[int, ModelFrame]:
    return {record.frame.frame_id: record.frame for record in seen(theatre) if isinstance(record, FrameSeen)}


def findings(theatre: Stage) -> list[str]:
    return [record.code for record in seen(theatre) if isinstance(record, PluginFinding)]


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
def test_verdicts_reach_the_peers_and_the_capture(tmp_path: Path, compressed: bool) -> None:
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, Scripted)
            station, csms, _ = await tunnel(theatre, compressed)
            extension = PerMessageDeflate(False, False, 15, 15) if compressed else None
            actions = ("Hold", "Pass", "Replace", "Drop", "Reply", "Pass")
            wires = [call(action, number, extension) for number, action in enumerate(actions)]
            await station.send(b"".join(wires))
            assert await reads(csms, 4, compressed) == [
                b'[2,"1","Pass",{}]', b'[2,"2","Replace",{"by":"CP11.6"}]', b'[2,"5","Pass",{}]', b'[2,"0","Hold",{}]',
            ]
            assert await hears(station, 1) == [b'[3,"4",{"local":true}]']
            known = frames(theatre)
            judged = [frame for frame in known.values() if frame.verdict not in ("", "inflated")]
            told = [(frame.verdict, frame.text or frame.payload) for frame in judged]
            assert sorted(told) == sorted([
                ("held", b'[2,"0","Hold",{}]'), ("replaced", b'[2,"2","Replace",{}]'),
                ("modified", b'[2,"2","Replace",{"by":"CP11.6"}]'), ("dropped", b'[2,"3","Drop",{}]'),
                ("answered", b'[2,"4","Reply",{}]'), ("injected", b'[3,"4",{"local":true}]'),
                ("modified", b'[2,"0","Hold",{}]'),
            ])
            made = [frame for frame in known.values() if frame.verdict == "modified"]
            assert [known[frame.cause[-1]].verdict for frame in made] == ["replaced", "held"]
            notes = [record.text for record in seen(theatre) if isinstance(record, Note) and record.kind == "plugin"]
            for words in ("p0: replaced: because", "p0: dropped: unwanted", "p0: answered: known", "p0: held: a moment"):
                assert any(note.startswith(words) for note in notes), (words, notes)
            assert stream(theatre.records(), STATION).endswith(b"".join(wires))

    play(body())


def test_a_call_stands_before_the_answer_we_gave_in_the_spool(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, Scripted)
            station, _, _ = await tunnel(theatre, False)
            await station.send(call("Reply"))
            await hears(station, 1)
            kinds = [record.kind for record in of(theatre.records(), Kind.IN, Kind.OUT, Kind.DISP)]
            assert kinds == [Kind.DISP, Kind.IN, Kind.DISP, Kind.OUT]

    play(body())


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
def test_what_plugins_let_pass_keeps_its_bytes(tmp_path: Path, compressed: bool) -> None:
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, Scripted, Scripted)
            station, csms, _ = await tunnel(theatre, compressed)
            extension = PerMessageDeflate(False, False, 15, 15) if compressed else None
            data = b"".join(message(b'[2,"%d","Any",{"n":"%d"}]' % (n, n) * 1, extension, True, 1 + n % 3) for n in range(40))
            data += Frame(Opcode.PING, b"p").serialize(mask=True) + Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True)
            await station.send(data)
            assert await csms.read(len(data)) == data
            assert of(theatre.records(), Kind.OUT, Kind.DISP, Kind.FINDING) == []

    play(body())


def test_an_answer_reaches_only_who_asked(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, Scripted)
            station, csms, _ = await tunnel(theatre, False)
            await station.send(call("Ask", 7))
            asked = (await hears(station, 1))[0]
            own = asked.split(b'"')[1]
            assert asked == b'[2,"%s","GetConfiguration",{}]' % own and len(own) == 36
            await station.send(message(b'[3,"%s",{"key":1}]' % own, None, True))
            assert await reads(csms, 1) == [b'[2,"7","Ask",{"got":{"key":1}}]']
            assert own not in b"".join(texts(csms.got, False))
            verdicts = [frame.verdict for frame in frames(theatre).values() if frame.verdict]
            assert verdicts == ["held", "injected", "dropped", "modified"]

    play(body())


@pytest.mark.parametrize("action", ["Hang", "Sleep"])
def test_a_hook_that_hangs_is_interrupted(tmp_path: Path, watchdog: Watchdog, action: str) -> None:
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, Scripted)
            theatre.relay.env.limit = watchdog
            station, csms, _ = await tunnel(theatre, False)
            data = call(action) + call("Pass", 2)
            await station.send(data)
            assert await csms.read(len(data)) == data
            assert findings(theatre) == ["plugin-slow"]

    play(body())


def test_the_watchdog_is_quiet_while_no_hook_runs(watchdog: Watchdog) -> None:
    for _ in range(3):
        watchdog.enter(0)
        watchdog.leave()
    deadline = time.monotonic() + PATIENCE
    while signal.getitimer(signal.ITIMER_REAL) != (0.0, 0.0) and time.monotonic() < deadline:
        os.sched_yield()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@pytest.mark.parametrize(("action", "ended"), [("Cut", "rst"), ("Close", "fin")])
def test_a_plugin_can_end_the_link(tmp_path: Path, action: str, ended: str) -> None:
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, Scripted)
            station, csms, _ = await tunnel(theatre, False)
            await station.send(call(action))
            await asyncio.gather(station.rest(), csms.rest())
            assert (station.ended, csms.ended) == (ended, ended)
            await theatre.no_links()
            notes = [record.text for record in seen(theatre) if isinstance(record, Note) and record.kind == "plugin"]
            assert notes == ["p0: disconnected: enough"]

    play(body())


def test_findings_and_the_end_are_in_the_spool_before_end(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, Scripted)
            station, csms, _ = await tunnel(theatre, False)
            await station.send(call("Find") + call("Hold", 2))
            station.half_close()
            while await csms.more():
                pass
            assert texts(csms.got, False) == [b'[2,"1","Find",{}]', b'[2,"2","Hold",{}]']     # the held one before the FIN
            csms.half_close()
            await theatre.no_links()
            assert findings(theatre) == ["p0-seen", "p0-bye"]
            assert Scripted.closed == [Closing(Side.STATION, "fin")]
            kinds = [record.kind for record in theatre.records()]
            assert max(n for n, kind in enumerate(kinds) if kind is Kind.FINDING) < kinds.index(Kind.END)

    play(body())


class Broken(Plugin):
    """Fails on everything."""

    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        raise KeyError("x")


@pytest.mark.parametrize(("on_error", "count"), [("pass", 20), ("drop", 0)])
def test_a_failing_plugin_as_configured(tmp_path: Path, on_error: OnError, count: int) -> None:
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, Broken, on_error=on_error)
            station, csms, _ = await tunnel(theatre, False)
            await station.send(b"".join(call("Any", number) for number in range(20)))
            answer = message(b'[3,"x",{}]', None, True)
            await station.send(answer)
            assert len(await reads(csms, count + 1)) == count + 1
            assert findings(theatre) == ["plugin-failed"] * 5 + ["plugin-off"]

    play(body())


def test_on_error_close_lets_nothing_out_that_no_plugin_saw(tmp_path: Path) -> None:
    large = message(b'[2,"1","Large",{"x":"%s"}]' % (b"x" * MAX_MESSAGE), None, True)

    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, Scripted)
            station, csms, _ = await tunnel(theatre, False)
            await station.send(large)
            assert await csms.read(len(large)) == large
            assert findings(theatre) == ["plugin-unseen"]
        async with stage(tmp_path / "closed") as theatre:
            plug(theatre, Scripted, on_error="close")
            station, csms, _ = await tunnel(theatre, False)
            with_end = asyncio.gather(station.rest(), csms.rest())
            with contextlib.suppress(ConnectionError):
                await station.send(large)
            assert (await with_end)[1] == b""
            await theatre.no_links()
            assert "plugin-unseen" in findings(theatre)

    play(body())


def test_links_without_plugins_are_not_framed(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            theatre.relay.env.chain = lambda identity, protocol: None
            _, _, link = await tunnel(theatre, True)
            assert link.framing == () and link.plugged is None

    play(body())


def test_the_csms_side_goes_through_them_in_reverse(tmp_path: Path) -> None:
    class Named(Plugin):
        name = "a"

        def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
            return Replace(call.carrying({"by": call.json().get("by", "") + self.name}))

    class Other(Named):
        name = "b"

    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, Named, Other)
            station, csms, _ = await tunnel(theatre, False)
            await csms.send(message(b'[2,"1","Reset",{}]', None, False))
            assert await hears(station, 1) == [b'[2,"1","Reset",{"by":"ba"}]']
            await station.send(call("Any"))
            assert await reads(csms, 1) == [b'[2,"1","Any",{"by":"ab"}]']
            assert of(theatre.records(), Kind.OUT, direction=CSMS) and of(theatre.records(), Kind.OUT, direction=STATION)

    play(body())


def control(opcode: int, payload: bytes, masked: bool) -> bytes:
    return bytes((0x80 | opcode, (0x80 if masked else 0) | len(payload))) + (bytes(4) if masked else b"") + payload


def test_a_broken_text_leaves_repaired_and_both_are_in_the_capture(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, Scripted)
            station, csms, _ = await tunnel(theatre, False)
            await station.send(message(b'[2,"1","Replace",{"a":]}]', None, True))
            assert await reads(csms, 1) == [b'[2,"1","Replace",{"a":null}]']
            replaced, made = (frame for frame in frames(theatre).values() if frame.verdict)
            assert (replaced.verdict, replaced.payload) == ("replaced", b'[2,"1","Replace",{"a":]}]')
            assert (made.verdict, made.cause) == ("modified", (replaced.frame_id,))

    play(body())


def test_pings_are_dropped_and_a_dropped_close_is_answered_and_ends_the_link(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, Scripted)
            station, csms, _ = await tunnel(theatre, False)
            await station.send(control(9, b"drop", True) + control(9, b"pass", True))
            assert await csms.read(10) == control(9, b"pass", True)
            await csms.send(control(8, b"\x03\xe8drop", False))
            echo = await csms.rest()
            assert (echo[:2], csms.ended) == (bytes((0x88, 0x86)), "fin")        # masked: in the station's place
            assert await station.rest() == b"" and station.ended == "fin"
            judged = [(frame.opcode, frame.verdict) for frame in frames(theatre).values() if frame.verdict]
            assert judged == [(FrameOpcode.PING, "dropped"), (FrameOpcode.CLOSE, "dropped"), (FrameOpcode.CLOSE, "injected")]
            assert any("its Close was dropped" in record.text for record in seen(theatre) if isinstance(record, Note))

    play(body())


def test_losses_are_in_the_spool_before_what_leaves(tmp_path: Path) -> None:
    class Losing(Plugin):
        class State(Struct, frozen=True):
            count: int = 0

        def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
            context.lost("$.a", "no such field", "shortened")
            if call.action == "Keep":
                context.keep(self.State(context.state.count + 1))
            return Replace(call.carrying({}))

    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, Losing)
            station, csms, _ = await tunnel(theatre, False)
            for count, action in enumerate(("Plain", "Keep"), 1):
                await station.send(call(action, count))
                await reads(csms, count)
            assert await reads(csms, 2) == [b'[2,"1","Plain",{}]', b'[2,"2","Keep",{}]']
            records = [record for record in theatre.records() if record.kind in (Kind.LOSS, Kind.OUT)]
            assert [record.kind for record in records] == [Kind.LOSS, Kind.OUT] * 2
            assert [(record.direction, decode_body(record)) for record in records[::2]] == [
                (STATION, LossBody("p0", action, message_id, "$.a", "shortened", "no such field"))
                for action, message_id in (("Plain", "1"), ("Keep", "2"))
            ]

    play(body())
