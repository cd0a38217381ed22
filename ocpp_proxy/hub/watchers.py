"""Observers are switched while the recorder runs: when the configuration or a file changed, and by hand.

What a person switched outlives the recorder, not the proxy: it lies in the instance folder.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from ocpp_proxy.config import Config
from ocpp_proxy.core.watching import Switched, Watcher
from ocpp_proxy.hub import instance as instances
from ocpp_proxy.hub.log import logger
from ocpp_proxy.hub.observing import Observing
from ocpp_proxy.model import ConfigError, Link

LOOK_SECONDS = 1.0
FILE = "observers.json"


class Finder(Protocol):
    """Who loads observers (``cli.watching.Finding``): loading plugins is not the hub's business. All may block."""

    switched: Sequence[Switched]

    def find(self, config: Config) -> tuple[list[Watcher], list[str]]:
        """The observers there are to be now, and what could not be loaded."""

    def stale(self) -> bool:
        """Whether a file has changed since it was read."""

    def switch(self, one: Switched, config: Config) -> bool:
        """Have an observer on or off; False: it is none. Raises ``ConfigError``, ``PluginError``."""


class Remembered(Struct):
    """What was switched in the run of the proxy that began then."""

    started_ns: int = 0
    switched: tuple[Switched, ...] = ()


class Watchers:
    """See the module. ``links``: the open ones."""

    def __init__(
        self, folder: Path, config: Config, finder: Finder, observing: Observing, links: Callable[[], Mapping[int, Link]],
    ) -> None:
        self._folder, self._config, self._finder = folder, config, finder
        self._observing, self._links = observing, links
        self._file = folder / "config.json"
        self._stamp = self._stamped()
        self._changing = asyncio.Lock()

    async def run(self) -> None:
        """Look for changes until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if await asyncio.to_thread(lambda: self._stamped() != self._stamp or self._finder.stale()):
                await self.again()

    async def again(self) -> list[str]:
        """Read the configuration and the files again; what could not be."""
        async with self._changing:
            self._stamp = self._stamped()
            try:
                self._config = await asyncio.to_thread(instances.read_config, self._folder)
            except ConfigError as error:
                return _told([str(error)])
            return await self._set()

    async def switch(self, one: Switched) -> bool:
        """Have an observer on or off; False: it is none. Raises ``ConfigError``, ``PluginError``."""
        async with self._changing:
            known = await asyncio.to_thread(self._finder.switch, one, self._config)
            if known:
                await self._set()
                await asyncio.to_thread(self._remember)
            return known

    async def _set(self) -> list[str]:
        found, errors = await asyncio.to_thread(self._finder.find, self._config)
        before = {watch.watcher.key for watch in self._observing.watches}
        self._observing.set(found, self._links(), time.time_ns())
        if {watch.watcher.key for watch in self._observing.watches} != before:
            logger().info("observers", now=", ".join(watcher.name for watcher in found) or "none")
        return _told(errors)

    def _remember(self) -> None:
        known = instances.read(self._folder)
        kept = Remembered(known.started_ns if known is not None else 0, tuple(self._finder.switched))
        with contextlib.suppress(OSError):
            instances.write_private(self._folder / FILE, msgspec.json.encode(kept))

    def _stamped(self) -> tuple[int, ...]:
        try:
            facts = self._file.stat()
        except OSError:
            return ()
        return facts.st_mtime_ns, facts.st_size, facts.st_ino


def remembered(folder: Path) -> tuple[Switched, ...]:
    """What a person switched in this run of the proxy, told to a recorder before this one."""
    known = instances.read(folder)
    try:
        kept = msgspec.json.decode((folder / FILE).read_bytes(), type=Remembered)
    except (OSError, msgspec.DecodeError):
        return ()
    return kept.switched if known is not None and known.started_ns == kept.started_ns else ()


def _told(errors: list[str]) -> list[str]:
    for error in errors:
        logger().error("an observer cannot be loaded", reason=error)
    return errors
