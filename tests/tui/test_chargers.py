"""The screen of chargers: its rows, its keys, what it asks and when, what it does with errors."""

from functools import partial
from pathlib import Path

from ocpp_proxy_tui.app import ProxyApp
from ocpp_proxy_tui.screens.chargers import Chargers
from textual.pilot import Pilot
from textual.widgets import ContentSwitcher

from ocpp_proxy.model import Link
from ocpp_proxy.source import Charger
from tests.tui.panes_case import START, Counting, S, cells, due, lines, on, settled, table, until

CHARGERS = [
    Charger("CP1", "open", "ocpp1.6", "192.0.2.1:9", {"1": "Charging", "2": "Faulted"}, START, START, 1200, 12.5, 34.0, 0, 1,
            3725.0, "Acme", "X1", "1.0.3", 3, 3),
    Charger("CP2", "closed", "ocpp2.0.1", messages=4, errors=7, last_seen_ns=START + 60 * S),
    Charger("", "refused", remote="192.0.2.9:1"),
]


def three(live: bool = False) -> Counting:
    source = Counting(live=live)
    source.known_chargers = list(CHARGERS)
    return source


def _key(app: ProxyApp) -> object:
    current = table(app).current
    return current.key if current is not None else None


def test_a_row_says_all_that_is_known(tmp_path: Path) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        first, second, third = cells(table(app))
        assert first[:4] == ("CP1", "open", "1.6", "1:Charging, 2:Faulted")
        assert first[5:11] == ("12.5", "34", "0", "✗ 3", "1", "01:02:05")
        assert first[11:] == ("1.0.3", "Acme X1", "192.0.2.1:9")
        assert second[:3] == ("CP2", "closed", "2.0.1") and second[6:9] == ("", "7", "")
        assert third[:2] == ("-", "refused") and third[4] == ""
        assert [cell.level for cell in table(app).shown[0].cells][:4] == [-1, -1, -1, 3]
        assert table(app).shown[1].cells[7].level == 3 and table(app).shown[2].cells[1].level == 3
        assert app._active.status() == "3 chargers"
        assert lines(table(app))[0].startswith("charger") and "CP2" in lines(table(app))[2]
    on(three(), "Chargers", body, tmp_path, (200, 50))


def test_a_bridge_shows_beside_the_version(tmp_path: Path) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        app.ground.links.update({
            1: Link(1, 1, "a", identity="CP1", protocol="ocpp1.6", csms_protocol="ocpp2.1"),
            3: Link(3, 3, "a", identity="CP1", protocol="ocpp1.6", csms_protocol="ocpp2.0.1"),
            2: Link(2, 2, "a", identity="CP2", protocol="ocpp2.0.1")})
        await pilot.press("1", "2")
        assert isinstance(app._active, Chargers)
        app._active.load()
        await settled(pilot)
        assert [row[2] for row in cells(table(app))] == ["1.6⇄2.0.1", "2.0.1", ""]
    on(three(), "Chargers", body, tmp_path, (200, 50))


def test_enter_limits_every_screen_and_u_takes_that_away(tmp_path: Path) -> None:
    source = three()

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await pilot.press("j", "enter")
        await settled(pilot)
        assert app.ground.scope.identity == "CP2"
        assert app.query_one(ContentSwitcher).current == "traffic"
        for key, name in (("3", "finding_groups"), ("4", "transactions")):
            await pilot.press(key)
            await until(pilot, partial(source.asked.__contains__, (name, "CP2")))
        await pilot.press("u")
        assert app.ground.scope.identity == ""
        await until(pilot, lambda: ("transactions", "") in source.asked)
        await pilot.press("3")
        await until(pilot, lambda: ("finding_groups", "") in source.asked)
    on(source, "Chargers", body, tmp_path)


def test_keys_lead_to_its_findings_and_transactions_and_copy_its_name(tmp_path: Path) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        switch = app.query_one(ContentSwitcher)
        await pilot.press("f")
        await settled(pilot)
        assert (switch.current, app.ground.scope.identity) == ("findings", "CP1")
        await pilot.press("2", "j", "t")
        await settled(pilot)
        assert (switch.current, app.ground.scope.identity) == ("transactions", "CP2")
        await pilot.press("2", "y")
        await settled(pilot)
        assert app.clipboard == "CP2"
    on(three(), "Chargers", body, tmp_path)


def test_one_without_a_name_limits_nothing(tmp_path: Path) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await pilot.press("G", "enter")
        await settled(pilot)
        assert app.ground.scope.identity == "" and app.query_one(ContentSwitcher).current == "chargers"
        assert [note.message for note in app._notifications] == ["it gave no name that the other screens could be limited to"]
    on(three(), "Chargers", body, tmp_path)


def test_what_is_live_is_asked_again_while_it_is_seen_and_the_cursor_stays(tmp_path: Path) -> None:
    source = three(live=True)

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        pane = app._active
        await pilot.press("j", "l", "s")            # by state: closed, open, refused
        assert cells(table(app), "state") == ["closed", "open", "refused"]
        assert _key(app) == "CP2"
        source.known_chargers.insert(0, Charger("CP0", "closed"))
        due(pane)
        await until(pilot, lambda: len(table(app).shown) == 4)
        assert cells(table(app), "state") == ["closed", "closed", "open", "refused"]
        assert _key(app) == "CP2"
        await pilot.press("6")
        await settled(pilot)
        asked = source.times("chargers")
        due(pane)
        for _ in range(10):
            app._tick()
        await settled(pilot)
        assert source.times("chargers") == asked    # nobody looks
        await pilot.press("2")
        await until(pilot, lambda: source.times("chargers") > asked)
    on(source, "Chargers", body, tmp_path)


def test_a_file_is_asked_once(tmp_path: Path) -> None:
    source = three()

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        due(app._active)
        app._tick()
        await pilot.press("1", "2", "slash", "escape")
        await settled(pilot)
        assert source.times("chargers") == 1
    on(source, "Chargers", body, tmp_path)


def test_an_error_stands_in_the_status_line_until_an_answer_comes(tmp_path: Path) -> None:
    source = three()
    source.failing = "the proxy is gone \x1b[2J\nsecond line"

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        assert app._active.status() == "the proxy is gone \\x1b[2J" and not table(app).shown
        assert app.is_running
        source.failing = ""
        due(app._active)
        await until(pilot, lambda: app._active.status() == "3 chargers")
        source.failing = "gone again"
        app._active._stale = True           # type: ignore[attr-defined]
        await until(pilot, lambda: app._active.status() == "gone again")
        assert len(table(app).shown) == 3   # what was known stays
    on(source, "Chargers", body, tmp_path)
