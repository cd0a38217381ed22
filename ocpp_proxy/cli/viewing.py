"""The body of ``tui``: the source, the settings, and what happens where there is no terminal."""

import asyncio
from pathlib import Path
from time import monotonic

from ocpp_proxy.cli.open_source import open_source
from ocpp_proxy.cli.printing import render, talk
from ocpp_proxy.cli.tailing import tail_source
from ocpp_proxy.cli.terminal import at_terminal
from ocpp_proxy.escape import safe_text
from ocpp_proxy.fields import parse
from ocpp_proxy.hub.instance import state_folder
from ocpp_proxy.source import Source

PATIENCE_SECONDS = 10.0                     # a recorder that died is back by then
QUIET_SECONDS = 2.0                         # and one that was only just started answers by then
RETRY_SECONDS = 0.1


async def view(
    text: str | None, first_filter: str | None, settings_file: str | None, hz: float | None, ascii: bool, theme: str | None,
    read_only: bool = False,
) -> int:
    """Show the source until the user quits; the exit code. Raises ``ConfigError``, ``CaptureError``, ``ConnectionError``."""
    where = parse(first_filter) if first_filter else None
    if not at_terminal():
        talk("no terminal here: these are the lines of `ocpp-proxy tail`")
        await tail_source(text, where, True, 0, False)
        return 0
    from ocpp_proxy_tui import settings as tui_settings
    from ocpp_proxy_tui.start import show

    saved = state_folder() / "tui-view.toml"
    settings = tui_settings.load(Path(settings_file).expanduser() if settings_file else None, saved)
    settings.hz = hz if hz is not None else settings.hz
    settings.ascii = settings.ascii or ascii
    settings.theme = theme or settings.theme
    settings.read_only = settings.read_only or read_only
    source = await _open(text)
    try:
        return await show(source, settings, saved, render, first_filter or "")
    finally:
        await source.close()


async def _open(text: str | None) -> Source:
    """Open the source. One that does not answer may be a proxy whose recorder is just being restarted."""
    begin, told = monotonic(), False
    while True:
        try:
            return await open_source(text)
        except ConnectionError as error:
            waited = monotonic() - begin
            if waited >= PATIENCE_SECONDS:
                raise
            if waited >= QUIET_SECONDS and not told:
                talk(f"{safe_text(str(error))} Trying for {PATIENCE_SECONDS:.0f} s.")
                told = True
        await asyncio.sleep(RETRY_SECONDS)
