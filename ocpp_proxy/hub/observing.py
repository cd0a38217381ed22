"""The observers of the recorder: each a ``watch.Watch``, fed after the live readers, switched without a restart."""

import asyncio
from collections.abc import Sequence

from ocpp_proxy.core.tap import Tap
from ocpp_proxy.core.watching import Watcher
from ocpp_proxy.hub.watch import Watch
from ocpp_proxy.records import Record


class Observing:
    """All observers. ``tap``: gives the stream without masks to those that ask for it. ``first``: run from ``begin`` on."""

    def __init__(self, tap: Tap | None = None, first: Sequence[Watcher] = ()) -> None:
        self._tap = tap or Tap()
        self._watches: dict[str, Watch] = {}
        self._first = first
        self._gone: set[asyncio.Task[None]] = set()
        self._before = [0, 0]               # dropped and failed of those that are gone

    @property
    def watches(self) -> list[Watch]:
        """Those that run."""
        return list(self._watches.values())

    def begin(self) -> None:
        """Run the first ones. In the recorder's loop."""
        self.set(self._first)

    def set(self, installed: Sequence[Watcher]) -> None:
        """Run these: one of the same ``key`` goes on, others begin and end. In the recorder's loop."""
        wanted = {watcher.key or watcher.name: watcher for watcher in installed}
        for key in [key for key in self._watches if key not in wanted]:
            watch = self._watches.pop(key)
            self._before[0] += watch.dropped
            self._before[1] += watch.failures
            task = asyncio.ensure_future(watch.end())
            self._gone.add(task)
            task.add_done_callback(self._gone.discard)
        for key, watcher in wanted.items():
            if key not in self._watches:
                self._watches[key] = Watch(watcher)
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
        ending = [watch.end() for watch in self._watches.values()]
        await asyncio.gather(*ending, *self._gone)

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
