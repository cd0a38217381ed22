"""Lines of made-up traffic for tests of lists: Calls with answers, pings, notes, findings."""

from itertools import count
from typing import Any

from ocpp_proxy.model import Finding, Frame, Link, Message, Opcode, Severity, Side
from ocpp_proxy.records import Found, FrameSeen, Line, MessageSeen, Note

START = 1_767_323_040_000_000_000
MS = 1_000_000
LINK = Link(1, START, "192.0.2.1:4711", identity="CP1", protocol="ocpp1.6", status=101)


class Talk:
    """Makes the lines of one link, each 1 ms after the one before; numbers go on counting."""

    def __init__(self, identity: str = "CP1", link_id: int = 1) -> None:
        self.identity, self.link_id = identity, link_id
        self.msg_no = self.frame_id = 0
        self.now = START

    def call(self, action: str = "Heartbeat", payload: bytes = b"{}", **more: Any) -> Line:
        """A Call of the station."""
        return self._message(Side.STATION, 2, f"id-{self.msg_no + 1}", action, payload, **more)

    def answer(self, call: Line, payload: bytes = b'{"currentTime":"2026-01-01T00:00:00Z"}', mtype: int = 3, ms: int = 20,
               **more: Any) -> Line:
        """The answer of the CSMS."""
        assert isinstance(call.record, MessageSeen)
        asked = call.record.message
        return self._message(Side.CSMS, mtype, asked.message_id, asked.action, payload, call_no=asked.msg_no,
                             latency_ns=ms * MS, **more)

    def pair(self, action: str = "Heartbeat", payload: bytes = b"{}", **more: Any) -> list[Line]:
        """A Call and its answer."""
        call = self.call(action, payload)
        return [call, self.answer(call, **more)]

    def ping(self) -> Line:
        """A ping of the station."""
        self.frame_id += 1
        self.now += MS
        return Line(FrameSeen(self._frame(Side.STATION, Opcode.PING, b"ping")))

    def note(self, kind: str = "refused", text: str = "limit") -> Line:
        """A note about the proxy."""
        self.now += MS
        return Line(Note(self.now, 0, kind, text=text))

    def late(self, call: Line, code: str = "R07") -> Line:
        """A finding on a Call that comes alone."""
        assert isinstance(call.record, MessageSeen)
        self.now += MS
        return Line(Found(finding(code, call.record.message.msg_no, self.now)))

    def _message(self, sender: Side, mtype: int, message_id: str, action: str, payload: bytes,
                 findings: tuple[Finding, ...] = (), **more: Any) -> Line:
        self.msg_no += 1
        self.frame_id += 1
        self.now += MS
        message = Message(self.msg_no, self.frame_id, self.link_id, self.identity, self.now, sender, mtype, message_id, action,
                          "ocpp1.6", payload, **more)
        head = f'[{mtype},"{message_id}",' + (f'"{action}",' if mtype == 2 else "")
        return Line(MessageSeen(message), findings, self._frame(sender, Opcode.TEXT, head.encode() + payload + b"]"))

    def _frame(self, sender: Side, opcode: Opcode, payload: bytes) -> Frame:
        at = self.frame_id
        return Frame(at, self.link_id, at, self.now, self.now, sender, opcode, b"\x81\x00", b"mask", payload)


_NUMBERS = count(1)


def finding(code: str = "R07", msg_no: int | None = None, time_ns: int = START, severity: Severity = Severity.ERROR) -> Finding:
    """A finding; each has a number of its own."""
    return Finding(next(_NUMBERS), code, severity, "csms", 1, "CP1", time_ns, f"what {code} says", msg_no)
