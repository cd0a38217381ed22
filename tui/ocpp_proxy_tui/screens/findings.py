"""Findings: by rule, with blame, clause, count and chargers; below, each one of the rule under the cursor."""

from collections.abc import Sequence
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from ocpp_proxy.checks import REGISTRY
from ocpp_proxy.escape import safe_text
from ocpp_proxy.fields import Vocabulary
from ocpp_proxy.fields.lists import FINDINGS, Sought, compile_items, of_found, of_group
from ocpp_proxy.model import CaptureError, ConfigError
from ocpp_proxy.source import FindingGroup, FoundAt
from ocpp_proxy_tui.ground import Ground
from ocpp_proxy_tui.messages import Copy, Jump, Mend, Narrow
from ocpp_proxy_tui.screens.summary import SummaryPane
from ocpp_proxy_tui.times import moment, number, stamp
from ocpp_proxy_tui.widgets.table_view import Cell, TableRow, TableView

EACH = 1_000                                # findings of one rule that are listed
LOOKED_AT = 10_000                          # of them by a filter
_COLUMNS = ("time", "charger", "where", "what", "count")


class Findings(SummaryPane):
    """The screen."""

    title = "Findings"
    noun = "rules"
    help_text = (
        "What is wrong, by rule: severity, whose fault, how often, at how many chargers, the clause of the standard. The lower"
        " table lists each finding of the rule under the cursor. Enter goes down to it, and there to the message that is its"
        " evidence;"
        " = shows all traffic with that finding. Where one may act, R repairs it from now on with a quirk profile.")
    columns = ("", "rule", "severity", "whose fault", "count", "chargers", "what it is", "clause", "last seen")
    DEFAULT_CSS = """
    Findings { layout: vertical; }
    Findings #groups { height: 1fr; }
    Findings #meaning { height: auto; max-height: 4; padding: 0 1; background: $panel; }
    Findings #each { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("equals_sign", "traffic", "its traffic", key_display="=", id="findings.traffic"),
        Binding("R", "repair", "repair", id="findings.repair"),
        Binding("y", "copy", "copy", show=False, id="findings.copy"),
        Binding("tab", "other", "other table", show=False, priority=True, id="findings.other"),
        Binding("escape", "up", "up", show=False, id="findings.up"),
    ]

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self.table.id = "groups"
        self.each = TableView(ground.look, id="each")
        self._code = ""                     # the rule whose findings are listed

    def compose(self) -> ComposeResult:
        """The rules, what the chosen one means, its findings."""
        yield self.table
        yield Static("", id="meaning", markup=False)
        yield self.each

    @property
    def words(self) -> Vocabulary:
        """The names of a finding."""
        return FINDINGS

    async def ask(self) -> Sequence[FindingGroup]:
        """The groups, for the charger in scope."""
        return await self.ground.source.finding_groups(self.ground.scope.identity)

    def sought(self, item: FindingGroup) -> Sought:
        """The rule with all its findings."""
        return of_group(item)

    def row(self, item: FindingGroup) -> TableRow:
        """One rule."""
        level, named = int(item.severity), ", ".join(safe_text(one, 20) for one in item.chargers[:3])
        chargers = f"{len(item.chargers)}: {named}" if named else "0"
        return TableRow(item.code, (
            Cell(self.ground.look.mark(level), level, level), Cell(safe_text(item.code, 12)),
            Cell(item.severity.label, level, level), Cell(safe_text(item.blame, 12)),
            Cell(number(item.count), item.count, right=True), Cell(safe_text(chargers, 50), len(item.chargers)),
            Cell(safe_text(item.title, 60)), Cell(safe_text(item.spec_ref, 40)), Cell(moment(item.last_ns), item.last_ns),
        ), item)

    def on_table_view_moved(self, event: TableView.Moved) -> None:
        """Another rule: say what it means, list its findings."""
        event.stop()
        if event.table is self.table:
            rule = REGISTRY.rules.get(event.row.key)
            text = f"{rule.means} {rule.remedy}" if rule else ""
            self.query_one("#meaning", Static).update(self.ground.look.plain(text))
            if event.row.key != self._code:
                self._code = event.row.key
                self.each.fill(_COLUMNS, [])        # those of another rule are nothing to jump to
            self._list(event.row.key, event.row.item)

    def emptied(self) -> None:
        """Nothing is wrong."""
        self._code = ""
        self.workers.cancel_group(self, "each")
        self.query_one("#meaning", Static).update("")
        self.each.fill(_COLUMNS, [])
        if self.each.has_focus:
            self.table.focus()

    def status(self) -> str:
        """Rules, and how many of the findings are listed."""
        listed = f", the newest {EACH:,} findings of {self._code}" if len(self.each.shown) == EACH and not self.problem else ""
        return super().status() + listed

    def on_table_view_chosen(self, event: TableView.Chosen) -> None:
        """A rule: go down to its findings. A finding: jump to its evidence."""
        event.stop()
        if event.table is self.table:
            self.each.focus()
            return
        found: FoundAt = event.row.item
        finding = found.finding
        if finding.msg_no:
            self.post_message(Jump(msg_no=finding.msg_no))
        elif finding.evidence:
            self.post_message(Jump(frame_id=finding.evidence[-1]))
        else:
            self.post_message(Jump(number=found.number))

    def action_traffic(self) -> None:
        """All traffic with the rule under the cursor."""
        if self.table.current is not None:
            self.post_message(Narrow(f"rule == {self.table.current.key}", instead=True, screen="Traffic"))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Where one may only look, nothing is repaired."""
        return action != "repair" or self.ground.acting is not None

    def action_repair(self) -> None:
        """Have the finding under the cursor (of a rule: its newest) repaired from now on."""
        row = self.each.current
        if row is not None:
            found: FoundAt = row.item
            self.post_message(Mend(found.finding))

    def action_copy(self) -> None:
        """The text of the row to the clipboard."""
        table = self.each if self.each.has_focus else self.table
        if table.current is not None:
            self.post_message(Copy("  ".join(cell.text for cell in table.current.cells).strip(), "the finding"))

    def action_other(self) -> None:
        """From one table to the other."""
        (self.table if self.each.has_focus else self.each).focus()

    def action_up(self) -> None:
        """Back to the rules."""
        self.table.focus()

    def look_for(self, text: str, forward: bool) -> None:
        """Search the table one is in."""
        table = self.each if self.part is self.each else self.table
        if not table.find(text, forward):
            self.notify(f"not found: {safe_text(text, 60)}", markup=False)

    @work(exclusive=True, group="each")
    async def _list(self, code: str, group: FindingGroup) -> None:
        passes = compile_items(self.where, self.words)
        limit = EACH if self.where is None else LOOKED_AT
        try:
            found = await self.ground.source.findings(code, self.ground.scope.identity, limit)
        except (CaptureError, ConfigError, OSError) as error:
            self.problem = str(error).split("\n", 1)[0]
            return
        self.each.fill(_COLUMNS, [self._one(one) for one in found if passes(of_found(one, group))][:EACH])

    def _one(self, found: FoundAt) -> TableRow:
        finding = found.finding
        level = int(finding.severity)
        return TableRow(finding.finding_id, (
            Cell(stamp(finding.time_ns), finding.time_ns), Cell(safe_text(finding.identity or "-", 30)),
            Cell(safe_text(finding.path, 50)), Cell(safe_text(finding.message, 200), level=level),
            Cell(number(finding.count), finding.count, right=True),
        ), found)
