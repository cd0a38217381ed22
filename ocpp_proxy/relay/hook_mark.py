"""Which plugin's hook runs, where it outlives the process: a mapped file, so that who ends the relay in a hook has a name.

Byte 0 is the number of the plugin whose hook runs (0: none), behind it stand the names, each ended by a NUL; at the end what
was at hand last: bytes that came, which are appended to the spool only once plugins have looked at them. Setting a byte is
all that a hook costs.
"""

import mmap
import os
import re
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from ocpp_proxy.wire.frames import TEXT, unmask

SIZE = 1 << 14
CHUNK_BYTES = 4096                          # of what was at hand; more is not kept
AT_HAND = Struct(f"<QB64sQQI{CHUNK_BYTES}s")        # link, direction, identity, seq of the spool, offset, size, data
ABOUT = SIZE - AT_HAND.size                 # where it stands
PID = ABOUT - 8                             # and before it whose file it is
INCARNATION = PID - 8                       # and whose spool
TEXT_BYTES = 160                            # of a message: enough to name it
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
    names = data[1:INCARNATION].rstrip(b"\0").split(b"\0")
    return names[data[0] - 1].decode("utf-8", "replace") if data[0] <= len(names) else "(one of many)"


class AtHand(NamedTuple):
    """Bytes that came and were at hand last: where, of whom. ``seq``: of the last record appended before; ``size``: of all of
    it, ``data`` may be cut."""

    link: int
    direction: int
    identity: bytes
    seq: int
    offset: int
    size: int
    data: bytes


def at_hand(path: Path) -> tuple[int, AtHand] | None:
    """Incarnation of the spool, and what was at hand last; None: nothing was."""
    try:
        found = path.read_bytes()
    except OSError:
        return None
    if len(found) < SIZE:
        return None
    one = AtHand._make(AT_HAND.unpack_from(found, ABOUT))
    incarnation = int.from_bytes(found[INCARNATION:PID], "little")
    return (incarnation, one._replace(identity=one.identity.rstrip(b"\0"), data=one.data[: one.size])) if one.size else None


def last_shown(path: Path) -> str:
    """The message that was at hand last, in words: action, message id, charger; empty: none.

    Of one that is compressed, or of which only a later piece was at hand, just whose it is.
    """
    found = at_hand(path)
    if found is None:
        return ""
    one, whose = _BEGINNING(_beginning(found[1].data)), found[1].identity.decode("utf-8", "replace")
    if one is None:
        return f"one of {whose}"
    what = one[2].decode("utf-8", "replace") if one[2] else "the answer to"
    return f"{what} {one[1].decode('utf-8', 'replace')} of {whose}"


def _beginning(data: bytes) -> bytes:
    """How the text of a frame begins; empty when it is none that begins here, or a compressed one."""
    if len(data) < 2 or data[0] & 0x7F != TEXT:
        return b""
    key = 2 + (0, 2, 8)[max(0, (data[1] & 127) - 125)]
    text = data[key + 4 :][:TEXT_BYTES] if data[1] & 128 else data[key:][:TEXT_BYTES]
    return unmask(text, data[key : key + 4]) if data[1] & 128 else text


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

    def __init__(self, path: Path | None = None, incarnation: int = 0) -> None:
        """``incarnation``: of the spool."""
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
        self.cells[INCARNATION:PID] = incarnation.to_bytes(PID - INCARNATION, "little")

    def number(self, name: str) -> int:
        """The number of a plugin."""
        found = self._numbers.get(name)
        if found is None:
            data = name.encode("utf-8", "replace").replace(b"\0", b"?") + b"\0"
            if len(self._numbers) >= MOST_NAMES or self._end + len(data) > INCARNATION:
                return OTHER
            found = self._numbers[name] = len(self._numbers) + 1
            self.cells[self._end : self._end + len(data)] = data
            self._end += len(data)
        return found
