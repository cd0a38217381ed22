"""The two views of the detail pane that scroll over lines without a cursor: texts and hex."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import ClassVar

from msgspec import Struct
from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from ocpp_proxy.model import Frame
from ocpp_proxy.wire.frames import unmask
from ocpp_proxy_tui.look import Look
from ocpp_proxy_tui.widgets.detail_flow import Flow, flow
from ocpp_proxy_tui.widgets.detail_shown import Text, Wire
from ocpp_proxy_tui.widgets.detail_styles import styles

STEP = 500                  # lines that are made ahead
LEAP = 5_000                # lines that are made to go to the end


class Lines(ScrollView, can_focus=True):
    """Keys to scroll with, and one line at a time."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll_up", "up", show=False, id="detail.lines_up"),
        Binding("down,j", "scroll_down", "down", show=False, id="detail.lines_down"),
        Binding("pageup", "leaf(-1)", "page up", show=False, id="detail.lines_page_up"),
        Binding("pagedown", "leaf(1)", "page down", show=False, id="detail.lines_page_down"),
        Binding("home,g", "scroll_home", "first line", show=False, id="detail.lines_first"),
        Binding("end,G", "last", "last line", show=False, id="detail.lines_last"),
    ]

    def __init__(self, look: Look) -> None:
        super().__init__()
        self.look = look
        self.styles_of = styles(look)

    def action_leaf(self, by: int) -> None:
        """A page up or down."""
        step = max(1, self.scrollable_content_region.height - 1)
        self.scroll_to(y=self.scroll_y + by * step, animate=False, immediate=True, force=True)

    def action_last(self) -> None:
        """The end."""
        self.scroll_end(animate=False)

    def pieces(self, row: int) -> list[tuple[str, str]] | None:
        """What stands on a line, and the roles; None behind the end."""
        raise NotImplementedError

    def render_line(self, y: int) -> Strip:
        """One line in sight."""
        width = self.size.width
        pieces = self.pieces(y + int(self.scroll_y))
        if pieces is None:
            return Strip.blank(width, self.rich_style)
        strip = Strip([Segment(self.look.plain(text), self.styles_of.get(role)) for text, role in pieces])
        left = int(self.scroll_x)
        return strip.crop_extend(left, left + width, None).apply_style(self.rich_style)


class RawView(Lines):
    """Texts as on the wire, or pretty."""

    def __init__(self, look: Look) -> None:
        super().__init__(look)
        self.pretty = False
        self._texts: Sequence[Text] = ()
        self.flow = Flow(())
        self._width = 0

    def put(self, texts: Sequence[Text], stay: bool = False) -> None:
        """Show other texts, from the top; with ``stay`` from where it is."""
        self._texts = texts
        self._begin(max(STEP, len(self.flow.lines)) if stay else STEP)
        if not stay:
            self.scroll_to(0, 0, animate=False, immediate=True, force=True)

    def toggle(self) -> None:
        """Raw or pretty."""
        self.pretty = not self.pretty
        self.put(self._texts)

    def on_resize(self, event: events.Resize) -> None:
        """Wrap anew."""
        if self.scrollable_content_region.width != self._width:
            self._begin(max(STEP, min(len(self.flow.lines), LEAP)))

    def action_last(self) -> None:
        """The end, or as far as is made at once."""
        self._make(len(self.flow.lines) + LEAP)
        self.scroll_end(animate=False)

    def watch_scroll_y(self, old: float, new: float) -> None:
        """Make more lines ahead of where the view goes."""
        super().watch_scroll_y(old, new)
        if not self.flow.done:
            self._make(int(new) + self.size.height + STEP)

    def pieces(self, row: int) -> list[tuple[str, str]] | None:
        """One line."""
        return [self.flow.lines[row]] if row < len(self.flow.lines) else None

    def _begin(self, count: int) -> None:
        self._width = self.scrollable_content_region.width or self.size.width
        if self._width:
            self.flow = Flow(flow(self._texts, self.pretty, self._width))
            self._make(count)

    def _make(self, count: int) -> None:
        self.flow.upto(count)
        self.virtual_size = Size(self._width, len(self.flow.lines))
        self.refresh()


class Region(Struct, frozen=True):
    """A stretch of bytes with a name; ``offset`` of its first byte in the frame."""

    title: str
    role: str
    data: bytes
    offset: int = 0


class HexView(Lines):
    """The bytes of frames: header, mask key, payload, each under its name."""

    def __init__(self, look: Look) -> None:
        super().__init__(look)
        self.masked = False
        self._wires: Sequence[Wire] = ()
        self.regions: list[Region] = []
        self._starts: list[int] = []        # the first row of each region
        self._per = 16

    def put(self, wires: Sequence[Wire], stay: bool = False) -> None:
        """Show other frames, from the top; with ``stay`` from where it is."""
        self._wires = wires
        self.regions = [region for wire in wires for region in regions(wire, self.masked)]
        self._measure()
        if not stay:
            self.scroll_to(0, 0, animate=False, immediate=True, force=True)

    def toggle(self) -> None:
        """The payload as it went over the wire (masked), or as it is meant."""
        self.masked = not self.masked
        self.put(self._wires)

    def on_resize(self, event: events.Resize) -> None:
        """Sixteen or eight bytes in a row."""
        self._measure()

    def _measure(self) -> None:
        self._per = 16 if self.size.width >= 76 else 8
        counts = [1 + -(-len(region.data) // self._per) for region in self.regions]
        self._starts = [0, *accumulate(counts)]
        self.virtual_size = Size(4 * self._per + 11, self._starts[-1])
        self.refresh()

    def pieces(self, row: int) -> list[tuple[str, str]] | None:
        """One line: a name, or bytes."""
        if row >= self._starts[-1] if self._starts else True:
            return None
        at = bisect_right(self._starts, row) - 1
        region = self.regions[at]
        if row == self._starts[at]:
            return [(region.title, "head" if region.role == "head" else region.role or "head")]
        begin = (row - self._starts[at] - 1) * self._per
        data = region.data[begin : begin + self._per]
        both = f"{_hex(data, self._per)}  {_ascii(data)}"
        return [(f"{region.offset + begin:07x}  ", "dim"), (both, region.role)]


def regions(wire: Wire, masked: bool) -> list[Region]:
    """The stretches of a frame, in their order on the wire."""
    frame = wire.frame
    found = [Region(wire.head, "head", b"")]
    if frame is None:
        return [*found, Region("this source has no bytes of this frame", "bad", b"")]
    if frame.raw:
        return [*found, Region(f"raw: {len(frame.raw)} bytes, not readable as a frame", "bad", frame.raw)]
    http = frame.opcode.value.startswith("http")
    found.append(Region(f"{'head' if http else 'header'}: {len(frame.header)} bytes{_bits(frame)}", "name", frame.header))
    at = len(frame.header)
    if frame.mask:
        found.append(Region("mask key: 4 bytes", "word", frame.mask, at))
        at += len(frame.mask)
    how = "" if not frame.mask else ", masked as on the wire" if masked else ", unmasked"
    secrets = ", credentials replaced" if frame.masked else ""
    payload = unmask(frame.payload, frame.mask) if masked else frame.payload
    found.append(Region(f"{'body' if http else 'payload'}: {len(payload)} bytes{how}{secrets}", "number", payload, at))
    if frame.text:
        found.append(Region(f"text: {len(frame.text)} bytes, joined and inflated", "string", frame.text))
    return found


def _bits(frame: Frame) -> str:
    if frame.opcode.value.startswith("http") or len(frame.header) < 2:
        return ""
    first, second = frame.header[0], frame.header[1]
    bits = [name for bit, name in ((0x80, "FIN"), (0x40, "RSV1"), (0x20, "RSV2"), (0x10, "RSV3")) if first & bit]
    bits.append(f"opcode {first & 15} ({frame.opcode.value})")
    bits += ["MASK"] if second & 0x80 else []
    return f", {' '.join(bits)}"


def _hex(data: bytes, per: int) -> str:
    halves = [data[at : at + 8].hex(" ") for at in range(0, per, 8)]
    return "  ".join(f"{half:<23}" for half in halves)


_PRINTED = bytes(byte if 32 <= byte < 127 else 46 for byte in range(256))


def _ascii(data: bytes) -> str:
    return data.translate(_PRINTED).decode("ascii")

