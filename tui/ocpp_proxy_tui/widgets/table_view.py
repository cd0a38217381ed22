"""A table of up to some hundred thousand finished rows on the line API: summaries and query results. Never for live rows."""

from collections.abc import Sequence
from typing import Any, ClassVar

from msgspec import Struct
from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from ocpp_proxy_tui.look import Look

WIDEST = 60                                 # columns of a column, but the last
MEASURED = 1_000                            # rows whose widths are looked at


class Cell(Struct, frozen=True, gc=False):
    """One value: its escaped text, what it sorts by, the severity whose colour it has (-1: none)."""

    text: str
    sort: Any = None
    level: int = -1
    right: bool = False


class TableRow(Struct, frozen=True, gc=False):
    """One row; ``key`` finds it again after a refresh, ``item`` is what the owner wants back."""

    key: Any
    cells: tuple[Cell, ...]
    item: Any = None


class TableView(ScrollView, can_focus=True):
    """Rows with a cursor. Posts ``Chosen`` on Enter or a double click, ``Moved`` when the cursor's row changes."""

    DEFAULT_CSS = "TableView { background: $surface; } TableView:focus { background: $background; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", "down", show=False, id="table.down"),
        Binding("k,up", "move(-1)", "up", show=False, id="table.up"),
        Binding("pagedown,ctrl+d", "page(1)", "page down", show=False, id="table.page_down"),
        Binding("pageup,ctrl+u", "page(-1)", "page up", show=False, id="table.page_up"),
        Binding("g,home", "go(0)", "first", show=False, id="table.first"),
        Binding("G,end", "go(-1)", "last", show=False, id="table.last"),
        Binding("h,left", "column(-1)", "column left", show=False, id="table.left"),
        Binding("l,right", "column(1)", "column right", show=False, id="table.right"),
        Binding("s", "sort", "sort", id="table.sort"),
        Binding("enter", "choose", "open", id="table.open"),
    ]

    class Chosen(Message):
        """A row was chosen."""

        def __init__(self, table: "TableView", row: TableRow) -> None:
            super().__init__()
            self.table, self.row = table, row

        @property
        def control(self) -> "TableView":
            """The table."""
            return self.table

    class Moved(Chosen):
        """The cursor stands on another row."""

    def __init__(self, look: Look, id: str | None = None) -> None:
        super().__init__(id=id)
        self._look = look
        self._names: list[str] = []
        self._widths: list[int] = []
        self._given: list[TableRow] = []
        self.shown: list[TableRow] = []     # in the order of the sort
        self._sorted: tuple[int, bool] | None = None        # column, descending
        self.cursor = 0
        self.column = 0

    def fill(self, names: Sequence[str], rows: Sequence[TableRow]) -> None:
        """Show these rows; the cursor stays on its row if that is still there, and the row on its line of the screen."""
        key, before = self.current.key if self.current else None, self.cursor
        if list(names) != self._names:
            self._sorted, self.column = None, 0
        self._names, self._given = list(names), list(rows)
        self._arrange()
        self.cursor = next((at for at, row in enumerate(self.shown) if row.key == key), min(self.cursor, max(0, len(rows) - 1)))
        self._measure()
        if self.cursor != before:
            self.scroll_to(y=int(self.scroll_offset.y) + self.cursor - before, animate=False, immediate=True, force=True)
        self._moved(scroll=False)

    @property
    def current(self) -> TableRow | None:
        """The row under the cursor."""
        return self.shown[self.cursor] if self.cursor < len(self.shown) else None

    @property
    def cell(self) -> Cell | None:
        """The cell under the cursor."""
        row = self.current
        return row.cells[self.column] if row and self.column < len(row.cells) else None

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return self._names

    def find(self, text: str, forward: bool) -> bool:
        """Put the cursor on the next row that holds the text; behind the last comes the first."""
        wanted, count, step = text.lower(), len(self.shown), 1 if forward else -1
        for at in ((self.cursor + step * by) % count for by in range(1, count + 1)):
            if any(wanted in cell.text.lower() for cell in self.shown[at].cells):
                self._go(at)
                return True
        return False

    def render_line(self, y: int) -> Strip:
        """One visible line; the first is the names."""
        x = int(self.scroll_offset.x)
        base = self.rich_style
        if y == 0:
            here = self.column if self.has_focus else -1
            segments = [Segment(self._fit(name, at) + " ", base + Style(bold=True, underline=at == here))
                        for at, name in enumerate(self._titles())]
        else:
            at = int(self.scroll_offset.y) + y - 1
            if at >= len(self.shown):
                return Strip.blank(self.size.width, base)
            segments = self._segments(at, base)
        return Strip(segments).crop_extend(x, x + self.size.width, base)

    def _segments(self, at: int, base: Style) -> list[Segment]:
        here = at == self.cursor
        whole = base + Style(reverse=here and self.has_focus, bold=here)
        made = []
        for place, cell in enumerate(self.shown[at].cells):
            style = whole + self._look.style(cell.level) if cell.level >= 0 else whole
            if here and place == self.column and self.has_focus:
                style += Style(underline=True)
            made.append(Segment(self._fit(cell.text, place, cell.right) + " ", style))
        return made

    def _titles(self) -> list[str]:
        up, down = ("^", "v") if self._look.ascii else ("▲", "▼")
        place, falling = self._sorted or (-1, False)
        return [name + (down if falling else up) if at == place else name for at, name in enumerate(self._names)]

    def _fit(self, text: str, place: int, right: bool = False) -> str:
        width, text = self._widths[place], self._look.plain(text)
        if cell_len(text) > width:
            return set_cell_size(text, width - 1) + ("~" if self._look.ascii else "…")
        return text.rjust(width - (cell_len(text) - len(text))) if right else set_cell_size(text, width)

    def _measure(self) -> None:
        looked = self.shown[:MEASURED]
        self._widths = []
        for at, name in enumerate(self._names):
            widest = max([cell_len(name) + 1, *(cell_len(self._look.plain(row.cells[at].text)) for row in looked)])
            self._widths.append(min(widest, WIDEST if at < len(self._names) - 1 else 400))
        self.virtual_size = Size(sum(self._widths) + len(self._widths), len(self.shown) + 1)

    def _arrange(self) -> None:
        self.shown = list(self._given)
        if self._sorted is not None:
            place, falling = self._sorted
            self.shown.sort(key=lambda row: _order(row.cells[place]), reverse=falling)
            self.shown.sort(key=lambda row: _order(row.cells[place])[0] == 2)       # nothing comes last either way

    def _go(self, at: int) -> None:
        at = max(0, min(len(self.shown) - 1, at))
        if self.shown and at != self.cursor:
            self.cursor = at
            self._moved(scroll=True)

    def _moved(self, scroll: bool) -> None:
        if scroll:
            self.scroll_to_region(Region(int(self.scroll_offset.x), self.cursor, 1, 2), animate=False, immediate=True)
        self.refresh()
        if self.current is not None:
            self.post_message(self.Moved(self, self.current))

    # -- keys and mouse --------------------------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        """Up or down."""
        self._go(self.cursor + by)

    def action_page(self, by: int) -> None:
        """A page up or down."""
        self._go(self.cursor + by * max(1, self.size.height - 2))

    def action_go(self, to: int) -> None:
        """To the first or last row."""
        self._go(len(self.shown) - 1 if to < 0 else to)

    def action_column(self, by: int) -> None:
        """To another column."""
        self.column = max(0, min(len(self._names) - 1, self.column + by))
        left = sum(self._widths[: self.column]) + self.column
        if self._widths:
            self.scroll_to_region(Region(left, int(self.scroll_offset.y) + 1, self._widths[self.column], 1), animate=False,
                                  immediate=True)
        self.refresh()

    def action_sort(self) -> None:
        """Sort by the column under the cursor: rising, falling, as it came."""
        key = self.current.key if self.current else None
        if self._sorted == (self.column, True):
            self._sorted = None
        else:
            self._sorted = (self.column, self._sorted == (self.column, False))
        self._arrange()
        self.cursor = next((at for at, row in enumerate(self.shown) if row.key == key), 0)
        self._moved(scroll=True)

    def action_choose(self) -> None:
        """Open the row."""
        if self.current is not None:
            self.post_message(self.Chosen(self, self.current))

    def on_click(self, event: events.Click) -> None:
        """The cursor goes where one clicks; twice opens, on a name sorts."""
        x, left = event.x + int(self.scroll_offset.x), 0
        for at, width in enumerate(self._widths):
            if x < left + width + 1:
                self.column = at
                break
            left += width + 1
        if event.y == 0:
            self.action_sort()
            return
        if int(self.scroll_offset.y) + event.y > len(self.shown):
            return                          # below the last row
        self._go(int(self.scroll_offset.y) + event.y - 1)
        self.refresh()
        if event.chain == 2:
            self.action_choose()


def _order(cell: Cell) -> tuple[int, float, str]:
    """Numbers before texts, empty ones last."""
    value = cell.text if cell.sort is None else cell.sort
    if isinstance(value, int | float):
        return 0, float(value), ""
    return (1, 0.0, str(value).lower()) if value else (2, 0.0, "")
