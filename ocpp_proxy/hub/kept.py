"""Kept segments (``capture.keep_spool``): every commit is also appended, masked and compressed, beside the capture.

First the segment, then the capture, under one number that is stored in the same transaction: killed in between, the
next run uses that number again, and the later batch counts. So a damaged capture is rebuilt by committing all again.
"""

import contextlib
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from ocpp_proxy.hub.store import Position, Store
from ocpp_proxy.hub.tail import size_of
from ocpp_proxy.model import CaptureError
from ocpp_proxy.records import Record
from ocpp_proxy.wire import kept
from ocpp_proxy.wire.kept import Batch, Reached

SEGMENT_BYTES = 8 << 20


class KeptStore:
    """A store that keeps what it commits. ``limit``: bytes of kept segments, the oldest go above it; 0: no limit."""

    def __init__(self, store: Store, folder: Path, limit: int) -> None:
        self._store, self._folder, self._limit = store, folder, limit
        self._number = -1                   # of the last batch in the store; -1: to be asked
        self._before: tuple[Reached, ...] = ()
        self._fd = -1
        self._salt = self._size = 0

    def positions(self) -> list[Position]:
        """See ``Store``."""
        return self._store.positions()

    def state(self) -> dict[str, bytes]:
        """See ``Store``."""
        return self._store.state()

    def commit(
        self, records: Sequence[Record], positions: Sequence[Position], changed: Mapping[str, bytes | None],
    ) -> None:
        """See ``Store``. Raises ``CaptureError`` as well when it cannot be kept: then nothing is committed."""
        if self._number < 0:
            self._number = int(self._store.state().get(kept.NUMBER, b"0"))
            self._before = _reached(self._store.positions())
        number, self._number = self._number + 1, -1         # a commit that raises may have happened
        counted = {kept.NUMBER: b"%d" % number}
        state = {key: piece for key, piece in changed.items() if piece is not None and key.startswith(kept.COUNTERS)}
        batch = Batch(number, self._before, _reached(positions), list(records), state | counted)
        try:
            self._append(batch)
        except OSError as error:
            raise CaptureError(f"{self._folder}: could not be written: {error.strerror}") from error
        self._store.commit(records, positions, {**changed, **counted})
        self._number = number
        self._before = batch.positions or self._before

    def checkpoint(self) -> None:
        """See ``Store``."""
        self._store.checkpoint()

    def close(self) -> None:
        """See ``Store``. The whole state is kept too: a capture rebuilt from here goes on as if nothing had happened."""
        state, reached = self._store.state(), _reached(self._store.positions())
        self._store.close()
        number = int(state.get(kept.NUMBER, b"0"))
        if self._fd >= 0 and number:
            with contextlib.suppress(OSError):          # the next run uses this number again
                self._append(Batch(number + 1, reached, reached, [], state, whole=True))
        self._end()

    def _append(self, batch: Batch) -> None:
        if self._fd < 0 or self._size >= SEGMENT_BYTES:
            self._begin()
        data = kept.encode(batch, self._salt)
        try:
            _write(self._fd, data)
            os.fdatasync(self._fd)
        except OSError:
            self._end()                     # go on in a new file, behind what is torn here
            raise
        self._size += len(data)

    def _begin(self) -> None:
        self._end()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        paths = _files(self._folder)
        number = int(paths[-1].stem) + 1 if paths else 1
        self._salt = secrets.randbits(64)
        path = self._folder / f"{number:08d}{kept.SUFFIX}"
        self._fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        begin = kept.header(self._salt)
        try:
            _write(self._fd, begin)
        except OSError:
            self._end()
            raise
        self._size = len(begin)
        self._thin(paths)

    def _thin(self, paths: list[Path]) -> None:
        surplus = sum(map(size_of, paths)) - self._limit if self._limit else 0
        for path in paths:
            if surplus <= 0:
                break
            surplus -= size_of(path)
            path.unlink(missing_ok=True)

    def _end(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _files(folder: Path) -> list[Path]:
    """The kept segments, oldest first."""
    return sorted((path for path in folder.glob(f"*{kept.SUFFIX}") if path.stem.isdigit()), key=lambda path: int(path.stem))


def _reached(positions: Sequence[Position]) -> tuple[Reached, ...]:
    return tuple(sorted((one.worker, one.incarnation, one.seq) for one in positions))


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
