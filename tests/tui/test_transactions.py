"""The screen of transactions: rows, running ones, tokens, curves, the way to the messages."""

from pathlib import Path

import pytest
from ocpp_proxy_tui.app import ProxyApp
from ocpp_proxy_tui.widgets.curve import Curve
from textual.pilot import Pilot
from textual.widgets import ContentSwitcher

from ocpp_proxy.core.masking import veiled
from ocpp_proxy.source import Charging, Sample
from tests.tui.panes_case import START, Counting, S, cells, due, on, settled, table, until

TOKEN = "04A1B2C3D4E5F6"
DONE = Charging("4711", "CP1", "ocpp1.6", None, 2, START, START + 3725 * S, 12.3456, TOKEN, "EVDisconnected")
RUNNING = Charging("a b", "CP2", "ocpp2.0.1", 1, 1, START + 100 * S, 0, None, TOKEN, "", 3)
SAMPLES = [
    Sample(START, "power", 7400.0, "W"), Sample(START + 60 * S, "power", 11000.0, "W"),
    Sample(START, "limit", 16.0, "A"), Sample(START + 10 * S, "limit", 11000.0, "W"), Sample(START + 20 * S, "limit", 6.0, "A"),
    Sample(START, "soc", 55.0, "Percent"),
]


def source(live: bool = False) -> Counting:
    made = Counting(live=live)
    made.sessions, made.samples = [RUNNING, DONE], list(SAMPLES)
    return made


def curves(app: ProxyApp) -> list[str]:
    """The first lines of the visible curves."""
    return [curve.render_line(0).text.rstrip() for curve in app._active.query(Curve) if curve.display]


def test_rows_of_running_and_ended_transactions(tmp_path: Path) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        running, done = cells(table(app))
        assert running[:3] == ("CP2", "a b", "1/1") and running[4:7] == ("running", "", "")
        assert running[7:] == (veiled(TOKEN), "", "3", "2.0.1")
        assert done[5:] == ("01:02:05", "12.346", veiled(TOKEN), "EVDisconnected", "", "1.6")
        assert table(app).shown[0].cells[9].level == 2 and table(app).shown[1].cells[9].level == -1
        assert TOKEN not in "".join(table(app).render_line(y).text for y in range(5))
        await pilot.press("m")
        await settled(pilot)
        assert cells(table(app), "token") == [TOKEN, TOKEN]
        await pilot.press("m")
        await settled(pilot)
        assert cells(table(app), "token") == [veiled(TOKEN)] * 2
        assert app._active.status() == "2 transactions"
    on(source(), "Transactions", body, tmp_path, (200, 50))


def test_one_that_runs_has_lasted_until_now_where_the_source_is_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: RUNNING.started_ns + 75 * S)

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        assert cells(table(app), "duration") == ["00:01:15", "01:02:05"]
    on(source(live=True), "Transactions", body, tmp_path)


def test_the_cursor_stays_on_a_transaction_that_changes(tmp_path: Path) -> None:
    made = source(live=True)

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        newer = Charging("99", "CP3", started_ns=START + 200 * S)
        grown = Charging("a b", "CP2", "ocpp2.0.1", 1, 1, START + 100 * S, 0, 5.5, TOKEN, "", 3)
        made.sessions = [newer, grown, DONE]
        due(app._active)
        await until(pilot, lambda: len(table(app).shown) == 3)
        current = table(app).current
        assert current is not None and current.item == grown and table(app).cursor == 1
    on(made, "Transactions", body, tmp_path)


def test_enter_shows_its_messages_and_y_copies_its_id(tmp_path: Path) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await pilot.press("y")
        await settled(pilot)
        assert app.clipboard == "a b"
        await pilot.press("enter")
        await until(pilot, lambda: app.ground.scope.where is not None)
        assert app.ground.scope.where is not None and app.ground.scope.where.text == 'identity == CP2 and tx == "a b"'
        assert app.query_one(ContentSwitcher).current == "traffic"
        await pilot.press("4", "j", "enter")
        await until(pilot, lambda: "4711" in app.ground.scope.where.text)       # type: ignore[union-attr]
        assert app.ground.scope.where.text == 'identity == CP1 and tx == "4711"'
    on(source(), "Transactions", body, tmp_path)


def test_curves_say_what_they_show_and_what_not(tmp_path: Path) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        assert curves(app) == [
            "Power  11,000 W  (2 values)", "Energy: no values", "State of charge  55 Percent  (1 value)",
            "Limit  6 A  (2 values; 1 in W not drawn)"]
    on(source(), "Transactions", body, tmp_path, (160, 50))


def test_on_a_low_screen_c_shows_the_other_curves(tmp_path: Path) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        assert [line.split()[0] for line in curves(app)] == ["Power", "State"]
        await pilot.press("c")
        await pilot.pause()
        assert [line.split()[0] for line in curves(app)] == ["Energy:", "Limit"]
        await pilot.press("c")
        await pilot.pause()
        assert [line.split()[0] for line in curves(app)] == ["Power", "State"]
    on(source(), "Transactions", body, tmp_path, (80, 24))


def test_no_transactions_no_curves(tmp_path: Path) -> None:
    made = source(live=True)

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        made.sessions = []
        due(app._active)
        await until(pilot, lambda: not table(app).shown)
        await settled(pilot)
        assert all(line.endswith("no values") for line in curves(app)) and len(curves(app)) == 4
        await pilot.press("enter", "y", "m", "c")
        assert app._active.status() == "0 transactions"
    on(made, "Transactions", body, tmp_path)


def test_a_curve_that_cannot_be_read_is_told_and_comes_later(tmp_path: Path) -> None:
    made = source(live=True)

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        made.failing = "no curve"
        await pilot.press("j")
        await until(pilot, lambda: app._active.status() == "no curve")
        made.failing = ""
        due(app._active)
        await until(pilot, lambda: app._active.status() == "2 transactions")
    on(made, "Transactions", body, tmp_path)
