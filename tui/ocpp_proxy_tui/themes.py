"""The themes: one of our own whose colours colour-blind people can tell apart, and those that Textual brings."""

from typing import Any

from textual.app import App
from textual.theme import Theme

from ocpp_proxy.model import ConfigError

OCPP = Theme(
    name="ocpp", dark=True, primary="#56b4e9", secondary="#009e73", accent="#f0e442", warning="#e69f00", error="#d55e00",
    success="#009e73", foreground="#e6e6e6", background="#101418", surface="#161b21", panel="#1f2730",
)
LIGHT = Theme(
    name="ocpp-light", dark=False, primary="#0072b2", secondary="#009e73", accent="#cc79a7", warning="#b37700", error="#d55e00",
    success="#00795a", foreground="#1a1a1a", background="#ffffff", surface="#f3f4f6", panel="#e3e6ea",
)


def register(app: App[Any], name: str, ansi: bool) -> None:
    """Make our themes known and choose one. Raises ``ConfigError`` for an unknown name."""
    app.register_theme(OCPP)
    app.register_theme(LIGHT)
    if name not in app.available_themes:
        raise ConfigError(f"theme {name}: there is none; known are {', '.join(sorted(app.available_themes))}")
    app.theme = "ansi-dark" if ansi and name == "ocpp" and "ansi-dark" in app.available_themes else name
