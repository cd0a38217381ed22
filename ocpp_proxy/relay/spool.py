"""The spool writer: appends the records of a loop turn to the open segment before anything of them is forwarded.

Never raises and never waits for anybody: what cannot be appended (full disk, limit reached, broken disk) is counted, and
one GAP record with the true count follows when there is room again.
"""

import os
import secrets
import struct
import time
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any
from zlib import crc32

from msgspec import structs

from ocpp_proxy.config import SpoolConfig
from ocpp_proxy.relay import segments
from ocpp_proxy.relay.missed import Missed
from ocpp_proxy.wire.spool import MAGIC, RECORD, GapBody, Kind, encode_body

# One record to append and what to do once it is: kind, direction, link, offset, data, call, argument of the call.
Entry = tuple[int, int, int, int, bytes, Callable[[Any], object] | None, Any]
Write = Callable[[int, Sequence[bytes]], int]

MAX_RECORDS = 500                           # two parts a record: below IOV_MAX
JOIN_BYTES = 8 << 10                        # records smaller than that on average are written as one buffer: 3 x quicker
ROOM_AFTER_GAP = 256 << 10                  # a gap ends only when that much is free: one gap, not one per free page
_IN = 3
_FRONT = struct.Struct("<III").pack         # magic, length, crc: with _REST the layout of wire.spool.RECORD
_REST = struct.Struct("<BBHQQQQQ").pack     # kind, direction, flags, seq, time, mono, link, offset


class SpoolWriter:
    """Writer of one relay incarnation. ``seq`` is the number of the last record, appended or counted as missing."""

    def __init__(self, folder: Path, worker: int, settings: SpoolConfig, write: Write = os.writev) -> None:
        """Open the first segment. Raises ``ConfigError`` on an unsafe folder, ``OSError`` when nothing can be made."""
        segments.prepare(folder)
        self.folder = folder
        self.worker = worker
        self.incarnation = secrets.randbits(63) | 1
        self.seq = 0
        self.limit = segments.limit_of(folder, settings.limit_bytes)
        self.lost_records = self.lost_bytes = self.gaps = self.written_bytes = 0
        self._settings = settings
        self._sync = settings.fsync == "always"
        self._segment_bytes = min(settings.segment_bytes, max(self.limit // 4, 4096))   # the open one cannot be deleted
        self._write = write
        self._number = 1
        self._gap: GapBody | None = None
        self._missed = Missed()             # where links stand behind the gap
        self._torn = False                  # a bad tail could not be cut off: go on in a new segment
        self._segment = segments.SegmentFile(folder, worker, self.incarnation, 1, 1)
        self._budget = 0
        self._measure()

    @property
    def in_gap(self) -> bool:
        """Whether records are being counted instead of appended."""
        return self._gap is not None

    def append(self, turn: list[Entry]) -> None:
        """Append the records of a loop turn, in order. Never raises; what finds no room is counted."""
        if len(turn) > MAX_RECORDS:
            for at in range(0, len(turn), MAX_RECORDS):
                self.append(turn[at : at + MAX_RECORDS])
            return
        wall, mono = time.time_ns(), time.monotonic_ns()
        if self._gap is not None:
            self._lose(turn, "", wall)
            return
        seq, start, total = self.seq, self._segment.start, 0
        parts: list[bytes] = []
        for kind, direction, link, offset, data, _, _ in turn:
            seq += 1
            size = len(data)
            rest = _REST(kind, direction, 0, seq, wall, mono, link, offset) + data
            parts.append(_FRONT(MAGIC, size, crc32(rest, start ^ size)))
            parts.append(rest)
            total += size
        total += len(turn) * RECORD.size
        segment = self._segment
        if segment.size + total > self._budget and not self._fits(total):
            self._lose(turn, "spool limit", wall)
            return
        try:
            written = self._write(segment.fd, [b"".join(parts)] if total < JOIN_BYTES * len(turn) else parts)
        except OSError as error:
            self._failed(turn, parts, 0, error, wall)
            return
        if written != total and not self._finish(turn, parts, written, wall):
            return
        self.seq = seq
        segment.size += total
        self.written_bytes += total
        if self._sync:
            self._flush_to_disk()
        if segment.size >= self._segment_bytes:
            self._rotate()

    def append_one(self, direction: int, link: int, offset: int, data: bytes, mono_ns: int) -> bool:
        """Append a single IN record, the quick way; False: nothing was done, use ``append``. Never raises."""
        segment, size = self._segment, len(data)
        total = size + RECORD.size
        if segment.size + total > self._budget or self._gap is not None or self._sync:
            return False
        wall, seq = time.time_ns(), self.seq + 1
        rest = _REST(_IN, direction, 0, seq, wall, mono_ns, link, offset) + data
        front = _FRONT(MAGIC, size, crc32(rest, segment.start ^ size))
        try:
            written = self._write(segment.fd, (front, rest))
        except OSError:                     # the other way meets it again and counts
            return False
        if written != total:
            entry = (_IN, direction, link, offset, data, None, None)
            if not self._finish([entry], [front, rest], written, wall):
                return True
        self.seq = seq
        segment.size += total
        self.written_bytes += total
        if segment.size >= self._segment_bytes:
            self._rotate()
        return True

    def tick(self) -> None:
        """Every 250 ms: end a gap when there is room again, rotate by time, look what the recorder has deleted."""
        if self._gap is not None or self._segment.size * 2 > self._budget:
            self._measure()
        if self._gap is not None:
            self._end_gap()
        elif time.monotonic_ns() - self._segment.opened_ns >= self._settings.segment_seconds * 1e9:
            self._rotate()

    def close(self) -> None:
        """Say what is missing, if there is room, and let the segment go."""
        if self._gap is not None:
            self._measure()
            self._end_gap(room=0)
        self._segment.close()

    def _fits(self, total: int) -> bool:
        """Measure anew: the recorder may have deleted segments since."""
        self._measure()
        return self._segment.size + total <= self._budget

    def _measure(self) -> None:
        self._budget = self.limit - segments.used_bytes(self.folder, self._segment.name)

    def _lose(self, turn: list[Entry], reason: str, wall: int) -> None:
        """Count the records of ``turn`` as missing; their numbers are used up."""
        gap = self._gap or GapBody(self.seq + 1, self.seq, 0, 0, reason, wall)
        if self._gap is None:
            self._missed = Missed()
        self._missed.lose(turn)
        size = sum(len(entry[4]) for entry in turn)
        self.seq += len(turn)
        self.lost_records += len(turn)
        self.lost_bytes += size
        self._gap = GapBody(gap.from_seq, self.seq, gap.records + len(turn), gap.bytes + size, gap.reason, gap.started_ns)

    def _finish(self, turn: list[Entry], parts: list[bytes], written: int, wall: int) -> bool:
        """A short write: try the rest. It is the usual sign that the disk is about to be full."""
        whole = b"".join(parts)
        while written < len(whole):
            try:
                count = self._write(self._segment.fd, [whole[written:]])
            except OSError as error:
                self._failed(turn, parts, written, error, wall)
                return False
            if count <= 0:
                self._failed(turn, parts, written, OSError(28, "nothing written"), wall)
                return False
            written += count
        return True

    def _failed(self, turn: list[Entry], parts: list[bytes], written: int, error: OSError, wall: int) -> None:
        """Keep the records that were written whole, cut the torn one off, count the rest."""
        ends = list(accumulate(len(head) + len(data) for head, data in zip(parts[::2], parts[1::2], strict=True)))
        whole = sum(end <= written for end in ends)
        if whole:
            self.seq += whole
            self._segment.size += ends[whole - 1]
            self.written_bytes += ends[whole - 1]
        self._torn = not self._segment.cut()
        self._lose(turn[whole:], os.strerror(error.errno or 5), wall)

    def _end_gap(self, room: int = ROOM_AFTER_GAP) -> None:
        gap = self._gap
        if gap is None or self._budget - self._segment.size < min(room, self.limit // 4):
            return
        if room and segments.free_bytes(self.folder) < room:
            return
        if self._torn and not self._rotate():
            return
        body = encode_body(structs.replace(gap, boundaries=self._missed.boundaries()))
        if len(body) > (self._budget - self._segment.size) // 2:
            body = encode_body(gap)         # too little room: the reader has to look for frames itself
        self._gap, missed = None, self._missed
        before = self.lost_records
        self.append([(Kind.GAP, 0, 0, 0, body, None, None)])
        if self._gap is not None:           # no room after all: the GAP record itself was counted; take it back
            self.seq -= 1
            self.lost_records = before
            self.lost_bytes -= len(body)
            self._gap, self._missed = gap, missed
        else:
            self.gaps += 1

    def _rotate(self) -> bool:
        """Go on in a new segment; the old one is closed after the new one exists. When none can be made, stay."""
        try:
            made = segments.SegmentFile(self.folder, self.worker, self.incarnation, self._number + 1, self.seq + 1)
        except OSError:
            return False
        self._segment.close()
        self._segment, self._torn = made, False
        self._number += 1
        self._measure()
        return True

    def _flush_to_disk(self) -> None:
        try:
            os.fdatasync(self._segment.fd)
        except OSError:                     # the records are in the file; a later write will show a broken disk
            return
