"""Lenient incremental reader of RFC 6455 frames, one direction: everything becomes a frame, deviations become faults.

Never raises, never allocates by a declared length, and its bytes always rebuild the wire: ``header + mask + payload
masked again``, or ``raw``. ``FrameTracker`` (for forwarding without reading) is in ``wire.frame_tracker``.
"""

from collections.abc import Callable

from msgspec import Struct

CAP = 4 << 20               # bytes of one frame, header included; a longer one is given in raw pieces
READABLE = 1 << 40          # a declared length from here on is taken for garbage: nothing behind it can be read
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KNOWN = frozenset((CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))
RAW = -1                    # ``WireFrame.opcode`` of bytes that are no readable frame

FAULTS = {
    "rsv1": "reserved bit 1 is set where no compression was agreed, or on a continuation or control frame",
    "rsv2": "reserved bit 2 is set", "rsv3": "reserved bit 3 is set",
    "reserved_opcode": "an opcode the standard keeps in reserve",
    "unmasked": "the station sent a frame without a mask", "masked_server": "the CSMS sent a masked frame",
    "control_long": "a control frame with more than 125 bytes", "control_fragmented": "a control frame without FIN",
    "continuation_without_start": "a continuation frame outside a fragmented message",
    "new_message_inside": "a new data frame inside a fragmented message",
    "non_minimal_length": "the length is written in more bytes than needed",
    "close_payload_1": "a Close frame with one byte of payload", "close_code_bad": "a Close code that may not be sent",
    "close_reason_utf8": "a Close reason that is not UTF-8", "text_utf8": "a text message that is not UTF-8",
    "after_close": "a data frame behind a Close frame",
    "too_large": f"a message of over {CAP >> 20} MiB: kept in raw pieces, not decoded",
    "unreadable": "a declared length nobody can mean: the rest of the direction is kept raw",
    "partial": "the bytes of a frame that did not arrive whole",
    "resync": "the first frame after a hole in the capture",
    "bomb": f"a compressed message that inflates to more than {CAP >> 20} MiB: its text is cut",
    "inflate": "a compressed message that cannot be inflated",
    "undecodable": "a compressed message behind a hole or fault that took the window away",
}


class WireFrame(Struct, gc=False):
    """One frame. ``header`` is without the mask key, ``payload`` is unmasked.

    With ``raw`` the other bytes are empty: a piece of a frame over the cap or of a cut one. The first piece then has the
    frame's own opcode (``RAW`` where its header was not seen), further pieces of a data frame are continuations; ``fin``
    is only set on its last piece.
    """

    opcode: int
    fin: bool
    header: bytes
    mask: bytes
    payload: bytes
    raw: bytes = b""
    faults: tuple[str, ...] = ()

    @property
    def wire(self) -> bytes:
        """The exact bytes of the wire."""
        return self.raw or self.header + self.mask + unmask(self.payload, self.mask)


_from = int.from_bytes
_XOR = [bytes(i ^ j for j in range(256)) for i in range(256)]


def unmask(payload: bytes, mask: bytes) -> bytes:
    """XOR ``payload`` with the 4-byte ``mask`` (its own inverse); an empty mask changes nothing."""
    return _xor(payload, mask) if mask else payload


def plain_xor(payload: bytes, mask: bytes) -> bytes:
    """XOR with a 4-byte mask in pure Python: 0.4 us for 60 bytes, 2 us for 1 KB."""
    size = len(payload)
    if size < 640:                     # one big XOR for short payloads, four byte translations for long ones
        key = mask * ((size + 3) >> 2)
        return (_from(payload, "little") ^ _from(key[:size], "little")).to_bytes(size, "little")
    out = bytearray(payload)
    for place in range(4):
        out[place::4] = out[place::4].translate(_XOR[mask[place]])
    return bytes(out)


_xor: Callable[[bytes, bytes], bytes] = plain_xor


def use_xor(xor: Callable[[bytes, bytes], bytes]) -> bool:
    """Use a compiled ``xor(payload, mask)`` from here on, which this floor may not import itself (0.14 us for 1 KB).

    It is tried on payloads of every length up to 100 first; False, and nothing changes, when it gives anything else.
    """
    global _xor
    for size in range(101):
        payload = bytes(range(100, 100 + size))
        if xor(payload, b"\x01\x82\xff\x10") != plain_xor(payload, b"\x01\x82\xff\x10"):
            return False
    _xor = xor
    return True


class FrameReader(Struct, gc=False):
    """State of one direction; may be stored between any two calls.

    ``masked``: the sender must mask (the station). ``deflate``: permessage-deflate was agreed, so RSV1 is legal on the
    first frame of a message.
    """

    masked: bool
    deflate: bool = False
    parts: list[bytes] = []            # pieces of the frame that has begun, less than CAP bytes together
    have: int = 0                      # bytes in ``parts``
    need: int = 0                      # bytes of that frame, header included; 0: header not complete
    skip: int = 0                      # bytes still to come of a frame that is given in raw pieces
    skip_first: int = 0                # the first header byte of that frame
    skip_fault: str = ""               # too_large or partial
    opened: bool = False               # inside a fragmented message
    closed: bool = False               # a Close was seen
    unreadable: bool = False
    lost: bool = False                 # a hole hid where the next frame begins

    @property
    def fresh(self) -> bool:
        """Whether nothing was begun, and nothing is wrong: the next byte begins a message."""
        return not (self.parts or self.opened or self.closed or self.skip or self.lost or self.unreadable)

    def whole(self, data: bytes) -> bytes | None:
        """The payload of ``text``, without the rest."""
        return whole_text(data, self.masked) if self.fresh else None

    def text(self, data: bytes) -> tuple[bytes, bytes, bytes] | None:
        """Header, mask and payload when ``data`` is just one whole, faultless text message and nothing was begun.

        That is nearly every piece the relay reads; None changes nothing, and ``feed`` tells what it is.
        """
        end = len(data)
        if (
            end < 2 or end > 65535 or data[0] != 0x81 or self.parts or self.opened or self.closed or self.skip
            or self.unreadable or self.lost
        ):
            return None
        second = data[1]
        key, length = 2, second & 127
        if length > 125:
            key = 4
            if length > 126 or end < 4:
                return None
            length = data[2] << 8 | data[3]
            if length < 126:
                return None
        if second > 127:
            if not self.masked or key + 4 + length != end:
                return None
            mask = data[key : key + 4]
            payload = _xor(data[key + 4 :], mask)
        else:
            if self.masked or key + length != end:
                return None
            mask, payload = b"", data[key:]
        if not payload.isascii() and not _utf8(payload):
            return None
        return data[:key], mask, payload

    def feed(self, data: bytes, out: list[WireFrame]) -> None:
        """Append the frames that ``data`` completes."""
        if not data:
            return
        if self.skip or self.unreadable or self.lost:
            data = self._beside(data, out)
        if self.parts:
            self.have += len(data)
            if self.have < self.need:
                self._append(data)
                return
            data = b"".join([*self.parts, data])
            self.parts, self.have, self.need = [], 0, 0
        end, at = len(data), 0
        while at < end:
            at = self._frame(data, at, end, out)

    def _frame(self, data: bytes, at: int, end: int, out: list[WireFrame]) -> int:
        """Read the frame at ``at``; gives where the next one begins (``end`` when this one is not complete)."""
        if end - at < 2:
            return self._keep(data, at, 0)
        first, second = data[at], data[at + 1]
        length = second & 127
        body = at + 2
        if length > 125:
            body += 2 if length == 126 else 8
            if body > end:
                return self._keep(data, at, 0)
            length = _from(data[at + 2 : body], "big")
        key = body
        if second > 127:
            body += 4
        stop = body + length
        if stop - at > CAP:
            return self._oversized(data, at, stop, out)
        if stop > end:
            return self._keep(data, at, stop - at)
        mask = data[key:body]
        payload = data[body:stop]
        if mask and length:
            payload = _xor(payload, mask)
        if (
            first == 0x81 and not self.opened and not self.closed and (second > 127) is self.masked
            and key - at == (2 if length < 126 else 4 if length < 65536 else 10) and (payload.isascii() or _utf8(payload))
        ):
            out.append(WireFrame(1, True, data[at:key], mask, payload))
            return stop
        faults = self._faults(first, second, key - at, payload)
        out.append(WireFrame(first & 15, first > 127, data[at:key], mask, payload, b"", faults))
        return stop

    def _keep(self, data: bytes, at: int, need: int) -> int:
        """Keep the begun frame for the next call."""
        rest = data[at:] if at else data
        self.parts, self.have, self.need = [rest], len(rest), need
        return len(data)

    def _faults(self, first: int, second: int, head: int, payload: bytes) -> tuple[str, ...]:
        """Name what is wrong with a frame, and follow the message it belongs to."""
        opcode, fin, found = first & 15, first > 127, []
        if first & 0x40 and not (self.deflate and opcode in (TEXT, BINARY)):
            found.append("rsv1")
        if first & 0x20:
            found.append("rsv2")
        if first & 0x10:
            found.append("rsv3")
        if opcode not in KNOWN:
            found.append("reserved_opcode")
        if (second > 127) is not self.masked:
            found.append("unmasked" if self.masked else "masked_server")
        if (head == 4 and len(payload) < 126) or (head == 10 and len(payload) < 65536):
            found.append("non_minimal_length")
        if opcode >= CLOSE:
            if len(payload) > 125:
                found.append("control_long")
            if not fin:
                found.append("control_fragmented")
            if opcode == CLOSE:
                found += close_faults(payload)
                self.closed = True
            return tuple(found)
        if self.closed:
            found.append("after_close")
        if opcode > BINARY:
            return tuple(found)
        if opcode and self.opened:
            found.append("new_message_inside")
        elif not opcode and not self.opened:
            found.append("continuation_without_start")
        if opcode == TEXT and fin and not (first & 0x40) and not _utf8(payload):
            found.append("text_utf8")
        self.opened = not fin and (opcode > 0 or self.opened)
        return tuple(found)

    def _append(self, data: bytes) -> None:
        if len(self.parts[-1]) < 4096:     # a peer that trickles bytes must not make a list of bytes
            self.parts[-1] += data
        else:
            self.parts.append(data)

    def _oversized(self, data: bytes, at: int, stop: int, out: list[WireFrame]) -> int:
        """A frame over the cap, or one nobody can mean: its bytes are given raw from here on."""
        if stop - at >= READABLE:
            self.unreadable = True
            out.append(WireFrame(RAW, False, b"", b"", b"", data[at:], ("unreadable",)))
            return len(data)
        self._skip(data[at], stop - at, "too_large")
        self._piece(data[at:stop], out)
        return min(stop, len(data))

    def _skip(self, first: int, size: int, fault: str) -> None:
        """The next ``size`` bytes are given raw; ``first`` is the first byte of their frame."""
        self.skip, self.skip_first, self.skip_fault = size, first, fault
        opcode = first & 15
        if opcode <= BINARY:
            self.opened = first < 128 and (opcode > 0 or self.opened)
        self.closed = self.closed or opcode == CLOSE

    def _piece(self, piece: bytes, out: list[WireFrame]) -> None:
        self.skip -= len(piece)
        fin = self.skip_first > 127 and not self.skip
        opcode = self.skip_first & 15
        out.append(WireFrame(opcode, fin, b"", b"", b"", piece, (self.skip_fault,)))
        if opcode <= BINARY:
            self.skip_first &= 0xF0

    def _beside(self, data: bytes, out: list[WireFrame]) -> bytes:
        """Take what belongs to no readable frame off the front of ``data``; gives the rest."""
        if self.lost:
            if not data or not tiles(data, self.masked, self.deflate):
                out.append(WireFrame(RAW, False, b"", b"", b"", data, ("partial",)))
                return b""
            self.lost = False
            first: list[WireFrame] = []
            self.feed(data, first)
            first[0].faults += ("resync",)
            out += first
            return b""
        if self.unreadable:
            if data:
                out.append(WireFrame(RAW, False, b"", b"", b"", data, ("unreadable",)))
            return b""
        piece = data[: self.skip]
        if piece:
            self._piece(piece, out)
        return data[len(piece) :]

    def hole(self, size: int, out: list[WireFrame]) -> None:
        """``size`` bytes of the direction are missing here. What was begun is given as ``partial``.

        When the hole lies inside one frame whose length is known, the reader is in step again behind it; else it looks
        for a piece that reads as whole frames from its first to its last byte.
        """
        self.let_go("partial", out)
        self.end(out)
        if self.unreadable or self.lost:
            return
        if self.skip and self.skip >= size:
            self.skip -= size
        else:
            self.skip, self.opened, self.lost = 0, False, True

    def ahead(self) -> tuple[int, bool] | None:
        """How many bytes from here on the next frame begins, and whether inside a message; None when that is not known."""
        if self.unreadable or self.lost or (self.parts and not self.need):
            return None
        if not self.parts:
            return self.skip, self.opened
        first = self.parts[0][0]
        inside = first < 128 and (first & 15 > 0 or self.opened) if first & 15 <= BINARY else self.opened
        return self.need - self.have, inside

    def resume(self, rest: int, first: int, head: bytes, inside: bool, closed: bool) -> None:
        """Behind a hole it is known how the direction stands: see ``wire.spool.Boundary``."""
        self.lost, self.opened, self.closed = False, inside, closed or self.closed
        if head:
            self.parts, self.have, self.need = [head], len(head), 0
        elif rest:                          # a data frame whose beginning was lost goes on as a continuation
            self.skip, self.skip_first, self.skip_fault = rest, first if first & 15 > BINARY else first & 0xF0, "partial"

    def let_go(self, fault: str, out: list[WireFrame]) -> None:
        """Stop keeping the begun frame, if its length is known: it is given raw, in pieces, from here on."""
        if self.need and not self.unreadable:
            parts, need = b"".join(self.parts), self.need
            self.parts, self.have, self.need = [], 0, 0
            self._skip(parts[0], need, fault)
            self._piece(parts, out)

    def end(self, out: list[WireFrame]) -> None:
        """The direction has ended: what was begun and never completed is given as ``partial``."""
        if self.parts:
            out.append(WireFrame(RAW, False, b"", b"", b"", b"".join(self.parts), ("partial",)))
            self.parts, self.have, self.need = [], 0, 0


def _utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def whole_text(data: bytes, masked: bool) -> bytes | None:
    """The payload when ``data`` is one whole, faultless text message; None: it is something else, or has faults.

    Only where nothing was begun (``FrameReader.fresh``).
    """
    return masked_text(data) if masked else plain_text(data)


def masked_text(data: bytes) -> bytes | None:
    """``whole_text`` of a station. Flat: every chunk of a link with plugins comes through here."""
    end = len(data)
    if end < 6 or data[0] != 0x81:
        return None
    second = data[1]
    if second == 0xFE:
        if not 133 < end < 65536 or (data[2] << 8 | data[3]) + 8 != end:
            return None
        payload = _xor(data[8:], data[4:8])
    elif 127 < second < 0xFE and second - 122 == end:
        payload = _xor(data[6:], data[2:6])
    else:
        return None
    return payload if payload.isascii() or _utf8(payload) else None


def plain_text(data: bytes) -> bytes | None:
    """``whole_text`` of a CSMS."""
    end = len(data)
    if end < 2 or data[0] != 0x81:
        return None
    second = data[1]
    if second < 126:
        if second + 2 != end:
            return None
        payload = data[2:]
    elif second == 126 and 129 < end < 65536 and (data[2] << 8 | data[3]) + 4 == end:
        payload = data[4:]
    else:
        return None
    return payload if payload.isascii() or _utf8(payload) else None


def close_faults(payload: bytes) -> list[str]:
    """What is wrong with the payload of a Close frame (RFC 6455 section 7.4)."""
    if len(payload) < 2:
        return ["close_payload_1"] if payload else []
    code = _from(payload[:2], "big")
    found = []
    if not (1000 <= code <= 1014 and code not in (1004, 1005, 1006)) and not 3000 <= code <= 4999:
        found.append("close_code_bad")
    if not _utf8(payload[2:]):
        found.append("close_reason_utf8")
    return found


def tiles(data: bytes, masked: bool, deflate: bool) -> bool:
    """True when ``data`` is exactly a run of well-formed frames, with a JSON array or a compressed text among them."""
    reader, frames, sure = FrameReader(masked, deflate), list[WireFrame](), False
    reader.feed(data, frames)
    if reader.parts or reader.skip:
        return False
    for frame in frames:
        if set(frame.faults) - {"continuation_without_start", "new_message_inside", "after_close"}:
            return False
        if frame.opcode == TEXT and frame.fin:
            text = frame.payload.strip()
            if not frame.header[0] & 0x40 and not (text.startswith(b"[") and text.endswith(b"]")):
                return False
            sure = True
    return sure
