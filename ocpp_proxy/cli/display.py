"""The display of ``run`` at a terminal: what it waits for until the first charger comes, then tail lines.

A thread with its own event loop: whatever happens to it, the supervisor goes on.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable
from functools import partial
from time import monotonic

from ocpp_proxy.cli.addresses import own_addresses
from ocpp_proxy.cli.printing import stamp, talk
from ocpp_proxy.cli.tailing import Printer, follow_source
from ocpp_proxy.escape import safe_text
from ocpp_proxy.fields import parse
from ocpp_proxy.fields.registry import time_of
from ocpp_proxy.hub.instance import Instance
from ocpp_proxy.model import CaptureError, ConfigError
from ocpp_proxy.records import Handshake, Line, LinkOpened
from ocpp_proxy.source import Source

PAUSE_SECONDS = 0.5                         # until the recorder is asked again after it went
HOSTS = 20                                  # hosts that are told as connected without a request; a scan may bring thousands
PATIENCE_SECONDS = 2.0
MISSED_LINES = 5_000                        # that are shown after the recorder was restarted
LOOK_SECONDS = 5.0                          # between two looks at the machine's addresses


class Waiting:
    """Says what is waited for, once per change, until the first request came."""

    def __init__(self, say: Callable[[str], None] = talk) -> None:
        self._say = say
        self._seen: dict[str, float] = {}
        self._told: set[str] = set()
        self.over = False

    def begin(self) -> None:
        """Nothing came yet."""
        self._say("waiting: no TCP connection yet. Is the URL typed in, is the charger in this network, does a firewall stand"
                  " between? (ocpp-proxy doctor)")

    def see(self, lines: Iterable[Line], now: float) -> None:
        """Learn from lines how far the first charger got; ``now`` in seconds of any steady clock."""
        for line in lines:
            match line.record:
                case Handshake():
                    self.over = True
                case LinkOpened(link) if not self.over and len(self._seen) < HOSTS:
                    self._seen.setdefault(link.remote.rpartition(":")[0].strip("[]"), now)
                case _:
                    pass

    def remind(self, now: float) -> None:
        """Say who is connected and has sent no request for a while."""
        for host, since in self._seen.items():
            if not self.over and now - since >= PATIENCE_SECONDS and host not in self._told:
                self._told.add(host)
                self._say(f"waiting: {safe_text(host, 60)} connected, no request. ws:// and wss:// mixed up?"
                          " Or something that only looks whether the port is open")


class Display(threading.Thread):
    """Follows the running proxy and prints its lines; prints the card again when an address changes."""

    def __init__(self, instance: Instance, card: Callable[[], list[str]], lines: bool, since_ns: int = 0) -> None:
        """``since_ns``: lines before are not shown; 0: all since the proxy was started."""
        super().__init__(name="display", daemon=True)
        self._instance, self._card, self._lines = instance, card, lines
        self._ended = threading.Event()
        self._since = since_ns or instance.started_ns
        self._late = bool(since_ns)         # somebody may have come by now
        self._waiting = Waiting()

    def run(self) -> None:
        """The thread."""
        with contextlib.suppress(Exception):        # a display that breaks must not be seen as a broken proxy
            asyncio.run(self._work())

    def stop(self, seconds: float = 2.0) -> None:
        """Ask it to end; gives it a moment to print what came last."""
        self._ended.set()
        self.join(seconds)

    async def _work(self) -> None:
        tasks = [asyncio.create_task(self._watch_addresses())]
        if self._lines:
            tasks.append(asyncio.create_task(self._follow()))
        while not self._ended.is_set():
            await asyncio.sleep(0.1)
            self._waiting.remind(monotonic())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _missed(self, source: Source) -> list[Line]:
        """The lines since the start, or since the last one that was shown."""
        return await source.page(parse(f'time > "{stamp(self._since)}"'), 0, MISSED_LINES)

    async def _watch_addresses(self) -> None:
        known = own_addresses()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = own_addresses()
            if now != known:
                known = now
                for line in ("the addresses of this machine have changed:", *self._card()):
                    talk(line)

    async def _follow(self) -> None:
        """Follow, and follow again after the recorder was restarted; what came meanwhile is shown then."""
        from ocpp_proxy.hub.client import LiveSource  # slow to load; relay and recorder have been started by now

        printer, waiting = Printer(json=False), self._waiting
        if not self._late:
            waiting.begin()

        def show(lines: Iterable[Line]) -> None:
            shown = list(lines)
            waiting.see(shown, monotonic())
            printer.show(shown)
            self._since = max([self._since, *map(time_of, shown)])

        while True:
            source = LiveSource(self._instance.control, self._instance.token)
            try:
                printer.links.update({link.link_id: link for link in await source.links()})
                if self._late:
                    self._late, waiting.over = False, bool(printer.links)
                    if not waiting.over:
                        waiting.begin()
                await follow_source(source, None, show, partial(self._missed, source))
            except (CaptureError, ConfigError, OSError):
                pass                        # the recorder is being restarted
            finally:
                await source.close()
            await asyncio.sleep(PAUSE_SECONDS)
