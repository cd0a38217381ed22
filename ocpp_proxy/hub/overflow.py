"""Room in the spool while the recorder lags: closed segments move to a folder on disk, so that the relay need not drop.

Only the recorder does that, never the relay, and in a thread of its own: a disk that hangs holds up nothing. A segment is
copied, synced and named on the disk before the original goes; killed at any point between, it lies in both places and is
read once. What is moved is as unmasked as the spool itself: files 0600 in a folder 0700, deleted like all others once
their rows are in the capture.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

from ocpp_proxy.hub.commits import aside
from ocpp_proxy.hub.instance import private_folder, state_folder
from ocpp_proxy.hub.log import logger
from ocpp_proxy.hub.metrics import relay_numbers
from ocpp_proxy.hub.segments import SegmentName, scan
from ocpp_proxy.hub.tail import Tail, size_of
from ocpp_proxy.model import ConfigError

DISK_BYTES = 1 << 30                        # four spools of the usual limit, hours of lag; the capture needs that disk too
LOOK_SECONDS = 0.25
RETRY_SECONDS = 5.0                         # after a disk without room, or that failed


def moved_folder(instance: Path) -> Path:
    """Where the moved segments of an instance lie; the next run on the same capture finds them there."""
    return state_folder() / "moved" / instance.name


class Overflow:
    """Moves closed segments of one spool. ``moved``: how many were, since the start."""

    def __init__(self, instance: Path, tail: Tail) -> None:
        self.moved = 0
        self.error = ""                     # why the last attempt failed
        self._instance, self._tail = instance, tail
        self._spool, self._disk = instance / "spool", moved_folder(instance)
        self._next = 0.0
        self._task: asyncio.Task[None] | None = None

    def look(self) -> None:
        """Begin to move, if the spool is over half full and nothing moves yet. Cheap: called all the time."""
        now = monotonic()
        if now < self._next or (self._task is not None and not self._task.done()):
            return
        self._next = now + LOOK_SECONDS
        limit = self._limit()
        if limit and self._surplus(limit) > 0 and self._gains():
            self._task = asyncio.ensure_future(self._relieve(limit))

    def delete(self, segment: Path) -> None:
        """A segment is dealt with: it goes, in both places if it lies in both. Raises ``OSError``."""
        for folder in (self._spool, self._disk):
            (folder / segment.name).unlink(missing_ok=True)
        self._tail.forget(segment)

    def bytes(self) -> int:
        """Bytes of moved segments."""
        return sum(size_of(name.path) for name in scan(self._disk))

    async def _relieve(self, limit: int) -> None:
        try:
            for name in self._closed():
                if self._surplus(limit) <= 0:
                    return
                size = size_of(name.path)
                if self.bytes() + size > DISK_BYTES:
                    self._failed(f"{DISK_BYTES} bytes are there already")
                    return
                target = await aside(copy, name.path, self._disk)
                self._replace(name.path, target)
        except (OSError, ConfigError) as error:
            self._failed(str(error))
        else:
            self.error = ""

    def _replace(self, original: Path, target: Path) -> None:
        """The copy is whole. The original may be gone: it was stored meanwhile."""
        if not original.exists():
            target.unlink(missing_ok=True)
            return
        original.unlink()
        self._tail.replaced(original, target)
        self.moved += 1
        if self.moved == 1:
            logger().warning("the capture lags: spool segments move to disk, unmasked as they are", folder=str(self._disk))

    def _closed(self) -> Iterator[SegmentName]:
        """Segments of the spool nobody appends to any more, oldest of each worker first."""
        for name in scan(self._spool):
            if name.path.exists() and not _held(name.path):
                yield name

    def _surplus(self, limit: int) -> int:
        return sum(size_of(name.path) for name in scan(self._spool)) - limit // 2

    def _limit(self) -> int:
        """What the relay takes as the limit of the spool; 0 while it has not said so."""
        return min((int(numbers.get("spool_limit", 0)) for _, numbers in relay_numbers(self._instance)), default=0)

    def _gains(self) -> bool:
        """Whether the disk is another file system: on the same one, moving frees nothing and only evades the limit."""
        place = self._disk
        while not place.exists():
            place = place.parent
        return file_system(place) != file_system(self._spool)

    def _failed(self, reason: str) -> None:
        """Segments stay where they are; the relay counts what then finds no room."""
        if reason != self.error:
            logger().error("spool segments could not be moved to disk", folder=str(self._disk), reason=reason)
        self.error = reason
        self._next = monotonic() + RETRY_SECONDS


def copy(segment: Path, folder: Path) -> Path:
    """Copy a closed segment into ``folder``; it is whole under its name or not there at all. Raises ``OSError``.

    At most half of what is free there is taken: the capture writes to that disk as well.
    """
    private_folder(folder.parent)
    private_folder(folder)
    target, fresh = folder / segment.name, folder / f".{segment.name}.new"
    size = segment.stat().st_size
    if target.exists() and target.stat().st_size == size:
        return target                       # a run before us was killed between the copy and the deletion
    for stale in folder.glob(".*.new"):
        stale.unlink()
    room = os.statvfs(folder)
    if size * 2 > room.f_bavail * room.f_frsize:
        raise OSError(28, os.strerror(28))
    fd = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file, segment.open("rb") as source:
            shutil.copyfileobj(source, file, 1 << 20)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(target)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    _sync(folder)
    return target


def file_system(path: Path) -> int:
    """The device a path lies on."""
    return path.stat().st_dev


def _held(path: Path) -> bool:
    """Whether a writer lives that may append to it."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
