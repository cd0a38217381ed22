"""Which observers the recorder has (``hub.watchers.Finder``): of the configuration, by hand, from files that change.

What cannot be loaded changes nothing: what was loaded before goes on, and the error is told.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct, structs

from ocpp_proxy.config import Config
from ocpp_proxy.core.watching import Switched, Watcher
from ocpp_proxy.model import PluginError
from ocpp_proxy.plugins import either, name_of, observers, stamp_of, switching


class Loaded(Struct):
    """What was loaded, with the stamp of its file; None: no observer, or it never could be loaded."""

    word: str
    watcher: Watcher | None
    stamp: tuple[int, ...]


class Finding:
    """See the module. ``switched``: what a person switched, in a recorder before this one."""

    def __init__(self, switched: Sequence[Switched] = ()) -> None:
        self.switched: Sequence[Switched] = switched
        self._loaded: dict[bytes, Loaded] = {}
        self._errors: list[str] = []
        self._named: set[bytes] = set()

    def find(self, config: Config) -> tuple[list[Watcher], list[str]]:
        """The observers there are to be now, and what could not be loaded. May block: for a thread."""
        self._errors, self._named = [], set()
        found = observers(config, self.switched, self._find)
        self._loaded = {key: one for key, one in self._loaded.items() if key in self._named}
        return found, self._errors

    def stale(self) -> bool:
        """Whether a file has changed since it was read. May block: for a thread."""
        return any(stamp_of(one.word) != one.stamp for one in list(self._loaded.values()))

    def switch(self, one: Switched, config: Config) -> bool:
        """Have an observer on or off; False: it is none. Raises ``ConfigError``, ``PluginError``. May block."""
        switched = switching(self.switched, one)
        if one.on:
            options = one.options if one.options is not None else config.plugins.get(name_of(one.word), {})
            known = isinstance(either(one.word, options), Watcher)
        else:
            named = [loaded.watcher for loaded in self._loaded.values() if name_of(loaded.word) == name_of(one.word)]
            known = any(watcher is not None for watcher in named)
        if known:
            self.switched = switched
        return known

    def _find(self, word: str, options: Mapping[str, Any]) -> Watcher | None:
        key = msgspec.json.encode([word, options], order="deterministic")
        self._named.add(key)
        before, stamp = self._loaded.get(key), stamp_of(word)
        if before is not None and before.stamp == stamp:
            return before.watcher
        watcher = before.watcher if before is not None else None
        try:
            found = either(word, options)
        except PluginError as error:
            self._errors.append(f"{error}; " + ("the one before goes on" if watcher is not None else "recording without it"))
        else:
            watcher = structs.replace(found, key=f"{found.key} {stamp}") if isinstance(found, Watcher) else None
        self._loaded[key] = Loaded(word, watcher, stamp)
        return watcher
