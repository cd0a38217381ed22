"""The screen of the log: what it asks and when, moving, searching, lines that go, errors."""

from pathlib import Path

import pytest
from ocpp_proxy_tui.app import ProxyApp
from ocpp_proxy_tui.screens import log as module
from ocpp_proxy_tui.screens.log import LogLines
from textual.pilot import Pilot

from ocpp_proxy.source import LogLine
from tests.tui.panes_case import START, Counting, S, due, on, settled, until


def source(count: int, live: bool = False) -> Counting:
    made = Counting(live=live)
    made.logged = [LogLine(START + at * S, "info", "relay", f"line {at}") for at in range(count)]
    return made


def top(app: ProxyApp) -> str:
    return app.query_one(LogLines).render_line(0).text.rstrip()


def test_it_opens_at_the_end_and_keys_move(tmp_path: Path) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        shown = app.query_one(LogLines)
        height = shown.size.height
        assert shown.scroll_offset.y == 100 - height and app._active.status() == "100 lines"
        await pilot.press("g")
        await until(pilot, lambda: shown.scroll_offset.y == 0)
        assert top(app).endswith("line 0")
        await pilot.press("j", "j")
        await until(pilot, lambda: shown.scroll_offset.y == 2)
        await pilot.press("k")
        await until(pilot, lambda: shown.scroll_offset.y == 1)
        await pilot.press("G")
        await until(pilot, lambda: shown.scroll_offset.y == 100 - height)
    on(source(100), "Log", body, tmp_path)


def test_searching_goes_from_line_to_line_and_round(tmp_path: Path) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        shown = app.query_one(LogLines)
        await pilot.press("ctrl+f", *"LINE 3", "enter")
        await settled(pilot)
        seen = [shown._found]
        for key in ("n", "n", "N", "N", "N"):
            await pilot.press(key)
            await settled(pilot)
            seen.append(shown._found)
        assert seen == [3, 30, 31, 30, 3, 39]
        await pilot.press("ctrl+f", *"nowhere\\", "enter")
        await settled(pilot)
        assert [note.message for note in app._notifications] == ["not found: nowhere\\"]
    on(source(60), "Log", body, tmp_path, (80, 24))


def test_live_lines_come_while_it_is_seen_and_the_view_stays_where_one_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "KEPT", 100)
    made = source(90, live=True)

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        shown = app.query_one(LogLines)
        made.logged.append(LogLine(START + 90 * S, "error", "relay", "line 90"))
        due(app._active)
        await until(pilot, lambda: len(shown.lines) == 91)
        assert shown.scroll_offset.y == 91 - shown.size.height      # it was at the end and stays there
        assert made.asked[-1] == ("log", str(START + 89 * S))       # only what is new is asked for
        shown.scroll_to(y=40, animate=False, immediate=True)
        before = top(app)
        made.logged += [LogLine(START + at * S, "info", "relay", f"line {at}") for at in range(91, 120)]
        due(app._active)
        await until(pilot, lambda: shown.lines[-1].text == "line 119")
        assert len(shown.lines) == 100 and shown.lines[0].text == "line 20" and top(app) == before
        await pilot.press("1")
        await settled(pilot)
        asked = made.times("log")
        due(app.pane("Log"))
        for _ in range(10):
            app._tick()
        await settled(pilot)
        assert made.times("log") == asked
    on(made, "Log", body, tmp_path)


def test_a_file_is_asked_once_and_again_only_after_an_error(tmp_path: Path) -> None:
    made = source(3)
    made.failing = "cannot read \x1b[2J\nmore"

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        assert app._active.status() == "cannot read \\x1b[2J"
        made.failing = ""
        due(app._active)
        await until(pilot, lambda: app._active.status() == "3 lines")
        asked = made.times("log")
        due(app._active)
        await pilot.press("1", "6")
        await settled(pilot)
        assert made.times("log") == asked
    on(made, "Log", body, tmp_path)


def test_times_beyond_reason_and_wide_texts_are_shown(tmp_path: Path) -> None:
    made = Counting()
    made.logged = [LogLine(1, "info", "relay", "first"), LogLine(10**22, "critical", "a process of a long name", "漢字" * 50)]

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        shown = app.query_one(LogLines)
        assert shown.virtual_size.width > 200 and "漢字" in shown.render_line(1).text
        assert shown.render_line(1).cell_length == shown.size.width
    on(made, "Log", body, tmp_path, (80, 24))
