"""The recorder process: builds the pipeline of this configuration and records until told to stop."""

import asyncio
import contextlib
import gc
import os
import secrets
from pathlib import Path

from ocpp_proxy.checks.settings import Settings
from ocpp_proxy.config import Config
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.core.masking import Masker
from ocpp_proxy.core.pipeline import Pipeline
from ocpp_proxy.core.sealing import Sealer
from ocpp_proxy.core.tap import Tap
from ocpp_proxy.hub import log
from ocpp_proxy.hub.instance import state_folder
from ocpp_proxy.hub.observing import Observing
from ocpp_proxy.hub.recording import Recorder
from ocpp_proxy.hub.store import Store
from ocpp_proxy.hub.watchers import Finder
from ocpp_proxy.model import ConfigError

KEY_BYTES = 32


def main(
    instance: Path, store: Store | None, config: Config, alive_fd: int, finder: Finder | None = None,
) -> int:
    """Run until told to stop (SIGTERM) or the supervisor is gone; the exit code. ``store`` None: live only.

    ``finder``: who loads observers.
    """
    log.configure("recorder", instance=instance)
    try:
        key = _key(instance, needed=not config.capture.keep_secrets)
        masker = None if config.capture.keep_secrets else Masker(key)
        observers, errors = finder.find(config) if finder is not None else ([], [])
        for error in errors:                # a file that was broken since the start: recording goes on
            log.logger().error("an observer cannot be loaded", reason=error)
        tap = Tap()
        pipeline = Pipeline(
            Settings(call_seconds=config.call_seconds, severities=config.rules), Ids(), masker,
            sealer=Sealer(key) if key else None, tap=tap,
        )
        recorder = Recorder(instance, store, config, pipeline, Observing(tap, observers, instance), masker, finder)
        if pipeline.unopened:
            log.logger().warning("links that were open are begun anew: their state was sealed with another key")
        gc.collect()
        gc.freeze()                         # what lives now lives to the end; records are no cycles
        gc.set_threshold(50_000, 20, 100)
        try:
            return asyncio.run(recorder.run(alive_fd))
        finally:
            gc.unfreeze()                   # or DuckDB finds its classes alive at the end, and writes 50 lines about it
    except ConfigError as error:
        log.logger().error(str(error))
        return 2


def _key(instance: Path, needed: bool) -> bytes:
    """``masking_key``; empty when there is none and it is not ``needed``. Raises ``ConfigError``."""
    try:
        return masking_key(instance)
    except ConfigError:
        if needed:
            raise
        return b""


def masking_key(instance: Path) -> bytes:
    """The key of this user's pseudonyms, made once: the same secret looks the same in every capture, and only here.

    It lies in the state folder, 0600; where that cannot be written, in the instance folder.
    """
    for folder in (state_folder(), instance):
        path = folder / "pseudonym.key"
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not path.exists():
                _make(path)
            key = path.read_bytes()
            if len(key) >= KEY_BYTES:
                return key
    raise ConfigError(f"{path}: no key for masking secrets can be kept there; make the folder writable, or use --keep-secrets")


def _make(path: Path) -> None:
    """Write a fresh key; of two processes at once one wins, and both read the same."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(secrets.token_bytes(KEY_BYTES))
    try:
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        fresh.unlink()
