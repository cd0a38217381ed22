"""A plugin between two OCPP versions on real sockets: what the relay writes is read as one conversation on each leg."""

from collections.abc import Generator
from pathlib import Path

import pytest
from msgspec import Struct
from ocpp_proxy_plugins.bridge import Bridge

from ocpp_proxy.api import (
    Admit,
    Answer,
    Ask,
    Call,
    CallResult,
    Context,
    Decision,
    Entrance,
    Opening,
    Plugin,
    Reply,
    Side,
    Verdict,
)
from ocpp_proxy.checks import Settings
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.core.pipeline import Pipeline
from ocpp_proxy.core.seats import Chain, Installed
from ocpp_proxy.records import ExchangeDone, Found, FrameSeen, Handshake, Lost, MessageSeen, Note, Record
from tests.relay.stage import SWITCH, UPGRADE, Peer, Stage, play, stage
from tests.relay.test_entrance import dialled, plug
from tests.relay.test_frame_mode import message, texts


class Between(Plugin):
    """Another action for the other side, one after the other; the second is kept before it is sent, and answered."""

    translates = True

    class State(Struct, frozen=True):
        number: int = 0

    def on_open(self, context: Context, opening: Opening) -> Entrance:
        return Admit(offer=("ocpp2.0.1",), answer="ocpp1.6")

    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        return self._asked(context, sender, call)

    def _asked(self, context: Context, sender: Side, call: Call) -> Generator[Ask, Answer | None, Verdict]:
        if call.action == "DataTransfer":
            return Reply(CallResult.of({"status": "UnknownVendorId"}))
        context.lost("$.chargePointVendor", "no room", "dropped")
        answer = yield Ask(sender.other, Call.of("BootNotification", {
            "reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M"}}))
        assert isinstance(answer, CallResult)
        context.keep(self.State(1))
        return Reply(CallResult.of(answer.json()))


async def read(peer: Peer, count: int) -> list[bytes]:
    while len(found := texts(peer.got, False)) < count and await peer.more():
        pass
    return found


def records(theatre: Stage) -> list[Record]:
    return Pipeline(Settings(), Ids(), None).feed(theatre.records())


def test_each_leg_is_a_conversation_of_its_own_version(tmp_path: Path) -> None:
    boot = b'{"currentTime":"2026-01-02T03:04:00.000Z","interval":300,"status":"Accepted"}'

    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, Between)
            station, csms, *_ = await dialled(theatre, SWITCH.replace(b"ocpp1.6", b"ocpp2.0.1"))
            await station.send(message(
                b'[2,"1","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]', None, True))
            (asked,) = await read(csms, 1)
            own = asked.split(b'"')[1]
            await csms.send(message(b'[3,"' + own + b'",' + boot + b"]", None, False))
            await read(station, 1)
            await station.send(message(b'[2,"2","DataTransfer",{"vendorId":"x"}]', None, True))
            await read(station, 2)
            out = records(theatre)
        (shake,) = [record.link for record in out if isinstance(record, Handshake)]
        assert (shake.protocol, shake.csms_protocol) == ("ocpp1.6", "ocpp2.0.1")
        frames = [record.frame for record in out if isinstance(record, FrameSeen)][2:]
        assert [(one.sender.value, one.verdict) for one in frames] == [
            ("station", "replaced"), ("station", "translated"), ("csms", "replaced"), ("csms", "translated"),
            ("station", "answered"), ("csms", "injected")]
        assert [one.cause for one in frames] == [
            (), (frames[0].frame_id,), (), (frames[2].frame_id,), (), ()]
        said = [record.message for record in out if isinstance(record, MessageSeen)]
        assert [one.protocol for one in said] == ["ocpp1.6", "ocpp2.0.1", "ocpp2.0.1", "ocpp1.6", "ocpp1.6", "ocpp1.6"]
        done = [record.exchange for record in out if isinstance(record, ExchangeDone)]
        assert [(one.message_id, one.outcome) for one in done] == [(own.decode(), "ok"), ("1", "ok"), ("2", "ok")]
        assert [(one.message_id, one.what) for one in out if isinstance(one, Lost)] == [("1", "dropped")]
        assert [one.text for one in out if isinstance(one, Note)] == [
            f"between: answered (frame {frames[4].frame_id})", "between: injected"]
        assert [one.finding.code for one in out if isinstance(one, Found)] == []

    play(body())


@pytest.mark.parametrize(("station", "csms"), [("1.6", "2.0.1"), ("2.0.1", "1.6")])
def test_s59_a_refusal_of_the_csms_is_what_the_station_gets(station: str, csms: str, tmp_path: Path) -> None:
    refused = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 3\r\n\r\nno\n"
    options = Bridge.Options(station=station, csms=csms)  # type: ignore[arg-type]  # from parameters

    async def body() -> None:
        async with stage(tmp_path) as theatre:
            chain = Chain((Installed("bridge", Bridge, options, "close"),), station)
            theatre.relay.env.chain = lambda identity, protocol: chain
            peer = await theatre.dial()
            await peer.send(UPGRADE.replace(b"ocpp1.6", b"ocpp" + station.encode()))
            system = await theatre.accept()
            assert b"Sec-WebSocket-Protocol: ocpp" + csms.encode() + b"\r\n" in await system.head()
            await system.send(refused)
            assert (await peer.head()).startswith(b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=x\r\n")
            system.close()
            peer.close()
            await theatre.no_links()
            found = records(theatre)
        (shake,) = [record.link for record in found if isinstance(record, Handshake)]
        assert shake.status == 401

    play(body())
