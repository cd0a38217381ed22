"""A small window with words to read: a question that is answered by y or n, or something told."""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from ocpp_proxy_tui.look import Look


class AskSure(ModalScreen[str]):
    """Gives ``y``, ``e`` or the empty text (left). ``lines`` are escaped or our own; the first is the title.

    ``yes``: what y does, empty: there is nothing to decide. ``again``: what e does, empty: it does nothing.
    """

    DEFAULT_CSS = """
    AskSure { align: center middle; }
    AskSure > Vertical { width: 80%; max-width: 100; height: auto; max-height: 90%; border: round $primary;
                         background: $surface; padding: 0 1; }
    AskSure VerticalScroll { height: auto; max-height: 60vh; }
    AskSure #sure-keys { height: 1; color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer('y')", "yes", id="sure.yes"),
        Binding("e", "answer('e')", "edit again", id="sure.again"),
        Binding("escape,n,q", "answer('')", "leave", id="sure.leave"),
        Binding("enter", "read", "close", show=False, id="sure.close"),
        Binding("j,down", "scroll(1)", "down", show=False, id="sure.down"),
        Binding("k,up", "scroll(-1)", "up", show=False, id="sure.up"),
    ]

    def __init__(self, lines: Sequence[str], look: Look, yes: str = "", again: str = "") -> None:
        super().__init__()
        self.lines, self._look, self._yes, self._again = list(lines), look, yes, again

    def compose(self) -> ComposeResult:
        """The words, and what can be done."""
        text = Text("\n").join(Text(self._look.plain(line), "" if at else "bold") for at, line in enumerate(self.lines))
        keys = [f"y: {self._yes}"] if self._yes else []
        keys += [f"e: {self._again}"] if self._again else []
        keys.append("Esc: leave" if keys else "Enter: close")
        with Vertical():
            with VerticalScroll(can_focus=False):
                yield Static(text, markup=False)
            yield Static("   ".join(keys), id="sure-keys", markup=False)

    def action_answer(self, key: str) -> None:
        """Decide."""
        if key in ("", "y" if self._yes else "", "e" if self._again else ""):
            self.dismiss(key)

    def action_read(self) -> None:
        """Enter closes what was only told; it never decides."""
        if not self._yes and not self._again:
            self.dismiss("")

    def action_scroll(self, by: int) -> None:
        """A line down or up."""
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)
