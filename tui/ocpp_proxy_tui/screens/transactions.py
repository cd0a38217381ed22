"""Transactions: start and stop, energy, token, what is missing; of the one under the cursor power, energy, SoC and limit."""

import time
from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid

from ocpp_proxy.core.masking import veiled
from ocpp_proxy.escape import safe_text
from ocpp_proxy.fields import Vocabulary, comparison, joined
from ocpp_proxy.fields.lists import TRANSACTIONS
from ocpp_proxy.model import CaptureError, ConfigError
from ocpp_proxy.source import Charging, Sample
from ocpp_proxy_tui.ground import Ground
from ocpp_proxy_tui.messages import Copy, Narrow
from ocpp_proxy_tui.screens.summary import SummaryPane
from ocpp_proxy_tui.times import moment, number, span
from ocpp_proxy_tui.widgets.curve import Curve
from ocpp_proxy_tui.widgets.table_view import Cell, TableRow, TableView

_QUANTITIES = (("power", "Power"), ("energy", "Energy"), ("soc", "State of charge"), ("limit", "Limit"))


class Transactions(SummaryPane):
    """The screen."""

    title = "Transactions"
    noun = "transactions"
    help_text = (
        "One row per charging transaction: start, stop, energy, duration, token (veiled; m shows it), stop reason,"
        " sequence numbers that never came. Below: power, energy, state of charge and limit over time (on a low screen two of"
        " them, c shows the others). Enter shows its messages.")
    columns = (
        "charger", "transaction", "EVSE", "started", "stopped", "duration", "kWh", "token", "reason", "missing", "version")
    fields = (
        "identity", "tx", "evse", "started", "stopped", "duration", "kwh", "", "reason", "missing", "protocol")
    DEFAULT_CSS = """
    Transactions { layout: vertical; }
    Transactions TableView { height: 1fr; }
    Transactions Grid { height: 1fr; grid-size: 2 2; }
    Transactions.-small Grid { grid-size: 2 1; }
    Transactions.-small .-minor { display: none; }
    Transactions.-small.-others .-minor { display: block; }
    Transactions.-small.-others .-major { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "curves", "other curves", id="transactions.curves"),
        Binding("equals_sign", "cell_filter(True)", "only such rows", key_display="=", show=False, id="transactions.include"),
        Binding("minus", "cell_filter(False)", "all but such rows", key_display="-", show=False, id="transactions.exclude"),
        Binding("y", "copy", "copy id", show=False, id="transactions.copy"),
        Binding("m", "tokens", "show tokens", show=False, id="transactions.tokens"),
    ]

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self._tokens = False                # whether they are shown whole
        self._curves = {name: Curve(ground.look, title, name == "limit") for name, title in _QUANTITIES}
        for name, curve in self._curves.items():
            curve.add_class("-minor" if name in ("energy", "limit") else "-major")

    def compose(self) -> ComposeResult:
        """The table, four charts."""
        yield self.table
        with Grid():
            yield from self._curves.values()

    def on_resize(self) -> None:
        """Two charts where there is no room for four."""
        self.set_class(self.size.height < 28, "-small")

    @property
    def words(self) -> Vocabulary:
        """The names of a transaction."""
        return TRANSACTIONS

    def values(self, field: str) -> Iterable[str]:
        """What there is; of tokens only while they are shown."""
        return () if field == "token" and not self._tokens else super().values(field)

    @property
    def charger(self) -> str:
        """Of the row under the cursor."""
        return str(self.table.current.key[0]) if self.table.current is not None else super().charger

    async def ask(self) -> Sequence[Charging]:
        """All transactions of the charger in scope."""
        return await self.ground.source.transactions(self.ground.scope.identity)

    def row(self, item: Charging) -> TableRow:
        """One transaction."""
        running = item.stopped_ns == 0
        ended = item.stopped_ns or (time.time_ns() if self.ground.source.live else 0)
        seconds = (ended - item.started_ns) / 1e9 if item.started_ns and ended else 0.0
        token = item.id_token if self._tokens else veiled(item.id_token)
        place = "/".join(str(at) for at in (item.evse, item.connector) if at is not None)
        return TableRow((item.identity, item.tx_id, item.started_ns), (
            Cell(safe_text(item.identity or "-", 30)), Cell(safe_text(item.tx_id, 40)), Cell(place),
            Cell(moment(item.started_ns), item.started_ns), Cell(moment(item.stopped_ns) or "running", item.stopped_ns),
            Cell(span(seconds), seconds, right=True),
            Cell(number(item.kwh, 3), item.kwh, right=True),
            Cell(safe_text(token, 40)), Cell("" if running else safe_text(item.reason, 20)),
            Cell(number(item.missing), item.missing, 2 if item.missing else -1, True),
            Cell(safe_text(item.protocol.removeprefix("ocpp"), 8)),
        ), item)

    def on_table_view_moved(self, event: TableView.Moved) -> None:
        """Draw the curves of the transaction under the cursor."""
        event.stop()
        self._draw(event.row.item)

    def emptied(self) -> None:
        """No transaction, no curves."""
        self.workers.cancel_group(self, "curve")
        for curve in self._curves.values():
            curve.show((), "")

    def on_table_view_chosen(self, event: TableView.Chosen) -> None:
        """Show its messages."""
        event.stop()
        item: Charging = event.row.item
        both = joined(comparison("identity", item.identity), comparison("tx", item.tx_id))
        self.post_message(Narrow(both, instead=True, screen="Traffic"))

    def action_tokens(self) -> None:
        """Show the tokens whole, or veiled again."""
        self._tokens = not self._tokens
        self.load()

    def action_curves(self) -> None:
        """The two curves that had no room."""
        self.toggle_class("-others")

    def action_copy(self) -> None:
        """The transaction's id to the clipboard."""
        if self.table.current is not None:
            self.post_message(Copy(self.table.current.item.tx_id, "the transaction's id"))

    @work(exclusive=True, group="curve")
    async def _draw(self, item: Charging) -> None:
        try:
            samples = await self.ground.source.curve(item)
        except (CaptureError, ConfigError, OSError) as error:
            self.problem = str(error).split("\n", 1)[0]
            return
        for name, curve in self._curves.items():
            curve.show(*_points(samples, name))


def _points(samples: Sequence[Sample], quantity: str) -> tuple[list[tuple[int, float]], str, str]:
    """The points of one quantity in its newest unit, that unit, and what there is in other units: one scale shows but one."""
    chosen = [sample for sample in samples if sample.quantity == quantity]
    unit = chosen[-1].unit if chosen else ""
    others = sorted({sample.unit for sample in chosen} - {unit})
    count = sum(sample.unit != unit for sample in chosen)
    left = f"; {count} in {', '.join(safe_text(other, 8) for other in others)} not drawn" if others else ""
    return [(sample.time_ns, sample.value) for sample in chosen if sample.unit == unit], safe_text(unit, 8), left


