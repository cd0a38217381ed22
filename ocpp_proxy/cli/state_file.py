"""The file with plugins' States as commands have it: which one it is, which proxies use it, its States, one of them changed.

It is changed only while no link of that charger is open, in one transaction that takes the charger's lease: what a link that
is open all the same still wants to store is refused by its relay.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ocpp_proxy.cli import places
from ocpp_proxy.cli.settings import environment, load
from ocpp_proxy.config import Config
from ocpp_proxy.core.keeping import Row
from ocpp_proxy.escape import safe_text
from ocpp_proxy.hub.instance import Instance, capture_path, read_config, state_path
from ocpp_proxy.model import CaptureError, ConfigError
from ocpp_proxy.relay import state_store
from ocpp_proxy.relay.state_store import Lease

HAND = "hand"                               # who has the lease then
OPEN_HINT = "its link is open: have it end (`ocpp-proxy disconnect`, with the charger kept from dialling again), or wait"


class Where(Struct, frozen=True):
    """The file, the configuration that names it, and the proxies that run on it."""

    path: Path
    config: Config
    users: tuple[Instance, ...] = ()


def found(path: str | None, config: str | None) -> Where:
    """The file that is asked for, else that of the running proxy, else that of the settings. Raises ``ConfigError``."""
    live = [(one, _config_of(one)) for one in places.running()]
    named = {os.path.realpath(its.state): its for _, its in live if its.state}
    if path is None and len(named) > 1:
        files = "\n".join(f"  {one}" for one in named)
        raise ConfigError(f"several proxies are running; say which file with --state:\n{files}")
    settings = load(config, environment(), {}).config
    real = os.path.realpath(path or next(iter(named), "") or state_path(settings, capture_path(settings)))
    users = tuple(one for one, its in live if its.state and os.path.realpath(its.state) == real)
    return Where(Path(real), settings if config or real not in named else named[real], users)


def _config_of(instance: Instance) -> Config:
    with contextlib.suppress(ConfigError):
        return read_config(Path(instance.folder))
    return Config()


@contextlib.contextmanager
def opened(path: Path, make: bool = False) -> Iterator[sqlite3.Connection]:
    """The file, which has to be there unless it is to be made. Raises ``ConfigError``, ``CaptureError`` for a damaged one."""
    fresh = not path.exists()
    if fresh and not make:
        raise ConfigError(f"{path}: there is no such file of States; give it with --state")
    with _told(path):
        database = state_store.connect(path, by_hand=True)
        if fresh:
            own(path, path.parent)
        try:
            yield database
        finally:
            database.close()


def own(path: Path, like: Path) -> None:
    """What root makes belongs to whom that file or folder belongs: to the user as whom a service runs."""
    if os.geteuid() == 0:
        owner = like.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise ConfigError(f"{path}: {error}; another process holds it, or the disk is full: try again") from error
    except sqlite3.DatabaseError as error:
        raise CaptureError(f"{path}: {error}") from error
    except ConnectionError:                 # not of the file: of the proxy that is asked meanwhile
        raise
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error


def states(path: Path, plugin: str, kind: Any) -> dict[str, Any]:
    """The States of a plugin by charger; ``kind``: its class."""
    with opened(path) as database:
        query = "SELECT identity, version, body FROM state WHERE plugin = ? ORDER BY identity"
        rows = database.execute(query, (plugin,)).fetchall()
    return {identity: decoded(path, identity, kind, version, body) for identity, version, body in rows}


def decoded(path: Path, identity: str, kind: Any, version: int, body: bytes) -> Any:
    """A State as it is stored."""
    if version != kind.state_version:
        raise ConfigError(
            f"{path}: the State of charger {identity} is of version {version}, this is version {kind.state_version}: let the"
            " charger connect once",
        )
    try:
        return msgspec.msgpack.decode(body, type=kind.State)
    except (msgspec.MsgspecError, ValueError) as error:
        raise CaptureError(f"{path}: the State of charger {identity} cannot be read: {error}") from error


async def change(
    where: Where, plugin: str, kind: Any, identity: str, deed: Callable[[Any], Any], make: bool = False,
) -> None:
    """Have another State of that charger: what ``deed`` makes of the one that is there (a fresh one where there is none).

    ``make``: also the file, where there is none. Raises ``ConfigError`` while a link of it is open, or when one opened
    meanwhile, ``ConnectionError`` when a proxy cannot be asked.
    """
    with opened(where.path, make) as database:
        lease = state_store.lease_of(database, identity)
        for one in where.users:
            await _refuse_open(one, identity)
        with _told(where.path):
            _change(database, where.path, plugin, kind, identity, lease, deed)


def _change(
    database: sqlite3.Connection, path: Path, plugin: str, kind: Any, identity: str, lease: Lease | None,
    deed: Callable[[Any], Any],
) -> None:
    database.execute("BEGIN IMMEDIATE")
    try:
        if state_store.lease_of(database, identity) != lease:
            raise ConfigError(f"charger {identity} connected meanwhile: {OPEN_HINT}")
        row = state_store.state_of(database, plugin, identity)
        before = decoded(path, identity, kind, *row) if row is not None else kind.State()
        body = msgspec.msgpack.encode(deed(before))
        epoch = state_store.take_lease(database, identity, HAND)
        state_store.store(database, identity, epoch, Row(plugin, kind.state_version, body))
        database.execute("COMMIT")
    except BaseException:
        database.rollback()
        raise


async def _refuse_open(instance: Instance, identity: str) -> None:
    from ocpp_proxy.hub.client import LiveSource

    source = await LiveSource.connect(instance.control, instance.token)
    try:
        links = await source.open_links(identity)
        if source.missing:
            raise ConnectionError(f"not everyone could be asked whether charger {identity} is connected: {source.missing}")
    except CaptureError as error:           # no file is read here: the proxy has gone
        raise ConnectionError(str(error)) from error
    finally:
        await source.close()
    if links:
        raise ConfigError(f"charger {safe_text(identity)}: {OPEN_HINT}")
