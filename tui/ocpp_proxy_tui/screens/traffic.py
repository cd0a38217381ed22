"""Traffic: the list of exchanges or frames, live or stored, and the row under the cursor in full."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.timer import Timer
from textual.worker import Worker

from ocpp_proxy.escape import safe_text
from ocpp_proxy.fields import Filter
from ocpp_proxy.model import CaptureError, ConfigError
from ocpp_proxy.records import Line, Row
from ocpp_proxy.source import Bookmark, View
from ocpp_proxy_tui import texts
from ocpp_proxy_tui.feed import Feed
from ocpp_proxy_tui.ground import Ground, Scope
from ocpp_proxy_tui.known import Known
from ocpp_proxy_tui.listing import Listing
from ocpp_proxy_tui.messages import Copy, Narrow, ScopeTo
from ocpp_proxy_tui.screens.ask_text import AskText
from ocpp_proxy_tui.screens.choose_columns import ChooseColumns
from ocpp_proxy_tui.screens.pane import Pane
from ocpp_proxy_tui.widgets.columns import TIMES
from ocpp_proxy_tui.widgets.detail import Detail, Mode
from ocpp_proxy_tui.widgets.traffic_list import TrafficList

WIDE = 140                                  # columns from which list and details stand side by side
REST_SECONDS = 0.05                         # the details are made when the cursor has stood still for so long
CHOSEN = 20_000                             # rows that are copied or saved at once
NEWEST_SECONDS = 1.0                        # while following, the details change at most this often
_FAULTS = (CaptureError, ConfigError, OSError)


class Traffic(Pane):
    """The list above or beside the details. What comes never moves or changes what is being read."""

    title = "Traffic"
    help_text = (
        "One row for each exchange: a Call with its answer, milliseconds, the worst finding. t shows every frame instead:"
        " pings, closes, HTTP heads. space follows the newest row; any move of the cursor stops that, and what comes is"
        " counted as \"new below\". = and - narrow the filter to what the cell under the cursor says, or to all else.")
    DEFAULT_CSS = """
    Traffic { layout: vertical; }
    Traffic > TrafficList { height: 3fr; }
    Traffic > Detail { height: 2fr; border-top: solid $primary; }
    Traffic.wide { layout: horizontal; }
    Traffic.wide > TrafficList { height: 1fr; width: 3fr; }
    Traffic.wide > Detail { height: 1fr; width: 2fr; border-top: none; border-left: solid $primary; }
    Traffic.list-only > Detail { display: none; }
    Traffic.detail-only > TrafficList { display: none; }
    Traffic.ascii > Detail { border-top: ascii $primary; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "follow", "follow", id="traffic.follow"),
        Binding("t", "view", "frames/exchanges", id="traffic.view"),
        Binding("equals_sign", "cell_filter(True)", "only such rows", key_display="=", show=False, id="traffic.include"),
        Binding("minus", "cell_filter(False)", "all but such rows", key_display="-", show=False, id="traffic.exclude"),
        Binding("c", "columns", "columns", show=False, id="traffic.columns"),
        Binding("T", "time", "time of day, since the start, since the row above", show=False, id="traffic.time"),
        Binding("b", "bookmark", "bookmark", show=False, id="traffic.bookmark"),
        Binding("y", "copy", "copy", show=False, id="traffic.copy"),
        Binding("Y", "copy_pretty", "copy pretty", show=False, id="traffic.copy_pretty"),
        Binding("P", "copy_path", "copy the JSON path", show=False, id="traffic.copy_path"),
        Binding("C", "copy_command", "copy a command line that shows the row", show=False, id="traffic.copy_command"),
        Binding("w", "save", "save", show=False, id="traffic.save"),
        Binding("backslash", "maximise", "list or details alone", key_display="\\", show=False, id="traffic.maximise"),
        Binding("r", "look('raw')", "raw", show=False, id="traffic.raw"),
        Binding("x", "look('hex')", "hex", show=False, id="traffic.hex"),
        Binding("d", "look('tree')", "decoded tree", show=False, id="traffic.tree"),
        Binding("o", "change", "received and sent, side by side", show=False, id="traffic.change"),
        Binding("tab", "other", "list or details", show=False, id="traffic.other"),
        Binding("escape", "back", "back to the list", show=False, id="traffic.back"),
    ]

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self.view: View = "exchanges"
        self.feed: Feed | None = None
        self.list = TrafficList(ground)
        self.detail = Detail(ground)
        self._known = Known(ground.links)
        self._whole: dict[View, Listing] = {}       # without a filter; they are kept
        self._detail_due = False
        self._shown_at = 0.0
        self._jump: tuple[int, int, int] | None = None
        self._saving = ""
        self._resting: Timer | None = None

    def compose(self) -> ComposeResult:
        """The two parts."""
        yield self.list
        yield self.detail

    def on_mount(self) -> None:
        """A live source is followed from now on, seen or not."""
        self.set_class(self.ground.look.ascii, "ascii")
        if self.ground.source.live:
            self.feed = Feed(
                self.ground.source, self.ground.links, self.ground.settings.rows, precedence=self.ground.precedence)
            self._work(self.feed.run, "feed")

    def on_resize(self, event: events.Resize) -> None:
        """Side by side where there is room."""
        self.set_class(event.size.width >= WIDE, "wide")

    async def enter(self) -> None:
        """Show the list; it has the keys."""
        if self.list.listing is None:
            self._list(None)
        (self.detail if self.has_class("detail-only") else self.list).focus()

    async def changed(self) -> None:
        """Another filter: another list; the cursor stays on its row if that passes."""
        if self.is_mounted:
            row = None if self.list.follow or self.list.listing is None else self.list.row()
            self._list(row)
            if self._jump is not None and self.ground.scope.filter() is None:
                jump, self._jump = self._jump, None
                self.jump(*jump)

    @property
    def where(self) -> Filter | None:
        """The filter of the scope, which is that of traffic."""
        return self.ground.scope.where

    @property
    def charger(self) -> str:
        """Of the row under the cursor."""
        row = self.list.row() if self.list.listing is not None else None
        return row.identity if row is not None and row.identity else super().charger

    @property
    def at_hand(self) -> str:
        """The filter, else what the cell under the cursor says."""
        return super().at_hand or (self.list.cell_filter() if self.list.listing is not None else "") or ""

    async def narrow(self, where: Filter | None) -> None:
        """Another filter: another list."""
        scope = Scope(self.ground.scope.identity, where)
        if scope != self.ground.scope:
            self.ground.scope = scope
            await self.changed()

    def values(self, field: str) -> Iterable[str]:
        """What is known of a field: the standards' names, the chargers that came."""
        return self._known.values(field)

    def tick(self) -> None:
        """Paint what came."""
        self.list.tick()
        if self.list.follow and self._newest() and time.monotonic() - self._shown_at > NEWEST_SECONDS:
            self._detail_due = True
        if self._detail_due:
            self._show_detail()

    def status(self) -> str:
        """Where the cursor is, what came since, what is being done, what is wrong."""
        listing = self.list.listing
        if listing is None:
            return ""
        count = listing.end - listing.first
        parts = [f"{self.view} {min(self.list.cursor - listing.first + 1, count):,}/{count:,}"]
        if self.list.follow:
            parts.append("following")
        elif self.list.below:
            parts.append(f"{self.list.below:,} new below")
        if self.list.other_end is not None:
            parts.append(f"{len(self.list.chosen()):,} chosen")
        if self.feed is not None and self.feed.dropped:
            parts.append(f"{self.feed.dropped:,} came too fast for this screen" + (
                ", read from the capture" if self.ground.source.stored else ""))
        state = self.feed.state if self.feed is not None else ""
        parts += [safe_text(text, 200) for text in (listing.busy, self._saving, state, listing.trouble,
                                                    listing.history.trouble) if text]
        return "  ".join(parts)

    def look_for(self, text: str, forward: bool) -> None:
        """Go to the next row whose text holds it, stored or live."""
        self._work(partial(self._look_for, text, forward), "search")

    def jump(self, msg_no: int = 0, frame_id: int = 0, number: int = 0) -> None:
        """Show a message or frame; filters that hide it are left."""
        self._work(partial(self._go_to, msg_no, frame_id, number), "jump")

    # -- lists -----------------------------------------------------------------------------------------------------

    def _list(self, row: Row | None) -> None:
        """Show the list for the scope; its cursor goes to ``row`` if it is there."""
        where, before = self.ground.scope.filter(), self.list.listing
        listing = self._whole.get(self.view) if where is None else None
        if listing is None:
            ring = self.feed.ring(self.view) if self.feed is not None else None
            listing = Listing(self.ground.source, self.view, where, self.ground.links, ring, self._arrived, self._shifted)
            if where is None:
                self._whole[self.view] = listing
        if before is not None and before is not listing and before.where is not None:
            before.stop()
        follow = self.ground.source.live and (self.list.follow if before is not None else self.ground.settings.follow)
        self.list.show(listing, follow)
        self._detail_due = row is None
        if row is not None:
            self._work(partial(self._stay, listing, row), "jump")

    async def _stay(self, listing: Listing, row: Row) -> None:
        try:
            index = await listing.index_of(row.msg_no, 0 if row.msg_no else row.frame_id)
            index = await listing.nearest(row) if index is None else index
        except _FAULTS:
            index = None
        if listing is self.list.listing and index is not None:
            self.list.go(index)
        elif listing is self.list.listing:
            self._detail_due = True         # there is none: the details are of the row that has the cursor now

    def _arrived(self) -> None:
        self.list.forget()

    def _shifted(self, at: int, by: int) -> None:
        self.list.shifted(at, by)

    def _newest(self) -> bool:
        return self.list.listing is not None and self.list.listing.end > self.list.listing.first

    # -- details ---------------------------------------------------------------------------------------------------

    def on_traffic_list_selected(self) -> None:
        """Another row: its details, once the cursor rests."""
        self._detail_due = False
        if self._resting is not None:
            self._resting.stop()
        self._resting = self.set_timer(REST_SECONDS, self._rested)

    def _rested(self) -> None:
        self._detail_due = True
        self._show_detail()

    def on_traffic_list_opened(self) -> None:
        """Into the details."""
        self._detail_due = True
        self._show_detail()
        self.remove_class("list-only")
        self.detail.focus()

    def _show_detail(self) -> None:
        row, listing = self.list.row(), self.list.listing
        if listing is None or (row is None and listing.end > listing.first):
            return                          # not here yet: the next tick tries again
        self._detail_due, self._shown_at = False, time.monotonic()
        self._work(partial(self._detail, listing, self.list.cursor, row), "detail")

    async def _detail(self, listing: Listing, index: int, row: Row | None) -> None:
        try:
            await self.detail.show(row, await listing.lines(index) if row is not None else [])
        except _FAULTS as error:
            self._say(str(error), True)

    # -- keys ------------------------------------------------------------------------------------------------------

    def action_follow(self) -> None:
        """Follow the newest row, or stay."""
        if self.list.follow:
            self.list.stop_following()
        elif self.ground.source.live:
            self.list.start_following()
        else:
            self._say("nothing comes: this is not a running proxy")
            return
        self.ground.settings.follow = self.list.follow

    def action_view(self) -> None:
        """Exchanges, or every frame."""
        row = None if self.list.follow else self.list.row()
        self.view = "frames" if self.view == "exchanges" else "exchanges"
        self._list(row)

    def action_cell_filter(self, include: bool) -> None:
        """Narrow the filter to what the cell says, or to all else."""
        expression = self.detail.filter_expression if self.detail.has_focus_within else self.list.cell_filter()
        if expression:
            self.post_message(Narrow(expression if include else f"not ({expression})"))
        else:
            self._say("there is nothing to filter by here")

    def action_columns(self) -> None:
        """Choose the columns."""
        names = [column.name for column in self.list.columns]
        self.app.push_screen(ChooseColumns(names, self.detail.column), self._set_columns)

    def _set_columns(self, names: list[str] | None) -> None:
        if names is not None:
            self.ground.settings.columns = names
            self.list.set_columns(names)
            self.list.tick()

    def action_time(self) -> None:
        """Another way to write the time."""
        self.list.time = TIMES[(TIMES.index(self.list.time) + 1) % len(TIMES)]
        self.list.forget()

    def action_maximise(self) -> None:
        """The list alone, the details alone, both."""
        if self.has_class("list-only"):
            self.set_classes([*(self.classes - {"list-only"}), "detail-only"])
            self.detail.focus()
        elif self.has_class("detail-only"):
            self.remove_class("detail-only")
            self.list.focus()
        else:
            self.add_class("list-only")
            self.list.focus()

    def action_change(self) -> None:
        """What was received and what left for it, without going there."""
        self.remove_class("list-only")
        self.detail.action_change()

    def action_look(self, mode: Mode) -> None:
        """Another view of the details, without going there."""
        self.remove_class("list-only")
        self.detail.mode = mode

    def action_other(self) -> None:
        """From the list to the details and back."""
        if self.detail.has_focus_within:
            self.action_back()
        else:
            self.on_traffic_list_opened()

    def action_back(self) -> None:
        """To the list; from the list: let go of the chosen rows."""
        if self.detail.has_focus_within:
            self.remove_class("detail-only")
            self.list.focus()
        else:
            self.list.other_end = None
            self.list.refresh()

    def action_bookmark(self) -> None:
        """Mark the row, with a note; an empty note takes a mark away."""
        row = self.list.row()
        if row is None or not row.msg_no:
            self._say("only messages can be marked")
            return
        if not self.ground.source.stored:
            self._say("this proxy stores nothing (--no-capture): there is nothing that a bookmark could be kept in")
            return
        self.list.stop_following()
        kept = self.ground.bookmarks.get(row.msg_no)
        note = "Note of the bookmark (may be empty):" if kept is None else "Note of the bookmark (empty: take it away):"
        self.app.push_screen(AskText(note, kept.note if kept else ""), lambda text: self._mark(row.msg_no, text))

    def _mark(self, msg_no: int, note: str | None) -> None:
        if note is None:
            return
        gone = msg_no in self.ground.bookmarks and not note.strip()
        mark = Bookmark(msg_no, 0 if gone else time.time_ns(), note.strip(), texts.user())
        self._work(partial(self._store, mark), "bookmark", False)

    async def _store(self, mark: Bookmark) -> None:
        try:
            await self.ground.source.bookmark(mark)
        except _FAULTS as error:
            self._say(str(error), True)
            return
        if mark.time_ns:
            self.ground.bookmarks[mark.msg_no] = mark
        else:
            self.ground.bookmarks.pop(mark.msg_no, None)
        self.list.forget()

    # -- copying, saving -------------------------------------------------------------------------------------------

    def action_copy(self) -> None:
        """The rows as on the wire."""
        self._work(partial(self._copy, False), "copy")

    def action_copy_pretty(self) -> None:
        """The rows with JSON indented."""
        self._work(partial(self._copy, True), "copy")

    async def _copy(self, pretty: bool) -> None:
        lines = await self._chosen_lines()
        if lines:
            text = texts.pretty(lines) if pretty else texts.raw(lines)
            self.post_message(Copy(text, f"{len(lines):,} line{'s' if len(lines) > 1 else ''}{', pretty' if pretty else ''}"))

    def action_copy_path(self) -> None:
        """The JSON path under the cursor of the details, or the filter of the cell."""
        column, row = self.list.column(), self.list.row()
        cell = column.where(row) if column is not None and row is not None else None
        text = self.detail.path or cell
        if text:
            self.post_message(Copy(text, "path" if self.detail.path else "filter"))
        else:
            self._say("there is no path here: Tab goes to the details, where each value has one")

    def action_copy_command(self) -> None:
        """A command line that shows the row."""
        row = self.list.row()
        if row is not None:
            self.post_message(Copy(texts.command(self.ground.source, row), "command line"))

    def action_save(self) -> None:
        """Save the chosen rows."""
        self.list.stop_following()
        count = len(self.list.chosen())
        if count:
            question = f"Save {count:,} row{'s' if count > 1 else ''} to (.jsonl opens again here, .txt is for reading):"
            self.app.push_screen(AskText(question, "selection.jsonl"), self._save)

    def _save(self, name: str | None) -> None:
        if name:
            self._work(partial(self._write, Path(name).expanduser()), "copy")

    async def _write(self, target: Path) -> None:
        try:
            texts.form(target)
            lines = await self._chosen_lines()
            count = await asyncio.to_thread(texts.save, target, lines)
        except _FAULTS as error:
            self._say(str(error), True)
            return
        left = f"; {len(lines) - count:,} lines are no messages and were left out" if len(lines) > count else ""
        self._say(f"{count:,} messages saved to {target}{left}")

    async def _chosen_lines(self) -> list[Line]:
        listing, chosen = self.list.listing, self.list.chosen()
        if listing is None:
            return []
        if len(chosen) > CHOSEN:
            self._say(f"only the first {CHOSEN:,} rows; `ocpp-proxy export` takes more", True)
        found: list[Line] = []
        try:
            for done, index in enumerate(chosen[:CHOSEN]):
                found += await listing.lines(index)
                if done % 100 == 99:
                    self._saving = f"reading {done + 1:,}/{len(chosen):,}"
                    await asyncio.sleep(0)
        finally:
            self._saving = ""
        return found

    # -- going somewhere -------------------------------------------------------------------------------------------

    async def _look_for(self, text: str, forward: bool) -> None:
        listing = self.list.listing
        if listing is None:
            return
        self._saving = "searching"
        try:
            index = await listing.search(text, self.list.cursor, forward)
        except _FAULTS as error:
            self._say(str(error), True)
            return
        finally:
            self._saving = ""
        if index is None:
            self._say(f"not found: {safe_text(text, 60)}")
        elif listing is self.list.listing:
            self.list.go(index)

    async def _go_to(self, msg_no: int, frame_id: int, number: int) -> None:
        listing = self.list.listing
        if listing is None:
            return
        try:
            index = await listing.index_of(msg_no, frame_id, number)
        except _FAULTS as error:
            self._say(str(error), True)
            return
        if index is not None and listing is self.list.listing:
            self.list.go(index)
        elif self.ground.scope.filter() is not None:
            self._jump = msg_no, frame_id, number
            self._say("the filter was left: it hides this row")
            if self.ground.scope.where is not None:
                self.post_message(Narrow("", instead=True, screen="Traffic"))
            if self.ground.scope.identity:
                self.post_message(ScopeTo(""))
        elif self.view == "exchanges":
            self.view = "frames"
            self._list(None)
            self._say("shown among the frames: it is no row of an exchange")
            self.jump(msg_no, frame_id, number)
        else:
            self._say("this row is not in the source any more", True)

    def _work(self, work: Callable[[], Coroutine[Any, Any, None]], group: str, exclusive: bool = True) -> None:
        """Do something beside; what was begun in the same group is left, unless not ``exclusive``."""
        _: Worker[None] = self.run_worker(work, group=group, exclusive=exclusive)

    def _say(self, text: str, bad: bool = False) -> None:
        self.app.notify(safe_text(text, 500), severity="warning" if bad else "information", markup=False)
