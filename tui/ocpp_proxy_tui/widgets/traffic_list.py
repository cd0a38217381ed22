"""The list of traffic on Textual's line API: its cost follows the height of the window, never the number of rows."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip

from ocpp_proxy.model import CaptureError, ConfigError
from ocpp_proxy.records import Line, Row
from ocpp_proxy_tui.ground import Ground
from ocpp_proxy_tui.listing import Listing
from ocpp_proxy_tui.widgets.columns import Column, Shown, cell, chosen, path_filter, style_of, widths
from ocpp_proxy_tui.widgets.line_view import LineView

CACHE = 512                                 # drawn lines that are kept
AT_ONCE = 8                                 # rows whose lines are asked for beside each other
FETCHED = 2_000                             # rows whose lines are kept for columns that look into payloads
_NOTHING = Style()
_DIM = Style(dim=True)


class TrafficList(LineView):
    """Rows of a ``Listing`` with a cursor on one cell. ``follow``: the cursor stays on the newest row.

    The first line of the window is the heading. Rows are drawn when Textual asks for them, at most once per ``tick``.
    """

    class Selected(Message):
        """The cursor was moved to another row by a person (or the list was loaded)."""

    class Opened(Message):
        """Enter or a double click."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "traffic-list--heading", "traffic-list--cursor", "traffic-list--cell", "traffic-list--chosen"}
    DEFAULT_CSS = """
    TrafficList { width: 1fr; height: 1fr; overflow-y: scroll; overflow-x: hidden; scrollbar-size: 1 1; }
    TrafficList > .traffic-list--heading { text-style: bold; background: $panel; color: $text; }
    TrafficList > .traffic-list--cursor { background: $primary 40%; color: $text; }
    TrafficList > .traffic-list--cell { background: $primary; color: $text; text-style: bold underline; }
    TrafficList > .traffic-list--chosen { background: $secondary 30%; color: $text; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "row up", show=False, id="traffic.up"),
        Binding("down,j", "move(1)", "row down", show=False, id="traffic.down"),
        Binding("pageup,ctrl+u", "page(-1)", "page up", show=False, id="traffic.page_up"),
        Binding("pagedown,ctrl+d", "page(1)", "page down", show=False, id="traffic.page_down"),
        Binding("home,g", "top", "first row", show=False, id="traffic.first"),
        Binding("end,G", "bottom", "last row", show=False, id="traffic.last"),
        Binding("left,h", "cell(-1)", "cell to the left", show=False, id="traffic.left"),
        Binding("right,l", "cell(1)", "cell to the right", show=False, id="traffic.right"),
        Binding("shift+up,K", "extend(-1)", "choose rows upwards", show=False, id="traffic.extend_up"),
        Binding("shift+down,J", "extend(1)", "choose rows downwards", show=False, id="traffic.extend_down"),
        Binding("v", "choose", "begin or end choosing rows", show=False, id="traffic.choose"),
        Binding("enter", "open", "details", id="traffic.open"),
    ]
    can_focus = True

    def __init__(self, ground: Ground) -> None:
        super().__init__()
        self.ground = ground
        self.listing: Listing | None = None
        self.follow = False
        self.time = "absolute"
        self.cursor = 0                     # index of the row
        self.cell_at = 0                    # index of the column
        self.other_end: int | None = None      # the other end of the chosen rows
        self._first = 0                     # of the listing, when it was last looked at
        self.seen_end = 0                   # one behind the last row when following stopped
        self.columns: list[Column] = []
        self._widths: list[int] = []
        self._base_ns = 0
        self._cache: OrderedDict[int, tuple[object, Strip]] = OrderedDict()
        self._own_scroll = False
        self._fresh = True                  # the list is still being found
        self._styles: dict[str, Style] = {}
        self._lines: OrderedDict[int, list[Line]] = OrderedDict()
        self._wanted: dict[int, int] = {}
        self._fetching: asyncio.Task[None] | None = None

    # -- what is shown ---------------------------------------------------------------------------------------------

    def show(self, listing: Listing, follow: bool) -> None:
        """Show another list from its start, or following its end."""
        self.listing, self.follow, self.other_end = listing, follow, None
        self.cursor = max(0, listing.end - 1) if follow else listing.first
        self._base_ns, self.seen_end, self._fresh, self._first = 0, listing.end, True, listing.first
        self._lines.clear()
        self.forget()
        self.tick()
        self._scroll(self.cursor)

    def forget(self) -> None:
        """Draw everything anew."""
        self._cache.clear()
        self.refresh()

    def tick(self) -> None:
        """Take in what came since the last time; paint once."""
        listing = self.listing
        if listing is None:
            return
        listing.catch_up()
        end, first = listing.end, listing.first
        if self._fresh:                     # what is only being found has not come since
            self.seen_end, self._fresh = end, bool(listing.busy)
        moved, self._first = first - self._first, first
        if moved and not self.follow:       # before the list gets shorter, which would scroll, too
            self._stay(moved)
        size = Size(sum(self._widths) + max(0, len(self._widths) - 1), end - first + 1)
        grown = size != self.virtual_size
        if grown:
            self._grow(size)
        if self.follow:
            self.cursor, self.seen_end = max(first, end - 1), end
            if self.max_scroll_y != round(self.scroll_y):
                self._scroll_y(self.max_scroll_y)
        self.cursor = min(max(self.cursor, first), max(first, end - 1))
        top, height = round(self.scroll_y) + first, self.size.height
        if listing.touched(top, top + height) or (grown and (self.follow or end - first < round(self.scroll_y) + 2 * height)):
            self.refresh()

    @property
    def below(self) -> int:
        """Rows that came since following stopped."""
        if self.follow or self.listing is None or self.listing.ring is None:
            return 0
        return max(0, self.listing.end - self.seen_end)

    def row(self) -> Row | None:
        """The row under the cursor; None: none, or not here yet."""
        listing = self.listing
        return listing.at(self.cursor) if listing is not None and self.cursor < listing.end else None

    def column(self) -> Column | None:
        """The column under the cursor."""
        return self.columns[min(self.cell_at, len(self.columns) - 1)] if self.columns else None

    def cell_filter(self) -> str | None:
        """The filter that the cell under the cursor stands for; None: for none."""
        column, row = self.column(), self.row()
        if column is None or row is None or self.listing is None:
            return None
        if column.name.startswith("payload."):
            return path_filter(column, self._payload_lines(self.listing, self.cursor, row) or ())
        return column.where(row)

    def chosen(self) -> range:
        """The chosen rows, at least that under the cursor."""
        if self.listing is None or self.listing.end <= self.listing.first:
            return range(0)
        other = self.cursor if self.other_end is None else self.other_end
        return range(min(self.cursor, other), max(self.cursor, other) + 1)

    def shifted(self, at: int, by: int) -> None:
        """The listing's rows from ``at`` on have other indexes: cursor and window stay on theirs."""
        first = self.listing.first if self.listing is not None else 0
        top = round(self.scroll_y) + first
        if self.cursor >= at:
            self.cursor = max(0, self.cursor + by)
        if self.other_end is not None and self.other_end >= at:
            self.other_end = max(0, self.other_end + by)
        if self.seen_end >= at:
            self.seen_end = max(0, self.seen_end + by)
        self._cache.clear()
        if top >= at and not self.follow and self.listing is not None:
            self._grow(Size(self.virtual_size.width, self.listing.end - self.listing.first + 1))
            self._scroll_y(top + by - first)

    def set_columns(self, names: Sequence[str]) -> None:
        """Choose columns; none: by width."""
        self.columns = chosen(names, self.size.width)
        self._widths = widths(self.columns, self.size.width)
        self.cell_at = min(self.cell_at, max(0, len(self.columns) - 1))
        self.forget()

    def on_resize(self, _: events.Resize) -> None:
        """Other columns fit."""
        self.set_columns(self.ground.settings.columns)
        self.tick()
        if not self.follow:
            self._scroll(self.cursor)

    # -- drawing ---------------------------------------------------------------------------------------------------

    def notify_style_update(self) -> None:
        """Another theme."""
        super().notify_style_update()
        self._styles.clear()
        self._cache.clear()

    def render_line(self, y: int) -> Strip:
        """One line of the window; Textual asks for it."""
        if y == 0:
            return self.row_of(self._heading(), self._style("traffic-list--heading"))
        listing = self.listing
        index = self.scroll_offset.y + y - 1 + (listing.first if listing is not None else 0)
        if listing is None or index >= listing.end:
            text = self._why_empty(listing) if y == 2 and listing is not None and listing.end == listing.first else ""
            return self.row_of([Segment(text, self.rich_style + _DIM)], self.rich_style)
        return self._strip(listing, index)

    def _why_empty(self, listing: Listing) -> str:
        scope = self.ground.scope
        if listing.busy:
            return f" {listing.busy}"
        if scope.filter() is None:
            return " nothing has come yet" if self.ground.source.live else " there is nothing in this source"
        ways = ["F: no filter"] * (scope.where is not None) + ["u: all chargers"] * bool(scope.identity)
        return f" no row passes ({', '.join(ways)})"

    def _strip(self, listing: Listing, index: int) -> Strip:
        row = listing.glance(index)
        ground = self._ground_style(index)
        left, width = self.scroll_offset.x, self.size.width
        if row is None:
            return self.row_of([Segment(self.ground.look.pending, ground + _DIM)], ground)
        at = self.cell_at if index == self.cursor else -1
        lines = self._payload_lines(listing, index, row)
        shown = Shown(self.ground.look, self.time, self._base(listing, row), self._time_above(listing, index),
                      row.msg_no in self.ground.bookmarks, lines)
        key = (row.msg_no, row.frame_id, row.time_ns, row.answer_no, row.level, row.outcome, row.codes, row.verdicts, row.made,
               shown.base_ns, shown.before_ns, shown.marked, lines is None, ground, at, self.has_focus, left, width)
        kept = self._cache.get(index)
        if kept is not None and kept[0] == key:
            return kept[1]
        segments = self._segments(listing.at(index) or row, shown, ground, at if self.has_focus else -1)
        strip = self.row_of(segments, ground)   # kept whole: Textual remembers its own work by the strip
        self._cache[index] = key, strip
        if len(self._cache) > CACHE:
            self._cache.popitem(last=False)
        return strip

    def _segments(self, row: Row, shown: Shown, ground: Style, at: int) -> list[Segment]:
        """The cells of a row; neighbours that look alike are one segment: Textual's work goes by their number."""
        found: list[Segment] = []
        text, before = "", _NOTHING
        for place, (one, width) in enumerate(zip(self.columns, self._widths, strict=True)):
            style = style_of(one, row, self.ground.look) or _NOTHING
            if place == at:
                style += self._style("traffic-list--cell")
            if style != before and text:
                found.append(Segment(text, ground + before))
                text = ""
            text, before = text + cell(one, row, shown, width) + " ", style
        if text:
            found.append(Segment(text[:-1], ground + before))
        return found

    def _heading(self) -> list[Segment]:
        style = self._style("traffic-list--heading")
        pairs = zip(self.columns, self._widths, strict=True)
        texts = (one.title[:width].rjust(width) if one.right else one.title[:width].ljust(width) for one, width in pairs)
        return [Segment(" ".join(texts), style)]

    def _ground_style(self, index: int) -> Style:
        if index == self.cursor:
            return self._style("traffic-list--cursor")
        if self.other_end is not None and index in self.chosen():
            return self._style("traffic-list--chosen")
        return self._style("")

    def _style(self, name: str) -> Style:
        found = self._styles.get(name)
        if found is None:
            found = self._styles[name] = self.get_component_rich_style(name) if name else self.rich_style
        return found

    def _base(self, listing: Listing, row: Row) -> int:
        if self.time != "relative":
            return 0
        if not self._base_ns:
            first = listing.at(listing.first)
            self._base_ns = first.time_ns if first is not None else 0
        return self._base_ns

    def _time_above(self, listing: Listing, index: int) -> int:
        above = listing.at(index - 1) if self.time == "delta" and index > listing.first else None
        return above.time_ns if above is not None else 0

    # -- columns that look into payloads ---------------------------------------------------------------------------

    def _payload_lines(self, listing: Listing, index: int, row: Row) -> Sequence[Line] | None:
        if not row.msg_no or not any(one.name.startswith("payload.") for one in self.columns):
            return None
        here = listing.lines_here(index)
        if here is not None:
            return here
        if row.msg_no in self._lines:
            return self._lines[row.msg_no]
        self._wanted[row.msg_no] = index
        while len(self._wanted) > 2 * max(1, self.size.height):
            del self._wanted[next(iter(self._wanted))]
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.ensure_future(self._fetch(listing))
        return None

    async def _fetch(self, listing: Listing) -> None:
        while self._wanted and listing is self.listing:
            some = [self._wanted.popitem() for _ in range(min(AT_ONCE, len(self._wanted)))]
            try:
                found = await asyncio.gather(*(listing.lines(index) for _, index in some))
            except (CaptureError, ConfigError, OSError):
                return
            self._lines.update(zip((msg_no for msg_no, _ in some), found, strict=True))
            while len(self._lines) > FETCHED:
                self._lines.popitem(last=False)
            self.refresh()

    # -- moving ----------------------------------------------------------------------------------------------------

    def go(self, index: int, column: int | None = None, keep: bool = False) -> None:
        """Put the cursor on a row; following ends. ``keep``: the chosen rows grow with it."""
        listing = self.listing
        if listing is None:
            return
        few = not (keep or self.follow or self.other_end is not None)
        if not keep:
            self.other_end = None
        self.stop_following()
        before, top = self.cursor, self.scroll_offset.y
        self.cursor = min(max(index, listing.first), max(listing.first, listing.end - 1))
        if column is not None:
            self.cell_at = min(max(column, 0), len(self.columns) - 1)
        self._scroll(self.cursor)
        if few and self.scroll_offset.y == top:     # two lines differ; to paint all of them takes 20 ms
            lines = {place - listing.first - top + 1 for place in (before, self.cursor)}
            self.refresh(*(Region(0, line, self.size.width, 1) for line in lines if 0 < line < self.size.height))
        else:
            self.refresh()
        self.post_message(self.Selected())

    def stop_following(self) -> None:
        """What comes from now on is below."""
        if self.follow and self.listing is not None:
            self.follow, self.seen_end = False, self.listing.end

    def start_following(self) -> None:
        """The cursor goes with the newest row."""
        self.follow, self.other_end = True, None
        self.tick()

    def action_move(self, by: int) -> None:
        """Some rows up or down; a row that was being chosen stays the other end."""
        self.go(self.cursor + by, keep=self.other_end is not None)

    def action_page(self, by: int) -> None:
        """Pages up or down."""
        self.action_move(by * max(1, self.size.height - 2))

    def action_top(self) -> None:
        """The first row."""
        if self.listing is not None:
            self.tick()                     # rows that have left by now are not there any more
            self.go(self.listing.first, keep=self.other_end is not None)

    def action_bottom(self) -> None:
        """The last row."""
        if self.listing is not None:
            self.tick()
            self.go(self.listing.end - 1, keep=self.other_end is not None)

    def action_cell(self, by: int) -> None:
        """The cell beside."""
        self.cell_at = min(max(self.cell_at + by, 0), max(0, len(self.columns) - 1))
        begin = sum(self._widths[: self.cell_at]) + self.cell_at
        if self.cell_at < len(self._widths):
            end, room = begin + self._widths[self.cell_at], self.size.width
            if begin < self.scroll_x or end > self.scroll_x + room:
                self.scroll_to(x=min(begin, max(0, end - room)) if by > 0 else begin, animate=False, force=True)
        self.refresh()

    def action_extend(self, by: int) -> None:
        """Choose rows from the cursor on."""
        if self.other_end is None:
            self.other_end = self.cursor
        self.go(self.cursor + by, keep=True)

    def action_choose(self) -> None:
        """Begin to choose rows here, or let them go."""
        self.stop_following()
        self.other_end = self.cursor if self.other_end is None else None
        self.refresh()

    def action_open(self) -> None:
        """Look at the row."""
        self.stop_following()
        self.post_message(self.Opened())

    def on_click(self, event: events.Click) -> None:
        """The row and cell under the mouse; with shift choose up to there; twice: open."""
        listing = self.listing
        index = round(self.scroll_y) + event.y - 1 + (listing.first if listing is not None else 0)
        if listing is None or event.y == 0 or index >= listing.end:
            return
        edge, column = -round(self.scroll_x), 0
        while column < len(self._widths) - 1 and event.x > edge + self._widths[column]:
            edge += self._widths[column] + 1
            column += 1
        if event.shift and self.other_end is None:
            self.other_end = self.cursor
        self.go(index, column, keep=event.shift)
        if event.chain > 1:
            self.action_open()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Scrolling up by wheel or bar ends following, too."""
        super().watch_scroll_y(old_value, new_value)
        if self.follow and not self._own_scroll and round(new_value) < self.max_scroll_y:
            self.stop_following()

    def _scroll(self, index: int) -> None:
        """Scroll so that a row can be seen, with some rows around it."""
        if self.listing is None:
            return
        height = max(1, self.size.height - 1)
        at, top = index - self.listing.first, round(self.scroll_y)
        margin = min(3, height // 4)
        if at < top + margin:
            self._scroll_y(max(0, at - margin) if top - at < height else max(0, at - height // 2))
        elif at > top + height - 1 - margin:
            far = at - top > 2 * height
            self._scroll_y(min(self.max_scroll_y, at - height // 2 if far else at - height + 1 + margin))

    def _grow(self, size: Size) -> None:
        self._own_scroll = True
        try:
            self.grow(size)
        finally:
            self._own_scroll = False

    def _stay(self, gone: int) -> None:
        """So many rows are no longer there at the top: the window stays on its rows, and nothing has to be painted."""
        y = round(self.scroll_y) - gone
        if y < 0:                           # they were in the window
            self._scroll_y(0)
            self.refresh()
            return
        self.set_reactive(LineView.scroll_y, float(y))
        self.set_reactive(LineView.scroll_target_y, float(y))
        self._bar(self.virtual_size.height, y)

    def _scroll_y(self, y: float) -> None:
        self._own_scroll = True
        try:
            self.scroll_to(y=y, animate=False, force=True, immediate=True)
        finally:
            self._own_scroll = False
