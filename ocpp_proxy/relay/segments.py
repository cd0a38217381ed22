"""Segment files of the spool as their writer sees them: where they lie, how much room there is, making one.

A segment gets its final name only when it is locked and has its header: a reader never sees one without. The folder is
0700 and ours, files are 0600, made with O_EXCL and O_NOFOLLOW.
"""

import fcntl
import os
import secrets
import stat
import time
from pathlib import Path

from ocpp_proxy.model import ConfigError
from ocpp_proxy.wire import spool

LIMIT = 256 << 20
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def prepare(folder: Path) -> None:
    """Make the spool folder, or refuse one that others could read, fill or replace. Raises ``ConfigError``."""
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise ConfigError(f"cannot make the spool folder {folder}: {error.strerror}; name another with spool.dir") from error
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode):
        raise ConfigError(f"the spool folder {folder} is not a folder (a link is not followed); name another with spool.dir")
    if found.st_uid != os.geteuid():
        raise ConfigError(f"the spool folder {folder} belongs to user {found.st_uid}, not to us; name another with spool.dir")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise ConfigError(f"the spool folder {folder} is open to other users; run: chmod 700 {folder}")


def limit_of(folder: Path, asked: int) -> int:
    """How many bytes all segments may take: ``asked``, or min(256 MiB, half of the free space, 1/8 of the memory)."""
    return asked or min(LIMIT, free_bytes(folder) // 2, _memory() // 8)


def free_bytes(folder: Path) -> int:
    """Free space for us where the folder lies; a large number where the system cannot say."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return LIMIT * 4
    return found.f_bavail * found.f_frsize


def used_bytes(folder: Path, but: str) -> int:
    """Size of all segments in the folder, of this and of earlier runs, but for the one called ``but``."""
    total = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".seg") and entry.name != but:
                    try:
                        total += entry.stat(follow_symlinks=False).st_size
                    except OSError:     # deleted by the recorder meanwhile
                        continue
    except OSError:
        return 0
    return total


class SegmentFile:
    """The open segment: descriptor, name, size. ``start`` is what the CRC of its records starts from."""

    __slots__ = ("fd", "name", "opened_ns", "size", "start")

    def __init__(self, folder: Path, worker: int, incarnation: int, number: int, first_seq: int) -> None:
        """Make the segment, lock it, write its header, name it. Raises ``OSError``; then nothing is left behind."""
        self.name = f"w{worker}-{incarnation:016x}-{number:08d}.seg"
        self.opened_ns = time.monotonic_ns()
        salt = secrets.randbits(64)
        self.start = spool.start_crc(salt)
        header = spool.segment_header(
            spool.Segment(worker, boot_id(), incarnation, salt, first_seq, time.time_ns(), self.opened_ns)
        )
        self.size = len(header)
        made = folder / f".{self.name}.new"
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self.fd = os.open(made, flags, 0o600)
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.write(self.fd, header) != len(header):
                raise OSError(28, "no room for a segment header")
            os.rename(made, folder / self.name)
        except OSError:
            os.close(self.fd)
            os.unlink(made)
            raise

    def cut(self) -> bool:
        """Take away what lies behind the last good record. False when even that fails."""
        try:
            os.ftruncate(self.fd, self.size)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Close it, which also lets the lock go: nothing will be appended any more."""
        os.close(self.fd)


def boot_id() -> bytes:
    """16 bytes that differ for every boot of the machine; zeros where the system has none."""
    try:
        return bytes.fromhex(_BOOT_ID.read_text().strip().replace("-", ""))
    except (OSError, ValueError):
        return bytes(16)


def _memory() -> int:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in _CGROUP_LIMITS:
        try:
            total = min(total, int(path.read_text()))
        except (OSError, ValueError):       # no such cgroup version, or "max"
            continue
    return total
