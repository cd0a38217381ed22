"""Chargers: who is there, in what state, how it does. Enter limits every screen to one."""

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType

from ocpp_proxy.escape import safe_text
from ocpp_proxy.fields import Vocabulary
from ocpp_proxy.fields.lists import CHARGERS
from ocpp_proxy.source import Charger
from ocpp_proxy_tui.ground import Ground
from ocpp_proxy_tui.messages import Copy, ScopeTo
from ocpp_proxy_tui.screens.summary import SummaryPane
from ocpp_proxy_tui.times import moment, number, span
from ocpp_proxy_tui.widgets.table_view import Cell, TableRow, TableView

_STATE_LEVELS = {"open": -1, "closed": 2, "refused": 3}
_BAD_STATUS = ("Faulted", "Unavailable")


class Chargers(SummaryPane):
    """The screen."""

    title = "Chargers"
    noun = "chargers"
    help_text = (
        "One row per charger: state of its link, version (and that of the CSMS where a bridge translates), connectors with"
        " their last status, when it was last seen, messages a minute, p95 of its answers, errors (CALLERROR and unanswered),"
        " worst finding, reconnects, time without a link, firmware. Enter limits every screen to the charger and shows its"
        " traffic; u takes the limit away.")
    columns = ("charger", "state", "version", "connectors", "last seen", "msg/min", "p95 ms", "errors", "findings", "reconn.",
               "outage", "firmware", "model", "address")
    fields = ("identity", "state", "protocol", "status", "seen", "rate", "p95", "errors", "severity", "reconnects",
              "outage", "firmware", "model", "remote")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "findings", "its findings", id="chargers.findings"),
        Binding("t", "transactions", "its transactions", id="chargers.transactions"),
        Binding("equals_sign", "cell_filter(True)", "only such rows", key_display="=", show=False, id="chargers.include"),
        Binding("minus", "cell_filter(False)", "all but such rows", key_display="-", show=False, id="chargers.exclude"),
        Binding("y", "copy", "copy name", show=False, id="chargers.copy"),
    ]

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self._far: dict[str, str] = {}      # by identity: the version of the CSMS's leg, where that is another one

    @property
    def words(self) -> Vocabulary:
        """The names of a charger."""
        return CHARGERS

    @property
    def charger(self) -> str:
        """Of the row under the cursor."""
        return str(self.table.current.key) if self.table.current is not None else super().charger

    async def ask(self) -> Sequence[Charger]:
        """All chargers, and which of them speak through a bridge, by their newest links."""
        links = list(self.ground.links.values()) or await self.ground.source.links()
        self._far = {link.identity: link.csms_protocol for link in sorted(links, key=lambda link: link.link_id)}
        return await self.ground.source.chargers()

    def row(self, item: Charger) -> TableRow:
        """One charger."""
        look = self.ground.look
        status = ", ".join(f"{at}:{safe_text(known, 20)}" for at, known in item.connectors.items())
        bad = 3 if any(known in _BAD_STATUS for known in item.connectors.values()) else -1
        errors = Cell(number(item.errors), item.errors, 3 if item.errors else -1, True)
        mark = f"{look.mark(item.level)} {item.findings:,}" if item.findings else ""
        far = self._far.get(item.identity, "")
        version = ("<>" if look.ascii else "⇄").join(one.removeprefix("ocpp") for one in (item.protocol, far) if one)
        return TableRow(item.identity, (
            Cell(safe_text(item.identity or "-", 40), item.identity), Cell(item.state, level=_STATE_LEVELS[item.state]),
            Cell(safe_text(version, 24)), Cell(safe_text(status, 50), level=bad),
            Cell(moment(item.last_seen_ns), item.last_seen_ns), Cell(number(item.rate, 1), item.rate, right=True),
            Cell(number(item.p95_ms), item.p95_ms, right=True), errors,
            Cell(mark, item.level * 1_000_000_000 + item.findings, item.level),
            Cell(number(item.reconnects), item.reconnects, right=True),
            Cell(span(item.outage_s), item.outage_s, right=True), Cell(safe_text(item.firmware, 30)),
            Cell(safe_text(f"{item.vendor} {item.model}".strip(), 40)), Cell(safe_text(item.remote, 45)),
        ), item)

    def on_table_view_chosen(self, event: TableView.Chosen) -> None:
        """Limit every screen to it."""
        event.stop()
        self._scope("Traffic")

    def action_findings(self) -> None:
        """Its findings."""
        self._scope("Findings")

    def action_transactions(self) -> None:
        """Its transactions."""
        self._scope("Transactions")

    def _scope(self, screen: str) -> None:
        if self.table.current is None:
            return
        if self.table.current.key:
            self.post_message(ScopeTo(self.table.current.key, screen))
        else:
            self.notify("it gave no name that the other screens could be limited to", markup=False)

    def action_copy(self) -> None:
        """Its identity to the clipboard."""
        if self.table.current is not None:
            self.post_message(Copy(self.table.current.key, "the charger's identity"))
