"""A charger that dials again while its old connection is half open: of links that translate only the newest stays."""

import json
import os
from pathlib import Path
from typing import Any

from ocpp_proxy_plugins.bridge import Bridge

from ocpp_proxy.core.onion import Onion
from ocpp_proxy.core.seats import Chain, Installed
from ocpp_proxy.relay.keeper import Keeper
from ocpp_proxy.relay.state_store import TAKEN_OVER
from ocpp_proxy.wire.frames import unmask
from tests.relay.stage import SWITCH, UPGRADE, Peer, Stage, play, stage
from tests.relay.test_entrance import dialled
from tests.relay.test_frame_mode import message, texts
from tests.relay.test_state_store import Asked, findings

GOING = b"\x03\xe9" + TAKEN_OVER.encode()
CHOSEN = SWITCH.replace(b"ocpp1.6", b"ocpp2.0.1")
START = {"connectorId": 1, "idTag": "T1", "meterStart": 1000, "timestamp": "2026-01-02T03:04:05.000Z"}


def bridge(theatre: Stage) -> None:
    chain = Chain((Installed("bridge", Bridge, Bridge.Options(), "close"),), "1.6")
    theatre.relay.env.chain = lambda identity, protocol: chain


async def frames(peer: Peer, count: int) -> list[Any]:
    while len(found := texts(peer.got, False)) < count and await peer.more():
        pass
    return [json.loads(text) for text in found]


def test_the_newest_link_is_the_one_and_what_the_older_had_sent_is_sent_again(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            bridge(theatre)
            station, csms, *_ = await dialled(theatre, CHOSEN)
            await station.send(message(b'[2,"s","StartTransaction",' + json.dumps(START).encode() + b"]", None, True))
            begun = (await frames(csms, 1))[0]                     # the CSMS has it, and nobody knows that
            again, beyond, *_ = await dialled(theatre, CHOSEN)
            told = await csms.rest()
            assert unmask(told[-len(GOING) :], told[-len(GOING) - 4 : -len(GOING)]) == GOING
            assert (await station.rest()).endswith(b"\x88" + bytes((len(GOING),)) + GOING)
            await again.send(message(b'[2,"s","StartTransaction",' + json.dumps(START).encode() + b"]", None, True))
            repeated = (await frames(beyond, 1))[0]
            assert repeated[2:] == begun[2:] and begun[3]["eventType"] == "Started" and begun[3]["seqNo"] == 0
            await beyond.send(message(json.dumps([3, repeated[1], {}]).encode(), None, False))
            answer = (await frames(again, 1))[0]
            assert answer[:2] == [3, "s"] and answer[2]["transactionId"] > 0
            assert findings(theatre)[0] == f"plugin bridge: {TAKEN_OVER}: this one ends"

    play(body())


def test_where_nothing_is_translated_the_older_link_stays(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            bridge(theatre)
            shared = UPGRADE.replace(b"ocpp1.6", b"ocpp2.0.1")
            station, csms = await theatre.tunnel(shared)
            newer, beyond = await theatre.tunnel(shared)
            for link, (one, other) in enumerate(((newer, beyond), (station, csms))):
                await one.send(message(b'[2,"h%d","Heartbeat",{}]' % link, None, True))
                assert (await frames(other, 1))[0][1] == f"h{link}"
            assert findings(theatre) == []

    play(body())


def test_a_link_that_ended_while_its_states_were_read_holds_nothing(tmp_path: Path) -> None:
    async def body() -> None:
        asked = Asked(tmp_path / "plugins.sqlite")
        for ended in (True, False):
            onion = Onion([Installed("bridge", Bridge, Bridge.Options(), "close")], "CP1", "1.6", os.urandom)
            keeper = Keeper(asked.store, onion, "CP1", lambda: 0, lambda: None, lambda: None)
            keeper.load()
            if ended:
                keeper.last(lambda why: None)
            await asked.open("CP2")                     # one after the other: the States of CP1 have been read
            assert bool(asked.store._holders) is not ended
        asked.store.close()

    play(body())
