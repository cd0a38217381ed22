"""Starting the terminal UI on a source; the exit code."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from ocpp_proxy.source import Source
from ocpp_proxy_tui import garbage
from ocpp_proxy_tui.app import ProxyApp
from ocpp_proxy_tui.ground import Render
from ocpp_proxy_tui.settings import Settings

STARTED_SECONDS = 2.0                       # after which what lives is what lives to the end
SWITCH_SECONDS = 0.0005                     # a thread that is ready waits for the interpreter for so long; 5 ms is usual
END_SECONDS = 2.0                           # to put the terminal right and keep the layout, once told to end


async def show(source: Source, settings: Settings, view: Path, render: Render, first_filter: str = "") -> int:
    """Run until the user quits, or SIGTERM or SIGHUP ends it. Raises ``ConfigError`` for settings that cannot be."""
    app = ProxyApp(source, settings, view, render, first_filter, ansi=few_colours())
    end_on_signals(asyncio.get_running_loop(), app.exit)
    asyncio.get_running_loop().call_later(STARTED_SECONDS, collect_less)
    try:
        await app.run_async()
    finally:
        garbage.let_go()
    return app.return_code or 0


def end_on_signals(loop: asyncio.AbstractEventLoop, leave: Callable[[], object]) -> None:
    """End in order on SIGTERM and SIGHUP; or without order soon after, where the terminal is gone.

    Textual's writing thread dies with the terminal, and what paints then waits for it for ever, the event loop with it: the
    handlers must not need the loop, or each closed window would leave a process behind.
    """
    def end(*_: object) -> None:
        last = threading.Timer(END_SECONDS, os._exit, (0,))
        last.daemon = True
        last.start()
        loop.call_soon_threadsafe(leave)

    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):      # Windows has no SIGHUP
        signal.signal(number, end)


def collect_less() -> None:
    """Nothing but what a person sees is in a hurry from now on: garbage is collected between two keys, and threads wait less
    for each other: the one that reads keys needs the interpreter twice for one.
    """
    garbage.collect_less()
    sys.setswitchinterval(SWITCH_SECONDS)


def few_colours() -> bool:
    """Whether the terminal has but the 16 colours it chose itself."""
    depth = os.environ.get("TEXTUAL_COLOR_SYSTEM", "auto")
    if depth != "auto":
        return depth == "standard"
    term = os.environ.get("TERM", "")
    return "256color" not in term and not os.environ.get("COLORTERM") and term not in ("xterm-kitty", "alacritty", "foot")
