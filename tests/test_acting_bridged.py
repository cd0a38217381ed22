"""A person's hands on a link between two OCPP versions: each side is checked, and told, in its own."""

import asyncio
import json
from pathlib import Path

import pytest
from ocpp_proxy_plugins.bridge import Bridge

from ocpp_proxy.config import LinkMatch, LinkRule
from ocpp_proxy.core.by_hand import Subject
from ocpp_proxy.core.hands import RESTART
from ocpp_proxy.core.seats import Chain, Installed
from ocpp_proxy.model import ConfigError, Link, Side
from ocpp_proxy.source import Held
from ocpp_proxy.spec import forms
from tests.desk import Desk, desk, reads
from tests.relay.stage import SWITCH, UPGRADE, Peer, play, until
from tests.relay.test_frame_mode import message, tunnel
from tests.test_acting import heard, link_of, plain

NOTIFY = {"timestamp": "2026-11-23T08:00:00Z", "connectorStatus": "Available", "evseId": 1, "connectorId": 1}


async def bridged(at: Desk) -> tuple[Peer, Peer]:
    """A 1.6 charger and a 2.0.1 CSMS."""
    installed = (Installed("bridge", Bridge, Bridge.Options(), "close"),)
    at.theatre.relay.env.chain = lambda identity, protocol: Chain(installed, "1.6")
    return await dialled(at)


async def dialled(at: Desk) -> tuple[Peer, Peer]:
    """A charger that is to be bridged has dialled."""
    station = await at.theatre.dial()
    await station.send(UPGRADE)
    csms = await at.theatre.accept()
    await csms.head()
    await csms.send(SWITCH.replace(b"ocpp1.6", b"ocpp2.0.1"))
    assert b"ocpp1.6" in await station.head()
    return station, csms


def test_what_is_injected_is_checked_by_the_version_of_the_side_it_goes_to() -> None:
    async def body() -> None:
        async with desk() as at:
            _, csms = await bridged(at)
            assert [(one.version, one.csms_version) for one in at.acts.find("CP1")] == [("1.6", "2.0.1")]
            for to, action, payload, why in (
                (Side.CSMS, "StartTransaction", {}, "OCPP 2.0.1 knows no such action"),
                (Side.CSMS, "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"}, "2.0.1"),
                (Side.STATION, "GetVariables", {}, "OCPP 1.6 knows no such action"),
            ):
                with pytest.raises(ConfigError, match=why):
                    await at.person.inject("CP1", to, action, payload)
            asked = asyncio.ensure_future(at.person.inject("CP1", Side.CSMS, "StatusNotification", NOTIFY))
            (call,) = await reads(csms, 1, plain)
            assert json.loads(call)[2:] == ["StatusNotification", NOTIFY]
            await csms.send(message(b'[3,"%s",{}]' % json.loads(call)[1].encode(), None, False))
            assert (await asked).outcome == "result"

    play(body())


def test_what_is_held_is_checked_by_the_version_it_is_in() -> None:
    async def body() -> None:
        async with desk() as at:
            station, csms = await bridged(at)
            await at.person.intercept("mtype == CALL", "CP*")
            await until(lambda: link_of(at).plugged is not None)
            await station.send(message(b'[2,"1","Authorize",{"idTag":"A"}]', None, True))
            await until(lambda: len(at.acts.held().held) == 1)
            (held,) = await at.person.held()
            with pytest.raises(ConfigError, match=r"not as OCPP 1\.6 has it"):
                await at.person.settle(held.held_id, "edit", {"idToken": {"idToken": "A", "type": "Central"}})
            await at.person.settle(held.held_id, "edit", {"idTag": "B"})
            (call,) = await reads(csms, 1, plain)
            assert json.loads(call)[3]["idToken"]["idToken"] == "B"
            await csms.send(message(b'[2,"2","GetVariables",{}]', None, False))
            await until(lambda: len(at.acts.held().held) == 1)
            assert [one.version for one in at.acts.held().held] == ["2.0.1"]
            (held,) = await at.person.held()
            with pytest.raises(ConfigError, match=r"not as OCPP 2\.0\.1 has it"):
                await at.person.settle(held.held_id, "edit", {"key": []})
            with pytest.raises(ConfigError, match=r"not as OCPP 2\.0\.1 has it"):
                await at.person.settle(held.held_id, "reply", {"configurationKey": []})
            await at.person.settle(held.held_id, "drop")
            assert heard(station.got) == []

    play(body())


def test_forms_are_those_of_the_side() -> None:
    link = Link(1, 0, "", identity="CP1", protocol="ocpp1.6", csms_protocol="ocpp2.0.1")
    found = [Subject.of(Held("0.1.1", 1, "CP1", side, 2, "Reset", "1", '[2,"1","Reset",{}]', 0, 1, "intercept"), {1: link})
             for side in (Side.STATION, Side.CSMS)]
    assert [one.version for one in found] == ["1.6", "2.0.1"]
    offered = forms.common("1.6", "2.0.1")
    assert ("TransactionEvent", Side.CSMS) in offered and ("StartTransaction", Side.CSMS) not in offered
    assert ("ChangeConfiguration", Side.STATION) in offered and ("SetVariables", Side.STATION) not in offered


def test_a_link_whose_bridge_is_taken_away_ends_and_nothing_passes_untranslated() -> None:
    """Also when its options change: between two messages there is no moment in which nobody translates."""
    for changed in ((), (LinkRule(LinkMatch("CP1"), ("bridge",)),)):
        async def body(links: tuple[LinkRule, ...] = changed) -> None:
            async with desk() as at:
                at.theatre.relay.env.chain = at.acts.chain
                at.write_config(links=(LinkRule(LinkMatch("CP1"), ("bridge",)),))
                await at.person.reload()
                station, csms = await dialled(at)
                await station.send(message(b'[2,"1","Heartbeat",{}]', None, True))
                assert len(await reads(csms, 1, plain)) == 1
                at.write_config(links=links, plugins={"bridge": {"grace_seconds": 0}} if links else {})
                await at.person.reload()
                await station.send(message(b'[2,"2","StatusNotification",{}]', None, True))
                assert heard(await station.rest()) == [RESTART]         # each is told to come again, and nothing else
                assert plain(await csms.rest())[1:] == [RESTART]
                await at.theatre.no_links()

        play(body())


COUNTING = '''
from msgspec import Struct

from ocpp_proxy.api import Call, Closing, Context, Decision, Plugin, Replace, Side


class Counting(Plugin):
    class Options(Struct, frozen=True):
        by: int = 1

    class State(Struct, frozen=True):
        count: int = 0

    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        context.keep(self.State(context.state.count + context.options.by))
        return Replace(call.carrying({"count": context.state.count}))

    def on_close(self, context: Context, closing: Closing) -> None:
        context.keep(self.State(context.state.count + 1000))
'''


def test_a_plugin_whose_options_change_on_an_open_link_goes_on_with_its_state(tmp_path: Path) -> None:
    """Also with what the one before it kept when it went."""
    file = tmp_path / "counting.py"
    file.write_text(COUNTING)

    async def body() -> None:
        async with desk() as at:
            station, csms, _ = await tunnel(at.theatre, False)
            counts = []
            for by in (1, 10, 100):
                await at.person.switch(str(file), True, "*", {"by": by})
                await station.send(message(b'[2,"1","Heartbeat",{}]', None, True) * 2)
                counts += [2]
                await reads(csms, sum(counts), plain)
            assert [json.loads(text)[3]["count"] for text in plain(csms.got)] == [1, 2, 1012, 1022, 2122, 2222]

    play(body())
