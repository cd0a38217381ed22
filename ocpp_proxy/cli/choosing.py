"""Which plugins a link has, in the relay process: those of the configuration, changed by hand and by files that change.

``relay.choosing.Chooser``. What cannot be loaded changes nothing: what was loaded before goes on, and the error is told.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import msgspec
from msgspec import Struct, structs

from ocpp_proxy.checks import Settings
from ocpp_proxy.config import Config
from ocpp_proxy.core.hands import Matches
from ocpp_proxy.core.matching import matcher
from ocpp_proxy.core.reloading import LIVE
from ocpp_proxy.core.seats import HOOKS, Chain, Installed, hooks_of
from ocpp_proxy.core.single import Single
from ocpp_proxy.core.watching import Switched, Watcher
from ocpp_proxy.model import ConfigError, Finding, PluginError, Side
from ocpp_proxy.plugins import chosen, describe, either, given, is_file, name_of, stamp_of, switching
from ocpp_proxy.spec.versions import version_of
from ocpp_proxy.wire.command import Sitting

Options = Mapping[str, Any]
Told = tuple[list[str], list[str]]        # what changed, and what could not be loaded


class Loaded(Struct):
    """A plugin with one set of options; None: an observer. ``stamp``: of its file when it was read, empty: it has none.

    ``broken``: it could not be loaded when this process began; links are without it until it can.
    """

    word: str
    options: Options
    installed: Installed | None
    versions: frozenset[str]
    stamp: tuple[int, ...]
    origin: str = ""
    broken: bool = False


class Judge:
    """The rules for single messages, exchanged without the plugins noticing."""

    def __init__(self, config: Config) -> None:
        self.take(config)

    def take(self, config: Config) -> None:
        """Judge by these settings from now on."""
        self._single = Single(Settings(call_seconds=config.call_seconds, severities=config.rules))

    def __call__(self, version: str, sender: Side, message: Any, action: str, now_ns: int) -> Sequence[Finding]:
        """As ``core.services.Judging``."""
        return self._single(version, sender, message, action, now_ns)


class Choosing:
    """See the module. Raises ``PluginError`` where the configuration names what cannot be loaded and has to be there.

    ``again``: a relay before this one served in this run. What cannot be loaded any more, and passes messages on when it fails,
    is left out then: chargers are not kept waiting until a file is mended.
    """

    def __init__(self, config: Config, again: bool = False) -> None:
        self._config = config
        self._judge: Judge | None = None
        self._loaded: dict[tuple[str, bytes], Loaded] = {}
        self._switched: list[Switched] = []
        self._errors: dict[str, str] = {}
        for word in _words(config):
            options = _options(config, word)
            try:
                self._load(word, options)
            except PluginError as error:
                if not again or options.get("on_error", "pass") != "pass":
                    raise
                self._errors[name_of(word)] = f"{error}; links are without it"
                self._loaded[_key(word, options)] = Loaded(word, options, None, frozenset(), stamp_of(word), word, broken=True)

    # ---- links ----

    def chain(self, identity: str, protocol: str) -> Chain | None:
        """The plugins of a link; None: it has none."""
        version = version_of(protocol)
        wanted = self._wanted(identity, version)
        if not wanted:
            return None
        found = [self._loaded[_key(word, options)] for word, options in wanted.values()]
        installed = tuple(
            one.installed for one in found if one.installed is not None and (not one.versions or version in one.versions))
        return Chain(installed, version) if installed else None

    def version(self, protocol: str) -> str:
        """The OCPP version of a subprotocol; empty: unknown."""
        return version_of(protocol)

    def matcher(self, text: str) -> Matches:
        """A filter of messages in flight. Raises ``ConfigError``."""
        return matcher(text)

    def _wanted(self, identity: str, version: str) -> dict[str, tuple[str, Options]]:
        """By name, in order: the plugins of a link and their options."""
        return chosen(self._config, self._switched, identity, version)

    # ---- changes ----

    def warm(self, plugin: str, options: Any) -> None:
        """Load a plugin that is about to be enabled. Raises ``ConfigError``, ``PluginError``."""
        self._load(plugin, options if isinstance(options, dict) else _options(self._config, plugin))

    def switch(self, plugin: str, on: bool, identity: str, options: Any, who: str) -> None:
        """Enable or disable a plugin from now on. Raises ``ConfigError``, ``PluginError``."""
        if options is not None and not isinstance(options, dict):
            raise ConfigError(f"plugin {plugin}: options are an object of names and values")
        name = name_of(plugin)
        switched = Switched(plugin, on, identity, options, who)
        if on:
            self._load(plugin, given(self._config, switched))       # an observer sits in the recorder, which is told as well
        elif name not in (known := {name_of(word) for word, _, _ in self._rows()}):
            close = get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]}?" if close else f"enabled: {', '.join(sorted(known)) or 'none'}"
            raise ConfigError(f"plugin {name}: it is enabled nowhere: {hint}")
        self._switched = switching(self._switched, switched)
        self._forget()

    def read(self, config: Config | None) -> Callable[[], Told]:
        """As ``Chooser.read``."""
        fresh: dict[tuple[str, bytes], Loaded] = {}
        stamps: dict[tuple[str, bytes], tuple[int, ...]] = {}
        failed = list[str]()
        errors: dict[str, str] = {}
        for key, one in list(self._loaded.items()):
            stamp = stamp_of(one.word)
            if stamp == one.stamp:
                continue
            try:
                fresh[key] = self._read(one.word, one.options)
            except PluginError as error:
                stamps[key], errors[name_of(one.word)] = stamp, str(error)
                failed.append(f"{error}; " + ("links are without it" if one.broken else "the one before goes on"))
        changed = [f"plugin {name}: read again" for name in dict.fromkeys(name_of(one.word) for one in fresh.values())]
        taking = self._named(config, fresh, failed) if config is not None else None

        def take() -> Told:
            self._loaded.update(fresh)
            for key, stamp in stamps.items():
                if key in self._loaded:
                    self._loaded[key] = structs.replace(self._loaded[key], stamp=stamp)
            for one in fresh.values():
                self._errors.pop(name_of(one.word), None)
            self._errors.update(errors)
            return (changed + self._take(taking) if taking is not None else changed), failed

        return take

    def _named(self, config: Config, fresh: dict[tuple[str, bytes], Loaded], failed: list[str]) -> Config | None:
        """Load what a configuration names, and what was switched on with its options; None when not all of it can be."""
        words = [*_words(config), *(one.word for one in self._switched if one.on and one.options is None)]
        try:
            for word in words:
                key = _key(word, _options(config, word))
                if key not in self._loaded and key not in fresh:
                    fresh[key] = self._read(word, _options(config, word))
        except PluginError as error:
            failed.append(f"{error}; the configuration before goes on")
            return None
        return config

    def _take(self, config: Config) -> list[str]:
        before = self._config
        live = [name for name in LIVE if getattr(config, name) != getattr(before, name)]
        self._config = structs.replace(before, **{name: getattr(config, name) for name in live})
        if self._judge is not None:
            self._judge.take(self._config)
        self._forget()
        return [f"changed: {', '.join(live)}"] if live else []

    def stale(self) -> bool:
        """Whether a plugin file has changed since it was read."""
        return any(stamp_of(one.word) != one.stamp for one in list(self._loaded.values()) if one.stamp)

    def states(self) -> list[Sitting]:
        """The plugins that are enabled somewhere."""
        return [self._state(*row) for row in self._rows()]

    def _rows(self) -> list[tuple[str, str, str]]:
        """Of each the word, for which chargers, and who wanted it."""
        rows = [(word, "*", "config") for word in self._config.enable]
        rows += [(word, rule.match.identity, "config") for rule in self._config.links for word in rule.plugins]
        for switched in self._switched:
            name = name_of(switched.word)
            if not switched.on:
                rows = [row for row in rows if name_of(row[0]) != name or switched.identity not in ("*", row[1])]
            elif (name, switched.identity) not in {(name_of(word), identity) for word, identity, _ in rows}:
                rows.append((switched.word, switched.identity, switched.who))
        return list(dict.fromkeys(rows))

    # ---- what is loaded ----

    def _load(self, word: str, options: Options) -> Loaded:
        key = _key(word, options)
        found = self._loaded.get(key)
        if found is None or found.broken:
            found = self._loaded[key] = self._read(word, options)
            self._errors.pop(name_of(word), None)
        return found

    def _read(self, word: str, options: Options) -> Loaded:
        stamp = stamp_of(word)
        found = either(word, options)
        if isinstance(found, Watcher):      # it sits in the recorder
            return Loaded(word, options, None, frozenset(), stamp)
        if self._judge is None:
            self._judge = Judge(self._config)
        installed = structs.replace(found[0], judge=self._judge)
        return Loaded(word, options, installed, found[1], stamp, origin_of(word))

    def _forget(self) -> None:
        """Let go of what nobody names any more."""
        config = self._config
        named = {_key(word, _options(config, word)) for word in _words(config)}
        named |= {_key(one.word, given(config, one)) for one in self._switched if one.on}
        for key in self._loaded.keys() - named:
            del self._loaded[key]

    def _state(self, word: str, identity: str, by: str) -> Sitting:
        name = name_of(word)
        found = next((one for one in list(self._loaded.values()) if one.word == word), None)
        kind: Any = found.installed.make if found is not None and found.installed is not None else None
        hooks = tuple(hook for hook in HOOKS if hook in hooks_of(kind)) if kind is not None else ()
        version = kind.version if kind is not None else ""
        origin = found.origin if found is not None else word
        return Sitting(name, origin, identity, by, version, hooks, error=self._errors.get(name, ""))


def origin_of(word: str) -> str:
    """Where a plugin comes from: its file, or package and object."""
    return word if is_file(word) else describe(word).origin


def _words(config: Config) -> Iterator[str]:
    yield from dict.fromkeys([*config.enable, *(word for rule in config.links for word in rule.plugins)])


def _options(config: Config, word: str) -> Options:
    return config.plugins.get(name_of(word), {})


def _key(word: str, options: Options) -> tuple[str, bytes]:
    return word, msgspec.json.encode(options)
