"""Taps on both sides of the proxy, for peers that are programs of their own: what entered equals what left.

    station -> outer tap -> the proxy under test -> inner tap -> CSMS
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.peers import targets
from tests.peers.doubles import LOOPBACK, Passage, hold, relay
from tests.peers.raw_peers import free_port
from tests.peers.websocket import CLOSE, FrameReader, messages, read_head

DEADLINE = 60.0                                         # seconds: also whole processes begin and end, on a busy machine


class Tap:
    """A byte relay that remembers what passes, in a thread of its own. ``upstream`` may be changed between connections."""

    def __init__(self, upstream: int) -> None:
        self.upstream, self.port = upstream, free_port()
        self.passages: list[Passage] = []
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(DEADLINE)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._stop = asyncio.Event()
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._link, LOOPBACK, self.port)
        self._ready.set()
        await self._stop.wait()
        server.close()
        links = asyncio.all_tasks() - {asyncio.current_task()}
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hold()
        first = await reader.read(1)
        if not first:
            writer.close()                              # a probe that only wants to know whether somebody listens
            return
        passage = Passage()
        self.passages.append(passage)
        reader._buffer[:0] = first                      # type: ignore[attr-defined]  # put the byte back: no public way
        await relay(reader, writer, self.upstream, passage)

    def close(self) -> None:
        """Stop."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(DEADLINE)


@dataclass
class Rig:
    """The proxy under test between two taps. Stations dial ``port``."""

    outer: Tap
    inner: Tap
    folder: Path

    @property
    def port(self) -> int:
        """Where stations dial."""
        return self.outer.port

    def passages(self) -> list[tuple[Passage, Passage]]:
        """The connections once all are over, paired in the order they came: (before the proxy, behind it)."""
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline and not all(one.over for tap in (self.outer, self.inner) for one in tap.passages):
            time.sleep(0.01)
        return list(zip(self.outer.passages, self.inner.passages, strict=True))

    def assert_unchanged(self, count: int) -> None:
        """So many connections passed, each with the same bytes on both sides."""
        pairs = self.passages()
        assert len(pairs) == count
        for number, (outer, inner) in enumerate(pairs):
            assert bytes(outer.up) == bytes(inner.up), f"connection {number}: station to CSMS"
            assert bytes(outer.down) == bytes(inner.down), f"connection {number}: CSMS to station"

    def messages(self) -> dict[str, list[list[object]]]:
        """What crossed, per sender: the first elements of each OCPP-J message: [type, id] or [type, id, action]."""
        seen: dict[str, list[list[object]]] = {"station": [], "csms": []}
        for outer, inner in self.passages():
            seen["station"] += _envelopes(inner.up)
            seen["csms"] += _envelopes(outer.down)
        return seen

    def rows(self, sql: str) -> list[dict[str, object]] | None:
        """Rows of the capture, once the proxy has ended; None when another proxy is under test, which captures nothing."""
        return None if "OCPP_PROXY_UNDER_TEST" in os.environ else query(self.folder / "c.duckdb", sql)

    def assert_captured(self) -> None:
        """The capture has every message exactly once, per sender in order. Only after the proxy has ended."""
        rows = self.rows("SELECT side, mtype, message_id, action FROM messages ORDER BY msg_no")
        if rows is None:
            return
        captured: dict[str, list[list[object]]] = {"station": [], "csms": []}
        for row in rows:
            names = [row["action"]] if row["mtype"] in (2, 6) else []
            captured[str(row["side"])].append([row["mtype"], row["message_id"], *names])
        assert captured == self.messages()


def _envelopes(stream: bytearray) -> list[list[object]]:
    head = read_head(stream)
    if head is None or b"websocket" not in head.raw.lower():
        return []
    reader = FrameReader()
    reader.feed(stream[len(head.raw) :])
    texts = [json.loads(message.payload) for message in messages(reader.frames) if message.opcode < CLOSE]
    return [text[: 3 if text[0] in (2, 6) else 2] for text in texts]


def query(capture: Path, sql: str) -> list[dict[str, object]]:
    """Rows of a query on a capture, by the product's own command."""
    command = [sys.executable, "-m", "ocpp_proxy", "query", str(capture), sql, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, env=targets.environment(capture.parent))
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@contextlib.contextmanager
def between(csms: int, folder: Path, *options: str) -> Iterator[Rig]:
    """The proxy under test, tapped on both sides, in front of the CSMS at port ``csms``. ``options``: more of its command."""
    inner = Tap(csms)
    try:
        with targets.under_test(inner.port, folder, *options) as target:
            outer = Tap(target.port)
            try:
                yield Rig(outer, inner, folder)
            finally:
                outer.close()
    finally:
        inner.close()
