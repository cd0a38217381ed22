"""How the tests of the terminal UI wait: until the application has nothing left to do, not until the machine seems calm.

Textual's pilot waits behind each key until the process used less than 1 ms of 20 ms, up to a second, twice. On a loaded machine
that made minutes of a test with eighty keys; and calm is not done.
"""

import asyncio
from typing import Any

import pytest
from ocpp_proxy_tui.app import ProxyApp
from textual._context import active_app

TURNS = 10_000                              # of the event loop without an end: something goes round and round


@pytest.fixture(autouse=True)
def done_not_calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a key and in ``pause()``: all that is ready runs, the screen is painted, what a tick brings runs too."""
    monkeypatch.setattr("textual.app.wait_for_idle", idle)
    monkeypatch.setattr("textual.pilot.wait_for_idle", idle)


async def idle(min_sleep: float = 0, max_sleep: float = 1) -> None:
    """Wait until only timers, files and threads could bring something new, also after one tick of the application."""
    app = active_app.get()
    await _run_out()
    if isinstance(app, ProxyApp):
        app._tick()
    if app.screen_stack:
        app.screen._on_timer_update()
    await _run_out()


async def _run_out() -> None:
    loop: Any = asyncio.get_running_loop()
    for _ in range(TURNS):
        await asyncio.sleep(0)
        if not loop._ready:                 # this task was the last that could go on
            return
