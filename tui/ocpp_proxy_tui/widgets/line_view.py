"""``LineView``: a scroll view on Textual's line API whose paints cost what changed.

It has neither border nor padding, and that is all Textual's own way would add to a line: there each line is made four times
over, and the whole screen is laid out, or the scroll bar drawn, whenever the list grows, though it looks the same.
"""

from math import ceil
from typing import Any, Self

from rich.cells import set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.cache import FIFOCache
from textual.color import Color
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.scrollbar import ScrollBar
from textual.strip import Strip

EIGHTHS = 8                                 # a scroll bar is drawn in eighths of a cell


class _Nothing(FIFOCache[Any, Any]):
    """A cache that keeps nothing."""

    def set(self, key: Any, value: Any) -> None:
        """Do not keep it."""

    __setitem__ = set


_NOTHING = _Nothing(0)
_EMPTY = Strip([], 0)
_SLOTS = tuple((name, _NOTHING if isinstance(value := getattr(_EMPTY, name), FIFOCache) else value) for name in Strip.__slots__)


class Drawn(Strip):
    """A strip that is painted whole. Others have seven caches, in which they hold themselves: food for the garbage collector,
    which then held keys up for 10 ms and more, many times a minute."""

    __slots__ = ()

    def __init__(self, segments: list[Segment], cell_length: int) -> None:
        for name, value in _SLOTS:
            setattr(self, name, value)
        self._segments, self._cell_length = segments, cell_length


class LineView(ScrollView):
    """Lines come from ``render_line``, which makes them by ``row_of``; they are kept until ``refresh`` names them or none."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[int, Strip] = {}
        self._made_width = 0
        self._ground: Color | None = None

    def refresh(
        self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False,
    ) -> Self:
        """These lines look different now; without regions: all."""
        if regions:
            for region in regions:
                for y in region.line_range:
                    self._made.pop(y, None)
        else:
            self._made.clear()
            self._ground = None
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def notify_style_update(self) -> None:
        """Another theme."""
        super().notify_style_update()
        self._made.clear()
        self._ground = None

    def render_lines(self, crop: Region) -> list[Strip]:
        """The lines of a part of the window; Textual asks for all of it at each paint that touches one of them."""
        if self.size.width != self._made_width:
            self._made.clear()
            self._made_width = self.size.width
        for y in crop.line_range:
            if y not in self._made:
                self._made[y] = self.render_line(y)
        strips = [self._made[y] for y in crop.line_range]
        if crop.column_span != (0, self.size.width):
            strips = [strip.crop(*crop.column_span) for strip in strips]
        return strips

    def row_of(self, segments: list[Segment], ground: Style) -> Strip:
        """A line out of its parts: what of it the window shows, filled up, and filtered (NO_COLOR and the like)."""
        left, width = self.scroll_offset.x, self.size.width - self.scrollbar_size_vertical
        if left:
            segments = list(Strip(segments).crop(left))
        segments = _fitted(segments, width, ground)
        if self._ground is None:
            self._ground = self.background_colors[1]
        for line_filter in self.get_line_filters():
            segments = line_filter.apply(segments, self._ground)
        return Drawn(segments, width)

    # -- size and scroll bars --------------------------------------------------------------------------------------

    def grow(self, size: Size) -> None:
        """Set the size of the list. The screen is laid out anew only if a scroll bar comes or goes."""
        if self._bars(size) != (self.show_horizontal_scrollbar, self.show_vertical_scrollbar):
            self.virtual_size = size
            return
        self.set_reactive(ScrollView.virtual_size, size)
        if self.show_horizontal_scrollbar:
            self.horizontal_scrollbar.window_virtual_size = size.width
        self._bar(size.height, self.scroll_y)
        self.scroll_x = self.validate_scroll_x(self.scroll_x)
        self.scroll_y = self.validate_scroll_y(self.scroll_y)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """The window is elsewhere."""
        self._bar(self.virtual_size.height, new_value)
        if round(old_value) != round(new_value):
            self.refresh(self.size.region)

    def _bars(self, size: Size) -> tuple[bool, bool]:
        """Which scroll bars a list of a size has: horizontal, vertical."""
        width, height = self.container_size
        styles = self.styles
        across, down = styles.overflow_x, styles.overflow_y
        below = down == "scroll" or (down == "auto" and size.height > height)
        beside = across == "scroll" or (across == "auto" and size.width > width - styles.scrollbar_size_vertical * below)
        return beside, below or (down == "auto" and size.height > height - styles.scrollbar_size_horizontal * beside)

    def _bar(self, height: int, y: float) -> None:
        """Tell the scroll bar how high the list is and where the window stands; it is painted if that can be seen."""
        if not self.show_vertical_scrollbar:
            return
        bar = self.vertical_scrollbar
        cells, window = bar.size.height, bar.window_size
        before = _thumb(cells, bar.window_virtual_size, window, bar.position)
        now = _thumb(cells, height, window, y)
        bar.set_reactive(ScrollBar.window_virtual_size, height)
        bar.set_reactive(ScrollBar.position, bar.validate_position(y))
        if before != now:                   # what differs, and the cells beside it, which may be painted in part
            ends = [end // EIGHTHS for thumb in (before, now) for end in thumb or (0, cells * EIGHTHS)]
            first = max(0, min(ends))
            bar.refresh(Region(0, first, bar.size.width, min(cells, max(ends) + 1) - first))


def _fitted(segments: list[Segment], width: int, ground: Style) -> list[Segment]:
    """Cut or filled up to a width."""
    found: list[Segment] = []
    for segment in segments:
        size = segment.cell_length
        if size >= width:
            text = segment.text[:width] if segment.text.isascii() else set_cell_size(segment.text, width)
            return [*found, segment if size == width else Segment(text, segment.style)]
        found.append(segment)
        width -= size
    return [*found, Segment(" " * width, ground)]


def _thumb(cells: int, height: int, window: int, y: float) -> tuple[int, int] | None:
    """First and last eighth of a scroll bar's thumb, as ``ScrollBarRender`` draws it; None: it has none."""
    if not cells or not window or height <= window or cells == height:
        return None
    size = max(1.0, window / (height / cells))
    start = int((cells - size) * (y / (height - window)) * EIGHTHS)
    return start, start + ceil(size * EIGHTHS)
