"""What a capture says about the proxy itself: when a run began, notes about all of it, gaps, refused dials, audits."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager

from ocpp_proxy.core.said import DIALS, said
from ocpp_proxy.escape import safe_text
from ocpp_proxy.source import LogLine
from ocpp_proxy_captures import rebuild
from ocpp_proxy_captures.database import Connection
from ocpp_proxy_captures.gate import aside

LINES = 10_000                              # of notes, gaps and audits, the newest
_NOTES = f"""
    SELECT body FROM events
    WHERE epoch_us(ts) >= ? AND (kind IN ('gap', 'audited') OR (kind = 'note' AND (
      coalesce(link_id, 0) = 0 OR json_extract_string(body, '$.kind') IN {DIALS})))
    ORDER BY no DESC LIMIT {LINES}"""
_RUNS = f"""
    SELECT epoch_us(started_at) * 1000, run_no, coalesce(tool_version, '') FROM runs
    WHERE epoch_us(started_at) >= ? ORDER BY run_no DESC LIMIT {LINES}"""


class Log(ABC):
    """The log out of what ``reading`` reads."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[Connection]:
        """A cursor for one statement after the other."""

    def log(self, after_ns: int = 0) -> list[LogLine]:
        """What the proxy said later than ``after_ns``, oldest first, up to a bound. Blocks."""
        with self.reading() as con:
            notes = con.execute(_NOTES, [after_ns // 1000]).fetchall()
            runs = con.execute(_RUNS, [after_ns // 1000]).fetchall()
        lines = [
            LogLine(time_ns, "info", "recorder", f"run {number} begins, version {safe_text(version, 100) or 'unknown'}")
            for time_ns, number, version in reversed(runs)]
        lines += [line for (body,) in reversed(notes) if (line := said(rebuild.event(body))) is not None]
        return sorted((line for line in lines if line.time_ns > after_ns), key=lambda line: line.time_ns)


class SourceLog(ABC):
    """The same for a ``source.Source``: in another thread."""

    @property
    @abstractmethod
    def reader(self) -> Log:
        """The blocking interface."""

    async def log(self, after_ns: int = 0) -> list[LogLine]:
        """What the proxy itself said since then, oldest first, up to a bound."""
        return await aside(self.reader.log, after_ns)
