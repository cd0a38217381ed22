"""A spool writer for tests: appends records the way a relay worker does, with its flock, and can be killed."""

import fcntl
import os
import secrets
from pathlib import Path

from ocpp_proxy.hub.tail import BOOT_ID
from ocpp_proxy.wire import spool
from ocpp_proxy.wire.spool import Kind, Segment

SECOND = 1_000_000_000
BEGIN = 1_700_000_000 * SECOND


class Writer:
    """One incarnation of one worker. Times are given by a counter: one millisecond a record."""

    def __init__(
        self, folder: Path, worker: int = 0, incarnation: int | None = None, mono: int = 1000, boot: bytes | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.worker = worker
        self.incarnation = incarnation if incarnation is not None else secrets.randbits(64)
        self.seq = 0
        self.mono = mono
        self.number = 0
        self.boot = bytes.fromhex(BOOT_ID.read_text().strip().replace("-", "")) if boot is None else boot
        self.fd = -1
        self.path = Path()
        self.ends: list[int] = []           # ends of the records of the open segment
        self.rotate()

    def rotate(self) -> None:
        """Begin the next segment, then close the old one."""
        old = self.fd
        self.number += 1
        self.path = self.folder / f"w{self.worker}-{self.incarnation:016x}-{self.number:08d}.seg"
        self.fd = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND, 0o600)
        fcntl.flock(self.fd, fcntl.LOCK_EX)
        self.segment = Segment(
            self.worker, self.boot, self.incarnation, secrets.randbits(64), self.seq + 1, BEGIN + self.mono, self.mono,
        )
        self.start = spool.start_crc(self.segment.salt)
        os.write(self.fd, spool.segment_header(self.segment))
        self.ends = []
        if old >= 0:
            os.close(old)

    def append(
        self, data: bytes = b"", kind: Kind = Kind.IN, link: int = 1, direction: int = 0, offset: int = 0, seq: int = 0,
    ) -> int:
        """Append one record; its seq."""
        os.write(self.fd, self.packed(data, kind, link, direction, offset, seq))
        self.ends.append(os.fstat(self.fd).st_size)
        return self.seq

    def packed(
        self, data: bytes, kind: Kind = Kind.IN, link: int = 1, direction: int = 0, offset: int = 0, seq: int = 0,
    ) -> bytes:
        """The bytes of the next record."""
        self.seq = seq or self.seq + 1
        self.mono += 1_000_000
        head = spool.record_header(
            self.start, kind, direction, self.seq, BEGIN + self.mono, self.mono, link, offset, data,
        )
        return head + data

    def beat(self) -> int:
        """Append a BEAT."""
        return self.append(kind=Kind.BEAT, link=0)

    def raw(self, data: bytes) -> None:
        """Append bytes that are no record."""
        os.write(self.fd, data)

    def die(self) -> None:
        """The process is gone: the kernel lets go of the flock."""
        os.close(self.fd)
        self.fd = -1
