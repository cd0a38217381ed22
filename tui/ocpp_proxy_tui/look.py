"""Signs and colours: a palette that colour-blind people can tell apart (Okabe-Ito), never colour alone, ASCII where wanted."""

from typing import ClassVar

from msgspec import Struct
from rich.style import Style
from textual.scrollbar import ScrollBarRender

from ocpp_proxy.model import Severity, Side

_COLOURS = {                                # on dark and on light ground alike
    Severity.HINT: "#8a8a8a", Severity.INFO: "#56b4e9", Severity.WARNING: "#e69f00", Severity.ERROR: "#d55e00",
    Severity.CRITICAL: "#cc79a7",
}
_ANSI = {
    Severity.HINT: "bright_black", Severity.INFO: "cyan", Severity.WARNING: "yellow", Severity.ERROR: "red",
    Severity.CRITICAL: "magenta",
}
_MARKS = {Severity.HINT: "·", Severity.INFO: "i", Severity.WARNING: "!", Severity.ERROR: "✗", Severity.CRITICAL: "‼"}
_ASCII_MARKS = {Severity.HINT: ".", Severity.INFO: "i", Severity.WARNING: "!", Severity.ERROR: "x", Severity.CRITICAL: "X"}


class Look(Struct, frozen=True):
    """How things are drawn. ``ascii``: no character beyond ASCII of our own; ``ansi``: only the terminal's 16 colours."""

    ascii: bool = False
    ansi: bool = False

    def mark(self, level: int) -> str:
        """One character for the worst severity; a blank for none (-1)."""
        return (_ASCII_MARKS if self.ascii else _MARKS)[Severity(level)] if level >= 0 else " "

    def colour(self, level: int) -> str:
        """A colour for a severity, as rich and Textual name it; empty for none."""
        return (_ANSI if self.ansi else _COLOURS)[Severity(level)] if level >= 0 else ""

    def style(self, level: int) -> Style:
        """The style for a severity."""
        return Style(color=self.colour(level) or None, bold=level >= Severity.ERROR)

    def arrow(self, side: Side | None) -> str:
        """Which way a message went: from the station to the right, from the CSMS to the left."""
        if side is None:
            return "--" if self.ascii else "──"
        right, left = ("->", "<-") if self.ascii else ("─▶", "◀─")
        return right if side is Side.STATION else left

    @property
    def pending(self) -> str:
        """Stands where the latency will stand."""
        return "..." if self.ascii else "…"

    def plain(self, text: str) -> str:
        """Text of our own or escaped text, in ASCII mode without other characters (what says that text was cut: ``...``)."""
        if not self.ascii or text.isascii():
            return text
        return text.replace("…", "...").encode("ascii", "backslashreplace").decode()


class AsciiScrollBar(ScrollBarRender):
    """Scroll bars out of blanks alone: whole cells, no halves."""

    VERTICAL_BARS: ClassVar[list[str]] = [" "] * 8
    HORIZONTAL_BARS: ClassVar[list[str]] = [" "] * 8
