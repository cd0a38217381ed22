"""Kept spool segments (``capture.keep_spool``): moved beside the capture, so that a damaged capture can be rebuilt from them.

They hold bytes as they were received; that is why keeping them asks for ``capture.keep_secrets``.
"""

import contextlib
import os
import shutil
from pathlib import Path

from ocpp_proxy.hub.segments import scan
from ocpp_proxy.hub.tail import size_of


def kept_folder(capture: str) -> Path:
    """Where the segments of a capture are kept."""
    return Path(f"{capture}.spool")


def keep(segment: Path, folder: Path, limit: int) -> None:
    """Move a finished segment into ``folder`` (0700), then delete the oldest there above ``limit`` bytes. Raises ``OSError``.

    It is whole under its name or not there at all; until then the original stays.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = folder / f".{segment.name}.new"
    fresh.unlink(missing_ok=True)
    fd = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as target, segment.open("rb") as source:
        shutil.copyfileobj(source, target, 1 << 20)
        target.flush()
        os.fsync(target.fileno())
    os.utime(fresh, ns=(segment.stat().st_mtime_ns,) * 2)
    fresh.replace(folder / segment.name)
    segment.unlink()
    _thin(folder, limit)


def _thin(folder: Path, limit: int) -> None:
    paths = sorted((name.path for name in scan(folder)), key=lambda path: path.stat().st_mtime_ns)
    surplus = sum(map(size_of, paths)) - limit
    for path in paths[:-1]:
        if surplus <= 0:
            break
        surplus -= size_of(path)
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
