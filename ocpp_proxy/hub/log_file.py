"""The log file of an instance folder: written by supervisor and recorder, read by ``/v1/log``."""

import contextlib
import os
from pathlib import Path

import msgspec
from msgspec import structs

from ocpp_proxy.escape import safe_text
from ocpp_proxy.source import LogLine

LINE = 2000                                 # characters of one value
FILE_BYTES = 512 << 10                      # then a new file is begun; the one before is kept


class LogFile:
    """The log of one instance: ``log.ndjson`` and the one before it, ``log.1.ndjson``. Several processes append."""

    def __init__(self, instance: Path) -> None:
        self._path = instance / "log.ndjson"
        self._before = instance / "log.1.ndjson"
        self._lines = msgspec.json.Decoder(LogLine)

    def write(self, *fresh: LogLine) -> None:
        """Append lines, their text escaped. A folder that cannot be written loses them: nothing stops for its log."""
        safe = (structs.replace(line, text=str(safe_text(line.text, LINE))) for line in fresh)
        data = b"".join(msgspec.json.encode(line) + b"\n" for line in safe)
        with contextlib.suppress(OSError):
            fd = os.open(self._path, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                os.write(fd, data)
                full = os.fstat(fd).st_size >= FILE_BYTES
            finally:
                os.close(fd)
            if full and self._path.stat().st_size >= FILE_BYTES:        # another process may have begun a new one
                self._path.replace(self._before)

    def since(self, after_ns: int) -> list[LogLine]:
        """The lines later than ``after_ns``, oldest first; one that was written twice, once."""
        found: dict[LogLine, None] = {}
        for path in (self._before, self._path):
            with contextlib.suppress(OSError):
                for row in path.read_bytes().splitlines():
                    with contextlib.suppress(msgspec.DecodeError):      # cut by a crash
                        line = self._lines.decode(row)
                        if line.time_ns > after_ns:
                            found[line] = None
        return sorted(found, key=lambda line: line.time_ns)
