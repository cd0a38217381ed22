"""The two raw peers' own words of HTTP and WebSocket: heads and frames as bytes, read back without judging them.

It shares nothing with the product's readers on purpose: it is the second opinion the transparency subjects rest on.
"""

import base64
import hashlib
import zlib
from dataclasses import dataclass, field
from typing import NamedTuple

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
KEY = "dGhlIHNhbXBsZSBub25jZQ=="                    # the sample of RFC 6455 section 1.3, also used by real test tools
HOST = "csms.example:8887"                          # one name in both runs: the ports differ, the heads must not
UPGRADE = ("Upgrade: websocket", "Connection: Upgrade")


def request(target: str, *lines: str, key: str = KEY, protocol: str = "ocpp1.6", version: str = "13") -> bytes:
    """An upgrade request head. ``protocol`` empty: none is offered."""
    offer = (f"Sec-WebSocket-Protocol: {protocol}",) if protocol else ()
    return head(
        f"GET {target} HTTP/1.1", f"Host: {HOST}", *UPGRADE, f"Sec-WebSocket-Key: {key}",
        f"Sec-WebSocket-Version: {version}", *offer, *lines,
    )


def accept_value(key: str) -> str:
    """The Sec-WebSocket-Accept that belongs to a key (RFC 6455 section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()


ACCEPT = accept_value(KEY)


def switching(*lines: str, protocol: str = "ocpp1.6", accept: str = ACCEPT) -> bytes:
    """A 101 head. ``protocol`` empty: none is chosen."""
    chosen = (f"Sec-WebSocket-Protocol: {protocol}",) if protocol else ()
    return head("HTTP/1.1 101 Switching Protocols", *UPGRADE, f"Sec-WebSocket-Accept: {accept}", *chosen, *lines)


def head(*lines: str) -> bytes:
    """A head from its lines (latin-1), with the empty line that ends it."""
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Head(NamedTuple):
    """A head read back: the first line, the field lines as sent, and the whole as bytes."""

    start: bytes
    lines: tuple[bytes, ...]
    raw: bytes

    @property
    def target(self) -> bytes:
        """The request target, or the status code of an answer."""
        return [*self.start.split(b" "), b""][1]

    def values(self, name: str) -> list[bytes]:
        """The values of a field, in order, without the blanks around them."""
        return [value for key, value in self.fields() if key == name.lower().encode()]

    def line(self, name: str) -> list[bytes]:
        """The lines of a field exactly as they came."""
        return [line for line in self.lines if line.partition(b":")[0].strip().lower() == name.lower().encode()]

    def fields(self) -> list[tuple[bytes, bytes]]:
        """All fields in order: (lower-case name, value)."""
        pairs = [line.partition(b":") for line in self.lines]
        return [(name.strip().lower(), value.strip()) for name, _, value in pairs]


def read_head(raw: bytes | bytearray) -> Head | None:
    """The head ``raw`` begins with; None while it is incomplete."""
    end = raw.find(b"\r\n\r\n")
    if end < 0:
        return None
    first, *lines = bytes(raw[:end]).split(b"\r\n")
    return Head(first, tuple(lines), bytes(raw[: end + 4]))


def mask_key(n: int) -> bytes:
    """The n-th mask key: all differ, and both runs use the same."""
    return (n * 2654435761 % 2**32 | 1).to_bytes(4, "big")


def masked(payload: bytes, key: bytes) -> bytes:
    """XOR with the key; its own inverse."""
    size = len(payload)
    stream = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload) ^ int.from_bytes(stream)).to_bytes(size)


def frame(
    opcode: int, payload: bytes = b"", *, key: bytes = b"", fin: bool = True, rsv: int = 0, form: int = 0, claim: int = -1,
) -> bytes:
    """A frame as bytes. ``key`` empty: not masked. ``form`` 16 or 64 forces that length form; ``claim`` lies about it."""
    size = claim if claim >= 0 else len(payload)
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    bit = 0x80 if key else 0
    if form == 64 or (not form and size > 65535):
        header = bytes((first, bit | 127)) + size.to_bytes(8)
    elif form == 16 or size > 125:
        header = bytes((first, bit | 126)) + size.to_bytes(2)
    else:
        header = bytes((first, bit | size))
    return header + key + (masked(payload, key) if key else payload)


def closing(code: int, reason: bytes = b"") -> bytes:
    """The payload of a Close frame."""
    return code.to_bytes(2) + reason


class Frame(NamedTuple):
    """A frame read back; the payload is unmasked."""

    fin: bool
    rsv: int
    opcode: int
    masked: bool
    form: int
    payload: bytes


@dataclass
class FrameReader:
    """Cuts a byte stream into frames as the bytes come. What follows the last whole frame is ``left``."""

    frames: list[Frame] = field(default_factory=list)
    left: bytearray = field(default_factory=bytearray)
    _need: int = 2

    def feed(self, data: bytes | bytearray) -> None:
        """Take more bytes."""
        self.left += data
        while len(self.left) >= self._need and (taken := self._take()):
            del self.left[:taken]
            self._need = 2

    def _take(self) -> int:
        first, second = self.left[0], self.left[1]
        size, at, form = second & 127, 2, 0
        if size > 125:
            form = 16 if size == 126 else 64
            at += form // 8
            if len(self.left) < at:
                return 0
            size = int.from_bytes(self.left[2:at])
        key_at, at = at, at + (4 if second & 128 else 0)
        if len(self.left) < at + size:
            self._need = at + size
            return 0
        payload = bytes(self.left[at : at + size])
        if second & 128:
            payload = masked(payload, bytes(self.left[key_at:at]))
        self.frames.append(Frame(bool(first & 128), first >> 4 & 7, first & 15, bool(second & 128), form, payload))
        return at + size


class Message(NamedTuple):
    """What a peer makes of frames: a whole data message, or a control frame at its place."""

    opcode: int
    compressed: bool
    payload: bytes


def messages(frames: list[Frame]) -> list[Message]:
    """Join fragments and inflate what says it is compressed (context kept from message to message)."""
    out: list[Message] = []
    parts: list[Frame] = []
    inflater = zlib.decompressobj(-15)
    for one in frames:
        if one.opcode >= CLOSE:
            out.append(Message(one.opcode, False, one.payload))
            continue
        parts.append(one)
        if not one.fin:
            continue
        whole, compressed = b"".join(part.payload for part in parts), bool(parts[0].rsv & 4)
        if compressed:
            try:
                whole = inflater.decompress(whole + b"\x00\x00\xff\xff")
            except zlib.error as error:
                whole = f"does not inflate: {error}".encode()
        out.append(Message(parts[0].opcode, compressed, whole))
        parts.clear()
    return out
