"""Help for the place one is at: what the screen shows, and every key with its action's name for ``tui.toml``."""

from collections.abc import Iterable
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from ocpp_proxy.escape import safe_text
from ocpp_proxy_tui.look import Look
from ocpp_proxy_tui.screens.pane import Pane

_GENERAL = (
    "Tab completes in the filter line (/): {example}; a bare word looks for that text{payload}. Names of this list: {names}."
    " Pausing, filtering and quitting change only this screen.")
_PAYLOAD = "; payload.connectorId == 1 looks into the message"


class HelpScreen(ModalScreen[None]):
    """Shown by ``?``; any of its keys closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter", "dismiss", "close", id="help.close"),
        Binding("j", "scroll(1)", "down", show=False, id="help.down"),
        Binding("k", "scroll(-1)", "up", show=False, id="help.up"),
    ]

    def __init__(self, pane: Pane, bindings: Iterable[tuple[str, Binding]], look: Look) -> None:
        """``bindings``: keys as they are shown, and what they do."""
        super().__init__()
        self._pane, self._keys, self._look = pane, list(bindings), look

    def compose(self) -> ComposeResult:
        """A paragraph and the table of keys."""
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for shown, binding in self._keys:
            if binding.description:
                table.add_row(Text(self._look.plain(shown), "bold"), Text(binding.description), Text(binding.id or "", "dim"))
        with VerticalScroll(can_focus=True):
            yield Static(Text(f"{self._pane.title}\n", "bold"), markup=False)
            yield Static(Text(f"{self._pane.help_text}\n\n{self._filters()}\n"), markup=False)
            yield Static(table, markup=False)

    def _filters(self) -> str:
        words = self._pane.words
        names = ", ".join(safe_text(name, 30) for name in words.fields) or "none yet"
        return _GENERAL.format(example=safe_text(words.example, 60), payload=_PAYLOAD if words.payload else "", names=names)

    def action_scroll(self, lines: int) -> None:
        """A line down or up."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)
