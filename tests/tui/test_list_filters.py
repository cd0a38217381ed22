"""The filter line on every screen: each list has its own filter, with its own names, values and mistakes."""

from functools import partial
from pathlib import Path

import pytest
from ocpp_proxy_captures import query_list
from ocpp_proxy_tui.app import ProxyApp
from ocpp_proxy_tui.screens import findings as module
from ocpp_proxy_tui.screens.chargers import Chargers
from ocpp_proxy_tui.screens.log import LogLines
from ocpp_proxy_tui.screens.transactions import Transactions
from ocpp_proxy_tui.widgets.filter_bar import FilterBar
from ocpp_proxy_tui.widgets.typed import TypedLine
from textual.pilot import Pilot
from textual.widgets import ContentSwitcher

from ocpp_proxy.source import Charger, Charging, LogLine, Table
from tests.tui.panes_case import START, Counting, S, cells, due, found, group, on, screen, settled, table, until


def everything(live: bool = False) -> Counting:
    source = Counting(live=live)
    source.known_chargers = [
        Charger("CP1", "open", "ocpp1.6", vendor="Acme", errors=2, connectors={"1": "Faulted"}),
        Charger("CP2", "closed", "ocpp2.0.1", vendor="Zeta"), Charger("CP3", "open", vendor="Zeta", errors=9)]
    source.groups = [group("R05", 12, ("CP1", "CP2")), group("V01", 1, ("CP2",)), group("X01", 3, ())]
    source.found = [found("R05", 1, "CP1"), found("R05", 2, "CP2"), found("V01", 3, "CP2")]
    source.sessions = [Charging("41", "CP1", started_ns=START, kwh=12.5, id_token="secret-1"),
                       Charging("42", "CP2", started_ns=START, stopped_ns=START + S, kwh=0.5, reason="Local")]
    source.logged = [LogLine(START + at * S, "error" if at % 10 == 0 else "info", "relay", f"line {at}") for at in range(60)]
    source.tables = {READY: Table(["action", "n"], [["Reset", 3], ["Boot", 30], ["Data", None]])}
    return source


READY = query_list()[0][0]


async def narrowed(app: ProxyApp, pilot: Pilot[None], text: str) -> None:
    app.query_one(FilterBar).put(text)
    await settled(pilot)


def line(app: ProxyApp) -> TypedLine:
    return app.query_one(FilterBar).query_one(TypedLine)


def test_a_filter_typed_on_a_screen_is_that_lists_and_comes_back_with_it(tmp_path: Path) -> None:
    source = everything()

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        bar, switch = app.query_one(FilterBar), app.query_one(ContentSwitcher)
        await pilot.press("question_mark")
        assert {"vendor,", "reconnects,", "outage,"} <= set("".join(screen(app)).split())
        await pilot.press("escape", "slash", *"vendr == Z")
        assert bar.has_class("invalid")
        await pilot.press("enter")
        assert "did you mean vendor?" in "".join(screen(app)) and bar.has_class("open")
        await pilot.press(*["backspace"] * 6, *"or == Z", "tab", "enter")
        await settled(pilot)
        assert cells(table(app), "charger") == ["CP2", "CP3"] and switch.current == "chargers"
        assert app._active.status() == "2 of 3 chargers" and bar.has_class("valid") and source.times("chargers") == 1
        assert app.ground.scope.where is None           # Traffic shows all
        await app.go(app.pane("Traffic"))
        await settled(pilot)
        assert line(app).value == "" and line(app).placeholder.startswith("/ filter: action")
        await narrowed(app, pilot, "action == Reset")
        await app.go(app.pane("Chargers"))
        await settled(pilot)
        assert line(app).value.strip() == "vendor == Zeta" and bar.has_class("valid")
        await pilot.press("slash", "up")
        assert line(app).value.strip() == "vendor == Zeta"      # not what was typed for Traffic
        await pilot.press("escape", "F")
        await settled(pilot)
        assert len(table(app).shown) == 3 and app._active.status() == "3 chargers"
        assert app.ground.scope.where is not None and app.ground.scope.where.text == "action == Reset"
    on(source, "Chargers", body, tmp_path)


def test_what_comes_while_a_list_is_filtered_has_to_pass(tmp_path: Path) -> None:
    source = everything(live=True)

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await narrowed(app, pilot, "errors > 5 or status == Faulted")
        assert cells(table(app), "charger") == ["CP1", "CP3"]
        source.known_chargers += [Charger("CP4", "open", errors=6), Charger("CP5", "open")]
        due(app._active)
        await until(pilot, lambda: len(table(app).shown) == 3)
        assert app._active.status() == "3 of 5 chargers"
        await narrowed(app, pilot, "nobody")
        assert not table(app).shown and app._active.status() == "0 of 5 chargers; F: no filter"
    on(source, "Chargers", body, tmp_path)


def test_findings_narrow_the_rules_and_what_was_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = everything()

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await narrowed(app, pilot, "identity == CP2 and count > 10")
        assert cells(table(app, "#groups"), "rule") == ["R05"] and app._active.status() == "1 of 3 rules"
        assert cells(table(app, "#each"), "charger") == ["CP2"]
        await narrowed(app, pilot, "identity == CP7")
        assert not table(app, "#groups").shown and not table(app, "#each").shown
        await pilot.press("F")
        await settled(pilot)
        assert len(table(app, "#groups").shown) == 3 and cells(table(app, "#each"), "charger") == ["CP1", "CP2"]
        monkeypatch.setattr(module, "EACH", 1)          # the filter is asked before the list is cut
        await narrowed(app, pilot, "identity == CP2")
        assert cells(table(app, "#each"), "charger") == ["CP2"]
        await pilot.press("equals_sign")
        await settled(pilot)
        assert app.query_one(ContentSwitcher).current == "traffic" and line(app).value == "rule == R05"
    on(source, "Findings", body, tmp_path)


def test_transactions_are_filtered_and_their_tokens_are_no_offers(tmp_path: Path) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        pane = app._active
        assert isinstance(pane, Transactions)
        assert list(pane.values("token")) == [] and set(pane.values("identity")) == {"CP1", "CP2"}
        await pilot.press("m")
        await settled(pilot)
        assert set(pane.values("token")) == {"secret-1"}
        await narrowed(app, pilot, "kwh > 10 and state == running")
        assert cells(table(app), "transaction") == ["41"] and pane.status() == "1 of 2 transactions"
    on(everything(), "Transactions", body, tmp_path)


def test_the_log_is_filtered_and_what_is_hidden_is_not_lost(tmp_path: Path) -> None:
    source = everything(live=True)

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        shown = app.query_one(LogLines)
        await narrowed(app, pilot, "level == error")
        assert [one.text for one in shown.lines] == [f"line {at}" for at in range(0, 60, 10)]
        assert app._active.status() == "6 of 60 lines" and shown.scroll_offset.y == 0
        source.logged += [LogLine(START + at * S, "error" if at == 60 else "info", "relay", f"line {at}") for at in (60, 61)]
        due(app._active)
        await until(pilot, lambda: len(shown.every) == 62)
        assert len(shown.lines) == 7 and shown.render_line(6).text.rstrip().endswith("line 60")
        await pilot.press("F")
        await until(pilot, lambda: len(shown.lines) == 62)
        await until(pilot, lambda: shown.scroll_offset.y == 62 - shown.size.height)
        assert set(app._active.values("process")) == {"relay"} and set(app._active.values("text")) == set()
    on(source, "Log", body, tmp_path)


def test_a_result_is_filtered_by_its_columns_and_another_begins_anew(tmp_path: Path) -> None:
    source = everything()

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        assert line(app).placeholder == "/ filter: any text of a row"
        await pilot.press("enter")
        await until(pilot, lambda: len(table(app, "#result").shown) == 3)
        await until(pilot, lambda: line(app).placeholder == "/ filter: action contains text")
        assert set(app._active.values("action")) == {"Reset", "Boot", "Data"}
        await narrowed(app, pilot, "n > 5")
        assert cells(table(app, "#result")) == [("Boot", "30")] and app._active.status() == "1 of 3 rows"
        app._active.action_run()            # type: ignore[attr-defined]    # the same columns: the filter stays
        await settled(pilot)
        assert cells(table(app, "#result")) == [("Boot", "30")]
        source.tables[READY] = Table(["b"], [[1], [2]])
        app._active.action_run()            # type: ignore[attr-defined]
        await until(pilot, partial(_shows, app, 2))
        await until(pilot, lambda: line(app).value == "" and app._active.status() == "2 rows")
    on(source, "Query", body, tmp_path)


def _shows(app: ProxyApp, count: int) -> bool:
    return len(table(app, "#result").shown) == count


def test_cells_of_chargers_and_transactions_can_be_filtered_by(tmp_path: Path) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await pilot.press("j", "right", "equals_sign")
        await settled(pilot)
        assert line(app).value == "state == closed" and cells(table(app), "charger") == ["CP2"]
        await pilot.press("F", "minus")
        await settled(pilot)
        assert line(app).value == "not (state == closed)" and cells(table(app), "charger") == ["CP1", "CP3"]
        await pilot.press("4")
        await settled(pilot)
        shown = table(app)
        shown.column = shown.names.index("token")
        await pilot.press("equals_sign")        # what is veiled is not written out
        assert [note.message for note in app._notifications] == ["there is nothing to filter by here"]
        shown.column = shown.names.index("kWh")
        await pilot.press("equals_sign")
        await settled(pilot)
        assert line(app).value == "kwh >= 12.5" and cells(shown, "transaction") == ["41"]
    on(everything(), "Chargers", body, tmp_path)


def test_every_column_has_its_field() -> None:
    for pane in (Chargers, Transactions):
        assert len(pane.fields) == len(pane.columns)
