"""Bookmarks: marks and notes that a person puts on messages, kept in the capture.

All of them stand in the newest segment and go over to the next one with the rotation, since closed segments stay as they are.
Times are kept to the microsecond.
"""

import asyncio
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path

import duckdb

from ocpp_proxy.model import CaptureError, ConfigError
from ocpp_proxy.source import Bookmark
from ocpp_proxy_captures.database import Connection, attach, connect
from ocpp_proxy_captures.gate import aside

MOST = 10_000                               # bookmarks of a capture
NOTE, TAG, TAGS = 4_000, 100, 50            # characters of a note, of a tag, tags of a bookmark
_ALL = """SELECT msg_no, epoch_us(ts) * 1000, coalesce(note, ''), coalesce(author, ''), coalesce(tags, []) FROM bookmarks
    ORDER BY msg_no"""


class Marks(ABC):
    """The bookmarks of what ``reading`` reads. Every method blocks."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[Connection]:
        """A cursor for one statement after the other."""

    @abstractmethod
    def bookmark(self, mark: Bookmark) -> None:
        """As ``source.Source.bookmark``. Raises ``ConfigError`` when it cannot be stored."""

    def bookmarks(self) -> list[Bookmark]:
        """All bookmarks, in order of their messages."""
        with self.reading() as con:
            rows = con.execute(_ALL).fetchall()
        return [Bookmark(msg_no, time_ns, note, author, tuple(tags)) for msg_no, time_ns, note, author, tags in rows]


class SourceMarks(ABC):
    """The same for a ``source.Source``: in another thread."""

    @property
    @abstractmethod
    def reader(self) -> Marks:
        """The blocking interface."""

    async def bookmarks(self) -> list[Bookmark]:
        """All bookmarks, in order of their messages."""
        return await aside(self.reader.bookmarks)

    async def bookmark(self, mark: Bookmark) -> None:
        """Store a bookmark, or take it away."""
        await asyncio.to_thread(self.reader.bookmark, mark)


def put(con: Connection, database: str, mark: Bookmark) -> None:
    """Store or take away a bookmark, in one transaction. Raises ``ConfigError`` when it is too large, ``duckdb.Error``."""
    if len(mark.note) > NOTE or len(mark.author) > TAG or len(mark.tags) > TAGS or any(len(tag) > TAG for tag in mark.tags):
        raise ConfigError(f"a bookmark has at most {NOTE} characters of note and {TAGS} tags of {TAG} characters")
    table, gone = f"{database}.bookmarks", not (mark.note or mark.tags or mark.time_ns)
    con.execute("BEGIN")
    try:
        con.execute(f"DELETE FROM {table} WHERE msg_no = ?", [mark.msg_no])
        if not gone:
            if con.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0] >= MOST:
                raise ConfigError(f"the capture has {MOST} bookmarks already; take some away")
            con.execute(f"INSERT INTO {table} VALUES (?, make_timestamptz(CAST(? AS BIGINT)), ?, ?, ?)", [
                mark.msg_no, mark.time_ns // 1000, mark.author or None, mark.note or None, list(mark.tags) or None])
        con.execute("COMMIT")
    except (duckdb.Error, ConfigError) as error:
        if not isinstance(error, duckdb.FatalException):
            con.execute("ROLLBACK")
        raise


def put_in_file(path: Path, mark: Bookmark) -> None:
    """Open a file that nobody else has open, store a bookmark in it, close it. Raises ``ConfigError``."""
    try:
        writable = path.stat().st_mode & 0o200
    except OSError as error:
        raise ConfigError(f"{path}: no bookmark was stored: {error.strerror}") from error
    refusal = f"{path}: no bookmark was stored"
    if not writable:
        raise ConfigError(f"{refusal}: the file is read-only; bookmark in a copy of it that may be written")
    con = connect()
    try:
        attach(con, path, "capture", read_only=False)
        put(con, "capture", mark)
        con.execute("CHECKPOINT capture")
        con.execute("DETACH capture")
    except CaptureError as error:
        if "lock" in str(error.__cause__):
            raise ConfigError(f"{refusal}: another process has the file open; close it there first") from error
        raise ConfigError(f"no bookmark was stored: {error}") from error
    except duckdb.Error as error:
        raise ConfigError(f"{refusal}: {str(error).splitlines()[0]}") from error
    finally:
        con.close()
