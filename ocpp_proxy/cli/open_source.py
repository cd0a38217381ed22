"""SOURCE of the reading commands: a running proxy, a capture file or folder, a JSONL trace; or none, and what that means.

The file of a running capture is never opened: its proxy is asked.
"""

import os
import re
from pathlib import Path

from ocpp_proxy.cli.places import capturing, default_capture, newest_capture, running
from ocpp_proxy.cli.printing import talk
from ocpp_proxy.escape import safe_text
from ocpp_proxy.hub.instance import Instance
from ocpp_proxy.model import ConfigError
from ocpp_proxy.source import Source

TOKEN_VARIABLE = "OCPP_PROXY_TOKEN"
_ADDRESS = re.compile(r"(?:https?://|tcp:)?(\[[0-9a-fA-F:.]+\]|[\w.-]+):(\d{1,5})/?")
_FORMS = "SOURCE is a file or folder, unix:PATH or HOST:PORT of a running proxy, or a .jsonl trace"


async def open_source(text: str | None) -> Source:
    """Open SOURCE. Raises ``ConfigError`` (no such thing), ``CaptureError`` (unreadable), ``ConnectionError``."""
    if text is None:
        return await _default()
    if text.startswith("unix:"):
        return await connect(_at(os.path.abspath(text.removeprefix("unix:"))))
    path = Path(text).expanduser()
    if not path.exists():
        address = _ADDRESS.fullmatch(text)
        if address is not None:
            return await connect(_over_tcp(f"{address[1]}:{address[2]}"))
        raise ConfigError(f"{safe_text(text)}: no such capture; {_FORMS}")
    if path.is_socket():
        return await connect(_at(str(path.absolute())))
    live = capturing(path)
    return await connect(live) if live else open_file(path)


async def _default() -> Source:
    live = running()
    if len(live) > 1:
        names = "\n".join(f"  {address(one)}   {', '.join(one.listen)} -> {one.upstream}" for one in live)
        raise ConfigError(f"{len(live)} proxies are running; say which one by its SOURCE:\n{names}")
    if live:
        talk(f"source: the running proxy, {', '.join(live[0].listen)} -> {live[0].upstream}")
        return await connect(live[0])
    newest = newest_capture()
    if newest is None:
        raise ConfigError(f"no proxy is running, and there is no capture in {default_capture()}; give a SOURCE")
    talk(f"source: {newest}")
    return open_file(newest)


def address(instance: Instance) -> str:
    """An instance as SOURCE names it."""
    return instance.control if instance.by_tcp else f"unix:{instance.control}"


def _over_tcp(control: str) -> Instance:
    """A control address, with its token where it is that of a proxy here; so is a port where chargers dial to one."""
    live = running()
    here = [one for one in live if one.control == control] or [one for one in live if control in one.listen]
    return _at(control) if not here or (TOKEN_VARIABLE in os.environ and here[0].by_tcp) else here[0]


def _at(control: str) -> Instance:
    return Instance("", 0, "", (control,), "", "", control, os.environ.get(TOKEN_VARIABLE, ""))


async def connect(instance: Instance) -> Source:
    """Ask a running proxy. Raises ``ConnectionError`` when nothing answers there."""
    from ocpp_proxy.hub.client import LiveSource

    return await LiveSource.connect(instance.control, instance.token)


def open_file(path: Path) -> Source:
    """Open a capture file, a folder of them, or a trace."""
    import ocpp_proxy_captures

    return ocpp_proxy_captures.open_source(path)
