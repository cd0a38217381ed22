"""The application around the panes: tabs, filter line, scope, search, help, keys, colours."""

import asyncio
from pathlib import Path

import pytest
from ocpp_proxy_tui.app import ProxyApp
from ocpp_proxy_tui.screens.help import HelpScreen
from ocpp_proxy_tui.screens.log import LogLines
from ocpp_proxy_tui.settings import Settings
from ocpp_proxy_tui.widgets.filter_bar import FilterBar
from textual.widgets import ContentSwitcher

from ocpp_proxy.cli.printing import render
from ocpp_proxy.source import LogLine
from tests.tui.sources import MemorySource


def test_filter_line_shows_what_is_wrong_and_applies_what_is_right(tmp_path: Path) -> None:
    async def main() -> None:
        app = ProxyApp(MemorySource(), Settings(), tmp_path / "view.toml", render)
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.press("slash", *"acton == 5")
            bar = app.query_one(FilterBar)
            assert bar.has_class("invalid") and not bar.has_class("valid")
            await pilot.press("enter")
            assert app.ground.scope.where is None and bar.has_class("open")
            await pilot.press(*["backspace"] * 10, *"action == Reset", "enter")
            assert bar.has_class("valid") and not bar.has_class("open")
            assert app.ground.scope.where is not None and app.ground.scope.where.text == "action == Reset"
            await pilot.press("F")
            assert app.ground.scope.where is None
    asyncio.run(main())


def test_help_lists_every_key_of_the_place_and_closes(tmp_path: Path) -> None:
    async def main() -> None:
        app = ProxyApp(MemorySource(), Settings(), tmp_path / "view.toml", render)
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.press("question_mark")
            assert isinstance(app.screen, HelpScreen)
            await pilot.press("escape")
            assert not isinstance(app.screen, HelpScreen)
    asyncio.run(main())


def test_log_shows_lines_escaped(tmp_path: Path) -> None:
    source = MemorySource()
    source.logged = [
        LogLine(1_000_000_000, "error", "relay", "bad \x1b[31m thing"), LogLine(2_000_000_000, "info", "recorder", "well")]

    async def main() -> None:
        app = ProxyApp(source, Settings(), tmp_path / "view.toml", render)
        async with app.run_test(size=(80, 24)) as pilot:
            await app.go(app.pane("Log"))
            await pilot.pause()
            lines = app.query_one(LogLines)
            assert [line.text for line in lines.lines] == ["bad \x1b[31m thing", "well"]
            assert "\\x1b[31m" in lines.render_line(0).text and "\x1b" not in lines.render_line(0).text
            assert app.query_one(ContentSwitcher).current == "log"
    asyncio.run(main())


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (200, 50), (40, 10)])
def test_starts_at_any_size(tmp_path: Path, size: tuple[int, int]) -> None:
    async def main() -> None:
        app = ProxyApp(MemorySource(), Settings(ascii=True), tmp_path / "view.toml", render)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            assert app.is_running
    asyncio.run(main())
