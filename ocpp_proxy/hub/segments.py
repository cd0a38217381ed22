"""Segment files of the spool as a reader sees them: their names, their headers, whether the writer lives, their records.

A reader never trusts a tail: it goes on from the end of the last good record. Whether a bad tail is unfinished or damaged
is decided by the flock the writer holds on its open segment.
"""

import fcntl
import os
import re
from pathlib import Path
from zlib import crc32

from msgspec import Struct, structs

from ocpp_proxy.wire import spool
from ocpp_proxy.wire.spool import Damage, Segment, SpoolRecord

WINDOW = 1 << 20                            # bytes read at once; grows where one record or one bad stretch is larger
_NAME = re.compile(r"w(\d+)-([0-9a-f]{16})-(\d{8,})\.seg")


class SegmentName(Struct, frozen=True, gc=False, order=True):
    """What the name of a segment file says: ``w<worker>-<incarnation>-<number>.seg``."""

    worker: int
    incarnation: int
    number: int
    path: Path


def scan(folder: Path) -> list[SegmentName]:
    """The segments of a folder, in the order of worker, incarnation, number. A missing folder holds none."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        match = _NAME.fullmatch(name)
        if match is not None:
            found.append(SegmentName(int(match[1]), int(match[2], 16), int(match[3]), folder / name))
    return sorted(found)


def read_header(name: SegmentName) -> Segment | None:
    """The header of a segment, repaired where a flipped bit allows it. None: too short yet, or not to be read."""
    try:
        fd = os.open(name.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _header(name, os.pread(fd, spool.SEGMENT.size + WINDOW, 0))
    finally:
        os.close(fd)


def has_writer(folder: Path, worker: int | None = None) -> bool:
    """Whether a relay worker (any, or that one) is at work in this spool folder."""
    for name in scan(folder):
        header = read_header(name) if worker in (None, name.worker) else None
        if header is None:
            continue
        reader = SegmentReader(name, header)
        try:
            if reader.held():
                return True
        finally:
            reader.close()
    return False


class SegmentReader:
    """One open segment. ``position`` is the end of the last record read; the file is never read twice before it."""

    def __init__(self, name: SegmentName, header: Segment) -> None:
        self.name = name
        self.header = header
        self.position = spool.SEGMENT.size
        self._fd = os.open(name.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def held(self) -> bool:
        """Whether the writer lives: it keeps an exclusive flock on its open segment."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        return False

    def read(self, closed: bool) -> tuple[list[SpoolRecord | Damage], bool]:
        """The next records, about ``WINDOW`` bytes of them, and whether the end of the file is reached.

        ``closed``: nobody will append any more, so a bad tail is damage. Ask ``held`` before, never after.
        """
        size = os.fstat(self._fd).st_size
        span = WINDOW
        while True:
            data = os.pread(self._fd, span, self.position)
            end = self.position + len(data) >= size or len(data) < span
            items: list[SpoolRecord | Damage] = []
            for item, position in spool.read_records(data, self.header, self.position, closed and end):
                items.append(item)
                self.position = position
            if items or end:
                return items, end
            span *= 2

    def beginnings(self, damage: Damage) -> int:
        """How many records seem to begin in a damaged range."""
        return os.pread(self._fd, damage.end - damage.start, damage.start).count(spool.MAGIC_BYTES)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)


def _header(name: SegmentName, data: bytes) -> Segment | None:
    """Decode a header; the name is believed before the bytes, and the salt is checked against the first records."""
    if len(data) < spool.SEGMENT.size:
        return None
    magic, form, _, _, boot, _, salt, first, wall, mono = spool.SEGMENT.unpack_from(data)
    if form != spool.FORMAT and magic == spool.SEGMENT_MAGIC and (form ^ spool.FORMAT).bit_count() != 1:
        return None                         # a format of another version, not a flipped bit
    body = data[spool.SEGMENT.size :]
    header = Segment(name.worker, boot, name.incarnation, salt, first, wall, mono)
    intact = magic == spool.SEGMENT_MAGIC and form == spool.FORMAT
    if _fits(body, header) or (intact and spool.MAGIC_BYTES not in body):
        return header
    for bit in range(64):
        mended = structs.replace(header, salt=salt ^ (1 << bit))
        if _fits(body, mended):
            return mended
    return header if intact else None


def _fits(body: bytes, header: Segment) -> bool:
    """Whether one of the first records of a segment has a good CRC under this header's salt."""
    start, at = spool.start_crc(header.salt), body.find(spool.MAGIC_BYTES)
    for _ in range(4):
        if at < 0 or len(body) - at < spool.RECORD.size:
            return False
        _, size, crc = spool.RECORD.unpack_from(body, at)[:3]
        end = at + spool.RECORD.size
        if size <= len(body) - end and crc32(body[end : end + size], crc32(body[at + 12 : end], start ^ size)) == crc:
            return True
        at = body.find(spool.MAGIC_BYTES, at + 1)
    return False
