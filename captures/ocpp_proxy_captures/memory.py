"""Keeps the memory of the writing process small when large values pass through it.

DuckDB holds what is committed in memory until the next checkpoint, and allocators keep what they once had. So after large
values DuckDB is made to spill (into a private folder beside the capture), and free pages go back to the system.
"""

import ctypes
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb
import pyarrow as pa

from ocpp_proxy_captures.database import MEMORY_LIMIT, Connection, quoted

TIGHT = "16MB"              # what DuckDB may hold right after large values


def spill_folder(file: Path) -> Path:
    """Where DuckDB spills to while it writes a capture file."""
    return file.with_name(f".{file.name}.spill")


def allow_spilling(con: Connection, file: Path) -> None:
    """Give the connection its own empty folder to spill into, for the owner alone. What a killed process left goes."""
    folder = spill_folder(file)
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError, duckdb.Error):           # else it holds everything in memory, as it did
        folder.mkdir(mode=0o700)
        con.execute(f"SET temp_directory = {quoted(str(folder))}")


def end_spilling(file: Path) -> None:
    """The connection is closed."""
    shutil.rmtree(spill_folder(file), ignore_errors=True)


@contextmanager
def tight(con: Connection) -> Iterator[None]:
    """DuckDB has little memory meanwhile. What it cannot let go of now is no reason to fail."""
    with suppress(duckdb.OutOfMemoryException):
        con.execute(f"SET memory_limit = '{TIGHT}'")
    try:
        yield
    finally:
        with suppress(duckdb.Error):                # invalidated: the first error tells why
            con.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")


def let_go(con: Connection) -> None:
    """Spill what DuckDB holds, and give free memory back to the system."""
    with tight(con):
        pass
    trim()


def trim() -> None:
    """Give the allocators' free pages back: glibc keeps up to hundreds of megabytes between blocks in use."""
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):     # another C library
            ctypes.CDLL(None).malloc_trim(0)
