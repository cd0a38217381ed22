"""Which plugin's hook runs, where it outlives the process: a mapped file, so that who ends the relay in a hook has a name.

Byte 0 is the number of the plugin whose hook runs (0: none), behind it stand the names, each ended by a NUL; at the end the
identity of the charger and the beginning of the message that was shown to plugins last. Setting a byte is all that a hook
costs.
"""

import mmap
import os
import re
from pathlib import Path

SIZE = 1 << 14
IDENTITY_BYTES, TEXT_BYTES = 64, 160
ABOUT = SIZE - IDENTITY_BYTES - TEXT_BYTES  # where the last message stands, behind the identity of its charger
PID = ABOUT - 8                             # and before it whose file it is
MOST_NAMES = 254
STUCK_SECONDS = 10.0
_BEGINNING = re.compile(rb'\s*\[\s*[23456]\s*,\s*"([^"]{1,64})"\s*,\s*(?:"([^"]{1,64})")?').match
OTHER = 255                                 # a plugin for whose name there was no room


def path_of(folder: Path, worker: int) -> Path:
    """The file of a worker, in the instance folder."""
    return folder / f"relay-{worker}.hook"


def left(path: Path) -> str:
    """The plugin whose hook was running when the process ended; empty: none was."""
    try:
        data = path.read_bytes()
    except OSError:
        return ""
    if not data or not data[0]:
        return ""
    names = data[1:PID].rstrip(b"\0").split(b"\0")
    return names[data[0] - 1].decode("utf-8", "replace") if data[0] <= len(names) else "(one of many)"


def last_shown(path: Path) -> str:
    """The message that was shown to plugins last, in words: action, message id, charger; empty: none."""
    try:
        about = path.read_bytes()[ABOUT:]
    except OSError:
        return ""
    identity = about[:IDENTITY_BYTES].rstrip(b"\0")
    found = _BEGINNING(about[IDENTITY_BYTES:])
    if found is None:
        return ""
    what = found[2].decode("utf-8", "replace") if found[2] else "the answer to"
    return f"{what} {found[1].decode('utf-8', 'replace')} of {identity.decode('utf-8', 'replace')}"


def _pid(number: int) -> bytes:
    return number.to_bytes(ABOUT - PID, "little")


class Stuck:
    """Looks from outside whether a worker has been in one and the same hook for ``STUCK_SECONDS``, doing nothing else."""

    def __init__(self, folder: Path, worker: int) -> None:
        self._mark, self._stats = path_of(folder, worker), folder / f"relay-{worker}.json"
        self._seen: tuple[bytes, bytes, int] = (b"", b"", 0)
        self._since = 0.0

    def look(self, pid: int, now: float) -> bool:
        """Whether that process is stuck. ``now``: seconds of a clock that stands still while the machine sleeps."""
        try:
            data = self._mark.read_bytes()
            seen = data[:1], data[ABOUT:], self._stats.stat().st_mtime_ns
        except OSError:
            seen = b"", b"", 0
            data = b""
        if seen != self._seen or seen[0] in (b"", b"\0") or data[PID:ABOUT] != _pid(pid):
            self._seen, self._since = seen, now
        return now - self._since >= STUCK_SECONDS


class HookMark:
    """``cells[0]`` is what a hook sets. Begins anew: ask ``left`` before. Without a path, or a file, it marks nothing."""

    def __init__(self, path: Path | None = None) -> None:
        self.cells: mmap.mmap | bytearray = bytearray(SIZE)
        self._numbers: dict[str, int] = {}
        self._end = 1
        if path is None:
            return
        try:
            fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError:                     # a full disk: whose hook ended the relay will not be known
            return
        try:
            os.posix_fallocate(fd, 0, SIZE)             # a hole that cannot be filled later would be a SIGBUS
            self.cells = mmap.mmap(fd, SIZE)
        except OSError:
            return
        finally:
            os.close(fd)
        self.cells[PID:ABOUT] = _pid(os.getpid())

    def number(self, name: str) -> int:
        """The number of a plugin."""
        found = self._numbers.get(name)
        if found is None:
            data = name.encode("utf-8", "replace").replace(b"\0", b"?") + b"\0"
            if len(self._numbers) >= MOST_NAMES or self._end + len(data) > PID:
                return OTHER
            found = self._numbers[name] = len(self._numbers) + 1
            self.cells[self._end : self._end + len(data)] = data
            self._end += len(data)
        return found
