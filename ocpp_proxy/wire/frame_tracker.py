"""Follows frame headers only, for a direction that is forwarded as it is: is it at a message boundary?

No unmasking, no copies. Nothing is judged here: the lenient reader (``wire.frames``) does that from the same bytes.
"""

from ocpp_proxy.wire.frames import READABLE

_from = int.from_bytes


AS_BEFORE = 2


class FrameTracker:
    """``boundary``: no frame is begun, no message is open, no Close went by, and the stream can be read.

    At such a point another whole message may be put into the direction.
    """

    __slots__ = ("boundary", "broken", "closed", "first", "head", "inside", "rest")

    def __init__(self) -> None:
        self.boundary = True
        self.rest = 0                  # payload bytes still to come of the current frame
        self.first = 0                 # first byte of the last frame whose header was read apart
        self.head = b""                # a header that is not complete
        self.inside: int = False       # inside a fragmented message; AS_BEFORE: as at the first byte, which is not known
        self.closed = False            # a Close went by
        self.broken = False            # a declared length nobody can mean: never a boundary again

    def feed(self, data: bytes) -> bool:
        """Follow the next bytes; gives ``boundary`` behind them."""
        size = len(data)
        if self.boundary and size > 5:                  # the usual case: exactly one whole unfragmented frame
            first = data[0]
            if first == 0x81 or first == 0xC1:
                second = data[1]
                length = second & 127
                if length == 126:
                    length = (data[2] << 8) + data[3] + 2
                if size == length + (6 if second > 127 else 2) and second & 127 != 127:
                    return True
        return self._walk(data, size)

    def _walk(self, data: bytes, size: int) -> bool:
        if self.broken:
            return False
        if self.rest >= size:
            self.rest -= size
            return self._settle()
        at, self.rest = self.rest, 0
        if self.head:
            data = self.head + data[at:]
            at, size, self.head = 0, len(data), b""
        while at < size:
            stop = self._header(data, at, size)
            if not stop:
                self.head = data[at:]
                break
            if stop > size:
                self.rest = stop - size
            at = stop
        return self._settle()

    def _header(self, data: bytes, at: int, size: int) -> int:
        """Read one header; gives where its frame ends, 0 when the header is not complete."""
        if size - at < 2:
            return 0
        first, second = data[at], data[at + 1]
        length, body = second & 127, at + 2
        if length > 125:
            body += 2 if length == 126 else 8
            if body > size:
                return 0
            length = _from(data[at + 2 : body], "big")
        if length >= READABLE:
            self.broken = True
        self.first = first
        opcode = first & 15
        if opcode == 8:
            self.closed = True
        elif opcode < 3:
            self.inside = first < 128 and (opcode > 0 or self.inside)
        return body + length + (4 if second > 127 else 0)

    def _settle(self) -> bool:
        self.boundary = not (self.rest or self.head or self.inside or self.closed or self.broken)
        return self.boundary
