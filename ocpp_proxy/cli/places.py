"""Which proxies run on this machine, and where the newest capture is: what a command without SOURCE means."""

import fcntl
import os
from pathlib import Path

from ocpp_proxy.hub.instance import Instance, read, search_bases, state_folder


def default_capture() -> Path:
    """The folder ``run`` captures to when it is not told another."""
    return state_folder() / "captures"


def newest_capture() -> Path | None:
    """The default capture folder if it holds anything, else None."""
    folder = default_capture()
    return folder if folder.is_dir() and any(folder.glob("*.duckdb")) else None


def running() -> list[Instance]:
    """The proxies that run now and that this user may ask, in the order of their start."""
    found: dict[str, Instance] = {}
    for base in search_bases():
        try:
            folders = sorted(base.iterdir())
        except OSError:
            continue
        for folder in folders:
            instance = read(folder)
            if instance is not None and held(folder / "lock"):
                found[os.path.realpath(folder)] = instance
    return sorted(found.values(), key=lambda instance: instance.started_ns)


def held(path: Path) -> bool:
    """Whether a living supervisor holds the instance: a crash leaves the files, but never the lock."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def capturing(path: Path) -> Instance | None:
    """The running proxy that writes this capture (the file, its folder, or a file in its folder)."""
    real = os.path.realpath(path)
    for instance in running():
        if instance.capture and os.path.realpath(instance.capture) in (real, os.path.dirname(real)):
            return instance
    return None
