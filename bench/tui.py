"""The terminal UI under load, on a pseudo-terminal of 160x50, and on a capture of a million messages.

    python -m bench.tui                         # all of it, about five minutes
    python -m bench.tui --parts live --flat 0   # two minutes: 2,000 exchanges a second with 200,000 rows kept

``live``: CPU of the process, key to paint (from the byte written to the terminal to the end of the paint that shows it),
memory while rows go on to ``--flat``. ``filter``: 200,000 rows put to filters in the event loop. ``open``: a large capture,
jumps in it.
The proxy is a stand-in that says over HTTP what the control API says, in a process of its own, without a capture.
"""

import argparse
import asyncio
import fcntl
import importlib
import json
import os
import pty
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web
from ocpp_proxy_tui import app
from ocpp_proxy_tui.listing import Listing
from ocpp_proxy_tui.ring import Ring
from ocpp_proxy_tui.screens.traffic import Traffic
from ocpp_proxy_tui.settings import Settings
from ocpp_proxy_tui.start import STARTED_SECONDS, collect_less

from bench import traffic
from ocpp_proxy.cli.printing import render
from ocpp_proxy.fields import parse
from ocpp_proxy.hub.client import LiveSource
from ocpp_proxy.hub.sinks import Batch
from ocpp_proxy.model import Frame, Link, Message, Opcode, Side
from ocpp_proxy.records import Line, MessageSeen
from ocpp_proxy.source import Source
from ocpp_proxy.wire.spool import STATION

STATIONS = 200
SIZE = (50, 160)                            # rows and columns of the terminal
LINKS = [Link(n, traffic.START, f"192.0.2.{n % 250}:5000", identity=f"BENCH{n:04d}", protocol="ocpp1.6", status=101)
         for n in range(1, STATIONS + 1)]


# -- the proxy's side ------------------------------------------------------------------------------------------------

def lines() -> Iterator[Line]:
    """Lines of messages without end: Calls and their answers, each with its frame."""
    clock, number = [traffic.START], 0
    talks = [traffic.talk(link.link_id, clock) for link in LINKS]
    while True:
        for link, talk in zip(LINKS, talks, strict=True):
            for _ in range(2):
                side, text = next(talk)
                number += 1
                clock[0] += 250_000
                yield _line(number, link, side, text.encode(), clock[0])


def _line(number: int, link: Link, side: int, text: bytes, now: int) -> Line:
    parts = text.split(b",", 3 if side == STATION else 2)
    call = side == STATION
    action = parts[2][1:-1].decode() if call else ""
    sender = Side.STATION if call else Side.CSMS
    message = Message(
        number, number, link.link_id, link.identity, now, sender, 2 if call else 3, parts[1][1:-1].decode(), action, "ocpp1.6",
        parts[-1][:-1], call_no=None if call else number - 1, latency_ns=None if call else 40_000_000 + number % 1000 * 1000)
    frame = Frame(number, link.link_id, number, now, now, sender, Opcode.TEXT, b"\x81\x7e", number.to_bytes(4), text)
    return Line(MessageSeen(message), (), frame)


async def serve(path: str) -> None:
    """Answer on a Unix socket; words on stdin set the pace: ``burst N`` exchanges at once, ``rate N`` a second."""
    pace = {"burst": 0, "rate": 0}

    def listen() -> None:
        for word in sys.stdin:
            name, value = word.split()
            pace[name] = pace[name] + int(value) if name == "burst" else int(value)

    threading.Thread(target=listen, daemon=True).start()

    async def follow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        source, due = lines(), time.monotonic()
        while True:
            now, count = time.monotonic(), 0
            if pace["burst"] > 0:
                count = min(500, pace["burst"])
                pace["burst"] -= count
                due = now
            elif pace["rate"]:
                count = min(500, int((now - due) * pace["rate"]))
                due += count / pace["rate"]
            if count:
                batch = Batch([next(source) for _ in range(2 * count)])
                await response.write(msgspec.json.encode(batch) + b"\n")
            await asyncio.sleep(0 if pace["burst"] else 0.02)

    async def say(request: web.Request) -> web.Response:
        found = {"/healthz": {"status": "ok", "stored": False, "listen": ["bench"], "upstream": "-"}, "/v1/links": LINKS}
        return web.Response(body=msgspec.json.encode(found.get(request.path, [])))

    answers = web.Application()
    answers.router.add_get("/v1/follow", follow)
    answers.router.add_get("/{any:.*}", say)
    runner = web.AppRunner(answers)
    await runner.setup()
    await web.UnixSite(runner, path).start()
    print("ready", flush=True)
    await asyncio.Event().wait()


# -- the application, which tells what it paints ---------------------------------------------------------------------

class Watched(app.ProxyApp):
    """Writes a JSON line for each paint behind a key, and for the state twice a second."""

    CSS_PATH = str(Path(app.__file__).with_name("app.tcss"))

    def __init__(self, source: Source, settings: Settings, view: Path, log: Path, started: float) -> None:
        super().__init__(source, settings, view, render)
        self._to = log.open("w", buffering=1)
        self._cursor, self._first, self._started = -1, False, started

    @property
    def traffic(self) -> Traffic:
        """The pane."""
        found = self.pane("Traffic")
        assert isinstance(found, Traffic)
        return found

    async def on_mount(self) -> None:
        """Tell the state now and then."""
        await super().on_mount()
        self.set_interval(0.5, self._state)

    def tell(self, **what: Any) -> None:
        """One line."""
        self._to.write(json.dumps({"at": time.monotonic(), **what}) + "\n")

    def _state(self) -> None:
        feed = self.traffic.feed
        ring = feed.exchanges if feed else None
        self.tell(rows=ring.end if ring else 0, kept=ring.end - ring.first if ring else 0, bytes=ring.bytes if ring else 0)

    def _display(self, screen: Any, renderable: Any) -> None:
        super()._display(screen, renderable)
        shown = self.traffic.list
        if renderable is None or shown.listing is None:
            return
        row = shown.row()
        if row is not None and not self._first:
            self._first = True
            self.tell(first=time.monotonic() - self._started)
        if shown.cursor != self._cursor and row is not None and not shown.follow:
            self._cursor = shown.cursor
            self.tell(cursor=self._cursor)


async def child(where: str, log: str, rows: int) -> None:
    """The application on a source until it is told to quit, or who measures it has gone."""
    started = time.monotonic()
    threading.Thread(target=_orphaned, args=(os.getppid(),), daemon=True).start()
    if where.endswith(".sock"):
        source: Source = await LiveSource.connect(where)
    else:                                   # brings DuckDB, which a live screen does not load
        source = importlib.import_module("ocpp_proxy_captures").open_source(where)
    asyncio.get_running_loop().call_later(STARTED_SECONDS, collect_less)
    with tempfile.TemporaryDirectory(prefix="ocpp-bench-") as folder:
        await Watched(source, Settings(rows=rows), Path(folder) / "view.toml", Path(log), started).run_async()


def _orphaned(parent: int) -> None:
    """End the process when its parent has gone."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


# -- the user's side -------------------------------------------------------------------------------------------------

class Terminal:
    """A child on a pseudo-terminal. What it paints is read and counted; keys are written."""

    def __init__(self, *arguments: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        environment.pop("SSH_CONNECTION", None)
        command = [sys.executable, "-m", "bench.tui", *arguments]
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True)
        os.close(slave)
        self.read = 0
        threading.Thread(target=self._drain, daemon=True).start()

    def _drain(self) -> None:
        while True:
            try:
                select.select([self.master], [], [])
                self.read += len(os.read(self.master, 65536))
            except OSError:
                return

    def key(self, key: bytes) -> float:
        """Press a key; gives when."""
        os.write(self.master, key)
        return time.monotonic()

    def cpu(self) -> float:
        """Seconds of CPU used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss(self) -> float:
        """MiB resident."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    def close(self) -> None:
        """Quit it."""
        if self.process.poll() is None:
            self.key(b"q")
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
        os.close(self.master)


class Log:
    """What the application tells, read as it grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._at, self._lines = 0, list[dict[str, Any]]()

    def told(self, name: str) -> list[dict[str, Any]]:
        """The lines that have this entry."""
        if self.path.exists():
            with self.path.open() as file:
                file.seek(self._at)
                while (text := file.readline()).endswith("\n"):
                    self._lines.append(json.loads(text))
                    self._at += len(text)
        return [line for line in self._lines if name in line]


def until(done: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise SystemExit(f"after {seconds:.0f} s still not: {what}")
        time.sleep(0.1)


def painted(terminal: Terminal, log: Log, keys: list[bytes], pause: float) -> list[float]:
    """Milliseconds from each key to the paint that shows the cursor elsewhere."""
    found = []
    for key in keys:
        before = len(log.told("cursor"))
        at = terminal.key(key)
        end = time.monotonic() + 5
        while len(seen := log.told("cursor")) == before and time.monotonic() < end:
            time.sleep(0.005)
        found.append((seen[before]["at"] - at) * 1000 if len(seen) > before else 5_000.0)
        time.sleep(pause)
    return found


def live(folder: Path, rows: int, rate: int, seconds: float, flat: int) -> None:
    """Follow, then pause and walk about, then go on to many rows."""
    socket, log = str(folder / "c.sock"), Log(folder / "live.log")
    server = subprocess.Popen([sys.executable, "-m", "bench.tui", "--serve", socket], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    assert server.stdin and server.stdout and server.stdout.readline() == "ready\n"
    terminal = Terminal("--child", socket, "--log", str(log.path), "--rows", str(rows))

    def pace(word: str) -> None:
        assert server.stdin
        server.stdin.write(word + "\n")
        server.stdin.flush()

    def count() -> int:
        states = log.told("rows")
        return int(states[-1]["rows"]) if states else 0

    try:
        until(lambda: bool(log.told("rows")), 20, "started")
        empty = terminal.rss()
        pace(f"burst {rows}")
        until(lambda: count() >= rows, 300, f"{rows} rows")
        pace(f"rate {rate}")
        time.sleep(2)
        cpu, at, bytes_before, rows_before = terminal.cpu(), time.monotonic(), terminal.read, count()
        time.sleep(seconds)
        spent = time.monotonic() - at
        print(f"follow: {(count() - rows_before) / spent:.0f} exchanges/s, {rows} rows kept: CPU"
              f" {100 * (terminal.cpu() - cpu) / spent:.0f}% of one core, {(terminal.read - bytes_before) / spent / 1000:.0f}"
              f" kB/s to the terminal, RSS {empty:.0f} -> {terminal.rss():.0f} MiB")
        keys = painted(terminal, log, [b"k", b"k", b"j", b"k", b"\x1b[5~", b"\x1b[6~", b"g", b"G"] * 8, 0.13)
        report("key to paint while they come", keys)
        if flat:
            terminal.key(b" ")
            for goal in range(rows + 100_000, flat + 1, 200_000):
                pace(f"burst {max(0, goal - count())}")
                until(lambda goal=goal: count() >= goal, 300, f"{goal} rows")     # type: ignore[misc]
                print(f"{count():>9} rows passed: RSS {terminal.rss():.0f} MiB, {log.told('rows')[-1]['bytes'] / 2**20:.0f}"
                      f" MiB of them lines")
    finally:
        terminal.close()
        server.send_signal(signal.SIGTERM)
        server.wait()


def report(what: str, values: list[float]) -> None:
    """Median, 95th percentile, largest."""
    values = sorted(values)
    print(f"{what}: median {statistics.median(values):.0f} ms, p95 {values[int(len(values) * 0.95)]:.0f} ms,"
          f" max {values[-1]:.0f} ms ({len(values)})")


async def filters(rows: int) -> None:
    """Filters over a full ring, in the event loop, with the longest time nothing else could run."""
    ring = Ring("exchanges", rows, {}, False)
    coming = lines()
    while ring.end < rows:
        ring.add(next(coming))
    source = LiveSource("/nonexistent.sock")
    source.stored = False
    for text in ("action == Heartbeat", "ms > 40.5 and identity == BENCH0007", "severity >= warning or outcome == error",
                 "payload.transactionId == 4720", "Sample.Periodic"):
        listing = Listing(source, "exchanges", parse(text), {}, ring, lambda: None, lambda at, by: None)
        begin = last = time.perf_counter()
        longest = 0.0
        while True:
            listing.catch_up()
            await asyncio.sleep(0)
            now = time.perf_counter()
            longest, last = max(longest, now - last), now
            if not listing.busy and listing._scanned == ring.end:
                break
        print(f"filter {text}: {listing.end} of {rows} rows in {1000 * (last - begin):.0f} ms,"
              f" longest turn {1000 * longest:.0f} ms")
        listing.stop()
    await source.close()


def opened(folder: Path, messages: int, kept: str) -> None:
    """A capture with so many messages: until its first rows are painted, and jumps in it."""
    record = importlib.import_module("bench.pipeline").record
    path = Path(kept) if kept else record(traffic.segment(messages, STATIONS), True, folder)
    log = Log(folder / "open.log")
    terminal = Terminal("--child", str(path), "--log", str(log.path), "--rows", "200000")
    try:
        until(lambda: bool(log.told("first")), 60, "first row")
        print(f"open {path.stat().st_size / 2**20:.0f} MiB: first rows painted {1000 * log.told('first')[0]['first']:.0f} ms"
              " after the source was opened")
        time.sleep(1)
        report("jump to the end and back, rows there", painted(terminal, log, [b"G", b"g"] * 6, 0.2))
        report("page through it", painted(terminal, log, [b"\x1b[6~"] * 20, 0.05))
        print(f"RSS {terminal.rss():.0f} MiB")
    finally:
        terminal.close()


def main() -> None:
    """Measure what was chosen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="filter,live,open")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rate", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--flat", type=int, default=1_000_000)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--capture", default="", help="a capture to open instead of a new one")
    for name in ("--serve", "--child", "--log"):
        parser.add_argument(name, default="", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        asyncio.run(serve(chosen.serve))
    elif chosen.child:
        asyncio.run(child(chosen.child, chosen.log, chosen.rows))
    else:
        with tempfile.TemporaryDirectory(prefix="ocpp-bench-") as folder:
            if "filter" in chosen.parts:
                asyncio.run(filters(chosen.rows))
            if "live" in chosen.parts:
                live(Path(folder), chosen.rows, chosen.rate, chosen.seconds, chosen.flat)
            if "open" in chosen.parts:
                opened(Path(folder), chosen.messages, chosen.capture)


if __name__ == "__main__":
    main()
