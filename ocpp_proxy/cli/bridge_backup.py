"""The bodies of ``bridge backup`` and ``bridge restore``: the file with the States of all plugins, as one file.

A backup can be made while the proxy runs. What is put back is older than what chargers and CSMSs have seen since: leases and
the bridge's numbers go on behind the newest that is known, so that none is given twice.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from ocpp_proxy_plugins.bridge import Bridge, by_hand

from ocpp_proxy.cli import state_file
from ocpp_proxy.cli.bridge_tx import NAME
from ocpp_proxy.cli.printing import talk
from ocpp_proxy.core.keeping import Row
from ocpp_proxy.model import CaptureError, ConfigError
from ocpp_proxy.relay import state_store

RESTORED = "restore"                        # who has the leases then


def backup(target: str, state: str | None, config: str | None) -> None:
    """Copy the file as it is now into a new one. Raises ``ConfigError``."""
    where, path = state_file.found(state, config), Path(target).expanduser().absolute()
    with state_file.opened(where.path) as source, _fresh(path) as copy:
        source.backup(copy)
        _single(copy, path)
        chargers = copy.execute("SELECT count(DISTINCT identity) FROM state").fetchone()[0]
    talk(f"{path}: the States of {chargers} chargers, copied from {where.path}")


def restore(source: str, state: str | None, config: str | None) -> None:
    """Put a backup in the place of the file, which stays beside it. Raises ``ConfigError`` while a proxy runs on it."""
    where, path = state_file.found(state, config), Path(source).expanduser().absolute()
    if where.users:
        raise ConfigError(f"{where.path}: a proxy runs on it ({', '.join(where.users[0].listen)}): stop it first")
    if not path.exists() or (where.path.exists() and os.path.samefile(path, where.path)):
        raise ConfigError(f"{path}: is no backup" + (": it is the file itself" if path.exists() else ": there is no such file"))
    made = where.path.with_name(f"{where.path.name}.restoring")
    made.unlink(missing_ok=True)            # of an attempt that was killed
    try:
        where.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _fresh(made) as fresh:
            with state_file.opened(path) as saved:
                _whole(saved, path)
                saved.backup(fresh)
            known = _ahead(fresh, where.path)
            _single(fresh, made)
        state_file.own(made, where.path if where.path.exists() else where.path.parent)
        aside = _aside(where.path)
        os.rename(made, where.path)
    except OSError as error:
        raise ConfigError(f"{where.path}: {error.strerror or error}: nothing was restored") from error
    finally:
        made.unlink(missing_ok=True)
    before = f"; what was there is {aside}" if aside else ""
    unknown = "" if known else f"; the newest numbers are not known: {by_hand.AHEAD} of each kind are left out"
    talk(f"{where.path}: restored from {path}{before}{unknown}")


def _aside(path: Path) -> Path | None:
    """Keep the file beside itself, and take away the log of a damaged one: it is not to be read into another file."""
    aside = path.with_name(f"{path.name}.{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{time.time_ns() % 10**9:09}")
    for suffix in ("-wal", "-shm"):
        log = Path(f"{path}{suffix}")
        if log.exists():
            os.rename(log, f"{aside}{suffix}")
    if not path.exists():
        return None
    os.link(path, aside)
    return aside


@contextlib.contextmanager
def _fresh(path: Path) -> Iterator[sqlite3.Connection]:
    """A new file, of this user alone; gone again when it does not come about."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        raise ConfigError(f"{path}: is there already; give another name") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error
    database = sqlite3.connect(path, isolation_level=None)
    try:
        yield database
        database.close()
    except BaseException as error:
        database.close()
        path.unlink(missing_ok=True)
        if isinstance(error, sqlite3.Error):
            raise ConfigError(f"{path}: {error}") from error
        raise


def _single(database: sqlite3.Connection, path: Path) -> None:
    """Without a log beside it, on the disk."""
    database.execute("PRAGMA journal_mode = DELETE")
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _whole(database: sqlite3.Connection, path: Path) -> None:
    said = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if said != "ok":
        raise CaptureError(f"{path}: is damaged: {said}")


def _ahead(fresh: sqlite3.Connection, old: Path) -> bool:
    """Have leases and numbers go on behind those of the file that is replaced; whether that could be read.

    It is ours alone then: nobody has it open, and it has no log beside it.
    """
    leases: dict[str, int] = {}
    states: dict[str, Any] = {}
    readable = False
    if old.exists():
        with contextlib.suppress(CaptureError), _alone(old) as database:
            leases = dict(database.execute("SELECT identity, epoch FROM lease").fetchall())
            states = _states(database)
            readable = True
    fresh.execute("BEGIN IMMEDIATE")
    for identity, epoch in fresh.execute("SELECT identity, epoch FROM lease").fetchall():
        leases[identity] = max(epoch, leases.get(identity, 0))
    saved = _states(fresh)
    for identity in leases.keys() | saved.keys() | states.keys():
        epoch = leases.get(identity, 0) + 1
        fresh.execute("INSERT OR REPLACE INTO lease VALUES (?, ?, ?)", (identity, RESTORED, epoch))
        later = states.get(identity)
        kept = saved.get(identity) if identity in saved else Bridge.State() if later is not None else None
        if kept is not None:                # what this version cannot read stays as it is
            body = msgspec.msgpack.encode(by_hand.ahead(kept, later))
            state_store.store(fresh, identity, epoch, Row(NAME, Bridge.state_version, body))
    fresh.execute("COMMIT")
    return readable


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[sqlite3.Connection]:
    """The file that is replaced, with no log beside it. Raises ``CaptureError`` for one that is damaged."""
    try:
        with state_file.opened(path) as database:
            try:
                database.execute("PRAGMA journal_mode = DELETE")    # refused where another process has it open
            except sqlite3.OperationalError as error:
                raise ConfigError(f"{path}: {error}: a process has it open; stop the proxy first") from error
            yield database
    except ConfigError as error:
        if type(error.__cause__) is sqlite3.DatabaseError:
            raise CaptureError(str(error)) from error
        raise


def _states(database: sqlite3.Connection) -> dict[str, Any]:
    rows = database.execute("SELECT identity, version, body FROM state WHERE plugin = ?", (NAME,)).fetchall()
    return {identity: _read(version, body) for identity, version, body in rows}


def _read(version: int, body: bytes) -> Any:
    """A State of the bridge; None: this version cannot read it."""
    if version != Bridge.state_version:
        return None
    with contextlib.suppress(msgspec.MsgspecError, ValueError):
        return msgspec.msgpack.decode(body, type=Bridge.State)
    return None
