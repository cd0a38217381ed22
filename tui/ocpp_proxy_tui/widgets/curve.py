"""A line chart of one quantity over time, drawn with braille dots, or with stars in ASCII mode."""

import math
from collections.abc import Sequence
from itertools import pairwise

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from ocpp_proxy_tui.look import Look
from ocpp_proxy_tui.times import clock

Point = tuple[int, float]                   # ns since the epoch, value
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
LARGEST = 1e15                              # a charger may say anything; no scale has room for more
LABEL = 10                                  # columns for the numbers at the left


class Canvas:
    """A grid of dots: 2 x 4 a character in braille, 1 x 1 in ASCII."""

    def __init__(self, width: int, height: int, ascii: bool) -> None:
        self.across, self.down = (1, 1) if ascii else (2, 4)
        self._ascii = ascii
        self._cells = [[0] * width for _ in range(height)]
        self.columns, self.rows = width * self.across, height * self.down

    def dot(self, column: int, row: int) -> None:
        """Set a dot; (0, 0) is at the top left. What is outside is left out."""
        if 0 <= column < self.columns and 0 <= row < self.rows:
            bit = 1 if self._ascii else _DOTS[row % 4][column % 2]
            self._cells[row // self.down][column // self.across] |= bit

    def line(self, x0: int, y0: int, x1: int, y1: int) -> None:
        """Dots on the straight way between two."""
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        for step in range(steps + 1):
            self.dot(x0 + round((x1 - x0) * step / steps), y0 + round((y1 - y0) * step / steps))

    def text(self, row: int) -> str:
        """One line of characters."""
        if self._ascii:
            return "".join("*" if cell else " " for cell in self._cells[row])
        return "".join(chr(0x2800 + cell) if cell else " " for cell in self._cells[row])


def plot(points: Sequence[Point], canvas: Canvas, steps: bool = False) -> tuple[float, float]:
    """Draw points, oldest first; the lowest and highest value of the scale. ``steps``: a value holds until the next."""
    low, high = min(value for _, value in points), max(value for _, value in points)
    low = min(low, 0.0) if low > 0 and low < high / 2 else low
    if high == low:
        low, high = low - 1.0, high + 1.0
    first, last = points[0][0], points[-1][0]
    width = max(1, last - first)
    at = [((time_ns - first) * (canvas.columns - 1) // width,
           round((high - value) / (high - low) * (canvas.rows - 1))) for time_ns, value in points]
    canvas.dot(*at[0])
    for (x0, y0), (x1, y1) in pairwise(at):
        if steps:
            canvas.line(x0, y0, x1, y0)
            canvas.line(x1, y0, x1, y1)
        else:
            canvas.line(x0, y0, x1, y1)
    return low, high


class Curve(Widget):
    """One chart with its title and its scale."""

    DEFAULT_CSS = "Curve { height: 1fr; min-height: 4; padding: 0 1; }"

    def __init__(self, look: Look, title: str, steps: bool = False) -> None:
        super().__init__()
        self._look, self._title, self._steps = look, title, steps
        self._points: list[Point] = []
        self._unit = self._left = ""
        self._drawn: list[str] = []

    def show(self, points: Sequence[Point], unit: str, left: str = "") -> None:
        """Draw other points; none: say so. What is no number is left out. ``left`` stands behind the count; it is escaped."""
        self._points = [point for point in points if math.isfinite(point[1]) and abs(point[1]) <= LARGEST]
        self._unit, self._left, self._drawn = unit, left, []
        self.refresh()

    def on_resize(self) -> None:
        """Draw anew for the new size."""
        self._drawn = []

    def render_line(self, y: int) -> Strip:
        """One line."""
        if not self._drawn:
            self._drawn = self._draw(self.content_size.width, self.content_size.height)
        style = self.rich_style + (Style(bold=True) if y == 0 else Style(color=self._look.colour(1)))
        text = self._look.plain(self._drawn[y]) if y < len(self._drawn) else ""
        return Strip([Segment(text, style)]).adjust_cell_length(self.content_size.width, self.rich_style)

    def _draw(self, width: int, height: int) -> list[str]:
        if not self._points:
            return [f"{self._title}: no values"]
        canvas = Canvas(max(4, width - LABEL), max(1, height - 2), self._look.ascii)
        low, high = plot(self._points, canvas, self._steps)
        newest = self._points[-1][1]
        count = f"{len(self._points)} value{'s' if len(self._points) > 1 else ''}"
        drawn = [f"{self._title}  {_short(newest)} {self._unit}  ({count}{self._left})"]
        for row in range(max(1, height - 2)):
            label = _short(high) if row == 0 else _short(low) if row == height - 3 else ""
            drawn.append(f"{label:>{LABEL - 1}} {canvas.text(row)}")
        first, last = (clock(self._points[at][0])[:8] for at in (0, -1))
        drawn.append(" " * LABEL + first + last.rjust(max(1, width - LABEL - len(first))))
        return drawn


def _short(value: float) -> str:
    return f"{value:,.0f}" if 100 <= abs(value) < 1e6 else f"{value:.4g}"
