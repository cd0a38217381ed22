"""Query: the ready queries and SQL, the result as a table, and its export."""

import contextlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from ocpp_proxy_captures.canned import query_list
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import TextArea

from ocpp_proxy.escape import safe_text
from ocpp_proxy.fields import Filter, Vocabulary, parse
from ocpp_proxy.fields.lists import compile_items, of_table, texts_of
from ocpp_proxy.model import CaptureError, ConfigError
from ocpp_proxy.source import Table
from ocpp_proxy_tui.ground import Ground
from ocpp_proxy_tui.messages import Copy, Jump, Renamed
from ocpp_proxy_tui.screens.ask_text import AskText
from ocpp_proxy_tui.screens.pane import Pane
from ocpp_proxy_tui.widgets.table_view import Cell, TableRow, TableView

VALUES = 2_000                              # rows whose values are offered for completion
OWN = "sql"                                 # the entry for what one writes oneself
FORMS = {".csv": "csv", ".md": "md", ".jsonl": "json", ".json": "json", ".txt": "text"}


class Query(Pane):
    """The screen: the ready ones at the left, what is asked at the right, the result below."""

    title = "Query"
    help_text = (
        "Choose a ready query and press Enter, or press e, write SQL (links, frames, messages, exchanges, findings,"
        " transactions, meter_values, gaps, bookmarks) and press Ctrl+R. Parameters of a ready query: name=value, one a line,"
        " below its name; Tab goes there. What was written for an entry stays with it."
        " In the result Enter on a row with a message number jumps to the message; w exports, y copies the cell.")
    DEFAULT_CSS = """
    Query { layout: vertical; }
    Query #upper { height: 40%; min-height: 6; }
    Query #ready { width: 2fr; }
    Query #asked { width: 3fr; border: none; padding: 0 1; }
    Query #result { height: 1fr; border-top: solid $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+r,f5", "run", "run", priority=True, id="query.run"),
        Binding("w", "save", "export", id="query.export"),
        Binding("y", "copy", "copy cell", show=False, id="query.copy"),
        Binding("Y", "copy_all", "copy the result as CSV", show=False, id="query.copy_all"),
        Binding("tab", "other(1)", "next part", show=False, priority=True, id="query.other"),
        Binding("shift+tab", "other(-1)", "part before", show=False, priority=True, id="query.before"),
        Binding("e", "edit", "write SQL", id="query.edit"),
        Binding("escape", "leave", "leave the text", show=False, id="query.leave"),
    ]

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self.ready = TableView(ground.look, id="ready")
        self.asked = TextArea("", id="asked", soft_wrap=True, show_line_numbers=False, tab_behavior="focus")
        self.result = TableView(ground.look, id="result")
        self._table: Table | None = None
        self._entry = ""                    # of the ready ones, whose text is shown
        self._written: dict[str, str] = {}
        self._words = of_table([], [])
        self._status = "choose a query, or write SQL"

    def compose(self) -> ComposeResult:
        """Three parts."""
        with Horizontal(id="upper"):
            yield self.ready
            yield self.asked
        yield self.result

    def on_mount(self) -> None:
        """List the ready queries, and a place for one's own."""
        queries = query_list()
        rows = [TableRow(name, (Cell(name), Cell(answers))) for name, answers, _ in queries]
        own = TableRow(OWN, (Cell(OWN), Cell("what you write yourself (e)")))
        self._written = {name: "\n".join([name, *(one.strip() for one in parameters.split(", ") if one)])
                         for name, _, parameters in queries}
        self.ready.fill(["query", "answers"], [*rows, own])

    @property
    def words(self) -> Vocabulary:
        """The columns of the result."""
        return self._words

    async def narrow(self, where: Filter | None) -> None:
        """Show only the rows that pass."""
        await super().narrow(where)
        self._fill()

    def values(self, field: str) -> Iterable[str]:
        """What the rows have in a column."""
        known = self.words.fields[field]
        return {text for row in self._rows()[:VALUES] for text in texts_of(row, known)}

    def _rows(self) -> list[list[Any]]:
        return self._table.rows if self._table is not None else []

    async def enter(self) -> None:
        """The focus stays in the part it is in."""
        (self.part or self.ready).focus()

    def _parts(self) -> list[TableView | TextArea]:
        return [self.ready, self.asked, self.result]

    def on_table_view_moved(self, event: TableView.Moved) -> None:
        """Show the query's name and parameters where one can change them; what was changed is kept."""
        event.stop()
        if event.table is self.ready and event.row.key != self._entry:
            if self._entry:
                self._written[self._entry] = self.asked.text
            self._entry = event.row.key
            self.asked.text = self._written.get(self._entry, "")

    def on_table_view_chosen(self, event: TableView.Chosen) -> None:
        """Run a ready query; of a result jump to the row's message."""
        event.stop()
        if event.table is self.ready:
            if self.asked.text.strip():
                self.action_run()
            else:
                self.asked.focus()
            return
        number = _message_of(self._table, event.row)
        if number:
            self.post_message(Jump(msg_no=number))
        else:
            self.notify("this row names no message (msg_no, call_no)", markup=False)

    def action_run(self) -> None:
        """Ask what is written."""
        text = self.asked.text.strip()
        if text:
            self._run_query(text)

    def action_other(self, step: int) -> None:
        """To the next part."""
        parts = self._parts()
        at = next((at for at, part in enumerate(parts) if part.has_focus), -1)
        parts[(at + step) % len(parts)].focus()

    def action_edit(self) -> None:
        """Write SQL, in its own entry."""
        self.ready.action_go(-1)
        self.asked.focus()

    def action_leave(self) -> None:
        """Out of the text."""
        self.ready.focus()

    def action_copy(self) -> None:
        """The cell under the cursor to the clipboard."""
        if self.result.cell is not None:
            self.post_message(Copy(self.result.cell.text, "the cell"))

    def action_copy_all(self) -> None:
        """The result to the clipboard."""
        if self._table is not None:
            self.post_message(Copy("\n".join(self.ground.render(self._table, "csv")), "the result as CSV"))

    def action_save(self) -> None:
        """Write the result to a file."""
        if self._table is None:
            self.notify("there is no result yet", markup=False)
            return
        self.app.push_screen(AskText("export to (.csv .md .jsonl .txt):", "result.csv"), self._save)

    def _save(self, name: str | None) -> None:
        if not name or self._table is None:
            return
        path = Path(os.path.expanduser(name))
        form = FORMS.get(path.suffix)
        if form is None:
            self.notify(f"{path.name}: take one of {', '.join(FORMS)}", severity="error", markup=False)
            return
        try:
            with path.open("x", encoding="utf-8") as file:
                file.writelines(line + "\n" for line in self.ground.render(self._table, form))
        except OSError as error:
            self.notify(f"{path}: {error.strerror}", severity="error", markup=False)
            return
        self.notify(f"{len(self._table.rows):,} rows written to {path}", markup=False)

    def look_for(self, text: str, forward: bool) -> None:
        """Search the result, or the ready queries where one is there."""
        table = self.ready if self.part is self.ready else self.result
        if not table.find(text, forward):
            self.notify(f"not found: {safe_text(text, 60)}", markup=False)

    def status(self) -> str:
        """Rows, or what went wrong."""
        return (f"{len(self.result.shown):,} of " if self.where is not None else "") + self._status

    @work(exclusive=True, group="query")
    async def _run_query(self, text: str) -> None:
        self._status = "running ..."
        question, parameters = _question(text)
        try:
            table = await self.ground.source.query(question, parameters)
        except (CaptureError, ConfigError, OSError) as error:
            self._status = safe_text(" ".join(str(error).split("\n")[:2]), 300)
            self.notify(safe_text(str(error), 600), severity="error", markup=False)
            return
        self._table = table
        cut = ", more were cut" if table.cut else ""
        self._status = f"{len(table.rows):,} rows{cut}"
        self._words = of_table(table.columns, table.rows)
        self.result.fill((), ())            # another result: its cursor and its order begin anew
        await self._take_filter()
        if self.has_focus_within:           # one may have gone elsewhere meanwhile
            self.result.focus()


    async def _take_filter(self) -> None:
        """A filter that the columns of the new result do not know is gone."""
        where = None
        with contextlib.suppress(ConfigError):
            where = parse(self.where.text, self._words) if self.where is not None else None
        await self.narrow(where)
        self.post_message(Renamed())

    def _fill(self) -> None:
        if self._table is None:
            return
        passes = compile_items(self.where, self._words)
        self.result.fill([safe_text(name, 60) for name in self._table.columns],
                         [TableRow(at, tuple(map(_cell, row))) for at, row in enumerate(self._table.rows) if passes(row)])


def _question(text: str) -> tuple[str, dict[str, str]]:
    """A ready query's name with its parameters, or SQL."""
    first, *rest = text.splitlines()
    if len(first.split()) == 1 and all(re.match(r"\s*\w+\s*=", line) for line in rest if line.strip()):
        pairs = (line.partition("=") for line in rest if line.strip())
        return first.strip(), {key.strip(): value.strip() for key, _, value in pairs}
    return text, {}


def _cell(value: Any) -> Cell:
    if value is None:
        return Cell("")
    if isinstance(value, bool):
        return Cell(str(value).lower())
    if isinstance(value, float):
        return Cell(f"{value:,.6f}".rstrip("0").rstrip("."), value, right=True)
    if isinstance(value, int):
        return Cell(str(value), value, right=True)
    return Cell(safe_text(value if isinstance(value, str) else str(value), 400))


def _message_of(table: Table | None, row: TableRow) -> int:
    """The message that a row of the result names, 0: none."""
    if table is None:
        return 0
    for name in ("msg_no", "call_no"):
        if name in table.columns:
            value = table.rows[row.key][table.columns.index(name)]
            return value if isinstance(value, int) else 0
    return 0
