"""What the summary screens share: one question to the source, one table, asked again while it is live and visible."""

from collections.abc import Sequence
from time import monotonic
from typing import Any, ClassVar

from textual import work
from textual.app import ComposeResult

from ocpp_proxy.escape import safe_text
from ocpp_proxy.model import CaptureError, ConfigError
from ocpp_proxy_tui.ground import Ground
from ocpp_proxy_tui.screens.pane import Pane
from ocpp_proxy_tui.widgets.table_view import TableRow, TableView

AGAIN_SECONDS = 2.0                         # at least, between two questions to a live source
SHARE = 10.0                                # and ten times as long as the answer took


class SummaryPane(Pane):
    """A table of what ``ask`` gives. Subclasses say what to ask and how a row looks."""

    columns: ClassVar[tuple[str, ...]] = ()
    noun: ClassVar[str] = "rows"

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self.table = TableView(ground.look)
        self._asked_at = 0.0
        self._took = 0.0
        self._stale = True
        self._busy = False
        self.problem = ""

    def compose(self) -> ComposeResult:
        """The table."""
        yield self.table

    async def ask(self) -> Sequence[Any]:
        """The answer of the source."""
        raise NotImplementedError

    def row(self, item: Any) -> TableRow:
        """An item as a row of the table."""
        raise NotImplementedError

    async def enter(self) -> None:
        """Load what is shown, take the focus."""
        self.table.focus()
        self._load()

    async def changed(self) -> None:
        """Another charger or filter."""
        self._stale = True
        if self.display and self.is_attached and self.parent is not None and self.is_on_screen:
            self._load()

    def tick(self) -> None:
        """Ask again when it is time."""
        due = monotonic() - self._asked_at >= max(AGAIN_SECONDS, SHARE * self._took)
        if not self._busy and (self._stale or (self.ground.source.live and due)):
            self._load()

    def look_for(self, text: str, forward: bool) -> None:
        """Search the table."""
        if not self.table.find(text, forward):
            self.notify(f"not found: {safe_text(text, 60)}", markup=False)

    def status(self) -> str:
        """What went wrong, or how many there are."""
        if self.problem:
            return safe_text(self.problem, 300)
        return "..." if self._stale else f"{len(self.table.shown):,} {self.noun}"

    @work(exclusive=True, group="ask")
    async def _load(self) -> None:
        self._busy, began = True, monotonic()
        try:
            items = await self.ask()
            self.problem = ""
        except (CaptureError, ConfigError, OSError) as error:
            self.problem, items = str(error).split("\n", 1)[0], None
        finally:
            self._busy, self._stale = False, False
            self._asked_at = monotonic()
            self._took = self._asked_at - began
        if items is not None and self.is_attached:
            self.table.fill([self.ground.look.plain(name) for name in self.columns], [self.row(item) for item in items])
