"""A small window that asks for one line of text."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from ocpp_proxy_tui.widgets.typed import TypedLine


class AskText(ModalScreen[str | None]):
    """Gives the text, or None when it was left by Escape. ``question`` is our own text, ``before`` what stands there first."""

    DEFAULT_CSS = """
    AskText { align: center middle; }
    AskText > Vertical { width: 70%; max-width: 80; height: auto; border: round $primary; background: $surface; padding: 0 1; }
    AskText Input, AskText Input:focus { border: none; height: 1; }
    """
    AUTO_FOCUS = "Input"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "leave", id="ask.leave")]

    def __init__(self, question: str, before: str = "") -> None:
        super().__init__()
        self._question, self._before = question, before

    def compose(self) -> ComposeResult:
        """The question and the line."""
        with Vertical():
            yield Static(self._question, markup=False)
            yield TypedLine(self._before)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take it."""
        event.stop()
        self.dismiss(event.value)
