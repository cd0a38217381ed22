"""Some neighbouring rows of a ring with their lines: as they are while answers still come, later packed."""

import zlib
from array import array
from collections.abc import Iterable

import msgspec

from ocpp_proxy.records import FrameSeen, Line, MessageSeen, Row
from ocpp_proxy_tui.packed_rows import PackedRows, Shared

APART = 4 << 10                             # an encoded line of more bytes is compressed alone, when it comes
LARGE = 64 << 10                            # a line with more bytes of payload is not kept
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Line]).decode


class Chunk:
    """Rows and what is kept of their lines. ``bytes``: of encoded lines; ``missing``: rows of which a line was too large."""

    __slots__ = ("_apart", "_blob", "_open", "_packed", "_parts", "_starts", "bytes", "missing")

    def __init__(self) -> None:
        self._open: list[Row] = []
        self._packed: PackedRows | None = None
        self._parts: list[list[bytes]] = []
        self._blob = b""                    # the parts of all rows, packed; ``_starts``: where those of a row begin in it
        self._starts = array("I", [0])
        self._apart: dict[int, list[bytes]] = {}        # compressed one by one
        self.missing: set[int] = set()
        self.bytes = 0

    @property
    def packed(self) -> bool:
        """Whether it is."""
        return self._packed is not None

    def __len__(self) -> int:
        """How many rows."""
        return len(self._open) or len(self._starts) - 1

    def append(self, row: Row) -> int:
        """A new row, of a chunk that is not packed; gives its place."""
        self._open.append(row)
        self._parts.append([])
        return len(self._open) - 1

    def row(self, at: int) -> Row:
        """A row; change it by ``put`` only."""
        return self._open[at] if self._packed is None else self._packed.row(at)

    def put(self, at: int, row: Row) -> None:
        """A row as it is now."""
        if self._packed is not None:
            self._packed.put(at, row)
        else:
            self._open[at] = row

    def glances(self, begin: int, end: int, alike: bool = False) -> Iterable[Row]:
        """As ``PackedRows.glances``."""
        return self._open[begin:end] if self._packed is None else self._packed.glances(begin, end, alike)

    def first_message(self, kinds: tuple[str, ...]) -> int:
        """As ``PackedRows.first_message``."""
        if self._packed is not None:
            return self._packed.first_message(kinds)
        return next((row.msg_no for row in self._open if row.kind in kinds), 0)

    def last_frame(self) -> int:
        """As ``PackedRows.last_frame``."""
        return max((row.frame_id for row in self._open), default=0) if self._packed is None else self._packed.last_frame()

    def place_of(self, msg_no: int, frame_id: int) -> int | None:
        """As ``PackedRows.place_of``."""
        if self._packed is not None:
            return self._packed.place_of(msg_no, frame_id)
        return next((at for at, row in enumerate(self._open)
                     if (msg_no and msg_no in (row.msg_no, row.answer_no)) or (frame_id and frame_id == row.frame_id)), None)

    def keep(self, at: int, line: Line) -> None:
        """Keep a line of row ``at``, unless it is too large."""
        if _weight(line) > LARGE:
            self.missing.add(at)
            return
        part = _encode(line)
        if len(part) > APART or self.packed or at in self._apart:
            part = zlib.compress(part, 1)
            self._apart.setdefault(at, []).append(part)
        else:
            self._parts[at].append(part)
        self.bytes += len(part)

    def lines(self, at: int, unpacked: bytes) -> list[Line]:
        """The lines that are kept of a row, in order; ``unpacked`` as of ``unpack``."""
        kept = _decode(unpacked[self._starts[at]:self._starts[at + 1]] if self.packed else _array(self._parts[at]))
        for part in self._apart.get(at, ()):
            kept += _decode(_array([zlib.decompress(part)]))
        return kept

    def unpack(self) -> bytes:
        """The lines of all rows, as ``lines`` takes them; nothing where it is not packed."""
        return zlib.decompress(self._blob) if self.packed else b""

    def pack(self, shared: Shared) -> None:
        """Compress, and give up the summaries that can be made again."""
        rows = [_array(parts) for parts in self._parts]
        self.bytes -= sum(len(part) for parts in self._parts for part in parts)
        for packed in rows:
            self._starts.append(self._starts[-1] + len(packed))
        self._blob = zlib.compress(b"".join(rows), 1)
        self.bytes += len(self._blob)
        for at, row in enumerate(self._open):
            if at not in self.missing:
                row.summary = ""
        self._packed = PackedRows(self._open, shared)
        self._open, self._parts = [], []


def _array(parts: list[bytes]) -> bytes:
    """Encoded values as one MessagePack array of 16-bit length."""
    return b"\xdc" + len(parts).to_bytes(2) + b"".join(parts)


def _weight(line: Line) -> int:
    match line.record:
        case MessageSeen(message):
            held = len(message.payload) + len(message.error_desc)
        case FrameSeen(seen):
            held = len(seen.payload) + len(seen.raw) + len(seen.header) + len(seen.text)
        case _:
            held = 0
    frame = line.frame
    return held if frame is None else max(held, len(frame.payload) + len(frame.text) + len(frame.raw))
