"""The screen of held messages: what it shows, every key of it, the editor, what goes wrong; and who does not see it."""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from ocpp_proxy_tui.app import ProxyApp
from ocpp_proxy_tui.messages import ScopeTo
from ocpp_proxy_tui.screens import held as module
from ocpp_proxy_tui.screens.ask_sure import AskSure
from ocpp_proxy_tui.screens.ask_text import AskText
from ocpp_proxy_tui.screens.held import HeldMessages
from ocpp_proxy_tui.settings import Settings
from textual.pilot import Pilot

from ocpp_proxy.cli.printing import render
from ocpp_proxy.model import ConfigError
from ocpp_proxy.source import Intercept
from tests.tui.acting_source import ANSWER, BOOT, RESET, ActingSource, held
from tests.tui.panes_case import S, cells, on, screen, settled, table, until


def three() -> ActingSource:
    source = ActingSource()
    source.kept = [BOOT, RESET, ANSWER]
    source.points = [Intercept(4, "action == Reset", "CP*", "me", 2)]
    return source


def pane(app: ProxyApp) -> HeldMessages:
    shown = app.pane("Held")
    assert isinstance(shown, HeldMessages)
    return shown


def notes(app: ProxyApp) -> list[str]:
    return [note.message for note in app._notifications]


async def shown(app: ProxyApp, pilot: Pilot[None]) -> None:
    await until(pilot, lambda: table(app).shown)


def writing(monkeypatch: pytest.MonkeyPatch, *texts: str | None) -> list[str]:
    """An editor that saves one text after the other (None: it fails); gives what it was shown."""
    given, left = list[str](), list(texts)

    def edit(app: object, text: str) -> str | None:
        given.append(text)
        return left.pop(0)
    monkeypatch.setattr(module, "in_editor", edit)
    return given


def test_it_shows_what_is_held_with_its_countdown_and_the_message_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [BOOT.until_ns - 12 * S]
    monkeypatch.setattr(time, "time_ns", lambda: now[0])

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot)
        assert [row[:7] for row in cells(table(app))] == [
            ("12 s", "CP1", "─▶", "Call", "BootNotification", "intercept", ""),
            ("42 s", "CP1", "◀─", "Call", "Reset", "mine", "night"), ("72 s", "CS2", "─▶", "Result", "Reset", "intercept", "")]
        await until(pilot, lambda: any("chargePointVendor" in line for line in screen(app)))
        assert "\u202e" not in "".join(screen(app)) and any("\\u202e" in line for line in screen(app))
        assert app._active.status() == "3 held" and "7 Held 3" in screen(app)[0]
        now[0] += 9 * S
        await until(pilot, lambda: cells(table(app), "goes on in")[0] == "3 s")
        assert table(app).shown[0].cells[0].level == 3
        assert cells(table(app, "#points")) == [("4", "action == Reset", "CP*", "2")]
        await pilot.press("j")
        await until(pilot, lambda: any("$.type" in line or "Hard" in line for line in screen(app)[12:]))
    on(three(), "Held", body, tmp_path, (140, 40))


def test_it_says_once_what_the_list_is_without(tmp_path: Path) -> None:
    source = three()
    source.missing = "relay worker 1: it is not connected"

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot)
        asked = source.times("held")
        await until(pilot, lambda: source.times("held") > asked + 2)
        assert [note for note in notes(app) if "not all" in note] == [f"not all that is held: {source.missing}"]
    on(source, "Held", body, tmp_path)


def test_a_filter_and_the_scope_narrow_it(tmp_path: Path) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot)
        await pilot.press("slash", *"side == csms", "enter")
        await until(pilot, lambda: cells(table(app), "action") == ["Reset"])
        assert app._active.status() == "1 of 3 held"
        await pilot.press("F", "2", "escape", "7")
        app.post_message(ScopeTo("CS2"))
        await until(pilot, lambda: cells(table(app), "charger") == ["CS2"])
    on(three(), "Held", body, tmp_path)


def test_release_and_release_all(tmp_path: Path) -> None:
    source = three()

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot)
        await pilot.press("j", "a")
        await until(pilot, lambda: len(table(app).shown) == 2)
        assert [act[1:3] for act in source.told] == [("h2", "release")]
        assert "Reset of CP1: released" in notes(app)
        await pilot.press("A")
        await until(pilot, lambda: not table(app).shown)
        assert [act[1:3] for act in source.told[1:]] == [("h1", "release"), ("h3", "release")]
        await pilot.press("a", "X", "e", "R", "E", "O", "y")        # on nothing they do nothing
        await settled(pilot)
        assert len(source.told) == 4 and source.told[3] == ("unintercept", 4)
    on(source, "Held", body, tmp_path)


def test_dropping_is_asked_once_more(tmp_path: Path) -> None:
    source = three()

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot)
        await pilot.press("X")
        await until(pilot, lambda: isinstance(app.screen, AskSure))
        assert isinstance(app.screen, AskSure)
        assert app.screen.lines == ["Drop the Call BootNotification of CP1? A dropped Call gets no answer."]
        await pilot.press("enter", "e", "n")
        await until(pilot, lambda: not isinstance(app.screen, AskSure))
        assert source.told == []
        await pilot.press("X", "y")
        await until(pilot, lambda: len(table(app).shown) == 2)
        assert source.told == [("settle", "h1", "drop", None, "", "", False)]
    on(source, "Held", body, tmp_path)


def _asked(app: ProxyApp, title: str) -> bool:
    return isinstance(app.screen, AskSure) and app.screen.lines[0] == title


def test_editing_heeds_the_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = three()
    given = writing(monkeypatch, "{", '{"type":"Warm"}', '{"type":"Soft"}')

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot)
        await pilot.press("j", "e")
        for title, offered in (("The payload is no JSON:", ""), ("The schema speaks against it:", "send it all the same")):
            await until(pilot, partial(_asked, app, title))
            assert isinstance(app.screen, AskSure) and app.screen._yes == offered
            await pilot.press("e")
        await until(pilot, lambda: source.told)
        assert source.told == [("settle", "h2", "edit", {"type": "Soft"}, "", "", False)]
        assert given == ['{\n  "type": "Hard"\n}\n', "{", '{"type":"Warm"}']
    on(source, "Held", body, tmp_path)


def test_what_is_wrong_is_sent_all_the_same_or_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = three()
    writing(monkeypatch, '{"type":"Warm"}', '{"type":"Odd"}', None, '{ "type": "Hard" }\n', '{\n  "type": "Hard"\n}\n')

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot)
        await pilot.press("j", "e")
        await until(pilot, lambda: isinstance(app.screen, AskSure))
        await pilot.press("escape")
        await until(pilot, lambda: notes(app)[-1:] == ["it is still held"])
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, AskSure))
        await pilot.press("y")
        await until(pilot, lambda: source.told)
        assert source.told == [("settle", "h2", "edit", {"type": "Odd"}, "", "", True)]
        await until(pilot, lambda: len(table(app).shown) == 2)
        await pilot.press("e")
        await until(pilot, lambda: notes(app)[-1:] == ["nothing was changed: it is still held"])
    on(source, "Held", body, tmp_path)


def test_replies_are_written_from_the_answer_s_schema_or_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = three()
    given = writing(monkeypatch, '{"status":"Rejected"}')

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot)
        await pilot.press("j", "R")
        await until(pilot, lambda: source.told)
        assert given == ['{\n  "status": "Accepted"\n}\n']
        assert source.told == [("settle", "h2", "reply", {"status": "Rejected"}, "", "", False)]
        await until(pilot, lambda: len(table(app).shown) == 2)
        await pilot.press("g", "E")
        await until(pilot, lambda: isinstance(app.screen, AskText))
        await pilot.press("enter")
        await until(pilot, lambda: len(source.told) == 2)
        assert source.told[1] == ("settle", "h1", "reply", {}, "NotSupported", "", False)
        await until(pilot, lambda: cells(table(app), "type") == ["Result"])
        await pilot.press("R")
        await pilot.press("E")
        await until(pilot, lambda: notes(app)[-2:] == ["only a Call can be answered"] * 2)
    on(source, "Held", body, tmp_path)


def test_where_nothing_is_held_it_says_how(tmp_path: Path) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await settled(pilot)
        assert app._active.status() == "0 held; I holds messages that pass a filter"
    on(ActingSource(), "Held", body, tmp_path)


def test_an_intercept_is_ended_and_parts_are_reached_by_tab(tmp_path: Path) -> None:
    source = three()

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot)
        await pilot.press("tab")
        await until(pilot, lambda: pane(app).detail.has_focus_within)
        await pilot.press("tab")
        await until(pilot, lambda: pane(app).points.has_focus)
        await pilot.press("O")
        await until(pilot, lambda: not pane(app).points.shown)
        assert source.told == [("unintercept", 4)]
        await pilot.press("escape")
        await until(pilot, lambda: pane(app).table.has_focus)
        await pilot.press("enter")
        await until(pilot, lambda: pane(app).detail.has_focus_within)
        await pilot.press("escape", "y")
        await until(pilot, lambda: app.clipboard.startswith('[2,"mh1"'))
    on(source, "Held", body, tmp_path)


def test_what_is_refused_is_told_and_a_message_that_is_none_cannot_be_edited(tmp_path: Path) -> None:
    source = three()
    source.kept = [held("h9", "\x1b[2Jnot json", mtype=0)]
    source.refusing = "the token may only read\x1b[2J"

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot)
        assert "\x1b" not in "".join(screen(app))
        await pilot.press("a")
        await until(pilot, lambda: "the token may only read\\x1b[2J" in notes(app))
        await pilot.press("e")
        await until(pilot, lambda: "this is no message that can be edited: release or drop it" in notes(app))
        await pilot.press("O")
        await until(pilot, lambda: notes(app).count("the token may only read\\x1b[2J") == 2)
        assert source.told == [] and len(table(app).shown) == 1
    on(source, "Held", body, tmp_path)


def test_without_an_editor_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(app: object, text: str) -> str:
        raise ConfigError("there is no editor: set EDITOR")
    monkeypatch.setattr(module, "in_editor", none)

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot)
        await pilot.press("e")
        await until(pilot, lambda: notes(app) == ["there is no editor: set EDITOR"])
    on(three(), "Held", body, tmp_path)


def test_what_is_held_shows_in_the_tab_while_another_screen_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASIDE_SECONDS", 0.02)
    source = ActingSource()

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: source.times("held"))
        assert "7 Held" in screen(app)[0]
        source.kept = [BOOT, RESET]
        await until(pilot, lambda: "7 Held 2" in screen(app)[0])
        assert notes(app) == ["held: BootNotification of CP1 and 1 more; 7 shows it"]
    on(source, "Chargers", body, tmp_path)


@pytest.mark.parametrize(("settings", "live", "allowed"), [
    (Settings(read_only=True), True, True), (Settings(), False, True), (Settings(), True, False)])
def test_who_may_only_look_has_neither_the_screen_nor_the_keys(
    settings: Settings, live: bool, allowed: bool, tmp_path: Path,
) -> None:
    source = ActingSource(live=live)
    source.may_act = allowed

    async def main() -> Sequence[str]:
        app = ProxyApp(source, settings, tmp_path / "view.toml", render)
        async with app.run_test(size=(120, 40)) as pilot:
            await pilot.press("7", "i", "I", "D")
            await pilot.pause()
            assert len(app.screen_stack) == 1 and app._active.title == "Traffic" and "Held" not in screen(app)[0]
            keys = {one.binding.id for one in app.screen.active_bindings.values()}
            assert not keys & {"app.inject", "app.intercept", "app.disconnect", "app.held"}
            return [line for line in screen(app) if "Held" in line]
    assert asyncio.run(main()) == [] and source.told == [] and source.times("held") == 0
