"""One side's connection is lost: plugins may let the other stay for a while; then it gets a Close of its own."""

from pathlib import Path

import pytest

from ocpp_proxy.api import PASS, Admit, Call, Context, Decision, Drop, Entrance, Opening, Plugin, Side
from tests.relay.stage import SWITCH, play, stage
from tests.relay.test_entrance import dialled, plug
from tests.relay.test_frame_mode import message, texts

BEAT = b'[2,"1","Heartbeat",{}]'
AWAY = b"\x88\x0c\x03\xe9going away"


class Staying(Plugin):
    """Lets the other side stay for a moment; the sides speak two versions."""

    translates = True
    seconds: float = 1.0                    # what the station says meanwhile has to come in it
    gone: list[tuple[Side, str]] = []       # noqa: RUF012  # of all links of a test
    calls: list[str] = []                   # noqa: RUF012

    def on_open(self, context: Context, opening: Opening) -> Entrance:
        return Admit(offer=("ocpp2.0.1",), answer="ocpp1.6")

    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        self.calls.append(call.action)
        return Drop("answered later") if call.action == "Late" else PASS

    def on_gone(self, context: Context, side: Side, how: str) -> float | None:
        self.gone.append((side, how))
        return self.seconds


@pytest.fixture(autouse=True)
def _fresh() -> None:
    Staying.gone.clear()
    Staying.calls.clear()


@pytest.mark.parametrize("how", ["rst", "fin"])
def test_the_station_stays_and_is_told_to_go(tmp_path: Path, how: str) -> None:
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, Staying)
            station, csms, *_ = await dialled(theatre, SWITCH.replace(b"ocpp1.6", b"ocpp2.0.1"))
            csms.reset() if how == "rst" else csms.close()
            await theatre.until(lambda: bool(Staying.gone))
            await station.send(message(b'[2,"1","Late",{}]', None, True))      # it is heard still
            while AWAY not in station.got:
                assert await station.more(), station.got
            assert Staying.gone == [(Side.CSMS, how)] and Staying.calls == ["Late"]
            await theatre.no_links()

    play(body())


def test_a_message_that_was_not_whole_does_not_reach_the_other_side(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, Staying)
            station, csms, *_ = await dialled(theatre, SWITCH.replace(b"ocpp1.6", b"ocpp2.0.1"))
            await csms.send(message(BEAT, None, False)[:-4])
            csms.reset()
            while AWAY not in station.got:
                assert await station.more(), station.got
            assert texts(station.got.replace(AWAY, b""), False) == [] and b"Heartbeat" not in station.got
            await theatre.no_links()

    play(body())


def test_a_close_goes_on_at_once_and_nobody_is_asked(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, Staying)
            station, csms, *_ = await dialled(theatre, SWITCH.replace(b"ocpp1.6", b"ocpp2.0.1"))
            await csms.send(b"\x88\x02\x03\xe8")
            csms.close()
            while b"\x88\x02\x03\xe8" not in station.got:
                assert await station.more(), station.got
            station.close()
            await theatre.no_links()
            assert Staying.gone == []

    play(body())


def test_the_side_that_stayed_may_go_first(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, type("Patient", (Staying,), {"seconds": 300.0}))
            station, csms, *_ = await dialled(theatre, SWITCH.replace(b"ocpp1.6", b"ocpp2.0.1"))
            csms.reset()
            await theatre.until(lambda: bool(Staying.gone))
            station.close()
            await theatre.no_links()
            assert Staying.gone == [(Side.CSMS, "rst")]

    play(body())
