"""The window that chooses what to send: the commands of the charger's version, or any action typed."""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static

from ocpp_proxy.model import Side
from ocpp_proxy_tui.look import Look
from ocpp_proxy_tui.widgets.typed import TypedLine

Command = tuple[str, Side]
_HELP = "type to find; up, down; Enter: this one; an action that is not listed is sent to the charger; Esc: leave"


class ChooseCommand(ModalScreen[Command | None]):
    """Gives the action and whom it is sent to. ``title``: our words and escaped ones."""

    DEFAULT_CSS = """
    ChooseCommand { align: center middle; }
    ChooseCommand > Vertical { width: 80%; max-width: 80; height: 80%; border: round $primary; background: $surface;
                               padding: 0 1; }
    ChooseCommand Input, ChooseCommand Input:focus { border: none; height: 1; }
    ChooseCommand OptionList { height: 1fr; border: none; background: $surface; }
    """
    AUTO_FOCUS = "Input"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "leave", id="command.leave"),
        Binding("down", "step(1)", "down", show=False, priority=True, id="command.down"),
        Binding("up", "step(-1)", "up", show=False, priority=True, id="command.up"),
    ]

    def __init__(self, title: str, commands: Sequence[Command], look: Look) -> None:
        super().__init__()
        self._title, self._commands, self._look = title, list(commands), look
        self.found: list[Command] = list(commands)

    def compose(self) -> ComposeResult:
        """A line to type into, and what fits."""
        with Vertical():
            yield Static(Text(self._look.plain(self._title), "bold"), markup=False)
            yield TypedLine("", placeholder="action")
            yield OptionList(*map(self._label, self.found))
            yield Static(Text(_HELP, "dim"), markup=False)

    def on_mount(self) -> None:
        """Begin at the first."""
        self._highlight(0)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Only what holds the text."""
        event.stop()
        typed = event.value.strip().lower()
        self.found = [one for one in self._commands if typed in one[0].lower()]
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options(map(self._label, self.found))
        exact = [at for at, one in enumerate(self.found) if one[0].lower() == typed]
        self._highlight(exact[0] if exact else 0)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The one under the cursor; what is not listed as it was typed."""
        event.stop()
        at = self.query_one(OptionList).highlighted
        if self.found and at is not None:
            self.dismiss(self.found[at])
        elif event.value.strip():
            self.dismiss((event.value.strip(), Side.STATION))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Chosen by the mouse."""
        event.stop()
        self.dismiss(self.found[event.option_index])

    def action_step(self, by: int) -> None:
        """Up or down."""
        if self.found:
            self._highlight(((self.query_one(OptionList).highlighted or 0) + by) % len(self.found))

    def _highlight(self, at: int) -> None:
        self.query_one(OptionList).highlighted = at if self.found else None

    def _label(self, command: Command) -> Text:
        action, to = command
        return Text(action) if to is Side.STATION else Text(f"{action}  (to the CSMS)", "dim")
