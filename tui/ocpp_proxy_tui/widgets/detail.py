"""The detail pane: one row of the traffic list in full, as a tree, as text, as bytes."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from msgspec import structs
from rich.text import Text as RichText
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Static
from textual.worker import Worker

from ocpp_proxy.escape import safe_text
from ocpp_proxy.model import CaptureError, ConfigError, Frame, Side
from ocpp_proxy.records import FrameSeen, Handshake, Line, Row
from ocpp_proxy_tui.ground import Ground
from ocpp_proxy_tui.widgets import detail_shown
from ocpp_proxy_tui.widgets.detail_change import Change, ChangeView, sent_for
from ocpp_proxy_tui.widgets.detail_help import help_of
from ocpp_proxy_tui.widgets.detail_lines import HexView, RawView
from ocpp_proxy_tui.widgets.detail_nodes import FindingNode, MoreNode, Node, ValueNode, column_of, expression_of
from ocpp_proxy_tui.widgets.detail_shown import Shown
from ocpp_proxy_tui.widgets.detail_translation import losses_of, received_for
from ocpp_proxy_tui.widgets.detail_tree import DetailTree

Mode = Literal["tree", "raw", "hex", "change"]
MODES: tuple[Mode, ...] = ("tree", "raw", "hex", "change")
_FAULTS = (CaptureError, ConfigError, OSError)


class Detail(Widget):
    """Shows what ``show`` is given. ``mode``: tree, raw, hex, or change: what was received and what left for it.

    Everything of a peer is escaped before it gets here.
    """

    DEFAULT_CSS = """
    Detail { layout: vertical; height: 1fr; width: 1fr; }
    Detail > #detail-head { height: 1; background: $panel; color: $text-muted; }
    Detail > #detail-help { height: auto; max-height: 4; padding: 0 1; background: $surface; color: $text-muted; }
    Detail > #detail-path { height: 1; background: $panel; color: $text-muted; padding: 0 1; }
    Detail DetailTree, Detail Lines { height: 1fr; scrollbar-size: 1 1; display: none; }
    Detail.tree DetailTree, Detail.raw RawView, Detail.hex HexView, Detail.change ChangeView { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "mode('tree')", "decoded tree", show=False, id="detail.tree"),
        Binding("r", "mode('raw')", "raw", id="detail.raw"),
        Binding("x", "mode('hex')", "hex", id="detail.hex"),
        Binding("o", "change", "received and sent, side by side", show=False, id="detail.change"),
        Binding("p", "pretty", "pretty or raw text", show=False, id="detail.pretty"),
        Binding("M", "masked", "payload masked, as on the wire", show=False, id="detail.masked"),
        Binding("left_square_bracket", "finding(-1)", "finding before", key_display="[", show=False,
                id="detail.finding_before"),
        Binding("right_square_bracket", "finding(1)", "next finding", key_display="]", id="detail.next_finding"),
    ]
    mode: reactive[Mode] = reactive[Mode]("tree", init=False)

    def __init__(self, ground: Ground, id: str | None = None) -> None:
        super().__init__(id=id)
        self.ground = ground
        self.shown = Shown()
        self._row: tuple[int, int, int, str] | None = None
        self._asked = 0                     # rows
        self._lines: list[Line] = []        # of the row that is shown
        self._comparing: Worker[None] | None = None
        self._compared: tuple[object, list[tuple[str, Frame]]] = None, []      # the row and what of it ``_comparing`` is about
        self._roomy = True
        self._written: dict[str, object] = {}
        self._filled: set[str] = set()      # the views that show it already
        self._tree = DetailTree(ground.look)
        self._raw = RawView(ground.look)
        self._hex = HexView(ground.look)
        self._change = ChangeView(ground.look)
        start = _stored(ground.settings.detail)
        self.set_reactive(Detail.mode, start)
        self.add_class(start)

    def compose(self) -> ComposeResult:
        """A head, the views (one of them shown), help, path."""
        yield Static("", id="detail-head", markup=False)
        yield self._tree
        yield self._raw
        yield self._hex
        yield self._change
        yield Static("", id="detail-help", markup=False)
        yield Static("", id="detail-path", markup=False)

    def on_mount(self) -> None:
        """Begin empty."""
        self._draw()

    # -- for the pane ----------------------------------------------------------------------------------------------

    async def show(self, row: Row | None, lines: Sequence[Line]) -> None:
        """Show a row with its lines (as ``Source.row_lines`` gives them); None: nothing.

        The same row again, with more lines, stays as it is: the cursor, what is folded, where it is scrolled to. What left for
        it is asked anew only when there are more lines.
        """
        key = (row.number, row.msg_no, row.frame_id, row.kind) if row is not None else None
        asked = self._asked = self._asked + 1
        lines = [*lines, *await self._heads(lines)] if row is not None else []
        if self._asked != asked:
            return                          # another row was chosen meanwhile
        again, self._row = key is not None and key == self._row, key
        as_before, self._lines = again and lines == self._lines, lines
        node, top = self._tree.node, self._tree.scroll_offset
        self.shown = detail_shown.show(
            lines, self.ground.links, self.ground.bookmarks, self.ground.look, self.shown if again else None)
        self._tree.put(self.shown.nodes)
        self._filled = {"tree"} | (self._filled & {"change"} if as_before else set())
        if self.mode == "change" and not self.shown.changed:
            self.mode = _stored(self.ground.settings.detail)        # nothing was changed here
        self._fill(again)
        if again and node is not None:
            place = _place(node)
            self._tree.go(next((at for at, row in enumerate(self._tree.rows) if row is node or _place(row) == place), 0))
            self._tree.scroll_to(*top, animate=False, immediate=True, force=True)
        self._draw()

    @property
    def path(self) -> str:
        """The JSON path of the row under the tree's cursor (``$.idTag``); empty where there is none. ASCII only."""
        node = self._tree.node
        return detail_shown.path_of(node) if self.mode == "tree" else ""

    @property
    def column(self) -> str:
        """The value under the tree's cursor as a column (``payload.meterValue[0].timestamp``); empty where it can be none."""
        node = self._tree.node
        return column_of(node.parent if isinstance(node, FindingNode) else node) if self.mode == "tree" else ""

    @property
    def filter_expression(self) -> str:
        """A filter for the rows that say the same as the row under the tree's cursor; empty where there is none."""
        return expression_of(self._tree.node) if self.mode == "tree" else ""

    def focus(self, scroll_visible: bool = True) -> "Detail":
        """Give the focus to the view that is shown."""
        self._view.focus(scroll_visible)
        return self

    # -- keys ------------------------------------------------------------------------------------------------------

    def action_mode(self, mode: Mode) -> None:
        """Show the tree, the text or the bytes."""
        self.mode = mode

    def action_change(self) -> None:
        """What was received and what left for it; once more: as it is now. While that is asked it is not asked anew."""
        if self.shown.changed:
            self._filled.discard("change")
            if self.mode == "change":
                self._fill()
            self.mode = "change"
        else:
            self.app.notify("this left as it came: there is nothing to compare", markup=False)

    def action_pretty(self) -> None:
        """Text as on the wire, or pretty."""
        self.mode = "raw"
        self._raw.toggle()
        self._draw()

    def action_masked(self) -> None:
        """Payloads in hex masked as on the wire, or unmasked."""
        self.mode = "hex"
        self._hex.toggle()
        self._draw()

    def action_finding(self, by: int) -> None:
        """Go to the next finding, or the one before; around at the ends."""
        found = self.shown.findings
        if not found:
            return
        self.mode = "tree"
        self._tree.reveal(found[self._next(by)])

    def _next(self, by: int) -> int:
        found, node = self.shown.findings, self._tree.node
        if isinstance(node, FindingNode) and node in found:
            return (found.index(node) + by) % len(found)
        before = sum(row in found for row in self._tree.rows[: self._tree.at])
        return (before if by > 0 else before - 1) % len(found)

    # -- drawing ---------------------------------------------------------------------------------------------------

    @property
    def _view(self) -> Widget:
        return {"tree": self._tree, "raw": self._raw, "hex": self._hex, "change": self._change}[self.mode]

    def watch_mode(self, before: Mode, mode: Mode) -> None:
        """Show the other view; it takes the focus if the one before had it."""
        focused = self.has_focus_within
        self.remove_class(before)
        self.add_class(mode)
        if mode != "change":                # which most rows do not have
            self.ground.settings.detail = mode
        self._fill()
        if focused:
            self.call_after_refresh(self.focus)
        self._draw()

    def on_resize(self, event: events.Resize) -> None:
        """Help only where there is room for it."""
        help_box = self.query_one("#detail-help")
        self._roomy = event.size.height >= 8
        help_box.styles.max_height = 2 if event.size.height < 16 else 4 if event.size.height < 30 else 8
        self._draw()

    def on_detail_tree_moved(self, event: DetailTree.Moved) -> None:
        """Another row is under the cursor."""
        event.stop()
        self._draw()

    def _fill(self, stay: bool = False) -> None:
        """Give the view that is shown its content, if it has it not yet."""
        if self.mode == "raw" and "raw" not in self._filled:
            self._raw.put(self.shown.texts, stay)
        elif self.mode == "hex" and "hex" not in self._filled:
            self._hex.put(self.shown.wires, stay)
        elif self.mode == "change" and "change" not in self._filled:
            self._ask_what_left()
        self._filled.add(self.mode)

    def _ask_what_left(self) -> None:
        """Unless just that is being asked. What is known of it stays until the answer comes."""
        wanted = self._row, self.shown.changed
        if wanted != self._compared:
            self._change.wait()
        elif self._comparing is not None and not self._comparing.is_finished:
            return
        self._compared = wanted
        self._comparing = self.run_worker(self._compare(wanted, self.shown.changed), group="change", exclusive=True)

    async def _compare(self, wanted: object, changed: Sequence[tuple[str, Frame]]) -> None:
        """Ask for what left, and show it unless something else is wanted meanwhile."""
        found = []
        for title, frame in changed:
            change = Change(title, frame.verdict, frame.text or frame.payload)
            if frame.verdict in ("replaced", "held", "translated"):
                try:
                    change = await self._told(change, frame, changed[0][1])
                except _FAULTS as error:
                    change = structs.replace(change, problem=str(error).split("\n", 1)[0])
            found.append(change)
        if wanted is self._compared:
            self._change.put(found)

    async def _told(self, change: Change, frame: Frame, first: Frame) -> Change:
        """With what left for it; of a translation with what was not carried. ``first``: of the row."""
        source, link = self.ground.source, self.ground.links.get(frame.link_id)
        call = first.cause[-1] if first.verdict == "translated" else first.frame_id
        if link is not None and link.csms_protocol:
            legs = link.protocol, link.csms_protocol
            change = structs.replace(change, versions=legs if frame.sender is Side.STATION else legs[::-1])
        if frame.verdict == "translated":
            text = change.received.decode("utf-8", "backslashreplace")
            received = (await received_for(source, frame)).encode("utf-8", "backslashreplace")
            return structs.replace(change, received=received, sent=(text,), losses=await losses_of(source, frame, call))
        change = structs.replace(change, sent=await sent_for(source, frame))
        if link is not None and link.csms_protocol:
            change = structs.replace(change, losses=await losses_of(source, frame, call))
        return change

    def on_click(self, event: events.Click) -> None:
        """The names of the views in the head can be clicked."""
        if event.widget is not None and event.widget.id == "detail-head":
            at = 0
            for mode in self._modes:
                at += len(mode) + 2
                if event.x < at:
                    self.mode = mode
                    break

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        self._write("#detail-head", self._head())
        node = self._tree.node if self.mode == "tree" else None
        help_text = help_of(node, self.ground.look)
        self.query_one("#detail-help").display = self._roomy and bool(help_text.plain)
        self._write("#detail-help", help_text, layout=True)
        path = safe_text(self.path or self.filter_expression, 400) if self.mode == "tree" else self._words()
        self._write("#detail-path", RichText(self.ground.look.plain(path), no_wrap=True, overflow="ellipsis"))

    def _write(self, where: str, text: RichText, layout: bool = False) -> None:
        """Most of the time it stands there already: then nothing is painted, and without ``layout`` nothing is laid out."""
        if self._written.get(where) != (text, text.style):
            self._written[where] = text, text.style
            self.query_one(where, Static).update(text, layout=layout)

    def _head(self) -> RichText:
        head = RichText(no_wrap=True)
        for mode in self._modes:
            head.append(f" {mode} ", "reverse" if mode == self.mode else "")
        look, found = self.ground.look, self.shown.findings
        levels = sorted((node.finding.severity.value for node in found), reverse=True)
        for level in dict.fromkeys(levels):
            head.append(f" {look.mark(level)}{levels.count(level)}", look.style(level))
        if found:
            head.append(f" finding{'s' if len(found) > 1 else ''}  [ ] go to them")
        return head

    @property
    def _modes(self) -> tuple[Mode, ...]:
        return MODES if self.shown.changed else MODES[:-1]

    def _words(self) -> str:
        if self.mode == "change":
            return "left: received, right: what left for it (- and + before what differs)"
        if self.mode == "raw":
            return "pretty (p: as on the wire)" if self._raw.pretty else "as on the wire (p: pretty)"
        return "payload masked, as on the wire (M: unmasked)" if self._hex.masked else "payload unmasked (M: as on the wire)"

    # -- more lines ------------------------------------------------------------------------------------------------

    async def _heads(self, lines: Sequence[Line]) -> list[Line]:
        """The HTTP heads of a handshake, where the source can give them."""
        shakes = [line.record for line in lines if isinstance(line.record, Handshake)]
        if not shakes or len(lines) > 1 or not self.ground.source.stored:
            return []
        found: list[Line] = []
        try:
            for frame_id in (shakes[0].request_frame, shakes[0].response_frame):
                number = await self.ground.source.number_of("frames", frame_id=frame_id) if frame_id else 0
                found += await self.ground.source.row_lines("frames", number) if number else []
        except _FAULTS:
            pass                            # the handshake alone says most of it
        return [line for line in found if isinstance(line.record, FrameSeen)]


def _stored(name: str) -> Mode:
    """A view by the name it is kept under in the settings."""
    return "raw" if name == "raw" else "hex" if name == "hex" else "tree"


def _place(node: Node) -> object:
    """A row in words that are the same for the same row shown again; the rows of a payload are themselves the same."""
    return node if isinstance(node, ValueNode | MoreNode) else node.pieces()[0][0]
