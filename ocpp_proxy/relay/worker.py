"""The relay worker process: arguments, inherited descriptors, signals, order of the end."""

import argparse
import asyncio
import gc
import importlib
import importlib.util
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from ocpp_proxy.config import Config
from ocpp_proxy.core.isolation import part_of
from ocpp_proxy.core.reloading import RULES, rules_text
from ocpp_proxy.model import ConfigError, PluginError
from ocpp_proxy.relay import hook_mark, last_chunk
from ocpp_proxy.relay.acts import Acts
from ocpp_proxy.relay.choosing import Chooser
from ocpp_proxy.relay.commands import Commands
from ocpp_proxy.relay.relay import Relay
from ocpp_proxy.relay.watchdog import Watchdog
from ocpp_proxy.wire.spool import STATION, ForeignFinding, Kind

ORPHAN_DRAIN = 1.0                          # seconds for the links once the supervisor has died


def main(arguments: list[str] | None = None, plugins: Callable[[Config, bool], Chooser] | None = None) -> int:
    """``python -m ocpp_proxy.relay``: run until SIGTERM or until the supervisor is gone; gives the exit code.

    ``plugins`` loads those of the configuration, and gives who chooses a link's; without it nobody can act on links. It is told
    whether a worker before this one served in this run.
    """
    parser = argparse.ArgumentParser("python -m ocpp_proxy.relay", description="One relay worker; started by the supervisor.")
    parser.add_argument("--instance", type=Path, required=True, help="instance folder with config.json")
    parser.add_argument("--worker", type=int, default=0)
    parser.add_argument("--listen-fds", required=True, help="inherited listening sockets, e.g. 5,6")
    parser.add_argument("--alive-fd", type=int, default=-1, help="read end of a pipe; EOF: the supervisor died")
    given = parser.parse_args(arguments)
    try:
        config = part_of(msgspec.json.decode((given.instance / "config.json").read_bytes(), type=Config), given.worker)
        again = (given.instance / f"relay-{given.worker}.json").exists()        # the supervisor begins with none
        chooser = plugins(config, again) if plugins is not None else None
        sockets = [socket.socket(fileno=int(fd)) for fd in given.listen_fds.split(",")]
        return _run(config, given.instance, sockets, given.worker, given.alive_fd, chooser)
    except (ConfigError, PluginError, OSError, ValueError) as error:
        print(f"ocpp-proxy relay: {error}", file=sys.stderr)
        return 2


def _run(
    config: Config, folder: Path, sockets: list[socket.socket], worker: int, alive_fd: int, chooser: Chooser | None,
) -> int:
    with asyncio.Runner(loop_factory=fast_loop) as runner:
        return runner.run(_serve(config, folder, sockets, worker, alive_fd, chooser))


def fast_loop() -> asyncio.AbstractEventLoop:
    """uvloop (winloop on Windows) where it is installed, else asyncio's own."""
    for name in ("uvloop", "winloop"):
        if importlib.util.find_spec(name) is not None:
            loop: asyncio.AbstractEventLoop = importlib.import_module(name).new_event_loop()
            return loop
    return asyncio.new_event_loop()


async def _serve(
    config: Config, folder: Path, sockets: list[socket.socket], worker: int, alive_fd: int, chooser: Chooser | None,
) -> int:
    loop = asyncio.get_running_loop()
    drain: asyncio.Future[float] = loop.create_future()

    def end(seconds: float) -> None:
        if not drain.done():
            drain.set_result(seconds)

    def orphaned() -> None:
        if not os.read(alive_fd, 64):
            loop.remove_reader(alive_fd)
            end(min(ORPHAN_DRAIN, config.limits.drain_seconds))

    loop.add_signal_handler(signal.SIGTERM, end, config.limits.drain_seconds)
    loop.add_signal_handler(signal.SIGINT, end, config.limits.drain_seconds)
    if alive_fd >= 0:
        loop.add_reader(alive_fd, orphaned)
    mark = hook_mark.path_of(folder, worker)
    kept = last_chunk.append(folder / "spool", worker, mark)
    relay = Relay(config, folder, sockets, worker)
    relay.env.note(RULES, rules_text(config))
    watchdog, commands = None, None
    if chooser is not None:
        _tell_crash(relay, mark, kept)
        watchdog = relay.env.limit = Watchdog(hook_mark.HookMark(mark, relay.writer.incarnation))
        commands = Commands(folder, Acts(relay.env, chooser, folder, worker), worker, relay.writer.incarnation)
        commands.start()
    relay.start()
    gc.collect()
    gc.freeze()                             # what lives now lives to the end; a turn of 500 records is no reason to collect
    gc.set_threshold(50_000, 20, 100)
    seconds = await drain
    if commands is not None:
        await commands.stop()
    await relay.stop(seconds)
    if watchdog is not None:
        watchdog.close()                    # a timer that fires while Python ends would kill the process
    return 0


def _tell_crash(relay: Relay, mark: Path, kept: bool) -> None:
    """A finding about the plugin in whose hook the relay before this one ended, if it did. ``kept``: what it was shown last is
    in the spool."""
    ended_by = hook_mark.left(mark)
    if ended_by:
        shown = hook_mark.last_shown(mark)
        text = f"plugin {ended_by}: its hook was running when the relay ended; all links of that relay were cut"
        text += f"; the last message shown to plugins: {shown}" if shown else ""
        text += "" if kept or not shown else " (not in the capture)"
        relay.turn.body(Kind.FINDING, STATION, 0, ForeignFinding("plugin-crash", "error", "proxy", text))
