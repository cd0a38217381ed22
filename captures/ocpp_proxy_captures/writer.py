"""The store that the recorder writes to: rows, positions and changed state in one transaction, exactly once.

One thread commits; readers use cursors of the same in-memory database under ``reading()``. After a fatal error of DuckDB
the file is opened again and what is in it decides whether the commit happened.
"""

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Generic

import duckdb
import msgspec
import pyarrow as pa

from ocpp_proxy.config import CaptureConfig
from ocpp_proxy.model import CaptureError
from ocpp_proxy.records import Record
from ocpp_proxy.source import Bookmark
from ocpp_proxy_captures import memory, rotate
from ocpp_proxy_captures.bookmarks import put
from ocpp_proxy_captures.columns import Batch
from ocpp_proxy_captures.database import (
    Connection,
    attach,
    capture_files,
    connect,
    define_views,
    migrate,
    refused,
    resource,
    segment_number,
    segments,
)
from ocpp_proxy_captures.gate import Gate
from ocpp_proxy_captures.progress import Mark, P, Progress, meta_table, newest, state_table
from ocpp_proxy_captures.reader import Reader
from ocpp_proxy_captures.readings import Kinds

CURRENT = "current_file"
CHECKPOINT_ROWS = 300_000                   # a .wal of about 150 MB; the recorder also asks by itself
HEAVY_BYTES = 512 << 10                     # of large values: then DuckDB is made to let go of memory
STATE_CHURN = 500                           # rows of state replaced until the table is written anew
_INSERTS = {
    "events": "SELECT no, ts, link_id, identity, kind, body FROM new_events",
    "wire": """SELECT * REPLACE (TRY_CAST(payload AS JSON) AS payload,
        CASE WHEN payload IS NOT NULL AND TRY_CAST(payload AS JSON) IS NULL THEN encode(payload) ELSE odd END AS odd)
        FROM new_wire""",
    "found": "SELECT * FROM new_found", "pieces": "SELECT * FROM new_pieces",
    "readings": "SELECT * REPLACE (TRY_CAST(sampled_at AS TIMESTAMPTZ) AS sampled_at) FROM new_readings",
    "reading_kinds": "SELECT * FROM new_reading_kinds",
}


class DuckStore(Reader, Generic[P]):
    """A capture that is being written: one file, or a folder whose newest segment is written to."""

    def __init__(
        self, path: Path, position: Callable[[int, int, int], P], settings: CaptureConfig, meta: Mapping[str, str],
        logged: bool = True,
    ) -> None:
        self._path, self._position, self._settings, self._logged = path, position, settings, logged
        self._folder = path.is_dir() or (path.suffix != ".duckdb" and not path.exists())
        self._gate = Gate()                 # cursors read inside; segments are exchanged alone
        self._copying = threading.Lock()    # one snapshot after the other
        self._closed = False
        self._churn = self._checkpointed_no = 0
        self._heavy = False                 # many large values were written since the last checkpoint
        self._held = 0                      # bytes of large values written since memory was given back
        self._shows_apart = False           # the views were made anew since there are large values
        self._progress = Progress()
        self._kinds = Kinds()
        self._con = self._open()
        try:
            self._begin_run(meta)
        except BaseException:
            self._con.close()
            raise

    @property
    def file(self) -> Path:
        """The file that is written to now."""
        return self._file

    def positions(self) -> list[P]:
        """The positions of the last commit, read from the file."""
        rows = self._query(f"SELECT worker, incarnation, seq FROM {CURRENT}.positions ORDER BY ALL")
        return [self._position(*row) for row in rows]

    def state(self) -> dict[str, bytes]:
        """The pipeline state of the last commit."""
        return dict(self._query(f"SELECT key, value FROM {CURRENT}.state ORDER BY key"))

    def commit(
        self, records: Sequence[Record], positions: Sequence[P], changed: Mapping[str, bytes | None],
    ) -> None:
        """Write rows, positions and changed state in one transaction. Raises ``CaptureError``: then nothing was written."""
        batch = Batch(self._progress.no, self._progress.last, self._progress.ahead_ns)
        batch.add(records)
        progress = self._advanced(batch)
        tables = batch.tables(self._kinds)
        apart = tables["pieces"].nbytes if "pieces" in tables else 0
        try:
            self._transaction(tables, positions, changed, progress, batch)
        except duckdb.Error as error:
            if not self._recovered(error, progress):
                raise CaptureError(f"{self._file}: could not be written: {_first_line(error)}") from error
        self._progress = progress
        self._kinds.saved()
        self._churn += len(changed)
        if self._due(progress):
            self._rotate()
        elif progress.no - self._checkpointed_no > CHECKPOINT_ROWS:
            self.checkpoint()
        if apart:
            del tables, batch
            self._set_apart(apart)

    def bookmark(self, mark: Bookmark) -> None:
        """As ``source.Source.bookmark``, in the thread of the commits. Raises ``ConfigError``, ``CaptureError``."""
        with self._private():
            try:
                put(self._con, CURRENT, mark)
            except duckdb.Error as error:
                self._recovered(error, self._progress)
                raise CaptureError(f"{self._file}: no bookmark was stored: {_first_line(error)}") from error

    def _set_apart(self, size: int) -> None:
        """So many bytes of large values were written."""
        if not self._shows_apart:
            self._views(self._con)
            self._shows_apart = True
        self._held += size
        if self._held >= HEAVY_BYTES:
            self._heavy, self._held = True, 0
            memory.let_go(self._con)

    def checkpoint(self) -> None:
        """Move what is committed into the file proper. Raises ``CaptureError``: then nothing may be deleted for it.

        After large values it has to do with little memory; only when that fails it may take more.
        """
        heavy, self._heavy = self._heavy, False
        if heavy:
            try:
                with memory.tight(self._con):
                    self._checkpoint()
            except CaptureError as error:
                if "memory" not in str(error) and "block" not in str(error):
                    raise
                self._checkpoint()
        else:
            self._checkpoint()
        if heavy:
            memory.let_go(self._con)

    def _checkpoint(self) -> None:
        with self._private():
            try:
                if self._churn > STATE_CHURN:
                    self._con.execute(f"CREATE OR REPLACE TABLE {CURRENT}.state AS SELECT * FROM {CURRENT}.state")
                    self._churn = 0
                self._con.execute(f"CHECKPOINT {CURRENT}")
            except duckdb.Error as error:
                self._recovered(error, self._progress)
                raise CaptureError(f"{self._file}: checkpoint failed: {_first_line(error)}") from error
        self._checkpointed_no = self._progress.no

    def close(self) -> None:
        """Checkpoint and let go of the file; safe to call again."""
        if self._closed:
            return
        try:
            self.checkpoint()
        finally:
            self._closed = True
            with self._gate.cleared():
                self._con.close()
                memory.end_spilling(self._file)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A cursor for our own read-only statements, for any thread; segments are not exchanged meanwhile.

        Raises ``CaptureError`` in who reads for long when they have to be.
        """
        with self._gate.cursor(lambda: self._con.cursor()) as cursor:
            yield cursor

    def snapshot(self, folder: Path) -> list[Path]:
        """Files that hold all that is committed and that others may open: closed segments, and a copy of the current file.

        The copy is made in ``folder``; delete it after use. Not for the committing thread's hot path: 0.1 s per 300,000 rows.
        """
        copy = folder / "snapshot.duckdb"
        with self._copying, self.reading() as cursor, self._private():
            closed = [path for path in capture_files(self._path) if path != self._file]
            try:
                attach(cursor, copy, "snapshot", read_only=False)
                cursor.execute(f"COPY FROM DATABASE {CURRENT} TO snapshot")
                cursor.execute("CHECKPOINT snapshot")
            except duckdb.InterruptException:
                raise
            except duckdb.Error as error:
                raise CaptureError(f"{self._file}: no snapshot: {_first_line(error)}") from error
            finally:
                with suppress(duckdb.Error):
                    cursor.execute("DETACH DATABASE IF EXISTS snapshot")
        return [*closed, copy]

    @contextmanager
    def closed_files(self) -> Iterator[list[Path]]:
        """All that is committed, as files for a child process: the closed segments and a copy of the current one."""
        with TemporaryDirectory(prefix=".snapshot-", dir=self._file.parent) as folder:
            yield self.snapshot(Path(folder))

    def _open(self) -> Connection:
        con = connect(threads=1)
        self._shows_apart = False
        try:
            with self._private():
                self._file = self._current(con)
                attach(con, self._file, CURRENT, read_only=False, logged=self._logged)
                migrate(con, self._file, CURRENT)
                self._views(con)
                memory.allow_spilling(con, self._file)
            value = con.execute(f"SELECT value FROM {CURRENT}.meta WHERE key = 'progress'").fetchall()[0][0]
            self._progress = msgspec.json.decode(value, type=Progress)
            self._kinds = Kinds(con.execute(f"SELECT * FROM {CURRENT}.reading_kinds").fetchall())
            self._checkpointed_no = self._progress.no
        except duckdb.Error as error:
            con.close()
            raise refused(self._file, error) from error
        except BaseException:
            con.close()
            raise
        return con

    def _current(self, con: Connection) -> Path:
        """The file to write to, made if there is none."""
        folder = self._path if self._folder else self._path.parent
        try:
            if self._folder:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            existing = segments(folder) if self._folder else [self._path] if self._path.exists() else []
            if existing:
                existing[-1].chmod(0o600)   # a closed one, when the newest was set aside
                return existing[-1]
            path = rotate.next_path(folder, None) if self._folder else self._path
            rotate.create(con, path)
        except OSError as error:
            raise CaptureError(f"{self._path}: cannot be written: {error.strerror}") from error
        return path

    def _views(self, con: Connection) -> None:
        if self._folder:
            closed = [path for path in segments(self._path) if path != self._file]
            for path in closed:
                rotate.close_segment(path)
            rotate.union(con, closed, CURRENT)
        else:
            define_views(con, [CURRENT])

    def _begin_run(self, meta: Mapping[str, str]) -> None:
        with self._private(), _registered(self._con, {"new_meta": meta_table(meta)}):
            self._con.execute("BEGIN")
            self._con.execute(f"DELETE FROM {CURRENT}.meta WHERE key IN (SELECT key FROM new_meta)")
            self._con.execute(f"INSERT INTO {CURRENT}.meta SELECT key, value FROM new_meta")
            self._con.execute(
                f"INSERT INTO {CURRENT}.runs SELECT (SELECT coalesce(max(run_no), 0) + 1 FROM runs), ?, ?, ?",
                [datetime.now(UTC), self._progress.no + 1, meta.get("tool_version")])
            self._con.execute("COMMIT")

    def _advanced(self, batch: Batch) -> Progress:
        old = self._progress
        return Progress(
            old.commits + 1, batch.no, batch.last, batch.beat_ns or old.last_beat_ns, batch.ahead_ns,
            old.segment_messages + batch.message_count, old.segment_since_ns or batch.first_ns)

    def _transaction(
        self, tables: dict[str, pa.Table], positions: Sequence[P], changed: Mapping[str, bytes | None], progress: Progress,
        batch: Batch,
    ) -> None:
        arrow = {f"new_{name}": table for name, table in tables.items()}
        if changed:
            arrow["new_state"] = state_table(changed)
        if batch.odd_samples:
            arrow["new_odd"] = pa.table({"msg_no": pa.array(batch.odd_samples, pa.int64())})
        con = self._con
        with self._private(), _registered(con, arrow):
            con.execute("BEGIN")
            try:
                for name in tables:
                    con.execute(f"INSERT INTO {CURRENT}.{name} BY NAME {_INSERTS[name]}")
                if batch.odd_samples:
                    unpacked = (_SAMPLES_APART if "pieces" in tables else _SAMPLES).replace("{no}", str(self._progress.no))
                    con.execute(f"INSERT INTO {CURRENT}.odd_samples {unpacked}")
                for one in newest(positions):
                    _put_position(con, one)
                if changed:
                    con.execute(f"DELETE FROM {CURRENT}.state WHERE key IN (SELECT key FROM new_state)")
                    con.execute(f"INSERT INTO {CURRENT}.state SELECT key, value FROM new_state WHERE value IS NOT NULL")
                if batch.rules:
                    con.execute(_NO_RULES)
                    con.execute(_SET_RULES, [_without_before(batch.rules)])
                con.execute(_SET_PROGRESS, [msgspec.json.encode(progress).decode()])
                con.execute("COMMIT")
            except duckdb.Error as error:
                if not isinstance(error, duckdb.FatalException):
                    _roll_back(con)
                raise

    def _recovered(self, error: duckdb.Error, progress: Progress) -> bool:
        """Whether the commit did happen. After a fatal error the file is opened again; it must hold what it held before."""
        if not isinstance(error, duckdb.FatalException):
            return False
        before = self._progress
        with self._gate.cleared():
            self._con.close()
            self._con = self._open()
        if self._progress.commits not in (before.commits, progress.commits):
            raise CaptureError(
                f"{self._file}: after a fatal error it holds commit {self._progress.commits}, not {before.commits}") from error
        return self._progress.commits == progress.commits

    def _due(self, progress: Progress) -> bool:
        if not self._folder or not progress.segment_messages:
            return False
        age = progress.last_beat_ns - progress.segment_since_ns
        return (progress.segment_messages >= self._settings.rotate_messages
                or age >= self._settings.rotate_seconds * 1e9)

    def _rotate(self) -> None:
        """Close the segment, start the next, delete what is over the retention."""
        self.checkpoint()
        old = self._file
        with self._gate.cleared(), self._private():
            try:
                fresh = msgspec.structs.replace(self._progress, segment_messages=0, segment_since_ns=0)
                self._con.execute(_SET_PROGRESS, [msgspec.json.encode(fresh).decode()])
                path = rotate.next_path(self._path, old)
                rotate.create(self._con, path, carry_from=CURRENT)
                self._con.execute(f"CHECKPOINT {CURRENT}")
                self._con.close()
                memory.end_spilling(old)
                self._con = self._open()
                self._retain()
            except duckdb.Error as error:
                raise CaptureError(f"{self._path}: rotation failed: {_first_line(error)}") from error
            except OSError as error:
                raise CaptureError(f"{self._path}: rotation failed: {error.strerror}") from error

    def _retain(self) -> None:
        gone = rotate.surplus(self._path, self._settings.retention_bytes)
        for path in gone:
            rotate.keep_open_links(self._con, f"closed_{segment_number(path)}", CURRENT)
        if gone:
            self._con.execute(f"CHECKPOINT {CURRENT}")
            rotate.union(self._con, [path for path in segments(self._path) if path not in (*gone, self._file)], CURRENT)
        for path in gone:
            self._con.execute(f"DETACH closed_{segment_number(path)}")
            path.unlink()

    def _query(self, sql: str) -> list[Any]:
        with self.reading() as cursor:
            return cursor.execute(sql).fetchall()

    @contextmanager
    def _private(self) -> Iterator[None]:
        """Files made meanwhile (the .wal) are for the owner alone."""
        before = os.umask(0o077)
        try:
            yield
        finally:
            os.umask(before)


def _without_before(rules: str) -> str:
    """The settings that a note states."""
    stated: dict[str, Any] = msgspec.json.decode(rules)
    stated.pop("before", None)
    return msgspec.json.encode(stated).decode()


_SET_PROGRESS = f"UPDATE {CURRENT}.meta SET value = ? WHERE key = 'progress'"
_NO_RULES = f"DELETE FROM {CURRENT}.meta WHERE key = 'rules_settings'"
_SET_RULES = f"INSERT INTO {CURRENT}.meta VALUES ('rules_settings', ?)"
_ODD = "no > {no} AND msg_no IN (SELECT msg_no FROM new_odd)"       # a list as a parameter costs 0.1 ms an item
_SAMPLES = resource("samples.sql").replace("{source}", f"(SELECT * FROM {CURRENT}.wire WHERE {_ODD})")
_SAMPLES_APART = resource("samples.sql").replace("{source}", (
    "(SELECT * REPLACE (coalesce(payload, (SELECT TRY_CAST(string_agg(decode(data), '' ORDER BY part) AS JSON)"
    f" FROM {CURRENT}.pieces p WHERE p.no = w.no AND place = 0)) AS payload) FROM {CURRENT}.wire w WHERE {_ODD})"))


@contextmanager
def _registered(con: Connection, tables: Mapping[str, pa.Table]) -> Iterator[None]:
    for name, table in tables.items():
        con.register(name, table)
    try:
        yield
    finally:
        for name in tables:
            with suppress(duckdb.Error):          # invalidated: the first error tells why
                con.unregister(name)


def _put_position(con: Connection, one: Mark) -> None:
    where = f"worker = {one.worker} AND incarnation = {one.incarnation}"
    (updated,), = con.execute(f"UPDATE {CURRENT}.positions SET seq = {one.seq} WHERE {where}").fetchall()
    if not updated:
        con.execute(f"INSERT INTO {CURRENT}.positions VALUES ({one.worker}, {one.incarnation}, {one.seq})")


def _roll_back(con: Connection) -> None:
    with suppress(duckdb.Error):
        con.execute("ROLLBACK")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def open_store(
    path: str | Path, position: Callable[[int, int, int], P], settings: CaptureConfig | None = None,
    meta: Mapping[str, str] | None = None, logged: bool = True,
) -> DuckStore[P]:
    """Open a capture for writing and begin a new run in it; made if it is not there.

    A path that ends in ``.duckdb`` is one file, never rotated; any other is a folder of segments. ``meta`` are facts of this
    run (tool_version, rules_version, rules_settings); they replace those of the run before. ``position`` makes the positions
    that are given back (the recorder's class). ``logged`` False, for what can be made once more from where it comes from: a
    process that is killed loses what it committed since the last checkpoint, and a commit costs a third less CPU. Raises
    ``CaptureError``.
    """
    return DuckStore(Path(path), position, settings or CaptureConfig(), meta or {}, logged)
