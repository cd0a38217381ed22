"""Segments of a capture folder: their names, the carry-over from one to the next, retention.

A rotation never leaves a moment in which rows could be lost or doubled: the next segment is complete, with positions and
state, before it gets its name, and the highest number is always the one that is written to.
"""

import os
from pathlib import Path

from ocpp_proxy_captures.database import (
    OF_THE_LAST,
    SCHEMA_VERSION,
    Connection,
    attach,
    define_views,
    quoted,
    resource,
    segment_number,
    segments,
)


def create(con: Connection, path: Path, carry_from: str | None = None) -> None:
    """Make a new, empty capture file with all tables and views; with positions, state and meta of another, if given."""
    draft = path.with_name(path.name + ".new")
    for stale in (draft, Path(f"{draft}.wal")):
        stale.unlink(missing_ok=True)
    attach(con, draft, "draft", read_only=False)
    try:
        con.execute("USE draft")
        con.execute(resource("schema.sql"))
        con.execute(resource("views.sql"))
        if carry_from is None:
            con.execute(f"INSERT INTO meta VALUES ('schema_version', '{SCHEMA_VERSION}'), ('progress', '{{}}')")
        else:
            for table in OF_THE_LAST:
                con.execute(f"INSERT INTO {table} SELECT * FROM {carry_from}.{table}")
        con.execute("CHECKPOINT draft")
    finally:
        con.execute("USE memory")
        con.execute("DETACH draft")
    draft.chmod(0o600)
    _sync(draft)
    os.replace(draft, path)
    _sync(path.parent)


def next_path(folder: Path, current: Path | None) -> Path:
    """The path of the segment that follows."""
    return folder / f"capture-{(segment_number(current) if current else 0) + 1:06d}.duckdb"


def close_segment(path: Path) -> None:
    """Make a closed segment read-only."""
    path.chmod(0o400)


def surplus(folder: Path, retention_bytes: int) -> list[Path]:
    """The closed segments that must go, oldest first, so that the folder holds at most ``retention_bytes`` (0: no limit)."""
    files = segments(folder)
    total = sum(path.stat().st_size for path in files)
    gone: list[Path] = []
    for path in files[:-1]:
        if not retention_bytes or total <= retention_bytes:
            break
        total -= path.stat().st_size
        gone.append(path)
    return gone


def keep_open_links(con: Connection, old: str, current: str) -> None:
    """Copy what opened the links that are still open from a segment that will be deleted to the current one."""
    con.execute(f"""
        INSERT INTO {current}.events SELECT * FROM {old}.events o
        WHERE o.kind IN ('link_opened', 'handshake')
          AND o.link_id NOT IN (SELECT link_id FROM events WHERE kind = 'link_closed' AND link_id IS NOT NULL)
          AND o.no NOT IN (SELECT no FROM {current}.events)""")


def union(con: Connection, paths: list[Path], current: str) -> None:
    """Attach the closed segments and define the views over them and the current one."""
    aliases = []
    for path in paths:
        alias = f"closed_{segment_number(path)}"
        known = con.execute(f"SELECT 1 FROM duckdb_databases() WHERE database_name = {quoted(alias)}").fetchall()
        if not known:
            attach(con, path, alias, read_only=True)
        aliases.append(alias)
    define_views(con, [*aliases, current])


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
