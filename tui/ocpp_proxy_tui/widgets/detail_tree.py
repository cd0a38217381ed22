"""The tree of the detail pane, line by line: only the lines in sight are built."""

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip

from ocpp_proxy_tui.look import Look
from ocpp_proxy_tui.widgets.detail_nodes import FindingNode, MoreNode, Node, unfold_some
from ocpp_proxy_tui.widgets.detail_styles import styles
from ocpp_proxy_tui.widgets.line_view import LineView

INDENT = 24                 # levels that are indented; deeper ones say how deep
WIDEST = 4_000              # cells of a row that can be scrolled to
BELOW = 500                 # rows that "unfold all below" shows at most


class DetailTree(LineView, can_focus=True):
    """Nodes as rows with a cursor. Posts ``Moved`` when another row is under it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", show=False, id="detail.up"),
        Binding("down,j", "move(1)", "down", show=False, id="detail.down"),
        Binding("pageup", "page(-1)", "page up", show=False, id="detail.page_up"),
        Binding("pagedown", "page(1)", "page down", show=False, id="detail.page_down"),
        Binding("home,g", "ends(False)", "first row", show=False, id="detail.first"),
        Binding("end,G", "ends(True)", "last row", show=False, id="detail.last"),
        Binding("enter", "fold", "fold", id="detail.fold"),
        Binding("left,h", "inward(False)", "fold, or go out", show=False, id="detail.out"),
        Binding("right,l", "inward(True)", "unfold, or go in", show=False, id="detail.in"),
        Binding("asterisk", "below", "unfold all below", show=False, id="detail.below"),
        Binding("less_than_sign", "sideways(-1)", "to the left", show=False, id="detail.left"),
        Binding("greater_than_sign", "sideways(1)", "to the right", show=False, id="detail.right"),
    ]

    class Moved(Message):
        """Another row is under the cursor."""

    def __init__(self, look: Look) -> None:
        super().__init__()
        self.look = look
        self.rows: list[Node] = []
        self.at = 0
        self._tops: Sequence[Node] = ()
        self._roles = styles(look)
        self._widest = 0

    @property
    def node(self) -> Node | None:
        """The node under the cursor."""
        return self.rows[self.at] if self.at < len(self.rows) else None

    def put(self, tops: Sequence[Node]) -> None:
        """Show other nodes, from the top."""
        self._tops, self.at, self._widest = tops, 0, 0
        self._lay_out()
        self.scroll_to(0, 0, animate=False, immediate=True, force=True)
        self.post_message(self.Moved())

    def reveal(self, node: Node) -> None:
        """Unfold what hides a node and go to it."""
        above = node.parent
        while above is not None:
            if not isinstance(node, FindingNode) or above is not node.parent:
                above.open = above.foldable
            above = above.parent
        self._lay_out()
        self.go(self.rows.index(node))

    def go(self, at: int) -> None:
        """Put the cursor on a row."""
        self.at = max(0, min(at, len(self.rows) - 1))
        height = max(1, self.scrollable_content_region.height)
        self.scroll_to_region(Region(int(self.scroll_x), self.at, 1, min(1, height)), animate=False, immediate=True, force=True)
        self.refresh()
        self.post_message(self.Moved())

    # -- keys ------------------------------------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        """Up or down."""
        self.go(self.at + by)

    def action_page(self, by: int) -> None:
        """A page up or down."""
        self.go(self.at + by * max(1, self.scrollable_content_region.height - 1))

    def action_ends(self, last: bool) -> None:
        """The first or last row."""
        self.go(len(self.rows) - 1 if last else 0)

    def action_sideways(self, by: int) -> None:
        """Scroll to the side."""
        self.scroll_to(self.scroll_x + by * 20, animate=False, immediate=True)

    def action_fold(self) -> None:
        """Fold or unfold the row; on "more", read on."""
        node = self.node
        if node is None or not node.foldable:
            return
        if node.open:
            node.open = False
        else:
            node.unfold()
        self._lay_out()
        self.go(self.at)

    def action_inward(self, inward: bool) -> None:
        """Unfold or go in; fold or go out."""
        node = self.node
        if node is None:
            return
        if inward and node.foldable and not node.open:
            self.action_fold()
        elif inward and node.foldable:
            self.go(self.at + 1)
        elif not inward and node.open:
            self.action_fold()
        elif not inward and node.parent is not None:
            self.go(self.rows.index(node.parent))

    def action_below(self) -> None:
        """Unfold everything below, up to a bound."""
        node = self.node
        if node is not None and node.foldable and not isinstance(node, MoreNode):
            unfold_some(node, BELOW, node.depth + BELOW)
            self._lay_out()
            self.go(self.at)

    def on_click(self, event: events.Click) -> None:
        """Go to the row; on the row under the cursor, fold it."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        row = offset.y + int(self.scroll_y)
        if row == self.at:
            self.action_fold()
        elif row < len(self.rows):
            self.go(row)

    # -- lines -----------------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        self.rows = [node for top in self._tops for node in top.rows()]
        self._measure()
        self.grow(Size(self._widest, len(self.rows)))
        self.refresh()

    def _measure(self) -> None:
        """What is in sight may be wider than all before."""
        top = int(self.scroll_y)
        seen = (sum(part.cell_length for part in self._parts(node)) for node in self.rows[top:top + self.size.height])
        self._widest = min(max(self._widest, *seen, 0), WIDEST)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Other rows are in sight."""
        super().watch_scroll_y(old_value, new_value)
        widest = self._widest
        self._measure()
        if self._widest > widest:
            self.grow(Size(self._widest, len(self.rows)))

    def on_resize(self) -> None:
        """More rows may be in sight."""
        self._measure()
        self.grow(Size(self._widest, len(self.rows)))

    def render_line(self, y: int) -> Strip:
        """One line in sight."""
        row = y + int(self.scroll_y)
        if row >= len(self.rows):
            return self.row_of([], self.rich_style)
        cursor = Style(reverse=True) if row == self.at and self.has_focus else Style(bold=row == self.at)
        ground = self.rich_style + cursor
        parts = self._parts(self.rows[row])
        return self.row_of([Segment(text, ground + style if style else ground) for text, style, _ in parts], ground)

    def _parts(self, node: Node) -> list[Segment]:
        look, level = self.look, _worst(node)
        segments = [Segment(look.mark(level) + " ", look.style(level) if level >= 0 else None)]
        depth = node.depth
        segments.append(Segment("  " * depth if depth <= INDENT else f"{'  ' * INDENT}+{depth - INDENT} "))
        segments.append(Segment(_sign(node, look), self._roles["dim"]))
        segments += [Segment(look.plain(text), self._roles.get(role)) for text, role in node.pieces()]
        return segments


def _worst(node: Node) -> int:
    """What the mark of a row says: its findings; of a folded one also those inside."""
    if isinstance(node, FindingNode):
        return node.finding.severity.value
    return node.level if node.open else max(node.level, node.inside)


def _sign(node: Node, look: Look) -> str:
    if isinstance(node, MoreNode):
        return "+ " if node.foldable else "  "
    if not node.foldable:
        return "  "
    return ("v " if look.ascii else "▾ ") if node.open else ("> " if look.ascii else "▸ ")
