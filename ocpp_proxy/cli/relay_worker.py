"""``python -m ocpp_proxy.cli.relay_worker``: the relay process, with who loads plugins here.

Where nothing can be changed, what that takes (rules, schemas, filters) is loaded only once a reload names a plugin.
"""

import contextlib
import sys
from collections.abc import Callable
from typing import Any

from ocpp_proxy.config import Config
from ocpp_proxy.core.hands import Matches
from ocpp_proxy.core.seats import Chain
from ocpp_proxy.relay import worker
from ocpp_proxy.relay.choosing import Chooser
from ocpp_proxy.wire.command import Sitting
from ocpp_proxy.wire.frames import use_xor


class Asleep:
    """``relay.choosing.Chooser`` of a proxy without plugins, until it has some."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._awake: Chooser | None = None

    def _wake(self) -> Chooser:
        if self._awake is None:
            self._awake = awake(self._config)
        return self._awake

    def chain(self, identity: str, protocol: str) -> Chain | None:
        """As ``Chooser.chain``."""
        return self._awake.chain(identity, protocol) if self._awake is not None else None

    def version(self, protocol: str) -> str:
        """As ``Chooser.version``; a guess is enough where no plugin is to be chosen by it."""
        return self._awake.version(protocol) if self._awake is not None else protocol.lower().removeprefix("ocpp")

    def matcher(self, text: str) -> Matches:
        """As ``Chooser.matcher``."""
        return self._wake().matcher(text)

    def switch(self, plugin: str, on: bool, identity: str, options: Any, who: str) -> None:
        """As ``Chooser.switch``."""
        self._wake().switch(plugin, on, identity, options, who)

    def warm(self, plugin: str, options: Any) -> None:
        """As ``Chooser.warm``."""
        self._wake().warm(plugin, options)

    def read(self, config: Config | None) -> Callable[[], tuple[list[str], list[str]]]:
        """As ``Chooser.read``."""
        return self._wake().read(config)

    def stale(self) -> bool:
        """As ``Chooser.stale``."""
        return self._awake is not None and self._awake.stale()

    def states(self) -> list[Sitting]:
        """As ``Chooser.states``."""
        return list(self._awake.states()) if self._awake is not None else []


def awake(config: Config, again: bool = False) -> Chooser:
    """Who loads plugins and chooses among them; ``again`` as of ``Choosing``. Raises ``PluginError``."""
    from ocpp_proxy.cli.choosing import Choosing

    return Choosing(config, again)


def chooser(config: Config, again: bool = False) -> Chooser:
    """Who chooses the plugins of links, as far as there is something to choose."""
    if config.allow_inject or config.enable or any(rule.plugins for rule in config.links):
        return awake(config, again)
    return Asleep(config)


def main(arguments: list[str] | None = None) -> int:
    """As ``ocpp_proxy.relay.worker.main``."""
    with contextlib.suppress(ImportError):  # frames are unmasked here; the compiled one is ten times as quick
        from websockets.speedups import apply_mask

        use_xor(apply_mask)
    return worker.main(arguments, chooser)


if __name__ == "__main__":
    sys.exit(main())
