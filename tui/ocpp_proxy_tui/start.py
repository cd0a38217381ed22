"""Starting the terminal UI on a source; the exit code."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path

from ocpp_proxy.source import Source
from ocpp_proxy_tui.app import ProxyApp
from ocpp_proxy_tui.ground import Render
from ocpp_proxy_tui.settings import Settings


async def show(source: Source, settings: Settings, view: Path, render: Render, first_filter: str = "") -> int:
    """Run until the user quits, or SIGTERM or SIGHUP ends it. Raises ``ConfigError`` for settings that cannot be."""
    app = ProxyApp(source, settings, view, render, first_filter, ansi=few_colours())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        with contextlib.suppress(NotImplementedError):      # Windows
            loop.add_signal_handler(number, app.exit)
    await app.run_async()
    return app.return_code or 0


def few_colours() -> bool:
    """Whether the terminal has but the 16 colours it chose itself."""
    depth = os.environ.get("TEXTUAL_COLOR_SYSTEM", "auto")
    if depth != "auto":
        return depth == "standard"
    term = os.environ.get("TERM", "")
    return "256color" not in term and not os.environ.get("COLORTERM") and term not in ("xterm-kitty", "alacritty", "foot")
