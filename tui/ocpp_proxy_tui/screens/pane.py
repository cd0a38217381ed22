"""``Pane``: what a screen is to the application."""

from collections.abc import Iterable
from typing import ClassVar

from textual.events import DescendantFocus
from textual.widget import Widget

from ocpp_proxy.fields import LINES, Filter, Vocabulary
from ocpp_proxy_tui.ground import Ground


class Pane(Widget):
    """One screen. ``title`` stands in the tab bar. Each has a filter of its own (``where``), of its list's names (``words``).

    The application calls ``enter`` when it becomes visible, ``changed`` when scope or filter changed (also before the first
    ``enter``), ``tick`` at most ``settings.hz`` times a second while it is visible, ``look_for`` for a search (Ctrl+F, n, N).
    """

    title: ClassVar[str] = ""
    help_text: ClassVar[str] = ""           # a paragraph for the help, plain text

    def __init__(self, ground: Ground) -> None:
        super().__init__(id=type(self).__name__.lower())
        self.ground = ground
        self.part: Widget | None = None     # that had the focus last
        self._where: Filter | None = None

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """Remember where one is, to come back to it from the filter line and from other screens."""
        self.part = event.widget

    @property
    def words(self) -> Vocabulary:
        """The names its filters can use."""
        return LINES

    @property
    def where(self) -> Filter | None:
        """The filter of its list; None: everything is shown."""
        return self._where

    async def narrow(self, where: Filter | None) -> None:
        """Show only what passes."""
        self._where = where

    @property
    def charger(self) -> str:
        """The identity of the charger at hand: of the row under the cursor, or the one in scope; empty: none."""
        return self.ground.scope.identity

    @property
    def at_hand(self) -> str:
        """A filter of messages that says what one is looking at, to begin an intercept with."""
        return self.where.text if self.where is not None and self.words is LINES else ""

    @property
    def badge(self) -> str:
        """What stands behind the title in its tab."""
        return ""

    def beat(self) -> None:
        """As often as ``tick``, but while another screen is seen."""

    def values(self, field: str) -> Iterable[str]:
        """Values its list has of a field, for the completion of filters."""
        return ()

    async def enter(self) -> None:
        """Become visible: load what is shown, take the focus."""

    async def changed(self) -> None:
        """``ground.scope`` has changed."""

    def tick(self) -> None:
        """Show what came since the last tick."""

    def look_for(self, text: str, forward: bool) -> None:
        """Go to the next row that holds ``text`` (case does not matter)."""

    def status(self) -> str:
        """What stands at the right of the status line: counts, progress. Plain text, escaped."""
        return ""
