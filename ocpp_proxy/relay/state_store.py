"""The file with the States of plugins: SQLite in a thread of its own, so that only the link that waits for a commit waits.

What several links want stored at the same time goes into one transaction. The newest link of an identity has its lease:
what an older one still wants to store is refused, also when it is a link of another process on the same file.
"""

import asyncio
import contextlib
import os
import queue
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from msgspec import Struct, field

from ocpp_proxy.core.keeping import Row, Stored
from ocpp_proxy.model import ConfigError

APPLICATION = 0x4F50_5053                   # "OPPS", in the header of the file
SCHEMA = 1
HUNG_SECONDS = 5.0                          # a commit that takes longer has failed, for those who wait for it
LOCKED_SECONDS = 3.0                        # how long another process may hold the file
MOST_JOBS = 256                             # in one transaction
MOST_WAITING = 4096                         # jobs that wait for the thread
MOST_FAILING = 10_000                       # chargers whose failures are counted
DIALLING = -1                               # the epoch of a link that is not open yet: it stores, but takes nobody's lease
TAKEN_OVER = "a newer connection of this charger has taken over"
HUNG = f"the file does not answer within {HUNG_SECONDS:g} s"
Lease = tuple[str, int]                     # who has it, epoch
OVERFLOW = f"more than {MOST_WAITING} wait for the file"
_TABLES = """
CREATE TABLE IF NOT EXISTS state (
    plugin TEXT NOT NULL, identity TEXT NOT NULL, version INTEGER NOT NULL, epoch INTEGER NOT NULL, body BLOB NOT NULL,
    changed_ns INTEGER NOT NULL, PRIMARY KEY (plugin, identity)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state_before (
    plugin TEXT NOT NULL, identity TEXT NOT NULL, version INTEGER NOT NULL, epoch INTEGER NOT NULL, body BLOB NOT NULL,
    changed_ns INTEGER NOT NULL, PRIMARY KEY (plugin, identity, version)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lease (identity TEXT PRIMARY KEY, worker TEXT NOT NULL, epoch INTEGER NOT NULL) WITHOUT ROWID;
"""
_LEASE = """
INSERT INTO lease VALUES (?, ?, 1) ON CONFLICT (identity)
DO UPDATE SET worker = excluded.worker, epoch = epoch + 1 RETURNING epoch
"""
_ASIDE = "INSERT OR REPLACE INTO state_before SELECT * FROM state WHERE plugin = ? AND identity = ?"
_STORE = "INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?, ?, ?)"


class Opened(Struct):
    """What is there for a link: the States by plugin, and the epoch of its lease; or why not."""

    error: str = ""
    epoch: int = 0
    found: dict[str, Stored] = field(default_factory=dict)


class Job(Struct, eq=False):
    """Something to be done in the thread. ``rows`` None: read, and take the lease if ``lease``.

    ``over``: nobody waits for it any more.
    """

    identity: str
    names: Sequence[str]
    rows: Sequence[Row] | None
    epoch: int
    done: Callable[[Opened], object]
    lease: bool = False
    timer: asyncio.TimerHandle | None = None
    over: bool = False


class StateStore:
    """Made and called in the loop's thread, where ``done`` is called, too. ``worker`` names this process in the leases.

    ``error``: why the last transaction failed; empty when the file is well. ``failing``: whose jobs failed since it was.
    """

    def __init__(self, path: Path, worker: str, loop: asyncio.AbstractEventLoop) -> None:
        self.path = path
        self.error = ""
        self.failing: set[str] = set()
        self.refused = 0                    # jobs for which there was no room
        self._worker = worker
        self._holders: dict[str, Callable[[], None]] = {}       # of the links that have a lease, by identity
        self._loop = loop
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._waiting = 0
        self._hung = False
        self._thread: threading.Thread | None = None
        self._database: sqlite3.Connection | None = None

    # ---- in the loop ----

    def open(self, identity: str, names: Sequence[str], done: Callable[[Opened], object], lease: bool = True) -> None:
        """A link of that charger opens: takes the lease from any older one, and reads the States of these plugins.

        Without ``lease`` it only dials, and may be refused: who has the lease keeps it.
        """
        self._ask(Job(_text(identity), names, None, 0, done, lease))

    def keep(self, identity: str, epoch: int, rows: Sequence[Row], done: Callable[[str], object]) -> None:
        """Store these States; ``done`` gets "" once they are on the disk, or why they are not."""
        self._ask(Job(_text(identity), (), rows, epoch, lambda opened: done(opened.error)))

    def later(self, done: Callable[[str], object], error: str) -> None:
        """Answer a ``keep`` that cannot be asked for."""
        self._loop.call_soon(done, error)

    def hold(self, identity: str, overtaken: Callable[[], None]) -> None:
        """A link has the lease: an older one of this process that had it is told, at once."""
        before = self._holders.get(identity)
        self._holders[identity] = overtaken
        if before is not None and before != overtaken:
            before()

    def leave(self, identity: str, overtaken: Callable[[], None]) -> None:
        """The link that held it so is over."""
        if self._holders.get(identity) == overtaken:
            del self._holders[identity]

    def look(self) -> None:
        """Now and then: whether a file that failed can be written again, so that its failure is not told for ever."""
        if self.error and not self._waiting:
            self._ask(Job("", (), (), DIALLING, lambda opened: None))

    def close(self, seconds: float = HUNG_SECONDS) -> None:
        """Finish what waits and let the file go; what takes longer is left behind."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join(seconds)
            self._thread = None

    def _ask(self, job: Job) -> None:
        if self._hung or self._waiting >= MOST_WAITING:
            self.refused += not self._hung
            self._failed([job], HUNG if self._hung else OVERFLOW)
            self._loop.call_soon(job.done, Opened(self.error))
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="state", daemon=True)
            self._thread.start()
        job.timer = self._loop.call_later(HUNG_SECONDS, self._late, job)
        self._waiting += 1
        self._jobs.put(job)

    def _late(self, job: Job) -> None:
        """The disk hangs. Whatever comes until it answers fails at once."""
        self._hung = True
        self._failed([job], HUNG)
        job.over = True
        job.done(Opened(HUNG))

    def _failed(self, jobs: Sequence[Job], error: str) -> None:
        self.error = error
        if len(self.failing) < MOST_FAILING:
            self.failing.update(job.identity for job in jobs if job.identity)

    def _answered(self, jobs: list[Job], answers: list[Opened], error: str) -> None:
        if error:
            self._failed(jobs, error)
        elif self._hung or any(job.rows is not None for job in jobs):       # a lease is little, and may find room where
            self.error = ""                                                 # no State does
            self.failing.clear()
        self._hung = False
        self._waiting -= len(jobs)
        for job, answer in zip(jobs, answers, strict=True):
            if job.timer is not None:
                job.timer.cancel()
            if not job.over:
                job.over = True
                job.done(answer)

    # ---- in the thread ----

    def _work(self) -> None:
        last = False
        while not last:
            jobs = [self._jobs.get()]
            with contextlib.suppress(queue.Empty):
                while len(jobs) < MOST_JOBS and jobs[-1] is not None:
                    jobs.append(self._jobs.get_nowait())
            last = jobs[-1] is None
            wanted = [job for job in jobs if job is not None]
            if wanted:
                answers, error = self._transact(wanted)
                with contextlib.suppress(RuntimeError):     # the loop is closed: nobody waits
                    self._loop.call_soon_threadsafe(partial(self._answered, wanted, answers, error))
        if self._database is not None:
            self._database.close()

    def _transact(self, jobs: list[Job]) -> tuple[list[Opened], str]:
        """All jobs in one transaction; when it fails, all of them have failed."""
        try:
            database = self._database = self._database or connect(self.path)
            database.execute("BEGIN IMMEDIATE")
            answers = [self._do(database, job) for job in jobs]
            database.execute("COMMIT")
            return answers, ""
        except Exception as error:          # whatever it is: without this thread nobody would be answered any more
            why = f"{self.path}: {error}" if not isinstance(error, ConfigError) else str(error)
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.rollback()
            with contextlib.suppress(sqlite3.Error):
                self._database.close()      # the next one begins with a fresh look at the file
            self._database = None
        return [Opened(why)] * len(jobs), why

    def _do(self, database: sqlite3.Connection, job: Job) -> Opened:
        if job.over:
            return Opened(HUNG)
        if job.rows is None:
            epoch = take_lease(database, job.identity, self._worker) if job.lease else DIALLING
            known = {name: state_of(database, name, job.identity) for name in job.names}
            return Opened("", epoch, {name: Stored(*row) for name, row in known.items() if row is not None})
        if job.epoch != DIALLING and lease_of(database, job.identity) != (self._worker, job.epoch):
            return Opened(TAKEN_OVER)
        if not job.rows:                    # ``look``
            database.execute(f"PRAGMA user_version = {SCHEMA}")
        for row in job.rows:
            store(database, job.identity, job.epoch, row)
        return Opened()


def lease_of(database: sqlite3.Connection, identity: str) -> Lease | None:
    """Who has the lease of a charger, and its epoch; None: nobody had it yet."""
    found = database.execute("SELECT worker, epoch FROM lease WHERE identity = ?", (_text(identity),)).fetchone()
    return None if found is None else (found[0], found[1])


def take_lease(database: sqlite3.Connection, identity: str, worker: str) -> int:
    """Take the lease from whoever has it; the new epoch."""
    epoch: int = database.execute(_LEASE, (_text(identity), worker)).fetchone()[0]
    return epoch


def state_of(database: sqlite3.Connection, plugin: str, identity: str) -> tuple[int, bytes] | None:
    """Version and body of a State; None: there is none."""
    query = "SELECT version, body FROM state WHERE plugin = ? AND identity = ?"
    found = database.execute(query, (_text(plugin), _text(identity))).fetchone()
    return None if found is None else (found[0], found[1])


def store(database: sqlite3.Connection, identity: str, epoch: int, row: Row) -> None:
    """Store a State."""
    if row.aside:
        database.execute(_ASIDE, (_text(row.plugin), _text(identity)))
    database.execute(_STORE, (_text(row.plugin), _text(identity), row.version, epoch, row.body, time.time_ns()))


def connect(path: Path, by_hand: bool = False) -> sqlite3.Connection:
    """Open the file, or make it (0600). Raises ``ConfigError`` when it is not ours, ``OSError`` or ``sqlite3.Error``.

    ``by_hand``: root may have the one of another user, as whom the proxy runs.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    facts = os.fstat(fd)
    os.close(fd)
    ours = facts.st_uid == os.geteuid() or (by_hand and os.geteuid() == 0)
    if not stat.S_ISREG(facts.st_mode) or not ours:
        raise ConfigError(f"state {path}: belongs to another user or is no file; give another one with `state`")
    if facts.st_mode & 0o077:
        raise ConfigError(f"state {path}: is open to other users; run: chmod 600 {path}")
    database = sqlite3.connect(path, timeout=LOCKED_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        _prepare(database, path)
    except BaseException:
        database.close()
        raise
    return database


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    try:
        mark: int = database.execute("PRAGMA application_id").fetchone()[0]
        known: int = database.execute("PRAGMA user_version").fetchone()[0]
        tables = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        raise ConfigError(f"state {path}: {error}: not one of ours; give another one with `state`") from error
    if (mark != APPLICATION and (mark or tables)) or known > SCHEMA:
        made = "a newer version of ocpp-proxy" if mark == APPLICATION else "another program"
        raise ConfigError(f"state {path}: was made by {made}; give another one with `state`")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    if not tables:
        database.executescript(
            f"BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {SCHEMA}; {_TABLES} COMMIT;"
        )


def _text(identity: str) -> str:
    """An identity as SQLite takes it: no lone surrogates."""
    return identity.encode("utf-8", "backslashreplace").decode()
