"""``replay`` over sockets: the sample capture against the simulated peers and against those of the ``ocpp`` package."""

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from ocpp.v16 import call
from ocpp_proxy_captures import CaptureSource
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from ocpp_proxy.checks import Settings
from ocpp_proxy.cli import replaying
from ocpp_proxy.cli.app import run_app
from ocpp_proxy.cli.replaying import Play, _by_link
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.core.pipeline import Pipeline
from ocpp_proxy.demo.csms import SimulatedCsms
from tests.captures.capture_streams import fill
from tests.core.bridged import session
from tests.peers.pypi_ocpp import Csms16, Station16, _reading

SAMPLE = str(Path(__file__).parents[2] / "captures" / "samples" / "demo.duckdb")


def as_station(url: str, identity: str, **options: Any) -> Play:
    return Play(**{**{"role": "station", "to": url, "listen": "", "identity": identity, "link": None, "call_as": "",
                      "speed": 0.0, "rebase_time": True, "upstream_ca": ""}, **options})


def test_a_station_of_the_sample_finds_a_csms_that_does_as_then(capsys: pytest.CaptureFixture[str]) -> None:
    csms = SimulatedCsms()

    async def body() -> int:
        async with await csms.listen() as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ocpp"
            return await replaying.run(SAMPLE, as_station(url, "CS-MODERN", call_as="CS 2"), True, False)

    assert asyncio.run(body()) == 0
    said = capsys.readouterr()
    assert said.out == "" and "no difference" in said.err and "CS-MODERN, ocpp2.0.1: 18 messages" in said.err
    assert csms.received == 9 and list(csms.open) == ["CS 2"]


def test_another_csms_differs_and_that_is_told_line_by_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ocpp_proxy.core.replaying.QUIET_NS", 200_000_000)      # its own Calls do not come

    async def link(socket: Any) -> None:                        # the csms of the ocpp package: knows two actions
        await _reading(Csms16("CP-HEALTHY", socket))

    async def body(expect: bool) -> int:
        async with serve(link, "127.0.0.1", 0, subprotocols=[Subprotocol("ocpp1.6")]) as server:
            url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
            return await replaying.run(SAMPLE, as_station(url, "CP-HEALTHY"), expect, True)

    assert asyncio.run(body(True)) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["live"] for row in rows if row["kind"] == "answer"} == {"NotImplemented"}
    assert {"Heartbeat", "StartTransaction"} <= {row["action"] for row in rows}
    assert not {"BootNotification", "MeterValues"} & {row["action"] for row in rows}
    assert asyncio.run(body(False)) == 0                        # without --expect differences are news, no failure


def test_as_csms_for_a_station_of_the_ocpp_package(capsys: pytest.CaptureFixture[str]) -> None:
    heard: list[Any] = []

    async def station() -> None:
        port = 0
        while not port:
            await asyncio.sleep(0.01)
            found = capsys.readouterr().err.partition("listening on 127.0.0.1:")[2].partition(";")[0]
            port = int(found or 0)
        async with connect(f"ws://127.0.0.1:{port}/ANY", subprotocols=[Subprotocol("ocpp1.6")]) as socket:
            charger = Station16("ANY", socket)
            reader = asyncio.ensure_future(_reading(charger))
            heard.append(await charger.call(call.BootNotification(charge_point_vendor="V", charge_point_model="M")))
            heard.append(await charger.call(call.Heartbeat()))
            with contextlib.suppress(ConnectionClosed):
                await socket.close()
            await reader

    async def body() -> int:
        play = Play("csms", "", "127.0.0.1:0", "CP-HEALTHY", None, "", 0.0, False, "")
        code, _ = await asyncio.gather(replaying.run(SAMPLE, play, True, False), station())
        return code

    assert asyncio.run(asyncio.wait_for(body(), 60)) == 1       # the charger of the capture sent more
    assert heard[0].status == "Accepted" and heard[1].current_time.startswith("2026-")
    out = capsys.readouterr().out
    assert "the peer sent it in the capture, not now" in out


@pytest.mark.parametrize(("arguments", "words"), [
    (["--as", "nobody"], "the side to play is station or csms"),
    (["--as", "station"], "--as station needs --to URL"),
    (["--as", "csms", "--to", "ws://x"], "--as csms needs --listen HOST:PORT"),
    (["--as", "station", "--to", "ws://127.0.0.1:9"], "the capture has several chargers; say which by --identity: CP-AUTEL"),
    (["--as", "station", "--to", "ws://127.0.0.1:9", "--identity", "X"], "--identity X: no messages of such"),
    (["--as", "station", "--to", "ws://127.0.0.1:9", "--link", "999"], "--link 999: no such link"),
    (["--as", "station", "--to", "http://127.0.0.1:9", "--identity", "CP-FAULTY"], "--to http://127.0.0.1:9"),
    (["--as", "csms", "--listen", "x:y", "--identity", "CP-FAULTY"], "--listen x:y: write HOST:PORT"),
    (["--as", "csms", "--listen", "127.0.0.1:9", "--speed", "-1"], "--speed -1"),
])
def test_what_cannot_be_played_is_said(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["replay", SAMPLE, *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_csms_that_is_not_there_cannot_be_connected_to(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["replay", SAMPLE, "--as", "station", "--to", "ws://127.0.0.1:1", "--identity", "CP-FAULTY"]
    assert run_app(arguments) == 3
    assert "ws://127.0.0.1:1/CP-FAULTY" in capsys.readouterr().err


def test_of_a_link_with_a_bridge_the_leg_of_the_station_is_played(tmp_path: Path) -> None:
    fill(tmp_path / "a.duckdb", Pipeline(Settings(), Ids(), None).feed(session()))

    async def body() -> list[tuple[str, str]]:
        source = CaptureSource(tmp_path / "a.duckdb")
        known, _ = await _by_link(source, "")
        await source.close()
        return [(message.action, message.protocol) for message in known[1]]
    found = asyncio.run(body())
    assert {protocol for _, protocol in found} == {"ocpp1.6"} and len(found) == 8
