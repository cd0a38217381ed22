"""Where an HTTP body ends: content-length, chunked with trailers, until close. Sans-I/O; copies and allocates nothing."""

import re
from typing import Literal

from msgspec import Struct

from ocpp_proxy.wire.http import Framing

MAX_LINE = 4096          # bytes of a chunk-size line with extensions, or of one trailer line
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n\0]*)?\r\n")


class BodyReader(Struct, gc=False):
    """Counts the bytes of one body. ``framing`` and ``length`` come from the head (``body``, ``length``).

    ``ended``: the body is complete, what follows is the next head. A chunked body that breaks the rules gets ``fault``
    and goes on until the connection ends (framing ``close``): nobody can tell where a next head would begin. The state
    may be stored between any two calls.
    """

    framing: Framing
    length: int = 0                     # bytes that are still to come (of the body, or of the chunk with its CRLF)
    ended: bool = False
    fault: str = ""                     # "chunk": a chunk-size line or its end cannot be read
    stage: Literal["size", "data", "trailer"] = "size"
    line: bytes = b""                   # the started chunk-size or trailer line; at most MAX_LINE

    def __post_init__(self) -> None:
        if self.framing == "none" or (self.framing == "length" and self.length <= 0):
            self.ended = True

    def feed(self, data: bytes, start: int = 0) -> int:
        """Bytes of ``data`` from ``start`` on that belong to the body. Fewer than there are: the body has ended."""
        if self.ended:
            return 0
        rest = len(data) - start
        if self.framing == "close":
            return rest
        if self.framing == "chunked":
            return self._chunks(data, start)
        taken = min(rest, self.length)
        self.length -= taken
        self.ended = self.length == 0
        return taken

    def skip(self, size: int) -> None:
        """``size`` bytes are missing here. A chunked body then goes on to the end: its next chunk cannot be found."""
        if self.framing == "length" and not self.ended:
            self.length -= min(size, self.length)
            self.ended = self.length == 0
        elif self.framing == "chunked" and not self.ended:
            self.framing, self.fault, self.line = "close", "chunk", b""

    def _chunks(self, data: bytes, start: int) -> int:
        at, end = start, len(data)
        while at < end and not self.ended:
            if self.stage == "data":
                at = self._chunk_data(data, at)
            else:
                stop = data.find(b"\n", at, at + MAX_LINE) + 1
                self.line += data[at : stop or min(end, at + MAX_LINE)]
                at += (stop or min(end, at + MAX_LINE)) - at
                if stop:
                    self._line_done()
                elif len(self.line) >= MAX_LINE:
                    self.fault = "chunk"
            if self.fault:
                self.framing, self.line = "close", b""
                return end - start
        return at - start

    def _chunk_data(self, data: bytes, at: int) -> int:
        """Skip chunk data and its CRLF; ``length`` counts both."""
        taken = min(len(data) - at, self.length)
        if self.length - taken < 2:                     # the CRLF, or a part of it, is in this piece
            for index in range(max(2 - self.length, 0), 2):
                place = at + self.length - 2 + index
                if place < at + taken and data[place] != b"\r\n"[index]:
                    self.fault = "chunk"
        self.length -= taken
        if not self.length:
            self.stage = "size"
        return at + taken

    def _line_done(self) -> None:
        line, self.line = self.line, b""
        if self.stage == "trailer":
            self.ended = line in (b"\r\n", b"\n")
            return
        found = _SIZE.fullmatch(line)
        if found is None or len(line) > MAX_LINE:
            self.fault = "chunk"
            return
        size = int(found[1], 16)
        self.length = size + 2 if size else 0
        self.stage = "data" if size else "trailer"
