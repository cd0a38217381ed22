"""Runs the demo: the real proxy as processes of its own, simulated chargers and CSMS at its two ends, then the verdict."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from ocpp_proxy.demo import scripts
from ocpp_proxy.demo.csms import SimulatedCsms, simulated
from ocpp_proxy.demo.report import verdict
from ocpp_proxy.demo.station import RawStation, Station
from ocpp_proxy.hub import instance
from ocpp_proxy.hub.probe import told

START_SECONDS = 60.0                    # a cold start on a small machine
STOP_SECONDS = 60.0                     # what was sent is stored first
CALL_SECONDS = 2.0                          # compressed time: a Call without an answer is one after 2 s, not 30
PACE_SECONDS = 0.4                          # between two messages, once somebody looks on and all acts were played
Say = Callable[[str], None]
T = TypeVar("T")


class Result(Struct):
    """What came out: OCPP messages that the peers sent, rows in the capture, findings as ``check --json`` gives them."""

    sent: int
    captured: int
    findings: list[dict[str, Any]]
    statuses: list[int]                     # what the Autel-class charger got: in mirror, then in lenient


class Watcher(Protocol):
    """Somebody who looks on: a terminal UI. While ``shown`` the demo goes on."""

    def open(self, instance: instance.Instance) -> None:
        """The proxy runs."""

    @property
    def shown(self) -> bool:
        """Whether somebody still looks."""


class Proxy:
    """One ``ocpp-proxy run`` as a process; ``host``/``port`` is where chargers dial."""

    def __init__(self, upstream: str, capture: Path, *options: str, show: bool) -> None:
        command = [
            sys.executable, "-m", "ocpp_proxy", "run", upstream, "--listen", "127.0.0.1:0", "--capture", str(capture), *options,
        ]
        environment = {**os.environ, "OCPP_PROXY_CALL_SECONDS": str(CALL_SECONDS)}
        quiet = None if show else subprocess.DEVNULL
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=quiet, stderr=quiet)
        self._folder = instance.runtime_base().path / instance.instance_name(str(capture), 0)
        self.instance = self._wait(self._running, "start")
        self.host, _, port = self.instance.listen[0].rpartition(":")
        self.port = int(port)

    def recorder(self) -> int:
        """The pid of the recorder that runs now (Linux)."""
        return self.child("recorder")

    def child(self, name: str) -> int:
        """The pid of the ``recorder`` or ``relay`` that runs now (Linux)."""
        module = b"ocpp_proxy.cli.recorder" if name == "recorder" else b"ocpp_proxy.cli.relay_worker"
        return self._wait(lambda: self._child(module), f"start a {name}")

    def stop(self) -> None:
        """Let it drain and close the capture."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise RuntimeError(f"the proxy did not stop within {STOP_SECONDS:.0f} s") from None

    def _running(self) -> instance.Instance | None:
        found = instance.read(self._folder)
        ready = found and found.pid == self.process.pid and found.listen and not found.listen[0].endswith(":0")
        return found if ready else None

    def _child(self, module: bytes) -> int | None:
        for child in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
            with contextlib.suppress(OSError):
                if module in Path(f"/proc/{child}/cmdline").read_bytes():
                    return int(child)
        return None

    def _wait(self, look: Callable[[], T | None], what: str) -> T:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if (found := look()) is not None:
                return found
            if self.process.poll() is not None:
                raise RuntimeError(f"the proxy ended with exit code {self.process.returncode}")
            time.sleep(0.02)
        raise RuntimeError(f"the proxy did not {what} within {START_SECONDS:.0f} s")


@contextlib.contextmanager
def proxy(upstream: str, capture: Path, *options: str, show: bool) -> Iterator[Proxy]:
    """A running proxy; stopped in order at the end, also after an error."""
    running = Proxy(upstream, capture, *options, show=show)
    try:
        yield running
    finally:
        running.stop()


async def first_run(
    running: Proxy, csms: SimulatedCsms, seed: int, seconds: float, say: Say, watcher: Watcher | None,
) -> tuple[int, int]:
    """Acts (a) to (f) in mirror mode. Gives the OCPP messages sent by the chargers, and the Autel-class one's status."""
    url = f"ws://{running.host}:{running.port}"
    raw = RawStation(running.host, running.port, scripts.AUTEL)
    stations = [
        Station(f"{url}/{scripts.HEALTHY}", "ocpp1.6", seed),
        Station(f"{url}/{scripts.MODERN}", "ocpp2.0.1", seed + 1, compressed=True),
        Station(f"{url}/{scripts.FAULTY}", "ocpp1.6", seed + 2, silent=frozenset({"TriggerMessage"})),
    ]
    healthy, modern, faulty = stations
    say(f"(a) {scripts.HEALTHY}: a healthy day of OCPP 1.6   (b) {scripts.MODERN}: OCPP 2.0.1, compressed")
    async with healthy, modern:
        await asyncio.gather(scripts.healthy_day(healthy, seed, 3), scripts.modern(modern, seed))
        say(f"(c) {scripts.AUTEL}: dials without a Connection header")
        status = await raw.dial([])
        say(f"(d) {scripts.FAULTY}: unit Hz, a clock of 1970, transaction id -1, Calls without an answer")
        async with faulty:
            played = asyncio.create_task(scripts.faulty(faulty))
            if watcher is not None:
                await _seen(running, watcher)
            if sys.platform == "linux":
                say("(f) kill -9 of the recorder, while chargers talk")
                os.kill(running.recorder(), signal.SIGKILL)
            until = time.monotonic() + max(1.0, seconds)
            while time.monotonic() < until:
                await scripts.healthy_day(healthy, seed + 10, 1)
            await played
    say(f"(e) {scripts.RESTLESS}: a reconnect loop")
    sent = await scripts.restless(f"{url}/{scripts.RESTLESS}", seed + 3, csms)
    return sent + sum(station.sent for station in stations), status


async def _seen(running: Proxy, watcher: Watcher) -> None:
    """Wait until the onlooker follows the proxy (or has gone): only then the recorder may be killed under its eyes."""
    while watcher.shown:
        with contextlib.suppress(OSError):  # it does not answer just now
            if (await asyncio.to_thread(told, running.instance))[1].get("subscribers"):
                return
        await asyncio.sleep(0.1)


async def second_run(running: Proxy, seed: int, say: Say, watcher: Watcher | None) -> tuple[int, int]:
    """The Autel-class charger again, now in lenient mode; then more days, as long as somebody looks on.

    Gives messages sent and the status it got.
    """
    say(f"(c) {scripts.AUTEL} once more, with --handshake lenient")
    raw = RawStation(running.host, running.port, scripts.AUTEL)
    status = await raw.dial([
        [2, "autel-1", "BootNotification", scripts.boot("AUTEL-1")], [2, "autel-2", "Heartbeat", {}],
    ])
    if watcher is None:
        return raw.sent, status
    url = f"ws://{running.host}:{running.port}"
    healthy = Station(f"{url}/{scripts.HEALTHY}", "ocpp1.6", seed + 20)
    modern = Station(f"{url}/{scripts.MODERN}", "ocpp2.0.1", seed + 21, compressed=True)
    async with healthy, modern:
        days = 0
        while watcher.shown:
            days += 1
            pace = scripts.Pace(PACE_SECONDS, watcher, boots=days == 1)
            await asyncio.gather(
                scripts.healthy_day(healthy, seed + 20 + days, 2, pace), scripts.modern(modern, seed + 20 + days, pace))
    return raw.sent + healthy.sent + modern.sent, status


def play(capture: Path, seed: int, seconds: float, *, show: bool, say: Say, watcher: Watcher | None = None) -> Result:
    """Play the whole demo into ``capture``; ``seconds`` is how long the chargers go on talking after the kill."""
    csms = SimulatedCsms(scripts.fault, scripts.script)
    with simulated(csms) as upstream:
        with proxy(upstream, capture, show=show) as running:
            if watcher is not None:
                watcher.open(running.instance)          # it takes as long to load as the recorder, and waits for that
            sent, refused = asyncio.run(first_run(running, csms, seed, seconds, say, watcher))
        with proxy(upstream, capture, "--handshake", "lenient", show=show) as running:
            more, let_in = asyncio.run(second_run(running, seed, say, watcher))
    rows = _command("query", str(capture), "SELECT count(*) AS n FROM messages", "--json")
    findings = [finding for finding in _command("check", str(capture), "--json") if "code" in finding]
    return Result(sent + more + csms.sent, int(rows[0]["n"]), findings, [refused, let_in])


def conclusion(result: Result, capture: Path) -> list[str]:
    """The closing words."""
    lost = result.sent - result.captured
    return [
        f"{result.sent} OCPP messages sent by chargers and CSMS, {result.captured} in the capture, {lost} lost",
        f"{scripts.AUTEL}: HTTP {result.statuses[0]} in mirror mode, {result.statuses[1]} in lenient mode", "",
        *verdict(result.findings), "",
        f"capture: {capture}", f"next:    ocpp-proxy query {capture} overview",
    ]


def _command(*arguments: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "ocpp_proxy", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"ocpp-proxy {arguments[0]} ended with {done.returncode}: {done.stderr.strip()}")
    return [json.loads(line) for line in done.stdout.splitlines()]
