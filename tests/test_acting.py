"""A person acts on live links: client, control API, command channel, relay, peers on real sockets."""

import asyncio
import json
import re
import time
from pathlib import Path

import pytest
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame as WebSocketFrame
from websockets.frames import Opcode

from ocpp_proxy.config import Config, LinkMatch, LinkRule
from ocpp_proxy.core.assemble import Assembler, Ids
from ocpp_proxy.hub.guard import NOT_ALLOWED
from ocpp_proxy.model import ConfigError, Side
from ocpp_proxy.records import Audited, FrameSeen, Note, Source
from ocpp_proxy.relay.link import Link
from tests.desk import Desk, desk, reads
from tests.relay.stage import SWITCH, UPGRADE, Peer, play, until
from tests.relay.test_frame_mode import message, texts, tunnel

BEAT = b'[2,"1","Heartbeat",{}]'
DONE = b'[3,"1",{"currentTime":"2026-01-02T03:04:05Z"}]'


def plain(data: bytes) -> list[bytes]:
    return texts(data, False)


def heard(data: bytes) -> list[bytes]:
    """What the station was told: unmasked, uncompressed."""
    out, at = list[bytes](), 0
    while at + 2 <= len(data):
        size, start = data[at + 1] & 127, at + 2
        if size == 126:
            size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
        if start + size > len(data):
            break
        out.append(data[start : start + size])
        at = start + size
    return out


def seen(at: Desk) -> list[Source]:
    out, assembler = list[Source](), Assembler(Ids())
    for record in at.theatre.records():
        assembler.feed(record, out)
    return out


def link_of(at: Desk) -> Link:
    link = next(iter(at.theatre.relay.env.links.values()))
    assert isinstance(link, Link)
    return link


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
def test_a_breakpoint_on_a_live_link(compressed: bool) -> None:
    async def body() -> None:
        async with desk() as at:
            station, csms, link = await tunnel(at.theatre, compressed)
            extension = PerMessageDeflate(False, False, 15, 15) if compressed else None
            await station.send(message(b'[2,"0","Heartbeat",{}]', extension, True))
            await reads(csms, 1, lambda data: texts(data, compressed))
            assert link.plugged is None
            point = await at.person.intercept("action == Heartbeat", "CP*")
            assert (point.intercept_id, point.held) == (1, 0)
            await station.send(message(BEAT, extension, True) + message(b'[2,"2","StatusNotification",{}]', extension, True))
            got = await reads(csms, 2, lambda data: texts(data, compressed))
            assert got == [b'[2,"0","Heartbeat",{}]', b'[2,"2","StatusNotification",{}]']
            (held,) = await at.person.held()
            assert (held.identity, held.side, held.action, held.text, held.by) == (
                "CP1", Side.STATION, "Heartbeat", BEAT.decode(), "intercept")
            assert [point.held for point in await at.person.intercepts()] == [1]
            with pytest.raises(ConfigError, match="Heartbeat: not as OCPP"):
                await at.person.settle(held.held_id, "edit", {"a": 1})
            await at.person.settle(held.held_id, "edit", {"a": 1}, force=True)
            assert (await reads(csms, 3, lambda data: texts(data, compressed)))[2] == b'[2,"1","Heartbeat",{"a":1}]'
            with pytest.raises(ConfigError, match="is not held any more"):
                await at.person.settle(held.held_id, "release")
            await station.send(message(BEAT, extension, True))
            await until(lambda: link.plugged is not None and link.plugged.onion.holds)
            (held,) = await at.person.held()
            await at.person.settle(held.held_id, "reply", {"currentTime": "2026-01-02T03:04:05Z"})
            assert await reads(station, 1, heard) == [DONE]
            await at.person.unintercept(1)
            assert await at.person.intercepts() == []
            assert [(action, outcome) for action, _, outcome in at.audits()] == [
                ("intercept", ""), ("edit", ""), ("reply", ""), ("unintercept", "")]
            frames = {record.frame.frame_id: record.frame for record in seen(at) if isinstance(record, FrameSeen)}
            (made,) = [frame for frame in frames.values() if b'"a":1' in frame.payload]
            assert [frames[cause].verdict for cause in made.cause] == ["held"]

    play(body())


def test_a_breakpoint_waits_for_chargers_that_come() -> None:
    async def body() -> None:
        async with desk() as at:
            await at.person.intercept("mtype == 2")
            station, csms, _ = await tunnel(at.theatre, False)
            await station.send(message(BEAT, None, True))
            await until(lambda: (link := link_of(at)).plugged is not None and link.plugged.onion.holds)
            await at.person.unintercept(1)
            assert await reads(csms, 1, plain) == [BEAT]

    play(body())


def test_what_a_breakpoint_holds_goes_on_when_the_proxy_ends() -> None:
    async def body() -> None:
        async with desk() as at:
            await at.person.intercept("mtype == 2")
            station, csms, _ = await tunnel(at.theatre, False)
            await station.send(message(BEAT, None, True))
            await until(lambda: (link := link_of(at)).plugged is not None and link.plugged.onion.holds)
            at.acts.let_go()
            assert await reads(csms, 1, plain) == [BEAT]
            assert at.audits()[-1] == ("unintercept", "all: the proxy ends", "")

    play(body())


def test_an_inject_reaches_the_station_and_its_answer_who_asked() -> None:
    async def body() -> None:
        async with desk() as at:
            station, csms, _ = await tunnel(at.theatre, False)
            asked = asyncio.ensure_future(at.person.inject("CP1", Side.STATION, "Reset", {"type": "Soft"}))
            (call,) = await reads(station, 1, heard)
            message_id = json.loads(call)[1]
            assert json.loads(call) == [2, message_id, "Reset", {"type": "Soft"}]
            await station.send(message(b'[3,"%s",{"status":"Accepted"}]' % message_id.encode(), None, True))
            came = await asked
            assert (came.outcome, came.payload, came.message_id) == ("result", {"status": "Accepted"}, message_id)
            assert came.ms is not None
            await station.send(message(BEAT, None, True))
            assert await reads(csms, 1, plain) == [BEAT]
            assert at.audits() == [
                ("inject", "Reset to station", ""), ("inject", f"Reset to station {message_id}", "result")]
            records = seen(at)
            kinds = [type(record) if not isinstance(record, FrameSeen) else record.frame.verdict for record in records]
            assert kinds.index(Audited) < kinds.index("injected")

    play(body())


def test_an_answer_that_is_no_json_reaches_who_asked_and_nobody_else() -> None:
    async def body() -> None:
        async with desk() as at:
            station, csms, _ = await tunnel(at.theatre, False)
            for number, answer in enumerate(('[3,"%s",{"status":NaN}]', '[3,"%s",{"status":]', '[3,"%s",["Accepted"]]'), 1):
                asked = asyncio.ensure_future(at.person.inject("CP1", Side.STATION, "Reset", {"type": "Soft"}))
                message_id = json.loads((await reads(station, number, heard))[-1])[1]
                await station.send(message((answer % message_id).encode(), None, True))
                came = await asked
                assert (came.outcome, came.payload) == (
                    ("result", '{"status":NaN}'), ("error", answer % message_id), ("result", ["Accepted"]))[number - 1]
            await station.send(message(BEAT, None, True))
            assert await reads(csms, 1, plain) == [BEAT]

    play(body())


@pytest.mark.parametrize(("to", "action", "payload", "why"), [
    (Side.STATION, "Resett", {}, "knows no such action: did you mean Reset"),
    (Side.CSMS, "Reset", {"type": "Soft"}, "is sent by the csms"),
    (Side.STATION, "Reset", {"type": "Sof"}, "not as OCPP 1.6 has it"),
], ids=["unknown", "wrong way", "invalid"])
def test_what_the_schemas_forbid_needs_force(to: Side, action: str, payload: object, why: str) -> None:
    async def body() -> None:
        async with desk() as at:
            await tunnel(at.theatre, False)
            with pytest.raises(ConfigError, match=why):
                await at.person.inject("CP1", to, action, payload)
            with pytest.raises(ConfigError, match="charger CP2: not connected"):
                await at.person.inject("CP2", to, action, payload)
            assert (await at.person.inject("CP1", to, action, payload, force=True, seconds=0.05)).outcome == "timeout"

    play(body())


def test_without_the_option_nobody_acts() -> None:
    async def body() -> None:
        async with desk(Config(host="preserve")) as at:
            person = at.person
            assert await person.held() == []
            assert await person.intercepts() == []
            for deed in (
                person.settle("0.1.1", "release"), person.intercept(""), person.unintercept(1),
                person.inject("CP1", Side.STATION, "Reset", {}), person.disconnect("CP1"), person.switch("throttle", True),
            ):
                with pytest.raises(ConfigError, match=re.escape(NOT_ALLOWED)):
                    await deed
            assert await person.reload() == "nothing changed"

    play(body())


@pytest.mark.parametrize(("code", "reset", "end"), [(0, False, b""), (4001, False, b"\x88\x02\x0f\xa1"), (0, True, b"")])
def test_the_end_of_a_link_by_hand(code: int, reset: bool, end: bytes) -> None:
    async def body() -> None:
        async with desk() as at:
            station, csms, _ = await tunnel(at.theatre, False)
            await at.person.disconnect("CP1", code, reset)
            assert await station.rest() == end
            assert (station.ended, csms.ended) == ("rst" if reset else "fin", "")
            rest = await csms.rest()
            frames = WebSocketFrame(Opcode.CLOSE, b"\x0f\xa1").serialize(mask=False)
            assert len(rest) == (len(frames) + 4 if code else 0)
            await at.theatre.no_links()
            assert [action for action, _, _ in at.audits()] == ["disconnect"]

    play(body())


def test_close_codes_that_are_none_are_refused() -> None:
    async def body() -> None:
        async with desk() as at:
            for code in (1005, 999, 5000):
                with pytest.raises(ConfigError, match=f"code {code}"):
                    await at.person.disconnect("CP1", code)

    play(body())


def test_held_messages_go_on_by_the_relays_timer_when_the_hub_is_gone() -> None:
    async def body() -> None:
        async with desk(Config(host="preserve", allow_inject=True, call_seconds=0.4)) as at:
            station, csms, link = await tunnel(at.theatre, False)
            await at.person.intercept("action == Heartbeat")
            await station.send(message(BEAT, None, True))
            await until(lambda: link.plugged is not None and link.plugged.onion.holds)
            await at.commanding.stop()
            assert await reads(csms, 1, plain) == [BEAT]
            await station.send(message(BEAT, None, True))           # nobody could decide: not held any more
            await station.send(message(b'[2,"2","BootNotification",{}]', None, True))
            assert (await reads(csms, 3, plain))[1:] == [BEAT, b'[2,"2","BootNotification",{}]']

    play(body())


def test_a_hub_that_comes_back_knows_the_breakpoints() -> None:
    async def body() -> None:
        async with desk() as at:
            await at.person.intercept("action == Heartbeat")
            await at.commanding.stop()
            at.hub._points.clear()
            await at.commanding.start()
            await until(lambda: bool(at.hub._points), "the relay has told it")
            (point,) = await at.person.intercepts()
            assert (point.intercept_id, point.filter) == (1, "action == Heartbeat")
            assert all(point.live for _, point in at.acts._points)

    play(body())


async def answering(station: Peer, calls: list[bytes], count: int) -> None:
    """The charger: answers every Call it gets, and keeps them."""
    while len(calls) < count:
        got = heard(station.got)
        station.got = station.got[sum(len(text) + (2 if len(text) < 126 else 4) for text in got) :]
        calls += got
        await station.send(b"".join(
            message(b'[3,"%s",{"status":"Accepted"}]' % json.loads(call)[1].encode(), None, True) for call in got))
        if len(calls) < count:
            await station.more()


def test_a_thousand_injects_under_load_neither_collide_nor_leak() -> None:
    count, rounds = 40, 25
    beats = [[b'[2,"%d-%d","Heartbeat",{}]' % (number, beat) for beat in range(20)] for number in range(rounds)]

    async def body() -> None:
        async with desk() as at:
            station, csms, _ = await tunnel(at.theatre, False)
            calls = list[bytes]()
            charger = asyncio.ensure_future(answering(station, calls, count * rounds))
            ids = set[str]()
            for share in beats:
                asked = [at.person.inject("CP1", Side.STATION, "Reset", {"type": "Soft"}) for _ in range(count)]
                sending = station.send(b"".join(message(text, None, True) for text in share))
                came, _ = await asyncio.gather(asyncio.gather(*asked), sending)
                assert {one.outcome for one in came} == {"result"}
                ids |= {one.message_id for one in came}
            await charger
            assert len(ids) == count * rounds
            assert sorted(json.loads(call)[1] for call in calls) == sorted(ids)
            expected = [text for share in beats for text in share]
            assert plain(await csms.read(sum(len(text) + 6 for text in expected))) == expected
            station.half_close()
            assert await csms.rest() == b""                     # no answer to what was injected came through

    play(body())


PLUGIN = """
from ocpp_proxy.api import Call, Context, Decision, Plugin, Replace, Side


class Mark(Plugin):
    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        return Replace(call.carrying({"by": "%s"}))
"""


def test_a_plugin_is_switched_on_open_links_and_its_file_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "mark.py"
    file.write_text(PLUGIN % "one")

    async def body() -> None:
        async with desk() as at:
            station, csms, _ = await tunnel(at.theatre, False)

            async def says(text: bytes) -> None:
                await station.send(message(BEAT, None, True))
                assert (await reads(csms, 1, plain)) == [text]
                csms.got = b""

            await says(BEAT)
            await at.person.switch(str(file), True, "CP*")
            await says(b'[2,"1","Heartbeat",{"by":"one"}]')
            (state,) = await at.person.plugins()
            assert (state.name, state.identity, state.links, state.hooks, state.error) == ("mark", "CP*", 1, ("on_call",), "")
            file.write_text(PLUGIN % "two")
            await at.person.reload()
            await says(b'[2,"1","Heartbeat",{"by":"two"}]')
            file.write_text("nonsense(")
            assert "the one before goes on" in await at.person.reload()
            await says(b'[2,"1","Heartbeat",{"by":"two"}]')
            assert "mark.py" in (await at.person.plugins())[0].error
            file.write_text(PLUGIN % "three")
            await until(lambda: b"three" in file.read_bytes() and not at.choosing.stale(), "it is read again by itself")
            await says(b'[2,"1","Heartbeat",{"by":"three"}]')
            await at.person.switch("mark", False)
            await says(BEAT)
            assert await at.person.plugins() == []
            with pytest.raises(ConfigError, match="plugin mark: it is enabled nowhere"):
                await at.person.switch("mark", False)
            with pytest.raises(ConfigError, match="there is none of that name: did you mean throttle"):
                await at.person.switch("throtle", True)

    play(body())


def test_a_changed_configuration_reaches_open_links_without_cutting_them(tmp_path: Path) -> None:
    file = tmp_path / "mark.py"
    file.write_text(PLUGIN % "rule")

    async def body() -> None:
        async with desk() as at:
            station, csms, _ = await tunnel(at.theatre, False)
            at.write_config(links=(LinkRule(LinkMatch("CP1"), (str(file),)),))
            said = await at.person.reload()
            assert "changed: links" in said or said == "nothing changed"        # it may have been noticed before
            await station.send(message(BEAT, None, True))
            assert await reads(csms, 1, plain) == [b'[2,"1","Heartbeat",{"by":"rule"}]']
            at.write_config(links=(LinkRule(LinkMatch("CP1"), ("./nothing.py",)),))
            assert "nothing.py: no such file; the configuration before goes on" in await at.person.reload()
            await station.send(message(BEAT, None, True))
            assert (await reads(csms, 2, plain))[1] == b'[2,"1","Heartbeat",{"by":"rule"}]'
            at.write_config(links=(), call_seconds=5.0, rules={"R07": "off"})
            assert "changed: " in await at.person.reload()
            notes = [json.loads(one.text) for one in seen(at) if isinstance(one, Note) and one.kind == "rules"]
            assert notes[-1] == {"call_seconds": 5.0, "rules": {"R07": "off"}}      # where the spool is now

    play(body())


RAISING = """
from ocpp_proxy.api import PASS, Call, Context, Decision, Plugin, Side


class Raising(Plugin):
    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        if int(call.message_id) % 10 == 3:
            raise RuntimeError("now and then")
        return PASS
"""


def test_ten_thousand_messages_through_a_plugin_that_raises_arrive_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ocpp_proxy.core.seats.STRIKES", 1 << 30)          # it is not switched off
    file = tmp_path / "raising.py"
    file.write_text(RAISING)
    numbers = range(10_000)

    async def body() -> None:
        async with desk(Config(host="preserve", enable=(str(file),))) as at:
            station, csms, link = await tunnel(at.theatre, False)
            sending = asyncio.ensure_future(
                station.send(b"".join(message(b'[2,"%d","Heartbeat",{}]' % number, None, True) for number in numbers)))
            wanted = sum(len(b'[2,"%d","Heartbeat",{}]' % number) + 6 for number in numbers)
            got = plain(await csms.read(wanted))
            await sending
            assert [int(json.loads(text)[1]) for text in got] == list(numbers)
            assert link.plugged is not None
            assert link.plugged.onion.seats[0].strikes == len(numbers) // 10

    play(body())


def test_deadlines_are_told_in_time_of_day() -> None:
    async def body() -> None:
        async with desk() as at:
            station, _, link = await tunnel(at.theatre, False)
            await at.person.intercept("")
            await station.send(message(BEAT, None, True))
            await until(lambda: link.plugged is not None and link.plugged.onion.holds)
            (held,) = await at.person.held()
            assert 0 < held.until_ns - time.time_ns() <= 28_000_000_000

    play(body())


COUNTING = """
from msgspec import Struct

from ocpp_proxy.api import Call, Context, Decision, Plugin, Replace, Side


class Counting(Plugin):
    class State(Struct, frozen=True):
        count: int = 0

    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        context.keep(self.State(context.state.count + 1))
        return Replace(call.carrying({"count": context.state.count}))
"""


def test_a_plugin_with_a_state_that_is_switched_on_an_open_link_has_it(tmp_path: Path) -> None:
    file = tmp_path / "counting.py"
    file.write_text(COUNTING)

    async def body() -> None:
        async with desk() as at:
            station, csms, _ = await tunnel(at.theatre, False)
            for number in range(3):
                await at.person.switch(str(file), True)
                await station.send(message(BEAT, None, True) * 2)
                got = await reads(csms, 2 * number + 2, plain)
                assert [json.loads(text)[3] for text in got] == [{"count": count} for count in range(1, 2 * number + 3)]
                await at.person.switch("counting", False)

    play(body())


def test_what_a_link_that_is_closing_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocpp_proxy.relay.framing.SWITCH_SECONDS", 0.05)

    async def body() -> None:
        async with desk() as at:
            station, csms, _ = await tunnel(at.theatre, False)
            await station.send(message(b"begun", None, True)[:4])
            assert await csms.read(4)
            with pytest.raises(ConfigError, match="charger CP1: no message boundary came within"):
                await at.person.inject("CP1", Side.STATION, "Reset", {"type": "Soft"})
            await station.send(message(b"begun", None, True)[4:])
            await csms.send(WebSocketFrame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=False))
            assert await station.read(4)
            with pytest.raises(ConfigError, match="charger CP1: the link is closing"):
                await at.person.inject("CP1", Side.STATION, "Reset", {"type": "Soft"})
            refused = [outcome for action, _, outcome in at.audits() if action == "inject"]
            assert refused == [
                "refused: charger CP1: no message boundary came within 10 s", "refused: the link is closing"]
            await at.person.disconnect("CP1", reset=True)           # that can always be done
            await at.theatre.no_links()

    play(body())


def test_links_of_before_say_that_a_plugin_comes_with_the_next_connection(tmp_path: Path) -> None:
    file = tmp_path / "mark.py"
    file.write_text(PLUGIN % "late")

    async def body() -> None:
        async with desk(Config(host="preserve")) as at:
            station, csms, _ = await tunnel(at.theatre, True)
            at.write_config(enable=(str(file),))
            assert "takes effect at the next connection" in (await at.acts.reload("anna"))[-1]
            extension = PerMessageDeflate(False, False, 15, 15)
            await station.send(message(BEAT, extension, True))
            assert await reads(csms, 1, lambda data: texts(data, True)) == [BEAT]
            station, csms, _ = await tunnel(at.theatre, False)
            await station.send(message(BEAT, None, True))
            assert await reads(csms, 1, plain) == [b'[2,"1","Heartbeat",{"by":"late"}]']

    play(body())


def test_requests_to_a_worker_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocpp_proxy.relay.commands.MOST_OPEN", 2)

    async def body() -> None:
        async with desk() as at:
            station, _, _ = await tunnel(at.theatre, False)
            asked = [asyncio.ensure_future(at.person.inject("CP1", Side.STATION, "Reset", {"type": "Soft"}, seconds=2))
                     for _ in range(2)]                     # time enough for who comes meanwhile
            await reads(station, 1, heard)
            await until(lambda: len(at.commands._open) == 2)
            with pytest.raises(ConfigError, match="2 requests wait"):
                await at.person.switch("throttle", True)
            assert (await at.person.plugins(), "2 requests wait" in at.person.missing) == ([], True)
            assert [one.outcome for one in await asyncio.gather(*asked)] == ["timeout", "timeout"]

    play(body())


def test_a_folder_with_a_path_too_long_for_sockets_will_do() -> None:
    async def body() -> None:
        async with desk(folder="a" * 120) as at:
            await tunnel(at.theatre, False)
            assert (await at.person.inject("CP1", Side.STATION, "Reset", {"type": "Soft"}, seconds=0.05)).outcome == "timeout"

    play(body())


@pytest.mark.parametrize("size", [10, 2 << 20], ids=["ping inside", "over 1 MiB"])
def test_an_answer_to_an_injected_call_reaches_who_asked_however_it_comes(size: int) -> None:
    async def body() -> None:
        async with desk() as at:
            station, csms, _ = await tunnel(at.theatre, False)
            asked = asyncio.create_task(at.person.inject("CP1", Side.STATION, "GetConfiguration", {}))
            (call,) = await reads(station, 1, heard)
            text = json.dumps([3, json.loads(call)[1], {"unknownKey": ["x" * size]}]).encode()
            ping = WebSocketFrame(Opcode.PING, b"here").serialize(mask=True)
            first = WebSocketFrame(Opcode.TEXT, text[:60], fin=False).serialize(mask=True)
            last = WebSocketFrame(Opcode.CONT, text[60:]).serialize(mask=True)
            await station.send(first + ping + last)
            came = await asked
            assert (came.outcome, came.payload) == ("result", {"unknownKey": ["x" * size]})
            beat = message(BEAT, None, True)
            await station.send(beat)
            await reads(csms, 1, lambda data: plain(data.replace(ping, b"")))
            assert csms.got == ping + beat                      # of the answer nothing, the ping as it was
    play(body())


def test_of_an_answer_that_is_too_large_who_asked_sees_the_beginning_and_nobody_else_anything() -> None:
    async def body() -> None:
        async with desk() as at:
            station, csms, _ = await tunnel(at.theatre, False)
            asked = asyncio.create_task(at.person.inject("CP1", Side.STATION, "GetConfiguration", {}))
            (call,) = await reads(station, 1, heard)
            text = json.dumps([3, json.loads(call)[1], {"unknownKey": ["x" * (5 << 20)]}]).encode()
            beat = message(BEAT, None, True)
            await station.send(WebSocketFrame(Opcode.TEXT, text).serialize(mask=True) + beat)
            came = await asked
            assert (came.outcome, came.code) == ("error", "unreadable")
            assert text.decode().startswith(came.payload) and 64 <= len(came.payload) <= 1000
            await reads(csms, 1, plain)
            assert csms.got == beat
    play(body())


def test_a_charger_without_subprotocol_is_checked_by_the_version_agreed_for_it() -> None:
    async def body() -> None:
        async with desk() as at:
            at.theatre.relay.env.chain = at.acts.chain
            await at.person.switch("quirks", True, "*", {"profiles": ["no-subprotocol"]})
            line = b"Sec-WebSocket-Protocol: ocpp1.6\r\n"
            station = await at.theatre.dial()
            await station.send(UPGRADE.replace(line, b""))
            csms = await at.theatre.accept()
            assert line in await csms.head()
            await csms.send(SWITCH)
            assert line not in await station.head()
            assert [one.version for one in at.acts.find("CP1")] == ["1.6"]
            with pytest.raises(ConfigError, match=r"not as OCPP 1\.6 has it"):
                await at.person.inject("CP1", Side.STATION, "Reset", {"type": "Sof"})

    play(body())
