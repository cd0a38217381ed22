"""The body of ``run``: settings, pre-checks, the card, the display, the supervisor, the last words."""

import contextlib
import ipaddress
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import structs

from ocpp_proxy import supervisor
from ocpp_proxy.cli import settings
from ocpp_proxy.cli.addresses import own_addresses
from ocpp_proxy.cli.card import card
from ocpp_proxy.cli.display import Display
from ocpp_proxy.cli.fitting import refuse_unfit
from ocpp_proxy.cli.printing import talk
from ocpp_proxy.cli.summary import live_summary, summary
from ocpp_proxy.cli.terminal import Lent, at_terminal
from ocpp_proxy.cli.verify import SIMULATE, split_listen, verify
from ocpp_proxy.config import Config
from ocpp_proxy.core.isolation import isolated
from ocpp_proxy.hub.instance import Instance, capture_path, write_private
from ocpp_proxy.model import ConfigError
from ocpp_proxy.supervisor import Event


def start(flags: dict[str, Any], config_file: str | None, status_file: str | None, tui: bool = False) -> int:
    """Run the proxy until told to stop; the exit code. Raises ``ConfigError`` before anything is started.

    ``tui``: the terminal is lent to the terminal UI until the user quits that; the proxy goes on with line output.
    """
    merged = settings.load(config_file, settings.environment(), flags)
    for warning in merged.warnings:
        talk(warning)
    verify(merged)
    config = merged.config
    refuse_own_listener(config)
    refuse_unwritable(config)
    with contextlib.ExitStack() as stack:
        simulated = config.upstream == SIMULATE
        if simulated:
            from ocpp_proxy.demo.csms import simulated as simulate

            config = structs.replace(config, upstream=stack.enter_context(simulate()))
        status = Path(status_file).absolute() if status_file else None
        if status is not None:
            stack.callback(status.unlink, missing_ok=True)
        if tui and not at_terminal():
            talk("--tui: no terminal here, so these are the lines of `ocpp-proxy tail`")
            tui = False
        show = Show(config, simulated, status, stack.enter_context(lent()) if tui else None)
        return supervisor.run(config, show.event, lambda now: again(
            config_file, flags, config.upstream if simulated else "", now))


def again(config_file: str | None, flags: dict[str, Any], upstream: str, now: Config) -> Config:
    """The configuration as it is now, for a running proxy that has ``now``. ``upstream``: of the simulated CSMS.

    Raises ``ConfigError``: nothing of it is taken over then.
    """
    merged = settings.load(config_file, settings.environment(), flags)
    verify(merged)
    refuse_unfit(now, merged.config)
    return structs.replace(merged.config, upstream=upstream) if upstream else merged.config


@contextlib.contextmanager
def lent() -> Iterator[Lent]:
    """The terminal, silent from now on, and ours again at the end."""
    terminal = Lent()
    terminal.silence()
    try:
        yield terminal
    finally:
        terminal.close()


class Show:
    """What the person sees of the supervisor's events; with a ``terminal`` the terminal UI, until that is left."""

    def __init__(self, config: Config, simulated: bool, status: Path | None, terminal: Lent | None = None) -> None:
        self._config, self._simulated, self._status, self._terminal = config, simulated, status, terminal
        self._instance: Instance | None = None
        self._display: Display | None = None
        self._pids: dict[str, int] = {}
        self._ending = False

    def event(self, event: Event) -> None:
        """Called by the supervisor, in its thread."""
        match event.kind:
            case "note" | "died":
                talk(event.text)
                self._pids.pop(event.text.split(" ")[0], None)
            case "started":
                self._pids[event.text] = event.pid
            case "listening" if event.instance is not None:
                self._listening(event.instance)
            case "stopping":
                self._stopping()
            case "stopped" if self._instance is not None:
                if self._display is not None:
                    self._display.stop()
                for line in summary(self._instance):
                    talk(line)
            case _:
                pass
        self._write_status()

    def _listening(self, instance: Instance) -> None:
        self._instance = instance
        if self._terminal is not None:
            self._terminal.open(instance, self._left)
        else:
            self._show_lines(instance)

    def _left(self) -> None:
        """The terminal UI was left, by its user or because the proxy ends; called in a thread of its own."""
        if self._instance is not None and not self._ending:
            talk("the proxy goes on; Ctrl-C ends it, `ocpp-proxy tui` opens the screen again")
            self._show_lines(self._instance, time.time_ns())    # what came before was on that screen

    def _show_lines(self, instance: Instance, since_ns: int = 0) -> None:
        for line in self._card():
            talk(line)
        self._display = Display(instance, self._card, sys.stdout.isatty(), since_ns)
        self._display.start()

    def _stopping(self) -> None:
        self._ending = True
        if self._terminal is not None:
            self._terminal.close()
        talk("stopping: the links are drained" + (" and the capture is closed" if not self._config.capture.off else ""))
        if self._instance is not None and not self._instance.capture:
            for line in live_summary(self._instance):
                talk(line)

    def _card(self) -> list[str]:
        assert self._instance is not None
        return card(self._config, self._instance, own_addresses(), self._simulated)

    def _write_status(self) -> None:
        """For scripts: where it listens (once it does) and which processes run now."""
        if self._status is None:
            return
        known = self._instance
        facts = {
            "pid": os.getpid(), **self._pids, "listen": list(known.listen) if known else [],
            "control": known.control if known else "", "capture": known.capture if known else "",
        }
        write_private(self._status, msgspec.json.encode(facts))


def refuse_own_listener(config: Config) -> None:
    """An upstream that is plainly this proxy; names that resolve to it are the relay's to refuse. Raises ``ConfigError``."""
    url = urlsplit(config.upstream)
    host = url.hostname or ""
    wanted = (*config.listen, *(rule.listen for rule in isolated(config)))
    ports = {(split_listen(listen) or ("", 0))[1] for listen in wanted}
    if (url.port or (443 if url.scheme in ("wss", "https") else 80)) not in ports:
        return
    if host == "localhost" or host in {address.text for address in own_addresses()} or _loopback(host):
        raise ConfigError(
            f"upstream {config.upstream}: the proxy would call itself; give the URL of the CSMS, or --listen another port")


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refuse_unwritable(config: Config) -> None:
    """A capture that cannot be written is told now, not when the first charger has come. Raises ``ConfigError``."""
    path = capture_path(config)
    if not path or not config.capture.path:
        return
    target = Path(path)
    if target.suffix == ".duckdb":
        if target.is_dir():
            raise ConfigError(f"capture {path}: is a folder; take a name without .duckdb for a folder of files")
        if not target.parent.is_dir():
            raise ConfigError(f"capture {path}: there is no folder {target.parent}")
        writable = os.access(target, os.W_OK) if target.exists() else os.access(target.parent, os.W_OK)
    elif target.is_file():
        raise ConfigError(f"capture {path}: a capture file ends in .duckdb; anything else is a folder")
    else:
        near = next(folder for folder in (target, *target.parents) if folder.exists())
        writable = near.is_dir() and os.access(near, os.W_OK)
    if not writable:
        raise ConfigError(f"capture {path}: this user cannot write it; --capture FILE or FOLDER elsewhere, or --no-capture")
