"""Owns the recorder's logic over a real store: feed, commit with positions and state, be killed, go on from the positions."""

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ocpp_proxy_captures import CaptureSource, open_store
from ocpp_proxy_captures.database import TABLES, capture_files, open_files

from ocpp_proxy.checks import Settings
from ocpp_proxy.config import CaptureConfig
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.core.masking import Masker
from ocpp_proxy.core.pipeline import Pipeline
from ocpp_proxy.hub.store import Position
from ocpp_proxy.model import Finding
from ocpp_proxy.records import Derived, Source
from ocpp_proxy.wire.spool import SpoolRecord

KEY = b"k" * 32
LOST = 5                                    # records that are fed after a commit and die with the process


class Recording:
    """One capture that is being written. ``kill`` leaves what a ``kill -9`` would leave, under another name."""

    def __init__(
        self, path: Path, masker: Masker | None = None, settings: CaptureConfig | None = None, rules: Settings | None = None,
        meta: Mapping[str, str] | None = None,
    ) -> None:
        self.path, self._masker, self._settings = path, masker, settings
        self._rules, self._meta = rules or Settings(), meta or {}
        self._begin()

    def _begin(self) -> None:
        self.store = open_store(self.path, Position, self._settings, self._meta)
        self.pipeline = Pipeline(self._rules, Ids(), self._masker)
        self.pipeline.restore(self.store.state())

    def write(self, spool: Sequence[SpoolRecord], commits: Sequence[int], kill: bool = False) -> None:
        """Record the stream with a commit at each of these places and at its end."""
        for end in (*commits, len(spool)):
            done = {position.incarnation: position.seq for position in self.store.positions()}
            part = [record for record in spool[:end] if record.seq > done.get(record.incarnation, 0)]
            seqs = {record.incarnation: record.seq for record in part}
            out = self.pipeline.feed(part)
            self.store.commit(out, [Position(0, life, seq) for life, seq in seqs.items()], self.pipeline.changed())
            if kill:
                self.pipeline.feed(spool[end : end + LOST])
                self.kill()

    def kill(self) -> None:
        """Go on with the files as they lie on disk now, the ``.wal`` included."""
        after = self.path.with_name(f"next-{self.path.name}")
        shutil.copytree(self.path, after) if self.path.is_dir() else shutil.copy(self.path, after)
        wal = Path(f"{self.path}.wal")
        if wal.exists():
            shutil.copy(wal, f"{after}.wal")
        self.store.close()
        shutil.rmtree(self.path) if self.path.is_dir() else self.path.unlink()
        self.path = after
        self._begin()

    def close(self) -> Path:
        """Close the store; gives the path of the capture."""
        self.store.close()
        return self.path


def record(path: Path, spool: Sequence[SpoolRecord], step: int = 60, masker: Masker | None = None, **more: Any) -> Path:
    """The capture of a stream, ``step`` records in a commit."""
    recording = Recording(path, masker, **more)
    recording.write(spool, range(step, len(spool), step))
    return recording.close()


def rows(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables in order, but for the list of runs."""
    con = open_files(capture_files(path))
    found = {table: con.execute(f"SELECT * FROM {table} ORDER BY ALL").fetchall() for table in TABLES if table != "runs"}
    found["positions"] = con.execute("SELECT * FROM positions ORDER BY ALL").fetchall()
    found["beat"] = con.execute("SELECT value ->> '$.last_beat_ns' FROM meta WHERE key = 'progress'").fetchall()
    con.close()
    return found


def told(finding: Finding) -> tuple[Any, ...]:
    """All that a finding says, but for its number."""
    return (finding.code, finding.severity.label, finding.blame, finding.link_id, finding.identity or None, finding.time_ns,
            finding.message, finding.msg_no, finding.path or None, list(finding.evidence) or None, finding.spec_ref or None,
            finding.count)


def stored_findings(path: Path) -> list[tuple[Any, ...]]:
    """The table of findings, as ``told`` gives them."""
    con = open_files(capture_files(path))
    found = con.execute("""
        SELECT rule, severity, blame, link_id, identity, epoch_us(ts) * 1000 + ns, message, msg_no, path, evidence, spec_ref,
               count
        FROM found WHERE no IN (SELECT no FROM findings) ORDER BY finding_id""").fetchall()
    con.close()
    return found


def source_records(path: Path) -> list[Source]:
    """The stored stream as ``check`` gets it."""
    return asyncio.run(_records(CaptureSource(path)))


async def _records(source: CaptureSource) -> list[Source]:
    found = [record async for batch in source.records() for record in batch if not isinstance(record, Derived)]
    await source.close()
    return found
