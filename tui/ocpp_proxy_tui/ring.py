"""The newest rows of live traffic, bounded in rows and bytes, with all their lines beside them.

Rows stand in chunks; the oldest chunk goes when there is no room. Lines are kept encoded: of a chunk that is a little past,
compressed together; large or late ones on their own. A summary is given up with the compression and made again on demand.
"""

import sys
from collections import deque
from collections.abc import Iterator

from msgspec import structs

from ocpp_proxy.core.rows import add, alone, begin, call_of, is_row, is_translation, name_too, origin_of, whole
from ocpp_proxy.fields import Links
from ocpp_proxy.records import Found, Line, MessageSeen, Row
from ocpp_proxy.source import View
from ocpp_proxy_tui.chunk import Chunk
from ocpp_proxy_tui.packed_rows import Shared

CHUNK = 64                                  # rows that come and go together: packing them takes 4 ms, which no key notices
OPEN_CHUNKS = 16                            # chunks behind the newest that still wait for answers uncompressed
BYTES = 96 << 20                            # of encoded lines, all together
PENDING = 50_000                            # Calls without an answer that are found at once; older ones are searched for
CHANGES = 20_000                            # rows that changed are remembered by position, up to so many
ALIKE = 50_000                              # kinds of rows of which each is kept once, as long as they are not more
_MESSAGES = ("exchange", "message")


class Ring:
    """Rows at positions ``first`` to ``end`` (a position never changes). Answers and late findings change a row in place."""

    def __init__(self, view: View, limit: int, links: Links, stored: bool) -> None:
        """``limit``: rows that are kept at least, two chunks more at most.

        ``stored``: an answer whose Call is not here belongs to a row of the capture, so it makes no row here.
        """
        self.view, self.limit, self.stored = view, limit, stored
        self.first = self.end = 0
        self.evicted = 0
        self.bytes = 0
        self.changed = 0                    # how many changes there have been; the newest positions are in ``changes``
        self.changes: deque[int] = deque(maxlen=CHANGES)
        self.newest = 0                     # number of the newest message taken
        self.missed = 0                     # how much news there has been of Calls that are not here; of the newest their
        self.missed_calls: deque[int] = deque(maxlen=CHANGES)      # numbers
        self._links = links
        self._base = 0                      # position of the first row of chunk 0
        self._chunks: dict[int, Chunk] = {}
        self._pending: dict[int, int] = {}
        self._findings: dict[int, None] = {}
        self._made: dict[int, None] = {}    # the newest Calls that are translations, and no rows
        self._tuples: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._shared = Shared(ALIKE)
        self._unpacked: tuple[Chunk, bytes] | None = None

    def add(self, line: Line) -> None:
        """Take a line: a new row, or news of one."""
        call = 0
        if isinstance(line.record, Found) and self._again(line.record.finding.finding_id):
            return
        if isinstance(line.record, MessageSeen):
            self.newest = line.record.message.msg_no
        if self.view == "exchanges":
            call = call_of(line)
            if (call and call in self._made) or (line.frame is not None and line.frame.verdict and is_translation(line)):
                if self._beside(call, line):
                    return
                call = 0
            if call and (self._update(call, line) or self._missed(call)):
                return
            if not (call or is_row(line)):
                return
        row = (begin if self.view == "exchanges" else alone)(line, self._links)
        self._intern(row)
        chunk = self._open_chunk()
        self._keep(chunk, chunk.append(row), line)
        if row.outcome == "pending":
            self._pending[row.msg_no] = self.end
            if len(self._pending) > PENDING:
                del self._pending[next(iter(self._pending))]
        self.end += 1

    def _beside(self, call: int, line: Line) -> bool:
        """Whether a line of a translation (the Call itself, or about the Call) is no row: nothing is wrong there."""
        if not call and isinstance(line.record, MessageSeen):
            self._made[line.record.message.msg_no] = None
            self._name_too(origin_of(line), line.record.message.action)
            if len(self._made) > CHANGES:
                del self._made[next(iter(self._made))]
            return True
        return isinstance(line.record, MessageSeen) and not line.findings

    def _name_too(self, frame_id: int, action: str) -> None:
        """A Call was made of that of a row, one of the newest as a rule."""
        for number, chunk in reversed(self._chunks.items()):
            at = chunk.place_of(0, frame_id)
            if at is not None:
                row = chunk.row(at)
                name_too(row, action)
                self._intern(row)
                chunk.put(at, row)
                self._changed(self._base + number * CHUNK + at)
            if at is not None or chunk.last_frame() < frame_id:     # what stands before has been seen earlier still
                return

    def _changed(self, position: int) -> None:
        self.changes.append(position)
        self.changed += 1

    def row(self, position: int) -> Row:
        """The row as it is kept: without a summary when it is packed. Raises ``KeyError`` for one that is not here."""
        chunk, at = self._place(position)
        return chunk.row(at)

    def get(self, position: int) -> Row:
        """The row, whole."""
        row = self.row(position)
        if row.summary or not self._place(position)[0].packed:
            return row
        made = whole(self.lines(position), self._links)
        return structs.replace(row, summary=made.summary) if made else row

    def lines(self, position: int) -> list[Line]:
        """The lines that are kept of a row, in order."""
        chunk, at = self._place(position)
        if chunk.packed and (self._unpacked is None or self._unpacked[0] is not chunk):
            self._unpacked = chunk, chunk.unpack()
        return chunk.lines(at, self._unpacked[1] if chunk.packed and self._unpacked else b"")

    def complete(self, position: int) -> bool:
        """Whether all lines of the row are kept."""
        chunk, at = self._place(position)
        return at not in chunk.missing

    def rows(self, begin: int, end: int, alike: bool = False) -> Iterator[tuple[int, Row]]:
        """Rows with their positions, for looking through many: as of ``PackedRows.glances``, to be asked for no summary."""
        position, end = max(begin, self.first), min(end, self.end)
        while position < end:
            chunk, at = self._place(position)
            yield from enumerate(chunk.glances(at, at + end - position, alike), position)
            position += len(chunk) - at

    def message_from(self, position: int) -> int:
        """The position of the first row from there on that begins with a message; ``end`` if there is none."""
        for at, row in self.rows(position, self.end):
            if row.msg_no and row.kind in _MESSAGES:
                return at
        return self.end

    def position_of(self, msg_no: int = 0, frame_id: int = 0) -> int | None:
        """Where a message (an answer too) or a frame is shown."""
        for number, chunk in self._chunks.items():
            at = chunk.place_of(msg_no, frame_id)
            if at is not None:
                return self._base + number * CHUNK + at
        return None

    def cut(self) -> None:
        """Let go of everything: lines were lost behind it, and what was here is in the capture."""
        self.evicted += self.end - self.first
        self._base = self.first = self.end
        self._chunks.clear()
        self._pending.clear()
        self._unpacked = None
        self.bytes = 0

    def anew(self) -> None:
        """The numbers of messages and findings begin again: those of before mean nothing any more."""
        self._pending.clear()
        self._findings.clear()
        self._made.clear()

    def _update(self, call: int, line: Line) -> bool:
        position = self._pending.get(call)
        if position is None or position < self.first:
            position = self._search(call)
        if position is None:
            return False
        if isinstance(line.record, MessageSeen):
            self._pending.pop(call, None)
        chunk, at = self._place(position)
        row = chunk.row(at)
        add(row, line)
        self._intern(row)
        self._keep(chunk, at, line)
        chunk.put(at, row)
        self._changed(position)
        return True

    def _missed(self, call: int) -> bool:
        """News of a Call that is not here: whether the capture has its row."""
        if self.stored:
            self.missed_calls.append(call)
            self.missed += 1
        return self.stored

    def _search(self, call: int) -> int | None:
        """The row of a Call by its number: rows that begin with a message stand in the order of their numbers."""
        low, high = 0, len(self._chunks)
        numbers = list(self._chunks)
        while low < high:                   # the last chunk whose first message is not behind the Call
            middle = (low + high) // 2
            first = self._chunks[numbers[middle]].first_message(_MESSAGES)
            low, high = (middle + 1, high) if first <= call else (low, middle)
        if not low:
            return None
        begin = self._base + numbers[low - 1] * CHUNK
        rows = self.rows(begin, begin + CHUNK)
        return next((position for position, row in rows if row.msg_no == call and row.kind == "exchange"), None)

    def _again(self, finding_id: int) -> bool:
        """A finding standing alone is told again with a higher count; it is one row."""
        if finding_id in self._findings:
            return True
        self._findings[finding_id] = None
        if len(self._findings) > CHANGES:
            del self._findings[next(iter(self._findings))]
        return False

    def _open_chunk(self) -> Chunk:
        number, at = divmod(self.end - self._base, CHUNK)
        if at:
            return self._chunks[number]
        past = self._chunks.get(number - OPEN_CHUNKS)
        if past is not None and not past.packed:
            self.bytes -= past.bytes
            past.pack(self._shared)
            self.bytes += past.bytes
        while self._chunks and (self.end - self.first - CHUNK >= self.limit or self.bytes > BYTES):
            oldest = next(iter(self._chunks))
            gone = self._chunks.pop(oldest)
            self.first += len(gone)
            self.evicted += len(gone)
            self.bytes -= gone.bytes
            if self._unpacked is not None and self._unpacked[0] is gone:
                self._unpacked = None
        chunk = self._chunks[number] = Chunk()
        return chunk

    def _keep(self, chunk: Chunk, at: int, line: Line) -> None:
        before = chunk.bytes
        chunk.keep(at, line)
        self.bytes += chunk.bytes - before

    def _place(self, position: int) -> tuple[Chunk, int]:
        """Its chunk, and its place in that."""
        number, at = divmod(position - self._base, CHUNK)
        return self._chunks[number], at

    def _intern(self, row: Row) -> None:
        """What many rows say is kept once."""
        intern = sys.intern
        row.identity, row.protocol, row.action = intern(row.identity), intern(row.protocol), intern(row.action)
        row.tx, row.token, row.error = intern(row.tx), intern(row.token), intern(row.error)
        if row.codes:
            if len(self._tuples) > CHANGES:
                self._tuples.clear()
            row.codes = self._tuples.setdefault(row.codes, row.codes)
            row.blames = self._tuples.setdefault(row.blames, row.blames)
        for name in ("verdicts", "made"):
            if value := getattr(row, name):
                setattr(row, name, self._tuples.setdefault(value, value))
