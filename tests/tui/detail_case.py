"""A small application around the detail pane, and lines to show in it."""

from collections.abc import Sequence

from ocpp_proxy_tui.ground import Ground
from ocpp_proxy_tui.look import Look
from ocpp_proxy_tui.settings import Settings
from ocpp_proxy_tui.widgets.detail import Detail
from textual.app import App, ComposeResult

from ocpp_proxy.cli.printing import render
from ocpp_proxy.core import rows
from ocpp_proxy.model import Finding, Frame, Link, Message, Opcode, Severity, Side
from ocpp_proxy.records import Line, MessageSeen
from ocpp_proxy.wire import ocppj
from tests.tui.sources import MemorySource

NS = 1_700_000_000_123_456_000
LINK = Link(1, NS, "192.0.2.7:5000", identity="CP-1", protocol="ocpp1.6")


def frame(text: bytes, sender: Side = Side.STATION, frame_id: int = 1, opcode: Opcode = Opcode.TEXT) -> Frame:
    """A masked frame of the station, or an unmasked one of the CSMS, shorter than 126 bytes in its header."""
    station = sender is Side.STATION
    header = bytes((0x81, (0x80 if station else 0) | min(len(text), 125)))
    return Frame(frame_id, 1, frame_id, NS, 0, sender, opcode, header, b"\x01\x02\x03\x04" if station else b"", text)


def call(payload: bytes, *findings: Finding, action: str = "MeterValues", protocol: str = "ocpp1.6", mtype: int = 2) -> Line:
    """A Call of the station."""
    text = ocppj.rebuild(mtype, "m-1", action, payload)
    seen = MessageSeen(Message(1, 1, 1, "CP-1", NS, Side.STATION, mtype, "m-1", action, protocol, payload))
    return Line(seen, findings, frame(text))


def answer(payload: bytes, *findings: Finding, action: str = "MeterValues", protocol: str = "ocpp1.6") -> Line:
    """The CSMS's answer to it, 5 ms later."""
    text = ocppj.rebuild(3, "m-1", "", payload)
    seen = MessageSeen(Message(2, 2, 1, "CP-1", NS + 5_000_000, Side.CSMS, 3, "m-1", action, protocol, payload, 1, 5_000_000))
    return Line(seen, findings, frame(text, Side.CSMS, 2))


def finding(path: str = "", code: str = "S01", severity: Severity = Severity.ERROR, msg_no: int | None = 1,
            message: str = "is wrong") -> Finding:
    """A finding on a message."""
    return Finding(1, code, severity, "station", 1, "CP-1", NS, message, msg_no, (1,), path, "OCPP 1.6, 7.1")


class DetailApp(App[None]):
    """The pane alone."""

    def __init__(self, lines: Sequence[Line] = (), look: Look | None = None, source: MemorySource | None = None,
                 mode: str = "tree") -> None:
        super().__init__()
        self.lines = list(lines)
        self.ground = Ground(source or MemorySource(), Settings(detail=mode), look or Look(), render, {1: LINK})
        self.detail = Detail(self.ground)

    def compose(self) -> ComposeResult:
        yield self.detail

    async def on_mount(self) -> None:
        await self.show(self.lines)
        self.detail.focus()

    async def show(self, lines: Sequence[Line]) -> None:
        """Show a row made of these lines."""
        await self.detail.show(rows.whole(lines, self.ground.links), lines)

    def screen_lines(self) -> list[str]:
        """What stands on the screen, line by line."""
        strips = self.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip) for strip in strips]

    def find(self, text: str) -> int:
        """The first line of the screen that holds a text. Raises ``AssertionError`` when there is none."""
        shown = self.screen_lines()
        found = [at for at, line in enumerate(shown) if text in line]
        assert found, "\n".join(shown)
        return found[0]
