"""Reads OCPP trace JSONL (v1.1, ours and foreign) and bare logs of ``ts identity sender raw``: one JSON object per line.

A trace holds messages, not bytes of a network: its frames are made up around the text. A line that cannot be read is
counted and named, the rest goes on.
"""

import base64
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import orjson
from msgspec import structs

from ocpp_proxy.checks.settings import Settings
from ocpp_proxy.core.analyse import Analyser
from ocpp_proxy.core.assemble import Ids
from ocpp_proxy.escape import safe_text
from ocpp_proxy.fields import Filter
from ocpp_proxy.model import VERDICTS, CaptureError, Frame, Link, Opcode, Side
from ocpp_proxy.records import Audited, Beat, FrameSeen, Line, LinkOpened, Lost, MessageSeen, Record, Source
from ocpp_proxy.source import Bookmark, LogLine, Table
from ocpp_proxy.spec.versions import SUBPROTOCOLS
from ocpp_proxy_captures.bookmarks import MOST, NOTE, TAG, TAGS, SourceMarks
from ocpp_proxy_captures.envelope import short_header, short_text
from ocpp_proxy_captures.progress import Position
from ocpp_proxy_captures.reader import CaptureSource, FileReader
from ocpp_proxy_captures.summaries import SourceSummaries
from ocpp_proxy_captures.traffic import SourceTraffic
from ocpp_proxy_captures.writer import DuckStore, open_store

PROBLEMS = 20                               # so many bad lines are kept by name; all are counted
LINE_BYTES = 64 << 20
BATCH = 5_000
FRAMES = 4_096                              # remembered for what was made from them
CAUSES = 64
_SENDERS = {"cp-to-csms": Side.STATION, "csms-to-cp": Side.CSMS, "station": Side.STATION, "csms": Side.CSMS}
_TYPES = {"CALL": 2, "CALLRESULT": 3, "CALLERROR": 4, "CALLRESULTERROR": 5, "SEND": 6}
_VERSIONS = {version: token for token, version in SUBPROTOCOLS.items()} | {"1.6J": "ocpp1.6", "1.6-J": "ocpp1.6"}


class _Bad(Exception):
    """What is wrong with a line."""


class _Row(msgspec.Struct):
    """One line; the payload keeps its own spelling. Unknown fields are ignored."""

    timestamp: str | None = None
    ts: str | None = None
    direction: str | None = None
    sender: str | None = None
    messageType: str | None = None
    ocppVersion: str | None = None
    chargePointId: str | None = None
    identity: str | None = None
    messageId: str | None = None
    action: str | None = None
    payload: msgspec.Raw = msgspec.Raw()
    raw: str | None = None
    error: dict[str, Any] | None = None
    meta: Any = None


class _Mark(msgspec.Struct):
    """What ``meta.ocppProxy.bookmark`` says."""

    timeNs: Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)] = 0
    note: str = ""
    author: str = ""
    tags: list[str] = []


_row = msgspec.json.Decoder(_Row)


class TraceReader:
    """Turns the lines of a trace into records. ``bad`` counts unreadable lines, ``problems`` names the first of them."""

    def __init__(self, path: Path) -> None:
        self.path, self.bad, self.read = path, 0, 0
        self.problems: list[str] = []
        self._links: dict[tuple[str, object], Link] = {}
        self._links_known = 0
        self._numbers: dict[object, int] = {}   # of links, there and here
        self._early: dict[object, int] = {}     # of links of which no message has come yet
        self.marks: dict[int, Bookmark] = {}    # by the frame_id of their message; its number is not known yet
        self._told = 0                          # losses and audits, which a trace of ours has besides messages
        self._frames: dict[int, int] = {}       # numbers of the newest frames, there and here
        self._now = 0

    def records(self) -> Iterator[Source]:
        """The records, in the order of the lines; at the end the record time reached."""
        try:
            with self.path.open("rb") as file:
                number = 0
                while line := file.readline(LINE_BYTES):
                    number += 1
                    if line.strip():
                        yield from self._line(line, number)
        except OSError as error:
            raise CaptureError(f"{self.path}: cannot be read: {error.strerror}") from error
        if not self.read and not self._told:
            first = self.problems[0] if self.problems else f"{self.path}: is empty"
            raise CaptureError(f"{first}. No line of it is OCPP trace JSONL (see `ocpp-proxy export --help`).")
        yield Beat(self._now)

    def _line(self, line: bytes, number: int) -> Iterator[Source]:
        try:
            row = _row.decode(line)
            if (told := _aside(row)) is not None:
                yield self._of_link(told)
                return
            text, sender = _raw(row), _SENDERS.get(row.direction or row.sender or "")
            if sender is None:
                raise _Bad(f"no direction (cp-to-csms, csms-to-cp), no sender (station, csms): {row.direction or row.sender}")
            time_ns = _time(row)
        except (msgspec.MsgspecError, _Bad, UnicodeError, ValueError) as error:
            self.bad += 1
            if len(self.problems) < PROBLEMS:
                self.problems.append(f"{self.path}:{number}: {safe_text(str(error), 200)}")
            return
        self.read += 1
        self._now = max(self._now, time_ns)
        mark = _mark(row)
        if mark is not None and len(self.marks) < MOST:
            self.marks[self.read] = mark
        key = (row.chargePointId or row.identity or "", _ours(row).get("link"))
        if key not in self._links:
            number = self._early.pop(key[1], 0)
            if not number:
                self._links_known = number = self._links_known + 1
            station, csms = _protocols(row)
            link = Link(number, time_ns, "", identity=key[0], identity_source="trace", protocol=station, csms_protocol=csms)
            self._links[key] = link
            self._numbers[key[1]] = number
            yield LinkOpened(link)
        verdict, cause = self._made(row)
        yield FrameSeen(Frame(
            self.read, self._links[key].link_id, self.read, time_ns, time_ns, sender, Opcode.TEXT,
            short_header(Opcode.TEXT, len(text), False), b"", text, cause=cause, verdict=verdict,
            masked=bool(_ours(row).get("masked"))))

    def _made(self, row: _Row) -> tuple[str, tuple[int, ...]]:
        """What a plugin did, as of ``Frame``; of the frames it was made from those that are here."""
        ours = _ours(row)
        frame, cause, verdict = (ours.get(name) for name in ("frame", "cause", "verdict"))
        if isinstance(frame, int):
            self._frames[frame] = self.read
            if len(self._frames) > FRAMES:
                del self._frames[next(iter(self._frames))]
        if not isinstance(verdict, str) or verdict not in VERDICTS:
            return "", ()
        named = [there for there in (cause if isinstance(cause, list) else [])[:CAUSES] if isinstance(there, int)]
        return verdict, tuple(self._frames[there] for there in named if there in self._frames)

    def _of_link(self, told: Lost | Audited) -> Source:
        self._told += 1
        self._now = max(self._now, told.time_ns)
        return structs.replace(told, link_id=self._number(told.link_id) if told.link_id else 0)

    def _number(self, there: object) -> int:
        """The number here of a link of ours: that of its messages, or theirs when they come."""
        if there not in self._numbers:
            self._links_known += 1
            self._numbers[there] = self._early[there] = self._links_known
        return self._numbers[there]


class TraceSource(SourceTraffic, SourceSummaries, SourceMarks):
    """A trace as a ``source.Source``: judged once while it is read into a capture of its own, which goes with it.

    Raises ``CaptureError`` when not one line can be read.
    """

    live = False
    stored = True

    def __init__(self, path: str | Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="ocpp-proxy-trace-")
        reader = TraceReader(Path(path))
        try:
            file = Path(self._folder.name) / "trace.duckdb"
            _import(reader, file)
            self._source = CaptureSource(file)
        except BaseException:
            self._folder.cleanup()
            raise
        self.problems, self.bad = tuple(reader.problems), reader.bad
        self.title = str(path) + (f" ({reader.bad} lines could not be read; {reader.problems[0]})" if reader.bad else "")

    @property
    def reader(self) -> FileReader:
        """The blocking interface."""
        return self._source.reader

    async def links(self) -> list[Link]:
        """One link for each charger (each link, in a trace of ours)."""
        return await self._source.links()

    async def page(self, where: Filter | None, after: int, limit: int) -> list[Line]:
        """Up to ``limit`` lines that pass the filter, behind the first ``after`` of those."""
        return await self._source.page(where, after, limit)

    async def follow(self, where: Filter | None, last: int = 0) -> AsyncIterator[list[Line]]:
        """All lines that pass the filter, in batches, whatever ``last`` says; then it ends."""
        async for batch in self._source.follow(where):
            yield batch

    async def records(self) -> AsyncIterator[list[Record]]:
        """The records, in the order of the lines."""
        async for batch in self._source.records():
            yield batch

    async def query(self, query: str, parameters: dict[str, str]) -> Table:
        """A canned query by name, or SQL (in a locked-down child process)."""
        return await self._source.query(query, parameters)

    async def log(self, after_ns: int = 0) -> list[LogLine]:
        """None: no proxy ran here."""
        return []

    async def close(self) -> None:
        """Delete the capture that was made of it."""
        await self._source.close()
        self._folder.cleanup()


def _import(reader: TraceReader, file: Path) -> None:
    store = open_store(file, Position, logged=False)
    try:
        analyser = Analyser(Settings(), Ids(), None)
        out: list[Record] = []
        for record in reader.records():
            analyser.feed(record, out)
            if len(out) >= BATCH:
                _commit(store, out, reader.marks)
                out = []
        _commit(store, out, reader.marks)
    finally:
        store.close()


def _commit(store: DuckStore[Position], out: list[Record], marks: dict[int, Bookmark]) -> None:
    store.commit(out, (), {})
    if not marks:
        return
    for record in out:
        mark = marks.get(record.message.frame_id) if isinstance(record, MessageSeen) else None
        if mark is not None and isinstance(record, MessageSeen):
            store.bookmark(structs.replace(mark, msg_no=record.message.msg_no))


def _protocols(row: _Row) -> tuple[str, str]:
    """The subprotocols of a link: the station's, and the CSMS's where it is another (a bridge)."""
    told = _ours(row).get("protocols")
    if isinstance(told, list) and len(told) == 2 and all(isinstance(one, str) and one in SUBPROTOCOLS for one in told):
        station, csms = (str(one) for one in told)
        return station, csms if csms != station else ""
    return _VERSIONS.get(row.ocppVersion or "", ""), ""


def _mark(row: _Row) -> Bookmark | None:
    """The bookmark of a line of ours, cut to what a capture takes; None: none that could be read."""
    try:
        told = msgspec.convert(_ours(row).get("bookmark"), _Mark)
    except msgspec.ValidationError:
        return None
    mark = Bookmark(
        0, told.timeNs, told.note[:NOTE], told.author[:TAG], tuple(tag[:TAG] for tag in told.tags[:TAGS]))
    return mark if mark.time_ns or mark.note or mark.tags else None


def _ours(row: _Row) -> dict[str, Any]:
    ours = row.meta.get("ocppProxy") if isinstance(row.meta, dict) else None
    return ours if isinstance(ours, dict) else {}


def _aside(row: _Row) -> Lost | Audited | None:
    """What a line of ours says that is about no message of its own. Raises ``msgspec.ValidationError``."""
    told = _ours(row).get("record")
    if told is None:
        return None
    record = msgspec.convert(told, Lost | Audited)
    if not 0 <= record.time_ns < 1 << 62 or not 0 <= record.link_id < 1 << 62:
        raise ValueError(f"no time or no link: {record.time_ns}, {record.link_id}")
    return record


def _time(row: _Row) -> int:
    exact = _ours(row).get("timeNs")
    if isinstance(exact, int) and not isinstance(exact, bool):
        return exact
    text = row.timestamp or row.ts
    if not text:
        raise _Bad("no timestamp")
    moment = datetime.fromisoformat(text)
    past = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return (past.days * 86400 + past.seconds) * 1_000_000_000 + past.microseconds * 1000


def _raw(row: _Row) -> bytes:
    """The text of the message: as it was, or put together from the fields of a foreign trace."""
    exact = _ours(row).get("rawBase64")
    if isinstance(exact, str):
        return base64.b64decode(exact, validate=True)
    if row.raw is not None:
        return row.raw.encode()
    mtype = _TYPES.get(row.messageType or "")
    if mtype is None:
        raise _Bad(f"neither raw nor a known messageType: {row.messageType}")
    payload = bytes(row.payload) or b"{}"
    error = row.error or {}
    code, description = str(error.get("code", "")), str(error.get("description", ""))
    if mtype in (4, 5) and not bytes(row.payload):
        payload = orjson.dumps(error.get("details") or {})
    return short_text(mtype, _inside(row.messageId), _inside(row.action), _inside(code), _inside(description), payload)


def _inside(text: str | None) -> str:
    """Text as it stands between the quotes of a JSON string."""
    return orjson.dumps(text or "").decode()[1:-1]
