"""The filter line: completion at the cursor, history, what is hostile in it; searches; the command palette."""

from pathlib import Path

from ocpp_proxy_tui.app import ProxyApp
from ocpp_proxy_tui.screens.help import HelpScreen
from ocpp_proxy_tui.widgets.filter_bar import FilterBar
from ocpp_proxy_tui.widgets.typed import TypedLine
from textual.events import Key
from textual.pilot import Pilot
from textual.widgets import ContentSwitcher

from ocpp_proxy.model import Link
from tests.tui.panes_case import Counting, on, screen, settled


def line(app: ProxyApp) -> TypedLine:
    return app.query_one(FilterBar).query_one(TypedLine)


def test_tab_completes_the_word_before_the_cursor_and_right_takes_what_is_offered(tmp_path: Path) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"acti", "tab", *"== Hea", "tab")
        assert line(app).value == "action == Heartbeat "
        await pilot.press(*["left"] * 20, "delete", "delete", "tab")
        assert line(app).value == "tion == Heartbeat "          # nothing before the cursor: nothing happens
        await pilot.press("a", "c", *["right"] * 4, "tab")
        assert line(app).value == "action == Heartbeat " and line(app).cursor_position == 6
        await pilot.press("escape", "slash", *"identity == CP-9")
        await pilot.pause()
        assert line(app)._suggestion == "identity == CP-99 "
        await pilot.press("right")
        assert line(app).value == "identity == CP-99 "
    on(Counting((), [Link(1, 0, "x", identity="CP-99")]), "Traffic", body, tmp_path)


def test_earlier_filters_and_searches_come_back_each_in_its_place(tmp_path: Path) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        for text in ("ms > 1", "ms > 2", "ms > 1"):
            app.query_one(FilterBar).put(text)
            await settled(pilot)
        await pilot.press("ctrl+f", *"boot", "enter")
        await settled(pilot)
        await pilot.press("slash", *" and x", "up")
        seen = [line(app).value]
        for key in ("up", "up", "down", "down", "down"):
            await pilot.press(key)
            seen.append(line(app).value)
        assert seen == ["ms > 1", "ms > 2", "ms > 2", "ms > 1", "ms > 1 and x", "ms > 1 and x"]
        await pilot.press("escape")
        assert app.ground.scope.where is not None and app.ground.scope.where.text == "ms > 1" and line(app).value == "ms > 1"
        await pilot.press("ctrl+f", "up")
        assert line(app).value == "boot"
    on(Counting(), "Traffic", body, tmp_path)


def test_keys_right_behind_enter_or_escape_are_no_text(tmp_path: Path) -> None:
    """A burst: all have come before any was dealt with."""
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        for begin, end, asked in (("slash", "enter", "ms > 1"), ("slash", "escape", "ms > 1"), ("ctrl+f", "enter", "ms > 1")):
            await pilot.press(begin, *("ms > 1" if end == "enter" else "x"))
            for key in (end, "question_mark"):
                app.post_message(Key(key, "?" if key == "question_mark" else None))
            await settled(pilot)
            assert line(app).value == asked and app.ground.scope.where is not None and app.ground.scope.where.text == asked
            assert isinstance(app.screen, HelpScreen), (begin, end)
            await pilot.press("escape")
            await settled(pilot)
            assert app.focused is not None and app.focused is not line(app)
    on(Counting(), "Traffic", body, tmp_path)


def test_what_is_hostile_is_shown_as_question_marks_and_offered_to_nobody(tmp_path: Path) -> None:
    hostile = "CP\x1b[2J\u202ex" + "\u0301" * 9

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        app.query_one(FilterBar).put(f'identity == "{hostile}"')
        await settled(pilot)
        text = "".join(screen(app))
        assert 'identity == "CP?[2J?x?????????"' in text
        assert not {"\x1b", "\u202e", "\u0301"} & set(text)
        assert app.ground.scope.where is not None and hostile in app.ground.scope.where.text
        await pilot.press("F", "slash", *'identity == "C')
        await pilot.pause()
        assert line(app)._suggestion == "" and "\\u202e" in "".join(screen(app))
    on(Counting((), [Link(1, 0, "x", identity=hostile)]), "Traffic", body, tmp_path)


def test_below_the_line_stands_what_may_come_and_once_entered_what_is_wrong(tmp_path: Path) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        bar = app.query_one(FilterBar)
        await pilot.press("slash", *"kind == pi")
        await pilot.pause()
        assert "ping" in screen(app)[2] and bar.has_class("invalid")
        await pilot.press("enter")
        await pilot.pause()
        assert "pi" in screen(app)[2] and "ping  " not in screen(app)[2][:8] and bar.has_class("open")
        await pilot.press("tab", "enter")
        await settled(pilot)
        assert app.ground.scope.where is not None and app.ground.scope.where.text == "kind == ping"
    on(Counting(), "Traffic", body, tmp_path)


def test_the_command_palette_lists_and_runs_what_has_a_key(tmp_path: Path) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        commands = {command.title: command for command in app.get_system_commands(app.screen)}
        assert {"its findings (f)", "sort (s)", "quit (q)", "theme", "save a picture"} <= set(commands)
        await pilot.press("ctrl+p", *"Transactions")
        await pilot.pause()
        await pilot.press("escape")
        await commands["Transactions (4)"].callback()
        await settled(pilot)
        assert app.query_one(ContentSwitcher).current == "transactions"
    on(Counting(), "Chargers", body, tmp_path)
