"""What plugins keep goes on before its sender has said the last word; and a station that does not listen is not heard."""

from pathlib import Path

from websockets.frames import Frame, Opcode

from ocpp_proxy.api import PASS, Call, CallResult, Context, Decision, Drop, Hold, Plugin, Reply, Side
from ocpp_proxy.records import Note
from ocpp_proxy.relay.leg import FULL, FULL_BYTES
from tests.relay.stage import play, stage
from tests.relay.test_frame_mode import texts, tunnel
from tests.relay.test_plugged import call, frames, plug, seen

CLOSE = Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True)


class Holder(Plugin):
    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        return Hold(30, Drop("late") if call.action == "Unwanted" else PASS, "a while")


class Talker(Plugin):
    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        return Reply(CallResult.of({"x": "y" * 2000}))


def test_what_is_held_leaves_before_the_close_of_its_sender(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, Holder)
            station, csms, link = await tunnel(theatre, False)
            await station.send(call("Held", 1) + call("Unwanted", 2) + call("Held", 3))
            plugged = link.plugged
            assert plugged is not None
            await theatre.until(lambda: len(plugged.onion.held()) == 3)
            await station.send(CLOSE)
            while CLOSE not in csms.got and await csms.more():
                pass
            assert csms.got.endswith(CLOSE)
            assert texts(csms.got, False)[:2] == [b'[2,"1","Held",{}]', b'[2,"3","Held",{}]']
            known = frames(theatre)
            made = [known[frame.cause[-1]].verdict for frame in known.values() if frame.verdict == "modified"]
            assert made == ["held", "held"]

    play(body())


def test_what_is_held_leaves_before_half_a_message(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, Holder)
            station, csms, _ = await tunnel(theatre, False)
            half = call("Pass", 2)[:7]
            await station.send(call("Held", 1) + half)
            station.half_close()
            got = await csms.rest()
            assert texts(got, False) == [b'[2,"1","Held",{}]']
            assert got.endswith(half)

    play(body())


def test_a_station_that_asks_and_does_not_listen_is_not_heard_any_more(tmp_path: Path) -> None:
    data = b"".join(call("Any", number) for number in range(1000))

    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, Talker)
            station, _, link = await tunnel(theatre, False)
            for _ in range(1000):
                await station.send(data)
                if link.station.paused & FULL:
                    break
            assert link.station.paused & FULL
            assert FULL_BYTES < link.station.transport.get_write_buffer_size() < 100 * FULL_BYTES
            while link.station.paused and await station.more():
                station.got = b""
            assert not link.station.paused                      # it listens again, and is heard again

    play(body())


def test_a_note_says_what_came_of_it(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, Holder)
            station, csms, _ = await tunnel(theatre, False)
            await station.send(call("Unwanted", 1) + CLOSE)
            assert await csms.read(len(CLOSE)) == CLOSE
            notes = [record.text for record in seen(theatre) if isinstance(record, Note) and record.kind == "plugin"]
            assert [note.split(" (")[0] for note in notes] == ["p0: held: a while", "p0: dropped: late"]

    play(body())
