"""The terminal is lent to the user's editor, while the screen waits."""

from typing import Any

from textual.app import App, SuspendNotSupported

from ocpp_proxy.model import ConfigError
from ocpp_proxy_tui.editor import edited


def in_editor(app: App[Any], text: str) -> str | None:
    """The text as it was saved; None when the editor failed. Raises ``ConfigError``."""
    try:
        with app.suspend():
            return edited(text)
    except SuspendNotSupported as error:
        raise ConfigError("this terminal cannot be lent to an editor; `ocpp-proxy edit` and `inject` work beside it") from error
