"""Who chooses the plugins of links in this worker: a protocol, because loading plugins is not the relay's business."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ocpp_proxy.config import Config
from ocpp_proxy.core.hands import Matches
from ocpp_proxy.core.seats import Chain
from ocpp_proxy.wire.command import Sitting


class Chooser(Protocol):
    """The plugins of a configuration, and what was switched since. All raise ``ConfigError`` or ``PluginError``."""

    def chain(self, identity: str, protocol: str) -> Chain | None:
        """The plugins of a link, by identity and subprotocol; None: it has none."""

    def version(self, protocol: str) -> str:
        """The OCPP version of a subprotocol; empty: unknown."""

    def matcher(self, text: str) -> Matches:
        """A filter of messages in flight."""

    def warm(self, plugin: str, options: Any) -> None:
        """Load a plugin that is about to be enabled. May block: called in a thread."""

    def switch(self, plugin: str, on: bool, identity: str, options: Any, who: str) -> None:
        """Enable or disable a plugin for the chargers that match, from now on. ``options`` None: those configured."""

    def read(self, config: Config | None) -> Callable[[], tuple[list[str], list[str]]]:
        """Load what another configuration (None: the one there is) names, and plugin files that changed. Changes nothing yet,
        and may block: called in a thread.

        What it gives takes it over: what changed, and what could not be loaded and stays as it was. Raises nothing.
        """

    def stale(self) -> bool:
        """Whether a plugin file has changed since it was loaded. May block: called in a thread."""

    def states(self) -> Sequence[Sitting]:
        """The plugins that are enabled somewhere."""
