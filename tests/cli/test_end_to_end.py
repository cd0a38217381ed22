"""The commands against real processes: a charger, the proxy with its relay and recorder, the built-in CSMS."""

import asyncio
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

SECONDS = 90.0
CALLS = [
    ("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"}), ("Heartbeat", {}),
    ("StatusNotification", {"connectorId": 1, "errorCode": "NoErrr", "status": "Available"}),
]


class Machine:
    """Folders of its own, and the commands run in them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        places = os.pathsep.join(place for place in sys.path if os.path.isdir(place))      # also without an installation
        self.environment = {**os.environ, "OCPP_PROXY_RUNTIME": str(folder / "run"), "XDG_STATE_HOME": str(folder / "state"),
                            "PYTHONPATH": places}

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ocpp_proxy", *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=SECONDS)

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        done = self.command(*arguments, "--json")
        assert done.returncode in (0, 1), done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    @contextlib.contextmanager
    def proxy(self, *arguments: str) -> Iterator[tuple["subprocess.Popen[str]", int]]:
        """A running proxy and its port; killed at the end if it still runs."""
        status, log = self.folder / "status.json", self.folder / "log.txt"
        status.unlink(missing_ok=True)
        command = [sys.executable, "-m", "ocpp_proxy", "run", "simulate", "--listen", "127.0.0.1:0",
                   "--status-file", str(status), *arguments]
        with log.open("w") as said:
            process = subprocess.Popen(command, env=self.environment, stdout=said, stderr=said, text=True)
        try:
            yield process, int(until(lambda: self._listen(process, status)).rpartition(":")[2])
        finally:
            process.kill()
            process.wait()

    def _listen(self, process: "subprocess.Popen[str]", status: Path) -> str:
        assert process.poll() is None, (self.folder / "log.txt").read_text()
        with contextlib.suppress(OSError, ValueError, IndexError):
            return str(json.loads(status.read_text())["listen"][0])
        return ""

    @property
    def log(self) -> str:
        return (self.folder / "log.txt").read_text()


def until(get: Any) -> Any:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if found := get():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come")


async def charger(port: int, identity: str) -> None:
    url = f"ws://127.0.0.1:{port}/{identity}"
    async with connect(url, subprotocols=[Subprotocol("ocpp1.6")], ping_interval=None, open_timeout=SECONDS) as link:
        for number, (action, payload) in enumerate(CALLS):
            await link.send(json.dumps([2, f"{identity}-{number}", action, payload]))
            assert json.loads(await link.recv())[:2] == [3, f"{identity}-{number}"]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def stop(process: "subprocess.Popen[str]") -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(SECONDS)


def test_a_charger_live_and_later(machine: Machine) -> None:
    capture = machine.folder / "a.duckdb"
    with machine.proxy("--capture", str(capture)) as (process, port):
        asyncio.run(charger(port, "CP1"))
        until(lambda: len(machine.rows("tail", "--filter", "kind == message")) == 6)
        for source in ([], [str(capture)]):         # the running proxy: by itself, and by its file, which is not opened
            assert [row["n"] for row in machine.rows("query", *source, "SELECT count(*) AS n FROM messages")] == [6]
        assert {row["code"] for row in machine.rows("check")} == {"V01"}
        assert machine.command("check").returncode == 1
        asyncio.run(charger(port, "CP2"))
        assert stop(process) == 0
    assert not capture.with_suffix(".duckdb.wal").exists()
    assert f"ws://127.0.0.1:{port}/   or   ws://127.0.0.1:{port}/<id>" in machine.log
    assert re.search(r"2 chargers, 2 connections, 12 messages", machine.log)
    assert f"ocpp-proxy check {capture}" in machine.log
    assert machine.log.partition("and the capture is closed\n")[2].startswith("since ")        # no library has a last word
    lines = machine.rows("tail", str(capture), "--filter", "kind == message and identity == CP2")
    assert [(line["side"], line["mtype"]) for line in lines] == [("station", 2), ("csms", 3)] * 3
    assert [row["identity"] for row in machine.rows("query", str(capture), "overview")] == ["CP1", "CP2"]
    findings = machine.rows("check", str(capture))
    assert sorted((row["code"], row["identity"]) for row in findings) == [("V01", "CP1"), ("V01", "CP2")]
    assert machine.command("tail", str(capture)).stdout.count("V01 error") == 2
    assert len(machine.command("tail", "-n", "3", str(capture)).stdout.splitlines()) >= 4


def test_following_shows_what_comes(machine: Machine) -> None:
    with machine.proxy() as (process, port):
        command = [sys.executable, "-m", "ocpp_proxy", "tail", "-f", "--json", "--filter", "action == Heartbeat"]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, env=machine.environment, stdout=pipe, stderr=pipe, text=True) as tail:
            assert tail.stdout and tail.stderr
            assert tail.stderr.readline().startswith("source: the running proxy")
            until(lambda: machine.command("tail").returncode == 0 and _followed(machine))
            asyncio.run(charger(port, "CP1"))
            assert [json.loads(tail.stdout.readline())["mtype"] for _ in range(2)] == [2, 3]
            assert stop(process) == 0
            assert tail.stdout.read() == ""
            assert tail.wait(SECONDS) == 0


def test_following_with_a_past_shows_each_line_once(machine: Machine) -> None:
    with machine.proxy() as (process, port):
        asyncio.run(charger(port, "CP1"))
        asyncio.run(charger(port, "CP2"))
        command = [sys.executable, "-m", "ocpp_proxy", "tail", "-f", "-n", "4", "--json", "--filter", "kind == message"]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, env=machine.environment, stdout=pipe, stderr=pipe, text=True) as tail:
            assert tail.stdout
            past = [json.loads(tail.stdout.readline())["message_id"] for _ in range(4)]
            asyncio.run(charger(port, "CP3"))
            assert stop(process) == 0
            rest = [json.loads(line)["message_id"] for line in tail.stdout]
    assert past == ["CP2-1", "CP2-1", "CP2-2", "CP2-2"]
    assert rest == [f"CP3-{number}" for number in (0, 0, 1, 1, 2, 2)]


def _followed(machine: Machine) -> bool:
    """Whether somebody follows the running proxy."""
    folder = next((machine.folder / "run").glob("*/control.sock"))
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(folder))
    with contextlib.closing(connection):
        connection.request("GET", "/healthz")
        return bool(json.loads(connection.getresponse().read())["subscribers"])


def test_without_a_capture_there_are_live_lines_only(machine: Machine) -> None:
    with machine.proxy("--no-capture") as (process, port):
        asyncio.run(charger(port, "CP1"))
        until(lambda: len(machine.rows("tail", "--filter", "kind == message")) == 6)
        assert {row["code"] for row in machine.rows("check")} == {"V01"}
        refused = machine.command("query", "overview")
        assert refused.returncode == 2 and "--no-capture" in refused.stderr
        assert stop(process) == 0
    assert not (machine.folder / "state/ocpp-proxy/captures").exists()
    assert not (machine.folder / "status.json").exists()
    assert "nothing was stored" in machine.log and "6 messages" in machine.log and "V01 error (station) 1 times" in machine.log


def test_a_part_is_exported_and_opens_as_a_source_again(machine: Machine) -> None:
    capture, trace, text, copy = (machine.folder / name for name in ("a.duckdb", "t.jsonl", "t.txt", "copy.duckdb"))
    with machine.proxy("--capture", str(capture)) as (process, port):
        asyncio.run(charger(port, "CP1"))
        asyncio.run(charger(port, "CP2"))
        until(lambda: len(machine.rows("tail", "--filter", "kind == message")) == 12)
        assert machine.command("export", "--identity", "CP2", "-o", str(trace)).returncode == 0       # of the running proxy
        assert stop(process) == 0
    assert machine.command("export", str(capture), "-o", str(text)).returncode == 0
    assert machine.command("export", str(capture), "--identity", "CP1", "-o", str(copy)).returncode == 0
    assert len(trace.read_text().splitlines()) == 6 and "CP1" not in trace.read_text()
    assert [row["identity"] for row in machine.rows("tail", str(trace), "--filter", "kind == message")] == ["CP2"] * 6
    assert {row["code"] for row in machine.rows("check", str(trace))} == {"V01"}
    assert [row["n"] for row in machine.rows("query", str(copy), "SELECT count(*) AS n FROM messages")] == [6]
    assert text.read_text().count("BootNotification") >= 2
    none = machine.command("export", str(capture), "--to", "2020-01-01", "-o", str(machine.folder / "none.jsonl"))
    assert none.returncode == 0 and none.stderr.startswith("0 messages")
    again = machine.command("export", str(capture), "-o", str(trace))
    assert again.returncode == 2 and "--force" in again.stderr
    assert machine.command("export", str(capture), "-o", str(trace), "--force").returncode == 0
    assert len(trace.read_text().splitlines()) == 12


def test_two_on_one_capture_and_two_on_one_port(machine: Machine) -> None:
    with machine.proxy() as (_, port):
        same = machine.command("run", "simulate", "--listen", "127.0.0.1:0")
        assert same.returncode == 2 and "already running" in same.stderr
        busy = machine.command("run", "simulate", "--listen", f"127.0.0.1:{port}", "--no-capture")
        assert busy.returncode == 2 and f"port {port} is in use" in busy.stderr
        assert "Traceback" not in same.stderr + busy.stderr


def test_the_display_at_a_terminal(machine: Machine) -> None:
    ours, theirs = os.openpty()
    status = machine.folder / "s.json"
    command = [sys.executable, "-m", "ocpp_proxy", "run", "simulate", "--listen", "127.0.0.1:0", "--no-capture",
               "--status-file", str(status)]
    environment = {**machine.environment, "TERM": "xterm"}
    process = subprocess.Popen(command, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""
    try:
        while b"no TCP connection yet" not in seen:
            seen += os.read(ours, 65536)
        port = int(until(lambda: "".join(json.loads(status.read_text())["listen"])).rpartition(":")[2])
        asyncio.run(charger(port, "CP\x9b2J1"))
        while b"V01" not in seen:
            seen += os.read(ours, 65536)
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(OSError):          # the terminal's end
            while piece := os.read(ours, 65536):
                seen += piece
        assert process.wait(SECONDS) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert b"-> Call   BootNotification" in seen and b"\x9b2J" not in seen and b"\xc2\x9b" not in seen
    assert b"stopping" in seen
