"""``doctor --repair``: sets aside what does not open and rebuilds what kept segments, or those of the spool, still hold.

Rows that were checkpointed and whose segments are gone exist nowhere else: they are lost with the file, and it says so.
"""

import secrets
import time
from collections.abc import Sequence
from pathlib import Path

import duckdb

from ocpp_proxy.model import CaptureError
from ocpp_proxy_captures.database import attach, capture_files, check_version, connect, refused
from ocpp_proxy_captures.progress import Position
from ocpp_proxy_captures.replay import kept_files, replay_kept, replay_spool
from ocpp_proxy_captures.writer import open_store


def repair(path: str | Path, spool_folder: str | Path | Sequence[Path] | None = None, key: bytes = b"") -> str:
    """Repair a capture and say what was done.

    Files that open are left alone, but for taking in their ``.wal``. What was kept (``capture.keep_spool``) is committed
    again. Where nothing was kept, what segments of ``spool_folder`` (one folder or several) hold is put into a new file,
    credentials masked with ``key`` (a random one if empty); without them the next `run` on this capture does that.
    Raises ``CaptureError`` when the capture is in use or not there.
    """
    path = Path(path)
    if spool_folder is None or isinstance(spool_folder, str | Path):
        folders = [Path(spool_folder)] if spool_folder is not None else []
    else:
        folders = list(spool_folder)
    told: list[str] = []
    damaged = False
    for file in capture_files(path):
        problem = _problem(file)
        if problem is None:
            told.append(f"{file}: opens and reads, nothing to repair")
            continue
        damaged = True
        aside = _set_aside(file)
        told.append(f"{problem}\n{file}: set aside as {aside.name}; rows that are only in there are not readable any more")
    if damaged:
        told.append(_rebuilt(path, folders, key, whole=not _left(path)))
    return "\n".join(told)


def _left(path: Path) -> list[Path]:
    try:
        return capture_files(path)
    except CaptureError:
        return []


def _problem(file: Path) -> str | None:
    """Why a file cannot be used, having read every row of it; None when it can. In use: raises."""
    con = connect()
    try:
        attach(con, file, "capture", read_only=not file.stat().st_mode & 0o200)
        check_version(con, file, "capture")
        for table in ("meta", "runs", "positions", "state", "events", "wire", "pieces", "samples", "found"):
            con.execute(f"SELECT count(hash(t)) FROM capture.{table} t").fetchall()
        if file.stat().st_mode & 0o200:
            con.execute("CHECKPOINT capture")
    except duckdb.Error as error:
        return str(refused(file, error)).split(" `ocpp-proxy")[0]
    except CaptureError as error:
        if "is being written" in str(error) or "permission denied" in str(error) or "no such file" in str(error):
            raise
        return str(error).split(" `ocpp-proxy")[0]
    finally:
        con.close()
    return None


def _set_aside(file: Path) -> Path:
    aside = file.with_name(f"{file.name}.damaged-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}")
    number = 0
    while aside.exists():
        number += 1
        aside = aside.with_name(f"{aside.name}-{number}")
    file.rename(aside)
    log = Path(f"{file}.wal")
    if log.exists():
        log.rename(f"{aside}.wal")
    return aside


def _rebuilt(path: Path, spool_folders: Sequence[Path], key: bytes, whole: bool) -> str:
    """Make anew what is known: kept segments first. What the spool holds beyond them is for the next run: it goes on
    from the state they bring. ``whole``: nothing of the capture is left.
    """
    files = kept_files(path)
    rest = f"what its spool still holds is put into it by the next `ocpp-proxy run --capture {path}`"
    if not files and not whole:
        return f"{path}: nothing was kept (capture.keep_spool is off)"
    if not files and not spool_folders:
        return f"{path}: {rest.replace('into it', 'into a new file')}"
    store = open_store(path, Position, meta={"rebuilt": "from segments"}, logged=False)
    try:
        if files:
            batches, gaps = replay_kept(files, store)
            return f"{path}: made anew from {files[0].parent}: {batches} batches, {gaps} gaps; {rest}"
        count, gaps = replay_spool(spool_folders, store, key or secrets.token_bytes(32))
        return f"{path}: made anew from {spool_folders[0]}: {count} records, {gaps} gaps"
    finally:
        store.close()
