"""The screen of findings: two tables, what a rule means, jumps to the evidence."""

from functools import partial
from pathlib import Path

from ocpp_proxy_tui.app import ProxyApp
from ocpp_proxy_tui.screens import findings as module
from ocpp_proxy_tui.screens.traffic import Traffic
from textual.pilot import Pilot
from textual.widgets import ContentSwitcher, Static

from ocpp_proxy.checks import REGISTRY
from ocpp_proxy.model import Severity
from tests.tui.panes_case import Counting, cells, due, found, group, on, settled, table, until
from tests.tui.traffic_lines import LINK, Talk


def source(live: bool = False) -> Counting:
    """Two rules; of R07 three findings: one on message 3, one on a frame, one on a line."""
    talk = Talk()
    lines = [*talk.pair(), *talk.pair("Reset"), talk.ping(), *talk.pair("StatusNotification")]
    made = Counting(lines, [LINK], live=live)
    made.groups = [group("R07", 3, ("CP1", "CP2")), group("X01", 1, severity=Severity.WARNING)]
    made.found = [
        found("R07", 1, msg_no=3), found("R07", 2, "CP2", evidence=(1, 5)), found("R07", 3, number=6), found("X01", 4)]
    return made


def meaning(app: ProxyApp) -> str:
    return str(app.query_one("#meaning", Static).render())


def test_rules_and_the_findings_of_the_one_under_the_cursor(tmp_path: Path) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        groups, each = table(app, "#groups"), table(app, "#each")
        assert cells(groups)[0][:7] == ("✗", "R07", "error", "csms", "3", "2: CP1, CP2", "title of R07")
        assert cells(groups, "rule") == ["R07", "X01"]
        assert cells(each, "what") == ["what 1 says", "what 2 says", "what 3 says"]
        assert meaning(app).startswith(REGISTRY.rules["R07"].means[:40])
        await pilot.press("j")
        await settled(pilot)
        assert cells(each, "what") == ["what 4 says"]
        assert meaning(app).startswith(REGISTRY.rules["X01"].means[:40])
        assert app._active.status() == "2 rules"
    on(source(), "Findings", body, tmp_path)


def test_enter_goes_down_and_then_to_the_evidence_whatever_it_is(tmp_path: Path) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        traffic = app.pane("Traffic")
        assert isinstance(traffic, Traffic)
        for moves, number in (((), 3), (("j",), 5), (("j", "j"), 6)):
            await pilot.press("3")
            await settled(pilot)
            table(app, "#groups").focus()
            await pilot.press("enter")
            assert table(app, "#each").has_focus
            await pilot.press("g", *moves, "enter")
            await until(pilot, lambda: app.query_one(ContentSwitcher).current == "traffic")
            await until(pilot, partial(_stands_on, traffic, number))
    on(source(), "Findings", body, tmp_path)


def _stands_on(traffic: Traffic, number: int) -> bool:
    row = traffic.list.row()
    return row is not None and row.number == number


def test_keys_between_the_tables_search_copy_and_its_traffic(tmp_path: Path) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        groups, each = table(app, "#groups"), table(app, "#each")
        await pilot.press("tab")
        assert each.has_focus
        await pilot.press("j", "y")
        await settled(pilot)
        assert app.clipboard.endswith("what 2 says  1") and "CP2" in app.clipboard
        await pilot.press("ctrl+f", *"3 says", "enter")
        await settled(pilot)
        assert each.cursor == 2
        await pilot.press("tab")
        assert groups.has_focus
        await pilot.press("tab", "escape")
        assert groups.has_focus
        await pilot.press("y")
        await settled(pilot)
        assert "R07  error" in app.clipboard
        await pilot.press("j", "equals_sign")
        await until(pilot, lambda: app.ground.scope.where is not None)
        assert app.ground.scope.where is not None and app.ground.scope.where.text == "rule == X01"
        assert app.query_one(ContentSwitcher).current == "traffic"
    on(source(), "Findings", body, tmp_path)


def test_nothing_is_wrong(tmp_path: Path) -> None:
    made = source(live=True)

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        assert table(app, "#each").shown
        made.groups, made.found = [], []
        due(app._active)
        await until(pilot, lambda: not table(app, "#groups").shown)
        await settled(pilot)
        assert not table(app, "#each").shown and meaning(app) == ""
        await pilot.press("enter", "enter", "equals_sign", "y", "s", "j", "G", "h", "l")
        await settled(pilot)
        assert app.query_one(ContentSwitcher).current == "findings" and app._active.status() == "0 rules"
    on(made, "Findings", body, tmp_path)


def test_findings_of_another_rule_are_never_there_to_be_opened(tmp_path: Path) -> None:
    made = source()

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        made.failing = "no answer"
        await pilot.press("j")
        await settled(pilot)
        assert not table(app, "#each").shown and app._active.status() == "no answer"
        made.failing = ""
        due(app._active)
        await until(pilot, lambda: cells(table(app, "#each"), "what") == ["what 4 says"])
        assert app._active.status() == "2 rules"
    on(made, "Findings", body, tmp_path)


def test_more_findings_than_are_listed_is_said(tmp_path: Path) -> None:
    made = source()
    made.groups = [group("R07", 5000)]
    made.found = [found("R07", at) for at in range(1, module.EACH + 50)]

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        assert len(table(app, "#each").shown) == module.EACH
        assert app._active.status() == "1 rules, the newest 1,000 findings of R07"
    on(made, "Findings", body, tmp_path)
