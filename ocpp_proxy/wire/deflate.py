"""permessage-deflate (RFC 7692), reading side: what was agreed, and an inflater of one direction with a cap.

The state of an inflater between two messages is the last 32 KiB it gave out; inside a fragmented message nothing is
inflated yet (the joined message is), so a message boundary is the only place where state exists.
"""

import zlib

from msgspec import Struct

CAP = 4 << 20                   # bytes of text one message may give
WINDOW = 32768
MAX_CHUNKS = 16
_TAIL = b"\x00\x00\xff\xff"     # RFC 7692 section 7.2.2: taken off by the sender


class Agreement(Struct, frozen=True, gc=False):
    """What the extension header of a 101 says. ``*_takeover``: that side's window goes on from message to message."""

    station_takeover: bool = True
    csms_takeover: bool = True
    station_bits: int = 15
    csms_bits: int = 15


def agreement(extensions: str) -> Agreement | None:
    """Read ``Sec-WebSocket-Extensions`` of a 101; None when it agrees on no permessage-deflate."""
    for offer in extensions.split(","):
        name, *rest = (part.strip().lower() for part in offer.split(";"))
        if name != "permessage-deflate":
            continue
        values = {key.strip(): value.strip().strip('"') for key, _, value in (part.partition("=") for part in rest)}
        return Agreement(
            "client_no_context_takeover" not in values, "server_no_context_takeover" not in values,
            _bits(values.get("client_max_window_bits", "")), _bits(values.get("server_max_window_bits", "")),
        )
    return None


def _bits(value: str) -> int:
    return int(value) if value in ("8", "9", "10", "11", "12", "13", "14", "15") else 15


class InflaterState(Struct, gc=False):
    """What an inflater needs to go on: ``chunks`` are the end of what it gave out, at least 32 KiB if there is so much.

    A chunk never changes; new ones come at the end, old ones go at the front (or all become one).
    """

    takeover: bool
    chunks: list[bytes] = []
    lost: str = ""              # why later messages cannot be inflated: bomb, inflate, gap


class Inflater:
    """Inflates whole messages of one direction. After a hole, a cut or a fault a direction with takeover stays lost."""

    __slots__ = ("_recent", "_recent_size", "_z", "state")

    def __init__(self, state: InflaterState) -> None:
        self.state = state
        self._z: zlib._Decompress | None = None
        self._recent: list[bytes] = []              # texts given out that are in no chunk yet
        self._recent_size = 0

    def inflate(self, data: bytes, cap: int = CAP) -> tuple[bytes, str]:
        """The text of one message (its frames' payloads joined) and a fault: "", inflate, bomb or undecodable.

        ``bomb``: the text was cut at ``cap``. ``undecodable``: an earlier hole or fault took the window away.
        """
        state = self.state
        if state.lost:
            return b"", "undecodable"
        z = self._z
        if z is None:
            z = self._z = zlib.decompressobj(-15, zdict=self.window())     # 15 reads every size agreed on
        try:
            text = z.decompress(data + _TAIL, cap + 1)
        except zlib.error:
            return b"", self._lose("inflate")
        if len(text) > cap or z.unconsumed_tail:
            return text[:cap], self._lose("bomb")
        if not state.takeover:
            self._z = None
            return text, ""
        self._remember(text)
        if z.eof:                                   # a block marked final: legal, the window still goes on
            self._z = None
        return text, ""

    def lose(self, why: str) -> None:
        """Bytes of this direction are missing: with takeover nothing behind them can be inflated."""
        self._lose(why)

    def fold(self) -> None:
        """Bring ``state`` up to what was given out, so that it can be stored."""
        if not self._recent:
            return
        chunks = self.state.chunks
        chunks.append(b"".join(self._recent)[-WINDOW:])
        self._recent, self._recent_size = [], 0
        size = sum(map(len, chunks))
        while size - len(chunks[0]) >= WINDOW:
            size -= len(chunks.pop(0))
        if len(chunks) > MAX_CHUNKS:
            chunks[:] = [b"".join(chunks)[-WINDOW:]]

    def window(self) -> bytes:
        """The last 32 KiB given out."""
        self.fold()
        return b"".join(self.state.chunks)[-WINDOW:]

    def _lose(self, why: str) -> str:
        self._z = None
        if self.state.takeover:
            self.state.lost, self.state.chunks = why, []
            self._recent, self._recent_size = [], 0
        return why

    def _remember(self, text: bytes) -> None:
        self._recent.append(text if len(text) <= WINDOW else text[-WINDOW:])
        self._recent_size += len(text)
        if self._recent_size > 2 * WINDOW:
            self.fold()
