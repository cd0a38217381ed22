"""``doctor --repair``: sets aside what does not open and rebuilds what spool segments still hold.

Rows that were checkpointed and whose segments are gone exist nowhere else: they are lost with the file, and it says so.
"""

import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
from msgspec import Struct

from ocpp_proxy.checks.settings import Settings
from ocpp_proxy.core.assemble import Ids
from ocpp_proxy.core.masking import Masker
from ocpp_proxy.core.pipeline import Pipeline
from ocpp_proxy.model import CaptureError
from ocpp_proxy.records import Gap
from ocpp_proxy.wire import spool
from ocpp_proxy_captures.database import attach, capture_files, check_version, connect, refused
from ocpp_proxy_captures.progress import Position
from ocpp_proxy_captures.writer import DuckStore, open_store

FEED = 5_000


class _Segment(Struct, frozen=True):
    """A spool segment with what its header says."""

    path: Path
    header: spool.Segment


def repair(path: str | Path, spool_folder: str | Path | None = None, key: bytes = b"") -> str:
    """Repair a capture and say what was done.

    Files that open are left alone, but for taking in their ``.wal``. With ``spool_folder`` what its segments hold is put into
    the new file, credentials masked with ``key`` (a random one if empty); without it the next `run` on this capture
    does that. Raises ``CaptureError`` when the capture is in use or not there.
    """
    path = Path(path)
    told: list[str] = []
    for file in capture_files(path):
        problem = _problem(file)
        if problem is None:
            told.append(f"{file}: opens and reads, nothing to repair")
            continue
        aside = _set_aside(file)
        told.append(f"{problem}\n{file}: set aside as {aside.name}; rows that are only in there are not readable any more")
        if file == path or not _left(path):
            told.append(_rebuilt(path, spool_folder, key))
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


def _rebuilt(path: Path, spool_folder: str | Path | None, key: bytes) -> str:
    if spool_folder is None:
        return f"{path}: what its spool still holds is put into a new file by the next `ocpp-proxy run --capture {path}`"
    store = open_store(path, Position, meta={"rebuilt": "from spool segments"})
    try:
        count, gaps = _replay(Path(spool_folder), store, Masker(key or secrets.token_bytes(32)))
    finally:
        store.close()
    return f"{path}: made anew from {spool_folder}: {count} records, {gaps} gaps"


def _replay(folder: Path, store: DuckStore[Position], masker: Masker) -> tuple[int, int]:
    pipeline = Pipeline(Settings(), Ids(), masker)
    count = gaps = 0
    batch: list[spool.SpoolRecord] = []
    last: dict[tuple[int, int], int] = {}

    def flush() -> None:
        out = pipeline.feed(batch)
        positions = [Position(worker, incarnation, seq) for (worker, incarnation), seq in last.items()]
        store.commit(out, positions, pipeline.changed())
        batch.clear()

    for record in _records(folder):
        key = (record.worker, record.incarnation)
        expected = last.get(key, record.seq - 1) + 1
        if record.seq < expected:
            continue                        # the same segment twice
        if record.seq > expected:
            flush()
            gap = Gap(record.time_ns, record.worker, expected, record.seq - 1, record.seq - expected, 0, "damaged spool")
            store.commit(pipeline.lost(record.worker, gap), (), pipeline.changed())
            gaps += 1
        last[key] = record.seq
        batch.append(record)
        count += 1
        if len(batch) >= FEED:
            flush()
    flush()
    return count, gaps


def _records(folder: Path) -> Iterator[spool.SpoolRecord]:
    found: list[_Segment] = []
    for path in folder.glob("w*.seg"):
        header = spool.read_segment_header(path.read_bytes()[: spool.SEGMENT.size])
        if header is not None:
            found.append(_Segment(path, header))
    for segment in sorted(found, key=lambda one: (one.header.wall_ns, one.header.worker, one.header.first_seq)):
        data = segment.path.read_bytes()[spool.SEGMENT.size :]
        for item, _ in spool.read_records(data, segment.header, spool.SEGMENT.size, final=True):
            if isinstance(item, spool.SpoolRecord):
                yield item
