"""The body of ``doctor --repair``: finds the spool that belongs to a capture, so that what it still holds comes back."""

import os
from pathlib import Path

import ocpp_proxy_captures

from ocpp_proxy.cli.places import capturing
from ocpp_proxy.hub.instance import instance_name, search_bases
from ocpp_proxy.hub.overflow import moved_folder
from ocpp_proxy.hub.recorder import masking_key
from ocpp_proxy.model import ConfigError


def repair(text: str) -> str:
    """Repair a capture; what was done. Raises ``ConfigError`` while a proxy writes it, ``CaptureError`` otherwise."""
    path = Path(text).expanduser().absolute()
    live = capturing(path)
    if live is not None:
        raise ConfigError(f"{path}: the running proxy (pid {live.pid}) writes it; stop that first")
    folder = spool_of(path)
    if folder is None:
        return ocpp_proxy_captures.repair(path)
    return ocpp_proxy_captures.repair(path, [folder / "spool", moved_folder(folder)], masking_key(folder))


def spool_of(capture: Path) -> Path | None:
    """The instance folder of a capture whose spool still holds segments."""
    for base in search_bases():
        folder = base / instance_name(str(capture), 0)
        if _has_segments(folder / "spool") or _has_segments(moved_folder(folder)):
            return folder
    return None


def _has_segments(folder: Path) -> bool:
    """False also where the folder is not ours to read: the spool of root's proxy is not of our capture."""
    try:
        return any(name.endswith(".seg") for name in os.listdir(folder))
    except OSError:
        return False
