"""What the summary screens share: one question to the source, one table, asked again while it is live and visible."""

from collections.abc import Iterable, Sequence
from time import monotonic
from typing import Any, ClassVar

from textual import work
from textual.app import ComposeResult

from ocpp_proxy.escape import safe_text
from ocpp_proxy.fields import Filter
from ocpp_proxy.fields.lists import compile_items, expression, texts_of
from ocpp_proxy.model import CaptureError, ConfigError
from ocpp_proxy_tui.ground import Ground
from ocpp_proxy_tui.messages import Narrow
from ocpp_proxy_tui.screens.pane import Pane
from ocpp_proxy_tui.widgets.table_view import TableRow, TableView

AGAIN_SECONDS = 2.0                         # at least, between two questions to a live source
VALUES = 2_000                              # items whose values are offered for completion
SHARE = 10.0                                # and ten times as long as the answer took


class SummaryPane(Pane):
    """A table of what ``ask`` gives. Subclasses say what to ask and how a row looks."""

    columns: ClassVar[tuple[str, ...]] = ()
    noun: ClassVar[str] = "rows"
    fields: ClassVar[tuple[str, ...]] = ()  # of the filter language, one a column; empty: the cell stands for none

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self.table = TableView(ground.look)
        self._asked_at = 0.0
        self._took = 0.0
        self._stale = True
        self._identity = ""                 # the charger in scope
        self._busy = False
        self.problem = ""                   # why the last question got no answer
        self._items: Sequence[Any] = ()     # the last answer, of which the table shows what passes

    def compose(self) -> ComposeResult:
        """The table."""
        yield self.table

    async def ask(self) -> Sequence[Any]:
        """The answer of the source."""
        raise NotImplementedError

    def row(self, item: Any) -> TableRow:
        """An item as a row of the table."""
        raise NotImplementedError

    def sought(self, item: Any) -> Any:
        """What the filter looks at for an item."""
        return item

    async def narrow(self, where: Filter | None) -> None:
        """Show only what passes; what is known is not asked for again."""
        await super().narrow(where)
        self._fill()

    def values(self, field: str) -> Iterable[str]:
        """What the items have of a field."""
        known = self.words.fields[field]
        return {text for item in self._items[:VALUES] for text in texts_of(self.sought(item), known)}

    def action_cell_filter(self, include: bool) -> None:
        """Narrow the filter to what the cell says, or to all else."""
        row, name = self.table.current, self.fields[self.table.column]
        found = expression(self.sought(row.item), self.words.fields[name]) if row is not None and name else None
        if found is None:
            self.notify("there is nothing to filter by here", markup=False)
        else:
            self.post_message(Narrow(found if include else f"not ({found})"))

    def emptied(self) -> None:
        """There are no rows: what stands beside the table about one of them is to go."""

    async def enter(self) -> None:
        """Take the focus; the tick that follows loads what is shown."""
        (self.part or self.table).focus()

    async def changed(self) -> None:
        """Another charger: ask again, whatever is being asked now."""
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
        of = f" of {len(self._items):,}" if self.where is not None else ""
        way = "; F: no filter" if self.where is not None and not self.table.shown else ""
        return "..." if self._stale else f"{len(self.table.shown):,}{of} {self.noun}{way}"

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
            self._items = items
            self._fill()

    def _fill(self) -> None:
        passes = compile_items(self.where, self.words)
        shown = [item for item in self._items if passes(self.sought(item))]
        self.table.fill(self.columns, [self.row(item) for item in shown])
        if not shown:
            self.emptied()
