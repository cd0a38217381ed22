"""Builds spool records of links as a relay would append them: for tests of what reads them."""

import zlib

from ocpp_proxy.wire.frames import unmask
from ocpp_proxy.wire.spool import Body, End, Head, Kind, NoteBody, Open, SpoolRecord, encode_body

REQUEST = (
    b"GET /CP1 HTTP/1.1\r\nHost: csms\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: ocpp1.6\r\n\r\n"
)
ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: ocpp1.6\r\n"
)
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
STATION, CSMS = 0, 1


def wire_frame(payload: bytes, *, opcode: int = 1, fin: bool = True, mask: bytes = b"", rsv: int = 0, form: int = 0) -> bytes:
    """A frame as bytes. ``form`` 2 or 8: length written in that many bytes although fewer would do."""
    size = len(payload)
    first = (0x80 if fin else 0) | rsv | opcode
    bit = 0x80 if mask else 0
    if size < 126 and not form:
        head = bytes([first, bit | size])
    elif size < 65536 and form != 8:
        head = bytes([first, bit | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, bit | 127]) + size.to_bytes(8, "big")
    return head + mask + unmask(payload, mask)


class Deflater:
    """One direction's compressor with context takeover."""

    def __init__(self) -> None:
        self._z = zlib.compressobj(6, zlib.DEFLATED, -15)

    def message(self, text: bytes) -> bytes:
        """The compressed payload of one message."""
        return (self._z.compress(text) + self._z.flush(zlib.Z_SYNC_FLUSH))[:-4]


class Relay:
    """Collects the records one relay incarnation appends."""

    def __init__(self, worker: int = 0, incarnation: int = 7) -> None:
        self.records: list[SpoolRecord] = []
        self.worker, self.incarnation = worker, incarnation
        self.seq, self.now = 0, 1_000_000_000
        self.offsets: dict[tuple[int, int], int] = {}

    def add(
        self, kind: Kind, link: int = 0, direction: int = 0, data: bytes = b"", size: int = -1, at: int = 0,
    ) -> SpoolRecord:
        """Append a record; its offset follows from what the direction had before. ``at``: that of an OUT or DISP."""
        self.seq += 1
        self.now += 1_000_000
        offset = self.offsets.get((link, direction), 0)
        if kind in (Kind.OUT, Kind.DISP):
            offset = at
        else:
            self.offsets[link, direction] = offset + (len(data) if size < 0 else size)
        record = SpoolRecord(
            kind, direction, 0, self.seq, self.now, self.now + 5, link, offset, data, self.worker, self.incarnation,
        )
        self.records.append(record)
        return record

    def body(self, kind: Kind, link: int, direction: int, body: Body, size: int = 0) -> SpoolRecord:
        """Append a record with a body."""
        return self.add(kind, link, direction, encode_body(body), size)

    def open(self, link: int) -> None:
        """A connection from a charger."""
        self.body(Kind.OPEN, link, 0, Open(f"192.0.2.1:{4000 + link}", "0.0.0.0:9000"))

    def request(self, link: int, raw: bytes = REQUEST) -> None:
        """A request head."""
        head = Head(raw, len(raw), identity="CP1", upstream="ws://csms/", target="/CP1")
        self.body(Kind.HEAD, link, STATION, head, len(raw))

    def answer(self, link: int, raw: bytes = ANSWER + b"\r\n", status: int = 101) -> None:
        """An answer head."""
        self.body(Kind.HEAD, link, CSMS, Head(raw, len(raw), status=status), len(raw))

    def tunnel(self, link: int, extensions: bytes = b"") -> None:
        """A link up to its 101."""
        self.open(link)
        self.request(link)
        self.answer(link, ANSWER + extensions + b"\r\n")

    def data(self, link: int, direction: int, data: bytes) -> None:
        """Bytes that were received."""
        self.add(Kind.IN, link, direction, data)

    def note(self, link: int, kind: str, text: str = "", direction: int = 0) -> None:
        """A fact."""
        self.body(Kind.NOTE, link, direction, NoteBody(kind, text))

    def beat(self) -> None:
        """The worker's time."""
        self.add(Kind.BEAT)

    def end(self, link: int, first: int = STATION, how: str = "fin", unsent: int = 0) -> None:
        """Both directions end."""
        for direction in (first, 1 - first):
            total = self.offsets.get((link, direction), 0)
            body = End(total, total - unsent, unsent, how, direction == first)
            self.body(Kind.END, link, direction, body)
