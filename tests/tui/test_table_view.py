"""The table: moving, sorting, searching, clicks, what is wide, and nothing hostile out of any screen's rows."""

from pathlib import Path

import pytest
from ocpp_proxy_tui.app import ProxyApp
from textual.pilot import Pilot

from ocpp_proxy.model import Severity
from ocpp_proxy.source import Charger, Charging, FindingGroup, LogLine, Sample, Table
from tests.tui.panes_case import START, Counting, cells, found, lines, on, screen, settled, table

HOSTILE = "\x1b[2J\x1b]52;c;QQ==\x07\x9b31m\u202e\r\n\t\0[red]x[/red]" + "\u0301" * 20


def some(count: int) -> Counting:
    made = Counting()
    made.known_chargers = [
        Charger(f"CP{at:03d}", "open", p95_ms=float(at * 7 % count) if at % 4 else None) for at in range(count)]
    return made


def test_keys_move_page_and_go_to_the_ends(tmp_path: Path) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        shown = table(app)
        page = shown.size.height - 2
        for key, at in (("j", 1), ("down", 2), ("k", 1), ("up", 0), ("k", 0), ("pagedown", page), ("ctrl+d", 2 * page),
                        ("pageup", page), ("ctrl+u", 0), ("G", 99), ("j", 99), ("g", 0), ("end", 99), ("home", 0)):
            await pilot.press(key)
            assert shown.cursor == at, key
            assert any(f"CP{at:03d}" in text for text in lines(shown)[1:]), key     # it is in view
        for key, column in (("l", 1), ("right", 2), ("h", 1), ("left", 0), ("h", 0)):
            await pilot.press(key)
            assert shown.column == column
    on(some(100), "Chargers", body, tmp_path, (80, 24))


def test_sorting_rises_falls_and_ends_with_nothing_last(tmp_path: Path) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        shown = table(app)
        given = cells(shown, "charger")
        shown.column = shown.names.index("p95 ms")
        await pilot.press("s")
        assert cells(shown, "p95 ms")[-3:] == [""] * 3
        rising = [int(text) for text in cells(shown, "p95 ms") if text]
        assert rising == sorted(rising) and any("p95 ms▲" in text for text in lines(shown)[:1])
        await pilot.press("s")
        assert [int(text) for text in cells(shown, "p95 ms") if text] == rising[::-1] and cells(shown, "p95 ms")[-1] == ""
        await pilot.press("s")
        assert cells(shown, "charger") == given
    on(some(9), "Chargers", body, tmp_path, (200, 30))


def test_a_search_goes_round_and_a_click_chooses(tmp_path: Path) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        shown = table(app)
        assert shown.find("cp01", True) and shown.cursor == 10
        assert shown.find("CP003", True) and shown.cursor == 3      # behind the last comes the first
        assert shown.find("CP019", False) and shown.cursor == 19 and not shown.find("nowhere", True)
        await pilot.click(shown, offset=(2, 5))
        assert shown.cursor == 4 and shown.column == 0
        await pilot.click(shown, offset=(2, 30))                    # below the last row
        assert shown.cursor == 4
        await pilot.click(shown, offset=(2, 0))
        assert lines(shown)[0].startswith("charger▲")
    on(some(20), "Chargers", body, tmp_path)


@pytest.mark.parametrize("title", ["Chargers", "Findings", "Transactions", "Query", "Log"])
def test_nothing_hostile_comes_out_of_any_screen(tmp_path: Path, title: str) -> None:
    made = Counting()
    made.known_chargers = [Charger(HOSTILE, "open", HOSTILE, HOSTILE, {HOSTILE: HOSTILE}, vendor=HOSTILE, model=HOSTILE,
                                   firmware=HOSTILE)]
    made.groups = [FindingGroup(HOSTILE, Severity.ERROR, HOSTILE, HOSTILE, HOSTILE, 1, (HOSTILE,), START, START, HOSTILE)]
    made.found = [found(HOSTILE, 1, HOSTILE, path=HOSTILE)]
    made.sessions = [Charging(HOSTILE, HOSTILE, HOSTILE, 1, 1, START, START + 1, 1.0, HOSTILE, HOSTILE)]
    made.samples = [Sample(START, "power", 1.0, HOSTILE), Sample(START, "power", 1.0, "W")]
    made.logged = [LogLine(START, "info", HOSTILE, HOSTILE)]
    made.tables = {"overview": Table([HOSTILE, "n"], [[HOSTILE, 1], [[HOSTILE], {HOSTILE: HOSTILE}]])}

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        if title == "Query":
            app._active.query_one("#asked").text = "overview"       # type: ignore[attr-defined]
            await pilot.press("ctrl+r")
        if title == "Transactions":
            await pilot.press("m")
        await settled(pilot)
        text = "".join(screen(app))
        assert "\\x1b[2J" in text
        assert not {"\x1b", "\x07", "\x9b", "\u202e", "\r", "\n", "\t", "\0"} & set(text) and "\u0301" * 5 not in text
    on(made, title, body, tmp_path, (240, 50))
