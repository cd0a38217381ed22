"""Plugins at the entrance on real sockets: what CSMS and charger are told, where it leads, who is refused."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from ocpp_proxy.api import (
    PASS,
    Admit,
    Call,
    Closing,
    Context,
    Decision,
    Entrance,
    Opening,
    Plugin,
    Redirect,
    Refuse,
    Replace,
    Side,
)
from ocpp_proxy.core.seats import Chain, Installed, OnError
from ocpp_proxy.records import Handshake, Note, PluginFinding
from ocpp_proxy.wire.spool import Head, Kind, decode_body
from tests.relay.stage import SWITCH, UPGRADE, Peer, Stage, of, play, stage
from tests.relay.test_frame_mode import message, texts
from tests.relay.test_plugged import seen


class Entering(Plugin):
    """Decides as its class says, and remembers what it saw."""

    decide: Any = Admit()
    made = 0
    saw: list[Opening] = []             # noqa: RUF012  # of all links of a test
    closed: list[Closing] = []          # noqa: RUF012

    def __init__(self) -> None:
        Entering.made += 1

    def on_open(self, context: Context, opening: Opening) -> Entrance:
        self.saw.append(opening)
        found: Entrance = self.decide
        return found

    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        return Replace(call.carrying({side.value: version for side, version in context.versions.items()}))

    def on_close(self, context: Context, closing: Closing) -> None:
        self.closed.append(closing)


class Other(Plugin):
    """Is there only for 2.0.1."""

    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        return Replace(call.carrying({**call.json(), "other": True}))


@pytest.fixture(autouse=True)
def forget() -> None:
    Entering.saw.clear()
    Entering.closed.clear()
    Entering.made, Entering.decide = 0, Admit()


def plug(
    theatre: Stage, *plugins: type[Plugin], on_error: OnError = "pass", agreed: tuple[type[Plugin], ...] | None = None,
) -> None:
    """``agreed``: those of 2.0.1, where they are others."""
    made = {kind: Installed(kind.__name__.lower(), kind, None, on_error) for kind in (*plugins, *(agreed or ()))}

    def chain(identity: str, protocol: str) -> Chain | None:
        kinds = agreed if agreed is not None and protocol == "ocpp2.0.1" else plugins
        return Chain(tuple(made[kind] for kind in kinds), protocol.removeprefix("ocpp")) if kinds else None

    theatre.relay.env.chain = chain


def heads(theatre: Stage) -> list[Head]:
    return [body for body in map(decode_body, of(theatre.records(), Kind.HEAD)) if isinstance(body, Head)]


async def dialled(theatre: Stage, answer: bytes = SWITCH) -> tuple[Peer, Peer, bytes, bytes]:
    """Station, CSMS, and the heads that reached them."""
    station = await theatre.dial()
    await station.send(UPGRADE)
    csms = await theatre.accept()
    request = await csms.head()
    await csms.send(answer)
    return station, csms, request, await station.head()


def test_each_side_is_told_its_own_subprotocol_and_both_heads_are_kept(tmp_path: Path) -> None:
    chosen = SWITCH.replace(b"ocpp1.6", b"ocpp2.0.1")

    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, Entering)
            Entering.decide = Admit(("ocpp2.0.1", "ocpp2.1"), "ocpp1.6")
            station, csms, request, answer = await dialled(theatre, chosen)
            lines = [b"Sec-WebSocket-Protocol: ocpp1.6\r\n", b"Sec-WebSocket-Protocol: ocpp2.0.1, ocpp2.1\r\n"]
            assert request == UPGRADE.replace(lines[0], b"")[:-2] + lines[1] + b"\r\n"
            assert answer == SWITCH
            await station.send(message(b'[2,"1","A",{}]', None, True))
            assert await read(csms) == b'[2,"1","A",{"station":"1.6","csms":"2.0.1"}]'
            asked, told = heads(theatre)
            assert (asked.raw, asked.sent) == (UPGRADE, request) and (told.raw, told.sent) == (chosen, SWITCH)
            assert asked.repairs == ("plugin entering: offers ocpp2.0.1, ocpp2.1 instead of ocpp1.6",)
            assert told.repairs == ("plugin entering: answers ocpp1.6 instead of ocpp2.0.1",)
            (shake,) = [record for record in seen(theatre) if isinstance(record, Handshake)]
            assert shake.repairs == asked.repairs + told.repairs
            (saw,) = Entering.saw
            assert (saw.identity, saw.target, saw.offered, saw.identity_source) == ("CP1", "/CP1", ("ocpp1.6",), "path")
            assert saw.headers["sec-websocket-version"] == "13" and saw.remote.startswith("127.0.0.1:")
            assert saw.upstream == f"ws://127.0.0.1:{theatre.csms_listener.getsockname()[1]}/CP1"
            assert Entering.made == 1
            station.close()
            await csms.rest()
        assert len(Entering.closed) == 1

    play(body())


async def read(peer: Peer) -> bytes:
    while not texts(peer.got, False) and await peer.more():
        pass
    return texts(peer.got, False)[0]


def test_an_entrance_that_changes_nothing_changes_no_byte(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, Entering)
            _, _, request, answer = await dialled(theatre)
            assert (request, answer) == (UPGRADE, SWITCH)
            assert [head.repairs for head in heads(theatre)] == [(), ()]

    play(body())


@pytest.mark.parametrize(("decide", "on_error", "status", "why"), [
    (Refuse(429, "slow down"), "pass", b"429 Too Many Requests", "429: plugin entering: slow down"),
    (Refuse(499), "pass", b"499 Refused", "499: plugin entering: refused"),
    (None, "drop", b"503 Service Unavailable", "503: plugin entering: the plugin failed"),
])
def test_a_refusal_is_answered_and_recorded(tmp_path: Path, decide: Any, on_error: OnError, status: bytes, why: str) -> None:
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, Entering, on_error=on_error)
            Entering.decide = decide
            station = await theatre.dial()
            await station.send(UPGRADE)
            answer = await station.rest()
            assert answer.startswith(b"HTTP/1.1 " + status + b"\r\n") and why.partition(": ")[2].encode() in answer
            assert next(head.raw for head in heads(theatre)) == UPGRADE
            assert [(record.kind, record.text) for record in seen(theatre) if isinstance(record, Note)] == [("refused", why)]
            assert Entering.made == 1
            with pytest.raises(BlockingIOError):
                theatre.csms_listener.accept()                  # the CSMS has heard nothing of it
            station.close()

    play(body())


def test_a_plugin_that_cannot_be_made_refuses_where_it_has_to(tmp_path: Path) -> None:
    class Broken(Plugin):
        def __init__(self) -> None:
            raise RuntimeError

    class Both(Entering):
        pass

    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, Broken, Both, on_error="close")
            station = await theatre.dial()
            await station.send(UPGRADE)
            assert (await station.rest()).startswith(b"HTTP/1.1 503 ")
            assert [record.code for record in seen(theatre) if isinstance(record, PluginFinding)] == ["plugin-failed"]
            station.close()

    play(body())


def test_a_redirect_leads_to_another_csms_as_to_any(tmp_path: Path) -> None:
    async def body() -> None:
        with socket.create_server(("127.0.0.1", 0)) as elsewhere:
            elsewhere.setblocking(False)
            async with stage(tmp_path) as theatre:
                plug(theatre, Entering)
                where = f"ws://127.0.0.1:{elsewhere.getsockname()[1]}/tenant"
                Entering.decide = Redirect(where)
                station = await theatre.dial()
                await station.send(UPGRADE)
                csms = Peer((await asyncio.get_running_loop().sock_accept(elsewhere))[0])
                assert (await csms.head()).startswith(b"GET /tenant/CP1 HTTP/1.1\r\n")
                await csms.send(SWITCH)
                assert await station.head() == SWITCH
                (asked, _) = heads(theatre)
                assert asked.upstream == where + "/CP1" and asked.repairs == (f"plugin entering: leads to {where}",)
                csms.close()
                station.close()

    play(body())


@pytest.mark.parametrize(("url", "why"), [("ws://127.0.0.1:{port}/x", "would call itself"), ("ws://127.0.0.1:1/x", "refused")])
def test_a_redirect_that_leads_nowhere_is_a_failed_upstream(tmp_path: Path, url: str, why: str) -> None:
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, Entering)
            Entering.decide = Redirect(url.format(port=theatre.port))
            station = await theatre.dial()
            await station.send(UPGRADE)
            answer = await station.rest()
            assert answer.startswith(b"HTTP/1.1 502 ") and why.encode() in answer
            station.close()

    play(body())


def test_a_connection_that_leads_elsewhere_is_not_used_for_a_redirect(tmp_path: Path) -> None:
    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, Entering)
            refused = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
            station, csms, _, answer = await dialled(theatre, refused)
            assert answer == refused
            Entering.decide = Redirect("ws://127.0.0.1:1/x")
            await station.send(UPGRADE)
            assert (await station.rest()).startswith(b"HTTP/1.1 503 ")
            assert (len(Entering.saw), Entering.made) == (2, 1)
            assert await csms.rest() == b""
            station.close()

    play(body())


def test_the_agreed_version_may_have_other_plugins(tmp_path: Path) -> None:
    class Both(Entering):
        pass

    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, Both, Entering, agreed=(Both, Other))
            station, csms, _, _ = await dialled(theatre, SWITCH.replace(b"ocpp1.6", b"ocpp2.0.1"))
            assert Entering.made == 2 and [closing.how for closing in Entering.closed] == ["switched off"]
            await station.send(message(b'[2,"1","A",{}]', None, True))
            assert await read(csms) == b'[2,"1","A",{"station":"2.0.1","csms":"2.0.1","other":true}]'
            assert Entering.made == 2

    play(body())


def test_plugins_are_made_once_and_where_none_is_asked_when_the_link_is_open(tmp_path: Path) -> None:
    class Counted(Plugin):
        made = 0

        def __init__(self) -> None:
            Counted.made += 1

    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, Counted)
            station = await theatre.dial()
            await station.send(UPGRADE)
            csms = await theatre.accept()
            await csms.head()
            assert Counted.made == 0
            await csms.send(SWITCH)
            await station.head()
            assert Counted.made == 1
            plug(theatre, Counted, Entering)
            await dialled(theatre)
            assert (Counted.made, Entering.made) == (2, 1)

    play(body())


def test_what_is_kept_is_stored_before_the_csms_is_dialled(tmp_path: Path) -> None:
    class Counting(Plugin):
        class State(Struct, frozen=True):
            dials: int = 0

        def on_open(self, context: Context, opening: Opening) -> Entrance:
            context.keep(self.State(context.state.dials + 1))
            return Admit(("ocpp1.6", f"n{context.state.dials}"))

        def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
            return PASS

    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, Counting)
            for number in (1, 2):
                station, csms, request, _ = await dialled(theatre)
                assert b"ocpp1.6, n%d\r\n" % number in request
                station.close()
                assert await csms.rest() == b""

    play(body())


def test_a_charger_that_leaves_while_plugins_are_asked_is_recorded(tmp_path: Path) -> None:
    class Keeping(Plugin):
        class State(Struct, frozen=True):
            """Has to be read first."""

        def on_open(self, context: Context, opening: Opening) -> Entrance:
            return Admit()

    async def body() -> None:
        async with stage(tmp_path) as theatre:
            plug(theatre, Keeping)
            station = await theatre.dial()
            await station.send(UPGRADE)
            station.reset()
            while theatre.relay.env.accepted < 1 or theatre.relay.env.links:
                await asyncio.sleep(0)
            assert [head.raw for head in heads(theatre)][:1] == [UPGRADE]

    play(body())
