"""What a capture can be asked: links, lines, the stored stream, queries. The same for a file, a folder and a live store."""

import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import duckdb

from ocpp_proxy.fields import Filter
from ocpp_proxy.fields import compile as compile_filter
from ocpp_proxy.model import CaptureError, ConfigError, Link
from ocpp_proxy.records import Beat, Handshake, Line, LinkOpened, Record
from ocpp_proxy.source import Bookmark, Table
from ocpp_proxy_captures import canned, rebuild, sandbox
from ocpp_proxy_captures.bookmarks import Marks, SourceMarks, put_in_file
from ocpp_proxy_captures.cells import plain
from ocpp_proxy_captures.database import Connection, capture_files, fetched, open_files, refused
from ocpp_proxy_captures.fields_sql import candidates
from ocpp_proxy_captures.gate import Ending, Gate, aside
from ocpp_proxy_captures.lines import lines as rebuilt_lines
from ocpp_proxy_captures.log import Log, SourceLog
from ocpp_proxy_captures.summaries import SourceSummaries, Summaries
from ocpp_proxy_captures.traffic import SourceTraffic, Traffic

_DAMAGE = (duckdb.IOException, duckdb.SerializationException, duckdb.FatalException, duckdb.InternalException)
QUERY_SECONDS = 30.0                        # then a query of ours is interrupted
QUERY_ROWS = 100_000                        # more are cut
PAGE = 2_000                                # lines rebuilt at once


class Reader(Traffic, Summaries, Marks, Log, ABC):
    """Questions to a capture. Every method blocks and may be called from any thread."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[Connection]:
        """A cursor for one statement after the other."""

    @abstractmethod
    def closed_files(self) -> AbstractContextManager[list[Path]]:
        """Files that a child process may open: all that is committed."""

    def ending(self) -> Ending:
        """What a question is asked in that another thread may end."""
        return Ending()

    def links(self) -> list[Link]:
        """All links, oldest first, each as last known."""
        with self.reading() as con:
            rows = fetched(con.execute("SELECT body FROM events WHERE kind IN ('link_opened', 'handshake') ORDER BY no"))
        found: dict[int, Link] = {}
        for (body,) in rows:
            record = rebuild.event(body)
            if isinstance(record, LinkOpened | Handshake):
                found[record.link.link_id] = record.link
        return list(found.values())

    def facts(self) -> dict[str, str]:
        """What ``meta`` says: tool_version, rules_version, rules_settings and others.

        ``rules_change``: the first note of other rule settings, which says what held before; empty: they never changed.
        """
        with self.reading() as con:
            changes = con.execute("SELECT text FROM notes WHERE kind = 'rules' ORDER BY no LIMIT 1").fetchall()
            known = {key: value or "" for key, value in con.execute("SELECT key, value FROM meta").fetchall()}
            return {**known, "rules_change": changes[0][0] if changes else ""}

    def page(self, where: Filter | None, after: int, limit: int) -> list[Line]:
        """Up to ``limit`` lines that pass the filter, behind the first ``after`` of those."""
        if where is None:
            with self.reading() as con:
                rows = fetched(con.execute("SELECT no FROM lines ORDER BY no LIMIT ? OFFSET ?", [limit, after]))
                return rebuilt_lines(con, [no for (no,) in rows])
        out: list[Line] = []
        for batch in self.lines(where):
            taken = batch[after:]
            after = max(0, after - len(batch))
            out += taken
            if len(out) >= limit:
                break
        return out[:limit]

    def lines(self, where: Filter | None) -> Iterator[list[Line]]:
        """All lines that pass the filter, in batches."""
        passes = compile_filter(where, {link.link_id: link for link in self.links()} if where else None)
        with self.reading() as con:
            numbers = _candidates(con, where)
        for start in range(0, len(numbers), PAGE):
            with self.reading() as con:
                batch = [line for line in rebuilt_lines(con, numbers[start : start + PAGE]) if passes(line)]
            if batch:
                yield batch

    def records(self) -> Iterator[list[Record]]:
        """The stored stream without what was derived from it, then the record time it had reached."""
        with self.reading() as con:
            beat = con.execute(
                "SELECT json_extract_string(value, '$.last_beat_ns') FROM meta WHERE key = 'progress'").fetchall()
        yield from self._windows(rebuild.source_records)
        if beat and int(beat[0][0] or 0):
            yield [Beat(int(beat[0][0]))]

    def everything(self) -> Iterator[list[Record]]:
        """The stored stream with its messages and findings."""
        yield from self._windows(rebuild.all_records)

    def _windows(self, part: Callable[[Connection, int, int], list[Record]]) -> Iterator[list[Record]]:
        """Part by part: nobody reads between two of them."""
        with self.reading() as con:
            ranges = list(rebuild.windows(con))
        for first, last in ranges:
            with self.reading() as con:
                records = part(con, first, last)
            yield records

    def query(self, query: str, parameters: Mapping[str, str]) -> Table:
        """A canned query by its name, or SQL, which runs in a locked-down child. Raises ``ConfigError``."""
        found = canned.find(query.strip())
        if found is not None:
            values = found.values(parameters)
            with self.reading() as con:
                return _table(con, found.name, found.sql, values)
        if len(query.split()) == 1:
            raise canned.unknown(query.strip())
        if parameters:
            raise ConfigError("parameters belong to the queries of `ocpp-proxy query --list`; write the values into the SQL")
        with self.closed_files() as paths:
            return sandbox.run(paths, query)


class FileReader(Reader):
    """A closed capture: a file, or a folder of segments."""

    def __init__(self, path: Path) -> None:
        self.paths = capture_files(path)
        self._con = open_files(self.paths)
        self._gate = Gate()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A cursor; damage met while reading is a ``CaptureError``."""
        with self._gate.cursor(lambda: self._con.cursor()) as cursor:
            try:
                yield cursor
            except _DAMAGE as error:
                raise refused(self.paths[-1], error) from error

    @contextmanager
    def closed_files(self) -> Iterator[list[Path]]:
        """Its files: nobody writes to them meanwhile."""
        with self._gate.inside():
            yield self.paths

    def bookmark(self, mark: Bookmark) -> None:
        """Store a bookmark, or take it away: the newest file is opened for writing for that moment. Raises ``ConfigError``."""
        with self._gate.alone():
            known = self._con.execute("SELECT 1 FROM wire WHERE msg_no = ? LIMIT 1", [mark.msg_no]).fetchall()
            if not known and mark.time_ns:
                raise ConfigError(f"{self.paths[-1]}: no bookmark was stored: it holds no message {mark.msg_no}")
            self._con.close()
            try:
                put_in_file(self.paths[-1], mark)
            finally:
                self._con = open_files(self.paths)

    def close(self) -> None:
        """Let go of the files."""
        self._con.close()


class CaptureSource(SourceTraffic, SourceSummaries, SourceMarks, SourceLog):
    """A closed capture as a ``source.Source``. Raises ``CaptureError`` when it cannot be opened."""

    live = False
    stored = True

    def __init__(self, path: str | Path) -> None:
        self._reader = FileReader(Path(path))
        self.title = str(path)

    @property
    def reader(self) -> FileReader:
        """The blocking interface."""
        return self._reader

    async def links(self) -> list[Link]:
        """All links, oldest first."""
        return await aside(self._reader.links)

    async def page(self, where: Filter | None, after: int, limit: int) -> list[Line]:
        """Up to ``limit`` lines that pass the filter, behind the first ``after`` of those."""
        return await aside(self._reader.page, where, after, limit)

    async def follow(self, where: Filter | None, last: int = 0) -> AsyncIterator[list[Line]]:
        """All lines that pass the filter, in batches, whatever ``last`` says; then it ends."""
        for batch in self._reader.lines(where):
            yield batch

    async def records(self) -> AsyncIterator[list[Record]]:
        """The stored stream in order, in batches."""
        for batch in self._reader.records():
            yield batch

    async def query(self, query: str, parameters: dict[str, str]) -> Table:
        """A canned query by name, or SQL (in a locked-down child process)."""
        return await aside(self._reader.query, query, parameters)

    async def close(self) -> None:
        """Let go of the files."""
        self._reader.close()


_BAD_VALUE = (
    duckdb.ConversionException, duckdb.InvalidInputException, duckdb.OutOfRangeException, duckdb.NotImplementedException,
    duckdb.BinderException,
)


def _candidates(con: Connection, where: Filter | None) -> list[int]:
    condition = candidates(where)
    rows = fetched(con.execute(f"""
        SELECT no FROM wire w WHERE (msg_no IS NOT NULL OR opcode > 2 OR raw IS NOT NULL) AND {condition.may.text}
        UNION ALL SELECT no FROM lines WHERE source <> 'wire' ORDER BY no""", list(condition.may.parameters)))
    return [no for (no,) in rows]


def _table(con: Connection, name: str, sql: str, values: Mapping[str, str]) -> Table:
    late = threading.Event()

    def stop() -> None:
        late.set()
        con.interrupt()

    timer = threading.Timer(QUERY_SECONDS, stop)
    timer.daemon = True
    timer.start()
    try:
        con.execute(sql, dict(values))
        columns = [column[0] for column in con.description or []]
        rows = fetched(con, QUERY_ROWS + 1)
    except duckdb.InterruptException as error:
        if not late.is_set():
            raise
        text = f"query {name}: took longer than {QUERY_SECONDS:.0f} s and was stopped; ask for a smaller part"
        raise ConfigError(text) from error
    except _BAD_VALUE as error:
        given = ", ".join(f"{key}={value!r}" for key, value in values.items())
        raise ConfigError(f"query {name}: {str(error).splitlines()[0]} (parameters: {given or 'none'})") from error
    except duckdb.OutOfMemoryException as error:
        raise CaptureError(f"query {name}: there was not enough memory") from error
    finally:
        timer.cancel()
    return Table(columns, [[plain(value) for value in row] for row in rows[:QUERY_ROWS]], len(rows) > QUERY_ROWS)
