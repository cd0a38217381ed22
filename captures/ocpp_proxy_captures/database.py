"""Opens capture files: one in-memory DuckDB with every file attached, and the views over all of them.

A capture is one file or a folder of segments; both look the same from here on. DuckDB's own messages about locks and
damage never reach the user: they become ``CaptureError`` with what to do.
"""

import re
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb

from ocpp_proxy.model import CaptureError

SCHEMA_VERSION = 2
READABLE = ("1", "2")                      # schemas this release reads; what it writes to becomes the newest
STORAGE_VERSION = "v1.5.0"                  # a capture is mailed to people: DuckDB 1.5 and 2.0 open it, and zstd works
BLOCK_SIZE = 64 << 10       # of a new file: every column of every table leaves part of a block empty (256 KiB by itself)
TABLES = ("runs", "events", "wire", "pieces", "samples", "found")
OF_THE_LAST = ("meta", "positions", "state", "bookmarks")        # carried over from segment to segment: the newest counts
SEGMENT = re.compile(r"capture-(\d{6,})\.duckdb")
MEMORY_LIMIT = "1GB"
APART_BEGINS, APART_ENDS = "-- large payloads", "-- end of large payloads"      # in views.sql
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": MEMORY_LIMIT, "temp_directory": "", "checkpoint_threshold": "1TB",
    "autoinstall_known_extensions": False, "autoload_known_extensions": False, "allow_community_extensions": False,
    "python_enable_replacements": False,
}
FETCH = 256                                 # rows made at once: no other thread of the process has a turn meanwhile
Connection = duckdb.DuckDBPyConnection


def resource(name: str) -> str:
    """The text of one of the SQL files of this package."""
    return files("ocpp_proxy_captures").joinpath(name).read_text(encoding="utf-8")


def segments(folder: Path) -> list[Path]:
    """The segment files of a folder, oldest first."""
    try:
        names = [path for path in folder.iterdir() if SEGMENT.fullmatch(path.name)]
    except OSError as error:
        raise CaptureError(f"{folder}: cannot be read: {error.strerror}") from error
    return sorted(names, key=segment_number)


def segment_number(path: Path) -> int:
    """The number in the name of a segment."""
    match = SEGMENT.fullmatch(path.name)
    return int(match[1]) if match else 0


def connect(threads: int = 2) -> Connection:
    """An empty in-memory database with our settings. One thread is best for many small commits: half the CPU time of two."""
    con = duckdb.connect(":memory:", config={**_SETTINGS, "threads": threads})
    con.execute("SET TimeZone = 'UTC'")
    if duckdb.__version__.startswith("2.0."):           # drops a LIMIT above a LEFT JOIN to an empty side otherwise
        con.execute("SET disabled_optimizers = 'statistics_propagation'")
    return con


def attach(con: Connection, path: Path, alias: str, read_only: bool, logged: bool = True) -> None:
    """Attach a capture file. Raises ``CaptureError`` when it is in use, damaged, or not a capture.

    ``logged`` False: commits reach the file with the next checkpoint only, there is no .wal.
    """
    options = "READ_ONLY" if read_only else f"STORAGE_VERSION '{STORAGE_VERSION}'"
    if not logged:
        options += ", RECOVERY_MODE no_wal_writes"
    if not read_only and not path.exists():
        options += f", BLOCK_SIZE {BLOCK_SIZE}"
    try:
        con.execute(f"ATTACH {quoted(str(path))} AS {alias} ({options})")
    except duckdb.Error as error:
        raise refused(path, error) from error


def quoted(text: str) -> str:
    """A string literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def refused(path: Path, error: Exception) -> CaptureError:
    """Our words for what DuckDB says about a file it cannot open."""
    text = str(error)
    if "Could not set lock" in text or "Conflicting lock" in text or "being used by another process" in text:
        owner = re.search(r"PID (\d+)", text)
        who = f"process {owner[1]}" if owner else "another process"
        return CaptureError(
            f"{path}: is being written by {who}. Ask the running proxy (leave the file name out), or stop it first.")
    if isinstance(error, duckdb.OutOfMemoryException):
        return CaptureError(f"{path}: there was not enough memory to open it.")
    if not path.exists():
        return CaptureError(f"{path}: no such file.")
    if "Permission denied" in text:
        return CaptureError(f"{path}: permission denied.")
    what = "is not a capture or is damaged"
    if "checksum" in text.lower() or "corrupt" in text.lower():
        what = "is damaged (a checksum does not fit)"
    elif "WAL" in text or "replaying" in text.lower():
        what = "is damaged (its .wal cannot be replayed)"
    elif path.stat().st_size < 12288:
        what = f"is damaged (cut off: {path.stat().st_size} bytes)"
    return CaptureError(f"{path}: {what}. `ocpp-proxy doctor --repair` sets it aside and rebuilds what the spool still holds.")


def check_version(con: Connection, path: Path, alias: str) -> str:
    """The schema of an attached file. Raises ``CaptureError`` unless it is one that this release reads."""
    try:
        rows = con.execute(f"SELECT value FROM {alias}.meta WHERE key = 'schema_version'").fetchall()
    except duckdb.CatalogException as error:
        raise CaptureError(f"{path}: is a DuckDB file, but no capture (it has no table meta).") from error
    except duckdb.Error as error:
        raise refused(path, error) from error
    version = rows[0][0] if rows else "none"
    if version not in READABLE:
        raise CaptureError(
            f"{path}: was written with capture schema {version}; this release reads {' and '.join(READABLE)}."
            " Use the release that wrote it.")
    return str(version)


def migrate(con: Connection, path: Path, alias: str) -> None:
    """Bring an attached file that will be written to up to the newest schema, in one transaction. Raises ``CaptureError``."""
    if check_version(con, path, alias) == "1":
        con.execute(f"USE {alias}")
        try:
            con.execute("BEGIN")
            con.execute(resource("migrate_1_2.sql"))
            con.execute("COMMIT")
        finally:
            con.execute("USE memory")


def fetched(answered: Connection, most: int = sys.maxsize) -> list[tuple[Any, ...]]:
    """The rows of a result, up to ``most``."""
    rows: list[tuple[Any, ...]] = []
    while len(rows) < most and (some := answered.fetchmany(min(FETCH, most - len(rows)))):
        rows += some
    return rows


def define_views(con: Connection, aliases: Sequence[str]) -> None:
    """Define the tables of the capture in the in-memory database as the union of the attached files, then all views."""
    for table in TABLES:
        union = " UNION ALL BY NAME ".join(f"SELECT * FROM {alias}.{table}" for alias in aliases)
        con.execute(f"CREATE OR REPLACE VIEW {table} AS {union}")
    for table in OF_THE_LAST:
        con.execute(f"CREATE OR REPLACE VIEW {table} AS SELECT * FROM {aliases[-1]}.{table}")
    text = resource("views.sql")
    if not con.execute("SELECT 1 FROM pieces WHERE place = 0 LIMIT 1").fetchall():
        start, end = text.index(APART_BEGINS), text.index(APART_ENDS)
        text = text[:start] + text[end:]                # every query on messages would take half as long again for nothing
    con.execute(text)


def open_files(paths: Sequence[Path]) -> Connection:
    """Open a capture for reading: attach every file, check it, define the views. Raises ``CaptureError``."""
    con = connect()
    try:
        aliases = []
        for number, path in enumerate(paths):
            alias = f"segment_{number}"
            attach(con, path, alias, read_only=True)
            check_version(con, path, alias)
            aliases.append(alias)
        define_views(con, aliases)
        con.execute("SET enable_external_access = false")       # a view in a foreign capture could read local files
        con.execute("SET lock_configuration = true")
    except BaseException:
        con.close()
        raise
    return con


def capture_files(path: Path) -> list[Path]:
    """The files of a capture: itself, or the segments of a folder. Raises ``CaptureError`` when there are none."""
    if path.is_dir():
        found = segments(path)
        if not found:
            raise CaptureError(f"{path}: holds no capture (no capture-NNNNNN.duckdb).")
        return found
    if not path.exists():
        raise CaptureError(f"{path}: no such file.")
    return [path]
