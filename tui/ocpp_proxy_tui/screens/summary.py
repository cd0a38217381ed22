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
        self._identity = ""                 # the charger in scope
        self._busy = False
        self.problem = ""                   # why the last question got no answer

    def compose(self) -> ComposeResult:
        """The table."""
        yield self.table

    async def ask(self) -> Sequence[Any]:
        """The answer of the source."""
        raise NotImplementedError

    def row(self, item: Any) -> TableRow:
        """An item as a row of the table."""
        raise NotImplementedError

    def emptied(self) -> None:
        """There are no rows: what stands beside the table about one of them is to go."""

    async def enter(self) -> None:
        """Take the focus; the tick that follows loads what is shown."""
        (self.part or self.table).focus()

    async def changed(self) -> None:
        """Another charger: ask again, whatever is being asked now. The filter is for Traffic alone."""
        if self.ground.scope.identity != self._identity:
            self._identity = self.ground.scope.identity
            self._stale, self._busy = True, False

    def tick(self) -> None:
        """Ask when it is time, and only while the screen is visible. What failed is asked again, also on files."""
        due = monotonic() - self._asked_at >= max(AGAIN_SECONDS, SHARE * self._took)
        if not self._busy and (self._stale or (due and (self.ground.source.live or self.problem))):
            self.load()

    def look_for(self, text: str, forward: bool) -> None:
        """Search the table."""
        if not self.table.find(text, forward):
            self.notify(f"not found: {safe_text(text, 60)}", markup=False)

    def status(self) -> str:
        """What went wrong, or how many there are."""
        if self.problem:
            return safe_text(self.problem, 300)
        return "..." if self._stale else f"{len(self.table.shown):,} {self.noun}"

    def load(self) -> None:
        """Ask now; an answer that is still to come does not count any more."""
        self._busy = True
        self._load()

    @work(exclusive=True, group="ask")
    async def _load(self) -> None:
        began, items = monotonic(), None
        try:
            items, self.problem = await self.ask(), ""
        except (CaptureError, ConfigError, OSError) as error:
            self.problem = str(error).split("\n", 1)[0]
        self._busy, self._stale, self._asked_at = False, False, monotonic()    # not reached when another question came
        self._took = self._asked_at - began
        if items is not None:
            self.table.fill(self.columns, [self.row(item) for item in items])
            if not items:
                self.emptied()
