"""Real stations and central systems through the proxy: both see what they should, bytes pass, the capture has it all."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.peers.doubles import LOOPBACK
from tests.peers.pypi_ocpp import Play
from tests.peers.raw_peers import free_port
from tests.peers.taps import DEADLINE, between
from tests.peers.targets import environment

NODE = Path(__file__).parent / "node"


def _program(name: str, variable: str) -> str:
    found = os.environ.get(variable) or shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed and {variable} does not name it")
    return found


def _node() -> dict[str, str]:
    modules = os.environ.get("OCPP_PROXY_NODE_PEERS", "")
    if not shutil.which("node") or not Path(modules, "ocpp-ts").is_dir():
        pytest.skip("node is not installed or OCPP_PROXY_NODE_PEERS does not name a node_modules folder with the peers")
    return {**os.environ, "NODE_PATH": modules}


def _zeep() -> str:
    """A Python that has zeep: this one, or the one beside kosoku (its own environment)."""
    beside = Path(os.environ.get("OCPP_PROXY_KOSOKU", "")).parent / "python"
    for python in (sys.executable, str(beside)):
        if Path(python).is_file() and subprocess.run([python, "-c", "import zeep"], capture_output=True).returncode == 0:
            return python
    pytest.skip("no Python with zeep: neither this one nor the one beside OCPP_PROXY_KOSOKU")


def _run(*command: str, variables: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, env=variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def _central_system(*command: str, variables: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """A CSMS as a program that prints a line when it is ready."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=variables)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
def test_pypi_ocpp_both_roles_compressed_as_the_library_negotiates(protocol: str, tmp_path: Path) -> None:
    play = Play(protocol)

    async def main(port: int) -> None:
        async with play.csms():
            await asyncio.wait_for(play.station(port, "CP1", 20), DEADLINE)

    with between(play.port, tmp_path) as rig:
        asyncio.run(main(rig.port))
        rig.assert_unchanged(1)
    answers = {"ocpp1.6": "MeterValues", "ocpp2.0.1": "TransactionEvent"}
    assert play.station_saw == ["Accepted"] + [answers[protocol]] * 20
    assert play.csms_saw == ["Rejected"]
    assert b"permessage-deflate" in bytes(rig.passages()[0][0].down)
    assert [len(rig.messages()[side]) for side in ("station", "csms")] == [22, 22]
    rig.assert_captured()


def test_npm_ocpp_ts_both_roles_whose_socket_just_dies(tmp_path: Path) -> None:
    variables, csms = _node(), free_port()
    with between(csms, tmp_path) as rig:
        seen = json.loads(_run("node", str(NODE / "ocpp_ts.js"), str(csms), str(rig.port), variables=variables))
        rig.assert_unchanged(1)
    saw = [action for action, _ in seen["station"]]
    assert saw.count("GetConfiguration") == 1               # asked just behind the answer to the status: either is seen first
    assert [action for action in saw if action != "GetConfiguration"] == [
        "BootNotification", "MeterValues", "StatusNotification"]
    assert [action for action, _ in seen["csms"]] == ["BootNotification", "StatusNotification", "GetConfiguration"]
    assert seen["csms"][2][1]["configurationKey"][0]["value"] == "60"
    assert [len(rig.messages()[side]) for side in ("station", "csms")] == [4, 4]
    rig.assert_captured()


def test_npm_ts_ocpp_both_roles(tmp_path: Path) -> None:
    variables, csms = _node(), free_port()
    with between(csms, tmp_path) as rig:
        ports = (str(csms), str(rig.port), str(free_port()))
        seen = json.loads(_run("node", str(NODE / "ts_ocpp.js"), *ports, variables=variables))
        rig.assert_unchanged(1)
    assert [action for action, _ in seen["station"]] == ["BootNotification", "Heartbeat"]
    assert seen["station"][0][1] == {"status": "Accepted", "currentTime": "2026-11-22T16:00:00.000Z", "interval": 60}
    assert seen["csms"] == [["v1.6-json", "BootNotification"], ["v1.6-json", "Heartbeat"]]
    rig.assert_captured()


@pytest.mark.parametrize(("version", "identity", "more"), [
    ("1.6", "CP1", ()), ("2.0.1", "CP1", ("--password", "secret")), ("1.6", "TO CP/2", ("--trailing-slash",)),
], ids=["1.6", "2.0.1-password", "raw-blank-in-the-target"])
def test_test_ocpp_the_station_as_a_command(version: str, identity: str, more: tuple[str, ...], tmp_path: Path) -> None:
    program, csms = _program("test-ocpp", "OCPP_PROXY_TEST_OCPP"), free_port()
    answering = (sys.executable, "-m", "tests.peers.answering_csms", str(csms))
    with (
        _central_system(*answering, variables=environment(tmp_path)),
        between(csms, tmp_path) as rig,
    ):
        _run(program, f"ws://{LOOPBACK}:{rig.port}/ocpp", identity, "--ocpp", version, *more)
        rig.assert_unchanged(1)
    assert rig.passages()[0][1].up.startswith(f"GET /ocpp/{identity}".encode())
    assert [message[2] for message in rig.messages()["station"]] == ["BootNotification", "Heartbeat"]
    rig.assert_captured()


def test_a_soap_station_and_csms_pass_as_plain_http(tmp_path: Path) -> None:
    python, variables, csms = _zeep(), _node(), free_port()
    with (
        _central_system("node", str(NODE / "ts_ocpp.js"), str(csms), variables=variables) as process,
        between(csms, tmp_path) as rig,
    ):
        assert process.stdout is not None
        answer = json.loads(_run(python, str(NODE.parent / "zeep_station.py"), f"http://{LOOPBACK}:{rig.port}"))
        saw = [json.loads(process.stdout.readline()) for _ in range(2)]
        for outer, inner in rig.passages():
            assert (bytes(outer.up), bytes(outer.down)) == (bytes(inner.up), bytes(inner.down))
    assert answer == ["Accepted", 60]
    assert saw == [["v1.5-soap", "BootNotification"], ["v1.5-soap", "Heartbeat"]]
    posts = sum(bytes(inner.up).count(b"POST / HTTP/1.1\r\n") for _, inner in rig.passages())
    assert posts == 2
    captured = rig.rows("SELECT count(*) AS n FROM frames WHERE opcode = 'http_req' AND octet_length(header) > 0")
    asked = sum(bytes(inner.up).count(b" HTTP/1.1\r\n") for _, inner in rig.passages())
    assert captured in (None, [{"n": asked}])
