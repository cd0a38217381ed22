"""The checks of ``doctor`` that look at this machine: port, disk, clock, versions. Each is a function with its remedy."""

import errno
import importlib.metadata
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from msgspec import Struct

from ocpp_proxy.cli.verify import split_listen
from ocpp_proxy.config import Config
from ocpp_proxy.hub.instance import capture_path, runtime_base

State = Literal["ok", "warning", "failed"]
MARKS = {"ok": "ok  ", "warning": "warn", "failed": "FAIL"}
BUILT = 1_767_225_600                       # 2026-01-01: no clock is right that is before it
CAPTURE_ROOM = 1 << 30
SPOOL_ROOM = 64 << 20
NEEDED = {
    "duckdb": (1, 5, 5), "msgspec": (0, 22), "aiohttp": (3, 14), "jsonschema-rs": (0, 60), "orjson": (3, 13), "ocpp": (2, 1),
}


class Outcome(Struct, frozen=True):
    """What one check found. ``remedy`` is empty when nothing has to be done."""

    name: str
    state: State
    text: str
    remedy: str = ""


def run(config: Config) -> list[Outcome]:
    """All checks of this machine."""
    return [outcome for check in (versions, clock, ports, disk, spool) for outcome in check(config)]


def versions(_: Config, installed: Callable[[str], str] = importlib.metadata.version) -> Iterator[Outcome]:
    """Python and the libraries that a wrong version of would break."""
    found = [f"Python {sys.version.split()[0]}"]
    for name, least in NEEDED.items():
        wanted = ".".join(map(str, least))
        try:
            text = installed(name)
        except importlib.metadata.PackageNotFoundError:
            yield Outcome("versions", "failed", f"{name} is not installed", "pip install --force-reinstall ocpp-proxy")
            continue
        numbers = tuple(int(part) for part in re.findall(r"\d+", text)[: len(least)])
        if numbers < least:
            yield Outcome("versions", "failed", f"{name} {text} is older than {wanted}", f"pip install '{name}>={wanted}'")
        found.append(f"{name} {text}")
    yield Outcome("versions", "ok", ", ".join(found))


def clock(_: Config, now: Callable[[], float] = time.time) -> Iterator[Outcome]:
    """A clock before this program was made is wrong: TLS would fail, and captures would lie."""
    if now() < BUILT:
        yield Outcome("clock", "failed", f"the clock says {time.strftime('%Y-%m-%d', time.gmtime(now()))}",
                      "set it: sudo timedatectl set-ntp true (or sudo date -s ...)")
    else:
        yield Outcome("clock", "ok", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now())))


def ports(config: Config) -> Iterator[Outcome]:
    """Whether each port can be listened on."""
    for listen in config.listen:
        host, port = split_listen(listen) or ("", 0)
        try:
            _try_listen(host, port)
            yield Outcome("port", "ok", f"{listen} is free")
        except OSError as error:
            yield _busy(listen, port, error)


def _try_listen(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tried.bind((host, port))
        tried.listen(1)


def _busy(listen: str, port: int, error: OSError) -> Outcome:
    if error.errno == errno.EADDRINUSE:
        from ocpp_proxy.cli.places import running

        ours = [one for one in running() if any(text.endswith(f":{port}") or text == str(port) for text in one.listen)]
        if ours:
            return Outcome("port", "ok", f"{listen} is held by the running proxy (pid {ours[0].pid})")
        return Outcome("port", "failed", f"{listen} is in use",
                       f"see who holds it: ss -ltnp 'sport = :{port}'; or take another: --listen {port + 1}")
    if error.errno == errno.EACCES:
        return Outcome("port", "failed", f"{listen}: this user may not listen below 1024",
                       f"sudo sysctl net.ipv4.ip_unprivileged_port_start={port}")
    if error.errno == errno.EADDRNOTAVAIL:
        return Outcome("port", "failed", f"{listen}: this machine has no such address", "see `ip address`")
    return Outcome("port", "failed", f"{listen}: {error.strerror or error}", "--listen [HOST:]PORT")


def disk(config: Config, usage: Callable[[Path], int] | None = None) -> Iterator[Outcome]:
    """Whether the capture's place can be written and has room."""
    path = capture_path(config)
    if not path:
        return
    folder = _existing(Path(path))
    if not os.access(folder, os.W_OK):
        yield Outcome("disk", "failed", f"{folder} cannot be written", "--capture FILE or FOLDER elsewhere, or --no-capture")
        return
    yield _room("disk", folder, CAPTURE_ROOM, usage,
                "remove old captures, lower capture.retention_bytes, or --capture elsewhere")


def spool(config: Config, usage: Callable[[Path], int] | None = None) -> Iterator[Outcome]:
    """Whether the spool has room, and lies where a hung disk cannot stall the relay."""
    base = runtime_base()
    place = _existing(Path(config.spool.dir) if config.spool.dir else base.path)
    if not os.access(place, os.W_OK):
        yield Outcome("spool", "failed", f"{place} cannot be written", "set spool.dir to a folder that can be, best in memory")
        return
    outcome = _room("spool", place, SPOOL_ROOM, usage, "free memory there, or set spool.dir to another place")
    if outcome.state == "ok" and base.stalls and not config.spool.dir:
        outcome = Outcome("spool", "warning", f"{place} is on a disk: a hung disk can hold up traffic",
                          f"sudo loginctl enable-linger {os.environ.get('USER', '$USER')}, then it lies in memory")
    yield outcome


def _room(name: str, folder: Path, least: int, usage: Callable[[Path], int] | None, remedy: str) -> Outcome:
    free = usage(folder) if usage else shutil.disk_usage(folder).free
    text = f"{folder}: {free / 2**30:.1f} GiB free"
    if free < least // 10:
        return Outcome(name, "failed", text, remedy)
    return Outcome(name, "warning", text, remedy) if free < least else Outcome(name, "ok", text)


def _existing(path: Path) -> Path:
    """The nearest folder above that exists."""
    for folder in (path, *path.parents):
        if folder.is_dir():
            return folder
    return Path("/")
