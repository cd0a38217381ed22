"""The window that chooses the columns of the traffic list and their order."""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static

from ocpp_proxy_tui.widgets.columns import COLUMNS, Column, column

_HELP = "space: show or not   K J: up, down   a: a value of the payload   r: by width   Enter: take   Esc: leave"


class ChooseColumns(ModalScreen[list[str] | None]):
    """Gives the names of the columns in order (none: by width), or None when it was left."""

    DEFAULT_CSS = """
    ChooseColumns { align: center middle; }
    ChooseColumns > Vertical { width: 90%; max-width: 90; height: 90%; border: round $primary; background: $surface; }
    ChooseColumns OptionList { height: 1fr; border: none; background: $surface; }
    ChooseColumns Input { border: none; height: 1; display: none; }
    ChooseColumns.asking Input { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "leave", id="columns.leave"),
        Binding("space", "switch", "show or not", id="columns.switch", priority=True),
        Binding("K,shift+up", "shift(-1)", "up", id="columns.up"),
        Binding("J,shift+down", "shift(1)", "down", id="columns.down"),
        Binding("k", "step(-1)", "row up", show=False, id="columns.previous"),
        Binding("j", "step(1)", "row down", show=False, id="columns.next"),
        Binding("a", "ask", "a value of the payload", id="columns.add"),
        Binding("r", "dismiss([])", "by width", id="columns.reset"),
    ]

    def __init__(self, shown: Sequence[str], offered: str = "") -> None:
        """``offered``: a payload path that is proposed."""
        super().__init__()
        self._offered = offered or "payload."
        self._names = [*shown, *(name for name in COLUMNS if name not in shown)]
        self._shown = set(shown)

    def compose(self) -> ComposeResult:
        """Help, the columns, a line for a path."""
        with Vertical():
            yield Static(_HELP, markup=False)
            yield OptionList(*map(self._label, self._names))
            yield Input(self._offered, placeholder="payload.meterValue[0].timestamp", select_on_focus=False)

    def on_mount(self) -> None:
        """Begin at the first."""
        options = self.query_one(OptionList)
        options.highlighted = 0
        options.focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While a path is typed, letters are letters."""
        return action == "leave" or not self.has_class("asking")

    def action_leave(self) -> None:
        """Leave the line for the path, or the window."""
        if self.has_class("asking"):
            self._stop_asking()
        else:
            self.dismiss(None)

    def action_switch(self) -> None:
        """Show the column, or do not."""
        self._shown ^= {self._names[self._at]}
        self._draw(self._at)

    def action_shift(self, by: int) -> None:
        """Move the column."""
        at = self._at
        if 0 <= at + by < len(self._names):
            self._names[at], self._names[at + by] = self._names[at + by], self._names[at]
            self._draw(at + by)

    def action_step(self, by: int) -> None:
        """Another row."""
        self.query_one(OptionList).highlighted = min(max(self._at + by, 0), len(self._names) - 1)

    def action_ask(self) -> None:
        """Type a path."""
        self.add_class("asking")
        self.query_one(Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """A path was typed."""
        event.stop()
        name = event.value.strip()
        for again in ("payload.", "$."):    # a whole path typed or pasted behind what stands there
            name = name.replace("payload." + again, "payload.", 1)
        if not isinstance(column(name), Column):
            self.notify("a column is payload.NAME, for example payload.idTag", severity="warning", markup=False)
            return
        if name not in self._names:
            self._names.insert(self._at, name)
        self._shown.add(name)
        self._stop_asking()
        self._draw(self._names.index(name))

    def on_option_list_option_selected(self) -> None:
        """Take them."""
        self.dismiss([name for name in self._names if name in self._shown])

    @property
    def _at(self) -> int:
        return self.query_one(OptionList).highlighted or 0

    def _stop_asking(self) -> None:
        self.remove_class("asking")
        self.query_one(OptionList).focus()

    def _draw(self, at: int) -> None:
        options = self.query_one(OptionList)
        options.set_options(map(self._label, self._names))
        options.highlighted = at

    def _label(self, name: str) -> Text:
        known = column(name)
        return Text(f"[{'x' if name in self._shown else ' '}] {name:<12} {known.doc if known else ''}", no_wrap=True)
