"""The observers of the recorder: each a ``watch.Watch``, fed after the live readers, switched without a restart.

One that ends the process (C code, ``os._exit``) would end every next recorder as well: after ``ENDS`` of them in a row that
did not live long, the recorder starts without observers. The mark in the instance folder counts.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from ocpp_proxy.core.tap import Tap
from ocpp_proxy.core.watching import Watcher
from ocpp_proxy.hub.log import logger
from ocpp_proxy.hub.watch import Watch
from ocpp_proxy.model import Link
from ocpp_proxy.records import Record

NO_LINKS: Mapping[int, Link] = {}
ENDS = 3
WELL_SECONDS = 60.0                         # a recorder that lived so long did not end for its observers


class Observing:
    """All observers. ``tap``: gives the stream without masks to those that ask for it. ``first``: run from ``begin`` on.

    ``instance``: the folder for the mark; None: nothing is remembered.
    """

    def __init__(self, tap: Tap | None = None, first: Sequence[Watcher] = (), instance: Path | None = None) -> None:
        self._mark = instance / "observed" if instance is not None else None
        self._well: asyncio.TimerHandle | None = None
        self._tap = tap or Tap()
        self._watches: dict[str, Watch] = {}
        self._first = first
        self._gone: dict[asyncio.Task[None], str] = {}      # those that end, with their names
        self._before = [0, 0]               # dropped and failed of those that are gone

    @property
    def watches(self) -> list[Watch]:
        """Those that run."""
        return list(self._watches.values())

    def begin(self) -> None:
        """Run the first ones. In the recorder's loop."""
        ends = self._ends()
        if self._first and ends >= ENDS:
            logger().error("recording without observers", reason=f"the recorder ended {ends} times in a row with them")
            return
        self.set(self._first)

    def _ends(self) -> int:
        """How many recorders before this one did not end in order."""
        try:
            return int(self._mark.read_text()) if self._mark is not None else 0
        except (OSError, ValueError):
            return 0

    def _marked(self) -> None:
        """From now on observers may end the process."""
        if self._mark is not None and self._well is None:
            with contextlib.suppress(OSError):
                self._mark.write_text(str(self._ends() + 1))
            self._well = asyncio.get_running_loop().call_later(WELL_SECONDS, self._unmark)

    def _unmark(self) -> None:
        self._well = None
        if self._mark is not None:
            with contextlib.suppress(OSError):
                self._mark.unlink(missing_ok=True)

    def set(self, installed: Sequence[Watcher], links: Mapping[int, Link] = NO_LINKS, now_ns: int = 0) -> None:
        """Run these: one of the same ``key`` goes on, with the links it is to see now; others begin and end, what takes the
        place of one of its name once that has ended. ``links``: the open ones. In the recorder's loop.
        """
        wanted = {watcher.key or watcher.name: watcher for watcher in installed}
        for key in [key for key in self._watches if key not in wanted]:
            watch = self._watches.pop(key)
            self._before[0] += watch.dropped
            self._before[1] += watch.failures
            task = asyncio.ensure_future(watch.end())
            self._gone[task] = watch.watcher.name
            task.add_done_callback(self._gone.pop)
        for key, watcher in wanted.items():
            if key not in self._watches:
                self._marked()
                before = next((task for task, name in reversed(self._gone.items()) if name == watcher.name), None)
                self._watches[key] = Watch(watcher, before)
            self._watches[key].watch(watcher, links, now_ns)
        self._tap.on = any(watch.watcher.unmasked for watch in self._watches.values())

    def feed(self, stream: Sequence[Record]) -> None:
        """Give them records, as they are stored."""
        if not self._watches:
            return
        bare = self._tap.take() if self._tap.on else stream
        for watch in self._watches.values():
            watch.put(bare if watch.watcher.unmasked else stream)

    async def end(self) -> None:
        """Let all end: at once, within ``watch.END_SECONDS``."""
        self._tap.on = False
        if self._well is not None:
            self._well.cancel()
        ending = [watch.end() for watch in self._watches.values()]
        await asyncio.gather(*ending, *self._gone)
        self._unmark()

    def gauges(self) -> dict[str, tuple[str, float]]:
        """Numbers for the metrics and the health page."""
        watches = self._watches.values()
        return {
            "ocpp_observers": ("Observers that see records.", sum(not watch.off for watch in watches)),
            "ocpp_observers_off": ("Observers that were switched off after failures.", sum(watch.off for watch in watches)),
            "ocpp_observer_queue_records": ("Records that wait for an observer.", sum(watch.queued for watch in watches)),
            "ocpp_observer_dropped_records": (
                "Records that observers were too slow for.", self._before[0] + sum(watch.dropped for watch in watches)),
            "ocpp_observer_failures": (
                "Failures of observers.", self._before[1] + sum(watch.failures for watch in watches)),
        }
