"""Plugins in the running proxy: a file on the command line, rules of a file, mistakes, a plugin that ends the relay."""

import asyncio
import json
import signal
import subprocess
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from ocpp_proxy.cli.open_source import open_source
from ocpp_proxy.cli.replaying import _by_link
from ocpp_proxy.model import Message, Side
from tests.cli.test_end_to_end import Machine, charger, stop, until

MINE = """
import os
from ocpp_proxy.api import PASS, CallResult, Plugin, Replace, Reply

class Mine(Plugin):
    def on_call(self, context, sender, call):
        if call.action == "DataTransfer":
            os._exit(7)
        if call.action == "BootNotification":
            return Replace(call.carrying({**call.json(), "chargePointVendor": "Other"}), "vendor")
        if call.action == "Heartbeat":
            return Reply(CallResult.of({"currentTime": "2026-01-02T03:04:05Z"}), "here")
        return PASS
"""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def mine(machine: Machine) -> str:
    path = machine.folder / "mine.py"
    path.write_text(MINE)
    return str(path)


def test_a_plugin_of_a_file_works_and_is_in_the_capture(machine: Machine, mine: str) -> None:
    capture = machine.folder / "a.duckdb"
    with machine.proxy("--capture", str(capture), "--plugin", mine) as (process, port):
        asyncio.run(charger(port, "CP1"))
        assert stop(process) == 0
    sql = "SELECT verdict, count(*) AS n FROM frames WHERE verdict NOT IN ('', 'inflated') GROUP BY 1 ORDER BY 1"
    assert [(row["verdict"], row["n"]) for row in machine.rows("query", str(capture), sql)] == [
        ("answered", 1), ("injected", 1), ("modified", 1), ("replaced", 1),
    ]
    lines = machine.rows("tail", str(capture), "--filter", "kind == message")
    assert [line["action"] for line in lines].count("Heartbeat") == 2 and len(lines) == 6
    assert [row["code"] for row in machine.rows("check", str(capture))] == ["V01"]      # the charger's own; nothing of ours
    known, made = asyncio.run(replayed(str(capture)))
    assert [(one.sender, one.mtype, one.action) for one in known[1] if one.msg_no in made] == [(Side.CSMS, 3, "Heartbeat")]


async def replayed(capture: str) -> tuple[dict[int, list[Message]], set[int]]:
    """What ``replay`` makes of a capture: the messages by link, and which of them were no peer's."""
    source = await open_source(capture)
    try:
        return await _by_link(source, "")
    finally:
        await source.close()


def test_rules_give_plugins_to_some_links_only(machine: Machine, mine: str) -> None:
    settings = machine.folder / "proxy.toml"
    settings.write_text(f'[[links]]\nmatch = {{identity = "ACME-*"}}\nplugins = ["{mine}"]\n')
    capture = machine.folder / "a.duckdb"
    with machine.proxy("--capture", str(capture), "--config", str(settings)) as (process, port):
        asyncio.run(charger(port, "ACME-1"))
        asyncio.run(charger(port, "CP2"))
        assert stop(process) == 0
    sql = "SELECT DISTINCT l.identity AS identity FROM frames f JOIN links l ON f.link_id = l.link_id WHERE f.verdict <> ''"
    assert [row["identity"] for row in machine.rows("query", str(capture), sql)] == ["ACME-1"]


def test_mistakes_end_the_start_with_exit_2(machine: Machine, mine: str) -> None:
    done = machine.command("run", "simulate", "--listen", "127.0.0.1:0", "--plugin", "throttel")
    assert done.returncode == 2 and "did you mean throttle?" in done.stderr
    done = machine.command("run", "simulate", "--listen", "127.0.0.1:0", "--plugin", "throttle:evry_seconds=5")
    assert done.returncode == 2, done.stderr
    assert "plugins.throttle: evry_seconds: no such option: did you mean every_seconds?" in done.stderr


def test_a_plugin_that_ends_the_process_costs_the_links_and_no_capture(machine: Machine, mine: str) -> None:
    async def killing(port: int) -> None:
        url = f"ws://127.0.0.1:{port}/CP1"
        async with connect(url, subprotocols=[Subprotocol("ocpp1.6")], ping_interval=None, open_timeout=60) as link:
            await link.send('[2,"last","DataTransfer",{"vendorId":"x"}]')
            with pytest.raises(ConnectionClosed):
                await link.recv()

    capture = machine.folder / "a.duckdb"
    with machine.proxy("--capture", str(capture), "--plugin", mine) as (process, port):
        asyncio.run(charger(port, "CP0"))
        asyncio.run(killing(port))
        until(lambda: "relay ended with exit code 7" in machine.log)
        asyncio.run(charger(port, "CP2"))                                   # the listener was held, the relay is back
        assert stop(process) in (0, 1)
    links = machine.rows("query", str(capture), "SELECT identity FROM links ORDER BY link_id")
    assert [row["identity"] for row in links] == ["CP0", "CP1", "CP2"]
    sql = "SELECT count(*) AS n, count(*) FILTER (message_id = 'last') AS last FROM messages"
    count = machine.rows("query", str(capture), sql)
    assert count == [{"n": 13, "last": 1}]      # also the one that the hook did not come back from


def test_the_command_names_what_is_wrong_with_a_file(machine: Machine) -> None:
    bad = machine.folder / "bad.py"
    bad.write_text("def x(:")
    done: subprocess.CompletedProcess[str] = machine.command("plugins", str(bad), "--json")
    assert done.returncode == 1 and json.loads(done.stdout)["name"] == "bad"
    assert f"plugin {bad}:1: cannot be loaded: SyntaxError" in done.stderr


def test_sighup_gives_an_open_link_other_plugins(machine: Machine, mine: str) -> None:
    settings = machine.folder / "proxy.toml"
    settings.write_text("allow_inject = true\n")

    async def beats(port: int, process: "subprocess.Popen[str]") -> None:
        url = f"ws://127.0.0.1:{port}/CP1"
        async with connect(url, subprotocols=[Subprotocol("ocpp1.6")], ping_interval=None, open_timeout=60) as link:
            async def beat(number: int) -> str:
                await link.send(f'[2,"{number}","Heartbeat",{{}}]')
                answer: str = json.loads(await link.recv())[2]["currentTime"]
                return answer

            assert await beat(0) != "2026-01-02T03:04:05Z"
            settings.write_text(f'allow_inject = true\nhandshake = "lenient"\n[[links]]\nplugins = ["{mine}"]\n')
            process.send_signal(signal.SIGHUP)
            async with asyncio.timeout(30):
                number = 1
                while await beat(number) != "2026-01-02T03:04:05Z":         # the relay looks once a second
                    number += 1

    with machine.proxy("--no-capture", "--config", str(settings)) as (process, port):
        asyncio.run(beats(port, process))
        assert "reload: changed: links; needs a restart: handshake" in machine.log
        assert stop(process) == 0
