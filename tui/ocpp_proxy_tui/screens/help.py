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

from ocpp_proxy_tui.look import Look
from ocpp_proxy_tui.screens.pane import Pane

_GENERAL = (
    'Filters: action == "MeterValues" and ms > 500 and severity >= warning; a bare word looks for that text;'
    " payload.connectorId == 1 looks into the message. Tab completes. Nothing here touches traffic: pausing, filtering and"
    " quitting change only this screen.")


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
            yield Static(Text(f"{self._pane.help_text}\n\n{_GENERAL}\n"), markup=False)
            yield Static(table, markup=False)

    def action_scroll(self, lines: int) -> None:
        """A line down or up."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)
